"""`Sandbox`: give it runs, get results in order, whatever the programs or the machine do.

The queue is here, on the host. A worker is asked for a few runs at a time; if it dies, another
is started and asked for what is still unanswered. A run that was in flight at two deaths is asked
for alone, so that a third death is its own doing: ``worker_killed``. When no worker can be had
any more, what is left becomes ``infra_error``.
"""

from __future__ import annotations

import atexit
import itertools
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Protocol

from gasp_env.sandbox import reports
from gasp_env.sandbox.docker import DockerWorker
from gasp_env.sandbox.errors import SandboxError, WorkerLost
from gasp_env.sandbox.runs import Result, Run, Status


class Worker(Protocol):
    """What a tier provides: a started worker and a stream of frames to and from it."""

    tier: str
    hello: dict[str, Any]

    def fileno(self) -> int:
        """What to poll."""

    def send(self, data: memoryview) -> int:
        """Write what can be written without waiting; WorkerLost if nobody reads."""

    def receive(self) -> list[bytes]:
        """The frames that became complete, without waiting; WorkerLost if there will be no more."""

    def close(self) -> None:
        """End the worker and everything in it."""


#: Tiers by name, safest first: ``auto`` takes the first that opens.
TIERS: dict[str, Callable[[int, str | None], Worker]] = {"docker": DockerWorker}

#: Runs a worker is given ahead, so that it never waits for us.
IN_FLIGHT = 64
#: Silence of a worker, beyond the longest deadline in flight, after which it counts as dead.
GRACE_SECONDS = 20.0
#: Deaths in a row, without one answer between them, after which the machine is to blame.
MAX_BARREN_DEATHS = 4


@dataclass
class _Asked:
    """A distinct run of a batch, and what became of it."""

    run: Run
    payload: bytes
    deaths: int = 0
    result: Result | None = None


