from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import novelty

CODE = "def f(x):\n    y = x + 1  # more\n    return y"
COPY = "def f(a):\n    b = a + 1\n    return b"
OTHER = {"prompt": "def g(list):\n", "canonical_solution": "    return list"}


def test_what_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "programs.jsonl"
    path.write_text("\n".join(map(json.dumps, ({"code": CODE}, {"code": COPY}, OTHER))), encoding="utf-8")
    found = list(novelty.programs(path))
    counted = novelty.measure(found)
    assert (counted["programs"], counted["forms"], counted["equal pairs"]) == (3, 2, 1)
    assert counted["variants by one operation"] > 4
    assert counted["of the form of their original"] == 0
    assert counted["renamed copies that are recognised"] == 2, (
        "a variable that is called like a built-in stays"
    )


def test_it_prints_every_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "programs.jsonl"
    path.write_text(json.dumps(OTHER), encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["novelty", str(path)])
    novelty.main()
    assert "1 programs" in capsys.readouterr().out
