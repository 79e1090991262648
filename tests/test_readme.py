"""The commands and code of the README and the documentation work, and the numbers they quote are the stored ones."""

from __future__ import annotations

import json
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest

from gasp_env import play
from gasp_env.envs.env import GaspCodeEnv
from gasp_env.episode.outcome import Outcome
from gasp_env.policies.scripted import scripted
from gasp_env.rewards import teacher_rewards
from gasp_env.rewards.registry import TEACHER_REWARDS, TeacherRewards
from gasp_env.sandbox import Sandbox

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text("utf-8")
DOCS = sorted((ROOT / "docs").rglob("*.md"))
RESULTS = ROOT / "benchmarks" / "results"


def blocks(text: str, language: str) -> list[str]:
    """Fenced blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


BLOCKS = blocks(README, "python")


def play_a_loop(source: str, path: Path) -> list[tuple[Any, ...]]:
    """Run a loop that asks ``model`` and tells ``learn``; return all it told."""
    heard: list[tuple[Any, ...]] = []
    path.write_text(source)
    given = {
        "model": lambda prompt, samples: scripted([prompt], [samples])[0],
        "learn": lambda *credit: heard.append(credit),
    }
    runpy.run_path(str(path), given)
    return heard


@pytest.mark.docker
def test_the_loop_plays_an_episode(sandbox: Sandbox, tmp_path: Path) -> None:
    heard = play_a_loop(BLOCKS[0], tmp_path / "loop.py")
    # Goalpost and turns depend on the seed; the teacher is always paid for the first turn.
    assert ("teacher_0", 0, 0) in [credit[:3] for credit in heard]
    assert all(isinstance(credit[3], float) for credit in heard)


@pytest.mark.docker
def test_the_vector_loop_of_the_documentation_plays_its_episodes(sandbox: Sandbox, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "environment.md").read_text("utf-8")
    (loop,) = [block for block in blocks(text, "python") if "make_vec" in block]
    heard = play_a_loop(loop, tmp_path / "loop.py")
    assert [credit[:3] for credit in heard].count(("teacher_0", 0, 0)) == 4


@pytest.mark.docker
def test_the_sandbox_of_the_documentation_prints_what_its_comments_say(
    sandbox: Sandbox, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (block,) = blocks((ROOT / "docs" / "sandbox.md").read_text("utf-8"), "python")
    script = tmp_path / "alone.py"
    script.write_text(block)
    runpy.run_path(str(script))
    good, bad, tier = capsys.readouterr().out.splitlines()
    assert good == "ok 2"
    assert bad.startswith("exception ZeroDivisionError: ")
    assert tier == "docker"


@pytest.mark.docker
def test_the_episode_it_shows_is_the_one_that_play_prints(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    (shown,) = [block for block in blocks(README, "text") if block.startswith("── turn 0")]
    assert play.main([]) == 0
    printed = iter([line.rstrip(" ─") for line in capsys.readouterr().out.splitlines()])
    # Excerpts: these lines in this order, with others in between.
    assert [line for line in shown.splitlines() if line not in printed] == []


def test_the_reward_is_found_by_module_and_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_rewards.py").write_text(BLOCKS[1])
    monkeypatch.syspath_prepend(str(tmp_path))
    chosen = re.search(r'teacher_reward="(my_rewards:\w+)"', README)
    assert chosen is not None
    assert f"--teacher-reward {chosen[1]}" in README
    outcomes = [
        Outcome("lemma", "f", "g", "valid", correct=2, samples=8),
        Outcome("lift", "f", "g", "no_entry"),
    ]
    try:
        with TEACHER_REWARDS.isolated():
            GaspCodeEnv(teacher_reward=chosen[1])
            assert TeacherRewards(chosen[1])(outcomes) == [{"variance": 0.75}, {"invalid": -1.0}]
    finally:
        sys.modules.pop("my_rewards", None)


def test_the_options_it_names_are_there() -> None:
    table = README.partition("## Change one thing")[2].partition("```")[0]
    named = set(re.findall(r'\b(\w+)="', README.partition("## Use it")[2].partition("## What you get")[0]))
    assert named >= set(re.findall(r'\b(\w+)="', table)) >= {"curriculum", "domain", "role", "teacher_reward"}
    for name in named:
        # One that is not there is a TypeError.
        with pytest.raises(ValueError, match="expected"):
            GaspCodeEnv(**{name: 3.5})


def test_it_is_short() -> None:
    assert len(README.splitlines()) < 120


@pytest.mark.parametrize("page", [ROOT / "README.md", *DOCS], ids=lambda path: path.name)
def test_files_it_names_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    named = re.findall(
        r"`((?:benchmarks|docs|examples|gasp_env|learners|sandbox_image|tests)/[\w/.]*)`", text
    )
    assert [name for name in named if not (ROOT / name).exists()] == []
    linked = re.findall(r"\]\((?!https?:)([^)#]+)(?:#[\w-]*)?\)", text)
    assert [name for name in linked if not (page.parent / name).exists()] == []


def test_the_commands_it_names_are_there() -> None:
    commands = {
        command
        for page in (ROOT / "README.md", *DOCS)
        for command in re.findall(r"python -m ([\w.]+\w)", page.read_text("utf-8"))
        if command.partition(".")[0] in ("gasp_env", "learners", "benchmarks")
    }
    assert len(commands) > 5
    for command in commands:
        place = ROOT / command.replace(".", "/")
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), command
    targets = re.findall(r"^make (\w+)", README, re.MULTILINE)
    assert targets == ["train", "test"]
    for target in (*targets, "docker", "docs"):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)


def test_the_numbers_it_quotes_are_the_stored_ones() -> None:
    def stored(name: str) -> Any:
        return json.loads((RESULTS / name).read_text("utf-8"))

    contenders = stored("sandbox/sandbox.json")["contenders"]
    loaded = stored("loaders/humaneval.json")
    small, large = (
        stored(f"llm_plays/qwen2.5-coder-{size}b.json")["stages"]["lemma"] for size in ("0.5", "1.5")
    )
    arms, controls = (
        stored("train/seeds.json")["arms"],
        [stored(f"train/seeds/shuffled-{seed}.json") for seed in (1, 2)],
    )
    before, after, published = (
        " ± ".join(f"{arm[name][part]:.3f}".lstrip("0") for part in ("mean", "sd"))
        for arm, name in (
            (arms["both"], "pass@1 before"),
            (arms["both"], "pass@1"),
            (arms["solve"], "pass@1"),
        )
    )
    shuffled = ", ".join(f"{control['pass_at_1']['after']:.3f}".lstrip("0") for control in controls)
    assert all(len(arm["seeds"]) >= 5 for arm in arms.values())
    for number in (
        f"{contenders['docker']['runs_per_s']:.0f} runs/s",
        f"per program: {contenders['docker exec']['runs_per_s']:.0f} ",
        f"{loaded['goalposts']} of HumanEval's {loaded['records']}",
        f"pass@1 {before.split()[0]}, after",
        f"**{after}** (five seeds), [as published](docs/results.md#does-training-work) {published}; ",
        f"controls with shuffled advantages: {shuffled} ",
        f"[{len(teacher_rewards())} teacher rewards]",
        f"{100 * large['valid']:.0f} % valid lemmas and solves {100 * large['solved']:.0f} % of those",
        f"the 0.5B {100 * small['valid']:.0f} % and {100 * small['solved']:.0f} %",
    ):
        assert number in " ".join(README.split())


def test_it_says_what_the_miniature_is_not() -> None:
    said = (
        "The miniature's base model has skills hidden on purpose; RL recovers them. "
        "This says nothing about large models."
    )
    assert said in " ".join(README.split())
    assert said in " ".join((ROOT / "docs" / "results.md").read_text("utf-8").split())


def test_missed_goals_come_first() -> None:
    page = (ROOT / "docs" / "results.md").read_text("utf-8")
    for section in ("### How fast is it?", "### What does it cost over its sandbox?"):
        assert page.partition(section)[2].lstrip().startswith("**Missed:**")
