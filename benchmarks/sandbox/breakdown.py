"""``--profile``: the parts of the time that a run in the docker tier takes.

Two tables. The first: processor time a run, by process, while the docker tier is kept busy, and the
same of the floor. The second: the price of each protection in a bare zygote (a floor with one
dispatcher, nothing else around), by switching on one at a time and all together, all in turn.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.contenders import PROTECTIONS
from benchmarks.sandbox.measure import Contender, demand, throughput
from benchmarks.sandbox.ours import Floor, Tier
from benchmarks.sandbox.programs import Job


def profile(
    jobs: Sequence[Job], *, tier: str, workers: int, rounds: int, python: str
) -> dict[str, dict[str, Any]]:
    """Both tables, in microseconds a run."""
    return {
        "cpu_us_by_process": by_process(jobs, tier=tier, workers=workers, rounds=rounds, python=python),
        "protections_us": protections(jobs, rounds=rounds, python=python),
    }


def by_process(
    jobs: Sequence[Job], *, tier: str, workers: int, rounds: int, python: str
) -> dict[str, dict[str, int]]:
    """Processor time a run by process, of the tier and of the floor beneath it.

    ``children`` are the forks, ``host`` is this process; ``wall`` is the time a run takes from the machine, all
    processors together, and so includes unused time.
    """
    ours, floor = Tier(tier, workers), Floor(workers, jobs, python=python)
    samples: dict[str, list[dict[str, float]]] = {tier: [], "floor": []}
    with contextlib.ExitStack() as stack:
        for contender in (ours, floor):
            stack.callback(contender.close)
            contender.open()
            demand(contender.name, contender.verify(jobs), len(jobs))
        for _ in range(rounds):
            for contender in (ours, floor):
                before, started = contender.by_kind(), time.perf_counter()
                demand(contender.name, contender.verify(jobs), len(jobs))
                seconds, after = time.perf_counter() - started, contender.by_kind()
                used = {kind: after[kind] - before[kind] for kind in after}
                used |= {"sum": sum(used.values()), "wall": seconds * min(workers, os.cpu_count() or 1)}
                samples[contender.name].append(
                    {kind: 1e6 * value / len(jobs) for kind, value in used.items()}
                )
    return {
        name: {kind: round(statistics.median(one[kind] for one in found)) for kind in found[0]}
        for name, found in samples.items()
    }


def protections(jobs: Sequence[Job], *, rounds: int, python: str) -> dict[str, Any]:
    """Processor time of a run in a bare zygote, and the addition of each protection."""
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
    bare = figures["nothing"].cpu_ms
    table: dict[str, Any] = {"nothing": round(1000 * statistics.median(bare))}
    for name in (*PROTECTIONS, "all"):
        added = [one - other for one, other in zip(figures[name].cpu_ms, bare, strict=True)]
        table[name] = round(1000 * statistics.median(added))
    return table
