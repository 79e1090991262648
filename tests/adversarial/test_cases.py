"""Every hostile program ends as it may in every tier, and leaves nothing that an honest one could notice."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from typing import Any

import pytest

from gasp_env import values
from gasp_env.sandbox import SandboxError, Status
from tests.adversarial.bench import GROWTH, Benches, Observation, State
from tests.adversarial.case import TIERS, Case
from tests.adversarial.cases import CASES
from tests.adversarial.forgeries import CANARY
from tests.conftest import skip_without

pytestmark = pytest.mark.docker

PAIRS = [(tier, case) for case in CASES for tier in TIERS if tier in case.tiers]


@pytest.fixture(scope="module")
def benches(request: pytest.FixtureRequest) -> Iterator[Benches]:
    """At work on the cases that were asked for, with something planted here that none may find."""
    os.environ["GASP_CANARY"] = CANARY
    asked = {
        item.callspec.params["case"].name
        for item in request.session.items
        if hasattr(item, "callspec") and isinstance(item.callspec.params.get("case"), Case)
    }
    opened = Benches(TIERS, [case for case in CASES if case.name in asked])
    yield opened
    opened.close()
    del os.environ["GASP_CANARY"]


def _seen(benches: Benches, tier: str, case: Case) -> Observation:
    if "syscall(" in case.program and platform.machine() != "x86_64":
        pytest.skip("the numbers are those of x86_64")
    try:
        offered = benches.hellos.get(tier, {"profiles": [case.profile]})["profiles"]
        if case.profile not in offered:
            raise SandboxError(f"the tier {tier} offers {offered}, not {case.profile}")
        return benches.seen(tier, case.name)
    except SandboxError as error:
        skip_without(f"the tier {tier}", error)
        raise


@pytest.mark.parametrize(
    ("tier", "case"), PAIRS, ids=lambda part: part if isinstance(part, str) else part.name
)
def test_case(tier: str, case: Case, benches: Benches) -> None:
    seen = _seen(benches, tier, case)
    assert seen.result is not None, f"the worker did not survive: {seen.lost}"
    _assert_ending(case, seen, landlock=benches.hellos[tier]["landlock"])
    _assert_nothing_left(seen)


def _assert_ending(case: Case, seen: Observation, *, landlock: int) -> None:
    result = seen.result
    assert result is not None
    reads_freely = case.files and not landlock
    assert result.status in (case.allowed | {Status.OK} if reads_freely else case.allowed), result
    if result.status is Status.OK:
        if case.profile != "stdin" and not reads_freely:
            assert values.equal(result.calls[0].value, case.value), result
        assert case.prints in (None, result.stdout)
    elif result.status is not Status.MEMORY_LIMIT:
        assert case.contains in result.error, result
    # The kernel counts ticks and we are not alone on the machine, hence the room.
    assert result.cpu_seconds < case.limits.cpu_seconds + 1.0
    assert result.memory_bytes < case.limits.memory_bytes + 2**24
    assert len(result.error) < 2**10


def _assert_nothing_left(seen: Observation) -> None:
    before, after = seen.before, seen.after
    assert after.found is not None, after.honest
    assert _differences(after.found, before.found or {}) == {}
    # Fewer may be: what a test before this one left to the garbage collector.
    assert after.descriptors <= before.descriptors
    assert [(one.pid, one.started, one.threads, one.descriptors) for one in after.processes] == [
        (one.pid, one.started, one.threads, one.descriptors) for one in before.processes
    ]


def _differences(found: dict[str, Any], before: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Differences that an honest program finds: by entry, the value now and before."""
    return {name: (value, before.get(name)) for name, value in found.items() if value != before.get(name)}


def test_names_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("tier", TIERS)
def test_what_is_compared_says_something(tier: str, benches: Benches) -> None:
    first, _ = _ends(benches, tier)
    root = os.getuid() == 0
    assert first.found is not None
    assert first.found["threads"] == (8 if root or tier != "landlock" else 65)
    if root and "DOCKER_HOST" not in os.environ:
        assert len(first.processes) >= 3
        assert all(process.descriptors > 0 for process in first.processes)


@pytest.mark.parametrize("tier", TIERS)
def test_the_worker_grows_no_further(tier: str, benches: Benches) -> None:
    first, last = _ends(benches, tier)
    for before, after in zip(first.processes, last.processes, strict=True):
        assert after.resident - before.resident < GROWTH


def _ends(benches: Benches, tier: str) -> tuple[State, State]:
    try:
        return benches.ends(tier)
    except SandboxError as error:
        skip_without(f"the tier {tier}", error)
        raise
