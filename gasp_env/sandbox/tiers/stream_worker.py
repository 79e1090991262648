"""Base of workers that talk to their supervisor through a socket."""

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
from gasp_env.sandbox.tiers.worker import Settings, Worker
from sandbox_image.worker import wire

_HELLO_SECONDS = 60.0
_MAX_DIAGNOSTICS = 8192
_CHUNK = 2**20


def disown_all() -> None:
    """Let go of all workers in a forked child, including those that are being opened or closed."""
    for worker in list(_instances):
        worker.disown()


class StreamWorker(Worker):
    """One end of a socket whose other end is a supervisor's standard input and output."""

    def __init__(self, settings: Settings) -> None:
        """Prepare the stream; a subclass connects ``_socket``.

        Raises:
            SandboxError: the tier lacks consent.
        """
        super().__init__(settings)
        self._frames = wire.Frames()
        self._diagnostics = bytearray()
        self._socket: socket.socket
        _instances.add(self)

    def fileno(self) -> int:
        """Return the socket's descriptor, for polling."""
        return self._socket.fileno()

    def send(self, data: memoryview) -> int:
        """Write to the socket without waiting; return the number of bytes written.

        Raises:
            WorkerLost: the supervisor does not read any more.
        """
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise WorkerLost(f"{error}. {self.diagnostics()}") from error

    def receive(self) -> list[bytes]:
        """Return the frames that are complete, without waiting.

        Raises:
            WorkerLost: the supervisor has ended, or what it sent cannot be read.
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
            return self._split_frames(data)
        except ValueError as error:
            raise WorkerLost(f"{error}. {self.diagnostics()}") from error

    def diagnostics(self) -> str:
        """Return the end of the supervisor's and zygotes' standard error."""
        return self._diagnostics.decode("utf-8", "replace").strip()

    def close(self) -> None:
        """End the worker. Errors are ignored."""
        with contextlib.suppress(AttributeError, OSError):
            self._socket.close()

    def disown(self) -> None:
        """Let go of the parent's worker in a forked child, without sending it anything.

        The child's copies of the descriptors would keep it alive after the parent has gone.
        """
        null = os.open(os.devnull, os.O_RDWR)
        for stream in self._open_streams():
            with contextlib.suppress(OSError, ValueError):
                if stream.fileno() >= 0:
                    os.dup2(null, stream.fileno(), inheritable=False)
        os.close(null)

    def _open_streams(self) -> list[Any]:
        """Return the streams that may be open, also while the worker is being opened or closed."""
        return [self._socket] if hasattr(self, "_socket") else []

    def _split_frames(self, data: bytes) -> list[bytes]:
        """Return the frames that these bytes complete.

        Raises:
            ValueError: no supervisor sends such bytes.
        """
        return self._frames.feed(data)

    def _keep_diagnostics(self, diagnostics: bytes) -> None:
        self._diagnostics = (self._diagnostics + diagnostics)[-_MAX_DIAGNOSTICS:]

    def _await_hello(self) -> None:
        """Wait until the supervisor is ready.

        Raises:
            WorkerLost: it never is, or speaks another version of the protocol.
        """
        deadline = time.monotonic() + _HELLO_SECONDS
        while time.monotonic() < deadline:
            select.select([self], [], [], 1.0)
            for frame in self.receive():
                try:
                    self.hello = dict(json.loads(frame[1:]))
                except ValueError:
                    raise WorkerLost("its first message cannot be read") from None
                protocol = self.hello.get("protocol")
                if protocol != wire.PROTOCOL:
                    raise WorkerLost(f"expected protocol {wire.PROTOCOL}, got {protocol}")
                return
        raise WorkerLost(f"no answer within {_HELLO_SECONDS:g} s. {self.diagnostics()}")

    def _identify(self, code: str) -> None:
        """Set the identity.

        Args:
            code: name of the worker's files and interpreter, as exact as the tier can make it.
        """
        description = {key: value for key, value in self.hello.items() if key != "uid"}
        text = json.dumps([code, description], sort_keys=True)
        self.identity = hashlib.sha256(text.encode()).hexdigest()


_instances: weakref.WeakSet[StreamWorker] = weakref.WeakSet()
