"""The parts of building the image that need no engine."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from gasp_env.sandbox import SandboxError, build


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the lock file goes, in a temporary folder of this test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"gasp-env-build-{os.getuid()}.lock"


def test_the_lock_follows_no_link(lock: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("data")
    lock.symlink_to(precious)
    with (
        pytest.raises(SandboxError, match=r"gasp-env-build.*\.lock .*remove it"),
        build._one_build_at_a_time(),
    ):
        raise AssertionError("must not get here")
    assert precious.read_text() == "data"


def test_the_lock_is_ours_alone_and_can_be_taken_again(lock: Path) -> None:
    for _ in range(2):
        with build._one_build_at_a_time():
            assert lock.stat().st_mode & 0o777 == 0o600
