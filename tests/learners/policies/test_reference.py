"""A whole update on a Qwen2 against a slow reference: float64, row by row, token by token, formulas written out."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from learners.policies import transformers
from learners.policies.transformers import TransformersPolicy
from learners.reinforcepp import Args, update
from learners.turn_records import TurnRecord

#: (group, role, stage, kind, prompt, completion, tokens in front that the policy did not choose, reward).
ROWS = [
    (0, "teacher", "lemma", None, (3, 4, 5, 6), (7, 8, 9), 0, 1.0),
    (0, "teacher", "lemma", None, (3, 4, 5, 6), (7, 8, 10, 11, 12), 0, -1.0),
    (1, "teacher", "lemma", None, (3, 4, 13), (9,), 0, -0.25),  # one token, and alone in its group
    (2, "solver", "attempt", "induction", (20, 21), (22, 23, 24, 25), 2, 1.0),
    (
        2,
        "solver",
        "attempt",
        "induction",
        (20, 21),
        (22, 23, 24, 25),
        0,
        -0.5,
    ),  # the same answer, paid differently
    (2, "solver", "attempt", "induction", (20, 21), (26,), 0, -1.0),
    (3, "solver", "attempt", "induction", (20, 21, 27), (28, 29), 0, None),  # all of the group unscored
    (3, "solver", "attempt", "induction", (20, 21, 27), (28, 30), 0, None),
    (4, "solver", "solve", "deduction", (31,), (32, 33), 0, 0.5),  # alone in its population: no signal
    (5, "solver", "goalpost", None, (3, 4, 5, 6, 7), (8, 9), 0, None),  # nobody of it was scored
]


@pytest.fixture
def policy(tiny_folder: Path) -> TransformersPolicy:
    found = transformers.load(tiny_folder, threads=1, dtype="float32")
    found.module.double()
    return found


def chances(policy: TransformersPolicy, row: Any) -> Any:
    """Log-probabilities of a row's tokens, and entropies."""
    prompt, completion = row[4], row[5]
    logits = policy.module(torch.tensor([[*prompt, *completion]])).logits[0, len(prompt) - 1 : -1]
    logs = torch.log_softmax(logits, -1)
    return logs[torch.arange(len(completion)), list(completion)], -(logs.exp() * logs).sum(-1)


def records(policy: TransformersPolicy, gap: float) -> list[TurnRecord]:
    """The rows as the learner gets them, sampled by an engine whose log-probabilities are off by up to ``gap``."""
    made = []
    for number, row in enumerate(ROWS):
        group, role, stage, kind, prompt, completion, given, reward = row
        with torch.no_grad():
            exact, _ = chances(policy, row)
        sampled = [float(one) + gap * math.sin(3 * number + place) for place, one in enumerate(exact)]
        mask = tuple(place >= given for place in range(len(completion)))
        made.append(
            TurnRecord(
                prompt,
                completion,
                mask,
                tuple(sampled),
                reward,
                f"{role}_0",
                role,
                stage,
                kind,
                None,
                group,
                0,
            )
        )
    return made


def reference(policy: TransformersPolicy, rows: list[TurnRecord], args: Args) -> dict[str, torch.Tensor]:
    """The gradient of one step on all rows."""
    scored = [row for row in rows if row.reward is not None]
    rewards: dict[int, float] = {}
    groups: dict[int, list[float]] = defaultdict(list)
    for row in scored:
        groups[row.group].append(float(row.reward))  # type: ignore[arg-type]
    for row in scored:
        mean = sum(groups[row.group]) / len(groups[row.group]) if len(groups[row.group]) > 1 else 0.0
        rewards[id(row)] = float(row.reward) - (mean if args.baseline == "group" else 0.0)  # type: ignore[arg-type]
    advantage: dict[int, float] = {}
    for name in {(row.role, row.stage, row.kind) for row in scored}:
        members = [row for row in scored if (row.role, row.stage, row.kind) == name]
        weights = [sum(row.mask) if args.weighting == "token" else 1 for row in members]
        mean = sum(w * rewards[id(row)] for w, row in zip(weights, members, strict=True)) / sum(weights)
        squares = sum(w * (rewards[id(row)] - mean) ** 2 for w, row in zip(weights, members, strict=True))
        std = math.sqrt(squares / sum(weights))
        for row in members:
            advantage[id(row)] = (rewards[id(row)] - mean) / max(std, args.std_floor) if std else 0.0
    loss, tokens = torch.zeros((), dtype=torch.double), 0
    for row, raw in zip(rows, ROWS, strict=True):
        if row.reward is None:
            continue
        new, entropy = chances(policy, raw)
        for place, chosen in enumerate(row.mask):
            if not chosen:
                continue
            sampled = row.logprobs[place]  # type: ignore[index]
            old = float(new[place].detach()) if args.correction == "truncate" else sampled
            weight = min(math.exp(float(new[place].detach()) - sampled), args.correction_cap)
            ratio, a = (new[place] - old).exp(), advantage[id(row)]
            least = torch.minimum(ratio * a, ratio.clamp(1 - args.clip_low, 1 + args.clip_high) * a)
            if a < 0:
                least = torch.maximum(least, torch.tensor(args.dual_clip * a))
            loss = loss - least * (weight if args.correction == "truncate" else 1.0)
            loss = loss - args.entropy_coef * entropy[place]
            tokens += 1
    policy.module.zero_grad()
    (loss / tokens).backward()  # type: ignore[no-untyped-call]
    return {name: one.grad.clone() for name, one in policy.module.named_parameters()}


@pytest.mark.parametrize(("micro_tokens", "known"), [(1, True), (14, True), (1000, True), (1000, False)])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"baseline": "group"},
        {"weighting": "sequence", "std_floor": 0.9},
        {"correction": "truncate", "correction_cap": 1.1},
        {"entropy_coef": 0.1},
    ],
)
def test_an_update_takes_the_step_of_the_formulas(
    policy: TransformersPolicy,
    monkeypatch: pytest.MonkeyPatch,
    options: dict[str, Any],
    micro_tokens: int,
    known: bool,
) -> None:
    if not known:  # padded batches instead of trees
        monkeypatch.setattr("learners.policies.architectures.unknown", lambda module: "unknown")
    args = Args(
        train_on="both",
        minibatches=1,
        grad_clip=1e9,
        micro_tokens=micro_tokens,
        **options,  # type: ignore[arg-type]
    )
    rows = records(policy, gap=0.4)
    expected = reference(policy, rows, args)
    before = {name: one.detach().clone() for name, one in policy.module.named_parameters()}
    optimizer = torch.optim.SGD(policy.parameters(), lr=1.0)
    metrics = update(policy, None, optimizer, rows, args, np.random.default_rng(0))
    assert metrics["train/rows"] == 7
    assert metrics["train/tokens"] == 3 + 5 + 1 + 2 + 4 + 1 + 2
    for name, one in policy.module.named_parameters():
        assert torch.allclose(before[name] - one, expected[name], atol=1e-6, rtol=1e-5), name
