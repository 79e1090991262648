"""Rewards by name."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol

from gasp_env.rewards.outcome import Outcome

Terms = dict[str, float]
SolverReward = Callable[[str], Terms]


class RewardFunction(Protocol):
    """Terms for each of the outcomes that one step resolved, in the same order."""

    def __call__(self, outcomes: Sequence[Outcome]) -> list[Terms]:
        """Return one dict of named terms per outcome; their sum is the reward."""
        ...


@dataclass(frozen=True)
class TeacherReward:
    """A registered teacher reward.

    Attributes:
        name: what it is chosen by.
        function: see `RewardFunction`.
        needs: ``"batch"`` if it compares the outcomes of a step with each other. An env that
            resolves one outcome at a time refuses such a reward.
    """

    name: str
    function: RewardFunction
    needs: frozenset[str] = frozenset()


_teacher: dict[str, TeacherReward] = {}
#: Names that stand for one reward per stage.
_by_stage: dict[str, Mapping[str, str]] = {"gasp": {"lemma": "gasp_lemma", "lift": "gasp_lift"}}
_solver: dict[str, SolverReward] = {}


def teacher_reward(name: str, *, needs: Sequence[str] = ()) -> Callable[[RewardFunction], RewardFunction]:
    """Register a teacher reward under ``name``.

    Example:
        >>> @teacher_reward("half")
        ... def half(outcomes):
        ...     return [{"half": 1 - abs(2 * o.correct / o.samples - 1)} if o.valid else {"invalid": -1.0}
        ...             for o in outcomes]
    """

    def register(function: RewardFunction) -> RewardFunction:
        taken = name in _by_stage or (name in _teacher and not _is_again(_teacher[name].function, function))
        if taken:
            raise ValueError(f"a teacher reward named {name!r} exists already; choose another name")
        unknown = set(needs) - {"batch"}
        if unknown:
            raise ValueError(f"teacher reward {name!r} needs {sorted(unknown)}; what can be had is 'batch'")
        _teacher[name] = TeacherReward(name, function, frozenset(needs))
        return function

    return register


def solver_reward(name: str) -> Callable[[SolverReward], SolverReward]:
    """Register a solver reward: reason of a verdict to named terms."""

    def register(function: SolverReward) -> SolverReward:
        if name in _solver and not _is_again(_solver[name], function):
            raise ValueError(f"a solver reward named {name!r} exists already; choose another name")
        _solver[name] = function
        return function

    return register


def teacher_rewards() -> tuple[str, ...]:
    """Names that can be chosen."""
    return (*_teacher, *_by_stage)


def solver_rewards() -> tuple[str, ...]:
    """Names that can be chosen."""
    return tuple(_solver)


def get_solver_reward(name: str) -> SolverReward:
    """The solver reward of a name, or of ``"module:name"``, whose module is imported first.

    Raises:
        ValueError: there is none.
    """
    plain = _imported(name)
    if plain not in _solver:
        raise ValueError(f"expected a solver reward among {sorted(_solver)}, got {name!r}")
    return _solver[plain]


class TeacherRewards:
    """A teacher reward as an env uses it: one name, or one name per stage.

    Args:
        choice: a name, ``"module:name"`` (the module is imported first, and is expected to register
            it), or a mapping from ``lemma`` and ``lift`` to such names.
    """

    def __init__(self, choice: str | Mapping[str, str]) -> None:
        names = (
            _by_stage.get(choice, {"lemma": choice, "lift": choice}) if isinstance(choice, str) else choice
        )
        if set(names) != {"lemma", "lift"}:
            raise ValueError(f"expected a teacher reward for each of 'lemma' and 'lift', got {sorted(names)}")
        self.by_stage = {stage: _get_teacher_reward(name) for stage, name in names.items()}

    @property
    def needs(self) -> frozenset[str]:
        """What the rewards declared."""
        return frozenset().union(*(reward.needs for reward in self.by_stage.values()))

    def __call__(self, outcomes: Sequence[Outcome]) -> list[Terms | None]:
        """Terms per outcome, in order; None for one that is unscored."""
        terms: list[Terms | None] = [None] * len(outcomes)
        for stage, reward in self.by_stage.items():
            at = [i for i, outcome in enumerate(outcomes) if outcome.stage == stage and outcome.scored]
            if not at:
                continue
            got = reward.function([outcomes[i] for i in at])
            if not isinstance(got, list | tuple):
                raise ValueError(
                    f"teacher reward {reward.name!r}: expected a list of terms, got {type(got).__name__}"
                )
            if len(got) != len(at):
                raise ValueError(
                    f"teacher reward {reward.name!r}: expected {len(at)} dicts of terms, got {len(got)}"
                )
            for i, value in zip(at, got, strict=True):
                if not isinstance(value, Mapping) or not value or not all(map(_is_number, value.values())):
                    raise ValueError(
                        f"teacher reward {reward.name!r}: expected finite named terms, got {value!r}"
                    )
                terms[i] = {str(term): float(number) for term, number in value.items()}
        return terms


def _get_teacher_reward(name: str) -> TeacherReward:
    plain = _imported(name)
    if plain not in _teacher:
        raise ValueError(f"expected a teacher reward among {sorted(teacher_rewards())}, got {name!r}")
    return _teacher[plain]


def _is_number(term: Any) -> bool:
    return isinstance(term, Real) and math.isfinite(term)


def _imported(name: str) -> str:
    """The name after the colon of ``"module:name"``, once the module has been imported to register it."""
    module, colon, plain = name.rpartition(":")
    if colon:
        try:
            importlib.import_module(module)
        except (ImportError, ValueError) as error:
            raise ValueError(f"reward {name!r}: the module {module!r} cannot be imported: {error}") from error
    return plain


def _is_again(known: Any, function: Any) -> bool:
    """Whether this is the same definition once more, as when a notebook's cell is run again."""
    return (known.__module__, known.__qualname__) == (function.__module__, function.__qualname__)
