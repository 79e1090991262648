"""Rewards by name: a function is registered with one decorator, and chosen wherever an env is made.

    @teacher_reward("mine")
    TeacherRewards("mine")
    TeacherRewards("path/to/file.py:mine")      or "module:mine": imported first; a plain function will do
    TeacherRewards({"lemma": "mine", "lift": "gasp_lift"})

What a reward needs beyond the outcomes it declares, and `TeacherRewards.check` compares it with what an
environment offers, before anything is played.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from gasp_env.episode.outcome import Outcome
from gasp_env.registry import Registry
from gasp_env.rewards.checks import solver_terms, teacher_terms
from gasp_env.rewards.needs import NEEDS, OFFERED, explain
from gasp_env.rewards.spec import (
    RewardFunction,
    SolverReward,
    SolverSpec,
    Tag,
    TeacherReward,
    Terms,
)

__all__ = [
    "SOLVER_REWARDS",
    "TEACHER_REWARDS",
    "RewardFunction",
    "SolverReward",
    "SolverSpec",
    "TeacherReward",
    "TeacherRewards",
    "Terms",
    "each",
    "get_solver_reward",
    "listed_reward",
    "solver_reward",
    "solver_rewards",
    "solver_specs",
    "specs",
    "staged_reward",
    "teacher_reward",
    "teacher_rewards",
]


def _as_teacher_reward(name: str, found: Any) -> TeacherReward:
    if isinstance(found, TeacherReward):
        return found
    if not callable(found):
        raise ValueError(
            f"teacher reward {name!r}: expected a function of outcomes, got {type(found).__name__}"
        )
    return TeacherReward(name, found, source=_module_of(found), formula=_first_line(found))


def _as_solver_reward(name: str, found: Any) -> SolverSpec:
    if isinstance(found, SolverSpec):
        return found
    if not callable(found):
        raise ValueError(
            f"solver reward {name!r}: expected a function of a reason, got {type(found).__name__}"
        )
    return SolverSpec(name, found, _module_of(found), _first_line(found))


TEACHER_REWARDS: Registry[TeacherReward] = Registry(
    "teacher reward",
    families={"shuffled:NAME": "gasp_env.rewards.zoo.controls:shuffled"},
    check=_as_teacher_reward,
)
SOLVER_REWARDS: Registry[SolverSpec] = Registry("solver reward", check=_as_solver_reward)
#: Published teacher rewards that nothing here can compute.
_listed: dict[str, TeacherReward] = {}


def teacher_reward(
    name: str,
    *,
    needs: Sequence[str] = (),
    source: str = "",
    formula: str = "",
    tag: Tag = "ours",
    deviation: str = "",
    stages: Sequence[str] = (),
) -> Callable[[RewardFunction], RewardFunction]:
    """Register a teacher reward under ``name``, in place of one that has it; `Registry.register` says what warns.

    Args:
        name: what it is chosen by.
        needs: what it has to be given beyond the outcomes, such as ``"batch"`` if it compares the outcomes
            of a step with each other; an env that cannot give it refuses the reward. See `NEEDS`.
        source: paper or repository; by default the function's module.
        formula: in a line; by default the first line of the docstring.
        tag: see `Tag`.
        deviation: in what it differs from its source. These four are for ``python -m gasp_env.rewards``.
        stages: the stages it can be used for, if not every stage.

    Raises:
        ValueError: the name is empty or has a colon, or a need or a stage is unknown.

    Example:
        >>> @teacher_reward("half")
        ... def half(outcomes):
        ...     return [{"half": 1 - abs(2 * o.correct / o.samples - 1)} if o.valid else {"invalid": -1.0}
        ...             for o in outcomes]
    """

    def register(function: RewardFunction) -> RewardFunction:
        reward = TeacherReward(
            name,
            function,
            _known(name, needs),
            source or _module_of(function),
            formula or _first_line(function),
            tag,
            deviation,
            _known_stages(name, stages),
        )
        TEACHER_REWARDS.register(name, reward, definition=function)
        return function

    return register


def listed_reward(name: str, *, needs: Sequence[str], source: str, formula: str, tag: Tag = "paper") -> None:
    """Make known a published reward that nothing here can compute: it is listed, and refused with the reason.

    One that is registered under its name takes its place.
    """
    _listed[name] = TeacherReward(name, None, _known(name, needs), source, formula, tag)


def staged_reward(name: str, by_stage: Mapping[str, str]) -> None:
    """Register a name that stands for one reward per stage, given by the names of registered ones."""
    parts = {stage: TEACHER_REWARDS.get(part) for stage, part in by_stage.items()}
    first = next(iter(parts.values()))

    def function(outcomes: Sequence[Outcome]) -> list[Terms]:
        return [terms or {} for terms in TeacherRewards(by_stage)(outcomes)]

    reward = TeacherReward(
        name,
        function,
        frozenset().union(*(part.needs for part in parts.values())),
        first.source,
        ", ".join(f"{stage}: {part.name}" for stage, part in parts.items()),
        first.tag,
        first.deviation,
        tuple(parts),
        dict(by_stage),
    )
    TEACHER_REWARDS.register(name, reward, definition=function)


def each(one: Callable[[Outcome], Terms]) -> RewardFunction:
    """The reward that looks at every outcome alone."""

    @functools.wraps(one)
    def reward(outcomes: Sequence[Outcome]) -> list[Terms]:
        return [one(outcome) for outcome in outcomes]

    return reward


def solver_reward(
    name: str, *, source: str = "", tag: Tag = "ours"
) -> Callable[[SolverReward], SolverReward]:
    """Register a solver reward: reason of a verdict to named terms."""

    def register(function: SolverReward) -> SolverReward:
        spec = SolverSpec(name, function, source or _module_of(function), _first_line(function), tag)
        SOLVER_REWARDS.register(name, spec, definition=function)
        return function

    return register


def teacher_rewards() -> tuple[str, ...]:
    """Names that can be chosen."""
    return tuple(spec.name for spec in specs() if spec.available)


def solver_rewards() -> tuple[str, ...]:
    """Names that can be chosen."""
    return SOLVER_REWARDS.names()


def specs() -> list[TeacherReward]:
    """All teacher rewards that are known: registered ones in their order, then those that are only listed."""
    registered = [TEACHER_REWARDS.get(name) for name in TEACHER_REWARDS]
    return [*registered, *(reward for name, reward in _listed.items() if name not in TEACHER_REWARDS)]


def solver_specs() -> list[SolverSpec]:
    """All solver rewards, in the order of registration."""
    return [SOLVER_REWARDS.get(name) for name in SOLVER_REWARDS]


def get_solver_reward(name: str) -> SolverReward:
    """The solver reward of a name, or of ``"module:name"`` or ``"file.py:name"`` (`Registry.get`).

    Called, it raises as `TeacherRewards` does.

    Raises:
        ValueError: there is none.
    """
    return _NamedSolverReward(name)


class _NamedSolverReward:
    """A solver reward as an env uses it. It is pickled as its name, as `TeacherRewards` is."""

    def __init__(self, choice: str) -> None:
        self._choice, self._spec = choice, SOLVER_REWARDS.get(choice)

    def __call__(self, reason: str) -> Terms:
        return solver_terms(self._spec.name, self._spec.function, reason)

    def __reduce__(self) -> tuple[Any, ...]:
        return _NamedSolverReward, (self._choice,)


class TeacherRewards:
    """A teacher reward as an env uses it: one name for every stage, or one name per stage.

    Args:
        choice: a name; ``"module:name"`` or ``"file.py:name"``, see `Registry.get`; or a mapping from stages to such
            names, with one for each stage in which a proposal is made.

    Attributes:
        by_stage: rewards of single stages.
        default: the reward of every other stage, None if there is none.

    Raises:
        ValueError: there is no such reward, or it needs what nothing here can give, or ``choice`` is something else.
    """

    def __init__(self, choice: str | Mapping[str, str]) -> None:
        named = [*choice, *choice.values()] if isinstance(choice, Mapping) else [choice]
        if not named or not all(isinstance(name, str) for name in named):
            raise ValueError(
                f"expected the name of a teacher reward, or a mapping from stages to names, got {choice!r}"
            )
        names: Mapping[str, str] = {}
        self.default: TeacherReward | None = None
        if isinstance(choice, str):
            chosen = _available(choice)
            names = chosen.parts or dict.fromkeys(chosen.stages, choice)
            self.default = None if names else chosen
        else:
            names = choice
        self.by_stage = {stage: _available(name) for stage, name in names.items()}
        for stage, reward in self.by_stage.items():
            if reward.parts:
                raise ValueError(
                    f"teacher reward {reward.name!r} is one reward per stage: choose it alone, or name "
                    f"{dict(reward.parts)}"
                )
            if reward.stages and stage not in reward.stages:
                raise ValueError(
                    f"teacher reward {reward.name!r} is for {list(reward.stages)}, and was chosen for {stage!r}"
                )
        self._choice = choice

    def __reduce__(self) -> tuple[Any, ...]:
        """Its names: functions of rewards may be such as pickle does not find."""
        return TeacherRewards, (self._choice,)

    def reward(self, stage: str) -> TeacherReward | None:
        """The reward of a stage, None if it has none."""
        return self.by_stage.get(stage, self.default)

    def needs_of(self, stage: str) -> frozenset[str]:
        """Needs that the reward of a stage declared."""
        reward = self.reward(stage)
        return frozenset() if reward is None else reward.needs

    @property
    def needs(self) -> frozenset[str]:
        """Needs that the rewards declared."""
        own = [reward.needs for reward in self.by_stage.values()]
        return frozenset().union(*own, self.default.needs if self.default else ())

    def check(self, available: Collection[str], stages: Collection[str]) -> None:
        """Refuse a reward that an environment cannot compute.

        Args:
            available: the needs that the environment meets; names of `gasp_env.rewards.needs.NEEDS`.
            stages: the stages in which proposals are made.

        Raises:
            ValueError: a stage has no reward, or a reward's need is not met; says what to do.
        """
        for stage in stages:
            reward = self.reward(stage)
            if reward is None:
                raise ValueError(
                    f"teacher reward {self._choice!r} is for {sorted(self.by_stage)}, and this curriculum has the "
                    f"stage {stage!r}; choose one that serves every stage, such as 'azr_paper', or give {stage!r} "
                    "a reward of its own by a mapping"
                )
            for need in sorted(reward.needs - set(available)):
                raise ValueError(f"teacher reward {reward.name!r} needs {explain(need)}")

    def __call__(self, outcomes: Sequence[Outcome]) -> list[Terms | None]:
        """Terms per outcome, in order; None for one that is unscored.

        A reward is given the outcomes of one stage at a time: its batch are proposals of one kind.

        Raises:
            RuntimeError: a reward raised; the message names it, its error is the cause.
            ValueError: a reward returned something other than finite terms with a finite sum, one dict per outcome.
        """
        terms: list[Terms | None] = [None] * len(outcomes)
        places: dict[str, list[int]] = {}
        for place, outcome in enumerate(outcomes):
            if outcome.scored:
                places.setdefault(outcome.stage, []).append(place)
        for stage, at in places.items():
            self.check(self.needs, (stage,))
            reward = self.reward(stage)
            assert reward is not None
            assert reward.function is not None  # `_available` refuses what cannot be computed
            paid = teacher_terms(reward.name, reward.function, [outcomes[i] for i in at])
            for place, value in zip(at, paid, strict=True):
                terms[place] = value
        return terms


def _known(name: str, needs: Sequence[str]) -> frozenset[str]:
    wanted = frozenset((needs,) if isinstance(needs, str) else needs)
    if unknown := sorted(wanted - set(NEEDS)):
        raise ValueError(f"teacher reward {name!r} needs {unknown}; what can be declared is {sorted(NEEDS)}")
    return wanted


def _known_stages(name: str, stages: Sequence[str]) -> tuple[str, ...]:
    wanted = (stages,) if isinstance(stages, str) else tuple(stages)
    if not all(isinstance(stage, str) and stage for stage in wanted):
        raise ValueError(f"teacher reward {name!r}: expected names of stages, got {stages!r}")
    return wanted


def _available(name: str) -> TeacherReward:
    """The reward of a name, unless nothing here can compute it."""
    only_listed = name in _listed and name not in TEACHER_REWARDS
    reward = _listed[name] if only_listed else TEACHER_REWARDS.get(name)
    if not reward.available:
        wanted = "; ".join(explain(need) for need in sorted(reward.needs - OFFERED))
        raise ValueError(
            f"teacher reward {name!r} ({reward.source}: {reward.formula}) cannot be computed here: it needs "
            f"{wanted}; `python -m gasp_env.rewards` lists those that can"
        )
    return reward


def _first_line(function: Any) -> str:
    """The first line of its docstring, empty if it has none."""
    return (inspect.getdoc(function) or "").partition("\n")[0]


def _module_of(function: Any) -> str:
    """Name of the module it is from, empty if it does not say."""
    return str(getattr(function, "__module__", ""))
