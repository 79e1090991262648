"""The thread that owns a sandbox's workers: hands out runs, takes in answers, survives deaths.

One loop over one poll. Batches of several threads are served side by side, a run of each in turn.
A worker that dies, talks nonsense or falls silent is replaced, and what was in flight in it is
asked again. A run that was in flight at two deaths is asked alone in a fresh worker that has
answered a canary: if that dies too, and the next worker is sound again, the run is to blame
(``worker_killed``). If no worker can be had for a minute, the machine is (``infra_error``).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from gasp_env.sandbox import frames
from gasp_env.sandbox.cache import Cache, storable
from gasp_env.sandbox.dispatch.assignment import Assigner
from gasp_env.sandbox.dispatch.batch import Asked, Batch
from gasp_env.sandbox.dispatch.canary import Canary
from gasp_env.sandbox.dispatch.connection import STALL_SECONDS, Connection
from gasp_env.sandbox.dispatch.inbox import Inbox
from gasp_env.sandbox.dispatch.queue import BatchQueue
from gasp_env.sandbox.dispatch.worker_pool import WorkerPool
from gasp_env.sandbox.errors import WorkerLost
from gasp_env.sandbox.tiers.worker import Worker

#: Idle time after which answers are verified, and with a cache, to which only such go, how long closing may be
#: held up for that.
VERIFY_IDLE_SECONDS = 0.25
VERIFY_CLOSING_SECONDS = 2.0
#: A run that is killed may have been one that the machine had no memory for; this often it is simply asked again.
EXCUSED_KILLS = 2
#: Failures in a row to replace one of several workers that are worth a warning.
MENTION_FAILURES = 4


@dataclass
class Tally:
    """What is counted, over all dispatchers a sandbox has in its life, and what it has to say.

    Attributes:
        runs: executions done.
        retired: workers replaced for a wrong answer to a canary.
        deaths: workers lost in any other way.
        notices: warnings, for a caller's thread to give.
    """

    runs: int = 0
    retired: int = 0
    deaths: int = 0
    notices: deque[str] = field(default_factory=lambda: deque(maxlen=100))


class Dispatcher:
    """Answers batches until it is stopped, or until no worker can be had any more.

    Attributes:
        tier, hello, identity: those of its first worker, which decides for all.
        reason: why it answers no more, once it has ended.
    """

    def __init__(
        self, open_worker: Callable[[], Worker], first: Worker, size: int, tally: Tally, cache: Cache | None
    ) -> None:
        """Take over a worker, and open more until there are ``size``."""
        self.tier, self.hello, self.identity = first.tier, first.hello, first.identity
        self.reason = "it was closed while this run was waiting"
        self._tally = tally
        self._cache = cache
        self._crew = WorkerPool(open_worker, size, self._deliver)
        self._backlog = BatchQueue()
        self._rota = Assigner(self._backlog)
        self._links = self._rota.links
        self._hashes: dict[int, int] = {}
        self._silence_checked = self._busy = time.monotonic()
        self._stop_before: float | None = None
        self._crew_complete = threading.Event()
        self._all_answered = threading.Event()
        self._mailbox = Inbox()
        self._poll, self._messages = select.poll(), select.poll()  # for everything, and for messages alone
        self._poll.register(self._mailbox, select.POLLIN)
        self._messages.register(self._mailbox, select.POLLIN)
        self._admit(first, time.monotonic())
        self._thread = threading.Thread(target=self._run, name="gasp-sandbox", daemon=True)
        self._thread.start()

    # Called by other threads.

    def submit(self, batch: Batch, todo: list[Asked], *, last: bool) -> bool:
        """Have runs of a batch answered; False if this has ended, and then it will not touch the batch again."""
        if self._mailbox.post(lambda now: self._accept(batch, todo, last)):
            return True
        self._all_answered.wait()
        return False

    def abandon(self, batch: Batch) -> None:
        """Forget a batch; what is in flight of it will answer to nobody."""
        batch.abandoned = True
        self._mailbox.post(lambda now: self._drop(batch))

    def wait_opened(self) -> None:
        """Until all workers are open, or have failed to open once."""
        self._crew_complete.wait()

    def stop(self) -> None:
        """End all workers; whoever still waits gets an ``infra_error``."""
        self._mailbox.post(self._begin_to_stop)
        if threading.current_thread() is not self._thread:  # which may be the one that drops a sandbox
            self._thread.join()

    @property
    def ended(self) -> bool:
        """It answers nothing any more: it was stopped, or gave up."""
        return not self._mailbox.descriptors

    def workers(self) -> list[Worker]:
        """Those now open; for tests and figures."""
        return [link.worker for link in list(self._links.values())]

    def disown(self) -> None:
        """In a forked child: let go of the workers, which are the parent's, without a word to them.

        Those that are being opened or closed beside the thread are let go by `streams.disown_all`.
        """
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (*self._links, *self._mailbox.descriptors):
            with contextlib.suppress(OSError):
                os.dup2(null, descriptor, inheritable=False)
        os.close(null)

    def _deliver(self, opened: Worker | Exception) -> None:
        if isinstance(opened, Exception):
            self._mailbox.post(lambda now: self._not_opened(str(opened), now))
        elif not self._mailbox.post(lambda now: self._opened(opened, now)):
            opened.close()

    # The thread.

    def _run(self) -> None:
        try:
            while not self._finished(time.monotonic()):
                self._serve(time.monotonic())
            if self._stop_before is None:
                self.reason = self._crew.reason
        except BaseException as error:  # a mistake of ours: let nobody wait for ever
            self.reason = f"{type(error).__name__} in its dispatcher: {error}"
            raise
        finally:
            self._end()

    def _finished(self, now: float) -> bool:
        if self._stop_before is not None:
            return now >= self._stop_before or not any(link.unverified for link in self._links.values())
        return not self._links and bool(self._backlog) and self._crew.hopeless(now)

    def _serve(self, now: float) -> None:
        """Send, wait and receive once."""
        if self._backlog.unwanted:
            self._backlog.unwanted = False
            for link in self._links.values():
                link.abandon_left_out()
        if not self._crew.opening:
            self._rota.make_room()
        self._rota.hand_out(now)
        for link in tuple(self._links.values()):
            if link.retiring and not link.flying:
                self._dismiss(link)
                continue
            if self._verify_now(link, now):
                self._rota.ask_canary(link, now)
            if link.sending or link.polled != select.POLLIN:
                self._send(link, now)
        if self._stop_before is None and (self._links or self._backlog or not self._crew.failures):
            self._crew.fill(len(self._links), now)
        if not self._crew.opening:
            self._crew_complete.set()
        if leisure := self._rota.leisure():
            self._messages.poll(1000 * leisure)
        ready = self._poll.poll(self._timeout(now))
        now = time.monotonic()
        for descriptor, events in ready:
            if descriptor == self._mailbox.fileno():
                self._mailbox.read(now)
            elif events != select.POLLOUT and descriptor in self._links:
                self._listen(self._links[descriptor], now)
        self._rota.take_back(now)
        if now >= self._silence_checked + 1.0:
            self._silence_checked = now
            for link in tuple(self._links.values()):
                try:
                    link.check_silence(now)
                except WorkerLost as lost:
                    self._lose(link, lost, now)

    def _send(self, link: Connection, now: float) -> None:
        try:
            if link.sending:
                link.send()
        except WorkerLost as lost:
            return self._lose(link, lost, now)
        events = select.POLLIN | (select.POLLOUT if link.sending else 0)
        if events != link.polled:
            self._poll.register(link, events)
            link.polled = events

    def _timeout(self, now: float) -> float | None:
        """Milliseconds to wait at most, None for ever."""
        most = max((len(link.flying) for link in self._links.values()), default=0)
        if most:
            self._busy = now
            return 1000 * (STALL_SECONDS if most > 1 else 1.0)
        if self._crew.failures and (self._links or self._backlog):
            return 1000 * min(1.0, self._crew.due(now) + 0.001)
        if any(link.unverified for link in self._links.values()):
            return 1000 * VERIFY_IDLE_SECONDS
        return None

    def _verify_now(self, link: Connection, now: float) -> bool:
        """When there is time for it: what is verified can be stored, and need not be remembered."""
        return (
            bool(link.unverified)
            and not link.flying
            and (self._stop_before is not None or now >= self._busy + VERIFY_IDLE_SECONDS)
        )

    def _accept(self, batch: Batch, todo: list[Asked], last: bool) -> None:
        if not self._backlog and not self._links:
            self._crew.worked()  # what failed while there was nothing to do says nothing about now
        self._backlog.add(batch, todo, last=last)
        if self._stop_before is not None:
            self._backlog.give_up(self.reason)

    def _drop(self, batch: Batch) -> None:
        self._backlog.drop(batch)
        for link in self._links.values():
            link.abandon()

    # Answers.

    def _listen(self, link: Connection, now: float) -> None:
        try:
            for asked, frame in link.answers(now):
                if isinstance(asked, Asked):
                    self._take(link, asked, frame)
                elif fault := self._fault(link, asked, frame):
                    return self._retire(link, fault, now)
                else:
                    self._crew.worked()
                    self._backlog.convict()
                    self._store(link, link.take_verified())
        except WorkerLost as lost:
            self._lose(link, lost, now)

    def _take(self, link: Connection, one: Asked, frame: bytes | None) -> None:
        if frame is None:
            return self._backlog.return_unasked(one)
        if link.alone is one:
            link.alone = None
        if one.result is not None or one.batch.abandoned:  # nobody is interested any more
            return
        self._tally.runs += 1
        try:
            if one.kills < EXCUSED_KILLS and frames.killed(frame, one.run):
                one.kills += 1
                return self._backlog.return_unasked(one)
            result = frames.result(frame, one.run, link.worker.tier)
        except Exception as error:  # the supervisor's part of it is malformed
            raise WorkerLost(f"the worker answered what cannot be read: {error}") from error
        self._rota.saw(result.wall_seconds)
        link.remember(one, frame)
        self._backlog.answer(one, result)

    def _fault(self, link: Connection, canary: Canary, frame: bytes | None) -> str:
        # What a hash is depends on the interpreter; a worker with another one starts with a clean slate.
        hashes = self._hashes if link.worker.identity == self.identity else {}
        try:
            result = frames.result(frame or b"", canary.run, link.worker.tier)
            return canary.fault(result, link.worker.hello, hashes)
        except Exception as error:
            return f"answered what cannot be read: {error}"

    def _store(self, link: Connection, verified: list[tuple[Asked, bytes]]) -> None:
        if self._cache is not None and link.worker.identity == self.identity:
            for one, frame in verified:
                if one.key is not None and one.result is not None and storable(one.result, one.run):
                    self._cache.put(one.key, frame)

    # Workers come and go.

    def _admit(self, worker: Worker, now: float) -> None:
        link = Connection(worker, now)
        self._links[link.fileno()] = link

    def _opened(self, worker: Worker, now: float) -> None:
        self._crew.opened()
        lacking = set(self.hello.get("profiles", ())) - set(worker.hello.get("profiles", ()))
        if worker.tier == self.tier and not lacking:
            self._admit(worker, now)
        else:
            self._crew.failed(f"a {worker.tier} worker opened that lacks {sorted(lacking)}", now)
            self._crew.dismiss(worker)

    def _not_opened(self, reason: str, now: float) -> None:
        # Not every hiccup is worth a word, but what does not open to begin with, or for a while, is.
        if self._links and (not self._crew_complete.is_set() or self._crew.failures == MENTION_FAILURES):
            count = f"{len(self._links)} of {self._crew.size}"
            self._tally.notices.append(
                f"going on with {count} sandbox workers; another did not open: {reason}"
            )
        self._crew.opened()
        self._crew.failed(reason, now)

    def _lose(self, link: Connection, lost: WorkerLost, now: float) -> None:
        """A worker died, talked nonsense or fell silent."""
        self._tally.deaths += 1
        if not link.verified:
            self._crew.failed(str(lost), now)
        self._dismiss(link, lost)

    def _retire(self, link: Connection, fault: str, now: float) -> None:
        """A worker is wrong: replace it, and ask again what it said since it was last right."""
        self._tally.retired += 1
        if not link.verified:
            self._crew.failed(f"a worker {fault}", now)
        self._dismiss(link)
        doubtful = [one for one, _ in reversed(link.unverified) if not one.batch.abandoned]
        revoked = sum([self._backlog.revoke(one) for one in doubtful])
        self._tally.notices.append(
            f"a sandbox worker was replaced because, given a program whose answer is known, it {fault}. Since its "
            f"last right answer it had answered {len(doubtful)} runs: {revoked} are asked again, "
            f"{len(doubtful) - revoked} had already been handed out and may be wrong"
        )

    def _dismiss(self, link: Connection, lost: WorkerLost | None = None) -> None:
        """Let go of a worker, and ask again what it was asked. If it was lost, what it was at work on is suspicious."""
        del self._links[link.fileno()]
        if link.polled:
            self._poll.unregister(link)
        self._crew.dismiss(link.worker)
        # It executes in order: it was at work on the oldest, or on the next if an answer was lost on its way.
        at_work = set(itertools.islice(link.flying, 2)) if lost else set()
        for number, one in reversed(link.flying.items()):
            if isinstance(one, Canary):
                continue
            one.deaths += number in at_work
            if lost and one is link.alone and not one.batch.abandoned:
                self._backlog.condemned.append((one, str(lost)))
            else:
                self._backlog.return_unasked(one)

    # The end.

    def _begin_to_stop(self, now: float) -> None:
        self._backlog.give_up(self.reason)
        self._stop_before = now + (0.0 if self._cache is None else VERIFY_CLOSING_SECONDS)

    def _end(self) -> None:
        self._mailbox.close(time.monotonic())
        self._backlog.give_up(self.reason)
        self._all_answered.set()
        for link in list(self._links.values()):
            self._dismiss(link)
        self._crew_complete.set()
        self._crew.wait_closed()
