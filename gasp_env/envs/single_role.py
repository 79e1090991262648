"""Single-agent decision process of one role: a partner policy plays the turns of all other roles.

With ``role="teacher"`` an episode stops only at the teacher's turns. A partner plays the attempts at its
proposal before the step returns, so a step returns the reward of its own text. With ``role="solver"`` the
partner writes the tasks. Without a role, the caller plays every turn.
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

#: Greatest number of episodes to begin in search of one in which the role acts.
TRIES = 100


@dataclass(frozen=True)
class RoleStep(Stepped):
    """A step for one role. It includes the partner's turns that follow, but not the partner's credits.

    Attributes:
        all_scored: True if every credit is a score, the partner's included.
    """

    all_scored: bool = True

    @property
    def scored(self) -> bool:
        """True if no credit of the step is unscored, the partner's included."""
        return self.all_scored


class SingleRole:
    """A driver restricted to one role, or with all roles.

    Args:
        driver: plays the episodes.
        role: the role that the caller plays; None for all roles.
        partner: policy that plays the other roles' turns: a name or an object (`gasp_env.policies`). It is asked for
            all waiting episodes at once, with one seed. So what a partner that samples writes in one of several envs
            depends on the others, and is not what it writes in an env alone.

    Raises:
        ValueError: only one of ``role`` and ``partner`` is given, or there is no such role.
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

    def check(self, options: Mapping[str, Any] | None, count: int | None = None) -> None:
        """Validate the options of a reset before it changes anything.

        Args:
            options: of the reset.
            count: number of envs, which may have a goalpost each; None for a single env.

        Raises:
            ValueError: they are no mapping, there is no such goalpost, there are not as many as envs, or no episode of
                this env plays one.
        """
        if options is not None and not isinstance(options, Mapping):
            raise ValueError(f"expected reset options to be a dict or None, got {shorten(options)}")
        pinned = (options or {}).get("goalpost")
        if pinned is None:
            return
        each = count is not None and not isinstance(pinned, str)
        if each and (
            not isinstance(pinned, Sequence | np.ndarray)
            or (isinstance(pinned, np.ndarray) and pinned.ndim != 1)
            or len(pinned) != count
        ):
            raise ValueError(
                f"expected the id of a goalpost, or a list of {count}, one per env, got {shorten(pinned)}"
            )
        wanted = pinned if each else [pinned]
        known = [goalpost.id for goalpost in self._driver.goalposts]
        for one in wanted:
            if one is not None and (not isinstance(one, str) or one not in known):
                some = ", ".join([*known[:5], "..."][: len(known)]) or "it has none"
                raise ValueError(f"expected the id of a goalpost of this env ({some}), got {shorten(one)}")
        if all(one is None for one in wanted):
            return
        if not self._driver.curriculum.plays_goalposts:
            raise ValueError(
                f"expected no goalpost, since no episode of curriculum {self._driver.options.curriculum!r} with these "
                f"options plays one, got {pinned!r}; choose a goalpost_rate above 0, or curriculum 'gasp' or 'rlvr'"
            )

    def begin(
        self, generators: Mapping[int, np.random.Generator], options: Mapping[str, Any] | None = None
    ) -> None:
        """Begin an episode in each slot and play it up to the caller's first turn.

        An episode without such a turn is played to its end, and the same generator begins another one.

        Raises:
            RuntimeError: ``TRIES`` episodes in a row had no such turn, or the partner raised.
        """
        numbers = list(generators)
        for _ in range(TRIES):
            for number in numbers:
                self._driver.begin(number, generators[number], _own(options, number))
                self._check_seat(number)
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
        """Step like `gasp_env.envs.driver.Driver.step`, then play the partner's turns.

        Credits are those of the caller's roles, verdicts those of the given texts. ``scored`` is False if any
        credit is unscored, the partner's included: so a sandbox failure during the partner's turns is
        reported too.

        Raises:
            as `gasp_env.envs.driver.Driver.step`.
            RuntimeError: the partner raised. The episodes that moved are lost.
            ValueError: the partner did not return the requested texts. The episodes that moved are lost.
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

    def _check_seat(self, number: int) -> None:
        """Refuse an agent that sits in the partner's roles too: its credits could not be told apart."""
        episode = self._driver.episodes[number]
        if self._role is None or episode is None:
            return
        own = episode.context.agent(self._role)
        for role in self._driver.curriculum.roles:
            if role != self._role and episode.context.agent(role) == own:
                self._driver.episodes[number] = None
                raise ValueError(
                    f"expected an agent of its own for the role {self._role!r}, which is played alone; the matchmaker "
                    f"seats {own!r} as {role} too"
                )

    def _play(self, numbers: Sequence[int]) -> dict[int, list[Stepped]]:
        """Play the partner's turns in these episodes, one batch at a time, until none is left."""
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
        # A sampling partner depends on the env's seed, like everything random.
        seed = np.random.SeedSequence((first.context.seed, turns[0].index)).generate_state(1)
        return policies.answer(
            self._policy,
            self._name,
            [turn.prompt for turn in turns],
            [turn.samples for turn in turns],
            Sampling(seed=int(seed[0])),
        )


def _own(options: Mapping[str, Any] | None, number: int) -> Mapping[str, Any] | None:
    """The options of a reset that are one env's."""
    pinned = (options or {}).get("goalpost")
    if pinned is None or isinstance(pinned, str):
        return options
    return {**(options or {}), "goalpost": pinned[number]}
