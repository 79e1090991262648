"""Several processes train as one: equal weights, their own episodes, and a clean end when one of them dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from learners import batches
from learners.processes import ALONE, Processes
from tests.learners.choices import ChoicePolicy
from tests.learners.test_update import learn, turns

ROOT = Path(__file__).parents[2]
#: Small runs of the learner.
RUN = [
    *("-m", "learners.reinforcepp", "--policy", "tests.learners.choices:policy", "--domain", "python"),
    *("--heldout", "", "--goalpost-samples", "2", "--episodes", "5", "--attempts", "2", "--lr", "0.1"),
    *("--train-on", "both", "--checkpoint-every", "1", "--episodes-every", "1", "--threads", "1"),
]


def launched(*words: str, count: int = 2) -> subprocess.Popen[str]:
    """A command in several processes of one machine."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(count)]
    return subprocess.Popen(
        [*launcher, *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return out


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"minibatches": 3, "epochs": 2, "micro_tokens": 20},
        {"kl": "k1_reward", "norm": "global", "baseline": "group"},
        {"shuffle_advantages": True, "minibatches": 2, "micro_tokens": 5},
    ],
)
def test_an_update_of_two_processes_is_that_of_one(options: dict[str, Any]) -> None:
    told = json.loads(finished(launched("-m", "tests.learners.several", json.dumps(options))))
    start = ChoicePolicy(1) if "kl" in options else None
    alone = learn(turns(ChoicePolicy()), start, **options).flatten()
    assert told["ranks"] == [0, 1]
    assert [number for share in told["share"] for number in share] == list(range(7))
    assert len(set(told["seeds"])) == 2
    first, second = (torch.tensor(one) for one in told["moved"])
    assert torch.equal(first, second)
    assert alone.abs().max() > 1e-3
    torch.testing.assert_close(first, alone, atol=1e-6, rtol=1e-5)


def test_a_program_of_several_ends_before_python_is_taken_apart() -> None:
    program = (
        "import atexit, os\n"
        "from learners.command_line import command\n"
        "class Aborts:\n"
        "    def __del__(self, abort=os.abort): abort()\n"
        "held = Aborts()\n"
        "atexit.register(print, 'tidied')\n"
        "with command(): print('done')\n"
    )
    statuses = {
        count: subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env={**os.environ, "WORLD_SIZE": count},
            capture_output=True,
            text=True,
            check=False,
        )
        for count in ("1", "2")
    }
    assert statuses["1"].returncode == -signal.SIGABRT, "the program shows nothing"
    assert (statuses["2"].returncode, statuses["2"].stdout) == (0, "done\ntidied\n")


def test_one_process_needs_nobody() -> None:
    assert (ALONE.all("x"), list(ALONE.share(3)), ALONE.seed(4, 2)) == (["x"], [0, 1, 2], 6)
    assert [list(Processes(rank, 3).share(2)) for rank in range(3)] == [[0], [1], []]


def weights(run: Path) -> torch.Tensor:
    (file,) = (run / "policy").glob("*.safetensors")
    return load_file(file)["table"]


