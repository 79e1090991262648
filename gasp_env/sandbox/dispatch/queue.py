"""What is still to be asked, in which order, and of which runs it is suspected that they kill."""

from __future__ import annotations

from collections import deque

from gasp_env.sandbox.dispatch.batch import Asked, Batch
from gasp_env.sandbox.runs import Result, Status

#: Deaths in flight after which a run is asked alone.
SUSPICIOUS_DEATHS = 2


class BatchQueue:
    """Batches that are not answered yet. The dispatcher's alone.

    Attributes:
        suspects: runs that were in flight at `SUSPICIOUS_DEATHS`: to be asked alone.
        condemned: runs that were alone in a sound worker when it died, and its last words. They are guilty as soon
            as another worker is seen to be sound; else the machine may be to blame.
        unwanted: runs that some worker may have been asked for were left out since this was last set to False.
    """

    def __init__(self) -> None:
        """Nothing is asked."""
        self.suspects: deque[Asked] = deque()
        self.condemned: list[tuple[Asked, str]] = []
        self.unwanted = False
        self._batches: set[Batch] = set()
        self._queue: deque[Batch] = deque()  # those with something to do, in turns

    def __bool__(self) -> bool:
        """Somebody waits for an answer."""
        return bool(self._batches)

    def add(self, batch: Batch, todo: list[Asked], *, last: bool) -> None:
        """Take on runs of a batch."""
        batch.extend(todo, last=last)
        if batch.todo and not batch.abandoned:
            self._batches.add(batch)
            if batch not in self._queue:
                self._queue.append(batch)

    def drop(self, batch: Batch) -> None:
        """Forget a batch that was abandoned."""
        batch.todo.clear()
        self._batches.discard(batch)
        self.suspects = deque(one for one in self.suspects if one.batch is not batch)
        self.condemned = [one for one in self.condemned if one[0].batch is not batch]

    def next(self) -> Asked | None:
        """What to ask next: one of every batch in turn."""
        while self._queue:
            batch = self._queue[0]
            while batch.todo:
                one = batch.todo.popleft()
                if one.result is None:
                    self._queue.rotate(-1)
                    return one
            self._queue.popleft()
        return None

    def return_unasked(self, one: Asked) -> None:
        """A run nobody is at work on any more has to be asked again, unless nobody waits for it."""
        if one.result is not None or one.batch.abandoned:
            return
        if one.batch.leave_out(one):
            return self._forget_if_answered(one.batch)
        if one.deaths >= SUSPICIOUS_DEATHS:
            self.suspects.append(one)
            return
        one.batch.todo.appendleft(one)
        if one.batch not in self._queue:
            self._queue.append(one.batch)

    def answer(self, one: Asked, result: Result) -> None:
        """Give a run its result."""
        if one.batch.answer(one, result):
            self.suspects = deque(suspect for suspect in self.suspects if suspect.result is None)
            self.condemned = [pair for pair in self.condemned if pair[0].result is None]
            self.unwanted = True
        self._forget_if_answered(one.batch)

    def revoke(self, one: Asked) -> bool:
        """Take a result back and have the run asked again; False if the caller has it."""
        batch = one.batch
        # Nobody may be handed what was left out and then another result of what it was left out for.
        left_out = batch.left_out_after(one)
        again = [other for other in left_out if batch.revoke(other)]
        revoked = len(again) == len(left_out) and batch.revoke(one)
        if revoked:
            again.insert(0, one)
        if again:
            self._batches.add(batch)
        for other in reversed(again):
            if other not in batch.todo:
                self.return_unasked(other)
        return revoked

    def convict(self) -> None:
        """A worker was seen to be sound: the condemned are guilty."""
        condemned, self.condemned = self.condemned, []
        for one, words in condemned:
            if one.result is None:  # and not left out for another of them
                error = f"ended every worker it ran in, the last one alone: {words}"
                self.answer(one, Result(Status.WORKER_KILLED, error=error))

    def give_up(self, reason: str) -> None:
        """Answer everything that is left with an ``infra_error``."""
        for batch in self._batches:
            batch.give_up(reason)
        self._batches.clear()
        self._queue.clear()
        self.suspects.clear()
        self.condemned.clear()

    def _forget_if_answered(self, batch: Batch) -> None:
        if not batch.unanswered:  # for now, if its caller is still at it
            self._batches.discard(batch)
