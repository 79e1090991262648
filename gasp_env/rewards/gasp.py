"""The teacher rewards of GASP (arXiv 2603.15957, the two phases' formulas).

Both are p(1-p)^a learnability shapes with maximum 1, cut to a band outside of which the reward
is -0.5. Bands are compared on the integers c and n: 0.3 is not a float. That an invalid proposal
gets -1 is not stated in what was read of the paper; it is Absolute Zero's rule.
"""

from __future__ import annotations

from collections.abc import Sequence

from gasp_env.rewards.outcome import Outcome, in_band
from gasp_env.rewards.registry import Terms, teacher_reward

INVALID = -1.0
OUT_OF_BAND = -0.5


@teacher_reward("gasp_lemma")
def gasp_lemma(outcomes: Sequence[Outcome]) -> list[Terms]:
    """[4 p (1-p)]^5 for 0.3 <= p <= 0.7, else -0.5; -1 if invalid. Range [-1, 1], maximum at p = 0.5."""

    def one(outcome: Outcome) -> Terms:
        if not outcome.valid:
            return {"invalid": INVALID}
        if not in_band(outcome.correct, outcome.samples, (3, 7)):
            return {"out_of_band": OUT_OF_BAND}
        p = outcome.correct / outcome.samples
        return {"learnability": (4 * p * (1 - p)) ** 5}

    return [one(outcome) for outcome in outcomes]


@teacher_reward("gasp_lift")
def gasp_lift(outcomes: Sequence[Outcome]) -> list[Terms]:
    """10 p ((1-p)/0.9)^9 for 0.1 <= p <= 0.5, else -0.5; -1 if invalid. Range [-1, 1], maximum at p = 0.1."""

    def one(outcome: Outcome) -> Terms:
        if not outcome.valid:
            return {"invalid": INVALID}
        if not in_band(outcome.correct, outcome.samples, (1, 5)):
            return {"out_of_band": OUT_OF_BAND}
        p = outcome.correct / outcome.samples
        return {"learnability": 10 * p * ((1 - p) / 0.9) ** 9}

    return [one(outcome) for outcome in outcomes]
