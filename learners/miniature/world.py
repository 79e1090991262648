"""The miniature's world: short list programs in real Python.

A program is one to three lines, each a step drawn from `STEPS`, between ``def f(x):`` and
``return x``. A step is a pair: the line as text, which models read and write, and a function
that does the same. The functions make training data and reference outputs; text a model wrote
is only ever executed in the sandbox, and a test holds the two to each other.

The world is small enough to enumerate (`programs`). Every program listed there does something
that no shorter program does, so depth is meaningful.

Six steps are the *theme*: half of the steps in real tasks, few of the steps that the base model samples.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache

Ints = list[int]

INPUT_LENGTHS = (3, 4)
INPUT_BOUND = 6
OUTPUT_BOUND = 99
OUTPUT_LENGTH = 8
MAX_DEPTH = 3

HEAD = "def f(x):"
LINE = "\n    x = "
TAIL = "\n    return x"


@dataclass(frozen=True)
class Op:
    """A kind of step: its text with a hole for a constant, the function, and the constants it takes."""

    template: str
    function: Callable[[Ints, int], Ints]
    constants: tuple[int, ...] = (0,)
    theme: bool = False


OPS: tuple[Op, ...] = (
    Op("x[::-1]", lambda x, _: x[::-1]),
    Op("sorted(x)", lambda x, _: sorted(x)),
    Op("x[1:]", lambda x, _: x[1:]),
    Op("x[:-1]", lambda x, _: x[:-1]),
    Op("[0] + x", lambda x, _: [0, *x]),
    Op("x + [len(x)]", lambda x, _: [*x, len(x)]),
    Op("[v + {} for v in x]", lambda x, k: [v + k for v in x], (1, 2)),
    Op("[v - {} for v in x]", lambda x, k: [v - k for v in x], (1, 2)),
    Op("[v * {} for v in x]", lambda x, k: [v * k for v in x], (2,)),
    Op("[v // {} for v in x]", lambda x, k: [v // k for v in x], (2,)),
    Op("[-v for v in x]", lambda x, _: [-v for v in x]),
    Op("[v for v in x if v % 2 == {}]", lambda x, k: [v for v in x if v % 2 == k], (0, 1)),
    Op("[v for v in x if v > {}]", lambda x, k: [v for v in x if v > k], (0,)),
    Op("x[::2]", lambda x, _: x[::2], theme=True),
    Op("x[1:] + x[:1]", lambda x, _: x[1:] + x[:1], theme=True),
    Op("x + x[:1]", lambda x, _: x + x[:1], theme=True),
    Op("x + [sum(x)]", lambda x, _: [*x, sum(x)], theme=True),
    Op("[abs(v) for v in x]", lambda x, _: [abs(v) for v in x], theme=True),
    Op("[v * v for v in x]", lambda x, _: [v * v for v in x], theme=True),
)


@dataclass(frozen=True)
class Step:
    """One line of a program: an op with its constant."""

    text: str
    op: Op
    constant: int

    def __call__(self, x: Ints) -> Ints:
        """The value that the line leaves in ``x``."""
        return self.op.function(x, self.constant)


STEPS: tuple[Step, ...] = tuple(
    Step(op.template.format(constant), op, constant) for op in OPS for constant in op.constants
)

_STEP_OF_LINE = {LINE + step.text: index for index, step in enumerate(STEPS)}

#: A program as indices into `STEPS`.
Program = tuple[int, ...]
#: Outputs of a program on every probe; programs with equal behaviour count as the same.
Behaviour = tuple[tuple[int, ...], ...]

#: Fixed inputs on which behaviour is compared: every length, sign, parity, order, with repeats.
PROBES: tuple[tuple[int, ...], ...] = (
    (3, -1, 4),
    (2, 6, -5, 1),
    (-4, 6, 0, -3),
    (5, 5, 2),
    (-4, -6, 3, 5),
    (1, -2, 6, -5),
    (0, 3, -6),
    (4, 1, 5, 2),
    (-1, 4, -3, 6),
    (6, -3, 2),
    (-5, 2, -5, 4),
    (-6, -2, -1),
)


def text(program: Program) -> str:
    """The program as Python source."""
    return HEAD + "".join(LINE + STEPS[step].text for step in program) + TAIL


def recognise(source: str) -> Program | None:
    """The program a text is, or None if it is not written in the world's steps. For statistics, not for judging."""
    lines = source.split("\n")
    if lines[0] != HEAD or lines[-1] != TAIL[1:]:
        return None
    steps = tuple(_STEP_OF_LINE.get("\n" + line, -1) for line in lines[1:-1])
    return None if -1 in steps else steps


