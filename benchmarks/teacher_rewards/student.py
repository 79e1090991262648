"""SIMULATION: the student, an item-response model that learns by REINFORCE."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.teacher_rewards.world import SKILLS, WRONG, Array, Item, items

#: Width of the transfer kernel, in skills.
WIDTH = 1.0
#: Step size of learning a single task by heart. At 4 one right answer at p = 1/2 and advantage 1 makes the
#: same task p = 0.88.
BY_HEART = 4.0


def kernel(width: float = WIDTH) -> Array:
    """Share of one skill in another, shape (SKILLS, SKILLS): Gaussian in their distance on the ring."""
    apart = np.abs(np.arange(SKILLS)[:, None] - np.arange(SKILLS)[None, :])
    return np.exp(-(np.minimum(apart, SKILLS - apart) ** 2) / (2 * width**2))


def sigmoid(logit: Any) -> Any:
    """1 / (1 + e^-x)."""
    return 1 / (1 + np.exp(-np.asarray(logit)))


@dataclass
class Student:
    """Ability of a skill is ``start + kernel @ learned``; training moves ``learned``, and ``memory`` of single tasks.

    Without memory, a task once accepted could be practised for ever, and a teacher would not be needed for long.

    Attributes:
        start: ability before training, shape (SKILLS,).
        rate: step size.
        memory: logits learned by heart, by task.
    """

    start: Array
    rate: float
    learned: Array = field(default_factory=lambda: np.zeros(SKILLS))
    transfer: Array = field(default_factory=kernel)
    memory: dict[Item, float] = field(default_factory=dict)

    @property
    def ability(self) -> Array:
        """Of each skill, now."""
        return self.start + self.transfer @ self.learned

    def chance(self, item: Item) -> float:
        """Success rate on a task."""
        return float(sigmoid(self.ability[item.skill] - item.difficulty + self.memory.get(item, 0.0)))

    def learn(self, answers: list[tuple[Item, bool, float]], episodes: int) -> None:
        """One REINFORCE step on (task, whether right, advantage).

        The gradient of ``log P(right or wrong)`` is ``(right - p) * kernel[skill]``, and ``right - p`` for the task's
        memory. The sum is divided by the number of episodes, not of answers: an episode without a task to train on
        teaches nothing. Memory is one task's own, so its step is not.
        """
        gradient = np.zeros(SKILLS)
        pushes = [(item, advantage * (right - self.chance(item))) for item, right, advantage in answers]
        for item, push in pushes:
            gradient += push * self.transfer[item.skill]
            self.memory[item] = self.memory.get(item, 0.0) + BY_HEART * push
        self.learned += self.rate * gradient / max(1, episodes)

    def answer(self, prompt: str, kind: str, rng: np.random.Generator) -> tuple[str, Item, bool]:
        """A text that is right with the task's success rate, the task, and whether it is meant to be right."""
        item = items(prompt)[0]
        right = bool(rng.random() < self.chance(item))
        # Always the same number of draws. A wrong answer is the right one to another program of the family.
        other = WRONG[int(rng.integers(len(WRONG)))]
        said = item if right else other
        return _written(prompt, kind, item, said), item, right


def _written(prompt: str, kind: str, item: Item, said: Item) -> str:
    if kind == "induction":
        return f"```python\n{said.program}\n```"
    if kind == "deduction":
        asked = re.search(r"\bf\((-?\d+)\)", prompt)
        assert asked is not None
        return f"```output\n{said.output(int(asked[1]))}\n```"
    output = re.search(r"^(-?\d+)$", prompt, re.MULTILINE)
    assert output is not None
    return f"```input\n{int(output[1]) - said.code}\n```"
