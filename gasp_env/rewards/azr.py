"""Rewards of Absolute Zero (arXiv 2505.03335): the proposer's as the paper has it, and the solver's.

The published code gives the proposer -0.5 where the paper says 0 (p = 0 and p = 1); this is the paper's.
"""

from __future__ import annotations

from collections.abc import Sequence

from gasp_env.rewards.outcome import Outcome
from gasp_env.rewards.registry import Terms, solver_reward, teacher_reward


@teacher_reward("azr_paper")
def azr_paper(outcomes: Sequence[Outcome]) -> list[Terms]:
    """0 if p is 0 or 1, else 1-p (Eq. 4); -1 if invalid (Eq. 6). Range [-1, 1)."""

    def one(outcome: Outcome) -> Terms:
        if not outcome.valid:
            return {"invalid": -1.0}
        if outcome.correct in (0, outcome.samples):
            return {"learnability": 0.0}
        return {"learnability": 1 - outcome.correct / outcome.samples}

    return [one(outcome) for outcome in outcomes]


@solver_reward("azr")
def azr(reason: str) -> Terms:
    """1 if right, -0.5 if wrong, -1 if the answer could not be read (Eq. 6)."""
    if reason == "correct":
        return {"correct": 1.0}
    return {"malformed": -1.0} if reason == "malformed" else {"wrong": -0.5}


@solver_reward("binary")
def binary(reason: str) -> Terms:
    """1 if right, else 0."""
    return {"correct": 1.0 if reason == "correct" else 0.0}
