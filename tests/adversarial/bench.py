"""A worker under observation: what hostile programs leave behind is seen after each of them.

The worker gets one run at a time, without a sandbox, which would replace it silently
when it dies. After every hostile run the same worker runs an honest one that says what it
finds, which must be what it found before the first; and from outside we look whether the worker
still is the same processes with the same descriptors.
"""

from __future__ import annotations

import itertools
import select
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gasp_env.sandbox import Limits, Result, Run, Status, frames
from gasp_env.sandbox.errors import SandboxError, WorkerLost
from gasp_env.sandbox.tiers import open_worker
from gasp_env.sandbox.tiers.worker import Settings, Worker
from tests.adversarial.case import Case
from tests.adversarial.census import Process, own_descriptors, processes_of

#: Longer than any run here may take; a worker that is silent for so long hangs.
PATIENCE = 90.0
#: What a supervisor may have grown by, beyond what it was before the first hostile program.
GROWTH = 32 * 2**20

#: Says what a program finds that another could have left: descriptors and their flags, limits, room for
#: threads, and what of the interpreter is the process's own.
OBSERVER = """
import builtins, fcntl, os, resource, signal, sys, threading

def is_open(number):
    try: return bool(os.fstat(number))
    except OSError: return False

def threads():
    go, started = threading.Event(), 0
    try:
        while started < 64:
            threading.Thread(target=go.wait, daemon=True).start()
            started += 1
    except RuntimeError: pass
    go.set()
    return started + 1

def f(mark):
    print("observed", mark)
    return mark, {
        "descriptors": [number for number in range(256) if is_open(number)],
        "flags": [fcntl.fcntl(number, fcntl.F_GETFL) for number in range(3)],
        "limits": [resource.getrlimit(limit) for limit in range(16) if limit != resource.RLIMIT_NPROC],
        "threads": threads(),
        "folder": os.getcwd(),
        "mask": os.umask(0o22),
        "user": (os.getuid(), os.getgid(), os.getgroups()),
        "environment": dict(os.environ),
        "modules": sorted(name for name in sys.modules if "." not in name),
        "builtins": len(vars(builtins)),
        "handlers": [str(signal.getsignal(number)).split(" at ")[0] for number in range(1, 32)],
        "blocked": sorted(map(int, signal.pthread_sigmask(signal.SIG_BLOCK, ()))),
        "timers": (signal.getitimer(signal.ITIMER_REAL), signal.alarm(0)),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "processors": sorted(os.sched_getaffinity(0)),
        "recursion": (sys.getrecursionlimit(), sys.get_int_max_str_digits()),
        "tracing": (sys.gettrace(), sys.getprofile()),
        "streams": [stream.encoding for stream in (sys.stdin, sys.stdout, sys.stderr)],
    }
"""
_LIMITS = Limits(cpu_seconds=10, wall_seconds=60.0)


@dataclass(frozen=True)
class State:
    """The state of a worker between two hostile programs.

    Attributes:
        found: what an honest program says; None if it did not end as it should.
        honest: the result of that program.
        processes: of the worker; empty where they cannot be seen.
        descriptors: of this very process.
    """

    found: dict[str, Any] | None
    honest: Result
    processes: tuple[Process, ...]
    descriptors: int


@dataclass(frozen=True)
class Observation:
    """The effects of one hostile program.

    Attributes:
        result: of its run; None if the worker did not survive it.
        lost: why not.
        before, after: what was there. Compared with each other, so that what is left behind and stays is
            blamed on one program alone.
    """

    result: Result | None
    lost: str
    before: State
    after: State


