"""A teacher and a solver from a script: tasks that are all different, answers right, wrong, failing and unreadable.

A program's return value is computed here beside it, written separately, so that a wrong verdict is found out. Every
program holds a number of its own, and every attempt a comment of its own: no two runs of a play are equal, and nothing
that was executed or parsed once serves a second time.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from gasp_env.domains.python.triplet import Triplet
from gasp_env.library.library import Library
from gasp_env.tasks import Entry, Task
from gasp_env.values import encode, render, render_arguments

INPUTS = 10
UNSURE = "I do not see what the examples have in common."
_SYLLABLES = "ba ce di fo gu ha je ki lo mu na pe qui ro su ta ve wi xo zu".split()


@dataclass(frozen=True)
class Template:
    """A sort of task.

    Attributes:
        program: text with places for the numbers a and b, and for words of its own as names.
        value: its return value, from a, b and its argument.
        argument: a random argument.
    """

    program: str
    value: Callable[[int, int, Any], Any]
    argument: Callable[[random.Random], Any]


def _numbers(rng: random.Random) -> list[int]:
    return [rng.randint(-50, 50) for _ in range(rng.randint(3, 9))]


def _text(rng: random.Random) -> str:
    return "".join(letter * rng.randint(1, 4) for letter in rng.choices("abcdexyz", k=6))


def _spans(rng: random.Random) -> list[tuple[int, int]]:
    return [(low, low + rng.randint(1, 9)) for low in (rng.randint(0, 60) for _ in range(5))]


def _matrix(rng: random.Random) -> list[list[int]]:
    size = rng.randint(2, 4)
    return [[rng.randint(-9, 9) for _ in range(size)] for _ in range(size)]


TEMPLATES = (
    Template(
        """\
def f({u}):
    {v} = {a}
    for {w} in {u}:
        if {w} % {b} == 0:
            {v} += {w}
        else:
            {v} -= {b}
    return {v}
""",
        lambda a, b, x: a + sum(item for item in x if item % b == 0) - b * sum(item % b != 0 for item in x),
        _numbers,
    ),
    Template(
        """\
def f({u}):
    {v}, {w} = [], 0
    while {w} < len({u}):
        end = {w}
        while end < len({u}) and {u}[end] == {u}[{w}]:
            end += 1
        {v}.append(({u}[{w}], (end - {w}) * {b}))
        {w} = end
    return {v}, {a}
""",
        lambda a, b, x: ([(letter, b * len(list(group))) for letter, group in groupby(x)], a),
        _text,
    ),
    Template(
        """\