def apply(program: Program, x: Sequence[int]) -> Ints:
    """The value that the program returns for ``x``."""
    value = list(x)
    for step in program:
        value = STEPS[step](value)
    return value


def fits(output: Sequence[int]) -> bool:
    """True if an output is within the world's bounds on length and values."""
    return len(output) <= OUTPUT_LENGTH and all(-OUTPUT_BOUND <= v <= OUTPUT_BOUND for v in output)


def behaviour(program: Program) -> Behaviour:
    """The program's outputs on `PROBES`."""
    return tuple(tuple(apply(program, probe)) for probe in PROBES)


def _worthwhile(outputs: Behaviour) -> bool:
    """Neither nearly constant, nor mostly empty, nor mostly out of bounds."""
    return len(set(outputs)) >= 8 and sum(map(bool, outputs)) >= 9 and sum(map(fits, outputs)) >= 7


@cache
def programs() -> dict[Program, Behaviour]:
    """Every program of the world with its behaviour, shallow ones first.

    A program whose behaviour a shallower one has (an idle or cancelled step, two steps that
    amount to one) is left out.
    """
    found: dict[Program, Behaviour] = {}
    seen: set[Behaviour] = {PROBES}
    layer: dict[Program, Behaviour] = {(): PROBES}
    for _ in range(MAX_DEPTH):
        layer = {
            (*program, step): tuple(tuple(STEPS[step](list(x))) for x in outputs)
            for program, outputs in layer.items()
            for step in range(len(STEPS))
        }
        layer = {program: outputs for program, outputs in layer.items() if outputs not in seen}
        seen.update(layer.values())
        found.update((program, outputs) for program, outputs in layer.items() if _worthwhile(outputs))
    return found


@dataclass(frozen=True)
class Mix:
    """A distribution over programs.

    Attributes:
        depths: weights of depth 1, 2 and 3.
        theme: share of the steps that belong to the theme.
    """

    depths: tuple[float, float, float]
    theme: float

    def step_weights(self) -> list[float]:
        """A weight for every entry of `STEPS`: ops of a side share its mass, constants share their op's."""
        themed = sum(op.theme for op in OPS)
        return [
            (self.theme / themed if step.op.theme else (1 - self.theme) / (len(OPS) - themed))
            / len(step.op.constants)
            for step in STEPS
        ]

    def draw(self, rng: random.Random) -> Program:
        """One program of the world; steps are drawn independently and redrawn until valid."""
        weights = self.step_weights()
        depth = rng.choices((1, 2, 3), self.depths)[0]
        while True:
            program = tuple(rng.choices(range(len(STEPS)), weights, k=depth))
            if program in programs():
                return program


#: Mixes: of the broad base's training, of the narrowing to the buried base, and of real tasks.
BROAD = Mix(depths=(0.25, 0.45, 0.3), theme=0.2)
NARROW = Mix(depths=(0.35, 0.5, 0.15), theme=0.0)
TARGET = Mix(depths=(0.0, 0.6, 0.4), theme=0.5)


@dataclass(frozen=True)
class Inputs:
    """A distribution over inputs: list lengths and the largest absolute value."""

    lengths: tuple[int, int] = INPUT_LENGTHS
    bound: int = INPUT_BOUND

    def draw(self, program: Program, count: int, rng: random.Random) -> list[Ints] | None:
        """Distinct inputs whose outputs fit, are not all alike and mostly not empty; None if hard to find."""
        drawn: dict[tuple[int, ...], Ints] = {}
        for _ in range(4 * count + 8):
            x = [rng.randint(-self.bound, self.bound) for _ in range(rng.randint(*self.lengths))]
            output = apply(program, x)
            if fits(output):
                drawn[tuple(x)] = output
            if len(drawn) == count:
                break
        else:
            return None
        outputs = list(drawn.values())
        if sum(not output for output in outputs) > count // 4 or all(o == outputs[0] for o in outputs):
            return None
        return [list(x) for x in drawn]


#: Inputs: of tasks, of programs made easy to recognise, and of programs made hard.
USUAL = Inputs()
REVEALING = Inputs(lengths=(4, 4), bound=6)
SPARSE = Inputs(lengths=(3, 3), bound=3)
