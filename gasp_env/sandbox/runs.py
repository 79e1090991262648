"""What the sandbox is asked (`Run`) and what it answers (`Result`).

A run is a program and the argument tuples its entry is called with. A result says how the
run ended and what each call returned. Nothing here executes anything, and nothing that a
verdict depends on (expected outputs, other samples) has a place in a `Run`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

#: The interpreter hash seeds a run may ask for. Judging always uses the first; the gate asks
#: for all of them, because set order and ``hash()`` differ between seeds but never within one.
HASH_SEEDS: tuple[int, ...] = (0, 1, 2, 3)

#: What a program is given and how it is called.
#:
#: - ``value``: the entry is called on argument tuples; standard library.
#: - ``numpy``: the same, in an interpreter that has imported numpy.
#: - ``stdin``: the whole program runs as ``__main__`` and reads a text on descriptor 0.
PROFILES: tuple[str, ...] = ("value", "stdin", "numpy")


class Status(StrEnum):
    """How a run, or one call of a run, ended. A program can cause every status but the last."""

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
        wall_seconds: deadline after which the supervisor kills the run. Longer than any honest program of
            this kind needs even on a busy machine; it ends what waits rather than computes.
        cpu_seconds: processor time of all its threads, in whole seconds (``RLIMIT_CPU``). A verdict should not
            depend on the machine's load, so this, not the deadline, is what a slow program meets.
        memory_bytes: address space the run may add to that of the idle interpreter (``RLIMIT_AS``).
        output_bytes: encoded return values of all calls together; for profile ``stdin`` what is printed.
        stdout_bytes: standard output kept, and standard error kept; the rest is dropped. With profile
            ``stdin`` standard output is the answer, kept whole, and this holds for standard error alone.
        recursion: the interpreter's recursion limit; CPython's own default.
        digits: the interpreter's limit on int to text conversion and back; CPython's own default.
        threads: threads alive at once, the main one included. Exact where the sandbox's user has no other
            processes; otherwise (`landlock` tier without root) only 1, no further threads, is enforced.
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
        entry: name of the function the module must define; or ``Class.method``: every call is then of that method
            of an instance made for it without arguments. A name that is missing is an ``exception``.
        hash_seed: one of `HASH_SEEDS`.
        limits: see `Limits`.
        profile: one of `PROFILES`.
        stdin: text on standard input, for profile ``stdin``, which takes no ``inputs``.
        fresh: every call as if asked for alone: in an interpreter of its own, with limits of its own.
            Otherwise calls share a process, and one may find what an earlier one left behind.
        series: runs of one batch with the same name here, unless it is empty, are tests of one program, in order.
            Once one has failed, those after it may be left out: they are answered with its status, and an error
            that says so. Those before the first that fails are executed, however many workers there are.
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


@dataclass(frozen=True)
class Call:
    """What one call of the entry did: ``status`` is ``ok`` with a ``value``, or says what went
    wrong (``exception``, ``unserializable``, ...) with an ``error`` such as ``"ValueError: ..."``."""

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
        error: one line for a person.
        stdout, stderr: what was printed, as far as `Limits` keeps it.
        cpu_seconds, wall_seconds, memory_bytes: used by the run, measured outside the program;
            ``memory_bytes`` is the peak beyond the idle interpreter's.
        output_bytes: encoded size of all returned values.
        tier: isolation that produced the result (``"docker"``, ``"bwrap"``, ...), empty where nothing was executed.
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
