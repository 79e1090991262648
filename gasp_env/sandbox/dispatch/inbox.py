"""How other threads reach one that sits in a poll."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable

#: Called by the owner's thread with the time, on the monotonic clock, at which it was read.
Message = Callable[[float], None]


class Inbox:
    """Messages for one thread, and a pipe that becomes readable when there are some."""

    def __init__(self) -> None:
        """Open it."""
        self._messages: deque[Message] = deque()
        self._lock = threading.Lock()
        self._closed = False
        self._reader, self._writer = os.pipe()
        os.set_blocking(self._reader, False)
        os.set_blocking(self._writer, False)

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What is open of it."""
        return () if self._closed else (self._reader, self._writer)

    def fileno(self) -> int:
        """What to poll."""
        return self._reader

    def post(self, message: Message) -> bool:
        """Leave a message; False if nobody will read it any more."""
        with self._lock:
            if self._closed:
                return False
            self._messages.append(message)
            with contextlib.suppress(BlockingIOError):  # full: it will wake all the same
                os.write(self._writer, b"\0")
            return True

    def read(self, now: float) -> None:
        """Do what the messages say."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._reader, 4096)
        while self._messages:
            self._messages.popleft()(now)

    def close(self, now: float) -> None:
        """Take no more messages, and do what those left say."""
        with self._lock:
            self._closed = True
            os.close(self._reader)
            os.close(self._writer)
        while self._messages:
            self._messages.popleft()(now)
