"""Guided asymmetric self-play (arXiv 2603.15957).

    lemma ──▶ attempt × n ──accepted──▶ lift ──▶ attempt × n ──▶ solve
      │            └── not accepted ───────────────────────────────▲
      └── rejected by the gate ────────────────────────────────────┘

(With ``two_steps`` a lemma and a lift are two turns each: lemma_draft ──▶ lemma, lift_draft ──▶ lift.)

The teacher writes a *lemma*, an easier variant of the goalpost. If the solver's attempts put it in the band, the
teacher writes a *lift* of it, without seeing the goalpost. Then the solver is asked an accepted task as induction,
deduction or abduction. With probability ``goalpost_rate`` an episode is one turn at the goalpost instead.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from gasp_env.curricula.base import SelfPlay, Stage
from gasp_env.curricula.steps import deal, draft_of, draw, propose, real_problem, solve
from gasp_env.domains.base import Sees
from gasp_env.episode.machine import Context, Game
from gasp_env.options import options


@options
class Gasp(SelfPlay):
    """goalpost -> lemma -> attempts -> lift -> attempts -> solve."""

    stages: ClassVar[tuple[Stage, ...]] = (
        Stage(draft_of("lemma"), "teacher"),
        Stage("lemma", "teacher", proposal=True, band=(3, 7)),
        Stage(draft_of("lift"), "teacher"),
        Stage("lift", "teacher", proposal=True, band=(1, 5)),
        Stage("attempt", "solver"),
        Stage("solve", "solver"),
        Stage("goalpost", "solver"),
    )

    lifts: Annotated[
        int, Field(ge=0, le=100, description="Lifts in a row, each a harder variant of the one before.")
    ] = 1
    lift_from: Annotated[
        Literal["accepted", "valid", "library"],
        Field(
            description="What is lifted: an accepted lemma only, any valid one, or, where the lemma was not accepted, "
            "an accepted task of the library."
        ),
    ] = "accepted"
    lift_sees_goalpost: Annotated[
        bool, Field(description="Show the goalpost to the lift as well. The paper's lift is blind to it.")
    ] = False
    two_steps: Annotated[
        bool,
        Field(
            description="Ask for a variant in two turns: the program and its hint first, in the stages lemma_draft and "
            "lift_draft, and then the inputs, with the program shown. Both texts earn the variant's reward."
        ),
    ] = False
    axis: Annotated[
        Literal["both", "io", "f", "none"],
        Field(
            description="What variants change: drawn per lemma (both), always the same, or left open (none)."
        ),
    ] = "both"
    sees: Annotated[
        Sees | None,
        Field(description="What of a goalpost the teacher is shown; None for the domain's own choice."),
    ] = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.lift_from == "library" and self.lift_sees_goalpost:
            raise ValueError(
                "expected lift_sees_goalpost False with lift_from 'library', whose tasks may be of other goalposts "
                "than the episode's, got True"
            )

    @property
    def prompts(self) -> tuple[str, ...]:
        """See `Curriculum.prompts`."""
        if self.goalpost_rate >= 1:
            return ()
        lift = ("sighted_lift" if self.lift_sees_goalpost else "lift",) if self.lifts else ()
        return ("lemma", *lift, *(("drafting", "complete") if self.two_steps else ()))

    @property
    def played(self) -> tuple[str, ...]:
        """See `Curriculum.played`: drafts only where variants are asked for in two steps."""
        drafts = {draft_of(stage) for stage in ("lemma", "lift")}
        left_out = drafts if not self.two_steps or self.goalpost_rate >= 1 else set()
        return tuple(stage for stage in super().played if stage not in left_out)

    def play(self, context: Context) -> Game:
        """See the module."""
        style = context.domain.style.drafting() if self.two_steps else context.domain.style
        real, index, axis = deal(context, self.axis)
        goalpost = context.goalposts[index]
        if real:
            yield from real_problem(context, goalpost)
            return
        sees = self.sees or context.domain.sees
        prompt = style.lemma(goalpost, sees, axis)
        steps = self.two_steps
        parent = yield from propose(context, "lemma", prompt, axis=axis, goalpost=goalpost, drafted=steps)
        for number in range(self.lifts):
            if parent is None or not (parent.accepted or self.lift_from == "valid"):
                from_library = self.lift_from == "library" and number == 0
                parent = draw(context, "accepted") if from_library else None
            if parent is None:
                break
            axis = parent.task.axis or axis
            if self.lift_sees_goalpost:
                prompt = style.sighted_lift(parent.task, goalpost, sees, axis)
            else:
                prompt = style.lift(parent.task, axis)
            parent = yield from propose(
                context, "lift", prompt, axis=axis, goalpost=goalpost, parent=parent, drafted=steps
            )
        yield from solve(context)
