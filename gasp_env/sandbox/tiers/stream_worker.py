"""What workers of all tiers share: a socket to the supervisor and the frames on it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import select
import socket
import time
import weakref
from typing import Any

from gasp_env.sandbox.errors import WorkerLost
from sandbox_image.worker import wire

_HELLO_SECONDS = 60.0
_MAX_DIAGNOSTICS = 8192
_CHUNK = 2**20


def disown_all() -> None:
    """In a forked child: let go of all workers, those that are just being opened or closed too."""
    for worker in list(_living):
        worker.disown()


class StreamWorker:
    """One end of a socket whose other end is the standard input and output of a supervisor.

    Attributes:
        tier: which walls are around it.
        hello: what the supervisor said of itself when it was ready.
        identity: hash of what decides a run's result: worker code, interpreter, machine.
    """

    tier = ""

    def __init__(self) -> None:
        self.hello: dict[str, Any] = {}
        self.identity = ""
        self._frames = wire.Frames()
        self._diagnostics = bytearray()
        self._socket: socket.socket
        _living.add(self)

    def fileno(self) -> int:
        """For polling."""
        return self._socket.fileno()

    def send(self, data: memoryview) -> int:
        """Write what the socket takes without waiting.

        Raises:
            WorkerLost: nobody reads any more.
        """
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise WorkerLost(f"{error}. {self.diagnostics()}") from error

    def receive(self) -> list[bytes]:
        """The frames that became complete, without waiting.

        Raises:
            WorkerLost: the supervisor has ended, or what it sends makes no sense.
        """
        try:
            data = self._socket.recv(_CHUNK)
        except BlockingIOError:
            return []
        except OSError as error:
            raise WorkerLost(f"{error}. {self.diagnostics()}") from error
        if not data:
            raise WorkerLost(f"it ended. {self.diagnostics()}")
        try:
            return self._cut(data)
        except ValueError as error:
            raise WorkerLost(f"{error}. {self.diagnostics()}") from error

    def diagnostics(self) -> str:
        """The end of what the supervisor and its zygotes wrote to their standard error."""
        return self._diagnostics.decode("utf-8", "replace").strip()

    def close(self) -> None:
        """End the worker; errors are of no interest any more."""
        with contextlib.suppress(AttributeError, OSError):
            self._socket.close()

    def disown(self) -> None:
        """In a forked child: let go of a worker that is the parent's, without a word to it.

        Our copies of the descriptors would keep it alive when the parent is gone.
        """
        null = os.open(os.devnull, os.O_RDWR)
        for stream in self._open():
            with contextlib.suppress(OSError, ValueError):
                if stream.fileno() >= 0:
                    os.dup2(null, stream.fileno(), inheritable=False)
        os.close(null)

    def _open(self) -> list[Any]:
        """What may be open of it, also while it is being opened."""
        return [self._socket] if hasattr(self, "_socket") else []

    def _cut(self, data: bytes) -> list[bytes]:
        """The frames that these bytes complete; ValueError if there can be no such bytes."""
        return self._frames.feed(data)

    def _remember(self, diagnostics: bytes) -> None:
        self._diagnostics = (self._diagnostics + diagnostics)[-_MAX_DIAGNOSTICS:]

    def _await_hello(self) -> None:
        """Wait until the supervisor is ready.

        Raises:
            WorkerLost: it never is, or speaks another language.
        """
        deadline = time.monotonic() + _HELLO_SECONDS
        while time.monotonic() < deadline:
            select.select([self], [], [], 1.0)
            for frame in self.receive():
                try:
                    self.hello = dict(json.loads(frame[1:]))
                except ValueError:
                    raise WorkerLost("its first words make no sense") from None
                if self.hello.get("protocol") != wire.PROTOCOL:
                    said = self.hello.get("protocol")
                    raise WorkerLost(f"it speaks protocol {said}, expected {wire.PROTOCOL}")
                return
        raise WorkerLost(f"no answer within {_HELLO_SECONDS:g} s. {self.diagnostics()}")

    def _identify(self, code: str) -> None:
        """Fix the identity.

        Args:
            code: names the worker's files and interpreter, as exactly as the tier can.
        """
        said = {key: value for key, value in self.hello.items() if key != "uid"}
        text = json.dumps([code, said], sort_keys=True)
        self.identity = hashlib.sha256(text.encode()).hexdigest()


_living: weakref.WeakSet[StreamWorker] = weakref.WeakSet()
