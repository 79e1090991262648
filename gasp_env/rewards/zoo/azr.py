"""Rewards of Absolute Zero (arXiv 2505.03335): three for its proposer, and the solver's.

Paper and released code disagree where the attempts agree: at p = 0 and p = 1 the paper pays 0 and the
code -0.5, because everything there whose accuracy term is not positive falls to -0.5. There, every valid
proposal is training data, at any reward.
"""

from __future__ import annotations

from gasp_env.episode.outcome import Outcome
from gasp_env.rewards.parts import INVALID, is_extreme, rate
from gasp_env.rewards.registry import each, solver_reward, teacher_reward
from gasp_env.rewards.spec import Terms

PAPER = "Absolute Zero, arXiv 2505.03335"
CODE = "Absolute Zero's code, github.com/LeapLabTHU/Absolute-Zero-Reasoner a82124e"


def as_coded(term: float) -> Terms:
    """Reward of a readable proposal in the released code: its term if positive, else -0.5."""
    return {"learnability": term} if term > 0 else {"no_signal": -0.5}


@teacher_reward("azr_paper", source=PAPER, tag="paper")
@each
def azr_paper(outcome: Outcome) -> Terms:
    """0 if p is 0 or 1, else 1-p; -1 if invalid.

    Source: the paper, Eq. 4 and, for invalid proposals, Eq. 6. Range [-1, 1).
    """
    if not outcome.valid:
        return {"invalid": INVALID}
    return {"learnability": 0.0 if is_extreme(outcome) else 1 - rate(outcome)}


@teacher_reward("azr_code", source=CODE, tag="code")
@each
def azr_code(outcome: Outcome) -> Terms:
    """-0.5 if p is 0 or 1, else 1-p; -1 if invalid.

    Source: rewards/reward_managers.py of the released code, ``one_minus``, its default. Range [-1, 1).
    Its optional bonuses (complexity, edit distance, diversity of answers) are off by default and left out.
    """
    if not outcome.valid:
        return {"invalid": INVALID}
    return as_coded(0.0 if outcome.correct == 0 else 1 - rate(outcome))


@teacher_reward("azr_inverse", source=CODE, tag="code")
@each
def azr_inverse(outcome: Outcome) -> Terms:
    """1-p, but -0.5 if p is 1; -1 if invalid.

    Source: rewards/reward_managers.py of the released code, the option ``inverse``. Range [-1, 1]. A task
    without a right attempt pays most, so it relies on a gate that lets no unsolvable task pass.
    """
    return as_coded(1 - rate(outcome)) if outcome.valid else {"invalid": INVALID}


@solver_reward("azr", source=PAPER, tag="paper")
def azr(reason: str) -> Terms:
    """1 if right, -0.5 if wrong, -1 if the answer could not be read (Eq. 6)."""
    if reason == "correct":
        return {"correct": 1.0}
    return {"malformed": -1.0} if reason in ("malformed", "ambiguous", "cut_off") else {"wrong": -0.5}


@solver_reward("binary", source="ours")
def binary(reason: str) -> Terms:
    """1 if right, else 0."""
    return {"correct": 1.0 if reason == "correct" else 0.0}