class Bench:
    """One worker of a tier."""

    def __init__(self, tier: str) -> None:
        """Open it.

        Raises:
            SandboxError: the tier cannot be opened on this machine.
        """
        self.tier = tier
        self.worker: Worker = open_worker(tier, Settings())
        self._numbers = itertools.count(1)
        self.first: State
        self.state: State

    def run(self, *runs: Run) -> list[Result]:
        """Execute runs one after the other, each once.

        Raises:
            WorkerLost: the worker has ended.
        """
        return [self._run(run) for run in runs]

    def settle(self) -> None:
        """Have all interpreters started that cases need, and remember what there is before the first case."""
        profiles = self.worker.hello["profiles"]
        seeds = [Run("def f(): return 1", ((),), hash_seed=seed) for seed in (0, 1)]
        self.run(
            *seeds,
            *(Run("def f(): return 1", ((),), profile="numpy") for _ in ["numpy"] if "numpy" in profiles),
        )
        for _ in range(3):  # the first runs still allocate
            self.first = self.state = self._look("before")

    def observe(self, case: Case) -> Observation:
        """Run a case, then look."""
        before = self.state
        try:
            [result] = self.run(case.run)
            self.state = self._look(case.name)
            return Observation(result, "", before, self.state)
        except WorkerLost as lost:
            return Observation(None, str(lost), before, before)

    def close(self) -> None:
        """End the worker."""
        self.worker.close()

    def _look(self, mark: str) -> State:
        honest, other = self.run(
            Run(OBSERVER, ((mark,),), limits=_LIMITS), Run(f"def f(): return {mark!r}", ((),), hash_seed=1)
        )
        right = [result.calls[0].value if result.status is Status.OK else None for result in (honest, other)]
        found = right[0][1] if right[1] == mark and right[0] and right[0][0] == mark else None
        user = self.worker.hello["uid"]
        with _ALONE:
            # Of a user that others may be too, nothing can be said.
            processes = tuple(processes_of(user)) if user >= 2**16 else ()
            return State(found, honest, processes, own_descriptors())

    def _run(self, run: Run) -> Result:
        frames.check_run(run)
        number = next(self._numbers)
        unsent = memoryview(frames.run_frame(number, run, frames.encode_payload(run)))
        deadline = time.monotonic() + PATIENCE
        answers: list[bytes] = []
        while not answers:
            if time.monotonic() > deadline:
                raise WorkerLost("it hangs")
            if unsent:
                unsent = unsent[self.worker.send(unsent) :]
            select.select([self.worker], [self.worker] if unsent else [], [], 1.0)
            answers = self.worker.receive()
        if [frames.answered_number(answer) for answer in answers] != [number]:
            raise WorkerLost("it answered another run")
        return frames.decode_result(answers[0], run, self.worker.tier)


class Benches:
    """The cases on several tiers at once, a thread for each, so that what waits in one costs the others nothing."""

    def __init__(self, tiers: Sequence[str], cases: Sequence[Case]) -> None:
        self.refused: dict[str, SandboxError] = {}
        self.hellos: dict[str, dict[str, Any]] = {}
        self._seen: dict[tuple[str, str], Observation] = {}
        self._news = threading.Condition()
        benches = []
        for tier in tiers:
            try:
                benches.append(Bench(tier))
            except SandboxError as error:
                self.refused[tier] = error
        for bench in benches:
            bench.settle()
        for bench in benches:  # all are open now, so that no descriptor of ours comes or goes any more
            bench.settle()
            self.hellos[bench.tier] = bench.worker.hello
        self._benches = benches
        self._threads = [threading.Thread(target=self._work, args=(bench, cases)) for bench in benches]
        for thread in self._threads:
            thread.start()

    def seen(self, tier: str, name: str) -> Observation:
        """Wait for a case and return its effects.

        Raises:
            SandboxError: the tier could not be opened.
        """
        if tier in self.refused:
            raise self.refused[tier]
        with self._news:
            there = self._news.wait_for(lambda: (tier, name) in self._seen, timeout=10 * PATIENCE)
            assert there, f"{tier} never came to {name}"
            return self._seen[tier, name]

    def ends(self, tier: str) -> tuple[State, State]:
        """Wait for the last case; return the states before the first and after the last.

        Raises:
            SandboxError: the tier could not be opened.
        """
        if tier in self.refused:
            raise self.refused[tier]
        bench = next(bench for bench in self._benches if bench.tier == tier)
        self._threads[self._benches.index(bench)].join()
        bench = next(bench for bench in self._benches if bench.tier == tier)
        return bench.first, bench.state

    def close(self) -> None:
        """Wait for what is going on, and end the workers."""
        for thread in self._threads:
            thread.join()
        for bench in self._benches:
            bench.close()

    def _work(self, bench: Bench, cases: Sequence[Case]) -> None:
        for case in cases:
            if bench.tier in case.tiers and case.profile in bench.worker.hello["profiles"]:
                seen = bench.observe(case)
                with self._news:
                    self._seen[bench.tier, case.name] = seen
                    self._news.notify_all()
                if seen.result is None:
                    bench = self._again(bench)

    def _again(self, bench: Bench) -> Bench:
        """A new worker in place of one that died."""
        bench.close()
        again = Bench(bench.tier)
        again.settle()
        self._benches[self._benches.index(bench)] = again
        return again


_ALONE = threading.Lock()
"""Held while descriptors are counted: to count them takes some."""
