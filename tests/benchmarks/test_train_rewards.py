"""Teacher rewards compared by training: the runs that are made, what is read of them, and what is said of it."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.teacher_rewards import train, trained
from benchmarks.teacher_rewards.__main__ import main
from benchmarks.teacher_rewards.trained import METRICS, Trained

ROOT = Path(__file__).resolve().parents[2]
MINE = """
def mine(outcomes):
    return [{"p": o.correct / o.samples} if o.valid else {"invalid": -1.0} for o in outcomes]
"""


@pytest.fixture
def words(sandbox: Any, tmp_path: Path) -> list[str]:
    """A small comparison; more rewards and options may follow."""
    return [
        *("--policy", "tests.learners.choices:policy", "--tokens", "60", "--runs", str(tmp_path / "runs")),
        *("--sandbox", sandbox.tier, "--domain", "python", "--heldout", "", "--goalpost-samples", "2"),
    ]


#: Behind a --, as the simulation has options of these names.
LEARNER = ("--", "--episodes", "4", "--attempts", "2", "--lr", "0.1", "--track")


def compare(*words: str) -> int:
    """The command line, with the folder of the clone in which children find the policy of the tests."""
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        return main([*words, *LEARNER])
    finally:
        os.chdir(before)


def ended(words: Sequence[str]) -> Any:
    """The exit status of a command line."""
    try:
        return main(words)
    except SystemExit as stopped:
        return stopped.code


def test_a_comparison(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own.py").write_text(MINE)
    mine, out, runs = f"{tmp_path}/own.py:mine", tmp_path / "out" / "found.json", tmp_path / "runs"
    words += ["--rewards", "azr_paper", mine, "--seeds", "2", "--jobs", "2", "--json", str(out)]
    assert compare(*words) == 0
    printed = capsys.readouterr()
    found = json.loads(out.read_text())
    assert [(one["reward"], one["seed"], one["run"]) for one in found["runs"]] == [
        ("azr_paper", 0, "azr_paper-0"),
        ("azr_paper", 1, "azr_paper-1"),
        (mine, 0, "own.py-mine-0"),
        (mine, 1, "own.py-mine-1"),
    ]
    for one in found["runs"]:
        made = one["metrics"]
        assert set(made) == set(METRICS) == set(found["metrics"])
        logged = [json.loads(line) for line in (runs / one["run"] / "metrics.jsonl").read_text().splitlines()]
        totals = [0, *(row["tokens/total"] for row in logged)]
        assert totals[-2] < 60 <= totals[-1] == made["tokens"]
        assert made["updates"] == len(logged)
        assert made["tokens_trained"] == sum(row["train/tokens"] for row in logged) <= made["tokens"]
        assert made["pass_at_1"] is None
        assert 0 <= made["valid_lemmas"] <= 1
        manifest = json.loads((runs / one["run"] / "manifest.json").read_text())["args"]
        assert (manifest["teacher_reward"], manifest["seed"]) == (one["reward"], one["seed"])
        assert (manifest["freeze"], manifest["threads"], manifest["lr"]) == ("none", 1, 0.1)
    assert [arm["paired_seeds"] for arm in found["arms"]] == [[0, 1], [0, 1]]
    assert found["arms"][1]["difference"]["goalposts"]["low"] is None
    assert found["failed"] == {}
    assert found["tokens"] == 60
    assert "machine" in found
    assert str(tmp_path) not in found["command"]
    assert "own.py:mine: 2 seeds have no interval" in printed.out
    assert str(tmp_path) not in printed.out

    # Finished ones are not made again; others are, and a run of other options is not taken for one of these.
    when = {path: path.stat().st_mtime_ns for path in runs.glob("*/summary.json")}
    assert len(when) == 4
    (runs / "azr_paper-1" / "summary.json").unlink()
    assert compare(*words) == 0
    assert (
        json.loads(out.read_text())["arms"][0]["metrics"]["tokens"] == found["arms"][0]["metrics"]["tokens"]
    )
    assert capsys.readouterr().err.count("was made before") == 3
    again = [path for path, before in when.items() if path.stat().st_mtime_ns != before]
    assert again == [runs / "azr_paper-1" / "summary.json"]
    words[words.index("--tokens") + 1] = "61"
    assert compare(*words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "was made with other options (tokens differ)" in line


def test_controls_and_a_run_that_fails(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own.py").write_text("def fails(outcomes):\n    return 1\n")
    fails, out = f"{tmp_path}/own.py:fails", tmp_path / "found.json"
    words += ["--rewards", "azr_paper", fails, "frozen", "--jobs", "2", "--json", str(out)]
    assert compare(*words, "--seeds", "1") == 1
    printed = capsys.readouterr()
    found = json.loads(out.read_text())
    assert list(found["failed"]) == ["own.py-fails-0"]
    assert "expected a list of terms" in found["failed"]["own.py-fails-0"]
    assert "error: own.py-fails-0 failed: " in printed.err.splitlines()[-1]
    assert [one["run"] for one in found["runs"]] == ["azr_paper-0", "frozen-0"]
    assert "own.py:fails: no seed in common" in printed.out
    assert "frozen: one seed is an anecdote" in printed.out
    args = json.loads((tmp_path / "runs" / "frozen-0" / "manifest.json").read_text())["args"]
    assert (args["teacher_reward"], args["freeze"]) == ("azr_paper", "teacher")
    assert found["runs"][1]["metrics"]["tokens_trained"] < found["runs"][1]["metrics"]["tokens"]


def test_an_interrupted_comparison_saves_its_runs(words: list[str], tmp_path: Path) -> None:
    words = [*words, "--rewards", "azr_paper", "--seeds", "1", *LEARNER]
    words[words.index("--tokens") + 1] = "100000"
    command = [sys.executable, "-m", "benchmarks.teacher_rewards", *words]
    going = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    run = tmp_path / "runs" / "azr_paper-0"
    until = time.monotonic() + 120
    while not (run / "metrics.jsonl").exists() and time.monotonic() < until:
        time.sleep(0.1)
    going.send_signal(signal.SIGTERM)
    _, said = going.communicate(timeout=60)
    assert going.returncode == 130
    assert said.splitlines()[-1] == "interrupted; the same command goes on"
    assert list((run / "checkpoints").iterdir())
    assert not (run / "summary.json").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--rewards", "gasp", "no_such"], "no_such"),
        (["--rewards", "gasp", "shuffled:no_such"], "no_such"),
        (["--rewards", "gasp", "not_there.py:mine"], "cannot be imported"),
        (["--rewards", "gasp", "opensir"], "'embedding'"),
        (["--rewards", "frozen", "gasp"], "which is a control"),
        (["--tokens", "0"], "expected --tokens of at least 1, got 0"),
        (["--jobs", "0"], "expected --jobs of at least 1, got 0"),
        (["--simulate"], "not allowed with argument --policy"),
        (["--rescore", "runs"], "not allowed with argument --policy"),
        (["--policy", "no_such"], "no_such"),
        (["--episodes", "4"], "--episodes is an option of --simulate"),
        (["--modle", "x"], "unrecognized: --modle x; policy 'miniature' takes [--path]"),
        (["--", "--seed", "3"], "--seed: expected options of the learner"),
        (["--", "--teacher_reward=x"], "--teacher-reward: expected options of the learner"),
        (["--", "--lr", "0"], "--lr 0: expected more than 0, got 0"),
        (["--", "--curriculum", "azr"], "--teacher-reward gasp: "),
        (
            ["--", "--train-roles", "solver"],
            "expected options with which the teacher trains, got --train-roles solver",
        ),
        (["--", "--teacher-policy", "silent"], "--teacher-policy silent: no reward would change anything"),
        (["--rewards", ""], "expected names in --rewards, got an empty one"),
    ],
)
def test_bad_input_is_one_clear_error(
    more: Sequence[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    status = ended(["--policy", "miniature", "--tokens", "9", "--json", "out.json", *more])
    printed = capsys.readouterr()
    assert status == 2
    assert not printed.out
    assert said in printed.err.strip().splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "choose one of --policy POLICY"),
        (["--simulate", "--tokens", "9"], "--tokens is an option of --policy"),
        (["--policy", "miniature"], "expected --tokens N"),
        (["--simulate", "--model", "x"], "unrecognized arguments: --model x"),
    ],
)
def test_one_question_at_a_time(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(words) == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]


def test_controls_are_the_first_reward_with_another_teacher_or_shuffled(tmp_path: Path) -> None:
    names = ["azr_paper", "frozen", "shuffled:azr_paper"]
    plan = {
        "policy": "miniature",
        "tokens": 9,
        "runs": tmp_path,
        "sandbox": "auto",
        "learner": ("--lr", "0.1"),
    }
    runs = train.plan(names, [3, 4], **plan)  # type: ignore[arg-type]
    assert [
        (run.args.name, run.args.seed, run.args.teacher_reward, run.args.freeze, run.args.lr) for run in runs
    ] == [
        *((f"azr_paper-{seed}", seed, "azr_paper", "none", 0.1) for seed in (3, 4)),
        *((f"frozen-{seed}", seed, "azr_paper", "teacher", 0.1) for seed in (3, 4)),
        *((f"shuffled-azr_paper-{seed}", seed, "shuffled:azr_paper", "none", 0.1) for seed in (3, 4)),
    ]


def test_names_of_one_folder_are_refused(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "own.py").write_text(MINE)
    names = [f"{tmp_path}/{folder}/own.py:mine" for folder in ("a", "b")]
    with pytest.raises(ValueError, match="'own.py-mine'"):
        train.plan(names, [0], policy="miniature", tokens=9, runs=tmp_path, sandbox="auto", learner=())


def made(reward: str, seed: int, **metrics: float) -> Trained:
    return Trained(reward, seed, f"{reward}-{seed}", {**dict.fromkeys(METRICS, math.nan), **metrics})


def test_only_what_an_interval_tells_apart_is_said() -> None:
    changes = {
        "above": (0.2, 0.21, 0.22),
        "same": (-0.1, 0.0, 0.11),
        "equal": (0.1, 0.1, 0.1),
        "few": (0.5, 0.5),
    }
    runs = [made("first", seed, pass_at_1=0.25 * seed, goalposts=4.0) for seed in (2, 0, 1)]
    runs += [
        made(name, seed, pass_at_1=0.25 * seed + change, goalposts=4.0 - (name == "above") * (1 + change))
        for name, values in changes.items()
        for seed, change in enumerate(values)
    ]
    arms = trained.summarise(runs, ["first", *changes])
    assert arms[1]["difference"]["pass_at_1"]["mean"] == pytest.approx(0.21)
    assert arms[4]["paired_seeds"] == [0, 1]
    above, *others = trained.conclusions(arms)
    assert above == (
        "above: pass@1 above (interval excludes 0) and goals below (interval excludes 0) from first."
    )
    assert others == [
        "same: not told apart from first.",
        "equal: not told apart from first.",
        "few: 2 seeds have no interval: nothing can be said of its difference to first.",
    ]
    printed = trained.table(arms)
    assert "[+0.185, +0.235]" in printed
    assert METRICS["duplicates"][0] not in printed, "of what no run has there is no column"
