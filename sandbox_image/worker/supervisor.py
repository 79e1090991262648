"""PID 1 of the sandbox: takes runs from the host, hands them to zygotes, keeps every deadline.

One thread, one epoll. It moves bytes and counts them but never interprets what a program wrote.
It dies rather than repair itself: a zygote that ends, a child that will not die or a malformed
frame from the host means that something is wrong that nobody has thought of, and the kernel
cleans a pid namespace up better than any code. The host starts another and asks again. It also
dies when its standard input closes, so that no container outlives the process that opened it.

Started as ``python -m sandbox_image.worker.supervisor WORKERS``.
"""

from __future__ import annotations

import json
import os
import platform
import select
import signal
import socket
import subprocess
import sys
import time
from collections import deque
from dataclasses import dataclass
from typing import NoReturn

from sandbox_image.worker import codec, wire
from sandbox_image.worker.confine import hide_memory
from sandbox_image.worker.execution import Execution, Pending

HASH_SEEDS = (0, 1, 2, 3)
#: Streams of a run that is still going are first looked at after this long. Most runs are over by
#: then, and what they wrote is read at once from pipes that have already closed.
PATIENCE = 0.02
KILL_AGAIN = 0.05
KILL_GIVES_UP = 10.0
READY_WITHIN = 30.0

ENVIRONMENT = {
    "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
    "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONIOENCODING": "utf-8:strict",
    "PYTHONNOUSERSITE": "1",
    "PYTHONSAFEPATH": "1",
    "PYTHONWARNINGS": "ignore",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "HOME": "/",
    "MALLOC_ARENA_MAX": "1",
}

#: What an empty program's child peaks at is what every child's memory is counted from.
IDLE = Pending(
    0, 10.0, 10, 2**28, 2**16, 0, codec.encode(("f = int", "f", 1024, (codec.encode(()),)), keep_order=True)
)


@dataclass
class Slot:
    """A zygote and what it is busy with."""

    seed: int
    process: subprocess.Popen[bytes]
    control: socket.socket
    execution: Execution | None = None
    idle_bytes: int = 0


