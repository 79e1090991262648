"""One role's own decision process: the other role's turns are played inside.

With ``focal="teacher_0"`` an episode stops only where the teacher is to write, and the attempts at its
proposal are played by a partner before the step returns: the reward of a text arrives in the step that
gave it. With ``focal="solver_0"`` the partner writes the tasks. Without a focal role nothing is played here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gasp_env import policies
from gasp_env.envs.driver import Action, Driver, Stepped
from gasp_env.options import PROPOSES
from gasp_env.records import shorten
from gasp_env.tasks import AGENTS

#: Episodes begun, one after the other, until there is one in which the focal role acts.
TRIES = 100


@dataclass(frozen=True)
class Seen(Stepped):
    """A step as the focal role sees it: what the partner played after it belongs to it, its credits do not.

    Attributes:
        whole: every credit is a score, the partner's included.
    """

    whole: bool = True

    @property
    def scored(self) -> bool:
        """Whether nothing in the step, of whichever role, was left unscored."""
        return self.whole


class Focal:
    """A driver as seen from one role, or from both.

    Args:
        driver: plays the episodes.
        agent: the role whose turns are left to the caller; None for both roles.
        partner: the policy that plays the other role's turns, by name or as an object (`gasp_env.policies.get`).

    Attributes:
        agents: the roles whose turns are left to the caller.

    Raises:
        ValueError: one of ``agent`` and ``partner`` is there without the other, or is none.
    """

    def __init__(self, driver: Driver, agent: str | None = None, partner: Any = None) -> None:
        if agent is None and partner is not None:
            raise ValueError(
                f"expected a focal role for partner {shorten(partner)} to play with, got focal=None"
            )
        if agent is not None and agent not in AGENTS:
            raise ValueError(f"expected focal to be None or one of {', '.join(AGENTS)}, got {agent!r}")
        if agent is not None and partner is None:
            other = next(one for one in AGENTS if one != agent)
            raise ValueError(
                f"expected the partner that plays {other} (see gasp_env.policies), got partner=None"
            )
        schedule = driver.schedule
        if agent == "teacher_0" and (schedule.goalpost_rate >= 1 or not PROPOSES[schedule.curriculum]):
            raise ValueError(
                "expected focal='solver_0' where all episodes are goalpost turns, got 'teacher_0'"
            )
        self._driver = driver
        self.agents: tuple[str, ...] = AGENTS if agent is None else (agent,)
        self._name = partner if isinstance(partner, str) else shorten(partner)
        self._policy = None if partner is None else policies.get(partner)

    def check(self, options: Mapping[str, Any] | None) -> None:
        """Refuse options of a reset before anything is changed by it.

        Raises:
            ValueError: they are no mapping, there is no such goalpost, or no episode of this env plays one.
        """
        if options is not None and not isinstance(options, Mapping):
            raise ValueError(f"expected reset options to be a dict or None, got {shorten(options)}")
        pinned = (options or {}).get("goalpost")
        if pinned is None:
            return
        known = [goalpost.id for goalpost in self._driver.goalposts]
        if not isinstance(pinned, str) or pinned not in known:
            some = ", ".join([*known[:5], "..."][: len(known)]) or "it has none"
            raise ValueError(f"expected the id of a goalpost of this env ({some}), got {shorten(pinned)}")
        schedule = self._driver.schedule
        if schedule.curriculum == "azr" and schedule.goalpost_rate == 0:
            raise ValueError(
                f"expected no goalpost, since every episode of curriculum 'azr' with goalpost_rate 0 is unguided, got "
                f"{pinned!r}; choose a goalpost_rate above 0, or curriculum 'gasp' or 'rlvr'"
            )

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
        """As `gasp_env.envs.driver.Driver.step`, and the partner's turns after it.

        Credits are the caller's roles', verdicts those of the texts given. ``scored`` is False where any credit is
        unscored, of the partner too: a failed sandbox shows even if none of the caller's texts met it.

        Raises:
            as `gasp_env.envs.driver.Driver.step`.
            RuntimeError: the partner raised. The episodes that moved are lost then.
            ValueError: the partner gave other than was asked; they are lost then, too.
        """
        stepped = self._driver.step(actions)
        later = self._play([number for number, item in enumerate(stepped) if item is not None])
        return [None if item is None else self._seen(item, later[n]) for n, item in enumerate(stepped)]

    def _seen(self, stepped: Stepped, later: Sequence[Stepped]) -> Stepped:
        steps = [stepped, *later]
        return Seen(
            stepped.resolution,
            [credit for one in steps for credit in one.credits if credit.agent in self.agents],
            steps[-1].terminated,
            steps[-1].truncated,
            all(one.scored for one in steps),
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
        return policies.answer(
            self._policy, self._name, [turn.prompt for turn in turns], [turn.samples for turn in turns]
        )
