"""One run in progress, as the supervisor holds it: our ends of the child's socket and pipes."""

from __future__ import annotations

import os
import select
import socket
import time
from dataclasses import dataclass

from sandbox_image.worker import wire

_CHUNK = 2**16


@dataclass(frozen=True)
class Pending:
    """A run that waits for a zygote."""

    number: int
    wall_seconds: float
    cpu_seconds: int
    memory_bytes: int
    report_bytes: int
    stdout_bytes: int
    payload: bytes


class Execution:
    """What a child is given and what comes out of it, every stream counted and capped.

    Attributes:
        how: one of ``wire.HOW_*``; anything but ``HOW_EXIT`` means that the child must die.
        watched: whether the streams are looked at before the child has ended.
    """

    def __init__(self, run: Pending, control: socket.socket) -> None:
        """Hand the run to the zygote behind ``control``, which forks a child for it."""
        self.run = run
        self.how = wire.HOW_EXIT
        self.watched = False
        self.killed_at = 0.0
        self.kill_next = 0.0
        self.report = bytearray()
        self.printed = (bytearray(), bytearray())
        self.printed_bytes = 0
        self.channel, theirs = socket.socketpair()
        stdout, their_stdout = os.pipe()
        stderr, their_stderr = os.pipe()
        self.pipes = (stdout, stderr)
        for descriptor in self.pipes:
            os.set_blocking(descriptor, False)
        self.unsent = memoryview(wire.frame(run.payload))
        self.send()  # first, so that the child finds it
        socket.send_fds(
            control,
            [wire.FORK.pack(run.cpu_seconds, run.memory_bytes)],
            [theirs.fileno(), their_stdout, their_stderr],
        )
        theirs.close()
        os.close(their_stdout)
        os.close(their_stderr)
        self.started = time.monotonic()
        self.deadline = self.started + run.wall_seconds

    @property
    def descriptors(self) -> tuple[int, int, int]:
        """Everything the child can write to."""
        return (self.channel.fileno(), *self.pipes)

    def send(self) -> None:
        """Write what fits of the payload."""
        try:
            self.unsent = self.unsent[self.channel.send(self.unsent, socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            pass
        except OSError:  # the child is gone
            self.unsent = memoryview(b"")

    def pump(self, descriptor: int, events: int) -> bool:
        """Serve one descriptor that stirred; False when nothing more will come from it."""
        if descriptor == self.channel.fileno():
            if events & select.EPOLLOUT and self.unsent:
                self.send()
                if not self.unsent:
                    return False
            return not events & ~select.EPOLLOUT or self._read_report()
        return self._read_printed(self.pipes.index(descriptor))

    def drain(self) -> None:
        """Take what a dead child left behind."""
        while self._read_report():
            pass
        self.channel.close()  # with it go descriptors the child may have sent into it
        for index in range(2):
            while self._read_printed(index):
                pass
            os.close(self.pipes[index])

    def _read_report(self) -> bool:
        if len(self.report) > self.run.report_bytes:
            self.how = self.how or wire.HOW_FLOOD
            return False
        try:
            data = self.channel.recv(_CHUNK, socket.MSG_DONTWAIT)
        except OSError:
            return False
        self.report += data
        return bool(data)

    def _read_printed(self, index: int) -> bool:
        if self.printed_bytes > wire.MAX_PRINTED:
            self.how = self.how or wire.HOW_FLOOD
            return False
        try:
            data = os.read(self.pipes[index], _CHUNK)
        except OSError:
            return False
        kept = self.printed[index]
        kept += data[: self.run.stdout_bytes - len(kept)]
        self.printed_bytes += len(data)
        return bool(data)
