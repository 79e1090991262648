"""The teacher rewards of GASP (arXiv 2603.15957), one for each of its two phases.

Both are p(1-p)^a learnability shapes with maximum 1, cut to a band outside of which the reward is -0.5.
Bands are compared on the integers c and n: 0.3 is not a float. Only what lies in its band is training data.

The formulas are read from several independent notes, the paper's full text was not at hand. That an invalid
proposal gets -1 is not stated in our sources; it is Absolute Zero's rule.
"""

from __future__ import annotations

from gasp_env.episode.outcome import Outcome, in_band
from gasp_env.rewards.parts import INVALID, rate
from gasp_env.rewards.registry import each, staged_reward, teacher_reward
from gasp_env.rewards.spec import Terms

SOURCE = "GASP, arXiv 2603.15957"
OUT_OF_BAND = -0.5


@teacher_reward("gasp_lemma", source=SOURCE, tag="paper")
@each
def gasp_lemma(outcome: Outcome) -> Terms:
    """[4 p (1-p)]^5 for 0.3 <= p <= 0.7, else -0.5; -1 if invalid.

    Source: the paper's reward of its first phase. Range [-1, 1], maximum at p = 0.5.
    """
    if not outcome.valid:
        return {"invalid": INVALID}
    if not in_band(outcome.correct, outcome.samples, (3, 7)):
        return {"out_of_band": OUT_OF_BAND}
    p = rate(outcome)
    return {"learnability": (4 * p * (1 - p)) ** 5}


@teacher_reward("gasp_lift", source=SOURCE, tag="paper")
@each
def gasp_lift(outcome: Outcome) -> Terms:
    """10 p ((1-p)/0.9)^9 for 0.1 <= p <= 0.5, else -0.5; -1 if invalid.

    Source: the paper's reward of its second phase. Range [-1, 1], maximum at p = 0.1, where its band begins:
    of finitely many attempts the expected reward is greatest at a larger p (0.2 for 8).
    """
    if not outcome.valid:
        return {"invalid": INVALID}
    if not in_band(outcome.correct, outcome.samples, (1, 5)):
        return {"out_of_band": OUT_OF_BAND}
    p = rate(outcome)
    return {"learnability": 10 * p * ((1 - p) / 0.9) ** 9}


staged_reward("gasp", {"lemma": "gasp_lemma", "lift": "gasp_lift"})
