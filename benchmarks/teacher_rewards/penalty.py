"""SIMULATION: p(1-p), as `learnability` pays, with a smaller penalty for an invalid proposal.

Chosen by `benchmarks.teacher_rewards.penalty:quarter` and `benchmarks.teacher_rewards.penalty:zero`.
"""

from __future__ import annotations

from collections.abc import Sequence

from gasp_env.rewards import Outcome, teacher_reward


def _pay(outcomes: Sequence[Outcome], penalty: float) -> list[dict[str, float]]:
    rates = [outcome.correct / outcome.samples if outcome.valid else None for outcome in outcomes]
    return [{"invalid": -penalty} if p is None else {"learnability": p * (1 - p)} for p in rates]


@teacher_reward("quarter")
def quarter(outcomes: Sequence[Outcome]) -> list[dict[str, float]]:
    """A quarter: as much as the most that a valid one earns."""
    return _pay(outcomes, 0.25)


@teacher_reward("zero")
def zero(outcomes: Sequence[Outcome]) -> list[dict[str, float]]:
    """Nothing."""
    return _pay(outcomes, 0.0)