def metrics(run: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_a_run_of_two_processes_goes_on_as_if_it_had_not_ended(sandbox: Any, tmp_path: Path) -> None:
    common = [*RUN, "--runs", str(tmp_path), "--sandbox", sandbox.tier, "--updates"]
    said = finished(launched(*common, "4", "--name", "through"))
    assert said.count("measuring the start model") == 1
    through = tmp_path / "through"
    assert json.loads((through / "manifest.json").read_text())["processes"] == 2
    rows = metrics(through)
    assert [row["step"] for row in rows] == [1, 2, 3, 4]
    finished(launched(*common, "2", "--name", "halves"))
    halves = tmp_path / "halves"
    finished(launched(*common, "4", "--name", "halves", "--resume", "auto"))
    kept = [
        name for name in rows[0] if name.startswith(("reward", "train/", "library/", "tokens/", "verdict/"))
    ]
    assert len(kept) > 10
    for one, other in zip(rows, metrics(halves), strict=True):
        assert {name: one.get(name) for name in kept if name != "train/lr"} == {
            name: other.get(name) for name in kept if name != "train/lr"
        }
    assert (halves / "checkpoints" / "000004").is_dir()
    alone = subprocess.run(
        [sys.executable, *common, "4", "--name", "halves", "--resume", "auto"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "was made by 2 processes, these are 1: start as many" in alone.stderr


@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_is_killed_ends_the_run_with_a_checkpoint(
    sandbox: Any, tmp_path: Path, victim: int
) -> None:
    words = [*RUN, "--runs", str(tmp_path), "--sandbox", sandbox.tier, "--name", "x", "--updates", "9999"]
    words[words.index("--checkpoint-every") + 1] = "9999"
    launcher = launched(*words)
    log = tmp_path / "x" / "metrics.jsonl"
    until = time.monotonic() + 200
    while not (log.exists() and len(log.read_text().splitlines()) > 2) and time.monotonic() < until:
        time.sleep(0.1)
    children = subprocess.run(
        ["pgrep", "-P", str(launcher.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    ranks = {
        dict(
            part.split("=", 1)
            for part in Path(f"/proc/{child}/environ").read_text().split("\0")
            if "=" in part
        ).get("RANK"): int(child)
        for child in children
    }
    os.kill(ranks[str(victim)], signal.SIGKILL)
    _, said = launcher.communicate(timeout=120)
    assert launcher.returncode != 0
    checkpoint = max((tmp_path / "x" / "checkpoints").glob("[0-9]*"))
    assert "another process of this run has ended" in said
    assert f"go on with --resume {checkpoint}" in said
    assert "Traceback" not in said.split("torch/distributed")[0]
    step = int(checkpoint.name)
    assert step >= len(metrics(tmp_path / "x")) - 1, "the update in progress is lost, and no more"
    words[words.index("--updates") + 1] = str(step + 1)
    finished(launched(*words, "--resume", "auto"))
    assert metrics(tmp_path / "x")[-1]["step"] == step + 1


@pytest.mark.parametrize("bound", [("--seconds", "6"), ("--tokens", "150")])
def test_a_bound_is_the_same_for_all(sandbox: Any, tmp_path: Path, bound: tuple[str, str]) -> None:
    words = [*RUN, "--runs", str(tmp_path), "--sandbox", sandbox.tier, "--name", "x", "--updates", "500"]
    finished(launched(*words, *bound))
    summary = json.loads((tmp_path / "x" / "summary.json").read_text())
    assert 1 <= summary["updates"] < 500
    if bound[0] == "--tokens":
        before = [row["tokens/total"] for row in metrics(tmp_path / "x")[:-1]]
        assert summary["tokens"]["total"] >= 150 > max(before, default=0)


def test_a_mistake_is_told_by_all_in_one_line(sandbox: Any, tmp_path: Path) -> None:
    words = [*RUN, "--runs", str(tmp_path), "--sandbox", sandbox.tier, "--name", "x", "--updates", "1"]
    finished(launched(*words))
    for more, said in (
        ([], "a run named x lies in"),
        (["--name", "y", "--episodes", "1"], "--episodes 1: expected at least one for each of 2 processes"),
    ):
        launcher = launched(*words, *more)
        _, errors = launcher.communicate(timeout=120)
        assert launcher.returncode != 0
        assert said in errors
        assert "learners/reinforcepp.py" not in errors, "no traceback of ours"


def test_every_process_has_something_to_do() -> None:
    records = turns(ChoicePolicy())
    for count in (2, 3, 7):
        dealt = [
            batches.shares(records, range(len(records)), 2**16, Processes(rank, count))
            for rank in range(count)
        ]
        assert all(dealt)
        rows = [row for share in dealt for part in share for row in part]
        assert sorted(rows) == list(range(len(records)))
    assert [len(batches.shares(records, range(1), 9, Processes(rank, 3))) for rank in range(3)] == [1, 0, 0]
