"""Outcomes for the tests of rewards."""

from __future__ import annotations

from typing import Any

from gasp_env.episode.outcome import Outcome
from gasp_env.library import embedders
from gasp_env.library.library import Library
from gasp_env.rewards.registry import TeacherRewards
from gasp_env.tasks import Entry, Goalpost, Task
from tests.players import python_task

PROGRAMS = (
    "def f(xs):\n    return sum(x for x in xs if x > 3)",
    "def f(word):\n    return ''.join(sorted(set(word)))",
    "def f(n):\n    count = 0\n    while n > 1:\n        n = n // 2 if n % 2 == 0 else 3 * n + 1\n"
    "        count += 1\n    return count",
    "def f(rows):\n    return [max(row) for row in rows if row]",
    "def f(text):\n    return {letter: text.count(letter) for letter in text}",
    "def f(a, b):\n    return (a * b - 1) % 97",
    "def f(items):\n    best = None\n    for item in items:\n"
    "        best = item if best is None else min(best, item)\n    return best",
    "def f(x):\n    return bin(x)[2:].zfill(8)",
    "def f(names):\n    return sorted(names, key=len, reverse=True)[:2]",
    "def f(grid):\n    return list(zip(*grid))",
)
GOALPOST = Goalpost(
    "g", "Count the letters that are the same in two words.", "def f(a, b)", (("ab", "cb"),), (1,)
)


def task(program: str = PROGRAMS[0], message: str = "", stage: str = "lemma") -> Task:
    return python_task(program, (([1, 5],),), (5,), 1, message, f"print of {program}", stage, "f", "g")


def outcome(correct: int, samples: int, stage: str = "lemma", **more: Any) -> Outcome:
    """A valid proposal of which c of n attempts were right."""
    return Outcome(stage, "f", "g", "valid", correct, samples, **{"task": task(stage=stage), **more})


def rejected(stage: str = "lemma") -> Outcome:
    return Outcome(stage, "f", "g", "duplicate")


def library(*entries: Entry) -> Library:
    """A library that can answer `nearest`."""
    return Library(entries, embedder=embedders.get("hashing"))


def pay(name: str, *outcomes: Outcome) -> list[float]:
    """What a reward pays for the outcomes of one step."""
    got = TeacherRewards(name)(outcomes)
    return [sum(terms.values()) for terms in got if terms is not None]
