"""The test bed for models: the same situations for everybody, shares that add up, texts that can be read again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from benchmarks.llm_plays import __main__ as llm_plays
from benchmarks.llm_plays import report
from benchmarks.llm_plays.rows import Row
from benchmarks.llm_plays.situations import PROPOSALS, STAGES, situations, stored_lemmas
from gasp_env import domains
from gasp_env.domains.python.domain import PythonDomain
from gasp_env.episode.turns import CutOff, Lost
from gasp_env.sandbox import Sandbox
from tests.players import INPUTS, proposal

PROGRAM = "def f(x):\n    return x * 3 + 1"


def domain() -> PythonDomain:
    found = domains.get("python")
    assert isinstance(found, PythonDomain)
    return found.with_novelty("exact")


def player(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
    """Propose the same everywhere; solve that and one stored lemma, be cut off at the first deduction."""
    lemma = stored_lemmas()[0].content
    cut = [index for index, prompt in enumerate(prompts) if "does this call return" in prompt][:1]
    found = []
    for index, (prompt, count) in enumerate(zip(prompts, samples, strict=True)):
        program = lemma.program if lemma.message in prompt else PROGRAM
        asked = "returns these results" in prompt
        text = f"```python\n{program}\n```" if asked else proposal(PROGRAM, INPUTS, "triple")
        found.append((CutOff(text) if index in cut else text,) * count)
    return found


def run(tmp_path: Path, *words: str) -> dict[str, object]:
    path = tmp_path / "out.json"
    name = f"{Path(__file__)}:player"
    policy = [] if "--texts" in words else ["--policy", name]
    assert llm_plays.main([*policy, "--json", str(path), *words]) == 0
    found: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("stage", STAGES)
def test_situations_are_fixed(stage: str) -> None:
    goalposts = domain().goalposts()
    first = situations(domain(), goalposts, stage, 70, 3)
    again = situations(domain(), goalposts, stage, 20, 3)
    assert [(one.id, one.prompt) for one in first[:20]] == [(one.id, one.prompt) for one in again]
    assert len({one.id for one in first}) == 70
    assert [one.prompt for one in situations(domain(), goalposts, stage, 20, 4)] != [
        one.prompt for one in again
    ]
    assert {one.stage for one in first} == {stage}


@pytest.mark.docker
def test_shares_of_a_run(tmp_path: Path, sandbox: Sandbox, capsys: pytest.CaptureFixture[str]) -> None:
    found = run(tmp_path, "--n", "12", "--attempts", "4")
    stages = found["stages"]
    assert isinstance(stages, dict)
    assert list(stages) == list(STAGES)
    assert all({"n", "readable", "valid"} <= stages[stage].keys() for stage in STAGES)
    for stage in ("lemma", "lift"):
        assert (stages[stage]["n"], stages[stage]["valid"]) == (12, 1.0)
        assert (stages[stage]["solved"], stages[stage]["accepted"], stages[stage]["rate"]) == (1.0, 0.0, 1.0)
    assert stages["solve"]["cut_off"] == pytest.approx(1 / 12)
    assert stages["solve"]["kinds"]["induction"]["n"] == 4
    assert stages["goalpost"]["valid"] == 0
    printed = capsys.readouterr().out
    assert "lemma: n 12, readable 100.0% [100.0%, 100.0%], valid 100.0%" in printed
    assert "1 cut_off" in printed


@pytest.mark.docker
def test_stored_texts_are_read_again_and_compared(tmp_path: Path, sandbox: Sandbox) -> None:
    first = run(tmp_path, "--n", "6", "--attempts", "0")
    stored = tmp_path / "stored.json"
    stored.write_text(json.dumps(first), encoding="utf-8")
    again = run(tmp_path, "--n", "6", "--texts", str(stored), "--baseline", str(stored))
    assert again["rows"] == first["rows"]
    differences = again["differences"]
    assert isinstance(differences, dict)
    assert all(found["valid"] == [0.0, 0.0, 0.0] and found["n"] == 6 for found in differences.values())


def stepwise(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
    """Draft the same everywhere, but for the first; write the calls where they are asked for."""
    calls = "\n".join(f"call_{n} = f({n})" for n in range(8))
    found = []
    for index, (prompt, count) in enumerate(zip(prompts, samples, strict=True)):
        second = "for different arguments" in prompt
        text = calls if second else f"# Hint: Triple it.\n{PROGRAM}" if index else "no"
        found.append((f"```python\n{text}\n```",) * count)
    return found


@pytest.mark.docker
def test_variants_in_two_steps(tmp_path: Path, sandbox: Sandbox) -> None:
    words = ["--n", "4", "--attempts", "0", "--stages", "lemma", "lift", "--two-steps"]
    path = tmp_path / "out.json"
    assert llm_plays.main(["--policy", f"{Path(__file__)}:stepwise", "--json", str(path), *words]) == 0
    stored = json.loads(path.read_text(encoding="utf-8"))
    assert [stored["stages"][stage]["valid"] for stage in ("lemma", "lift")] == [0.75, 0.75]
    first, second, *_ = stored["rows"]
    assert (first["reason"], first["text"], first["draft"].count("no")) == ("no_entry", "", 1)
    assert "call_7" in second["text"]
    assert PROGRAM in second["draft"]
    again = run(tmp_path, *words, "--texts", str(path))
    assert again["rows"] == stored["rows"]


def failing(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
    """A server that gives no text, but to the first prompt."""
    first = player(prompts, samples)
    return [texts if index == 0 else (Lost("429"),) * len(texts) for index, texts in enumerate(first)]


@pytest.mark.docker
def test_a_text_that_nobody_gave_is_in_no_share(tmp_path: Path, sandbox: Sandbox, capsys: Any) -> None:
    path = tmp_path / "out.json"
    words = ["--n", "3", "--attempts", "0", "--stages", "lemma", "attempt", "--json", str(path)]
    assert llm_plays.main(["--policy", f"{Path(__file__)}:failing", *words]) == 0
    stages = json.loads(path.read_text(encoding="utf-8"))["stages"]
    assert [(stages[stage]["n"], stages[stage]["unscored"]) for stage in stages] == [(1, 2), (1, 2)]
    assert stages["lemma"]["valid"] == 1.0
    assert "lemma: 2 unscored, left out below" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("stored", "option", "message"),
    [
        ('{"rows": 5}', "--baseline", "expected rows with id, reason, readable"),
        ('{"rows": [1]}', "--texts", "expected rows with id, reason, text, tokens"),
        ('{"rows": [{"id": "x", "reason": "valid"}]}', "--baseline", "expected rows with"),
        (
            '{"rows": [{"id": "x", "reason": "valid", "text": "", "tokens": 1}]}',
            "--texts",
            "no text of these situations",
        ),
        ('{"row', "--texts", "expected what --json wrote"),
    ],
)
def test_a_stored_file_that_is_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], stored: str, option: str, message: str
) -> None:
    path = tmp_path / "stored.json"
    path.write_text(stored, encoding="utf-8")
    policy = [] if option == "--texts" else ["--policy", f"{Path(__file__)}:player"]
    assert llm_plays.main([*policy, option, str(path), "--stages", "attempt", "--n", "1"]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert option in error
    assert message in error


def test_a_comparison_is_paired() -> None:
    rows = [Row(f"lemma {n}", "lemma", "induction", "", 1, "valid" if n else "exception") for n in range(4)]
    before = [{"id": f"lemma {n}", "readable": True, "valid": n == 3, "reason": ""} for n in range(1, 6)]
    found = report.compared(rows, before)["lemma"]
    assert found["n"] == 3
    assert found["valid"][0] == pytest.approx(2 / 3)
    assert found["readable"] == [0.0, 0.0, 0.0]


def test_a_row_knows_its_band() -> None:
    def accepted(stage: str, correct: int) -> bool:
        return Row("x", stage, "induction", "", 1, "valid", correct=correct, samples=8).accepted

    assert [correct for correct in range(9) if accepted("lemma", correct)] == [3, 4, 5]
    assert [correct for correct in range(9) if accepted("lift", correct)] == [1, 2, 3, 4]
    assert not Row("x", "lemma", "induction", "", 1, "valid").accepted


def test_stages_are_told_apart() -> None:
    assert set(PROPOSALS) < set(STAGES)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--policy", "nobody"], "nobody"),
        (["--policy", "silent", "--baseline", "absent.json"], "absent.json"),
        (["--policy", "silent", "--texts", __file__], "expected what --json wrote"),
        (["--policy", "silent", "--goalposts", "absent.jsonl"], "absent.jsonl"),
        (["--policy", "silent", "--n", "0"], "--n"),
    ],
)
def test_mistakes_are_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert llm_plays.main(words) == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.err.count("\n") == 1
