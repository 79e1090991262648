"""Processor time by process: the processes of a sandbox's workers, from /proc.

Forks are not found here, because they end too soon; the worker reports their time.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from gasp_env.sandbox import Sandbox

KINDS = (("zygote", b"sandbox_image.worker.zygote"), ("supervisor", b"sandbox_image.worker.supervisor"))


def spent(pid: int) -> float:
    """Seconds of processor time that a process has used so far; 0 once it has ended."""
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9
    except OSError:
        return 0.0


def tree(pid: int) -> Iterator[int]:
    """Yield a process and all below it that exist now."""
    yield pid
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return
    for child in children:
        yield from tree(child)


def parent(pid: int) -> int:
    """Return the process that started this one, 0 if it has ended."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


class Workers:
    """The processes of a sandbox's workers."""

    def __init__(self, sandbox: Sandbox) -> None:
        """Look at nothing yet."""
        self._sandbox = sandbox
        self._heads: dict[int, tuple[Any, int]] = {}

    def heads(self) -> list[int]:
        """Return the first process of each worker."""
        found = []
        for worker in self._sandbox._workers():
            known, pid = self._heads.get(id(worker), (None, 0))
            if known is not worker:
                pid = _first_process(worker)
                self._heads[id(worker)] = worker, pid
            found.append(pid)
        return [pid for pid in found if pid]

    def by_kind(self) -> dict[str, float]:
        """Seconds of processor time so far; ``other`` are wrappers, and ``docker`` the containers' shims."""
        totals = {"zygote": 0.0, "supervisor": 0.0, "other": 0.0, "docker": 0.0}
        for head in self.heads():
            for pid in tree(head):
                totals[_kind(pid)] += spent(pid)
            above = parent(head)
            if above not in (0, 1, os.getpid()):
                totals["docker"] += spent(above)
        return totals

    def pids(self) -> Iterable[int]:
        """Return all of them."""
        return [pid for head in self.heads() for pid in tree(head)]


def _first_process(worker: Any) -> int:
    container, process = getattr(worker, "_container", None), getattr(worker, "_process", None)
    if container is not None:
        container.reload()
        return int(container.attrs["State"]["Pid"])
    return int(process.pid) if process is not None else 0


def _kind(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return "other"
    return next((kind for kind, part in KINDS if part in command), "other")
