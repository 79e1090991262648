"""Our tiers as contenders, and the floor beneath them."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.contenders import FLOOR_END, FLOOR_TICKET_BYTES
from benchmarks.sandbox import accounts
from benchmarks.sandbox.measure import Absent, Timed, demand, first_sentence
from benchmarks.sandbox.processes import JsonProcess
from benchmarks.sandbox.programs import TRIVIAL, Job
from gasp_env.sandbox import Run, Sandbox, SandboxError, Status, frames
from gasp_env.values import encode
from sandbox_image.worker import codec, wire

_PIPE_BYTES = 2**16


class Tier(Timed):
    """A sandbox. Equal runs are executed as often as asked, and there is no cache unless asked for."""

    def __init__(
        self, tier: str, workers: int, *, batch: int = 0, sandbox: Sandbox | None = None, **options: Any
    ) -> None:
        """Describe it.

        Args:
            tier: a name or ``auto``.
            workers: programs executed at once.
            batch: programs handed over together, each time waiting for all; 0 for all of a round.
            sandbox: one that several share.
            options: more of `Sandbox`'s.
        """
        self.name = tier
        self._batch = batch
        self._children = 0.0
        self.sandbox = sandbox or Sandbox(tier, workers=workers, **{"dedupe": False, **options})
        self.workers = accounts.Workers(self.sandbox)

    def open(self) -> None:
        """As in `Contender`."""
        try:
            self.sandbox.open()
        except SandboxError as error:
            raise Absent(first_sentence(error)) from error

    def verify(self, jobs: Sequence[Job]) -> int:
        """As in `Contender`."""
        size = self._batch or len(jobs)
        return sum(self._verify(jobs[start : start + size]) for start in range(0, len(jobs), size))

    def _verify(self, jobs: Sequence[Job]) -> int:
        results = self.sandbox.run_many(Run(job.program, (job.arguments,)) for job in jobs)
        self._children += sum(result.cpu_seconds for result in results)
        return sum(
            result.status is Status.OK and encode(result.calls[0].value) == job.encoded
            for result, job in zip(results, jobs, strict=True)
        )

    def by_kind(self) -> dict[str, float]:
        """Seconds of processor time so far, by kind of process."""
        return self.workers.by_kind() | {"children": self._children, "host": time.process_time()}

    def spent(self) -> float:
        """As in `Contender`."""
        return sum(self.by_kind().values())

    @property
    def hello(self) -> Mapping[str, Any]:
        """Return a worker's first message."""
        workers = self.sandbox._workers()
        return workers[0].hello if workers else {}

    def close(self) -> None:
        """As in `Contender`."""
        self.sandbox.close()


class Dispatchers:
    """As many dispatchers as workers, see `benchmarks.contenders.floor`; they take the work in turn."""

    def __init__(
        self,
        workers: int,
        work: Sequence[tuple[str, str]],
        *,
        python: str = sys.executable,
        **protections: bool,
    ) -> None:
        """Start them.

        Args:
            workers: how many.
            work: payloads and reports, as `work` makes them.
            python: their interpreter.
            protections: see `benchmarks.contenders.PROTECTIONS`.

        Raises:
            Absent: they do not start.
        """
        self.child_seconds = 0.0
        self._tickets = os.pipe()
        self._processes: list[JsonProcess] = []
        options = json.dumps({"tickets": self._tickets[0], **protections})
        try:
            for _ in range(workers):
                process = JsonProcess(
                    "benchmarks.contenders.floor", [options], python=python, descriptors=self._tickets[:1]
                )
                self._processes.append(process)
                process.send(work)
            for process in self._processes:
                process.receive()
        except BaseException:
            self.close()
            raise

    def run(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Do the work of these numbers; return each dispatcher's answer."""
        tickets = [*numbers, *[FLOOR_END] * len(self._processes)]
        data = b"".join(number.to_bytes(FLOOR_TICKET_BYTES, "big") for number in tickets)
        assert len(data) <= _PIPE_BYTES, "more tickets than a pipe holds"
        os.write(self._tickets[1], data)
        for process in self._processes:
            process.send("run")
        answers = [process.receive() for process in self._processes]
        self.child_seconds += sum(answer["child_seconds"] for answer in answers)
        return answers

    def spent(self) -> float:
        """Seconds of processor time so far, forks not included."""
        return sum(accounts.spent(process.pid) for process in self._processes)

    def close(self) -> None:
        """End them."""
        for process in self._processes:
            process.close()
        self._processes.clear()
        for descriptor in self._tickets:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self._tickets = (-1, -1)


class Floor(Timed):
    """The least that our worker's code can cost."""

    name = "floor"

    def __init__(
        self, workers: int, jobs: Sequence[Job], *, python: str = sys.executable, **protections: bool
    ) -> None:
        """Describe it; arguments as of `Dispatchers`, and ``jobs``: all that it will be asked for."""
        jobs = (*jobs, TRIVIAL)
        self._start = functools.partial(
            Dispatchers,
            workers,
            [work(Run(job.program, (job.arguments,)), (job.expected,)) for job in jobs],
            python=python,
            **protections,
        )
        self._numbers = {id(job): number for number, job in enumerate(jobs)}
        self._dispatchers: Dispatchers | None = None

    def open(self) -> None:
        """As in `Contender`."""
        self._dispatchers = self._start()

    def verify(self, jobs: Sequence[Job]) -> int:
        """As in `Contender`."""
        return sum(answer["right"] for answer in self._run([self._numbers[id(job)] for job in jobs]))

    def times(self, count: int) -> list[float]:
        """As in `Contender`; the dispatcher itself asks the floor."""
        answers = self._run([self._numbers[id(TRIVIAL)]] * count)
        demand(self.name, sum(answer["right"] for answer in answers), count)
        return [seconds for answer in answers for seconds in answer["seconds"]]

    def by_kind(self) -> dict[str, float]:
        """Seconds of processor time so far, by kind of process."""
        found = self._dispatchers
        assert found is not None
        return {"dispatchers": found.spent(), "children": found.child_seconds, "host": time.process_time()}

    def spent(self) -> float:
        """As in `Contender`."""
        return sum(self.by_kind().values())

    def _run(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        assert self._dispatchers is not None
        return self._dispatchers.run(numbers)

    def close(self) -> None:
        """As in `Contender`."""
        if self._dispatchers is not None:
            self._dispatchers.close()


def work(run: Run, expected: Sequence[Any]) -> tuple[str, str]:
    """A payload and the report it must be answered with, in hexadecimal."""
    calls = tuple(("ok", codec.encode(value, keep_order=True), "") for value in expected)
    report = wire.frame(codec.encode(("ok", "", calls), keep_order=True))
    assert len(report) <= _PIPE_BYTES, "a report longer than what a pipe holds"
    return frames.encode_payload(run).hex(), report.hex()


def interpreter(wanted: str | None) -> tuple[str, str]:
    """Find the interpreter on this machine with the version that our workers run, and its version.

    Without one, or without a version that is wanted, the one that runs this.
    """
    found = {}
    for path in ("/usr/bin/python3", "/usr/local/bin/python3", sys.executable):
        with contextlib.suppress(OSError, subprocess.SubprocessError):
            command = [path, "-c", "import platform; print(platform.python_version())"]
            found[path] = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    for path, version in found.items():
        if version == wanted:
            return path, version
    return sys.executable, found[sys.executable]
