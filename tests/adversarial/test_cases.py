"""Every hostile program ends as it may, and the honest one beside it never notices."""

from __future__ import annotations

import platform

import pytest

from gasp_env import values
from gasp_env.sandbox import Result, Run, Sandbox, Status
from tests.adversarial.cases import CASES, Case

pytestmark = pytest.mark.docker

Pairs = dict[str, tuple[Result, Result]]


def _processes(sandbox: Sandbox) -> int:
    container = sandbox._worker._container  # type: ignore[union-attr]
    return len(container.top()["Processes"])


@pytest.fixture(scope="module")
def pairs(sandbox: Sandbox) -> Pairs:
    """All cases in one batch, each beside an honest run."""
    sandbox.run_many([Run("def f(): return 0", ((),))])
    before = _processes(sandbox)
    runs = []
    for index, case in enumerate(CASES):
        runs.append(Run(case.program, ((),), limits=case.limits))
        runs.append(Run(f"def f(x): return [x, {index}]", ((index,),)))
    results = sandbox.run_many(runs)
    assert _processes(sandbox) == before
    return {case.name: (results[2 * i], results[2 * i + 1]) for i, case in enumerate(CASES)}


def test_there_are_enough_and_names_are_unique() -> None:
    assert len(CASES) >= 45
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_case(case: Case, pairs: Pairs) -> None:
    if "syscall(" in case.program and platform.machine() != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    result, honest = pairs[case.name]
    assert result.status in case.allowed, result
    if result.status is Status.OK:
        assert values.equal(result.calls[0].value, case.value), result
    elif case.contains and result.status is not Status.MEMORY_LIMIT:
        assert case.contains in result.error, result
    index = CASES.index(case)
    assert honest.status is Status.OK, honest
    assert honest.calls[0].value == [index, index]


def test_limits_are_kept(pairs: Pairs) -> None:
    for case in CASES:
        result, _ = pairs[case.name]
        assert result.cpu_seconds < case.limits.cpu_seconds + 0.5, case.name
        assert result.memory_bytes < case.limits.memory_bytes + 2**24, case.name


def test_everything_still_works_afterwards(sandbox: Sandbox, pairs: Pairs) -> None:
    results = sandbox.run_many([Run(f"def f(): return {i}", ((),)) for i in range(20)])
    assert [result.calls[0].value for result in results] == list(range(20))
