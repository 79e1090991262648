"""One role's own decision process: the turns of all other roles are played inside.

With ``role="teacher"`` an episode stops only where the teacher is to write, and the attempts at its
proposal are played by a partner before the step returns: the reward of a text arrives in the step that
gave it. With ``role="solver"`` the partner writes the tasks. Without a role nothing is played here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gasp_env import policies
from gasp_env.envs.driver import Action, Driver, Stepped
from gasp_env.policies import Sampling
from gasp_env.records import shorten

#: Episodes begun, one after the other, until there is one in which the role acts.
TRIES = 100


@dataclass(frozen=True)
class RoleStep(Stepped):
    """A step as one role sees it: turns the partner played after it belong to it, their credits do not.

    Attributes:
        all_scored: True if every credit is a score, the partner's included.
    """

    all_scored: bool = True

    @property
    def scored(self) -> bool:
        """True if no credit of the step is unscored, the partner's included."""
        return self.all_scored


class SingleRole:
    """A driver as seen from one role, or from all.

    Args:
        driver: plays the episodes.
        role: the role whose turns are left to the caller; None for all roles.
        partner: policy that plays the other roles' turns: a name or an object (`gasp_env.policies`).

    Raises:
        ValueError: one of ``role`` and ``partner`` is there without the other, or there is no such role.
    """

    def __init__(self, driver: Driver, role: str | None = None, partner: Any = None) -> None:
        roles = driver.curriculum.roles
        if role is None and partner is not None:
            raise ValueError(f"expected a role for partner {partner!r} to play with, got role=None")
        if role is not None and role not in roles:
            raise ValueError(f"expected role to be None or one of {', '.join(roles)}, got {role!r}")
        if role is not None and partner is None:
            others = ", ".join(one for one in roles if one != role)
            raise ValueError(
                f"expected the partner that plays {others} (see gasp_env.policies), got partner=None"
            )
        acting = {stage.role for stage in driver.curriculum.stages if stage.name in driver.curriculum.played}
        if role is not None and role not in acting:
            raise ValueError(
                f"expected role={' or '.join(map(repr, sorted(acting)))}, which act with these options, got {role!r}"
            )
        self._driver, self._role = driver, role
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
        if not self._driver.curriculum.plays_goalposts:
            raise ValueError(
                f"expected no goalpost, since no episode of curriculum {self._driver.options.curriculum!r} with these "
                f"options plays one, got {pinned!r}; choose a goalpost_rate above 0, or curriculum 'gasp' or 'rlvr'"
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
            f"expected an episode in which {self._role} acts, got {TRIES} without; the last one ended after stage "
            f"{last['stage']!r} with verdict {last['samples'][-1]['verdict']!r}: choose a partner or options that "
            f"leave {self._role} something to do"
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
        return [None if item is None else self._seen(n, item, later[n]) for n, item in enumerate(stepped)]

    def _seen(self, number: int, stepped: Stepped, later: Sequence[Stepped]) -> Stepped:
        episode = self._driver.episodes[number]
        if self._role is None or episode is None:
            return stepped
        steps, own = [stepped, *later], episode.context.agent(self._role)
        return RoleStep(
            stepped.resolution,
            [credit for one in steps for credit in one.credits if credit.agent == own],
            steps[-1].terminated,
            steps[-1].truncated,
            (own,),
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
        return [n for n in numbers if (turn := turns[n]) is not None and self._role not in (None, turn.role)]

    def _answers(self, numbers: Sequence[int]) -> list[tuple[str, ...]]:
        assert self._policy is not None
        turns = [turn for turn in (self._driver.turns[number] for number in numbers) if turn is not None]
        first = self._driver.episodes[numbers[0]]
        assert first is not None
        # A partner that samples follows the env's seed, as everything random does.
        seed = np.random.SeedSequence((first.context.seed, turns[0].index)).generate_state(1)
        return policies.answer(
            self._policy,
            self._name,
            [turn.prompt for turn in turns],
            [turn.samples for turn in turns],
            Sampling(seed=int(seed[0])),
        )
