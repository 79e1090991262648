"""Other ways to execute a program, as contenders: a process, a container or a pool each.

All of them are given the program as text with the call, and print or return the value as a literal.
"""

from __future__ import annotations

import contextlib
import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
from docker.errors import DockerException

from benchmarks.sandbox.measure import Absent, Timed, first_sentence
from benchmarks.sandbox.processes import JsonProcess
from benchmarks.sandbox.programs import Job
from gasp_env.sandbox import SandboxError
from gasp_env.sandbox.tiers import image
from gasp_env.sandbox.tiers.docker import connect
from gasp_env.values import ValueSyntaxError, encode, parse_literal, render_arguments

#: Time after which our containers end by themselves, if they were not removed.
_CONTAINER_SECONDS = 1800
_LABELS = {"gasp_env": "benchmark"}


class _EachAlone(Timed):
    """Programs executed by a function, so many at once."""

    def __init__(self, workers: int) -> None:
        self._threads = ThreadPoolExecutor(workers)

    def open(self) -> None:
        """As in `Contender`."""

    def verify(self, jobs: Sequence[Job]) -> int:
        """As in `Contender`."""
        texts = self._threads.map(self._execute, [script(job) for job in jobs])
        return sum(is_right(text, job) for text, job in zip(texts, jobs, strict=True))

    def _execute(self, text: str) -> str:
        raise NotImplementedError

    def close(self) -> None:
        """As in `Contender`."""
        self._threads.shutdown()


class Subprocess(_EachAlone):
    """An interpreter for every program, without site packages: ``python -I -S -c``."""

    name = "subprocess"

    def __init__(self, workers: int, python: str = sys.executable) -> None:
        """As many at once as workers, of this interpreter."""
        super().__init__(workers)
        self._command = [python, "-I", "-S", "-c"]

    def _execute(self, text: str) -> str:
        ended = subprocess.run(
            [*self._command, text], capture_output=True, text=True, timeout=60, check=False
        )
        return ended.stdout


class _InContainers(_EachAlone):
    """Base of `docker exec` and `docker run`. The SDK is faster than the command line."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self._client: docker.DockerClient | None = None
        self._image = ""

    def open(self) -> None:
        """As in `Contender`."""
        try:
            self._client = connect()
            self._client.api.get_adapter("http+docker://").pools.maxsize = 64
            self._image = image.ensure(self._client)
        except (SandboxError, DockerException, OSError) as error:
            raise Absent(first_sentence(error)) from error

    @property
    def _containers(self) -> Any:
        assert self._client is not None
        return self._client.containers

    def close(self) -> None:
        """As in `Contender`."""
        super().close()
        if self._client is not None:
            self._client.close()


class DockerExec(_InContainers):
    """``docker exec`` for every program, in one container that stays."""

    name = "docker exec"

    def open(self) -> None:
        """As in `Contender`."""
        super().open()
        wait = f"import time; time.sleep({_CONTAINER_SECONDS})"
        try:
            self._container = self._containers.run(
                self._image,
                ["-c", wait],
                entrypoint="python3",
                detach=True,
                auto_remove=True,
                network_mode="none",
                labels=_LABELS,
            )
        except (DockerException, OSError) as error:
            raise Absent(first_sentence(error)) from error

    def _execute(self, text: str) -> str:
        output: bytes = self._container.exec_run(["python3", "-I", "-S", "-c", text]).output
        return output.decode()

    def close(self) -> None:
        """As in `Contender`."""
        with contextlib.suppress(AttributeError, DockerException, OSError):
            self._container.remove(force=True)
        super().close()


class DockerRun(_InContainers):
    """``docker run --rm`` for every program."""

    name = "docker run"

    def _execute(self, text: str) -> str:
        output: bytes = self._containers.run(
            self._image,
            ["-I", "-S", "-c", text],
            entrypoint="python3",
            remove=True,
            network_mode="none",
            labels=_LABELS,
        )
        return output.decode()


class AzrPool(Timed):
    """A pebble process pool that executes programs as AZR's executor does: `benchmarks.contenders.azr_pool`."""

    name = "pebble pool"

    def __init__(self, workers: int) -> None:
        """As many processes as workers."""
        self._workers = workers
        self._process: JsonProcess | None = None

    def open(self) -> None:
        """As in `Contender`."""
        if importlib.util.find_spec("pebble") is None:
            raise Absent('pebble is not installed: pip install -c constraints.txt -e ".[benchmarks]"')
        self._process = JsonProcess("benchmarks.contenders.azr_pool", [str(self._workers)])

    def verify(self, jobs: Sequence[Job]) -> int:
        """As in `Contender`."""
        assert self._process is not None
        texts = self._process.ask([(job.program, f"f({render_arguments(job.arguments)})") for job in jobs])
        return sum(is_right(text or "", job) for text, job in zip(texts, jobs, strict=True))

    def close(self) -> None:
        """As in `Contender`."""
        if self._process is not None:
            self._process.close()


def script(job: Job) -> str:
    """The program, and a line that prints its result."""
    return f"{job.program}\n\nprint(repr(f({render_arguments(job.arguments)})))\n"


def is_right(text: str, job: Job) -> bool:
    """True if a literal is the expected value."""
    try:
        return encode(parse_literal(text.strip())) == job.encoded
    except ValueSyntaxError:
        return False
