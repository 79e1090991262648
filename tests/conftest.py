"""Shared fixtures."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from gasp_env.curricula import CURRICULA
from gasp_env.relevance.registry import RELEVANCES
from gasp_env.rewards.registry import SOLVER_REWARDS, TEACHER_REWARDS
from gasp_env.sandbox import Run, Sandbox, SandboxError, shared
from gasp_env.sandbox.tiers import AUTO
from tests import fuzz

fuzz.load_profile()

# What is started in the background ignores SIGINT and so do its children; tests send it to themselves and to theirs.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def skip_without(what: str, error: SandboxError) -> None:
    """Skip the test that needs ``what``, or fail it where GASP_REQUIRE_DOCKER=1 says that nothing may be missing."""
    if os.environ.get("GASP_REQUIRE_DOCKER") == "1":
        raise error
    pytest.skip(f"needs {what}: {error}")


def need_numpy(sandbox: Sandbox) -> None:
    """Skip the test, or fail it, if the sandbox offers no profile ``numpy``."""
    try:
        sandbox.run_many([Run("def f(): return 1", ((),), profile="numpy")])
    except SandboxError as error:
        skip_without("numpy", error)


@pytest.fixture(autouse=True)
def registries_as_they_were() -> Iterator[None]:
    """What a test registers, itself or by what it imports, is gone after it."""
    with TEACHER_REWARDS.isolated(), SOLVER_REWARDS.isolated(), RELEVANCES.isolated(), CURRICULA.isolated():
        yield


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """The Docker sandbox, opened once a session; the tests that need it are skipped where there is none.

    GASP_REQUIRE_DOCKER=1 turns the skip into a failure. It is the one that ``auto`` finds, which is also what
    the code under test opens by itself.
    """
    opened = shared(tier="auto")
    try:
        opened.open()
        if opened.tier != "docker":
            raise SandboxError(f"auto opened {opened.tier}")
    except SandboxError as error:
        skip_without("Docker", error)
    return opened


@pytest.fixture(scope="session", params=AUTO)
def tier_sandbox(request: pytest.FixtureRequest) -> Iterator[Sandbox]:
    """Each tier in turn, with two workers, opened once a session; skipped or failed like ``sandbox``."""
    opened = Sandbox(request.param, workers=2)
    try:
        opened.open()
    except SandboxError as error:
        opened.close()
        skip_without(f"the tier {request.param}", error)
    yield opened
    opened.close()
