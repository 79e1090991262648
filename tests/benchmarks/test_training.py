"""The cost of a training step: every kind is measured, mistakes are said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.training.__main__ import MODES, main


def test_a_small_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "deep" / "training.json"
    words = ["--lengths", "4", "--rows", "2", "--repeats", "1", "--modes", "all weights", "LoRA"]
    assert main([*words, "--dtype", "float32", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert [one["mode"] for one in found["steps"]] == list(MODES)[:2]
    whole, lora = found["steps"]
    assert 0 < lora["trained_parameters"] < whole["trained_parameters"]
    for one in found["steps"]:
        assert one["peak_mib"] > 100
        assert {"sample", "score", "train", "optimizer"} == set(one["cpu_seconds"])
        assert one["tokens_per_cpu_s"]["train"] > 0
    assert "LoRA" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--lengths", "0"], ["--rows", "0"], ["--modes", "nope"]])
def test_mistakes(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(words)
    assert words[0] in capsys.readouterr().err
