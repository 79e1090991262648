"""Hostile programs and the ways their runs may end, and helpers to write many of them down."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any

from gasp_env.sandbox import Limits, Run, Status
from gasp_env.sandbox.tiers import AUTO

OK, COMPILE, EXCEPTION, EXITED = Status.OK, Status.COMPILE_ERROR, Status.EXCEPTION, Status.EXITED
SIGNAL, CPU, WALL, MEMORY = Status.SIGNAL, Status.CPU_LIMIT, Status.WALL_LIMIT, Status.MEMORY_LIMIT
OUTPUT, DENIED, UNSERIALIZABLE = Status.OUTPUT_LIMIT, Status.DENIED, Status.UNSERIALIZABLE

SHORT = Limits(cpu_seconds=1, wall_seconds=20.0, memory_bytes=64 * 2**20)
SLEEPY = Limits(cpu_seconds=2, wall_seconds=0.5)

#: Tiers that cases run on. A case may see different things in them, but must end alike.
TIERS = AUTO


@dataclass(frozen=True)
class Case:
    """One hostile program.

    Attributes:
        numbers: the cases of the reference's list it stands for, see `reference`.
        name: unique.
        program: defines ``f()`` unless it fails before; with profile ``stdin`` a whole program.
        allowed: how it may end; a set, because the kernel or the interpreter's version may decide which
            of two defences is met first.
        contains: a part of the error, unless it ended with a value or for want of memory.
        value: what it returns where it ends ``ok``.
        prints: what it prints where it ends ``ok``; None if that is of no interest.
        inputs: argument tuples.
        limits: of the run.
        profile, stdin: as in `Run`.
        tiers: where it is run.
        files: it may read what it likes where the kernel has no Landlock, and so end ``ok``.
    """

    numbers: tuple[int, ...]
    name: str
    program: str
    allowed: frozenset[Status]
    contains: str = ""
    value: Any = None
    prints: str | None = None
    inputs: tuple[tuple[Any, ...], ...] = ((),)
    limits: Limits = field(default=SHORT)
    profile: str = "value"
    stdin: str = ""
    tiers: tuple[str, ...] = TIERS
    files: bool = False

    @property
    def run(self) -> Run:
        """The run that is asked for."""
        inputs = () if self.profile == "stdin" else self.inputs
        return Run(self.program, inputs, limits=self.limits, profile=self.profile, stdin=self.stdin)


def case(numbers: int | tuple[int, ...], name: str, program: str, *allowed: Status, **options: Any) -> Case:
    """A case from a whole program."""
    numbers = (numbers,) if isinstance(numbers, int) else numbers
    return Case(numbers, name, dedent(program).lstrip("\n"), frozenset(allowed), **options)


def body(numbers: int | tuple[int, ...], name: str, lines: str, *allowed: Status, **options: Any) -> Case:
    """A case whose program is a function with these lines."""
    indented = "\n".join("    " + line for line in dedent(lines).strip("\n").split("\n"))
    return case(numbers, name, f"def f():\n{indented}\n", *allowed, **options)


def whole(numbers: int | tuple[int, ...], name: str, program: str, *allowed: Status, **options: Any) -> Case:
    """A case that reads standard input and whose answer is what it prints."""
    return case(numbers, name, program, *allowed, profile="stdin", **options)


#: Lines that define ``call(number, *arguments)``: the error number of a system call, or -1 if it succeeded.
SYSCALL = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) for a in arguments))
    return ctypes.get_errno() if result < 0 else -1
"""
