"""What one call asks of the sandbox, and how its answers reach the caller.

A batch is made by the thread that asks and answered by the dispatcher's. What both may touch at once
is only handing out, which has a lock.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gasp_env.sandbox.runs import Result, Run, Status


@dataclass(eq=False, slots=True)
class Asked:
    """A distinct run of a batch, and what became of it.

    Attributes:
        batch: what it belongs to.
        payload: what the child reads, see `reports.payload`.
        positions: where in the batch's results the answer belongs.
        key: its name in the cache, None without one.
        deaths: workers that died when they were, as far as can be told, at work on it.
        kills: how often it was itself killed, and not at a limit on time.
        handed_out: the caller has its result; there is no taking it back.
        left_out: its result is that an earlier run of its series failed.
    """

    run: Run
    batch: Batch
    payload: bytes = b""
    positions: list[int] = field(default_factory=list)
    key: bytes | None = None
    result: Result | None = None
    deaths: int = 0
    kills: int = 0
    handed_out: bool = False
    left_out: bool = False

    @property
    def bytes(self) -> int:
        """How much there is to send."""
        return len(self.payload) + len(self.run.stdin)


@dataclass(eq=False, slots=True)
class _Series:
    """Runs of a batch that are tests of one program.

    Attributes:
        asked: all of them so far, in order.
        failed: those that were found to fail; if the answer was taken back since, they have no result.
    """

    asked: list[Asked] = field(default_factory=list)
    failed: list[Asked] = field(default_factory=list)


class Batch:
    """The runs of one call.

    The caller fills it while the dispatcher already works on it, so who may touch what is fixed: ``asked`` and
    ``size`` are the caller's, all else is the dispatcher's from the first `extend` on.

    Attributes:
        asked: its distinct runs.
        size: its runs, those that are equal counted each.
        submitted: the distinct runs handed to the dispatcher.
        todo: those of them no worker has been asked for.
        unanswered: how many of them have no result yet.
        abandoned: the caller is gone; results are of no interest any more.
    """

    def __init__(self, *, stream: bool = False, finished: Callable[[], None] | None = None) -> None:
        """Describe an empty batch.

        Args:
            stream: results are handed out one by one, see `completed`, rather than together.
            finished: called when the last result is there, by the dispatcher; must not block.
        """
        self.asked: list[Asked] = []
        self.size = 0
        self.submitted: list[Asked] = []
        self.todo: deque[Asked] = deque()
        self.unanswered = 0
        self.abandoned = False
        self._series: dict[str, _Series] = {}
        self._complete = False
        self._finished = finished
        self._done = threading.Event()
        self._lock = threading.Lock()
        self._stream: queue.SimpleQueue[Asked] | None = queue.SimpleQueue() if stream else None

    def add(self, asked: list[Asked]) -> list[Asked]:
        """Say what else is asked; returns what there is to do, and what is known to end a series. The caller's."""
        self.asked += asked
        if self._stream is not None:
            for one in asked:
                if one.result is not None:
                    self._stream.put(one)
        return [one for one in asked if one.result is None or (one.run.series and failed(one.result))]

    def extend(self, todo: list[Asked], *, last: bool) -> None:
        """Take on runs that need an answer, or have one that ends a series; and know when those were the last."""
        for one in todo:
            series = self._series.setdefault(one.run.series, _Series()) if one.run.series else None
            if series is not None:
                series.asked.append(one)
            if one.result is not None:
                assert series is not None
                series.failed.append(one)
                continue
            self.submitted.append(one)
            self.unanswered += 1
            if not self.leave_out(one):
                self.todo.append(one)
        self._complete = last
        self._check_finished()

    def answer(self, one: Asked, result: Result) -> bool:
        """Give a run its result; True if that leaves out others. The dispatcher's."""
        self._settle(one, result)
        if not one.run.series or not failed(result):
            return False
        series = self._series[one.run.series]
        series.failed.append(one)
        return bool([other for other in series.asked if other.result is None and self.leave_out(other)])

    def leave_out(self, one: Asked) -> bool:
        """Answer a run without execution if an earlier one of its series failed; else False. The dispatcher's."""
        series = self._series.get(one.run.series)
        for earlier in series.failed if series is not None else ():
            ended = earlier.result
            if ended is not None and failed(ended) and earlier.positions[0] < one.positions[0]:
                one.left_out = True
                error = f"not executed: an earlier run of its series ended with {ended.status}"
                self._settle(one, Result(ended.status, error=error))
                return True
        return False

    def left_out_after(self, one: Asked) -> list[Asked]:
        """What may have been left out because of a run. The dispatcher's."""
        series = self._series.get(one.run.series)
        asked = series.asked if series is not None else ()
        return [other for other in asked if other.left_out and other.positions[0] > one.positions[0]]

    def give_up(self, reason: str) -> None:
        """Answer what has no result yet with an ``infra_error``."""
        for one in self.submitted:
            if one.result is None:
                self.answer(one, infra_error(reason))

    def revoke(self, one: Asked) -> bool:
        """Take a result back, unless the caller has it: then False. The dispatcher's."""
        with self._lock:
            if one.handed_out or (self._stream is None and self._done.is_set()):
                return False
            one.result = None
            one.left_out = False
            self.unanswered += 1
            return True

    def wait(self) -> None:
        """Until every run has a result."""
        self._done.wait()

    def results(self) -> list[Result]:
        """All results, in the order asked for; when there is one for each."""
        results: list[Result | None] = [None] * self.size
        for one in self.asked:
            for position in one.positions:
                results[position] = one.result
        return [result or infra_error("a run was never answered") for result in results]

    def completed(self) -> Iterator[tuple[int, Result]]:
        """Positions and results of a streaming batch, as they come."""
        assert self._stream is not None
        left = self.size
        while left:
            one = self._stream.get()
            with self._lock:
                result = one.result
                if result is None or one.handed_out:  # taken back after it was queued
                    continue
                one.handed_out = True
            left -= len(one.positions)
            for position in one.positions:
                yield position, result

    def _settle(self, one: Asked, result: Result) -> None:
        one.result = result
        self.unanswered -= 1
        if self._stream is not None:
            self._stream.put(one)
        self._check_finished()

    def _check_finished(self) -> None:
        if self._complete and not self.unanswered:
            self._done.set()
            if self._finished is not None:
                self._finished()


def failed(result: Result) -> bool:
    """Whether the program failed, and not the sandbox."""
    return result.status not in (Status.OK, Status.INFRA_ERROR)


def infra_error(reason: str) -> Result:
    """The answer to a run that the sandbox could not execute; never a score."""
    return Result(Status.INFRA_ERROR, error=f"the sandbox failed: {reason}")
