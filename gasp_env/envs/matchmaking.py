"""Matchmakers, which seat agents in the roles of a game, once an episode.

A game names roles (``teacher``); turns and credits name agents (``teacher_2``). The agents that may ever sit are
fixed when an env is made, as PettingZoo wants it. Seats are drawn from the episode's seed and stand in its transcript.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from gasp_env.registry import Registry


@runtime_checkable
class Matchmaker(Protocol):
    """Seats agents in roles.

    Attributes:
        agents: all that may ever sit, in the order views list them.
    """

    agents: tuple[str, ...]

    def seat(self, roles: Sequence[str], rng: np.random.Generator) -> Mapping[str, str]:
        """An agent for each role of one episode. May draw from ``rng`` and from nothing else."""
        ...


class Uniform:
    """Draws an agent for each role uniformly.

    Args:
        roles: of the game.
        counts: number of agents by role; one where it names none. Agents are called ``teacher_0``, ``teacher_1``, ...

    Raises:
        ValueError: ``counts`` names a role that the game does not have.
    """

    def __init__(self, roles: Sequence[str], counts: Mapping[str, int]) -> None:
        unknown = sorted(set(counts) - set(roles))
        if unknown:
            raise ValueError(f"expected agents for some of the roles {', '.join(roles)}, got {unknown[0]!r}")
        self._counts = {role: counts.get(role, 1) for role in roles}
        self.agents = tuple(f"{role}_{n}" for role in roles for n in range(self._counts[role]))

    def seat(self, roles: Sequence[str], rng: np.random.Generator) -> dict[str, str]:
        """See `Matchmaker.seat`."""
        return {role: f"{role}_{int(rng.integers(self._counts[role]))}" for role in roles}


#: Makers of matchmakers: called with the roles and the numbers of agents, as `Uniform` is.
MATCHMAKERS: Registry[Callable[..., Any]] = Registry("matchmaker")
MATCHMAKERS.register("uniform", Uniform)


def get(name: str, roles: Sequence[str], counts: Mapping[str, int] | None) -> Matchmaker:
    """The matchmaker of a name: ``uniform``, or ``module:name`` or ``file.py:name`` of one of your own.

    Raises:
        ValueError: there is none, or it makes no matchmaker.
    """
    made = MATCHMAKERS.get(name)(tuple(roles), counts or {})
    if not isinstance(made, Matchmaker):
        raise ValueError(
            f"matchmaker {name!r}: expected agents and seat(roles, rng), got {type(made).__name__}"
        )
    return made


def seats(matchmaker: Matchmaker, roles: Sequence[str], seed: int) -> dict[str, str]:
    """The seats of the episode with this seed.

    Raises:
        ValueError: a role has no agent, or one that is not among the matchmaker's.
    """
    # A stream of its own: another matchmaker leaves everything else that the episode draws as it was.
    seated = dict(matchmaker.seat(tuple(roles), np.random.default_rng([seed, 1])))
    for role in roles:
        if seated.get(role) not in matchmaker.agents:
            raise ValueError(
                f"expected the matchmaker to seat one of {', '.join(matchmaker.agents)} as {role}, "
                f"got {seated.get(role)!r}"
            )
    return {role: seated[role] for role in roles}
