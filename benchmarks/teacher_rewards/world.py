"""SIMULATION: the world. Tasks that carry their skill and difficulty in their text, and programs that are never run."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gasp_env.domains.python.domain import PythonDomain
from gasp_env.domains.python.rules import GateRules
from gasp_env.domains.python.styles import ExercisesStyle
from gasp_env.domains.python.triplet import Triplet
from gasp_env.sandbox.runs import Call, Result, Run, Status
from gasp_env.tasks import Goalpost, Task

Array = NDArray[np.float64]

SKILLS = 12
GOAL_SKILLS = (4, 5, 6, 7, 8)
GOALPOSTS = 24
#: Difficulties are written in tenths; of one skill and difficulty there are this many different programs.
TENTHS = 10
VARIANTS = 25
INPUTS = (1, 2)
#: Least and greatest distance of a goalpost from the student's ability at the start: p = 0.028 and 0.0009.
GAP = (3.6, 7.0)

_HINT = re.compile(r"skill (\d+), level (-?\d+), variant (\d+)")
_PROGRAM = re.compile(r"return \w+ \+ (\d+)")
_RAISING = "def f(x):\n    return [x][x]"
#: Number that a program adds: (skill * _VARIANTS + variant) * _LEVELS + level + _LEVELS // 2.
_LEVELS, _VARIANTS = 10_000, 100


@dataclass(frozen=True)
class Item:
    """A task: ``skill`` on the ring, ``level`` its difficulty in tenths, ``variant`` one of its programs."""

    skill: int
    level: int
    variant: int = 0

    @property
    def difficulty(self) -> float:
        """Difficulty in the unit of ability, with which `Student` compares it."""
        return self.level / TENTHS

    @property
    def code(self) -> int:
        """The task as a number."""
        return (self.skill * _VARIANTS + self.variant) * _LEVELS + self.level + _LEVELS // 2

    @classmethod
    def of_code(cls, code: int) -> Item:
        """The task of a number."""
        where, level = divmod(code, _LEVELS)
        return cls(where // _VARIANTS, level - _LEVELS // 2, where % _VARIANTS)

    @property
    def program(self) -> str:
        """The task as a program, of which everything else can be read back.

        Its variable is named after skill and variant, so that rewards which compare texts find tasks of one skill and
        variant alike, and no others.
        """
        name = f"s{self.skill}v{self.variant}"
        return f"def f({name}):\n    return {name} + {self.code}"

    @property
    def hint(self) -> str:
        """The task as a message."""
        return f"skill {self.skill}, level {self.level}, variant {self.variant}"

    def proposal(self, kind: str = "induction") -> str:
        """The task as a teacher writes it: inputs and a message, or one input."""
        inputs = "".join(f"```input\n{x}\n```\n" for x in (INPUTS if kind == "induction" else INPUTS[:1]))
        message = f"```message\n{self.hint}\n```\n" if kind == "induction" else ""
        return f"```python\n{self.program}\n```\n{inputs}{message}"

    def output(self, x: int) -> int:
        """The program's result for ``x``."""
        return x + self.code


#: Programs that are never right: no teacher writes them.
WRONG = tuple(Item(0, 0, VARIANTS + number) for number in range(4))


def items(prompt: str) -> list[Item]:
    """The tasks a prompt is about, as hints or as programs, in order."""
    hints = [Item(*map(int, found)) for found in _HINT.findall(prompt)]
    if hints:
        return hints
    return [Item.of_code(int(code)) for code in _PROGRAM.findall(prompt)]


def broken(unreadable: bool, kind: str = "induction") -> str:
    """An invalid proposal: one that cannot be read, or one whose program raises."""
    if unreadable:
        return "no task"
    inputs = INPUTS if kind == "induction" else INPUTS[:1]
    return f"```python\n{_RAISING}\n```\n" + "".join(f"```input\n{x}\n```\n" for x in inputs)


def given(item: Item, variant: int) -> str:
    """Inputs and a message for a program that was given; ``variant`` chooses the inputs."""
    inputs = "".join(f"```input\n{variant * len(INPUTS) + x}\n```\n" for x in INPUTS)
    return f"{inputs}```message\n{item.hint}\n```\n"


def execute(run: Run) -> Result:
    """The result that a sandbox would give, in closed form."""
    found = _PROGRAM.search(run.program)
    if found is None:
        failed = Call(Status.EXCEPTION, error="IndexError: list index out of range")
        return Result(Status.EXCEPTION, (failed,) * len(run.inputs), error=failed.error, tier="simulation")
    code = int(found[1])
    calls = tuple(Call(Status.OK, x + code) for (x,) in run.inputs)
    return Result(Status.OK, calls, tier="simulation")


@dataclass(frozen=True)
class World:
    """State in which a seed begins: the student's abilities, and goalposts beyond them.

    Attributes:
        ability: of each skill, at the start, shape (SKILLS,). Strong on one side of the ring, weak on the other.
        goalposts: points of weak skills, far above the ability.
        domain: the real gate, judge and prompts, with two inputs a task instead of ten. Its seed tasks are as hard
            as the student's abilities allow, of every skill.
    """

    ability: Array
    goalposts: tuple[Goalpost, ...]
    domain: PythonDomain


def build(seed: int) -> World:
    """The world of a seed; the same for every reward that is compared."""
    rng = np.random.default_rng([seed, 0])
    ring = np.cos(2 * np.pi * np.arange(SKILLS) / SKILLS)
    ability = ring + rng.normal(0, 0.2, SKILLS)
    goalposts = []
    for number in range(GOALPOSTS):
        skill = GOAL_SKILLS[number % len(GOAL_SKILLS)]
        level = round(TENTHS * (ability[skill] + rng.uniform(*GAP)))
        item = Item(skill, level)
        pairs = [(x,) for x in INPUTS]
        goalposts.append(
            Goalpost(
                id=f"goal{number}",
                statement=item.hint,
                signature="def f(x: int) -> int",
                inputs=tuple(pairs),
                outputs=tuple(item.output(x) for (x,) in pairs),
                reference=item.program,
            )
        )
    found = tuple(goalposts)
    rules = GateRules(input_count=(len(INPUTS), len(INPUTS)), shown=1)
    seeds = tuple(
        _seed_task(Item(skill, round(TENTHS * float(level))), kind)
        for kind in ("deduction", "abduction")
        for skill, level in enumerate(ability)
    )
    return World(
        ability,
        found,
        PythonDomain("simulation", ExercisesStyle(), lambda: found, rules, builtin_seeds=lambda: seeds),
    )


def _seed_task(item: Item, kind: str) -> Task:
    x = INPUTS[0]
    content = Triplet(item.program, ((x,),), (item.output(x),), 0, "")
    return Task(content, f"seed {kind} {item.hint}", "propose", kind=kind)


def item_of(goalpost: Goalpost) -> Item:
    """The point a goalpost is."""
    return items(goalpost.statement)[0]
