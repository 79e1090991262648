"""Smooth rewards that are greatest at a middle success rate."""

from __future__ import annotations

import math

from gasp_env.episode.outcome import Outcome
from gasp_env.rewards.parts import INVALID, is_extreme, rate
from gasp_env.rewards.registry import each, teacher_reward
from gasp_env.rewards.spec import Terms


def bell(x: float, centre: float, width: float) -> float:
    """exp(-(x - centre)^2 / (2 width^2))."""
    return math.exp(-((x - centre) ** 2) / (2 * width**2))


@teacher_reward("spice", source="SPICE, arXiv 2510.24684", tag="paper")
@each
def spice(outcome: Outcome) -> Terms:
    """exp(-(p(1-p) - 1/4)^2 / (2 * 0.01)); -0.1 if invalid.

    Source: SPICE's challenger, from notes on the paper; p(1-p) is the variance of its K = 8 verdicts. Range
    [-0.1, 1]; a task that is never or always solved still earns 0.044. Which questions train its reasoner is not given
    in our sources.
    """
    if not outcome.valid:
        return {"invalid": -0.1}
    p = rate(outcome)
    return {"variance": bell(p * (1 - p), 0.25, 0.1)}


@teacher_reward(
    "socratic_gauss",
    source="Socratic-Zero, arXiv 2509.24726",
    tag="paper",
    deviation="weights examples of supervised training there; invalid: not given, ours is -1",
)
@each
def socratic_gauss(outcome: Outcome) -> Terms:
    """exp(-(p - 1/2)^2 / (2 * 0.2^2)); -1 if invalid.

    Source: Socratic-Zero's utility of a generated question, from notes on the paper. There it weights the
    examples that the generator is fine-tuned on; here it is paid. The value of an invalid question is not given in
    our sources; ours: -1. Range [-1, 1]. Solver data there: problems not yet mastered, and a quarter of old ones.
    """
    return {"utility": bell(rate(outcome), 0.5, 0.2)} if outcome.valid else {"invalid": INVALID}


@teacher_reward(
    "spell_gauss",
    source="SPELL, arXiv 2509.23863",
    tag="paper",
    deviation="no documents here: the -0.5 for a question that is not grounded in them is never paid",
)
@each
def spell_gauss(outcome: Outcome) -> Terms:
    """0 if p is 0 or 1, else exp(-(p - 1/2)^2 / (2 * (0.5/3)^2)); -1 if invalid.

    Source: SPELL's questioner, Eq. 7 of the paper. Range [-1, 1]. Its -0.5 for a question that is not grounded in
    its documents has no counterpart here. Solver data there: questions with 0 < p < 1.
    """
    if not outcome.valid:
        return {"invalid": INVALID}
    return {"learnability": 0.0 if is_extreme(outcome) else bell(rate(outcome), 0.5, 0.5 / 3)}


@teacher_reward(
    "learnability",
    source="SFL, arXiv 2408.15099; LILO, arXiv 2502.12272",
    tag="paper",
    deviation="a score for selecting there; invalid: not given, ours is -1",
)
@each
def learnability(outcome: Outcome) -> Terms:
    """The variance p (1-p); -1 if invalid.

    Source: sampling for learnability, and LILO, which does so for language models. Both select existing tasks by
    this score, and train on those that score highest; here it is paid. Selection knows no invalid task; ours: -1.
    Range [-1, 0.25].
    """
    if not outcome.valid:
        return {"invalid": INVALID}
    p = rate(outcome)
    return {"learnability": p * (1 - p)}


@teacher_reward(
    "evoenv",
    source="EvoEnv, arXiv 2605.14392",
    tag="paper",
    deviation="how closeness falls off is not given: ours is linear; no novelty bonus; invalid: ours is -1",
)
@each
def evoenv(outcome: Outcome) -> Terms:
    """0 if p is 0 or 1, else 1 - |p - 0.3| / 0.7; -1 if invalid.

    Source: EvoEnv pays closeness to a target of 0.3 and admits an environment if 0 < p < 1, from notes on the
    paper. The fall-off of closeness is not given in our sources; ours: linear, to 0 at p = 1. Nor is the reward of an
    environment that is not admitted; ours: 0. Its bonuses for novelty and for passing stages of validation are left
    out. Range [-1, 1].
    """
    if not outcome.valid:
        return {"invalid": INVALID}
    return {"closeness": 0.0 if is_extreme(outcome) else 1 - abs(rate(outcome) - 0.3) / 0.7}