class Supervisor:
    """The event loop. What it does not do is in the module's docstring."""

    def __init__(self, workers: int) -> None:
        hide_memory()
        self.frames = wire.Frames()
        self.outgoing: list[bytes] = []
        self.waiting: dict[int, deque[Pending]] = {seed: deque() for seed in HASH_SEEDS}
        self.slots = [_start_zygote(seed) for seed in HASH_SEEDS for _ in range(workers if seed == 0 else 1)]
        self.by_control = {slot.control.fileno(): slot for slot in self.slots}
        self.by_stream: dict[int, Slot] = {}
        for slot in self.slots:
            slot.idle_bytes = _measure_idle(slot)
        self.epoll = select.epoll()
        for descriptor in (0, *self.by_control):
            self.epoll.register(descriptor, select.EPOLLIN)

    def serve(self) -> NoReturn:
        """Run until standard input closes."""
        hello = {"python": platform.python_version(), "machine": platform.machine(), "seeds": HASH_SEEDS}
        self.outgoing.append(wire.frame(bytes([wire.KIND_HELLO]), json.dumps(hello).encode()))
        while True:
            self._flush()
            for descriptor, events in self.epoll.poll(self._timeout()):
                if descriptor == 0:
                    self._read_host()
                elif descriptor in self.by_control:
                    self._finish(self.by_control[descriptor])
                elif descriptor in self.by_stream:
                    self._pump(self.by_stream[descriptor], descriptor, events)
            self._keep_deadlines()
            self._dispatch()

    def _read_host(self) -> None:
        data = os.read(0, 2**20)
        if not data:
            os._exit(0)
        for frame in self.frames.feed(data):
            kind, number, seed, wall, cpu, memory, report, stdout = wire.RUN.unpack_from(frame)
            if kind != wire.KIND_RUN or seed not in self.waiting:
                _die(f"the host sent a frame of kind {kind} for hash seed {seed}")
            run = Pending(number, wall, cpu, memory, report, stdout, frame[wire.RUN.size :])
            self.waiting[seed].append(run)

    def _flush(self) -> None:
        data = memoryview(b"".join(self.outgoing))
        self.outgoing.clear()
        while data:
            data = data[os.write(1, data) :]

    def _dispatch(self) -> None:
        for slot in self.slots:
            if slot.execution is None and self.waiting[slot.seed]:
                slot.execution = Execution(self.waiting[slot.seed].popleft(), slot.control)
                if slot.execution.unsent:
                    self._watch(slot, slot.execution)

    def _finish(self, slot: Slot) -> None:
        """A zygote reports that its child is dead: collect what is left and tell the host."""
        packet, execution = slot.control.recv(wire.EXIT.size), slot.execution
        if not packet or execution is None:
            _die(f"zygote {slot.process.pid} ended with status {slot.process.poll()}")
        wall_seconds = time.monotonic() - execution.started
        status, cpu_seconds, peak_kilobytes = wire.EXIT.unpack(packet)
        self._unwatch(execution)
        execution.drain()
        slot.execution = None
        out, err = execution.printed
        report = execution.report if execution.how == wire.HOW_EXIT else b""
        head = wire.ENDED.pack(
            wire.KIND_ENDED,
            execution.run.number,
            execution.how,
            status,
            cpu_seconds,
            wall_seconds,
            max(0, peak_kilobytes * 1024 - slot.idle_bytes),
            len(out),
            len(err),
            len(report),
        )
        self.outgoing.append(wire.frame(head, bytes(out), bytes(err), bytes(report)))

    def _pump(self, slot: Slot, descriptor: int, events: int) -> None:
        execution = slot.execution
        if execution is None:
            return
        had_unsent = bool(execution.unsent)
        if not execution.pump(descriptor, events):
            if had_unsent and not execution.unsent and descriptor == execution.channel.fileno():
                self.epoll.modify(descriptor, select.EPOLLIN)
            else:
                self._forget(descriptor)
        if execution.how != wire.HOW_EXIT and not execution.killed_at:
            self._kill(slot, execution, execution.how)

    def _timeout(self) -> float:
        """Seconds until something is due even if no descriptor stirs."""
        now, due = time.monotonic(), 3600.0
        for slot in self.slots:
            execution = slot.execution
            if execution is not None:
                if execution.killed_at:
                    due = min(due, execution.kill_next - now)
                else:
                    due = min(due, execution.deadline - now)
                    if not execution.watched:
                        due = min(due, execution.started + PATIENCE - now)
        return max(0.0, due)

    def _keep_deadlines(self) -> None:
        now = time.monotonic()
        for slot in self.slots:
            execution = slot.execution
            if execution is None:
                continue
            if execution.killed_at:
                if now > execution.killed_at + KILL_GIVES_UP:
                    _die("a child did not die of SIGKILL")
                if now >= execution.kill_next:
                    self._kill(slot, execution, execution.how)
            elif now >= execution.deadline:
                self._kill(slot, execution, wire.HOW_WALL)
            elif not execution.watched and now >= execution.started + PATIENCE:
                self._watch(slot, execution)

    def _kill(self, slot: Slot, execution: Execution, how: int) -> None:
        """Have the zygote kill its child: only the parent can be sure that the pid is still the child's."""
        now = time.monotonic()
        if not execution.killed_at:
            self._unwatch(execution)
            execution.how, execution.killed_at = how, now
        execution.kill_next = now + KILL_AGAIN
        slot.process.send_signal(signal.SIGUSR1)

    def _watch(self, slot: Slot, execution: Execution) -> None:
        execution.watched = True
        for descriptor in execution.descriptors:
            self.by_stream[descriptor] = slot
            self.epoll.register(descriptor, select.EPOLLIN)
        if execution.unsent:
            self.epoll.modify(execution.channel.fileno(), select.EPOLLIN | select.EPOLLOUT)

    def _unwatch(self, execution: Execution) -> None:
        if execution.watched:
            for descriptor in execution.descriptors:
                self._forget(descriptor)

    def _forget(self, descriptor: int) -> None:
        if self.by_stream.pop(descriptor, None) is not None:
            self.epoll.unregister(descriptor)


def _start_zygote(seed: int) -> Slot:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    process = subprocess.Popen(
        [sys.executable, "-m", "sandbox_image.worker.zygote", str(theirs.fileno())],
        env=ENVIRONMENT | {"PYTHONHASHSEED": str(seed)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        pass_fds=[theirs.fileno()],
    )
    theirs.close()
    ours.settimeout(READY_WITHIN)
    return Slot(seed, process, ours)


def _measure_idle(slot: Slot) -> int:
    """Wait until the zygote is ready, let it fork once, and return that child's peak memory in bytes."""
    try:
        if not slot.control.recv(wire.READY.size):
            _die(f"a zygote ended with status {slot.process.wait()} before it was ready")
        execution = Execution(IDLE, slot.control)
        status, _, peak_kilobytes = wire.EXIT.unpack(slot.control.recv(wire.EXIT.size))
    except TimeoutError:
        _die(f"a zygote was not ready within {READY_WITHIN} s")
    execution.drain()
    if status != 0:
        _die(f"an empty program ended with status {status}")
    slot.control.settimeout(None)
    return int(peak_kilobytes) * 1024


def _die(why: str) -> NoReturn:
    print(f"supervisor: {why}", file=sys.stderr, flush=True)
    os._exit(1)


if __name__ == "__main__":
    Supervisor(int(sys.argv[1])).serve()
