"""`benchmarks.learner` takes steps with every learner, on as little as possible."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from benchmarks import tiny_qwen2
from benchmarks.learner import rise
from benchmarks.learner.__main__ import CONTENDERS, main


@pytest.mark.slow
def test_every_learner_takes_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = tiny_qwen2.build(tmp_path / "model")
    out = tmp_path / "out.json"
    words = ["--model", str(model), "--prompts", "2", "--samples", "2", "--median", "6", "--limit", "9"]
    assert main([*words, "--repeats", "1", "--accumulate", "2", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["contenders"].keys() == set(CONTENDERS)
    for one in found["contenders"].values():
        assert one["rows"] == 4
        assert all(len(values) == 1 and values[0] > 0 for values in one["cpu_seconds"].values())
        assert one["peak_mib"] > 100
        assert 0 < one["share_that_trains"] < 1
    trains = {name: one["share_that_trains"] for name, one in found["contenders"].items()}
    assert trains["reinforcepp"] > trains["trl"]
    assert found["ratios"]["reinforcepp_over_trl"] > 0
    assert "times as many steps a second as trl" in capsys.readouterr().out
    assert str(tmp_path) not in out.read_text()


def test_wrong_options_are_told() -> None:
    for words in (
        ["--samples", "1"],
        ["--accumulate", "0"],
        ["--lora", "-1"],
        ["--seed", "-1"],
        ["--model", "/nope"],
    ):
        with pytest.raises(SystemExit):
            main(words)


@pytest.mark.slow
def test_rewards_side_by_side(
    tmp_path: Path, sandbox: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rise, "RUNS", {"grpo": rise.RUNS["grpo"]})
    out = tmp_path / "out.json"
    assert rise.main(["--seeds", "1", "--updates", "3", "--sandbox", sandbox.tier, "--json", str(out)]) == 0
    ((rewards,),) = json.loads(out.read_text())["rewards"].values()
    assert len(rewards) == 3
    assert f"| 3 | {rewards[2]:+.2f} |" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        rise.main(["--updates", "0"])
