"""Rewards that depend only on whether the success rate lies in a band."""

from __future__ import annotations

from gasp_env.episode.outcome import Outcome
from gasp_env.rewards.parts import agreement, is_extreme
from gasp_env.rewards.registry import each, teacher_reward
from gasp_env.rewards.spec import Terms


@teacher_reward("sqlm", source="Self-Questioning Language Models, arXiv 2508.03682", tag="paper")
@each
def sqlm(outcome: Outcome) -> Terms:
    """1 if 0 < (attempts that agree with the majority) < n, else 0; 0 if invalid.

    Source: the proposer of self-questioning language models where answers are voted on (n = 4 there), from notes
    on the paper. Two programs give the same answer if they behave alike on the hidden inputs. Attempts without an
    answer agree with none. Range [0, 1]. Solver data is not given in our sources.
    """
    if not outcome.valid:
        return {"invalid": 0.0}
    return {"not_trivial": float(0 < agreement(outcome) < outcome.samples)}


@teacher_reward(
    "sqlm_attempts",
    source="Self-Questioning Language Models, arXiv 2508.03682",
    deviation="ours: sqlm_code with attempts in the place of unit tests",
)
@each
def sqlm_attempts(outcome: Outcome) -> Terms:
    """1 if 0 < p < 1, else 0; 0 if invalid.

    Source: ours, after the coding variant of self-questioning language models (`sqlm_code`), which pays if one
    program passes some of 5 unit tests and not all. An attempt here is right or wrong as a whole, so that p is the
    share of attempts in the place of tests. Range [0, 1].
    """
    return {"not_trivial": float(not is_extreme(outcome))} if outcome.valid else {"invalid": 0.0}


@teacher_reward("svs", source="SvS, arXiv 2508.14029", tag="paper")
@each
def svs(outcome: Outcome) -> Terms:
    """1 if 1/8 <= p <= 5/8, else 0; 0 if invalid.

    Source: the problem synthesis of SvS, from notes on the paper; bounds compared on integers. Range [0, 1].
    There, variants are written of problems with success rates of 1/8 to 1/2.
    """
    if not outcome.valid:
        return {"invalid": 0.0}
    return {"in_band": float(outcome.samples <= 8 * outcome.correct <= 5 * outcome.samples)}
