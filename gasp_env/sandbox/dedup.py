"""From the runs of a call to what has to be executed: each distinct one once, unless its answer is known."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from gasp_env.sandbox import cache as caching
from gasp_env.sandbox import frames as reports
from gasp_env.sandbox.cache import Cache
from gasp_env.sandbox.dispatch.batch import Asked, Batch
from gasp_env.sandbox.dispatch.dispatcher import Dispatcher
from gasp_env.sandbox.errors import SandboxError
from gasp_env.sandbox.runs import Result, Run, Status


class Distinct:
    """Tells which runs of a batch differ, as they are looked at in order."""

    def __init__(self, batch: Batch, *, dedupe: bool) -> None:
        """Start with the first run of a batch; without ``dedupe`` all runs count as different."""
        self._batch = batch
        self._dedupe = dedupe
        self._known: dict[Any, Asked] = {}
        self._series: dict[str, tuple[Any, int]] = {}  # the first run of each, and how often it was asked
        self._position = 0

    def of(self, runs: list[Run]) -> list[Asked]:
        """Those of the next runs that were not asked before, encoded.

        Raises:
            Unserializable: an input is no exact built-in value.
        """
        new = []
        for position, run in enumerate(runs, self._position):
            if len(run.program) > reports.MAX_PROGRAM:
                error = f"the program has {len(run.program)} characters, at most {reports.MAX_PROGRAM} are allowed"
                result = Result(Status.COMPILE_ERROR, error=error)
                new.append(Asked(run, self._batch, positions=[position], result=result))
                continue
            payload = reports.payload(run)
            # Runs may be equal and yet differ: True == 1. Payloads that are equal do not.
            name = (payload, run.hash_seed, run.limits, run.profile, run.stdin, run.series)
            one = self._known.get(name)
            if one is None:
                one = Asked(run if self._dedupe else self._repeated(name, run), self._batch, payload)
                if self._dedupe:
                    self._known[name] = one
                new.append(one)
            one.positions.append(position)
        self._position += len(runs)
        return new

    def _repeated(self, name: Any, run: Run) -> Run:
        """A run that is executed however often it is asked: its series begins anew where its first run comes again."""
        if not run.series:
            return run
        first, times = self._series.get(run.series, (name, 0))
        self._series[run.series] = first, times + (first == name)
        return replace(run, series=f"{run.series} {self._series[run.series][1]}")


def check_profiles(profiles: set[str], dispatcher: Dispatcher) -> None:
    """Refuse runs that none of the workers can execute, before any is executed.

    Raises:
        SandboxError: the workers lack a profile; the message says what to do.
    """
    lacking = sorted(profiles - set(dispatcher.hello.get("profiles", ("value",))))
    if not lacking:
        return
    fix = ""
    if "numpy" in lacking and dispatcher.tier == "docker":
        fix = (
            ": build the image where pip reaches a registry, or on a base that has numpy "
            "(`python -m gasp_env.sandbox build --force [--base IMAGE]`)"
        )
    elif "numpy" in lacking:
        fix = (
            ": install numpy for the Python its workers run on (`python -m gasp_env.sandbox doctor` names it)"
        )
    raise SandboxError(
        f"the {dispatcher.tier} sandbox has no profile {', '.join(lacking)}, which a run asks for{fix}"
    )


def look_up(missing: list[Asked], cache: Cache, dispatcher: Dispatcher) -> int:
    """Answer from the cache what it knows; returns how many."""
    for one in missing:
        one.key = caching.key(one.run, one.payload, dispatcher.tier, dispatcher.identity)
    frames = cache.get(one.key for one in missing if one.key is not None)
    hits = 0
    for one in missing:
        frame = frames.get(one.key or b"")
        if frame is not None:
            with contextlib.suppress(Exception):  # a row that cannot be decoded is a miss
                one.result = reports.result(frame, one.run, dispatcher.tier)
                hits += 1
    return hits
