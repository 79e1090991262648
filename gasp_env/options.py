"""What can be chosen when an environment is made: plain values, so that a registered env's spec goes through JSON.

Each claim of GASP is one switch away from its ablation:

| claim | without it |
|---|---|
| goalposts guide the teacher | id `AZR-Code-v0` |
| invented tasks do more than real ones | id `RLVR-Code-v0`; both: `goalpost_rate=0.5` |
| two steps are better than one | `lifts=0`; for a hard one, `admit={"lemma": (1, 5)}`, `teacher_reward="gasp_lift"` |
| the lift should not see the goalpost | `lift_sees_goalpost=True` |
| variants along two axes | `axis="f"`, `axis="io"`, or no axis named: `axis="none"` |
| near-copies are kept out | `novelty="exact"`, or nothing is: `novelty="off"` |
| tasks are asked as three kinds | `convert=False` |
| only tasks in the band are trained on | `solver_data="all"`, or `"non_extremes"` |
| the rewards' shapes | `teacher_reward=...` (the bands stay) |
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_args

from gasp_env.curricula.base import ADMIT, CurriculumName, LiftFrom, Schedule, Solving
from gasp_env.domains.base import Sees
from gasp_env.domains.python.domain import PythonDomain
from gasp_env.episode.view import SolverData
from gasp_env.records import shorten
from gasp_env.relevance import Mode, RelevanceRule
from gasp_env.sandbox import Sandbox
from gasp_env.tasks import Goalpost, Stage

#: What an option is where nobody chose it, by curriculum. A domain may have its own novelty for guided curricula.
DEFAULTS: dict[str, dict[str, Any]] = {
    "gasp": {
        "goalpost_rate": 0.0,
        "teacher_reward": "gasp",
        "solver_data": "accepted",
        "convert": True,
        "novelty": None,
    },
    "azr": {
        "goalpost_rate": 0.0,
        "teacher_reward": "azr_paper",
        "solver_data": "all",
        "convert": False,
        "novelty": "exact",
    },
}
DEFAULTS["rlvr"] = {**DEFAULTS["gasp"], "goalpost_rate": 1.0}

#: The stages in which the teacher of a curriculum proposes.
PROPOSES: dict[str, tuple[Stage, ...]] = {"gasp": ("lemma", "lift"), "azr": ("propose",), "rlvr": ()}


@dataclass(frozen=True)
class Options:
    """What can be chosen. None stands for the curriculum's own choice (`DEFAULTS`) or the domain's.

    Attributes:
        curriculum: ``gasp``, ``azr`` or ``rlvr``; a registered id sets it.
        domain: ``"python"`` or ``"module:name"`` of a `gasp_env.domains.python.domain.PythonDomain`.
        style: prompt style, ``"fenced"`` or ``"module:name"`` of a `gasp_env.domains.base.PromptStyle`.
        goalposts: path of a goalpost file, or goalposts, or None for the domain's own.
        attempts, goalpost_rate, lifts, lift_from, lift_sees_goalpost, axis, sees, convert, solver_data, solving,
            references, novelty: see `gasp_env.curricula.base.Schedule`.
        admit: bands for some stages, instead of their defaults; see there.
        teacher_reward: a name, ``"module:name"``, ``"file.py:name"``, or one for each stage.
        solver_reward: likewise.
        relevance: a name (`gasp_env.relevance.get`), or None to ask for none. Variants only.
        relevance_mode, relevance_threshold, relevance_weight: see `gasp_env.relevance.RelevanceRule`. The threshold
            suits ``operations``; ``similarity`` wants about 0.7 (numbers in their docstrings).
        library: path of a stored library to begin with, or None for an empty one.
        library_capacity: most entries it may hold; None for any number.
        library_eviction: which go when it is full (`gasp_env.library.eviction`).
        sandbox: tier (``"auto"``, ``"docker"``, ``"bwrap"``, ``"landlock"``), or a `Sandbox` of your own.
        on_infra_error: when the sandbox could not execute a run after its retries: end the episode
            truncated with the turn unscored (``truncate``), go on with the turn unscored
            (``continue``), or ``raise``.
    """

    curriculum: CurriculumName = "gasp"
    domain: str = "python"
    style: str | None = None
    goalposts: str | Path | Sequence[Goalpost] | None = None
    attempts: int = 8
    goalpost_rate: float | None = None
    lifts: int = 1
    lift_from: LiftFrom = "accepted"
    lift_sees_goalpost: bool = False
    axis: Literal["both", "io", "f", "none"] = "both"
    admit: Mapping[str, Sequence[int]] | None = None
    sees: Sees | None = None
    convert: bool | None = None
    solver_data: SolverData | None = None
    solving: Solving = "same_step"
    references: int = 6
    novelty: str | None = None
    teacher_reward: str | Mapping[str, str] | None = None
    solver_reward: str = "azr"
    relevance: str | None = None
    relevance_mode: Mode = "gate"
    relevance_threshold: float = 0.3
    relevance_weight: float = 0.5
    library: str | Path | None = None
    library_capacity: int | None = None
    library_eviction: str = "oldest"
    sandbox: str | Sandbox = "auto"
    on_infra_error: Literal["truncate", "continue", "raise"] = "truncate"

    def __post_init__(self) -> None:
        """Types only: which values there are is said by what uses them.

        Raises:
            ValueError: an option has the wrong type.
        """
        for name, (words, fits) in TYPES.items():
            value = getattr(self, name)
            if not fits(value):
                raise ValueError(f"expected {name} to be {words}, got {shorten(value)}")

    @classmethod
    def of(cls, chosen: Mapping[str, Any]) -> Options:
        """Options by keyword.

        Raises:
            TypeError: there is no such option; the message lists those there are.
        """
        names = [field.name for field in fields(cls)]
        unknown = sorted(set(chosen) - set(names))
        if unknown:
            raise TypeError(f"there is no option {', '.join(unknown)}; there are {', '.join(names)}")
        return cls(**chosen)

    def chosen(self, name: str) -> Any:
        """An option, or what its curriculum has in its place."""
        if self.curriculum not in DEFAULTS:
            raise ValueError(
                f"expected a curriculum among {', '.join(get_args(CurriculumName))}, got {self.curriculum!r}"
            )
        value = getattr(self, name)
        return DEFAULTS[self.curriculum][name] if value is None else value

    def schedule(self, domain: PythonDomain) -> Schedule:
        """The curriculum these options ask for.

        Raises:
            ValueError: an option is not one of those there are, or has the wrong type.
        """
        if self.on_infra_error not in ("truncate", "continue", "raise"):
            raise ValueError(
                f"expected on_infra_error truncate, continue or raise, got {self.on_infra_error!r}"
            )
        # Made without a relevance as well, for what it says of the other three.
        rule = RelevanceRule(
            "none" if self.relevance is None else self.relevance,
            self.relevance_mode,
            self.relevance_threshold,
            self.relevance_weight,
        )
        novelty = self.chosen("novelty")
        return Schedule(
            curriculum=self.curriculum,
            attempts=self.attempts,
            goalpost_rate=self.chosen("goalpost_rate"),
            lifts=self.lifts,
            lift_from=self.lift_from,
            lift_sees_goalpost=self.lift_sees_goalpost,
            axis=self.axis,
            admit={**ADMIT, **{stage: _band(band) for stage, band in (self.admit or {}).items()}},
            sees=self.sees,
            convert=self.chosen("convert"),
            solver_data=self.chosen("solver_data"),
            solving=self.solving,
            references=self.references,
            novelty=domain.novelty if novelty is None else novelty,
            relevance=None if self.relevance is None else rule,
            on_infra_error="continue" if self.on_infra_error == "continue" else "truncate",
        )


_Type = tuple[str, Callable[[Any], bool]]


def _a(words: str, *types: type) -> _Type:
    return words, lambda value: isinstance(value, types)


def _optional(kind: _Type) -> _Type:
    words, fits = kind
    return f"{words}, or None", lambda value: value is None or fits(value)


def _by_stage(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, Mapping) and all(isinstance(k, str) and fits(v) for k, v in value.items())


def _number(value: Any) -> bool:
    # True is an int to Python, and an int may be too large to be compared with a float by some functions.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return is_number and abs(value) <= sys.float_info.max


def _goalposts(value: Any) -> bool:
    if isinstance(value, str | Path):
        return True
    return isinstance(value, Sequence) and all(isinstance(goalpost, Goalpost) for goalpost in value)


def _reward(value: Any) -> bool:
    return isinstance(value, str) or _by_stage(value, lambda name: isinstance(name, str))


def _sandbox(value: Any) -> bool:
    return isinstance(value, str) or (
        not isinstance(value, type) and all(hasattr(value, name) for name in ("tier", "open", "run_many"))
    )


_NAME, _SWITCH = _a("a str", str), _a("True or False", bool)
_COUNT: _Type = ("an integer", lambda value: type(value) is int)
_NUMBER: _Type = ("a finite number", _number)

#: What every option may be, in words and as a test.
TYPES: dict[str, _Type] = {
    **dict.fromkeys(("curriculum", "domain", "lift_from", "axis", "solving", "on_infra_error"), _NAME),
    **dict.fromkeys(("solver_reward", "relevance_mode", "library_eviction"), _NAME),
    **dict.fromkeys(("style", "sees", "solver_data", "novelty", "relevance"), _optional(_NAME)),
    **dict.fromkeys(("attempts", "lifts", "references"), _COUNT),
    "library_capacity": _optional(_COUNT),
    "goalpost_rate": _optional(_NUMBER),
    **dict.fromkeys(("relevance_threshold", "relevance_weight"), _NUMBER),
    "lift_sees_goalpost": _SWITCH,
    "convert": _optional(_SWITCH),
    "goalposts": _optional(("the path of a goalpost file, or a list of Goalpost", _goalposts)),
    "admit": _optional(
        (
            'a dict from stages to bands, as {"lemma": (3, 7)}',
            lambda value: _by_stage(value, lambda band: isinstance(band, Sequence)),
        )
    ),
    "teacher_reward": _optional(("a str, or a dict from stages to str", _reward)),
    "library": _optional(_a("a path", str, Path)),
    "sandbox": ("the name of a tier, or a Sandbox", _sandbox),
}


def _band(band: Any) -> Any:
    return tuple(band) if isinstance(band, Sequence) and not isinstance(band, str) else band
