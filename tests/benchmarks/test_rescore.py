"""Other rewards on stored episodes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.teacher_rewards import __main__ as command
from benchmarks.teacher_rewards import rescore
from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.policies import Sampling, get
from gasp_env.transcripts import replay
from learners.rollout import play


@pytest.fixture(scope="module")
def run(sandbox: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's directory with the episodes of two updates."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "episodes").mkdir()
    envs = GaspCodeVectorEnv(4, attempts=4, sandbox=sandbox.tier)
    for step in (1, 2):
        envs.reset(seed=step)
        play(envs, get("scripted"), Sampling(seed=step))
        lines = [json.dumps(one) + "\n" for one in envs.transcripts]
        (folder / "episodes" / f"{step:06d}.jsonl").write_text("".join(lines))
    return folder


def test_outcomes_are_those_of_the_episode(run: Path, sandbox: Any) -> None:
    for file in sorted((run / "episodes").iterdir()):
        for record in replay.load(file):
            found = replay.outcomes(record, sandbox)
            assert [(one.stage, one.reason, one.correct, one.samples) for one in found] == [
                (one["stage"], one["reason"], one["correct"], one["samples"]) for one in record["outcomes"]
            ]
            assert all(len(one.attempts) == one.samples for one in found)


def test_the_runs_own_reward_is_what_was_paid(run: Path, sandbox: Any) -> None:
    updates, own = rescore.read(run, sandbox)
    (first, half) = rescore.rescore(updates, [own, "azr_paper"])
    assert first["kendall_tau"] == pytest.approx(1.0)
    assert first["same_sign"] == 1.0
    paid = [
        sample["reward"]
        for file in (run / "episodes").iterdir()
        for record in replay.load(file)
        for turn in record["turns"]
        if turn["stage"] in ("lemma", "lift")
        for sample in turn["samples"]
    ]
    assert first["mean"] == pytest.approx(sum(paid) / len(paid))
    assert half["reward"] == "azr_paper"
    assert -1 <= half["kendall_tau"] <= 1
    assert set(half["paid_for"]) <= set(rescore.CLASSES)


def test_the_command(run: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    words = ["--rescore", str(run), "--rewards", "azr_paper", "const_valid", "--json", str(out)]
    assert command.main(words) == 0
    printed = capsys.readouterr().out
    assert "of 2 updates" in printed
    assert [row["reward"] for row in json.loads(out.read_text())["rewards"]][1:] == [
        "azr_paper",
        "const_valid",
    ]
    for wrong, said in (
        (tmp_path, "expected a run's directory with episodes"),
        (out, "expected one JSON object a line"),
    ):
        assert command.main(["--rescore", str(wrong)]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
