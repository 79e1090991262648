"""Rewards: pure functions of outcomes and verdicts.

A teacher reward maps the `Outcome`s of one step to named terms; their sum is the reward. A
solver reward maps the reason of one verdict to named terms. Both are chosen by name, and a new
one is one decorated function in the user's own file (see `teacher_reward`).

    python -m gasp_env.rewards          lists them, with source, formula and needs
"""

from __future__ import annotations

from gasp_env.episode.outcome import Outcome
from gasp_env.rewards.registry import (
    TeacherRewards,
    solver_reward,
    solver_rewards,
    specs,
    teacher_reward,
    teacher_rewards,
)
from gasp_env.rewards.spec import TeacherReward
from gasp_env.rewards.zoo import bands, chae, controls, gated, harder, listed, peaked, relative
from gasp_env.rewards.zoo.azr import azr_paper
from gasp_env.rewards.zoo.gasp import gasp_lemma, gasp_lift

#: Imported because they register their rewards.
FAMILIES = (bands, chae, controls, gated, harder, listed, peaked, relative)

__all__ = [
    "Outcome",
    "TeacherReward",
    "TeacherRewards",
    "azr_paper",
    "gasp_lemma",
    "gasp_lift",
    "solver_reward",
    "solver_rewards",
    "specs",
    "teacher_reward",
    "teacher_rewards",
]
