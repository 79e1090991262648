"""Batches: the runs of one call to the sandbox, and the way of their results to the caller.

The caller's thread makes and fills a batch, the dispatcher's thread answers it. Both may touch the delivery of a
result at the same time, so that alone has a lock.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gasp_env.sandbox.runs import Result, Run, Status


@dataclass(eq=False, slots=True)
class BatchRun:
    """A distinct run of a batch, and its result.

    Attributes:
        batch: the batch it belongs to.
        payload: the bytes that the child reads, see `frames.encode_payload`.
        positions: positions in the batch's results that this run answers.
        key: its key in the cache; None without a cache.
        deaths: workers that died while they were probably executing it.
        times_killed: how often it was killed itself, other than at a limit on time.
        delivered: the caller has its result, which can no longer be revoked.
        skipped: its result says that an earlier run of its series failed.
    """

    run: Run
    batch: Batch
    payload: bytes = b""
    positions: list[int] = field(default_factory=list)
    key: bytes | None = None
    result: Result | None = None
    deaths: int = 0
    times_killed: int = 0
    delivered: bool = False
    skipped: bool = False

    @property
    def bytes(self) -> int:
        """Bytes to send to a worker."""
        return len(self.payload) + len(self.run.stdin)


@dataclass(eq=False, slots=True)
class _Series:
    """Runs of a batch that are tests of one program.

    Attributes:
        members: all of them so far, in order.
        failures: those that were found to fail. A failure that was revoked has no result at present.
    """

    members: list[BatchRun] = field(default_factory=list)
    failures: list[BatchRun] = field(default_factory=list)


class Batch:
    """The runs of one call.

    The caller fills it while the dispatcher already works on it, so each field has one owner: ``distinct`` and
    ``size`` belong to the caller, everything else to the dispatcher from the first `extend` on.

    Attributes:
        distinct: its distinct runs.
        size: number of its runs, counting equal ones.
        submitted: the distinct runs handed to the dispatcher.
        todo: those of them that no worker has been given.
        unanswered: number of submitted runs without a result.
        abandoned: the caller has gone; results are not needed any more.
    """

    def __init__(self, *, stream: bool = False, finished: Callable[[], None] | None = None) -> None:
        """Make an empty batch.

        Args:
            stream: deliver results one by one, see `completed`, rather than together.
            finished: called by the dispatcher when the last result is there; must not block.
        """
        self.distinct: list[BatchRun] = []
        self.size = 0
        self.submitted: list[BatchRun] = []
        self.todo: deque[BatchRun] = deque()
        self.unanswered = 0
        self.abandoned = False
        self._series: dict[str, _Series] = {}
        self._complete = False
        self._finished = finished
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._stream: queue.SimpleQueue[BatchRun] | None = queue.SimpleQueue() if stream else None

    def add(self, items: list[BatchRun]) -> list[BatchRun]:
        """Add runs; return those to submit: without a result, or with one that ends a series. Caller's thread."""
        self.distinct += items
        if self._stream is not None:
            for item in items:
                if item.result is not None:
                    self._stream.put(item)
        return [
            item
            for item in items
            if item.result is None or (item.run.series and failed(item.run, item.result))
        ]

    def extend(self, items: list[BatchRun], *, last: bool) -> None:
        """Accept submitted runs; ``last`` says that no more will come. Dispatcher's thread."""
        for item in items:
            series = self._series.setdefault(item.run.series, _Series()) if item.run.series else None
            if series is not None:
                series.members.append(item)
            if item.result is not None:
                assert series is not None
                series.failures.append(item)
                continue
            self.submitted.append(item)
            self.unanswered += 1
            if not self.skip_after_failure(item):
                self.todo.append(item)
        self._complete = last
        self._check_finished()

    def answer(self, item: BatchRun, result: Result) -> bool:
        """Give a run its result; True if other runs are skipped because of it. Dispatcher's thread."""
        self._set_result(item, result)
        if not item.run.series or not failed(item.run, result):
            return False
        series = self._series[item.run.series]
        series.failures.append(item)
        unanswered = [other for other in series.members if other.result is None]
        return bool([other for other in unanswered if self.skip_after_failure(other)])

    def skip_after_failure(self, item: BatchRun) -> bool:
        """Answer a run without execution if an earlier one of its series failed, else False. Dispatcher's thread."""
        series = self._series.get(item.run.series)
        for earlier in series.failures if series is not None else ():
            failure = earlier.result
            if failure is None or not failed(earlier.run, failure):
                continue
            if earlier.positions[0] < item.positions[0]:
                item.skipped = True
                error = f"not executed: an earlier run of its series ended with {failure.status}"
                self._set_result(item, Result(failure.status, error=error))
                return True
        return False

    def skipped_after(self, item: BatchRun) -> list[BatchRun]:
        """Return the runs that may have been skipped because this one failed. Dispatcher's thread."""
        series = self._series.get(item.run.series)
        members = series.members if series is not None else ()
        return [other for other in members if other.skipped and other.positions[0] > item.positions[0]]

    def give_up(self, reason: str) -> None:
        """Answer every run without a result with an ``infra_error``."""
        for item in self.submitted:
            if item.result is None:
                self.answer(item, infra_error(reason))

    def revoke(self, item: BatchRun) -> bool:
        """Take a result back; False if the caller has it already. Dispatcher's thread."""
        with self._lock:
            if item.delivered or (self._stream is None and self._done.is_set()):
                return False
            item.result = None
            item.skipped = False
            self.unanswered += 1
            return True

    def wait(self) -> None:
        """Wait until every run has a result."""
        self._done.wait()

    def results(self) -> list[Result]:
        """Return all results in the order of the call, once every run has one."""
        results: list[Result | None] = [None] * self.size
        for item in self.distinct:
            for position in item.positions:
                results[position] = item.result
        return [result or infra_error("a run was never answered") for result in results]

    def completed(self) -> Iterator[tuple[int, Result]]:
        """Yield positions and results of a streaming batch as they come."""
        assert self._stream is not None
        left = self.size
        while left:
            item = self._stream.get()
            with self._lock:
                result = item.result
                if result is None or item.delivered:  # revoked after it was queued
                    continue
                item.delivered = True
            left -= len(item.positions)
            for position in item.positions:
                yield position, result

    def _set_result(self, item: BatchRun, result: Result) -> None:
        item.result = result
        self.unanswered -= 1
        if self._stream is not None:
            self._stream.put(item)
        self._check_finished()

    def _check_finished(self) -> None:
        if self._complete and not self.unanswered:
            self._done.set()
            if self._finished is not None:
                self._finished()


def failed(run: Run, result: Result) -> bool:
    """True if the program failed, and not the sandbox, in a way that ends its series."""
    if result.status in (Status.OK, Status.INFRA_ERROR):
        return False
    raised = result.status in (Status.EXCEPTION, Status.UNSERIALIZABLE) and len(result.calls) == len(
        run.inputs
    )
    return not (raised and run.may_raise)


def infra_error(reason: str) -> Result:
    """Return the answer to a run that the sandbox could not execute. It is never a score."""
    return Result(Status.INFRA_ERROR, error=f"the sandbox failed: {reason}")
