"""Opening and closing workers, which takes long and may hang, beside the thread that serves them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

from gasp_env.sandbox.errors import SandboxError
from gasp_env.sandbox.tiers.worker import Worker

#: Workers being opened at once.
MAX_OPENING = 8
#: Wait after a failure, doubled from one to the next.
BACKOFF_SECONDS = 0.5
MAX_BACKOFF_SECONDS = 8.0
#: With no worker left: for how long, and how often at least, to try before the machine counts as broken. A
#: restart of the Docker daemon takes seconds to tens of seconds.
PATIENCE_SECONDS = 60.0
PATIENCE_ATTEMPTS = 3
#: How long closing may hold up whoever waits for it; a container whose owner left ends by itself.
CLOSING_SECONDS = 15.0


class WorkerPool:
    """Keeps a number of workers open. All but what its threads do is the dispatcher's alone.

    Attributes:
        size: how many workers there should be.
        opening: how many are being opened.
        failures: attempts that failed since something worked.
        reason: why the last one failed.
    """

    def __init__(
        self, open_worker: Callable[[], Worker], size: int, deliver: Callable[[Worker | Exception], None]
    ) -> None:
        """Describe a crew; nothing is opened yet.

        Args:
            open_worker: opens one; called from several threads.
            size: how many.
            deliver: takes a worker that opened or the reason why it did not, from another thread.
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
        """Start to open what is missing. After a failure one is tried at a time, and not at once."""
        missing = min(self.size - alive, MAX_OPENING) - self.opening
        if self.failures:
            missing = min(missing, 1 - self.opening) if now >= self._not_before else 0
        for _ in range(missing):
            self.opening += 1
            _start(self._open)

    def opened(self) -> None:
        """An attempt has ended."""
        self.opening -= 1

    def failed(self, reason: str, now: float) -> None:
        """A worker did not open, or was of no use."""
        self.reason = reason
        if not self.failures:
            self._failing_since = now
        self._not_before = now + min(BACKOFF_SECONDS * 2**self.failures, MAX_BACKOFF_SECONDS)
        self.failures += 1

    def worked(self) -> None:
        """A worker has shown that it is sound: whatever was broken is no more."""
        self.failures = 0

    def due(self, now: float) -> float:
        """Seconds until `fill` would do something."""
        return max(0.0, self._not_before - now)

    def hopeless(self, now: float) -> bool:
        """Enough was tried."""
        return self.failures >= PATIENCE_ATTEMPTS and now - self._failing_since >= PATIENCE_SECONDS

    def dismiss(self, worker: Worker) -> None:
        """Close a worker in the background."""

        def close() -> None:
            with contextlib.suppress(Exception):  # there is nothing left to do about it
                worker.close()

        self._closing = [thread for thread in self._closing if thread.is_alive()]
        self._closing.append(_start(close))

    def wait_closed(self) -> None:
        """Until all that were dismissed are closed, or for so long that it is better not to wait."""
        deadline = time.monotonic() + CLOSING_SECONDS
        for thread in self._closing:
            if thread is not threading.current_thread():
                thread.join(max(0.0, deadline - time.monotonic()))

    def _open(self) -> None:
        try:
            worker = self._open_worker()
        except SandboxError as error:
            self._deliver(error)
        except Exception as error:  # a tier's mistake must not cost a worker for good
            self._deliver(SandboxError(f"{type(error).__name__}: {error}"))
        else:
            self._deliver(worker)


def _start(target: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=target, name="gasp-sandbox-crew", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no more threads, or the interpreter is about to end
        thread = threading.current_thread()
        target()
    return thread
