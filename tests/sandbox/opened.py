"""Workers for tests: open one in a tier, or skip the test if the tier does not work on this machine."""

from __future__ import annotations

import os
import select
from pathlib import Path

import pytest

from gasp_env.sandbox import Result, Run, SandboxError, frames
from gasp_env.sandbox.tiers import AUTO, open_worker
from gasp_env.sandbox.tiers.worker import Settings, Worker

#: The tiers that every test of isolation runs on.
TIERS = AUTO


def opened(tier: str, settings: Settings | None = None) -> Worker:
    """A worker; GASP_REQUIRE_DOCKER=1 turns the skip into a failure."""
    try:
        return open_worker(tier, settings or Settings())
    except SandboxError as error:
        if os.environ.get("GASP_REQUIRE_DOCKER") == "1":
            raise
        pytest.skip(f"needs the tier {tier}: {error}")


def ask(worker: Worker, run: Run) -> Result:
    """Execute one run in an idle worker."""
    unsent = memoryview(frames.run_frame(1, run, frames.encode_payload(run)))
    while True:
        select.select([worker], [worker] if unsent else [], [], 1.0)
        unsent = unsent[worker.send(unsent) :] if unsent else unsent
        for frame in worker.receive():
            return frames.decode_result(frame, run, worker.tier)


def family(pid: int) -> list[int]:
    """Return a process and all processes below it."""
    found = [pid]
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += family(int(child))
    return found


def alive(pid: int) -> bool:
    """True if a process exists and has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
