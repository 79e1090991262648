"""Workers without a process behind them: a thread that reads frames and answers as a test wants.

A "program" is a word and an argument: ``echo`` returns its arguments, ``sleep 0.1 x`` takes its time,
``die`` ends the worker, ``silence`` never answers, ``garbage`` and ``stranger`` answer nonsense, ``killed 2`` is killed
twice, ``fail`` ends with an exception, ``obey`` executes its only argument. A `World` can
make workers fail to open, or compute wrongly.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from gasp_env.sandbox import tiers
from gasp_env.sandbox.dispatch.canary import _PROGRAM as CANARY
from gasp_env.sandbox.errors import SandboxError, WorkerLost
from gasp_env.sandbox.tiers.worker import Settings
from sandbox_image.worker import codec, wire


class Died(Exception):
    """The worker ends."""


class World:
    """All fake workers of a test, and what they do.

    Attributes:
        opened, closed: the workers, in order.
        executed: programs and how often they were started.
        fail: called before a worker opens; raises, or returns nothing.
        wrong: whether a worker computes wrongly.
        on_run: called with the worker and the program when one is started.
    """

    def __init__(self) -> None:
        self.indices = itertools.count()
        self.opened: list[FakeWorker] = []
        self.closed: list[FakeWorker] = []
        self.executed: Counter[str] = Counter()
        self.canaries = 0
        self.fail: Callable[[], None] = lambda: None
        self.wrong: Callable[[FakeWorker], bool] = lambda worker: False
        self.on_run: Callable[[FakeWorker, str], None] = lambda worker, program: None
        self.hello: dict[str, Any] = {"profiles": ["value", "stdin"], "seccomp": True, "landlock": 7}

    def open(self, tier: str, settings: Settings, warn: Any = None) -> FakeWorker:
        self.fail()
        return FakeWorker(self)

    @property
    def alive(self) -> list[FakeWorker]:
        return [worker for worker in self.opened if worker not in self.closed]

    def close(self) -> None:
        for worker in self.alive:
            worker.close()


class FakeWorker:
    """See the module's docstring."""

    tier = "docker"
    identity = "fake"

    def __init__(self, world: World) -> None:
        self.world = world
        self.hello = dict(world.hello)
        self.index = next(world.indices)
        self.asked: list[str] = []
        self._frames = wire.Frames()
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._waiting: deque[bytes] = deque()
        self._changed = threading.Condition()
        self._dead = False
        self._threads = [threading.Thread(target=one, daemon=True) for one in (self._read, self._serve)]
        for thread in self._threads:
            thread.start()
        world.opened.append(self)

    def fileno(self) -> int:
        return self._ours.fileno()

    def send(self, data: memoryview) -> int:
        try:
            return self._ours.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise WorkerLost(str(error)) from error

    def receive(self) -> list[bytes]:
        try:
            data = self._ours.recv(2**20)
        except BlockingIOError:
            return []
        except OSError as error:
            raise WorkerLost(str(error)) from error
        if not data:
            raise WorkerLost("the fake worker died")
        try:
            return self._frames.feed(data)
        except ValueError as error:
            raise WorkerLost(str(error)) from error

    def close(self) -> None:
        self.world.closed.append(self)
        self.kill()
        for thread in self._threads:
            thread.join(10)
        self._ours.close()
        self._theirs.close()

    def kill(self) -> None:
        """From outside, as with kill -9."""
        with contextlib.suppress(OSError):
            self._theirs.shutdown(socket.SHUT_RDWR)

    def _serve(self) -> None:
        """Execute one program after another."""
        try:
            while True:
                with self._changed:
                    self._changed.wait_for(lambda: self._dead or self._waiting)
                    if self._dead:
                        return
                    run = self._waiting.popleft()
                self._say(self._execute(run))
        except (Died, OSError):
            self.kill()

    def _read(self) -> None:
        """Take in what the host sends, also while a program runs."""
        frames = wire.Frames()
        with contextlib.suppress(OSError):
            while data := self._theirs.recv(2**20):
                for frame in frames.feed(data):
                    self._take(frame)
        with self._changed:
            self._dead = True
            self._changed.notify_all()

    def _take(self, frame: bytes) -> None:
        kind, number = struct.unpack_from(">BQ", frame)
        with self._changed:
            if kind == wire.KIND_RUN:
                self._waiting.append(frame)
                self._changed.notify_all()
                return
            if kind == wire.KIND_KILL:  # what it would end takes no time here worth ending
                return
            for run in self._waiting:
                if _number(run) == number:
                    self._waiting.remove(run)
                    self._say(wire.frame(frame))
                    return

    def _say(self, data: bytes) -> None:
        with self._changed:
            self._theirs.sendall(data)

    def _execute(self, run: bytes) -> bytes:
        payload = codec.decode(run[wire.RUN.size : len(run) - _stdin_bytes(run)], keep_order=True)
        program, inputs = payload[0], [codec.decode(one, keep_order=True) for one in payload[-1]]
        if program == CANARY:
            self.world.canaries += 1
            return _answer(_number(run), [self._canary(*one) for one in inputs])
        if program == "obey":
            program = inputs[0][0]
        word, _, argument = program.partition(" ")
        self.asked.append(program)
        self.world.executed[program] += 1
        self.world.on_run(self, program)
        if word == "die":
            raise Died
        if word == "sleep":
            time.sleep(float(argument.split()[0]))
        if word == "silence":
            threading.Event().wait(60 if self not in self.world.closed else 0)
            raise Died
        if word == "fail":
            return _answer(_number(run), [("exception", f"ValueError: {argument}")])
        if word == "garbage":
            return b"\xff" * 100
        if word == "stranger":
            return _answer(12345678, [])
        if word == "killed":  # as often as it says
            left = int(argument) - self.world.executed[program]
            return _answer(_number(run), [("ok", one) for one in inputs], wait_status=9 if left >= 0 else 0)
        if word == "short":
            return wire.frame(wire.ENDED.pack(wire.KIND_ENDED, _number(run), 0, 0, 0, 0, 0, 0, 0, 0)[:9])
        wrong = self.world.wrong(self)
        return _answer(_number(run), [("ok", ("wrong",) if wrong else one) for one in inputs])

    def _canary(self, what: str, argument: Any) -> tuple[str, Any]:
        if what == "value":
            value = [sum(n * n for n in argument), sorted(argument), {str(n): n / 7 for n in argument}]
            return ("ok", 0 if self.world.wrong(self) else value)
        if what == "hash":
            return ("ok", 42)
        return ("exception", f"ValueError: {argument}") if what == "exception" else ("ok", "PermissionError")


def _number(run: bytes) -> int:
    return int(struct.unpack_from(">BQ", run)[1])


def _stdin_bytes(run: bytes) -> int:
    return int(wire.RUN.unpack_from(run)[-1])


def _answer(number: int, calls: list[tuple[str, Any]], wait_status: int = 0) -> bytes:
    claims = tuple(
        ("ok", codec.encode(value, keep_order=True), "") if word == "ok" else (word, b"", value)
        for word, value in calls
    )
    report = wire.frame(codec.encode(("ok", "", claims), keep_order=True))
    head = wire.ENDED.pack(
        wire.KIND_ENDED, number, wire.HOW_EXIT, wait_status, 0.001, 0.002, 1000, 0, 0, len(report)
    )
    return wire.frame(head, report)


def install(monkeypatch: Any) -> World:
    """Let every sandbox of this test open fake workers."""
    world = World()
    monkeypatch.setattr(tiers, "open_worker", world.open)
    return world


def failing(times: int, world: World) -> None:
    """Let opening fail so many times, then succeed."""
    left = [times]

    def fail() -> None:
        if left[0]:
            left[0] -= 1
            raise SandboxError("the daemon does not answer")

    world.fail = fail
