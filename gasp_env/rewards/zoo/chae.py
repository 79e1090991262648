"""Two other rewards for Absolute Zero's proposer (Chae, Alam and Rastogi, arXiv 2510.27072).

Their code is a fork of Absolute Zero's and runs these inside its reward manager, where a term that is not
positive becomes -0.5 (see `azr.py`): hence two of each. There, every valid proposal is training data.
"""

from __future__ import annotations

from gasp_env.episode.outcome import Outcome
from gasp_env.rewards.parts import INVALID, rate
from gasp_env.rewards.registry import each, teacher_reward
from gasp_env.rewards.spec import Terms
from gasp_env.rewards.zoo.azr import as_coded

PAPER = "Chae et al., arXiv 2510.27072"
CODE = "Chae et al.'s code, github.com/REU-TrustworthyAI/justin-Absolute-Zero-Reasoner"


def peak(p: float) -> float:
    """1 - 2|p - 1/2|: 1 at 1/2, 0 at the ends."""
    return 1 - 2 * abs(p - 0.5)


def hard_peak(p: float) -> float:
    """Rises to 1 at 1/4, falls to 0 at 1."""
    return 4 * p if p <= 0.25 else 4 / 3 * (1 - p)


@teacher_reward("chae_peak", source=PAPER, tag="paper")
@each
def chae_peak(outcome: Outcome) -> Terms:
    """1 - 2|p - 1/2|; -1 if invalid.

    Source: the question about another proposer reward (RQ5), 0 where p is 0 or 1. Range [-1, 1].
    """
    return {"learnability": peak(rate(outcome))} if outcome.valid else {"invalid": INVALID}


@teacher_reward("chae_peak_code", source=CODE, tag="code")
@each
def chae_peak_code(outcome: Outcome) -> Terms:
    """1 - 2|p - 1/2|, but -0.5 if p is 0 or 1; -1 if invalid.

    Source: ``difficulty_peak`` of the fork, as its reward manager pays it. Range [-1, 1].
    """
    return as_coded(peak(rate(outcome))) if outcome.valid else {"invalid": INVALID}


@teacher_reward("chae_hard", source=CODE, tag="code")
@each
def chae_hard(outcome: Outcome) -> Terms:
    """4p if p <= 1/4, else 4/3 (1-p); -1 if invalid.

    Source: the formula of ``hard_peak`` in the fork; no published result with it was seen. Range [-1, 1].
    """
    return {"learnability": hard_peak(rate(outcome))} if outcome.valid else {"invalid": INVALID}


@teacher_reward("chae_hard_code", source=CODE, tag="code")
@each
def chae_hard_code(outcome: Outcome) -> Terms:
    """4p if p <= 1/4, else 4/3 (1-p), but -0.5 if p is 0 or 1; -1 if invalid.

    Source: ``hard_peak`` of the fork, as its reward manager pays it (as stored it stops at an undefined name).
    Range [-1, 1].
    """
    return as_coded(hard_peak(rate(outcome))) if outcome.valid else {"invalid": INVALID}
