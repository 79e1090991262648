"""A worker seen from outside: its processes, their descriptors and memory."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Process:
    """A process of a worker.

    Attributes:
        pid, started: together they name it for ever.
        threads: how many it has.
        descriptors: how many it has open; -1 where we may not look.
        resident: bytes of memory.
    """

    pid: int
    started: int
    threads: int
    descriptors: int
    resident: int


def processes_of(user: int) -> list[Process]:
    """Return all processes of a user id, of any parents."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError):  # it has just ended
                process = Path("/proc", entry)
                status = process.joinpath("status").read_text()
                if f"\nUid:\t{user}\t" in status:
                    found.append(_look(process, int(entry)))
    return found


def own_descriptors() -> int:
    """Count the open descriptors of this process."""
    return len(os.listdir("/proc/self/fd"))


def _look(process: Path, pid: int) -> Process:
    # After the name, which is in parentheses, the third field comes first.
    stat = process.joinpath("stat").read_text().rpartition(")")[2].split()
    try:
        descriptors = len(os.listdir(process / "fd"))
    except PermissionError:
        descriptors = -1
    return Process(pid, int(stat[19]), int(stat[17]), descriptors, int(stat[21]) * _PAGE)
