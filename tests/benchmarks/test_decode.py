"""The decoding benchmark: its contenders are forced to the same tokens, its figures follow from theirs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("transformers")

from benchmarks import tiny_qwen2
from benchmarks.decode import __main__ as command
from benchmarks.decode import contenders, workload
from benchmarks.decode.workload import Size
from learners.policies import transformers


@pytest.fixture(scope="module")
def policy(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return transformers.load(tiny_qwen2.build(tmp_path_factory.mktemp("tiny")), threads=1, dtype="float32")


def test_the_workload_is_that_of_its_seed(policy: Any) -> None:
    size = Size(3, 2, 6, limit=9)
    work = workload.make(policy, size, 1)
    assert work == workload.make(policy, size, 1)
    assert work != workload.make(policy, size, 2)
    assert [len(group) for group in work.scripts] == [2, 2, 2]
    for group in work.scripts:
        for ids in group:
            assert 1 <= len(ids) <= 9
            assert ids[-1] == policy.tokenizer.eos_token_id
            assert not set(ids[:-1]) & policy.chat.ends
    assert work.tokens == sum(len(ids) for group in work.scripts for ids in group)
    assert work.longest == max(len(ids) for group in work.scripts for ids in group)


def test_prompts_are_a_teachers_and_a_solvers() -> None:
    lemma, solve, *_ = workload.prompts(4, 0)
    assert lemma != solve
    assert len(set(workload.prompts(4, 0))) == 4


@pytest.mark.parametrize("name", contenders.CONTENDERS)
def test_every_contender_decodes_what_it_is_forced_to(policy: Any, name: str) -> None:
    work = workload.make(policy, Size(3, 3, 5, limit=12), 0)
    assert contenders.CONTENDERS[name](policy)(work) == [list(group) for group in work.scripts]


def test_memory_is_told() -> None:
    contenders.forget_peak()
    assert 10 < contenders.memory("VmRSS") <= contenders.memory("VmHWM") + 10


class Process:
    """A contender that answers made up figures."""

    seconds = {"ours": 2.0, "per prompt": 8.0, "whole batch": 2.5}
    right = True

    def __init__(self, module: str, arguments: list[str]) -> None:
        assert module == "benchmarks.decode.contenders"
        assert arguments == []
        self.name = ""

    def ask(self, question: Any) -> dict[str, Any]:
        if isinstance(question, dict):
            self.name = question["contender"]
            return {"tokens": 100, "prompt_tokens": 40, "loaded_mib": 10.0}
        seconds = self.seconds[self.name]
        answer = {"seconds": seconds, "cpu_seconds": seconds / 2, "peak_mib": 12.0}
        return {**answer, "right": self.right}

    def close(self) -> None:
        pass


def test_the_figures_follow_from_the_rounds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(command, "JsonProcess", Process)
    out = tmp_path / "decode.json"
    assert command.main(["--model", "some/where/model", "--repeats", "4", "--json", str(out)]) == 0
    found = json.loads(out.read_text())
    assert found["command"] == "python -m benchmarks.decode --model model --repeats 4 --json decode.json"
    assert found["model"] == "model"
    assert found["contenders"]["ours"]["tokens_per_s"] == 50.0
    assert found["times_as_fast_as"]["per prompt"] == {"seconds": 4.0, "cpu_seconds": 4.0}
    assert [goal["met"] for goal in found["goals"].values()] == [True, False]
    printed = capsys.readouterr().out
    assert "met    4.00 times as fast as per prompt; goal 3.0" in printed
    assert "MISSED 1.25 times as fast as whole batch; goal 1.5" in printed


def test_other_tokens_end_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "JsonProcess", Process)
    monkeypatch.setattr(Process, "right", False)
    assert command.main(["--model", "x"]) == 1
    assert "ours decoded other tokens" in capsys.readouterr().err


def test_numbers_out_of_range_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["--samples", "0"])
    assert "--samples: expected at least 1, got 0" in capsys.readouterr().err
