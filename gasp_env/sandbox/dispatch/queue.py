"""Queue of batches: the order in which runs are executed, and the runs suspected of killing workers."""

from __future__ import annotations

from collections import deque

from gasp_env.sandbox.dispatch.batch import Batch, BatchRun
from gasp_env.sandbox.runs import Result, Status

#: Deaths of workers with a run in flight, after which the run is executed alone.
SUSPICIOUS_DEATHS = 2


class BatchQueue:
    """Batches with unanswered runs. Used by the dispatcher's thread alone.

    Attributes:
        suspects: runs in flight at `SUSPICIOUS_DEATHS` deaths, to be executed alone.
        unconfirmed_kills: runs that were alone in a sound worker when it died, each with the worker's last words.
            They are to blame as soon as another worker proves sound; until then the machine may be.
        skipped_in_flight: set when runs are skipped that a worker may have been given; the dispatcher resets it.
    """

    def __init__(self) -> None:
        """Make an empty queue."""
        self.suspects: deque[BatchRun] = deque()
        self.unconfirmed_kills: list[tuple[BatchRun, str]] = []
        self.skipped_in_flight = False
        self._batches: set[Batch] = set()
        self._turns: deque[Batch] = deque()  # batches with runs to do, in the order of their turns

    def __bool__(self) -> bool:
        """True if a caller waits for an answer."""
        return bool(self._batches)

    def add(self, batch: Batch, items: list[BatchRun], *, last: bool) -> None:
        """Accept runs of a batch."""
        batch.extend(items, last=last)
        if batch.todo and not batch.abandoned:
            self._batches.add(batch)
            if batch not in self._turns:
                self._turns.append(batch)

    def drop(self, batch: Batch) -> None:
        """Forget a batch that was abandoned."""
        batch.todo.clear()
        self._batches.discard(batch)
        self.suspects = deque(item for item in self.suspects if item.batch is not batch)
        self.unconfirmed_kills = [pair for pair in self.unconfirmed_kills if pair[0].batch is not batch]

    def pop(self) -> BatchRun | None:
        """Take the next run to execute, from every batch in turn; None if there is none."""
        while self._turns:
            batch = self._turns[0]
            while batch.todo:
                item = batch.todo.popleft()
                if item.result is None:
                    self._turns.rotate(-1)
                    return item
            self._turns.popleft()
        return None

    def requeue(self, item: BatchRun) -> None:
        """Queue a run again after its worker was lost, unless its caller has gone."""
        if item.result is not None or item.batch.abandoned:
            return
        if item.batch.skip_after_failure(item):
            return self._forget_if_answered(item.batch)
        if item.deaths >= SUSPICIOUS_DEATHS:
            self.suspects.append(item)
            return
        item.batch.todo.appendleft(item)
        if item.batch not in self._turns:
            self._turns.append(item.batch)

    def answer(self, item: BatchRun, result: Result) -> None:
        """Give a run its result."""
        if item.batch.answer(item, result):
            self.suspects = deque(suspect for suspect in self.suspects if suspect.result is None)
            self.unconfirmed_kills = [pair for pair in self.unconfirmed_kills if pair[0].result is None]
            self.skipped_in_flight = True
        self._forget_if_answered(item.batch)

    def revoke(self, item: BatchRun) -> bool:
        """Take a result back and queue the run again; False if the caller has it already."""
        batch = item.batch
        # A caller must not get a run as skipped, and then another result of the failure it was skipped for.
        skipped = batch.skipped_after(item)
        again = [other for other in skipped if batch.revoke(other)]
        revoked = len(again) == len(skipped) and batch.revoke(item)
        if revoked:
            again.insert(0, item)
        if again:
            self._batches.add(batch)
        for other in reversed(again):
            if other not in batch.todo:
                self.requeue(other)
        return revoked

    def confirm_kills(self) -> None:
        """Blame the unconfirmed kills on their runs: another worker has just proved sound."""
        kills, self.unconfirmed_kills = self.unconfirmed_kills, []
        for item, last_words in kills:
            if item.result is None:  # an earlier one may have made it skipped
                error = f"ended every worker it ran in, the last one alone: {last_words}"
                self.answer(item, Result(Status.WORKER_KILLED, error=error))

    def give_up(self, reason: str) -> None:
        """Answer every run that is left with an ``infra_error``."""
        for batch in self._batches:
            batch.give_up(reason)
        self._batches.clear()
        self._turns.clear()
        self.suspects.clear()
        self.unconfirmed_kills.clear()

    def _forget_if_answered(self, batch: Batch) -> None:
        if not batch.unanswered:  # its caller may still add to it, and then it comes back
            self._batches.discard(batch)
