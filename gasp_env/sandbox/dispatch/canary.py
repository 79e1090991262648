"""Canaries: programs with known answers, to find a worker that runs but is wrong.

A worker that dies or sends malformed frames is noticed at once. One that computes wrongly, has the wrong
hash seed or has lost a protection looks like any other. So every worker gets a canary shortly after it opened and
then once in a while. A canary asks for a value computed from a fresh argument, an exception, a hash, and two
actions that must be refused.
"""

from __future__ import annotations

import random
from typing import Any

from gasp_env import values
from gasp_env.sandbox.runs import Call, Limits, Result, Run, Status

_PROGRAM = """
import os
def f(what, argument):
    if what == "value":
        return [sum(n * n for n in argument), sorted(argument), {str(n): n / 7 for n in argument}]
    if what == "hash":
        return hash(argument)
    if what == "exception":
        raise ValueError(argument)
    try:
        if what == "signal":
            os.kill(os.getppid(), 0)
        else:
            os.close(os.open(argument, os.O_RDONLY))
    except OSError as error:
        return type(error).__name__
    return "allowed"
"""

#: Generous, so that no canary is late on a busy machine.
_LIMITS = Limits(wall_seconds=20.0, cpu_seconds=10)
#: A file of every image and machine that any user may read, and that a program must not.
_FOREIGN_FILE = "/etc/passwd"


class Canary:
    """One canary.

    Attributes:
        run: the run to send.
    """

    def __init__(self, number: int, *, hash_seed: int = 0, profile: str = "value") -> None:
        """Make a canary.

        Args:
            number: seed of the arguments.
            hash_seed: hash seed of the zygote to test.
            profile: profile of the zygote to test; ``stdin`` shares the zygote of ``value``.
        """
        draw = random.Random(number)
        self._numbers = [draw.randrange(10**6) for _ in range(8)]
        self._text = f"canary {draw.randrange(10**6)}"
        inputs = (
            ("value", self._numbers),
            ("exception", self._text),
            ("hash", "canary"),
            ("signal", ""),
            ("file", _FOREIGN_FILE),
        )
        profile = "value" if profile == "stdin" else profile
        self.run = Run(_PROGRAM, inputs, hash_seed=hash_seed, limits=_LIMITS, profile=profile)

    def find_fault(self, result: Result, hello: dict[str, Any], hashes: dict[int, int]) -> str:
        """Describe the first fault of an answer; empty if it has none.

        Args:
            result: the answer.
            hello: the worker's first message, which names its protections.
            hashes: the value of ``hash`` in workers of this kind, by hash seed; filled at the first canary.
        """
        if result.status is not Status.EXCEPTION or len(result.calls) != len(self.run.inputs):
            return f"ended with {result.status} ({result.error})"
        if result.stdout or result.stderr:
            return f"printed {result.stdout + result.stderr!r:.200}"
        value, exception, hashed, signalled, opened = result.calls
        expected = [
            sum(n * n for n in self._numbers),
            sorted(self._numbers),
            {str(n): n / 7 for n in self._numbers},
        ]
        if not (value.status is Status.OK and values.equal(value.value, expected)):
            return f"computed {value.value!r:.200} instead of {expected!r:.200}"
        if exception != Call(Status.EXCEPTION, None, f"ValueError: {self._text}"):
            return f"raised {exception.error!r:.200} instead of ValueError: {self._text}"
        if hashed.status is not Status.OK or type(hashed.value) is not int:
            return "hashed nothing"
        if hashes.setdefault(self.run.hash_seed, hashed.value) != hashed.value:
            return f"has another hash seed than {self.run.hash_seed}"
        if hello.get("seccomp") and signalled.value != "PermissionError":
            return "let a program send a signal"
        if hello.get("landlock") and opened.value not in ("PermissionError", "FileNotFoundError"):
            return f"let a program open {_FOREIGN_FILE}"
        return ""
