"""Controls: rewards that ignore difficulty. The gain of a published reward is its gain over these."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np

from gasp_env.episode.outcome import Outcome
from gasp_env.rewards.parts import INVALID
from gasp_env.rewards.registry import TeacherRewards, each, teacher_reward
from gasp_env.rewards.spec import TeacherReward, Terms
from gasp_env.values import encode

SOURCE = "ours, a control"


@teacher_reward("random", source=SOURCE)
@each
def random(outcome: Outcome) -> Terms:
    """A number in [0, 1) that looks random; -1 if invalid.

    Source: ours. The number is a hash of all that is known of the outcome: text, inputs, attempts and answers.
    Everything random comes from the environment's seed, and so does this: the same episode earns the same again.
    """
    if not outcome.valid:
        return {"invalid": INVALID}
    task = outcome.task
    known = (
        *(outcome.stage, outcome.kind, outcome.axis, outcome.goalpost, outcome.correct, outcome.samples),
        *(outcome.attempts, outcome.answers),
        None if task is None else (task.content.program, task.content.message, task.content.inputs),
    )
    digest = hashlib.sha256(b"random" + encode(known)).digest()
    return {"noise": int.from_bytes(digest[:6], "big") / 2**48}


@teacher_reward("uniform_valid", source=SOURCE)
@each
def uniform_valid(outcome: Outcome) -> Terms:
    """1; -1 if invalid.

    Source: ours. All valid proposals are worth the same, and worth more than nothing.
    """
    return {"valid": 1.0} if outcome.valid else {"invalid": INVALID}


@teacher_reward("const_valid", source=SOURCE)
@each
def const_valid(outcome: Outcome) -> Terms:
    """0; -1 if invalid.

    Source: ours. Nothing but the penalty for invalid proposals. Where rewards are standardised it equals
    `uniform_valid`; where they are not, it shows whether a constant matters.
    """
    return {"valid": 0.0} if outcome.valid else {"invalid": INVALID}


def shuffled(name: str) -> TeacherReward:
    """``shuffled:NAME``: what NAME pays the proposals of an update and stage, dealt out among them at random.

    Source: ours. Rewards have the distribution that they have with NAME, and say nothing of the proposal that earns
    them, not even whether it is valid. A hash of the outcomes is the seed: as with `random`, the same episodes earn the
    same again. Several processes of a run deal out each its own.

    Args:
        name: of a teacher reward, ``"module:name"`` or ``"file.py:name"``.

    Raises:
        ValueError: there is no such reward, or nothing here can compute it.
    """
    rewards = TeacherRewards(name)

    def reward(outcomes: Sequence[Outcome]) -> list[Terms]:
        paid = rewards(outcomes)
        known = tuple(
            (one.stage, one.goalpost, one.attempts, one.answers, one.task.fingerprint if one.task else None)
            for one in outcomes
        )
        digest = hashlib.sha256(b"shuffled" + encode(known)).digest()
        order = np.random.default_rng(int.from_bytes(digest, "big")).permutation(len(paid))
        return [paid[place] or {} for place in order]

    return TeacherReward(
        f"shuffled:{name}",
        reward,
        rewards.needs | {"batch"},
        SOURCE,
        f"{name}, dealt out at random among the proposals of an update and stage",
        stages=() if rewards.default else tuple(rewards.by_stage),
    )
