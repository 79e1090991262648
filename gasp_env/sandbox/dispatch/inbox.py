"""Messages from other threads to a thread that waits in a poll."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable

#: A function that the owner's thread calls with the current time, on the monotonic clock.
Message = Callable[[float], None]


class Inbox:
    """Messages for one thread, and a pipe that becomes readable when one arrives."""

    def __init__(self) -> None:
        """Open the pipe."""
        self._messages: deque[Message] = deque()
        self._lock = threading.Lock()
        self._closed = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Its open file descriptors; none once it is closed."""
        return () if self._closed else (self._reader, self._writer)

    def fileno(self) -> int:
        """Return the descriptor to poll."""
        return self._reader

    def post(self, message: Message) -> bool:
        """Leave a message; False if the inbox is closed and nothing will read it."""
        with self._lock:
            if self._closed:
                return False
            self._messages.append(message)
            with contextlib.suppress(BlockingIOError):  # a full pipe is readable, which is all that is needed
                os.write(self._writer, b"\0")
            return True

    def read(self, now: float) -> None:
        """Execute the messages that have arrived."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4096)
        while self._messages:
            self._messages.popleft()(now)

    def close(self, now: float) -> None:
        """Accept no more messages, and execute those that have arrived."""
        with self._lock:
            self._closed = True
            os.close(self._reader)
            os.close(self._writer)
        while self._messages:
            self._messages.popleft()(now)
