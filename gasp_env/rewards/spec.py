"""Types of rewards, and the record of a registered one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from gasp_env.episode.outcome import Outcome
from gasp_env.rewards.needs import OFFERED

Terms = dict[str, float]
SolverReward = Callable[[str], Terms]
#: Origin of a formula: the ``paper``, its authors' ``code`` where that differs or alone has it, or ``ours``.
Tag = Literal["paper", "code", "ours"]


class RewardFunction(Protocol):
    """Terms for each of the outcomes that one step resolved, in the same order."""

    def __call__(self, outcomes: Sequence[Outcome]) -> list[Terms]:
        """Return one dict of named terms per outcome; their sum is the reward."""
        ...


@dataclass(frozen=True)
class TeacherReward:
    """A registered teacher reward.

    Attributes:
        name: the name it is chosen by.
        function: see `RewardFunction`. None if it is listed only, because nothing here meets its needs.
        needs: its needs beyond outcomes; names of `gasp_env.rewards.needs.NEEDS`.
        source: paper or repository.
        formula: in a line.
        tag: see `Tag`.
        deviation: known differences from its source.
        stages: the stages it can be used for; empty for every stage of every curriculum.
        parts: names of the rewards that it stands for, by stage; empty unless it is one reward per stage.
    """

    name: str
    function: RewardFunction | None
    needs: frozenset[str] = frozenset()
    source: str = ""
    formula: str = ""
    tag: Tag = "ours"
    deviation: str = ""
    stages: tuple[str, ...] = ()
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def available(self) -> bool:
        """True if some environment of ours can compute it."""
        return self.function is not None and self.needs <= OFFERED


@dataclass(frozen=True)
class SolverSpec:
    """A registered solver reward; the fields are those of `TeacherReward`."""

    name: str
    function: SolverReward
    source: str
    formula: str
    tag: Tag = "ours"
    needs: frozenset[str] = frozenset()
    available: bool = True
    stages: tuple[str, ...] = ("attempt", "solve", "goalpost")
    deviation: str = ""
