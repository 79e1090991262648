"""What a curriculum leaves to choose, in plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

from gasp_env.domains.base import SEES, Sees
from gasp_env.episode.view import SolverData
from gasp_env.records import shorten
from gasp_env.relevance import RelevanceRule
from gasp_env.tasks import AXES

CurriculumName = Literal["gasp", "azr", "rlvr"]
LiftFrom = Literal["accepted", "valid", "library"]
Solving = Literal["same_step", "previous_step"]
OnInfraError = Literal["truncate", "continue"]

#: Where a proposal of a stage is accepted: c/n in tenths, both ends included. AZR admits whatever is valid.
ADMIT: dict[str, tuple[int, int]] = {"lemma": (3, 7), "lift": (1, 5), "propose": (0, 10)}


@dataclass(frozen=True)
class Schedule:
    """The order of stages, and what each is given.

    Attributes:
        curriculum: ``gasp`` (lemma, lift, solve), ``azr`` (unguided proposals), ``rlvr`` (real problems only).
        attempts: n, the solver's tries at a proposal, and at a goalpost; 1 to 10,000.
        goalpost_rate: chance that an episode is one goalpost turn instead. 0 is GASP and AZR, 1 is RLVR.
        lifts: lifts in a row, each a harder variant of the one before, 0 to 100; 0 ends with the lemma.
        lift_from: what is lifted: an accepted lemma only, any ``valid`` one, or, where the lemma was not
            accepted, an accepted task of the ``library``.
        lift_sees_goalpost: show the goalpost to the lift as well. The paper's lift is blind to it.
        axis: what variants change: drawn per lemma (``both``), always the same, or left open (``none``).
        admit: band of c/n, in tenths, in which a proposal of a stage is accepted. Belongs to the
            curriculum and not to the reward, so that another reward does not train on other tasks.
        sees: what of a goalpost the teacher is shown; None for the domain's own choice.
        convert: ask tasks in the solve stage as any kind they can be, at random; else as they were proposed.
        solver_data: which valid tasks the solve stage may ask: those ``accepted``, ``all``, or those that
            were solved sometimes and missed sometimes (``non_extremes``).
        solving: draw the solve task from this episode's own first, then from the library
            (``same_step``), or from the library only (``previous_step``).
        references: K, tasks an unguided proposer is shown; 0 to 1,000.
        novelty: ``off``, ``exact``, or an embedder (`gasp_env.library.embedders`), which includes ``exact``.
        relevance: what is asked of a variant besides (`gasp_env.relevance`); None asks nothing.
        on_infra_error: after an unscored turn, end the episode truncated, or ``continue``.
    """

    curriculum: CurriculumName = "gasp"
    attempts: int = 8
    goalpost_rate: float = 0.0
    lifts: int = 1
    lift_from: LiftFrom = "accepted"
    lift_sees_goalpost: bool = False
    axis: Literal["both", "io", "f", "none"] = "both"
    admit: Mapping[str, tuple[int, int]] = field(default_factory=lambda: dict(ADMIT))
    sees: Sees | None = None
    convert: bool = True
    solver_data: SolverData = "accepted"
    solving: Solving = "same_step"
    references: int = 6
    novelty: str = "exact"
    relevance: RelevanceRule | None = None
    on_infra_error: OnInfraError = "truncate"

    def __post_init__(self) -> None:
        # The greatest are no recommendation: beyond them it is a slip, and takes memory and hours to show.
        _whole("attempts", self.attempts, 1, 10_000)
        _whole("lifts", self.lifts, 0, 100)
        _whole("references", self.references, 0, 1_000)
        _one_of("curriculum", self.curriculum, get_args(CurriculumName))
        _one_of("lift_from", self.lift_from, get_args(LiftFrom))
        _one_of("axis", self.axis, ("both", *AXES, "none"))
        _one_of("sees", self.sees, (None, *SEES))
        _one_of("solver_data", self.solver_data, get_args(SolverData))
        _one_of("solving", self.solving, get_args(Solving))
        _one_of("on_infra_error", self.on_infra_error, get_args(OnInfraError))
        for name in ("lift_sees_goalpost", "convert"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"expected {name} to be True or False, got {shorten(getattr(self, name))}")
        rate = self.goalpost_rate
        if not isinstance(rate, int | float) or isinstance(rate, bool) or not 0 <= rate <= 1:
            raise ValueError(f"expected a goalpost_rate in [0, 1], got {shorten(rate)}")
        if self.lift_from == "library" and self.lift_sees_goalpost:
            raise ValueError(
                "expected lift_sees_goalpost False with lift_from 'library', whose tasks may be of other goalposts "
                "than the episode's"
            )
        if self.curriculum == "rlvr" and rate != 1:
            raise ValueError(
                f"expected goalpost_rate 1 for curriculum 'rlvr', which plays real problems only, got {rate}; for a "
                "mixture choose 'gasp' or 'azr' with a goalpost_rate"
            )
        if not isinstance(self.novelty, str) or not self.novelty:
            raise ValueError(
                f"expected novelty 'off', 'exact' or the name of an embedder, got {shorten(self.novelty)}"
            )
        if set(self.admit) != set(ADMIT):
            raise ValueError(f"expected a band for each of {sorted(ADMIT)}, got {shorten(list(self.admit))}")
        for stage, band in self.admit.items():
            whole = isinstance(band, tuple) and len(band) == 2 and all(type(end) is int for end in band)
            if not whole or not 0 <= band[0] <= band[1] <= 10:
                raise ValueError(
                    f"expected the {stage} band in tenths, 0 <= low <= high <= 10, got {shorten(band)}"
                )


def _whole(name: str, value: object, least: int, greatest: int) -> None:
    if type(value) is not int or not least <= value <= greatest:
        raise ValueError(
            f"expected {name} to be an integer of at least {least} and at most {greatest}, got {shorten(value)}"
        )


def _one_of(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise ValueError(f"expected {name} among {', '.join(map(repr, choices))}, got {shorten(value)}")
