"""Reinforcement learning on the real problems alone, the baseline without a teacher.

goalpost × n
"""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from gasp_env.curricula.base import Curriculum, Stage
from gasp_env.curricula.steps import deal, real_problem
from gasp_env.episode.machine import Context, Game
from gasp_env.options import options


@options
class Rlvr(Curriculum):
    """One goalpost turn of n samples an episode."""

    roles: ClassVar[tuple[str, ...]] = ("teacher", "solver")
    stages: ClassVar[tuple[Stage, ...]] = (Stage("goalpost", "solver"),)

    attempts: Annotated[int, Field(ge=1, le=10_000, description="n, the solver's tries at a goalpost.")] = 8
    goalpost_rate: Annotated[
        float, Field(ge=0, le=1, allow_inf_nan=False, description="1: every episode is a goalpost turn.")
    ] = 1.0

    def __post_init__(self) -> None:
        if self.goalpost_rate != 1:
            raise ValueError(
                f"expected goalpost_rate 1 for curriculum 'rlvr', which plays real problems only, got "
                f"{self.goalpost_rate}; for a mixture choose 'gasp' or 'azr' with a goalpost_rate"
            )

    def play(self, context: Context) -> Game:
        """See the module."""
        _, index, _ = deal(context)
        yield from real_problem(context, context.goalposts[index])
