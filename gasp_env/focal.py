"""One role's own decision process: the other role's turns are played inside.

With ``focal="teacher_0"`` an episode stops only where the teacher is to write, and the attempts at its
proposal are played by a partner before the step returns: the reward of a text arrives in the step that
gave it. With ``focal="solver_0"`` the partner writes the tasks. Without a focal role nothing is played here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gasp_env import partners
from gasp_env.driver import Action, Driver, Stepped
from gasp_env.options import PROPOSES
from gasp_env.tasks import AGENTS

#: Episodes begun, one after the other, until there is one in which the focal role acts.
TRIES = 100


class Focal:
    """A driver as seen from one role, or from both.

    Args:
        driver: plays the episodes.
        agent: the role whose turns are left to the caller; None for both roles.
        partner: name of the policy that plays the other role's turns (`gasp_env.partners`).

    Attributes:
        agents: the roles whose turns are left to the caller.

    Raises:
        ValueError: one of ``agent`` and ``partner`` is there without the other, or is none.
    """

    def __init__(self, driver: Driver, agent: str | None = None, partner: str | None = None) -> None:
        if agent is None and partner is not None:
            raise ValueError(f"expected a focal role for partner {partner!r} to play with, got focal=None")
        if agent is not None and agent not in AGENTS:
            raise ValueError(f"expected focal to be None or one of {', '.join(AGENTS)}, got {agent!r}")
        if agent is not None and partner is None:
            other = next(one for one in AGENTS if one != agent)
            raise ValueError(
                f"expected the partner that plays {other} (see gasp_env.partners), got partner=None"
            )
        schedule = driver.schedule
        if agent == "teacher_0" and (schedule.goalpost_rate >= 1 or not PROPOSES[schedule.curriculum]):
            raise ValueError(
                "expected focal='solver_0' where all episodes are goalpost turns, got 'teacher_0'"
            )
        self._driver = driver
        self.agents: tuple[str, ...] = AGENTS if agent is None else (agent,)
        self._name = partner or ""
        self._policy = None if partner is None else partners.get(partner)

    def begin(
        self, generators: Mapping[int, np.random.Generator], options: Mapping[str, Any] | None = None
    ) -> None:
        """Begin an episode in each slot, up to the first turn that is the caller's.

        An episode without such a turn is played to its end, and another one begun from the same generator.

        Raises:
            RuntimeError: that happened ``TRIES`` times in a row, or the partner raised.
        """
        numbers = list(generators)
        for _ in range(TRIES):
            for number in numbers:
                self._driver.begin(number, generators[number], options)
            self._play(numbers)
            turns = self._driver.turns
            numbers = [number for number in numbers if turns[number] is None]
            if not numbers:
                return
        record = self._driver.transcript(numbers[0])
        assert record is not None
        last = record["turns"][-1]
        raise RuntimeError(
            f"expected an episode in which {self.agents[0]} acts, got {TRIES} without; the last one ended after stage "
            f"{last['stage']!r} with verdict {last['samples'][-1]['verdict']!r}: choose a partner or options that "
            f"leave {self.agents[0]} something to do"
        )

    def step(self, actions: Sequence[Action | None]) -> list[Stepped | None]:
        """As `gasp_env.driver.Driver.step`, and the partner's turns after it.

        Credits are the caller's roles', verdicts those of the texts given.

        Raises:
            as `gasp_env.driver.Driver.step`.
            RuntimeError: the partner raised. The episodes that moved are lost then.
            ValueError: the partner gave other than was asked; they are lost then, too.
        """
        stepped = self._driver.step(actions)
        later = self._play([number for number, item in enumerate(stepped) if item is not None])
        return [None if item is None else self._seen(item, later[n]) for n, item in enumerate(stepped)]

    def _seen(self, stepped: Stepped, later: Sequence[Stepped]) -> Stepped:
        """A step as the focal role sees it: what was played after it belongs to it."""
        steps = [stepped, *later]
        credits = [credit for one in steps for credit in one.credits if credit.agent in self.agents]
        return replace(
            stepped, credits=credits, terminated=steps[-1].terminated, truncated=steps[-1].truncated
        )

    def _play(self, numbers: Sequence[int]) -> dict[int, list[Stepped]]:
        """Play the partner's turns in these episodes, all of them in one batch, until none is left."""
        played: dict[int, list[Stepped]] = {number: [] for number in numbers}
        try:
            while waiting := self._waiting(numbers):
                actions: list[Action | None] = [None] * len(self._driver.turns)
                for number, answer in zip(waiting, self._answers(waiting), strict=True):
                    actions[number] = answer
                for number, item in enumerate(self._driver.step(actions)):
                    if item is not None:
                        played[number].append(item)
        except BaseException:
            for number in numbers:
                self._driver.episodes[number] = None
            raise
        return played

    def _waiting(self, numbers: Sequence[int]) -> list[int]:
        turns = self._driver.turns
        return [n for n in numbers if (turn := turns[n]) is not None and turn.agent not in self.agents]

    def _answers(self, numbers: Sequence[int]) -> list[tuple[str, ...]]:
        assert self._policy is not None
        turns = [turn for turn in (self._driver.turns[number] for number in numbers) if turn is not None]
        return partners.ask(
            self._policy, self._name, [turn.prompt for turn in turns], [turn.samples for turn in turns]
        )
