"""Curves of runs: what is shown, and what is wrong with a directory."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import curves


@pytest.fixture
def runs(tmp_path: Path) -> list[Path]:
    made = []
    for name, rises in (("real", 1.0), ("shuffled", 0.0)):
        lines = []
        for step in range(1, 6):
            valid = 0.25 + 0.1 * step * rises
            update = {"step": step, "reward/teacher/lemma": valid - 1, "length/teacher/lemma": 100.0}
            update |= {
                "verdict/teacher/lemma/valid": valid,
                "entropy/teacher/lemma/any": 0.5,
                "train/lr": 1e-4,
            }
            if step == 3:  # nobody got it elsewhere
                update |= {"verdict/teacher/lemma/no_program": 0.5, "length/solver/attempt": 50.0}
            lines.append(json.dumps(update) + "\n")
        (tmp_path / name).mkdir()
        (tmp_path / name / "metrics.jsonl").write_text("".join(lines))
        made.append(tmp_path / name)
    return made


def test_first_and_last_means(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*map(str, runs), "--window", "2", "--figure", str(tmp_path / "curves.svg")]
    assert curves.main(words) == 0
    shown = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert shown["verdict/teacher/lemma/valid"] == ["0.400", "0.700", "0.250", "0.250"]
    assert shown["verdict/teacher/lemma/no_program"] == ["0.000", "0.000", "0.000", "0.000"]
    assert shown["length/solver/attempt"] == ["50.000"] * 4
    assert "train/lr" not in shown
    assert "teacher/lemma/valid, share" in (tmp_path / "curves.svg").read_text()


@pytest.mark.parametrize("text", [None, "", "no json\n"])
def test_what_is_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None) -> None:
    if text is not None:
        (tmp_path / "metrics.jsonl").write_text(text)
    assert curves.main([str(tmp_path)]) == 1
    assert "expected" in capsys.readouterr().err
