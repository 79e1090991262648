"""Curricula: the games. A game has roles, stages and options, and determines the order of the turns.

A game of your own is one class in one file::

    @options
    class Duel(SelfPlay):
        stages = (Stage("propose", "teacher", proposal=True), Stage("attempt", "solver"))
        teacher_reward = "azr_paper"
        urgent: Annotated[bool, Field(description="Whether the teacher is told to hurry.")] = False

        def play(self, context: Context) -> Game:
            yield from propose(context, "propose", "Write a task." + " Hurry!" * self.urgent)

`gasp_env.curricula.steps` has reusable parts of games, which use the options and stages of `SelfPlay`: a proposal is
followed by the stage ``attempt``, and a solve turn is the stage ``solve``. The inputs of a game are ``context.rng``,
its view and its goalposts only, so equal inputs give equal turns.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BeforeValidator, Field

from gasp_env.episode.machine import Context, Game
from gasp_env.episode.view import SolverData
from gasp_env.options import options

#: Shares in tenths, both ends included.
Band = tuple[int, int]


@dataclass(frozen=True)
class Stage:
    """A kind of turn in a game.

    Attributes:
        name: the stage's name in turns and outcomes.
        role: the role that acts.
        proposal: True if a later outcome gives the texts their reward; False if their verdicts do, at once.
        band: range of the success rate, in tenths, in which a proposal is accepted.
    """

    name: str
    role: str
    proposal: bool = False
    band: Band | None = None


@options
class Curriculum:
    """A game and its options.

    Attributes:
        roles: roles of the game, the proposing role first.
        stages: every kind of turn in the game.
        teacher_reward: default reward of proposals, used unless the env's options choose one.
        novelty: default novelty check, used unless the env's options choose one; None for the domain's
            default.
    """

    roles: ClassVar[tuple[str, ...]] = ("teacher", "solver")
    stages: ClassVar[tuple[Stage, ...]] = ()
    teacher_reward: ClassVar[str | Mapping[str, str]] = "gasp"
    novelty: ClassVar[str | None] = None

    def play(self, context: Context) -> Game:
        """Yield turns and receive their judged texts. See the module."""
        raise NotImplementedError(f"{type(self).__name__}.play")

    @property
    def samples(self) -> int:
        """Most texts that a turn may ask for."""
        return int(getattr(self, "attempts", 1))

    @property
    def proposes(self) -> tuple[str, ...]:
        """Stages of this game, under its options, whose texts an outcome rewards."""
        return tuple(stage.name for stage in self.stages if stage.proposal)

    @property
    def played(self) -> tuple[str, ...]:
        """Stages that can occur under these options."""
        left_out = {stage.name for stage in self.stages if stage.proposal} - set(self.proposes)
        return tuple(stage.name for stage in self.stages if stage.name not in left_out)

    @property
    def prompts(self) -> tuple[str, ...]:
        """Methods of the domain's prompt style that this game needs under its options."""
        return ()

    @property
    def plays_goalposts(self) -> bool:
        """True if an episode may play a goalpost, which can then be pinned."""
        return True

    @property
    def needs_goalposts(self) -> bool:
        """True if every proposal is about a goalpost."""
        return self.plays_goalposts


def _pairs(value: Any) -> Any:
    """Turn bands that JSON stores as lists into tuples."""
    if isinstance(value, Mapping):
        return {stage: tuple(band) if isinstance(band, list) else band for stage, band in value.items()}
    return value


Bands = Annotated[
    Mapping[str, Band],
    BeforeValidator(_pairs),
    Field(
        title='a dict from stages to bands in tenths, 0 <= low <= high <= 10, as {"lemma": (3, 7)}',
        description="Band of c/n, in tenths, in which a proposal of a stage is accepted, where not the published one. "
        "It belongs to the curriculum and not to the reward, so that another reward does not train on other tasks.",
    ),
]


Convert = Annotated[
    bool,
    Field(
        description="Ask tasks in the solve stage as any kind they can be, drawn; else as they were proposed."
    ),
]
Data = Annotated[
    SolverData,
    Field(
        description="Valid tasks the solve stage may ask: accepted ones, all, or those solved sometimes and missed "
        "sometimes (non_extremes)."
    ),
]


@options
class SelfPlay(Curriculum):
    """Options shared by the games in which proposals are attempted and accepted tasks are given to a solver."""

    attempts: Annotated[
        int,
        # The upper bound is no recommendation. A larger number is a typing error that would cost memory and hours.
        Field(ge=1, le=10_000, description="n, the solver's tries at a proposal, and at a goalpost."),
    ] = 8
    goalpost_rate: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            allow_inf_nan=False,
            description="Chance that an episode is one goalpost turn instead.",
        ),
    ] = 0.0
    admit: Bands = Field(default_factory=dict)
    convert: Convert = True
    solver_data: Data = "accepted"
    solving: Annotated[
        Literal["same_step", "previous_step"],
        Field(
            description="Draw the solve task from this episode's own first, then from the library (same_step), or from "
            "the library only (previous_step)."
        ),
    ] = "same_step"

    def __post_init__(self) -> None:
        known = {stage.name for stage in self.stages if stage.band is not None}
        for stage, (low, high) in self.admit.items():
            if stage not in known:
                raise ValueError(
                    f"expected admit to have a band for some of {sorted(known)}, got one for {stage!r}"
                )
            if not 0 <= low <= high <= 10:
                raise ValueError(
                    f"expected the {stage} band in tenths, 0 <= low <= high <= 10, got {(low, high)}"
                )

    def band(self, stage: str) -> Band:
        """The band in which proposals of a stage are accepted; the full range where the stage has none."""
        published = next((one.band for one in self.stages if one.name == stage), None)
        return self.admit.get(stage) or published or (0, 10)

    @property
    def proposes(self) -> tuple[str, ...]:
        """See `Curriculum.proposes`: none where every episode is a goalpost turn."""
        return super().proposes if self.goalpost_rate < 1 else ()


def stage_of(stages: Collection[Stage], name: str) -> Stage:
    """The stage with this name.

    Raises:
        ValueError: the game has none.
    """
    for stage in stages:
        if stage.name == name:
            return stage
    raise ValueError(f"expected a stage among {', '.join(one.name for one in stages)}, got {name!r}")
