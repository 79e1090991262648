"""A stored episode plays again, and a stored lie is found."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gasp_env import transcript
from gasp_env.env import GaspCodeEnv
from gasp_env.sandbox import Sandbox
from tests.players import PROGRAMS, proposal
from tests.test_env import OPTIONS, play

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def record(sandbox: Sandbox) -> dict[str, Any]:
    env = GaspCodeEnv(**OPTIONS)
    env.reset(seed=0)
    play(env)
    assert env.transcript is not None
    return env.transcript


def test_replay_agrees(record: dict[str, Any], sandbox: Sandbox) -> None:
    assert transcript.replay(record, sandbox) == []


def test_replay_of_an_episode_that_drew_from_the_library(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(**OPTIONS)
    env.reset(seed=0)
    play(env)
    env.reset()
    env.step(proposal(PROGRAMS[0]))
    while env.driver.turns[0] is not None:
        env.step("no answer")
    stored = env.transcript
    assert stored is not None
    assert stored["outcomes"][0]["reason"] == "duplicate"
    assert stored["turns"][-1]["stage"] == "solve"
    assert transcript.replay(json.loads(json.dumps(stored)), sandbox) == []


@pytest.mark.parametrize(
    ("where", "alter"),
    [
        ("turns[1].samples[0].verdict", lambda r: r["turns"][1]["samples"][0].update(verdict="wrong")),
        ("turns[1].samples[7].verdict", lambda r: r["turns"][1]["samples"][7].update(verdict="correct")),
        ("turns[0].samples[0].reward", lambda r: r["turns"][0]["samples"][0].update(reward=0.5)),
        ("outcomes[0].correct", lambda r: r["outcomes"][0].update(correct=5)),
        ("turns[2].prompt", lambda r: r["turns"][2].update(prompt="Write anything.")),
        ("axis", lambda r: r.update(axis="io")),
        ("turns[1].samples[0].reward", lambda r: r["turns"][1]["samples"][0].update(reward=True)),
    ],
)
def test_replay_finds_a_change(
    record: dict[str, Any], sandbox: Sandbox, where: str, alter: Callable[[dict[str, Any]], None]
) -> None:
    changed = copy.deepcopy(record)
    alter(changed)
    assert where in [difference.where for difference in transcript.replay(changed, sandbox)]


def test_files(record: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    path.write_text("\n".join(json.dumps(record) for _ in range(2)) + "\n")
    assert transcript.load(path) == [record, record]
    separated = {**record, "note": "a\u2028b"}
    path.write_text(json.dumps(separated, ensure_ascii=False) + "\n", encoding="utf-8")
    assert transcript.load(path) == [separated]
    for content, message in (
        ("{", "line 1"),
        ("[" * 100_000, "line 1"),
        ("{}", "format 2"),
        ("", "at least one"),
    ):
        path.write_text(content)
        with pytest.raises(transcript.TranscriptError, match=message):
            transcript.load(path)


def test_broken_records_are_refused(record: dict[str, Any], sandbox: Sandbox) -> None:
    assert record["tier"] == "docker"
    for change in ({"goalposts": 10**13}, {"teacher_reward": "nope:x"}, {"goalpost_index": 99}, {"turns": 3}):
        with pytest.raises((transcript.TranscriptError, ValueError)):
            transcript.replay({**record, **change}, sandbox)
    for key in ("seed", "goalpost", "turns", "view", "schedule"):
        broken = {name: value for name, value in record.items() if name != key}
        with pytest.raises((transcript.TranscriptError, ValueError)):
            transcript.replay(broken, sandbox)


@pytest.mark.parametrize(
    "names",
    [
        {"teacher_reward": "mine.py:mine"},
        {"teacher_reward": {"lemma": "gasp_lemma", "lift": "os:system"}},
        {"solver_reward": "mine:half"},
        {"domain": "mine.py:domain"},
        {"style": "mine.py:Style"},
        {"schedule": {"novelty": "mine.py:embedder"}},
        {"schedule": {"novelty": "sentence-transformers:./model"}},
    ],
)
def test_code_that_a_transcript_names_is_not_run_unless_asked_for(
    record: dict[str, Any],
    sandbox: Sandbox,
    names: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.py").write_text("open('ran', 'w').close()\n")
    changed = {**record, **names, "schedule": {**record["schedule"], **names.get("schedule", {})}}
    with pytest.raises(transcript.TranscriptError, match="code of its own"):
        transcript.replay(changed, sandbox)
    assert not (tmp_path / "ran").exists()
