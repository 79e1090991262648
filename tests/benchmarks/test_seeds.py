"""Arms over seeds: means, paired differences, and runs that cannot be compared."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks.seeds import main


def run(folder: Path, seed: int, after: float, **args: Any) -> str:
    folder.mkdir(parents=True)
    (folder / "manifest.json").write_text(json.dumps({"args": {"seed": seed, "lr": 1, "name": "x", **args}}))
    summary = {
        "pass_at_1": {"before": 0.25, "after": after},
        "pass_at_8": {"before": None, "after": None},
        "goalposts_reached": {"after": 3},
        "accepted_lemmas": 1,
        "accepted_lifts": 2,
        "tokens": {"total": 5000},
        "updates": args.get("made", 9),
    }
    (folder / "summary.json").write_text(json.dumps(summary))
    return str(folder)


def test_differences_are_paired_by_seed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ours = [run(tmp_path / f"a{seed}", seed, 0.4 + 0.1 * seed) for seed in (3, 1, 2, 9)]
    theirs = [
        run(tmp_path / f"b{seed}", seed, 0.3 + 0.1 * seed + 0.01 * (seed == 2), lr=2) for seed in (1, 2, 3)
    ]
    out = tmp_path / "out.json"
    assert main(["--arm", "a", *ours, "--arm", "b", *theirs, "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["arms"]["a"]["seeds"] == [1, 2, 3, 9]
    assert found["arms"]["a"]["pass@1"]["values"] == pytest.approx([0.5, 0.6, 0.7, 1.3])
    difference = found["differences"]["a - b"]
    assert difference["seeds"] == [1, 2, 3]
    assert difference["pass@1"]["values"] == pytest.approx([0.1, 0.09, 0.1])
    low, high = difference["pass@1"]["interval"]
    assert low < 0.0966 < high
    assert "pass@8" not in difference
    printed = capsys.readouterr().out
    assert "a - b: seeds 1, 2, 3; differ in lr" in printed
    assert "[+0.082, +0.111]" in printed


def test_runs_that_cannot_be_compared_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one = run(tmp_path / "one", 1, 0.5)
    for runs, said in (
        ([run(tmp_path / "same", 1, 0.5)], "expected one run a seed, got another of seed 1"),
        ([run(tmp_path / "other", 2, 0.5, lr=3)], "lr differ"),
        ([run(tmp_path / "shorter", 2, 0.5, made=4)], "made, updates differ"),
        ([str(tmp_path / "none")], "there is no"),
    ):
        assert main(["--arm", "a", one, *runs]) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert said in line
    spent = [run(tmp_path / f"{seed}", seed, 0.5, tokens=9000) for seed in (1, 2)]
    more = Path(spent[1]) / "summary.json"
    more.write_text(json.dumps(json.loads(more.read_text()) | {"updates": 11}))
    assert main(["--arm", "a", *spent]) == 0, "of equal budgets, which took more updates or fewer"
    assert main(["--arm", "a", one, spent[1]]) == 1
    assert "tokens, updates differ" in capsys.readouterr().err
    same = run(tmp_path / "same but for threads", 5, 0.5, threads=1, resume="auto")
    assert main(["--arm", "a", one, same]) == 0
    capsys.readouterr()
    assert main(["--arm", "a", one, "--json", str(tmp_path / "one" / "summary.json" / "x")]) == 1
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["--arm", "a"]) == 1
    assert "expected runs behind the name" in capsys.readouterr().err
    (tmp_path / "one" / "summary.json").write_text("{}")
    assert main(["--arm", "a", one]) == 1
    assert "expected files that a learner wrote" in capsys.readouterr().err
