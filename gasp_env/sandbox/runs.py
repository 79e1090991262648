"""Plain data: a `Run` is one execution asked of the sandbox, a `Result` answers it.

A run is a program and the argument tuples its entry is called with. A result says how the
run ended and what each call returned. Nothing here executes anything, and a `Run` has no field for
expected outputs or other samples, on which a verdict depends.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: Hash seeds that a run may ask its interpreter for. Judging always uses the first; the gate uses
#: all of them, because set order and ``hash()`` differ between seeds but never within one.
HASH_SEEDS: tuple[int, ...] = (0, 1, 2, 3)

#: Profiles: the modules a program may import, and how it is called.
#:
#: - ``value``: the entry is called on argument tuples; standard library.
#: - ``numpy``: the same, in an interpreter that has imported numpy.
#: - ``stdin``: the whole program runs as ``__main__`` and reads a text from standard input.
PROFILES: tuple[str, ...] = ("value", "stdin", "numpy")


class Status(StrEnum):
    """Ending of a run, or of one call of a run. A program can cause every status but the last."""

    OK = "ok"
    COMPILE_ERROR = "compile_error"
    EXCEPTION = "exception"
    EXITED = "exited"
    SIGNAL = "signal"
    CPU_LIMIT = "cpu_limit"
    WALL_LIMIT = "wall_limit"
    MEMORY_LIMIT = "memory_limit"
    OUTPUT_LIMIT = "output_limit"
    DENIED = "denied"
    UNSERIALIZABLE = "unserializable"
    WORKER_KILLED = "worker_killed"
    INFRA_ERROR = "infra_error"


@dataclass(frozen=True)
class Limits:
    """Limits of one run, over all its calls together.

    Attributes:
        wall_seconds: deadline after which the supervisor kills the run. It ends programs that wait rather than
            compute, and is longer than any honest program needs, even on a busy machine.
        cpu_seconds: processor time of all threads, in whole seconds (``RLIMIT_CPU``). A verdict should not
            depend on the machine's load, so a slow program should meet this limit and not the deadline.
        memory_bytes: address space the run may add to that of the idle interpreter (``RLIMIT_AS``).
        output_bytes: encoded return values of all calls together; for profile ``stdin``, printed text.
        stdout_bytes: bytes kept of standard output, and of standard error; the rest is dropped. With profile
            ``stdin`` standard output is the answer and kept whole, so this limits standard error alone.
        recursion: the interpreter's recursion limit; CPython's own default.
        digits: the interpreter's limit on int to text conversion and back; CPython's own default.
        threads: threads alive at once, including the main one. Exact where the worker has a user id of its own;
            otherwise (tier ``landlock`` without root) only the limit 1, no further threads, is enforced.
    """

    wall_seconds: float = 10.0
    cpu_seconds: int = 4
    memory_bytes: int = 256 * 2**20
    output_bytes: int = 256 * 2**10
    stdout_bytes: int = 8 * 2**10
    recursion: int = 1000
    digits: int = 4300
    threads: int = 8


@dataclass(frozen=True)
class Run:
    """One execution asked of the sandbox.

    Attributes:
        program: Python source. Its module body runs once, then the entry is called.
        inputs: argument tuples, one call each, of exact built-in values (see `gasp_env.values`).
            Every call gets its own fresh copy of its arguments.
        entry: name of the function the module must define, or ``Class.method``: then every call is made on a new
            instance, constructed without arguments. A missing name ends the run as ``exception``.
        hash_seed: one of `HASH_SEEDS`.
        limits: see `Limits`.
        profile: one of `PROFILES`.
        stdin: text on standard input, for profile ``stdin``, which takes no ``inputs``.
        fresh: give every call an interpreter and limits of its own, as if it were the only one.
            Otherwise calls share a process, and one may find what an earlier one left behind.
        series: a name that marks the runs of one batch which are tests of one program, in order; empty for none.
            Once one has failed, those after it may be skipped: they are answered with its status, and an error
            that says so. Those before the first failure are always executed, at any number of workers.
        may_raise: calls without a value, all of which were reached, do not end the series.
    """

    program: str
    inputs: tuple[tuple[Any, ...], ...] = ()
    entry: str = "f"
    hash_seed: int = 0
    limits: Limits = field(default_factory=Limits)
    profile: str = "value"
    stdin: str = ""
    fresh: bool = False
    series: str = ""
    may_raise: bool = False


@dataclass(frozen=True)
class Call:
    """The outcome of one call of the entry.

    ``status`` is ``ok`` with a ``value``, or the kind of failure (``exception``, ``unserializable``, ...) with an
    ``error`` such as ``"ValueError: ..."``.
    """

    status: Status
    value: Any = None
    error: str = ""


@dataclass(frozen=True)
class Result:
    """The answer to one `Run`.

    Attributes:
        status: ``ok`` only if every call returned a value; else the status of the first call
            (or of the run as a whole) that did not. With profile ``stdin``: ``ok`` only if the
            program ended with exit code 0, however it did so.
        calls: one per input that was reached, in order; shorter than ``inputs`` when the run
            ended early. With status ``ok`` exactly as many as ``inputs``.
        error: one line for a person to read.
        stdout, stderr: printed text, as far as `Limits` keeps it.
        cpu_seconds, wall_seconds, memory_bytes: resources used by the run, measured outside the program;
            ``memory_bytes`` is the peak beyond the idle interpreter's.
        output_bytes: encoded size of all returned values.
        tier: isolation that produced the result (``"docker"``, ``"bwrap"``, ...); empty if nothing was executed.
    """

    status: Status
    calls: tuple[Call, ...] = ()
    error: str = ""
    stdout: str = ""
    stderr: str = ""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    memory_bytes: int = 0
    output_bytes: int = 0
    tier: str = ""
