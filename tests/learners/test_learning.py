"""It learns: eight fixed tasks of the miniature, from at most half right to at least nine in ten; and not by accident.

The policy, the env, the judge and `learners.reinforcepp.update` are the ones a run uses. The control
is handed the same rows with their advantages permuted.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.policies import Sampling
from learners import miniature
from learners.evaluate import evaluate
from learners.reinforcepp import Args, update
from learners.rollout import play

DOMAIN = "learners.miniature:domain"
SAMPLING = Sampling(max_tokens=64)
UPDATES, SAMPLES = 200, 16
#: The control trains at least this long, so that it has had time to learn what it should not.
CONTROL_UPDATES = 60
#: Updates between measurements, and what one must show before the final, larger measurement is made.
EVERY, ENOUGH = 10, 0.95


def pass_at_1(policy, sandbox, samples: int, seed: int) -> float:
    tasks = miniature.solvable()
    found = evaluate(
        policy, tasks, samples=samples, sampling=replace(SAMPLING, seed=seed), domain=DOMAIN, sandbox=sandbox
    ).pass_at(1)
    assert found is not None
    return found


def train(sandbox, updates: int, shuffle: bool) -> tuple[float, float, int]:
    """pass@1 before and after training on the eight tasks, and the updates made (it stops once it is there)."""
    tasks = miniature.solvable()
    assert len(tasks) == 8
    policy = miniature.policy()
    args = Args(baseline="group", lr=3e-4, minibatches=1, shuffle_advantages=shuffle)
    optimizer = torch.optim.AdamW(policy.module.parameters(), lr=args.lr, weight_decay=0.0)
    envs = GaspCodeVectorEnv(
        num_envs=len(tasks),
        domain=DOMAIN,
        goalposts=tasks,
        goalpost_rate=1.0,
        attempts=SAMPLES,
        sandbox=sandbox,
    )
    policy.generator.manual_seed(0)
    rng = np.random.default_rng(0)
    before = pass_at_1(policy, sandbox, 64, seed=1)
    envs.reset(seed=0)
    for step in range(1, updates + 1):
        for env, task in enumerate(tasks):
            envs.reset(options={"reset_mask": np.arange(len(tasks)) == env, "goalpost": task.id})
        rollout = play(envs, policy, SAMPLING)
        update(policy, None, optimizer, rollout.records, args, rng)
        if not shuffle and step % EVERY == 0 and pass_at_1(policy, sandbox, SAMPLES, seed=step) >= ENOUGH:
            break
    return before, pass_at_1(policy, sandbox, 64, seed=2), step


@pytest.mark.slow
def test_pass_at_1_rises_on_fixed_tasks_and_not_with_shuffled_advantages(sandbox):
    before, after, updates = train(sandbox, UPDATES, shuffle=False)
    assert before <= 0.5
    assert after >= 0.9, f"pass@1 went from {before:.2f} to {after:.2f} in {updates} updates"

    again, control, _ = train(sandbox, max(updates, CONTROL_UPDATES), shuffle=True)
    assert again == before
    assert control <= before + 0.2, f"shuffled advantages took pass@1 from {before:.2f} to {control:.2f}"
