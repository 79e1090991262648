"""Processes that we talk with in lines of JSON."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.sandbox.measure import Absent

ROOT = Path(__file__).resolve().parents[2]
_END_SECONDS = 20.0


class JsonProcess:
    """A Python module that answers lines on its standard input."""

    def __init__(
        self,
        module: str,
        arguments: Sequence[str],
        *,
        python: str = sys.executable,
        descriptors: Sequence[int] = (),
    ) -> None:
        """Start it.

        Args:
            module: run with ``-m``.
            arguments: its command line.
            python: the interpreter.
            descriptors: which of ours it inherits.
        """
        self._module = module
        self._process = subprocess.Popen(
            [python, "-m", module, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            pass_fds=descriptors,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def send(self, question: Any) -> None:
        """Ask.

        Raises:
            Absent: it has ended.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(question) + "\n")
            self._process.stdin.flush()
        except OSError:
            raise Absent(f"{self._module} ended with status {self._process.wait()}") from None

    def receive(self) -> Any:
        """Wait for the answer.

        Raises:
            Absent: it has ended.
        """
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise Absent(f"{self._module} ended with status {self._process.wait()}")
        return json.loads(line)

    def ask(self, question: Any) -> Any:
        """`send` and `receive`."""
        self.send(question)
        return self.receive()

    def close(self) -> None:
        """Have it end; it is killed if it does not."""
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
