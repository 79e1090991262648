"""Worker pool: opens and closes workers in threads of their own, because both are slow and may hang."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from gasp_env.sandbox.errors import SandboxError
from gasp_env.sandbox.tiers.worker import Worker

#: Workers being opened at once.
MAX_OPENING = 8
#: Wait after a failure, doubled from one failure to the next.
BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 8.0
#: With no worker left: how long, and how often at least, to try before the machine counts as broken. A
#: restart of the Docker daemon takes up to tens of seconds.
PATIENCE_SECONDS = 60.0
PATIENCE_ATTEMPTS = 3
#: Longest wait for workers to close. A container ends by itself when its owner has gone.
CLOSING_SECONDS = 15.0


class WorkerPool:
    """Keeps a number of workers open. Its methods are for the dispatcher's thread alone.

    Attributes:
        size: number of workers to keep open.
        opening: number of workers being opened.
        failures: failed attempts since a worker last proved sound.
        reason: reason for the last failure.
    """

    def __init__(
        self, open_worker: Callable[[], Worker], size: int, deliver: Callable[[Worker | Exception], None]
    ) -> None:
        """Describe a pool; no worker is opened yet.

        Args:
            open_worker: opens one worker; called from several threads.
            size: number of workers to keep open.
            deliver: called from another thread with an opened worker, or the error.
        """
        self.size = size
        self.opening = 0
        self.failures = 0
        self.reason = ""
        self._open_worker = open_worker
        self._deliver = deliver
        self._closing: list[threading.Thread] = []
        self._failing_since = 0.0
        self._not_before = 0.0

    def fill(self, alive: int, now: float) -> None:
        """Start opening the missing workers. After a failure, wait and then try one at a time."""
        missing = min(self.size - alive, MAX_OPENING) - self.opening
        if self.failures:
            missing = min(missing, 1 - self.opening) if now >= self._not_before else 0
        for _ in range(missing):
            self.opening += 1
            _start(self._open)

    def attempt_finished(self) -> None:
        """Count down: an attempt to open a worker has ended, well or not."""
        self.opening -= 1

    def record_failure(self, reason: str, now: float) -> None:
        """Record that a worker did not open or was useless, and delay the next attempt."""
        self.reason = reason
        if not self.failures:
            self._failing_since = now
        self._not_before = now + min(BACKOFF_SECONDS * 2**self.failures, MAX_BACKOFF_SECONDS)
        self.failures += 1

    def reset_failures(self) -> None:
        """Forget earlier failures: a worker passed its check."""
        self.failures = 0

    def seconds_to_retry(self, now: float) -> float:
        """Seconds until `fill` may open the next worker."""
        return max(0.0, self._not_before - now)

    def is_exhausted(self, now: float) -> bool:
        """True if opening has failed so often and so long that the machine counts as broken."""
        return self.failures >= PATIENCE_ATTEMPTS and now - self._failing_since >= PATIENCE_SECONDS

    def close_worker(self, worker: Worker) -> None:
        """Close a worker in the background."""

        def close() -> None:
            with contextlib.suppress(Exception):  # the worker is given up in any case
                worker.close()

        self._closing = [thread for thread in self._closing if thread.is_alive()]
        self._closing.append(_start(close))

    def wait_closed(self) -> None:
        """Wait until the workers being closed are closed, for `CLOSING_SECONDS` at most."""
        deadline = time.monotonic() + CLOSING_SECONDS
        for thread in self._closing:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _open(self) -> None:
        try:
            worker = self._open_worker()
        except SandboxError as error:
            self._deliver(error)
        except Exception as error:  # a bug in a tier must not lower the number of workers for good
            self._deliver(SandboxError(f"{type(error).__name__}: {error}"))
        else:
            self._deliver(worker)


def _start(target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target, name="gasp-sandbox-pool", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no more threads, or the interpreter is about to end
        thread = threading.current_thread()
        target()
    return thread
