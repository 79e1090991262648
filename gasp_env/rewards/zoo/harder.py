"""Rewards that grow as fewer attempts are right."""

from __future__ import annotations

from gasp_env.episode.outcome import Outcome
from gasp_env.rewards.parts import INVALID, is_extreme, rate
from gasp_env.rewards.registry import each, teacher_reward
from gasp_env.rewards.spec import Terms

ALPHA = 0.8


@teacher_reward("vhg", source="VHG, arXiv 2605.06660", tag="paper")
@each
def vhg(outcome: Outcome) -> Terms:
    """1-p; 0 if invalid.

    Source: VHG's setter, validity times failure, from notes on the paper; its independent verifier is our gate,
    which executes. Range [0, 1]; a task without a right attempt pays most. Solver data there: filtered by
    pass rate, bounds not given in our sources.
    """
    return {"difficulty": 1 - rate(outcome)} if outcome.valid else {"invalid": 0.0}


@teacher_reward("ssp", source="Search Self-Play, arXiv 2510.18821", tag="paper")
@each
def ssp(outcome: Outcome) -> Terms:
    """1 - mean success of the attempts; 0 if invalid.

    Source: the proposer of Search Self-Play, on questions that passed verification, from notes on the paper. The
    same values as `vhg`. It does not punish invalid proposals on purpose: -0.1 made its proposer fall silent.
    Range [0, 1]. Solver data there: verified questions; more is not given in our sources.
    """
    return {"difficulty": 1 - rate(outcome)} if outcome.valid else {"invalid": 0.0}


@teacher_reward("ssr", source="Self-play SWE-RL, arXiv 2512.18552", tag="paper")
@each
def ssr(outcome: Outcome) -> Terms:
    """-0.8 if p is 0 or 1, else 1 - 1.8 p; -1 if invalid.

    Source: the bug injector of self-play SWE-RL, with its alpha = 0.8, from notes on the paper; its consistency
    checks are our gate. Range [-1, 1), negative from p = 5/9. Solver data is not given in our sources.
    """
    if not outcome.valid:
        return {"inconsistent": INVALID}
    return {"difficulty": -ALPHA if is_extreme(outcome) else 1 - (1 + ALPHA) * rate(outcome)}


@teacher_reward(
    "eva",
    source="eva, arXiv 2411.00062",
    tag="paper",
    deviation="right or wrong in place of a reward model's score; weights prompts there; invalid: ours is -1",
)
@each
def eva(outcome: Outcome) -> Terms:
    """Best less mean reward of the attempts: 1-p if any was right, else 0; -1 if invalid.

    Source: eva's estimate of regret, from notes on the paper. There it weights which prompts are evolved, and the
    rewards are a reward model's; here it is paid, and an attempt's reward is 1 or 0, which makes it `azr_paper`.
    Invalid proposals are not in our sources; ours: -1. Range [-1, 1).
    """
    if not outcome.valid:
        return {"invalid": INVALID}
    return {"regret": float(outcome.correct > 0) - rate(outcome)}
