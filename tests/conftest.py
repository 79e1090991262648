"""Shared fixtures."""

from __future__ import annotations

import os

import pytest

from gasp_env.sandbox import Sandbox, SandboxError, shared


@pytest.fixture(scope="session")
def sandbox() -> Sandbox:
    """The Docker sandbox, opened once a session; the tests that need it are skipped where there is none.

    GASP_REQUIRE_DOCKER=1 turns the skip into a failure.
    """
    opened = shared(tier="auto")
    try:
        opened.open()
    except SandboxError as error:
        if os.environ.get("GASP_REQUIRE_DOCKER") == "1":
            raise
        pytest.skip(f"needs Docker: {error}")
    return opened
