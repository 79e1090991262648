"""The dispatcher: one thread that owns a sandbox's workers, sends runs, takes answers and survives deaths.

One loop over one poll. Batches of several threads are served side by side, a run of each in turn.
A worker that dies, sends malformed frames or falls silent is replaced, and its runs in flight are
queued again. A run that was in flight at two deaths is executed alone in a fresh worker that has
passed a canary. If that worker dies too, and the next worker proves sound, the run is to blame
(``worker_killed``). If no worker opens for a minute, the machine is (``infra_error``).
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
from gasp_env.sandbox.dispatch.batch import Batch, BatchRun
from gasp_env.sandbox.dispatch.canary import Canary
from gasp_env.sandbox.dispatch.connection import STALL_SECONDS, Connection
from gasp_env.sandbox.dispatch.inbox import Inbox
from gasp_env.sandbox.dispatch.queue import BatchQueue
from gasp_env.sandbox.dispatch.worker_pool import WorkerPool
from gasp_env.sandbox.errors import WorkerLost
from gasp_env.sandbox.tiers.worker import Worker

#: Idle time after which a canary verifies a worker's answers. With a cache, which stores verified answers only,
#: closing waits so long for the last canaries.
VERIFY_IDLE_SECONDS = 0.25
VERIFY_CLOSING_SECONDS = 2.0
#: A killed run is executed again so often, because the machine may have been short of memory.
EXCUSED_KILLS = 2
#: Failures in a row to replace a worker, beside others that work, that are worth a warning.
MENTION_FAILURES = 4


@dataclass
class Tally:
    """Counters and warnings, over all dispatchers that a sandbox has in its life.

    Attributes:
        runs: executions done.
        retired: workers replaced for a wrong answer to a canary.
        deaths: workers lost in any other way.
        notices: warnings, to be given in a caller's thread.
    """

    runs: int = 0
    retired: int = 0
    deaths: int = 0
    notices: deque[str] = field(default_factory=lambda: deque(maxlen=100))


class Dispatcher:
    """Answers batches until it is stopped, or until no worker can be opened any more.

    Attributes:
        tier, hello, identity: those of its first worker; later workers must be of the same kind.
        reason: why it has ended, once it has.
    """

    def __init__(
        self, open_worker: Callable[[], Worker], first: Worker, size: int, tally: Tally, cache: Cache | None
    ) -> None:
        """Take over a worker, and open more until there are ``size``."""
        self.tier, self.hello, self.identity = first.tier, first.hello, first.identity
        self.reason = "it was closed while this run was waiting"
        self._tally = tally
        self._cache = cache
        self._pool = WorkerPool(open_worker, size, self._deliver)
        self._queue = BatchQueue()
        self._assigner = Assigner(self._queue)
        self._connections = self._assigner.connections
        self._hashes: dict[int, int] = {}
        self._silence_checked = self._last_busy = time.monotonic()
        self._stop_before: float | None = None
        self._pool_filled = threading.Event()
        self._all_answered = threading.Event()
        self._inbox = Inbox()
        self._poll, self._inbox_poll = select.poll(), select.poll()  # everything, and the inbox alone
        self._poll.register(self._inbox, select.POLLIN)
        self._inbox_poll.register(self._inbox, select.POLLIN)
        self._connect(first, time.monotonic())
        self._thread = threading.Thread(target=self._run, name="gasp-sandbox", daemon=True)
        self._thread.start()

    # Called by other threads.

    def submit(self, batch: Batch, items: list[BatchRun], *, last: bool) -> bool:
        """Hand over runs of a batch; False if the dispatcher has ended and will not touch the batch again."""
        if self._inbox.post(lambda now: self._add_runs(batch, items, last)):
            return True
        self._all_answered.wait()
        return False

    def abandon(self, batch: Batch) -> None:
        """Forget a batch; answers to its runs in flight are dropped."""
        batch.abandoned = True
        self._inbox.post(lambda now: self._drop_batch(batch))

    def wait_opened(self) -> None:
        """Wait until all workers are open, or have failed to open once."""
        self._pool_filled.wait()

    def stop(self) -> None:
        """End all workers; callers that still wait get an ``infra_error``."""
        self._inbox.post(self._begin_stop)
        if (
            threading.current_thread() is not self._thread
        ):  # a sandbox may be garbage-collected in this thread
            self._thread.join()

    @property
    def ended(self) -> bool:
        """True if it answers nothing any more, because it was stopped or gave up."""
        return not self._inbox.descriptors

    def workers(self) -> list[Worker]:
        """Return the open workers, for tests and measurements."""
        return [connection.worker for connection in list(self._connections.values())]

    def disown(self) -> None:
        """Let go of the workers in a forked child: they are the parent's, and are sent nothing.

        Workers that are being opened or closed in other threads are left to `stream_worker.disown_all`.
        """
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in (*self._connections, *self._inbox.descriptors):
            with contextlib.suppress(OSError):
                os.dup2(null, descriptor, inheritable=False)
        os.close(null)

    def _deliver(self, opened: Worker | Exception) -> None:
        if isinstance(opened, Exception):
            self._inbox.post(lambda now: self._record_open_failure(str(opened), now))
        elif not self._inbox.post(lambda now: self._add_worker(opened, now)):
            opened.close()

    # The thread.

    def _run(self) -> None:
        try:
            while not self._should_end(time.monotonic()):
                self._serve(time.monotonic())
            if self._stop_before is None:
                self.reason = self._pool.reason
        except BaseException as error:  # a bug in the sandbox must leave no caller waiting for ever
            self.reason = f"{type(error).__name__} in its dispatcher: {error}"
            raise
        finally:
            self._end()

    def _should_end(self, now: float) -> bool:
        if self._stop_before is not None:
            unverified = any(connection.unverified for connection in self._connections.values())
            return now >= self._stop_before or not unverified
        return not self._connections and bool(self._queue) and self._pool.is_exhausted(now)

    def _serve(self, now: float) -> None:
        """Send, wait and receive once."""
        if self._queue.skipped_in_flight:
            self._queue.skipped_in_flight = False
            for connection in self._connections.values():
                connection.cancel_skipped()
        if not self._pool.opening:
            self._assigner.retire_for_suspects()
        self._assigner.assign_runs(now)
        for connection in tuple(self._connections.values()):
            if connection.retiring and not connection.in_flight:
                self._disconnect(connection)
                continue
            if self._should_verify(connection, now):
                self._assigner.assign_canary(connection, now)
            if connection.has_unsent or connection.polled != select.POLLIN:
                self._send(connection, now)
        if self._stop_before is None and (self._connections or self._queue or not self._pool.failures):
            self._pool.fill(len(self._connections), now)
        if not self._pool.opening:
            self._pool_filled.set()
        if slack := self._assigner.slack_seconds():
            self._inbox_poll.poll(1000 * slack)
        ready = self._poll.poll(self._timeout(now))
        now = time.monotonic()
        for descriptor, events in ready:
            if descriptor == self._inbox.fileno():
                self._inbox.read(now)
            elif events != select.POLLOUT and descriptor in self._connections:
                self._receive(self._connections[descriptor], now)
        self._assigner.withdraw_stalled(now)
        if now >= self._silence_checked + 1.0:
            self._silence_checked = now
            for connection in tuple(self._connections.values()):
                try:
                    connection.check_silence(now)
                except WorkerLost as lost:
                    self._handle_loss(connection, lost, now)

    def _send(self, connection: Connection, now: float) -> None:
        try:
            if connection.has_unsent:
                connection.send()
        except WorkerLost as lost:
            return self._handle_loss(connection, lost, now)
        events = select.POLLIN | (select.POLLOUT if connection.has_unsent else 0)
        if events != connection.polled:
            self._poll.register(connection, events)
            connection.polled = events

    def _timeout(self, now: float) -> float | None:
        """Longest wait in milliseconds; None for ever."""
        most = max((len(connection.in_flight) for connection in self._connections.values()), default=0)
        if most:
            self._last_busy = now
            return 1000 * (STALL_SECONDS if most > 1 else 1.0)
        if self._pool.failures and (self._connections or self._queue):
            return 1000 * min(1.0, self._pool.seconds_to_retry(now) + 0.001)
        if any(connection.unverified for connection in self._connections.values()):
            return 1000 * VERIFY_IDLE_SECONDS
        return None

    def _should_verify(self, connection: Connection, now: float) -> bool:
        """True if an idle worker has answers to verify: those can be stored, and need not be remembered."""
        return (
            bool(connection.unverified)
            and not connection.in_flight
            and (self._stop_before is not None or now >= self._last_busy + VERIFY_IDLE_SECONDS)
        )

    def _add_runs(self, batch: Batch, items: list[BatchRun], last: bool) -> None:
        if not self._queue and not self._connections:
            self._pool.reset_failures()  # failures while there was nothing to do say nothing about now
        self._queue.add(batch, items, last=last)
        if self._stop_before is not None:
            self._queue.give_up(self.reason)

    def _drop_batch(self, batch: Batch) -> None:
        self._queue.drop(batch)
        for connection in self._connections.values():
            connection.cancel_abandoned()

    # Answers.

    def _receive(self, connection: Connection, now: float) -> None:
        try:
            for item, frame in connection.receive_answers(now):
                if isinstance(item, BatchRun):
                    self._accept_answer(connection, item, frame)
                elif fault := self._find_fault(connection, item, frame):
                    return self._retire(connection, fault, now)
                else:
                    self._pool.reset_failures()
                    self._queue.confirm_kills()
                    self._store_verified(connection, connection.take_verified())
        except WorkerLost as lost:
            self._handle_loss(connection, lost, now)

    def _accept_answer(self, connection: Connection, item: BatchRun, frame: bytes | None) -> None:
        if frame is None:
            return self._queue.requeue(item)
        if connection.isolated is item:
            connection.isolated = None
        if item.result is not None or item.batch.abandoned:  # the answer is not needed any more
            return
        self._tally.runs += 1
        try:
            if item.times_killed < EXCUSED_KILLS and frames.was_killed(frame, item.run):
                item.times_killed += 1
                return self._queue.requeue(item)
            result = frames.decode_result(frame, item.run, connection.worker.tier)
        except Exception as error:  # the supervisor's part of it is malformed
            raise WorkerLost(f"the worker's answer cannot be read: {error}") from error
        self._assigner.record_duration(result.wall_seconds)
        connection.record_answer(item, frame)
        self._queue.answer(item, result)

    def _find_fault(self, connection: Connection, canary: Canary, frame: bytes | None) -> str:
        # Hashes depend on the interpreter, so a worker with another one has nothing to be compared with.
        hashes = self._hashes if connection.worker.identity == self.identity else {}
        try:
            result = frames.decode_result(frame or b"", canary.run, connection.worker.tier)
            return canary.find_fault(result, connection.worker.hello, hashes)
        except Exception as error:
            return f"gave an answer that cannot be read: {error}"

    def _store_verified(self, connection: Connection, verified: list[tuple[BatchRun, bytes]]) -> None:
        if self._cache is not None and connection.worker.identity == self.identity:
            for item, frame in verified:
                if item.key is not None and item.result is not None and storable(item.result, item.run):
                    self._cache.put(item.key, frame)

    # Workers come and go.

    def _connect(self, worker: Worker, now: float) -> None:
        connection = Connection(worker, now)
        self._connections[connection.fileno()] = connection

    def _add_worker(self, worker: Worker, now: float) -> None:
        self._pool.attempt_finished()
        lacking = set(self.hello.get("profiles", ())) - set(worker.hello.get("profiles", ()))
        if worker.tier == self.tier and not lacking:
            self._connect(worker, now)
        else:
            self._pool.record_failure(f"a {worker.tier} worker opened that lacks {sorted(lacking)}", now)
            self._pool.close_worker(worker)

    def _record_open_failure(self, reason: str, now: float) -> None:
        # One failure is not worth a warning, unless it is among the first attempts or one of many in a row.
        first_attempts = not self._pool_filled.is_set()
        if self._connections and (first_attempts or self._pool.failures == MENTION_FAILURES):
            count = f"{len(self._connections)} of {self._pool.size}"
            self._tally.notices.append(
                f"going on with {count} sandbox workers; another did not open: {reason}"
            )
        self._pool.attempt_finished()
        self._pool.record_failure(reason, now)

    def _handle_loss(self, connection: Connection, lost: WorkerLost, now: float) -> None:
        """Let go of a worker that died, sent malformed frames or fell silent."""
        self._tally.deaths += 1
        if not connection.verified:
            self._pool.record_failure(str(lost), now)
        self._disconnect(connection, lost)

    def _retire(self, connection: Connection, fault: str, now: float) -> None:
        """Replace a worker that failed a canary, and revoke its answers since the last good one."""
        self._tally.retired += 1
        if not connection.verified:
            self._pool.record_failure(f"a worker {fault}", now)
        self._disconnect(connection)
        doubtful = [item for item, _ in reversed(connection.unverified) if not item.batch.abandoned]
        revoked = sum([self._queue.revoke(item) for item in doubtful])
        self._tally.notices.append(
            f"a sandbox worker was replaced because, given a program whose answer is known, it {fault}. Since its "
            f"last right answer it had answered {len(doubtful)} runs: {revoked} are asked again, "
            f"{len(doubtful) - revoked} had already been handed out and may be wrong"
        )

    def _disconnect(self, connection: Connection, lost: WorkerLost | None = None) -> None:
        """Close a worker and queue its runs in flight again. If it was lost, the run it executed is suspicious."""
        del self._connections[connection.fileno()]
        if connection.polled:
            self._poll.unregister(connection)
        self._pool.close_worker(connection.worker)
        # Runs are executed in order: it was at the oldest, or at the next if the oldest's answer was lost on its way.
        executing = set(itertools.islice(connection.in_flight, 2)) if lost else set()
        for number, item in reversed(connection.in_flight.items()):
            if isinstance(item, Canary):
                continue
            item.deaths += number in executing
            if lost and item is connection.isolated and not item.batch.abandoned:
                self._queue.unconfirmed_kills.append((item, str(lost)))
            else:
                self._queue.requeue(item)

    # The end.

    def _begin_stop(self, now: float) -> None:
        self._queue.give_up(self.reason)
        self._stop_before = now + (0.0 if self._cache is None else VERIFY_CLOSING_SECONDS)

    def _end(self) -> None:
        self._inbox.close(time.monotonic())
        self._queue.give_up(self.reason)
        self._all_answered.set()
        for connection in list(self._connections.values()):
            self._disconnect(connection)
        self._pool_filled.set()
        self._pool.wait_closed()