def f({u}):
    {v} = set()
    for low, high in {u}:
        for {w} in range(low, high):
            {v}.add({w} // {b})
    return {{"places": sorted({v}), "number": {a}}}
""",
        lambda a, b, x: {"places": sorted({i // b for s in x for i in range(*s)}), "number": a},
        _spans,
    ),
    Template(
        """\
def f({u}):
    {v} = []
    for {w} in range(len({u})):
        row = [line[{w}] * {b} for line in {u}]
        {v}.append(tuple(row))
    return {v} + [{a}]
""",
        lambda a, b, x: [tuple(b * x[i][j] for i in range(len(x))) for j in range(len(x))] + [a],
        _matrix,
    ),
    Template(
        """\
def f({u}):
    {v} = {{}}
    for {w} in {u}:
        {v}[{w} % {b}] = {v}.get({w} % {b}, 0) + {w}
    return {v}, {a}
""",
        lambda a, b, x: ({rest: sum(i for i in x if i % b == rest) for rest in {i % b for i in x}}, a),
        _numbers,
    ),
    Template(
        """\
def f({u}):
    {v} = "".join({w} for {w} in {u} if {w} not in "xyz")
    return {v}[::-1] + str(len({u}) * {b}) + "/{a}"
""",
        lambda a, b, x: f"{''.join(reversed([i for i in x if i < 'x']))}{len(x) * b}/{a}",
        _text,
    ),
    # Comes last, and seldom. An imported module may keep something from call to call: gate and judge ask for each
    # call alone.
    Template(
        """\
from collections import Counter


def f({u}):
    {v} = Counter({u})
    {w} = sorted({v}.items(), key=lambda pair: (-pair[1], pair[0]))
    return dict({w}[:{b}]), {a}
""",
        lambda a, b, x: ({i: x.count(i) for i in sorted(set(x), key=lambda i: (-x.count(i), i))[:b]}, a),
        _text,
    ),
)


@dataclass(frozen=True)
class Script:
    """A task, and the solver's success at it.

    Attributes:
        program, message: the teacher's proposal.
        inputs, outputs: argument tuples, and the program's return values for them.
        mistake: the program with another number in it: it never returns the same.
        right: number of right attempts in eight.
    """

    program: str
    inputs: tuple[tuple[Any, ...], ...]
    outputs: tuple[Any, ...]
    message: str
    mistake: str
    right: int

    @classmethod
    def make(cls, rng: random.Random, number: int, right: int) -> Script:
        """Make a task that is like no other: ``number`` is in all its return values."""
        template = TEMPLATES[-1] if rng.random() < 1 / 16 else rng.choice(TEMPLATES[:-1])
        names = dict(zip("uvw", (_word(rng) for _ in range(3)), strict=True))
        b = rng.randint(2, 7)
        program, mistake = (template.program.format(a=a, b=b, **names) for a in (number, number + 1))
        arguments: dict[bytes, Any] = {}
        while len(arguments) < INPUTS:
            argument = template.argument(rng)
            arguments[encode((argument,))] = argument
        return cls(
            program=program,
            inputs=tuple((argument,) for argument in arguments.values()),
            outputs=tuple(template.value(number, b, argument) for argument in arguments.values()),
            message=f"Task {number}. " + " ".join(_word(rng) for _ in range(20)),
            mistake=mistake,
            right=right,
        )


def _word(rng: random.Random) -> str:
    return "".join(rng.choices(_SYLLABLES, k=4))


@dataclass
class _Part:
    """One env's players' state in the episode that is played there."""

    lemma: Script
    lift: Script
    refused: str = ""


class Players:
    """Teacher and solver of all envs. The same seed and prompts: the same texts."""

    def __init__(self, seed: int, count: int) -> None:
        """Begin with nothing played.

        Args:
            seed: of everything they write. Players of different seeds have no program in common.
            count: envs.
        """
        self._rng = random.Random(seed)
        # No play reaches a million tasks before the next seed.
        self._number = seed * 1_000_000
        self._count = count
        self._episode = -1
        self._parts: list[_Part] = []

    def begin(self) -> None:
        """Episodes begin in all envs."""
        self._episode += 1
        self._parts = [self._part((env + 3 * self._episode) % 8) for env in range(self._count)]

    def _part(self, sort: int) -> _Part:
        """Of eight episodes five go through every stage; in one the lemma is too easy, in one it is refused, in one
        the lift is."""
        rng = self._rng
        lemma = Script.make(rng, self._next(), 8 if sort == 5 else 4)
        lift = Script.make(rng, self._next(), 2)
        return _Part(lemma, lift, {6: "lemma", 7: "lift"}.get(sort, ""))

    def _next(self) -> int:
        self._number += 1
        return self._number

    def __call__(self, env: int, stage: str, kind: str | None, prompt: str, samples: int) -> tuple[str, ...]:
        """The texts for a prompt: one of the teacher, ``samples`` of the solver."""
        part = self._parts[env]
        if stage in ("lemma", "lift"):
            script = part.lemma if stage == "lemma" else part.lift
            return (_proposal(script, refused=part.refused == stage),)
        known = [s for s in (part.lift, part.lemma) if s.message in prompt or s.program in prompt]
        if not known:  # drawn from the library: an earlier episode's, or another env's
            return (UNSURE,) * samples
        script = known[0]
        if stage == "attempt":
            return tuple(self._attempt(script, sample, samples) for sample in range(samples))
        if kind == "induction":
            return (self._attempt(script, 0, 1),)
        return (_literal(script, kind or "", prompt),)

    def _attempt(self, script: Script, sample: int, samples: int) -> str:
        right = max(1, samples * script.right // 8)
        if sample >= right and sample == samples - 1:
            return UNSURE
        comment = f"# Attempt {self._next()}.\n"
        if sample < right:
            return _fenced("python", comment + script.program)
        if sample == samples - 2:
            return _fenced("python", comment + script.program.replace("return ", "return missing, ", 1))
        return _fenced("python", comment + script.mistake)


def library(count: int, seed: int) -> Library:
    """A library of ``count`` accepted tasks, none of which any player writes before the seed's millions are used up."""
    rng, entries = random.Random(seed), []
    for number in range(count):
        script = Script.make(rng, seed * 1_000_000 + number, 4)
        name = hashlib.sha256(script.program.encode()).hexdigest()
        content = Triplet(script.program, script.inputs, script.outputs, 5, script.message)
        task = Task(content, name, "lemma", "f", "library")
        entries.append(Entry(task, script.right, 8, True))
    return Library(entries)


def _fenced(tag: str, body: str) -> str:
    return f"What I make of the examples is this.\n```{tag}\n{body.rstrip()}\n```"


def _proposal(script: Script, *, refused: bool) -> str:
    program = "import os\n\n\n" + script.program if refused else script.program
    blocks = [_fenced("python", program)]
    blocks += [f"```input\n{render_arguments(arguments)}\n```" for arguments in script.inputs]
    return "\n".join([*blocks, f"```message\n{script.message}\n```"])


def _literal(script: Script, kind: str, prompt: str) -> str:
    """The pair that a deduction or abduction prompt is about: one of them is in it."""
    for arguments, output in zip(script.inputs, script.outputs, strict=True):
        if kind == "deduction" and f"f({render_arguments(arguments)})" in prompt:
            return _fenced("output", render(output))
        if kind == "abduction" and f"\n{render(output)}\n" in prompt:
            return _fenced("input", render_arguments(arguments))
    return UNSURE
