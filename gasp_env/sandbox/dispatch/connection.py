"""Connection to one worker, as the dispatcher sees it: runs in flight, and frames still to be sent.

A worker executes one program after another, in the order given. It has a second one ahead, so that it never waits
for the host; a run can be withdrawn as long as the worker has not started it.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from gasp_env.sandbox import frames
from gasp_env.sandbox.dispatch.batch import Batch, BatchRun
from gasp_env.sandbox.dispatch.canary import Canary
from gasp_env.sandbox.errors import WorkerLost
from gasp_env.sandbox.tiers.worker import Worker

#: Silence of a worker, beyond the longest deadline in flight, after which it counts as dead.
GRACE_SECONDS = 20.0
#: Time without an answer after which other workers should take the runs queued behind the current one.
STALL_SECONDS = 0.03
#: Answers after which a worker gets a canary, and bytes of programs and answers.
CANARY_ANSWERS = 256
CANARY_BYTES = 2**24


class Connection:
    """A worker, its runs in flight, and its answers since it last passed a canary.

    Attributes:
        in_flight: runs and canaries it was given and has not answered, by number, oldest first.
        bytes_in_flight: bytes of the runs in flight.
        unverified: runs it answered since its last good canary, each with its frame if there is a cache.
        verified: it has passed a canary.
        fresh: it was given nothing but canaries so far.
        isolated: the run it was given alone, because that run may have killed other workers.
        retiring: it gets no more runs and is closed when it has answered.
        polled: the poll events it is registered for; kept by the dispatcher.
    """

    def __init__(self, worker: Worker, now: float) -> None:
        """Take over a worker that has just opened; ``now`` is on the monotonic clock."""
        self.worker = worker
        self.in_flight: dict[int, BatchRun | Canary] = {}
        self.bytes_in_flight = 0
        self.unverified: list[tuple[BatchRun, bytes]] = []
        self.verified = False
        self.fresh = True
        self.isolated: BatchRun | None = None
        self.retiring = False
        self.polled = 0
        self._fileno = worker.fileno()
        self._last_answer = now
        self._outgoing: list[bytes] = []
        self._unsent = memoryview(b"")
        self._unverified_bytes = 0
        self._canary_in_flight = False
        self._last_zygote = (0, "value")  # hash seed and profile of the last run
        self._withdrawn: set[int] = set()

    @property
    def has_unsent(self) -> bool:
        """True if frames wait to be sent."""
        return bool(self._outgoing or self._unsent)

    @property
    def canary_due(self) -> bool:
        """True if it is time for a canary."""
        return not self._canary_in_flight and (
            not self.verified
            or len(self.unverified) >= CANARY_ANSWERS
            or self._unverified_bytes >= CANARY_BYTES
        )

    def fileno(self) -> int:
        """Return the descriptor to poll; the same number even after the worker was closed."""
        return self._fileno

    def assign(self, number: int, item: BatchRun, now: float) -> None:
        """Queue a run for sending."""
        self._enqueue(number, item, frames.run_frame(number, item.run, item.payload), now)
        self.bytes_in_flight += item.bytes
        self.fresh = False
        self._last_zygote = (item.run.hash_seed, item.run.profile)

    def assign_canary(self, number: int, now: float) -> None:
        """Queue a canary for the zygote that executed the last run."""
        seed, profile = self._last_zygote
        canary = Canary(number, hash_seed=seed, profile=profile)
        frame = frames.run_frame(number, canary.run, frames.encode_payload(canary.run))
        self._enqueue(number, canary, frame, now)
        self._canary_in_flight = True

    def withdraw(self, *, abandoned: bool = False) -> None:
        """Ask for all runs back but the oldest, which the worker is most likely executing.

        `receive_answers` yields those it had not started without a frame.

        Args:
            abandoned: withdraw only runs whose caller has gone.
        """
        for number, item in itertools.islice(self.in_flight.items(), 1, None):
            if (
                number in self._withdrawn
                or isinstance(item, Canary)
                or (abandoned and not item.batch.abandoned)
            ):
                continue
            self._withdrawn.add(number)
            self._outgoing.append(frames.cancel_frame(number))

    def cancel_abandoned(self) -> None:
        """Withdraw the runs whose caller has gone, and kill the one being executed if it is such a run."""
        self.withdraw(abandoned=True)
        for number, item in self.in_flight.items():
            if isinstance(item, BatchRun) and item.batch.abandoned:
                self._outgoing.append(frames.kill_frame(number))

    def cancel_skipped(self) -> None:
        """Withdraw or kill the runs that were skipped after the worker got them."""
        abandoned = Batch()
        abandoned.abandoned = True
        for number, item in self.in_flight.items():
            if isinstance(item, BatchRun) and item.skipped:
                # The run itself may have to be queued again, so a copy without a caller takes this answer.
                self.in_flight[number] = orphan = replace(item, batch=abandoned)
                if self.isolated is item:
                    self.isolated = orphan
        self.cancel_abandoned()

    def send(self) -> None:
        """Send what the worker takes without waiting.

        Raises:
            WorkerLost: the worker does not read any more.
        """
        if self._outgoing:
            self._unsent = memoryview(b"".join((self._unsent, *self._outgoing)))
            self._outgoing.clear()
        self._unsent = self._unsent[self.worker.send(self._unsent) :]

    def receive_answers(self, now: float) -> Iterator[tuple[BatchRun | Canary, bytes | None]]:
        """Yield what was answered since the last call, each with its frame; a withdrawn run comes without one.

        Raises:
            WorkerLost: the worker has ended, or answered something that is not in flight.
        """
        for frame in self.worker.receive():
            try:
                number = frames.withdrawn_number(frame)
                if number is not None:
                    self._withdrawn.remove(number)
                    item = self.in_flight.pop(number)
                    assert isinstance(item, BatchRun)  # canaries are not withdrawn
                    self.bytes_in_flight -= item.bytes
                    yield item, None
                    continue
                number = frames.answered_number(frame)
                item = self.in_flight.pop(number)
            except (ValueError, KeyError):
                raise WorkerLost("expected an answer to a run in flight, got another frame") from None
            self._last_answer = now
            self._withdrawn.discard(number)
            if isinstance(item, Canary):
                self._canary_in_flight = False
            else:
                self.bytes_in_flight -= item.bytes
            yield item, frame

    def record_answer(self, item: BatchRun, frame: bytes) -> None:
        """Remember an accepted answer until the next canary shows that the worker was sound."""
        kept = frame if item.key is not None else b""
        self.unverified.append((item, kept))
        self._unverified_bytes += item.bytes + len(frame)

    def take_verified(self) -> list[tuple[BatchRun, bytes]]:
        """Mark the worker as sound after a good canary; return the answers this verifies."""
        verified, self.unverified = self.unverified, []
        self._unverified_bytes = 0
        self.verified = True
        return verified

    def is_stalled(self, now: float) -> bool:
        """True if the current run takes so long that others should not wait behind it."""
        return bool(self.in_flight) and now - self._last_answer > STALL_SECONDS

    def check_silence(self, now: float) -> None:
        """Check that the worker still answers.

        Raises:
            WorkerLost: an answer is long overdue.
        """
        if self.in_flight:
            longest = max(item.run.limits.wall_seconds for item in self.in_flight.values())
            if now - self._last_answer > GRACE_SECONDS + longest:
                raise WorkerLost(f"the worker was silent for {GRACE_SECONDS + longest:g} s")

    def _enqueue(self, number: int, item: BatchRun | Canary, frame: bytes, now: float) -> None:
        if not self.in_flight:
            self._last_answer = now
        self.in_flight[number] = item
        self._outgoing.append(frame)
