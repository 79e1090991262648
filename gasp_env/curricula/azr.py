"""Unguided self-play: Absolute Zero (arXiv 2505.03335, Algorithm 1).

    propose ──▶ attempt × n ──▶ solve

The teacher invents a task of a kind that is drawn uniformly. For deduction and abduction it writes a program
and an input, given K earlier tasks of that kind. For induction it writes inputs and a message for an earlier
task's program. Every valid task is accepted. With probability ``goalpost_rate`` an episode is one turn at a
goalpost instead.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from gasp_env.curricula.base import Convert, Data, SelfPlay, Stage
from gasp_env.curricula.steps import deal, propose, real_problem, solve
from gasp_env.episode.machine import Context, Game
from gasp_env.episode.turns import MAX_PROMPT
from gasp_env.options import options
from gasp_env.tasks import Task


@options
class Azr(SelfPlay):
    """propose -> attempts -> solve, with no goalpost to guide it."""

    stages: ClassVar[tuple[Stage, ...]] = (
        Stage("propose", "teacher", proposal=True, band=(0, 10)),
        Stage("attempt", "solver"),
        Stage("solve", "solver"),
        Stage("goalpost", "solver"),
    )
    teacher_reward: ClassVar[str] = "azr_paper"
    novelty: ClassVar[str | None] = "exact"

    convert: Convert = False
    solver_data: Data = "all"
    references: Annotated[
        int, Field(ge=0, le=1_000, description="K, earlier tasks that the proposer is shown.")
    ] = 6

    @property
    def plays_goalposts(self) -> bool:
        """True in a mixture with goalpost turns only."""
        return self.goalpost_rate > 0

    @property
    def needs_goalposts(self) -> bool:
        """False: proposals are unguided."""
        return False

    @property
    def prompts(self) -> tuple[str, ...]:
        """See `Curriculum.prompts`."""
        return ("propose",) if self.goalpost_rate < 1 else ()

    def play(self, context: Context) -> Game:
        """See the module."""
        domain = context.domain
        real, index, _ = deal(context)
        if real:
            yield from real_problem(context, context.goalposts[index])
            return
        kind = domain.kinds[int(context.rng.integers(len(domain.kinds)))]
        sources = domain.builds_on(kind)
        references: list[Task] = []
        given = None
        if sources:
            source = sources[int(context.rng.integers(len(sources)))]
            (given,) = _references(context, source, 1)
        else:
            references = _references(context, kind, self.references)
        while len(prompt := domain.style.propose(kind, references, given)) > MAX_PROMPT and references:
            references.pop()
        yield from propose(context, "propose", prompt, kind=kind, given=given)
        yield from solve(context)


def _references(context: Context, kind: str, count: int) -> list[Task]:
    """Earlier tasks of a kind, drawn from the domain's seeds and all valid tasks of the library."""
    seeds = [task for task in context.domain.seeds() if task.kind == kind]
    available = len(seeds) + context.view.size("all", kind)
    drawn = context.rng.choice(available, size=min(count, available), replace=False)
    return [
        seeds[i] if i < len(seeds) else context.view.entry("all", int(i) - len(seeds), kind).task
        for i in drawn
    ]
