"""One run in progress, as the supervisor holds it: our end of the child's socket, and the child's output.

The socket is the run's own. The pipes are the zygote's, and every child's in turn: no writer is left
when one is dead, and the rest in them is taken out before the next begins.
"""

from __future__ import annotations

import _socket
import fcntl
import os
import select
import socket
import time
from dataclasses import dataclass

from sandbox_image.worker import wire

_CHUNK = 2**16
_ADD_SEALS, _ALL_SEALS = 1033, 0b1111  # F_ADD_SEALS; seal, shrink, grow, write


@dataclass(frozen=True)
class Pending:
    """A run that waits for its turn; see `wire.RUN`."""

    number: int
    profile: int
    hash_seed: int
    wall_seconds: float
    cpu_seconds: int
    memory_bytes: int
    threads: int
    report_bytes: int
    stdout_bytes: int
    stderr_bytes: int
    payload: bytes
    stdin: bytes

    @classmethod
    def of(cls, frame: bytes) -> Pending:
        """The run that a RUN frame asks for."""
        fields = wire.RUN.unpack_from(frame)
        split = len(frame) - fields[-1]
        return cls(*(*fields[1:-1], frame[wire.RUN.size : split], frame[split:]))

    @property
    def interpreter(self) -> tuple[int, bool]:
        """The zygote it needs: the hash seed, and True for one with numpy."""
        return self.hash_seed, self.profile == wire.PROFILE_NUMPY


class Execution:
    """A child's input and output, every stream counted and capped.

    Attributes:
        how: one of ``wire.HOW_*``; anything but ``HOW_EXIT`` means that the child must die.
        watched: True if the streams are looked at before the child has ended; ``watching`` names them.
    """

    def __init__(
        self, run: Pending, control: socket.socket, printing: tuple[int, int], processes: int
    ) -> None:
        """Hand the run to the zygote behind ``control``, which forks a child for it.

        Args:
            run: the run to execute.
            control: the zygote's socket.
            printing: the ends we read of its children's standard output and standard error.
            processes: processes and threads our user may have meanwhile, or `wire.UNCOUNTED`.
        """
        self.run = run
        self.how = wire.HOW_EXIT
        self.watched = False
        self.watching: set[int] = set()
        self.killed_at = 0.0
        self.kill_next = 0.0
        self.report = bytearray()
        self.printed = (bytearray(), bytearray())
        self.printed_bytes = 0
        self.printing = printing
        # Without the wrapping into socket.socket, which asks the kernel for each one's address.
        self.channel, theirs = _socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM, 0)
        self.unsent = memoryview(wire.frame(run.payload))
        self.send()  # first, so that the child finds it
        handed = [theirs.fileno()]
        if run.profile == wire.PROFILE_STDIN:
            handed.append(_sealed_file(run.stdin))
        socket.send_fds(control, [wire.FORK.pack(run.cpu_seconds, run.memory_bytes, processes)], handed)
        theirs.close()
        for descriptor in handed[1:]:
            os.close(descriptor)
        self.started = time.monotonic()
        self.deadline = self.started + run.wall_seconds

    @property
    def descriptors(self) -> tuple[int, int, int]:
        """Everything the child can write to."""
        return (self.channel.fileno(), *self.printing)

    def send(self) -> None:
        """Write the part of the payload that fits."""
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
        return self._read_printed(self.printing.index(descriptor))

    def drain(self) -> None:
        """Take the output that a dead child left behind."""
        while self._read_report():
            pass
        self.channel.close()  # with it go descriptors the child may have sent into it
        for index in range(2):
            while self._read_printed(index):
                pass

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
        try:
            data = os.read(self.printing[index], _CHUNK)
        except OSError:  # empty; since we hold the other end too, nothing read is not the end of it
            return False
        kept = self.printed[index]
        most = self.run.stderr_bytes if index else self.run.stdout_bytes
        kept += data[: most - len(kept)]
        self.printed_bytes += len(data)
        if self.printed_bytes > wire.MAX_PRINTED:
            self.how = self.how or wire.HOW_FLOOD
        return True


def _sealed_file(content: bytes) -> int:
    """A file in memory that can no longer be changed, at its beginning, as a judge's ``< input`` is."""
    descriptor = os.memfd_create("stdin", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    left = memoryview(content)
    while left:
        left = left[os.write(descriptor, left) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    fcntl.fcntl(descriptor, _ADD_SEALS, _ALL_SEALS)
    return descriptor
