"""The head of a worker: takes runs from the host, has zygotes fork for them, keeps every deadline.

One run at a time: while a program is alive no other is, so that its effects on threads, memory,
locks or signals have no neighbour to meet. In a container it is PID 1.

One thread, one epoll. It moves bytes and counts them but never interprets a program's output.
It dies rather than repair itself: a zygote that ends, a child that will not die or a malformed
frame from the host is a fault that was not foreseen, and the kernel
cleans a pid namespace up better than any code. The host starts another and asks again. It also
dies when its standard input closes, so that nothing outlives the process that opened it.

Started as ``python -m sandbox_image.worker.supervisor OPTIONS``, a JSON object with any of

    seccomp    install our system call filters (true)
    landlock   "try" (the default), "require" or "off"
    user       become this user and group first (null: keep the present ones)
    own_user   our user id is used by no foreign process, so processes and threads can be counted by it (true)
    companions processes that our user has beside the supervisor and its zygotes (0)
    socket     path of a Unix socket to serve on instead of standard input and output
    unsafe     neither filter nor Landlock, and under any user (false)
"""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
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
from typing import Any, NoReturn

from sandbox_image.worker import codec, confine, landlock, wire
from sandbox_image.worker.execution import Execution, Pending

HASH_SEEDS = (0, 1, 2, 3)
#: Streams of a run that is still going are first looked at after this long. Most runs are over by
#: then, and their output is read at once from pipes that have already closed.
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
    # Symbols are looked up once here rather than in every fork, where each costs a page.
    "LD_BIND_NOW": "1",
    # A zygote must have one thread when it forks.
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}

#: An empty program.
_EMPTY = codec.encode(("f = int", "f", 1024, 1000, 4300, (codec.encode(()),)), keep_order=True)


@dataclass(frozen=True)
class Options:
    """The tier's choices for its worker; see the module's docstring."""

    seccomp: bool = True
    landlock: str = "try"
    user: int | None = None
    own_user: bool = True
    companions: int = 0
    socket: str | None = None
    unsafe: bool = False


@dataclass
class Slot:
    """A zygote.

    Attributes:
        process: its process.
        control: the socket it takes orders from.
        printing: our ends of the pipes that are its children's standard output and standard error.
        printed_into: their ends, kept for `Supervisor._restore`.
        idle_bytes: peak memory of an empty program's child; every child's memory is counted from there.
    """

    process: subprocess.Popen[bytes]
    control: socket.socket
    printing: tuple[int, int]
    printed_into: tuple[int, int]
    idle_bytes: int = 0


