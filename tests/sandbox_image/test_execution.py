"""What the supervisor takes from a child's streams."""

from __future__ import annotations

import os
import socket

import pytest

from sandbox_image.worker import execution, wire
from sandbox_image.worker.execution import Execution, Pending


def test_a_pipe_is_emptied_though_a_packet_in_it_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some kernels leave one behind a failed write; what follows it must not be the next program's."""
    (out, into_out), (err, into_err) = os.pipe(), os.pipe()
    control, zygote = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    for descriptor in (out, err):
        os.set_blocking(descriptor, False)
    run = Pending(1, wire.PROFILE_VALUE, 0, 1.0, 1, 2**20, 1, 100, 100, 100, b"", b"")
    running = Execution(run, control, (out, err), 10)
    os.write(into_out, b"LEFTOVER")
    real, reads = os.read, iter([b""])
    monkeypatch.setattr(
        execution.os,
        "read",
        lambda fd, size: next(reads, None) if fd == out and reads.__length_hint__() else real(fd, size),
    )
    zygote.close()
    running.drain()
    monkeypatch.undo()
    assert running.printed[0] == b"LEFTOVER"
    with pytest.raises(BlockingIOError):
        os.read(out, 1)
    control.close()
    for descriptor in (out, into_out, err, into_err):
        os.close(descriptor)
