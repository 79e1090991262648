"""Matchmakers: assign agents to the roles of a game, once an episode.

A game names roles (``teacher``); turns and credits name agents (``teacher_2``). The set of possible agents is
fixed when an env is made, as PettingZoo requires. Seats are drawn from the episode's seed and recorded in its
transcript.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from gasp_env.records import shorten
from gasp_env.registry import Registry


@runtime_checkable
class Matchmaker(Protocol):
    """Seats agents in roles.

    Attributes:
        agents: all possible agents, in the order of the views' lists.
    """

    agents: tuple[str, ...]

    def seat(self, roles: Sequence[str], rng: np.random.Generator) -> Mapping[str, str]:
        """Choose an agent for each role of one episode. The only source of randomness is ``rng``."""
        ...


class Uniform:
    """Draws an agent for each role uniformly.

    Args:
        roles: the game's roles.
        counts: number of agents by role, 1 for a missing role. Agents are called ``teacher_0``,
            ``teacher_1``, ...

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


#: Factories of matchmakers. Each is called with the roles and the numbers of agents, like `Uniform`.
MATCHMAKERS: Registry[Callable[..., Any]] = Registry("matchmaker")
MATCHMAKERS.register("uniform", Uniform)


def get(name: str, roles: Sequence[str], counts: Mapping[str, int] | None) -> Matchmaker:
    """Make the matchmaker of this name: ``uniform``, or your own ``module:name`` or ``file.py:name``.

    Raises:
        ValueError: there is none with this name, or its factory returns no matchmaker.
    """
    made = MATCHMAKERS.get(name)(tuple(roles), counts or {})
    if not isinstance(made, Matchmaker):
        raise ValueError(
            f"matchmaker {name!r}: expected agents and seat(roles, rng), got {type(made).__name__}"
        )
    agents = made.agents
    named = isinstance(agents, tuple) and all(isinstance(one, str) and 1 <= len(one) <= 100 for one in agents)
    if not named:
        raise ValueError(
            f"matchmaker {name!r}: expected agents to be a tuple of names of 1 to 100 characters, "
            f"got {shorten(agents)}"
        )
    return made


def seats(matchmaker: Matchmaker, roles: Sequence[str], seed: int) -> dict[str, str]:
    """The seats of the episode with this seed.

    Raises:
        ValueError: a role has no agent, or one that is not among the matchmaker's.
    """
    # A random stream of its own, so that the matchmaker does not affect the episode's other draws.
    seated = dict(matchmaker.seat(tuple(roles), np.random.default_rng([seed, 1])))
    for role in roles:
        if seated.get(role) not in matchmaker.agents:
            raise ValueError(
                f"expected the matchmaker to seat one of {', '.join(matchmaker.agents)} as {role}, "
                f"got {seated.get(role)!r}"
            )
    return {role: seated[role] for role in roles}