class Supervisor:
    """The event loop. See the module's docstring for its limits."""

    def __init__(self, options: Options) -> None:
        self.options = options
        _restore_signals()
        if options.socket is not None:
            _serve_on(options.socket)
        if not options.unsafe:
            _become(options.user)
            confine.forgo_privileges()
        self.landlock = _landlock(options)
        self.frames = wire.Frames()
        self.outgoing: list[bytes] = []
        self.waiting: deque[Pending] = deque()
        self.zygotes: dict[tuple[int, bool], Slot] = {}
        self.execution: Execution | None = None
        self.slot: Slot | None = None  # the parent of the execution's child
        self.epoll = select.epoll()
        self.epoll.register(0, select.EPOLLIN)
        self._zygote(HASH_SEEDS[0], numpy=False)

    def serve(self) -> NoReturn:
        """Run until standard input closes."""
        self.outgoing.append(wire.frame(bytes([wire.KIND_HELLO]), json.dumps(self._hello()).encode()))
        while True:
            self._flush()
            for descriptor, events in self.epoll.poll(self._timeout()):
                if descriptor == 0:
                    self._read_host()
                elif self.slot is not None and descriptor == self.slot.control.fileno():
                    self._finish()
                elif self.execution is not None and descriptor in self.execution.descriptors:
                    self._pump(self.execution, descriptor, events)
                elif any(descriptor == slot.control.fileno() for slot in self.zygotes.values()):
                    _die("a zygote that had nothing to do stirred")
                # else a stream that has just ended
            self._keep_deadlines()
            if self.execution is None and self.waiting:
                self._start(self.waiting.popleft())

    def _hello(self) -> dict[str, Any]:
        numpy = ["numpy"] if importlib.util.find_spec("numpy") is not None else []
        return {
            "protocol": wire.PROTOCOL,
            "python": platform.python_version(),
            "machine": platform.machine(),
            "seeds": HASH_SEEDS,
            "profiles": ["value", "stdin", *numpy],
            "seccomp": self.options.seccomp and not self.options.unsafe,
            "landlock": self.landlock,
            "uid": os.getuid(),
        }

    def _read_host(self) -> None:
        data = os.read(0, 2**20)
        if not data:
            os._exit(0)
        for frame in self.frames.feed(data):
            if frame[0] == wire.KIND_CANCEL:
                self._take_back(frame)
                continue
            if frame[0] == wire.KIND_KILL:
                self._end_unwanted(frame)
                continue
            if frame[0] != wire.KIND_RUN:
                _die(f"the host sent a frame of kind {frame[0]}")
            self.waiting.append(Pending.of(frame))

    def _take_back(self, frame: bytes) -> None:
        """Forget a run that was not started, and say so; else its answer is on its way, or will be."""
        _, number = wire.CANCEL.unpack(frame)
        for run in self.waiting:
            if run.number == number:
                self.waiting.remove(run)
                self.outgoing.append(wire.frame(frame))
                return

    def _end_unwanted(self, frame: bytes) -> None:
        """End a run if it is on; its answer is then ignored."""
        _, number = wire.CANCEL.unpack(frame)
        execution = self.execution
        if execution is not None and execution.run.number == number and not execution.killed_at:
            self._kill(execution, wire.HOW_WALL)

    def _flush(self) -> None:
        data = memoryview(b"".join(self.outgoing))
        self.outgoing.clear()
        while data:
            data = data[os.write(1, data) :]

    def _start(self, run: Pending) -> None:
        if run.hash_seed not in HASH_SEEDS:
            _die(f"the host asked for hash seed {run.hash_seed}")
        slot = self.slot = self._zygote(*run.interpreter)
        execution = self.execution = Execution(run, slot.control, slot.printing, self._processes(run.threads))
        if execution.unsent:
            self._watch(execution)

    def _processes(self, threads: int) -> int:
        """Most processes and threads that our user may have while a run with so many threads is on."""
        if self.options.own_user:
            return 1 + self.options.companions + len(self.zygotes) + threads
        # Others of our user come and go, so that only none at all can be asked for.
        return 0 if threads == 1 else wire.UNCOUNTED

    def _zygote(self, seed: int, numpy: bool) -> Slot:
        """The zygote of this hash seed, started when it is first needed."""
        slot = self.zygotes.get((seed, numpy))
        if slot is None:
            slot = self._start_zygote(seed, numpy)
            self.zygotes[seed, numpy] = slot
            slot.idle_bytes = self._measure_idle(slot)
            self.epoll.register(slot.control.fileno(), select.EPOLLIN)
        return slot

    def _start_zygote(self, seed: int, numpy: bool) -> Slot:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        options = {
            "control": theirs.fileno(),
            "numpy": numpy,
            "seccomp": self.options.seccomp and not self.options.unsafe,
            "landlock": self.landlock > 0,
        }
        out, err = os.pipe(), os.pipe()
        process = subprocess.Popen(
            [sys.executable, "-m", "sandbox_image.worker.zygote", json.dumps(options)],
            env=ENVIRONMENT | {"PYTHONHASHSEED": str(seed)},
            stdin=subprocess.DEVNULL,
            stdout=out[1],
            stderr=err[1],
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        slot = Slot(process, ours, (out[0], err[0]), (out[1], err[1]))
        for descriptor in slot.printing:
            os.set_blocking(descriptor, False)
        return slot

    def _measure_idle(self, slot: Slot) -> int:
        """Wait until a zygote is ready, let it fork once, and return that child's peak memory in bytes."""
        slot.control.settimeout(READY_WITHIN)
        try:
            if not slot.control.recv(wire.READY.size):
                self._lost(slot, "before it was ready")
            empty = Pending(0, wire.PROFILE_VALUE, 0, 10.0, 10, 2**28, 1, 2**16, 0, 0, _EMPTY, b"")
            execution = Execution(empty, slot.control, slot.printing, self._processes(1))
            status, _, peak_kilobytes = wire.EXIT.unpack(slot.control.recv(wire.EXIT.size))
        except TimeoutError:
            _die(f"a zygote was not ready within {READY_WITHIN} s")
        execution.drain()
        if status != 0:
            _die(f"an empty program ended with status {status}")
        slot.control.settimeout(None)
        return int(peak_kilobytes) * 1024

    def _finish(self) -> None:
        """Collect the rest of a run and tell the host, after the zygote has reported that its child is dead."""
        slot, execution = self.slot, self.execution
        assert slot is not None
        packet = slot.control.recv(wire.EXIT.size)
        if not packet or execution is None:
            self._lost(slot, "with a run in flight")
        wall_seconds = time.monotonic() - execution.started
        status, cpu_seconds, peak_kilobytes = wire.EXIT.unpack(packet)
        self._unwatch(execution)
        execution.drain()
        self._restore(slot)
        self.execution = None
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

    def _restore(self, slot: Slot) -> None:
        """Undo any changes of a program to the pipes that the next one will print into.

        Flags of an open file (O_NONBLOCK and others) are shared by every process with the file open. The zygote's
        filter keeps a program from the other lasting changes, of size and owner.
        """
        for descriptor in slot.printed_into:
            fcntl.fcntl(descriptor, fcntl.F_SETFL, 0)

    def _lost(self, slot: Slot, when: str) -> NoReturn:
        """End after a zygote has ended; its last words are in the pipe of its standard error."""
        said = b""
        with contextlib.suppress(OSError):
            said = os.read(slot.printing[1], 2**16)
        _die(f"a zygote ended {when}, with status {slot.process.wait()}. {said.decode(errors='replace')}")

    def _pump(self, execution: Execution, descriptor: int, events: int) -> None:
        had_unsent = bool(execution.unsent)
        if not execution.pump(descriptor, events):
            if had_unsent and not execution.unsent and descriptor == execution.channel.fileno():
                self.epoll.modify(descriptor, select.EPOLLIN)
            else:
                self._forget(execution, descriptor)
        if execution.how != wire.HOW_EXIT and not execution.killed_at:
            self._kill(execution, execution.how)

    def _timeout(self) -> float:
        """Seconds until something is due even if no descriptor stirs."""
        execution = self.execution
        if execution is None:
            return 0.0 if self.waiting else 3600.0
        if execution.killed_at:
            due = execution.kill_next
        elif execution.watched:
            due = execution.deadline
        else:
            due = min(execution.deadline, execution.started + PATIENCE)
        return max(0.0, due - time.monotonic())

    def _keep_deadlines(self) -> None:
        execution = self.execution
        if execution is None:
            return
        now = time.monotonic()
        if execution.killed_at:
            if now > execution.killed_at + KILL_GIVES_UP:
                _die("a child did not die of SIGKILL")
            if now >= execution.kill_next:
                self._kill(execution, execution.how)
        elif now >= execution.deadline:
            self._kill(execution, wire.HOW_WALL)
        elif not execution.watched and now >= execution.started + PATIENCE:
            self._watch(execution)

    def _kill(self, execution: Execution, how: int) -> None:
        """Have the zygote kill its child: only the parent can be sure that the pid is still the child's."""
        assert self.slot is not None
        now = time.monotonic()
        if not execution.killed_at:
            self._unwatch(execution)
            execution.how, execution.killed_at = how, now
        execution.kill_next = now + KILL_AGAIN
        self.slot.process.send_signal(signal.SIGUSR1)

    def _watch(self, execution: Execution) -> None:
        execution.watched = True
        for descriptor in execution.descriptors:
            self.epoll.register(descriptor, select.EPOLLIN)
        if execution.unsent:
            self.epoll.modify(execution.channel.fileno(), select.EPOLLIN | select.EPOLLOUT)
        execution.watching = set(execution.descriptors)

    def _unwatch(self, execution: Execution) -> None:
        for descriptor in tuple(execution.watching):
            self._forget(execution, descriptor)

    def _forget(self, execution: Execution, descriptor: int) -> None:
        if descriptor in execution.watching:
            execution.watching.discard(descriptor)
            self.epoll.unregister(descriptor)


def _restore_signals() -> None:
    """Have no signal ignored or blocked that an interpreter does not ignore anyway.

    The program must not see that the host was started in the background or with nohup.
    """
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _become(user: int | None) -> None:
    """Become this user, if one is given, and check that no capability is left.

    Raises:
        SystemExit: capabilities are left, which no program may inherit.
    """
    if user is not None:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
        confine.drop_capabilities()
    left = confine.capabilities()
    if left:
        _die(f"refusing to run programs with capabilities ({left:#x})")


def _serve_on(path: str) -> None:
    """Have a socket for standard input and output."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.connect(path)
            os.dup2(connection.fileno(), 0)
            os.dup2(connection.fileno(), 1)
    except OSError as error:
        _die(f"cannot connect to {path}: {error}")


def _landlock(options: Options) -> int:
    """The version of Landlock that zygotes will be under."""
    if options.unsafe or options.landlock == "off":
        return 0
    found = landlock.version()
    if not found and options.landlock == "require":
        _die("this kernel has no Landlock (Linux 5.13 or later, enabled at boot: lsm=landlock,...)")
    return found


def _die(why: str) -> NoReturn:
    print(f"supervisor: {why}", file=sys.stderr, flush=True)
    os._exit(1)


if __name__ == "__main__":
    Supervisor(Options(**json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))).serve()
