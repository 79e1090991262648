"""``--profile``: what a run in the docker tier spends its time on.

Two tables. The first: processor time a run, by process, while the docker tier is kept busy: the
forks by what the kernel says when they end, the others by their own accounts. The second: the price
of each protection in a bare zygote (the floor, one dispatcher, nothing else around), by switching
on one at a time and all together, all of them in turn, so that a busy machine hits all alike.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.contenders import PROTECTIONS
from benchmarks.sandbox.measure import Contender, throughput
from benchmarks.sandbox.ours import Floor, Tier
from benchmarks.sandbox.programs import Job
from gasp_env.sandbox import Run

#: What processes are called in the table, by what their command line holds.
_KINDS = (
    ("zygote", b"sandbox_image.worker.zygote"),
    ("supervisor", b"sandbox_image.worker.supervisor"),
    ("docker", b"containerd"),
    ("docker", b"dockerd"),
)


def profile(
    jobs: Sequence[Job], *, tier: str, workers: int, rounds: int, python: str
) -> dict[str, dict[str, Any]]:
    """Both tables, in microseconds a run."""
    return {
        "cpu_us_by_process": by_process(jobs, tier=tier, workers=workers, rounds=rounds),
        "protections_us": protections(jobs, rounds=rounds, python=python),
    }


def by_process(jobs: Sequence[Job], *, tier: str, workers: int, rounds: int) -> dict[str, Any]:
    """Processor time a run; ``wall`` is the time a run takes from this machine, all processors together."""
    sandbox = Tier(tier, workers)
    sandbox.open()
    samples: list[dict[str, float]] = []
    try:
        sandbox.verify(jobs)
        for _ in range(rounds):
            before, started = _accounts(), time.perf_counter()
            results = sandbox.sandbox.run_many(Run(job.program, (job.arguments,)) for job in jobs)
            seconds, after = time.perf_counter() - started, _accounts()
            spent = {
                kind: 1e6 * (after[kind] - before.get(kind, 0.0)) / len(jobs)
                for kind in after
                if kind != "others"
            }
            spent["children"] = 1e6 * sum(result.cpu_seconds for result in results) / len(jobs)
            spent["wall"] = 1e6 * seconds * min(workers, os.cpu_count() or 1) / len(jobs)
            samples.append(spent)
    finally:
        sandbox.close()
    names = ("children", "zygote", "supervisor", "host", "docker", "wall")
    return {name: round(statistics.median(sample.get(name, 0.0) for sample in samples)) for name in names}


def protections(jobs: Sequence[Job], *, rounds: int, python: str) -> dict[str, Any]:
    """Wall time of a run in a bare zygote, and what each protection adds to it."""
    variants: dict[str, dict[str, bool]] = {"nothing": {}}
    variants |= {name: {name: True} for name in PROTECTIONS}
    variants["all"] = dict.fromkeys(PROTECTIONS, True)
    chosen = jobs[: max(1, len(jobs) // 4)]
    floors: dict[str, Contender] = {
        name: Floor(1, chosen, python=python, **options) for name, options in variants.items()
    }
    opened: list[Contender] = []
    try:
        for floor in floors.values():
            floor.open()
            opened.append(floor)
        figures = throughput(floors, dict.fromkeys(floors, chosen), 2 * rounds)
    finally:
        for floor in opened:
            floor.close()
    bare = figures["nothing"].rates
    table: dict[str, Any] = {"nothing": round(1e6 / statistics.median(bare))}
    for name in (*PROTECTIONS, "all"):
        added = [1e6 / one - 1e6 / other for one, other in zip(figures[name].rates, bare, strict=True)]
        table[name] = round(statistics.median(added))
    return table


def _accounts() -> dict[str, float]:
    """Seconds of processor time so far by kind of process, this one being the host."""
    totals: dict[str, float] = {}
    for path in Path("/proc").iterdir():
        if not path.name.isdigit():
            continue
        try:
            kind = "host" if int(path.name) == os.getpid() else _kind((path / "cmdline").read_bytes())
            spent = sum(
                int((task / "schedstat").read_text().split()[0]) for task in (path / "task").iterdir()
            )
        except OSError:
            continue
        totals[kind] = totals.get(kind, 0.0) + spent / 1e9
    return totals


def _kind(command: bytes) -> str:
    return next((kind for kind, part in _KINDS if part in command), "others")