class Sandbox:
    """Executes programs where they can do no harm and forge no verdict.

    Opened at its first run. Thread-safe: batches of several threads take turns.

    Attributes:
        runs: executions done.
        requested: runs asked for; more than ``runs`` where a batch repeats itself.
    """

    def __init__(self, tier: str = "auto", workers: int | None = None, image: str | None = None) -> None:
        """Describe a sandbox; nothing is started yet.

        Args:
            tier: ``"docker"``, or ``"auto"`` for the first tier that opens.
            workers: programs executed at once, by default two per processor: while one is being
                forked or cleared away, another computes.
            image: docker image, by default the one made from `sandbox_image`.

        Raises:
            ValueError: there is no such tier, or ``workers`` is not positive.
        """
        if tier != "auto" and tier not in TIERS:
            raise ValueError(f"tier must be auto or one of {', '.join(TIERS)}, not {tier!r}")
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        self.runs = 0
        self.requested = 0
        self._asked_tier = tier
        self._workers = workers or 2 * (os.cpu_count() or 1)
        self._image = image
        self._worker: Worker | None = None
        self._owner = os.getpid()
        self._lock = threading.RLock()
        self._numbers = itertools.count(1)

    @property
    def tier(self) -> str:
        """The tier in use; before it is opened, the one asked for."""
        return self._worker.tier if self._worker is not None else self._asked_tier

    def open(self) -> None:
        """Start a worker now rather than at the first run.

        Raises:
            SandboxError: no tier can be opened; the message says what to do.
        """
        with self._lock:
            if self._owner != os.getpid():  # after a fork the worker is still our parent's
                self._worker, self._owner = None, os.getpid()
            if self._worker is None:
                self._worker = self._start()

    def close(self) -> None:
        """End the worker. The sandbox may be opened again."""
        with self._lock:
            worker, self._worker = self._worker, None
            if worker is not None and self._owner == os.getpid():
                worker.close()

    def __enter__(self) -> Sandbox:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run_many(self, runs: Iterable[Run]) -> list[Result]:
        """Execute runs and return their results in order.

        Runs that are equal are executed once. A program's behaviour is never an exception here,
        and neither is a worker that dies: such runs are asked for again.

        Raises:
            SandboxError: no tier can be opened at all.
            Unserializable: an input is no exact built-in value (see `gasp_env.values`).
            ValueError: a hash seed is not one of `runs.HASH_SEEDS`, or a limit is out of range.
        """
        asked = [_ask(run) for run in runs]
        distinct: dict[Any, _Asked] = {}
        keys = []
        for one in asked:
            key = (one.payload, one.run.hash_seed, one.run.limits)
            distinct.setdefault(key, one)
            keys.append(key)
        with self._lock:
            self.requested += len(asked)
            todo = deque(one for one in distinct.values() if one.result is None)
            if todo:
                self.open()
                self._answer(todo)
        return [distinct[key].result or _infra_error("was never answered") for key in keys]

    def _start(self) -> Worker:
        names = list(TIERS) if self._asked_tier == "auto" else [self._asked_tier]
        reasons = []
        for name in names:
            try:
                return TIERS[name](self._workers, self._image)
            except SandboxError as error:
                reasons.append(str(error))
        raise SandboxError("; ".join(reasons))

    def _answer(self, todo: deque[_Asked]) -> None:
        """Ask until every run has a result."""
        suspects: deque[_Asked] = deque()
        barren = 0
        reason = ""
        while todo or suspects:
            if barren >= MAX_BARREN_DEATHS:
                for one in (*todo, *suspects):
                    one.result = _infra_error(reason)
                return
            answered = self.runs
            flying: dict[int, _Asked] = {}
            try:
                self.open()
                if todo:
                    self._stream(todo, flying)
                else:
                    self._stream(deque([suspects[0]]), flying)
                    suspects.popleft()
            except (WorkerLost, SandboxError) as error:
                reason = str(error)
                self.close()
                barren = 0 if self.runs > answered else barren + 1
                if not todo and suspects and any(one is suspects[0] for one in flying.values()):
                    suspects.popleft().result = Result(
                        Status.WORKER_KILLED, error=f"ended the worker when run alone: {reason}"
                    )
                    barren = 0
                    continue
                for one in flying.values():
                    one.deaths += 1
                    (suspects if one.deaths >= 2 else todo).append(one)
                if isinstance(error, SandboxError):
                    time.sleep(0.5 * barren)
            except BaseException:  # an interrupt: what is in flight would answer to nobody
                self.close()
                raise

    def _stream(self, todo: deque[_Asked], flying: dict[int, _Asked]) -> None:
        """Keep the worker busy until ``todo`` is empty and nothing is in flight.

        Raises:
            WorkerLost: with the unanswered runs left in ``flying``.
        """
        worker = self._worker
        assert worker is not None
        poll = select.poll()
        unsent = memoryview(b"")
        heard = time.monotonic()
        while todo or flying:
            while todo and len(flying) < IN_FLIGHT:
                batch = []
                while todo and len(flying) < IN_FLIGHT:
                    one, number = todo.popleft(), next(self._numbers)
                    flying[number] = one
                    batch.append(reports.run_frame(number, one.run, one.payload))
                unsent = memoryview(b"".join([unsent, *batch]))
            if unsent:
                unsent = unsent[worker.send(unsent) :]
            poll.register(worker, select.POLLIN | (select.POLLOUT if unsent else 0))
            poll.poll(1000)
            now = time.monotonic()
            for frame in worker.receive():
                self._take(frame, flying, worker.tier)
                heard = now
            patience = GRACE_SECONDS + max(
                (one.run.limits.wall_seconds for one in flying.values()), default=0
            )
            if now - heard > patience:
                raise WorkerLost(f"the worker was silent for {patience:g} s")

    def _take(self, frame: bytes, flying: dict[int, _Asked], tier: str) -> None:
        try:
            one = flying.pop(reports.number_of(frame))
        except (ValueError, KeyError):
            raise WorkerLost("the worker answered what nobody asked") from None
        one.result = reports.result(frame, one.run, tier)
        self.runs += 1


_shared: dict[tuple[Any, ...], Sandbox] = {}
_shared_lock = threading.Lock()


def shared(tier: str = "auto", **options: Any) -> Sandbox:
    """The process's one sandbox of this tier and these options, closed at exit."""
    key = (os.getpid(), tier, *sorted(options.items()))
    with _shared_lock:
        if key not in _shared:
            _shared[key] = Sandbox(tier, **options)
            atexit.register(_shared[key].close)
        return _shared[key]


def _ask(run: Run) -> _Asked:
    reports.check(run)
    if len(run.program) > reports.MAX_PROGRAM:
        error = f"the program has {len(run.program)} characters, at most {reports.MAX_PROGRAM} are allowed"
        return _Asked(run, repr(hash(run.program)).encode(), result=Result(Status.COMPILE_ERROR, error=error))
    return _Asked(run, reports.payload(run))


def _infra_error(reason: str) -> Result:
    return Result(Status.INFRA_ERROR, error=f"the sandbox failed: {reason}")
