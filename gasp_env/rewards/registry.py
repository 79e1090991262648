"""Rewards by name: a function is registered with one decorator, and chosen wherever an env is made.

    @teacher_reward("mine")
    TeacherRewards("mine")
    TeacherRewards("path/to/file.py:mine")      or "module:mine": imported first
    TeacherRewards({"lemma": "mine", "lift": "gasp_lift"})

What a reward needs beyond the outcomes it declares, and `TeacherRewards.check` compares it with what an
environment offers, before anything is played.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping, Sequence

from gasp_env import registry
from gasp_env.episode.outcome import Outcome
from gasp_env.registry import first_line, is_again, module_of
from gasp_env.rewards.checks import checked_solver, teacher_terms
from gasp_env.rewards.needs import NEEDS, OFFERED, explain
from gasp_env.rewards.spec import (
    PROPOSING,
    RewardFunction,
    SolverReward,
    SolverSpec,
    Tag,
    TeacherReward,
    Terms,
)

__all__ = [
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
    "teacher_reward",
    "teacher_rewards",
]

#: What a mapping from stages to rewards has to have.
_MAPPED = ("lemma", "lift")

_teacher: dict[str, TeacherReward] = {}
#: Names that stand for one reward per stage.
_by_stage: dict[str, Mapping[str, str]] = {"gasp": {"lemma": "gasp_lemma", "lift": "gasp_lift"}}
_solver: dict[str, SolverReward] = {}
_solver_specs: dict[str, SolverSpec] = {}


def teacher_reward(
    name: str,
    *,
    needs: Sequence[str] = (),
    source: str = "",
    formula: str = "",
    tag: Tag = "ours",
    deviation: str = "",
    stages: Sequence[str] = PROPOSING,
) -> Callable[[RewardFunction], RewardFunction]:
    """Register a teacher reward under ``name``.

    Args:
        name: what it is chosen by.
        needs: what it has to be given beyond the outcomes, such as ``"batch"`` if it compares the outcomes
            of a step with each other; an env that cannot give it refuses the reward. See `NEEDS`.
        source: paper or repository; by default the function's module.
        formula: in a line; by default the first line of the docstring.
        tag: see `Tag`.
        deviation: in what it differs from its source. These four are for ``python -m gasp_env.rewards``.
        stages: where it can be used, if not everywhere.

    Raises:
        ValueError: the name is taken or cannot be one, or a need or a stage is unknown.

    Example:
        >>> @teacher_reward("half")
        ... def half(outcomes):
        ...     return [{"half": 1 - abs(2 * o.correct / o.samples - 1)} if o.valid else {"invalid": -1.0}
        ...             for o in outcomes]
    """

    def register(function: RewardFunction) -> RewardFunction:
        where = source or module_of(function)
        _register(
            TeacherReward(
                name,
                function,
                _known(name, needs),
                where,
                formula or first_line(function),
                tag,
                deviation,
                _known_stages(name, stages),
            )
        )
        return function

    return register


def listed_reward(name: str, *, needs: Sequence[str], source: str, formula: str, tag: Tag = "paper") -> None:
    """Make known a published reward that nothing here can compute: it is listed, and refused with the reason."""
    _register(TeacherReward(name, None, _known(name, needs), source, formula, tag))


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
        if name in _solver and not is_again(_solver[name], function):
            raise ValueError(f"a solver reward named {name!r} exists already; choose another name")
        _solver[name] = function
        _solver_specs[name] = SolverSpec(name, source or module_of(function), first_line(function), tag)
        return function

    return register


def teacher_rewards() -> tuple[str, ...]:
    """Names that can be chosen."""
    return tuple(spec.name for spec in specs() if spec.available)


def solver_rewards() -> tuple[str, ...]:
    """Names that can be chosen."""
    return tuple(_solver)


def specs() -> list[TeacherReward]:
    """All teacher rewards that are known, also those that cannot be chosen, in the order of registration.

    A name that stands for one reward per stage comes last, without a function of its own.
    """
    return [*_teacher.values(), *map(_composed, _by_stage)]


def solver_specs() -> list[SolverSpec]:
    """All solver rewards, in the order of registration."""
    return list(_solver_specs.values())


def get_solver_reward(name: str) -> SolverReward:
    """The solver reward of a name, or of ``"module:name"`` or ``"file.py:name"``, which is imported first.

    Called, it raises as `TeacherRewards` does.

    Raises:
        ValueError: there is none.
    """
    if not isinstance(name, str):
        raise ValueError(f"expected the name of a solver reward, got {name!r}")
    plain = _imported(name)
    if plain not in _solver:
        raise ValueError(f"expected a solver reward among {sorted(_solver)}, got {name!r}")
    return checked_solver(plain, _solver[plain])


class TeacherRewards:
    """A teacher reward as an env uses it: one name, or one name per stage.

    Args:
        choice: a name; ``"module:name"`` or ``"file.py:name"`` (which is imported first, and is expected to
            register it); or a mapping from ``lemma`` and ``lift``, and perhaps ``propose``, to such names.

    Attributes:
        by_stage: the reward of every stage that has one.

    Raises:
        ValueError: there is no such reward, or it needs what nothing here can give, or ``choice`` is something else.
    """

    def __init__(self, choice: str | Mapping[str, str]) -> None:
        named = choice.values() if isinstance(choice, Mapping) else (choice,)
        if not all(isinstance(name, str) for name in named):
            raise ValueError(
                "expected the name of a teacher reward, or a mapping from 'lemma', 'lift' and perhaps 'propose' to "
                f"names, got {choice!r}"
            )
        if isinstance(choice, str):
            plain = _imported(choice)
            names = _by_stage.get(plain) or dict.fromkeys(_get_teacher_reward(plain).stages, plain)
        else:
            names = {stage: _imported(name) for stage, name in choice.items()}
            if not set(_MAPPED) <= set(names) <= set(PROPOSING):
                raise ValueError(
                    f"expected a teacher reward for each of 'lemma' and 'lift', and perhaps 'propose', "
                    f"got {list(names)}"
                )
        self.by_stage = {stage: _get_teacher_reward(name) for stage, name in names.items()}
        for stage, reward in self.by_stage.items():
            if stage not in reward.stages:
                raise ValueError(
                    f"teacher reward {reward.name!r} is for {list(reward.stages)}, and was chosen for {stage!r}"
                )
        self._choice = choice

    @property
    def needs(self) -> frozenset[str]:
        """What the rewards declared."""
        return frozenset().union(*(reward.needs for reward in self.by_stage.values()))

    def check(self, available: Collection[str], stages: Collection[str] = ()) -> None:
        """Refuse a reward that an environment cannot compute.

        Args:
            available: the needs that the environment meets; names of `gasp_env.rewards.needs.NEEDS`.
            stages: the stages in which its teacher proposes; empty for those that have a reward.

        Raises:
            ValueError: a stage has no reward, or a reward's need is not met; says what to do.
        """
        for stage in stages or self.by_stage:
            if stage not in self.by_stage:
                raise ValueError(
                    f"teacher reward {self._choice!r} is for {sorted(self.by_stage)}, and this curriculum has the "
                    f"stage {stage!r}; choose one that serves every stage, such as 'azr_paper', or give {stage!r} "
                    "a reward of its own by a mapping"
                )
            reward = self.by_stage[stage]
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
            if stage not in self.by_stage:
                self.check(self.needs, (stage,))
            reward = self.by_stage[stage]
            assert reward.function is not None  # `_get_teacher_reward` refuses what cannot be computed
            paid = teacher_terms(reward.name, reward.function, [outcomes[i] for i in at])
            for place, value in zip(at, paid, strict=True):
                terms[place] = value
        return terms


def _register(reward: TeacherReward) -> None:
    if not reward.name or ":" in reward.name:
        raise ValueError(f"expected the name of a teacher reward without a colon, got {reward.name!r}")
    known = _teacher.get(reward.name)
    if reward.name in _by_stage or (known and not is_again(known.function, reward.function)):
        raise ValueError(f"a teacher reward named {reward.name!r} exists already; choose another name")
    _teacher[reward.name] = reward


def _known(name: str, needs: Sequence[str]) -> frozenset[str]:
    wanted = frozenset((needs,) if isinstance(needs, str) else needs)
    if unknown := sorted(wanted - set(NEEDS)):
        raise ValueError(f"teacher reward {name!r} needs {unknown}; what can be declared is {sorted(NEEDS)}")
    return wanted


def _known_stages(name: str, stages: Sequence[str]) -> tuple[str, ...]:
    if not stages or not set(stages) <= set(PROPOSING):
        raise ValueError(
            f"teacher reward {name!r}: expected stages among {list(PROPOSING)}, got {list(stages)}"
        )
    return tuple(stages)


def _composed(name: str) -> TeacherReward:
    """What is known of a name that stands for one reward per stage."""
    parts = {stage: _teacher[plain] for stage, plain in _by_stage[name].items()}
    first = next(iter(parts.values()))
    return TeacherReward(
        name,
        lambda outcomes: [terms or {} for terms in TeacherRewards(name)(outcomes)],
        frozenset().union(*(part.needs for part in parts.values())),
        first.source,
        ", ".join(f"{stage}: {part.name}" for stage, part in parts.items()),
        first.tag,
        first.deviation,
        tuple(parts),
    )


def _get_teacher_reward(plain: str) -> TeacherReward:
    if plain in _by_stage:
        raise ValueError(
            f"teacher reward {plain!r} is one reward per stage: choose it alone, or name {dict(_by_stage[plain])}"
        )
    if plain not in _teacher:
        raise ValueError(f"expected a teacher reward among {sorted(teacher_rewards())}, got {plain!r}")
    reward = _teacher[plain]
    if not reward.available:
        wanted = "; ".join(explain(need) for need in sorted(reward.needs - OFFERED))
        raise ValueError(
            f"teacher reward {plain!r} ({reward.source}: {reward.formula}) cannot be computed here: it needs "
            f"{wanted}; `python -m gasp_env.rewards` lists those that can"
        )
    return reward


def _imported(name: str) -> str:
    """The name after the colon of ``"module:name"``, once the module has been imported to register it."""
    module, colon, plain = name.rpartition(":")
    if colon:
        registry.import_source(module, f"reward {name!r}")
    return plain
