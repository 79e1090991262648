"""What the README tells people to type works."""

from __future__ import annotations

import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from gasp_env.envs.env import GaspCodeEnv
from gasp_env.episode.outcome import Outcome
from gasp_env.policies.scripted import scripted
from gasp_env.rewards import registry
from gasp_env.rewards.registry import TeacherRewards
from gasp_env.sandbox import Sandbox

README = (Path(__file__).resolve().parent.parent / "README.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


@pytest.mark.docker
def test_the_loop_plays_an_episode(sandbox: Sandbox, tmp_path: Path) -> None:
    heard: list[tuple[Any, ...]] = []
    script = tmp_path / "loop.py"
    script.write_text(BLOCKS[0])

    def model(prompt: str, samples: int) -> tuple[str, ...]:
        return scripted([prompt], [samples])[0]

    runpy.run_path(str(script), {"model": model, "learn": lambda *credit: heard.append(credit)})
    # Goalpost and turns depend on the seed; the teacher is always paid for the first turn.
    assert ("teacher_0", 0, 0) in [credit[:3] for credit in heard]
    assert all(isinstance(credit[3], float) for credit in heard)


def test_the_reward_is_found_by_module_and_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rewards.py").write_text(BLOCKS[1])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "_teacher", dict(registry._teacher))
    try:
        chosen = re.search(r'teacher_reward="(my_rewards:\w+)"', README)
        assert chosen is not None
        assert f"--teacher-reward {chosen[1]}" in README
        GaspCodeEnv(teacher_reward=chosen[1])
        outcomes = [
            Outcome("lemma", "f", "g", "valid", correct=2, samples=8),
            Outcome("lift", "f", "g", "no_entry"),
        ]
        assert TeacherRewards(chosen[1])(outcomes) == [{"variance": 0.75}, {"invalid": -1.0}]
    finally:
        sys.modules.pop("my_rewards", None)


def test_files_it_names_exist() -> None:
    root = Path(__file__).resolve().parent.parent
    named = re.findall(r"`([\w/]+/[\w/]*\.\w+|[A-Z]+\.md)`", README)
    assert named
    assert [name for name in named if not (root / name).exists()] == []


def test_it_says_what_the_miniature_is_not() -> None:
    assert "here RL brings out what was buried, it is not evidence about large models" in " ".join(
        README.split()
    )
