"""Good and hostile programs shuffled together: the good ones do to the byte what they do alone.

GASP_MIX says how many runs, 1000 by default; GASP_MIX_REPORT names a JSON file for the figures.
"""

from __future__ import annotations

import itertools
import json
import os
import platform
import random
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gasp_env.sandbox import Limits, Result, Run, Sandbox, SandboxError, Status
from sandbox_image.worker import codec
from tests.adversarial.cases import CASES
from tests.conftest import skip_without
from tests.sandbox.corpus import VALUES, WHOLE

pytestmark = [pytest.mark.docker, pytest.mark.slow]

SIZE = int(os.environ.get("GASP_MIX", "1000"))
#: Of ten runs so many are hostile.
HOSTILE = 3

# Limits that no honest program meets, however busy the machine.
_ROOMY = Limits(cpu_seconds=60, wall_seconds=600.0)
GOOD = [
    *(Run(program.text, program.inputs, limits=_ROOMY) for program in VALUES),
    *(Run(p.text, profile="stdin", stdin=text, limits=_ROOMY) for p in WHOLE for (text,) in p.inputs),
]


def _told_apart(run: Run, index: int) -> Run:
    """The same program in other words, so that it is executed however often it is asked for."""
    return replace(run, program=f"{run.program}\n# {index}\n")


def _outcome(result: Result) -> tuple[Any, ...]:
    """All of a result but what was measured."""
    calls = tuple(
        (call.status, codec.encode(call.value, keep_order=True), call.error) for call in result.calls
    )
    return result.status, calls, result.error, result.stdout, result.stderr, result.output_bytes


def test_good_programs_notice_nothing() -> None:
    chance = random.Random(3)
    hostile = [case for case in CASES if case.profile != "numpy" and "docker" in case.tiers]
    asked: list[tuple[Run, int | None]] = []  # and which of the good, if it is
    endless = itertools.cycle(hostile)
    for index in range(SIZE):
        if index % 10 < HOSTILE:
            asked.append((_told_apart(next(endless).run, index), None))
        else:
            asked.append((_told_apart(GOOD[index % len(GOOD)], index), index % len(GOOD)))
    chance.shuffle(asked)
    try:
        with Sandbox("docker", workers=1) as alone:
            solo = [_outcome(alone.run_many([_told_apart(run, 0)])[0]) for run in GOOD]
        with Sandbox("docker") as sandbox:
            started = time.monotonic()
            results = sandbox.run_many([run for run, _ in asked])
            seconds = time.monotonic() - started
            counted = {"runs": sandbox.runs, "deaths": sandbox.deaths, "retired": sandbox.retired}
    except SandboxError as error:
        skip_without("Docker", error)
    differ = {
        run.program: (_outcome(result), solo[which])
        for (run, which), result in zip(asked, results, strict=True)
        if which is not None and _outcome(result) != solo[which]
    }
    statuses = Counter(
        result.status for (_, which), result in zip(asked, results, strict=True) if which is None
    )
    _report(seconds, counted, len(differ), statuses)
    assert differ == {}
    assert not statuses.keys() & {Status.INFRA_ERROR, Status.WORKER_KILLED}
    assert (counted["deaths"], counted["retired"]) == (0, 0)
    # A program that is killed, and not for its time, is asked for twice more.
    assert SIZE <= counted["runs"] <= SIZE + 2 * statuses[Status.MEMORY_LIMIT]


def _report(seconds: float, counted: dict[str, int], differ: int, statuses: Counter[Status]) -> None:
    if "GASP_MIX_REPORT" not in os.environ:
        return
    figures = {
        "command": f"GASP_MIX={SIZE} GASP_MIX_REPORT=OUT.json python -m pytest tests/sandbox/test_mix.py",
        "asked": SIZE,
        "good": SIZE - statuses.total(),
        "good_that_differ_from_a_solo_run": differ,
        "hostile": statuses.total(),
        "hostile_endings": {str(status): count for status, count in sorted(statuses.items())},
        "executed": counted["runs"],
        "worker_deaths": counted["deaths"],
        "workers_retired": counted["retired"],
        "seconds": round(seconds, 1),
        "machine": {
            "processors": os.cpu_count(),
            "machine": platform.machine(),
            "kernel": platform.release(),
        },
    }
    Path(os.environ["GASP_MIX_REPORT"]).write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
