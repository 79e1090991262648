"""Deduplication: of the runs of a call, execute each distinct one once, unless the cache has its answer."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Any

from gasp_env.sandbox import frames
from gasp_env.sandbox.cache import Cache, cache_key
from gasp_env.sandbox.dispatch.batch import Batch, BatchRun
from gasp_env.sandbox.dispatch.dispatcher import Dispatcher
from gasp_env.sandbox.errors import SandboxError
from gasp_env.sandbox.runs import Result, Run, Status
from gasp_env.sandbox.tiers import TIERS


class Deduplicator:
    """Finds the distinct runs of a batch, given in order and in pieces."""

    def __init__(self, batch: Batch, *, dedupe: bool) -> None:
        """Start with the first run of a batch; without ``dedupe`` all runs count as distinct."""
        self._batch = batch
        self._dedupe = dedupe
        self._known: dict[Any, BatchRun] = {}
        self._series: dict[str, tuple[Any, int]] = {}  # first run of each series, and how often it came
        self._position = 0

    def encode_distinct(self, runs: list[Run]) -> list[BatchRun]:
        """Encode the next runs; return those that did not occur before.

        Raises:
            Unserializable: an input is not made of exact built-in values.
        """
        distinct = []
        for position, run in enumerate(runs, self._position):
            if len(run.program) > frames.MAX_PROGRAM:
                error = (
                    f"the program has {len(run.program)} characters, at most {frames.MAX_PROGRAM} are allowed"
                )
                result = Result(Status.COMPILE_ERROR, error=error)
                distinct.append(BatchRun(run, self._batch, positions=[position], result=result))
                continue
            payload = frames.encode_payload(run)
            # Runs with different values may compare equal (True == 1); their payloads do not.
            name = (payload, run.hash_seed, run.limits, run.profile, run.stdin, run.series)
            item = self._known.get(name)
            if item is None:
                item = BatchRun(run if self._dedupe else self._number_series(name, run), self._batch, payload)
                if self._dedupe:
                    self._known[name] = item
                distinct.append(item)
            item.positions.append(position)
        self._position += len(runs)
        return distinct

    def _number_series(self, name: Any, run: Run) -> Run:
        """Without deduplication: start a new series whenever the first run of a series comes again."""
        if not run.series:
            return run
        first, times = self._series.get(run.series, (name, 0))
        self._series[run.series] = first, times + (first == name)
        return replace(run, series=f"{run.series} {self._series[run.series][1]}")


def check_profiles(profiles: set[str], dispatcher: Dispatcher) -> None:
    """Refuse runs with a profile that the workers do not have, before any run is executed.

    Raises:
        SandboxError: the workers lack a profile; the message names the fix.
    """
    lacking = sorted(profiles - set(dispatcher.hello.get("profiles", ("value",))))
    if not lacking:
        return
    advice = TIERS[dispatcher.tier].fixes
    fixes = [advice[profile] for profile in lacking if profile in advice]
    fix = f": {'; '.join(fixes)}" if fixes else ""
    raise SandboxError(
        f"the {dispatcher.tier} sandbox has no profile {', '.join(lacking)}, which a run asks for{fix}"
    )


def fill_from_cache(items: list[BatchRun], cache: Cache, dispatcher: Dispatcher) -> int:
    """Set the results that the cache has; return their number."""
    for item in items:
        item.key = cache_key(item.run, item.payload, dispatcher.tier, dispatcher.identity)
    stored = cache.get(item.key for item in items if item.key is not None)
    hits = 0
    for item in items:
        frame = stored.get(item.key or b"")
        if frame is not None:
            with contextlib.suppress(Exception):  # a row that cannot be decoded is a miss
                item.result = frames.decode_result(frame, item.run, dispatcher.tier)
                hits += 1
    return hits
