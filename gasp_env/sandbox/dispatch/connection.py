"""One worker as the dispatcher sees it: what it has been asked, and what it still has to be asked.

A worker executes one program after another, in the order asked. It is given a second one ahead,
so that it never waits for us; that one can be taken back as long as it was not started.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import replace

from gasp_env.sandbox import frames
from gasp_env.sandbox.dispatch.batch import Asked, Batch
from gasp_env.sandbox.dispatch.canary import Canary
from gasp_env.sandbox.errors import WorkerLost
from gasp_env.sandbox.tiers.worker import Worker

#: Silence of a worker, beyond the longest deadline in flight, after which it counts as dead.
GRACE_SECONDS = 20.0
#: Time without an answer after which others can do better what waits behind a worker's run.
STALL_SECONDS = 0.03
#: Answers after which a worker is tried with a canary, and bytes of programs and answers.
CANARY_ANSWERS = 256
CANARY_BYTES = 2**24


class Connection:
    """A worker, what is in flight in it, and what it answered since it last showed that it is sound.

    Attributes:
        flying: what it was asked and has not answered, by number, oldest first.
        ahead: bytes of the runs in flight.
        unverified: runs it answered since its last good canary, each with its frame if there is a cache.
        verified: it has answered a canary well.
        fresh: it was asked for nothing but canaries.
        alone: the run it was given alone, because others died with it.
        retiring: it gets nothing any more.
        polled: the events it is registered for; the dispatcher's.
    """

    def __init__(self, worker: Worker, now: float) -> None:
        """Take over a worker that has just opened; ``now`` is on the monotonic clock."""
        self.worker = worker
        self.flying: dict[int, Asked | Canary] = {}
        self.ahead = 0
        self.unverified: list[tuple[Asked, bytes]] = []
        self.verified = False
        self.fresh = True
        self.alone: Asked | None = None
        self.retiring = False
        self.polled = 0
        self._fileno = worker.fileno()
        self._heard = now
        self._outgoing: list[bytes] = []
        self._unsent = memoryview(b"")
        self._bytes = 0
        self._canary_flies = False
        self._last_asked = (0, "value")
        self._withdrawn: set[int] = set()

    @property
    def sending(self) -> bool:
        """There is something to send."""
        return bool(self._outgoing or self._unsent)

    @property
    def canary_due(self) -> bool:
        """It is time for a canary."""
        return not self._canary_flies and (
            not self.verified or len(self.unverified) >= CANARY_ANSWERS or self._bytes >= CANARY_BYTES
        )

    def fileno(self) -> int:
        """What to poll; the same number after the worker was closed."""
        return self._fileno

    def ask(self, number: int, one: Asked, now: float) -> None:
        """Queue a run for sending."""
        self._queue(number, one, frames.run_frame(number, one.run, one.payload), now)
        self.ahead += one.bytes
        self.fresh = False
        self._last_asked = (one.run.hash_seed, one.run.profile)

    def ask_canary(self, number: int, now: float) -> None:
        """Queue a canary for the zygote that was asked last."""
        seed, profile = self._last_asked
        canary = Canary(number, hash_seed=seed, profile=profile)
        self._queue(number, canary, frames.run_frame(number, canary.run, frames.payload(canary.run)), now)
        self._canary_flies = True

    def withdraw(self, *, abandoned: bool = False) -> None:
        """Ask everything back but the oldest, which it is most likely at work on.

        What it has not started will be among the `answers` without a frame.

        Args:
            abandoned: only that of which the caller is gone.
        """
        for number, one in itertools.islice(self.flying.items(), 1, None):
            if (
                number in self._withdrawn
                or isinstance(one, Canary)
                or (abandoned and not one.batch.abandoned)
            ):
                continue
            self._withdrawn.add(number)
            self._outgoing.append(frames.cancel_frame(number))

    def abandon(self) -> None:
        """Ask back whatever its caller has gone from, and have it ended if that is what is being executed."""
        self.withdraw(abandoned=True)
        for number, one in self.flying.items():
            if isinstance(one, Asked) and one.batch.abandoned:
                self._outgoing.append(frames.kill_frame(number))

    def abandon_left_out(self) -> None:
        """Ask back, or have ended, what was left out after this was asked for it."""
        nobody = Batch()
        nobody.abandoned = True
        for number, one in self.flying.items():
            if isinstance(one, Asked) and one.left_out:
                # The run itself may have to be asked for again; the answer to this one is for nobody.
                self.flying[number] = unwanted = replace(one, batch=nobody)
                if self.alone is one:
                    self.alone = unwanted
        self.abandon()

    def send(self) -> None:
        """Send what can be sent without waiting.

        Raises:
            WorkerLost: nobody reads any more.
        """
        if self._outgoing:
            self._unsent = memoryview(b"".join((self._unsent, *self._outgoing)))
            self._outgoing.clear()
        self._unsent = self._unsent[self.worker.send(self._unsent) :]

    def answers(self, now: float) -> Iterator[tuple[Asked | Canary, bytes | None]]:
        """What was answered since the last look, with the frame; without one if it was taken back.

        Raises:
            WorkerLost: there will be no more, or it answered what it was not asked.
        """
        for frame in self.worker.receive():
            try:
                number = frames.taken_back(frame)
                if number is not None:
                    self._withdrawn.remove(number)
                    one = self.flying.pop(number)
                    assert isinstance(one, Asked)  # canaries are not withdrawn
                    self.ahead -= one.bytes
                    yield one, None
                    continue
                number = frames.number_of(frame)
                one = self.flying.pop(number)
            except (ValueError, KeyError):
                raise WorkerLost("the worker answered what nobody asked") from None
            self._heard = now
            self._withdrawn.discard(number)
            if isinstance(one, Canary):
                self._canary_flies = False
            else:
                self.ahead -= one.bytes
            yield one, frame

    def remember(self, one: Asked, frame: bytes) -> None:
        """An answer was accepted; whether it was right is known after the next canary."""
        kept = frame if one.key is not None else b""
        self.unverified.append((one, kept))
        self._bytes += one.bytes + len(frame)

    def take_verified(self) -> list[tuple[Asked, bytes]]:
        """A canary was right: the answers that this vouches for."""
        verified, self.unverified = self.unverified, []
        self._bytes = 0
        self.verified = True
        return verified

    def stalled(self, now: float) -> bool:
        """It has been at one run for so long that others should not wait behind it."""
        return bool(self.flying) and now - self._heard > STALL_SECONDS

    def check_silence(self, now: float) -> None:
        """See whether it still talks.

        Raises:
            WorkerLost: it should have answered something long ago.
        """
        if self.flying:
            longest = max(one.run.limits.wall_seconds for one in self.flying.values())
            if now - self._heard > GRACE_SECONDS + longest:
                raise WorkerLost(f"the worker was silent for {GRACE_SECONDS + longest:g} s")

    def _queue(self, number: int, one: Asked | Canary, frame: bytes, now: float) -> None:
        if not self.flying:
            self._heard = now
        self.flying[number] = one
        self._outgoing.append(frame)
