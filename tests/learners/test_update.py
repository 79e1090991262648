"""One update on given turns: who gets a gradient, what is masked, what does not matter."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from gasp_env.policies import Sampling
from learners import batches, reinforcepp
from learners.processes import ALONE, Processes
from learners.reinforcepp import Args, learning_rate, trains, update
from learners.turn_records import TurnRecord
from tests.learners.choices import PROMPTS, ChoicePolicy

STAGES = {
    "lemma": "lemma",
    "lift": "lift",
    "attempt": "induction",
    "solve": "deduction",
    "goalpost": "goalpost",
}


def turns(policy: ChoicePolicy, rows: int = 24) -> list[TurnRecord]:
    """Completions of every stage, rewarded by their second token, so that there is something to learn."""
    policy.generator.manual_seed(1)
    records = []
    for group, (stage, bucket) in enumerate(STAGES.items()):
        prompt = PROMPTS[bucket]
        for answer in policy.generate([prompt], [rows], Sampling())[0]:
            reward = 1.0 if len(answer.ids) > 1 and answer.ids[1] % 2 else -0.5
            role = "teacher" if stage in ("lemma", "lift") else "solver"
            ids = answer.ids
            record = TurnRecord(
                answer.prompt_ids,
                ids,
                (True,) * len(ids),
                answer.logprobs,
                reward,
                f"{role}_0",
                role,
                stage,
                None,
                None,
                group,
                0,
            )
            records.append(record)
    return records


def learn(
    records: list[TurnRecord] | None = None,
    start: ChoicePolicy | None = None,
    processes: Processes = ALONE,
    **options,
) -> torch.Tensor:
    """How an update moved the policy's table, by row."""
    policy = ChoicePolicy()
    before = policy.module["table"].detach().clone()
    optimizer = torch.optim.SGD(policy.module.parameters(), lr=1.0)
    args = Args(**{"train_on": "both", "grad_clip": 1e9, **options})
    metrics = update(
        policy,
        start,
        optimizer,
        records or turns(policy),
        args,
        np.random.default_rng(0),
        processes=processes,
    )
    assert all(np.isfinite(value) for value in metrics.values())
    return policy.module["table"].detach() - before


def moved(change: torch.Tensor) -> set[str]:
    return {name for row, name in enumerate(PROMPTS) if change[row].any()}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, {"lemma", "lift", "induction", "deduction", "goalpost"}),
        ({"train_roles": "teacher"}, {"lemma", "lift"}),
        ({"train_roles": "solver"}, {"induction", "deduction", "goalpost"}),
        ({"train_on": "solve"}, {"lemma", "lift", "deduction", "goalpost"}),
        ({"train_on": "attempts"}, {"lemma", "lift", "induction", "goalpost"}),
    ],
)
def test_each_role_and_stage_trains_when_asked(options, expected):
    assert moved(learn(**options)) == expected


def test_the_better_rewarded_tokens_become_likelier():
    change = learn(norm="role_stage_kind")
    odd = change[PROMPTS_ROW["lemma"], 1, 1::2].sum()
    even = change[PROMPTS_ROW["lemma"], 1, 0::2].sum()
    assert odd > 0 > even


PROMPTS_ROW = {name: row for row, name in enumerate(PROMPTS)}


def test_unscored_rows_are_as_if_they_were_not_there():
    policy = ChoicePolicy()
    records = turns(policy)
    lost = [dataclasses.replace(r, reward=None) if i % 3 == 0 else r for i, r in enumerate(records)]
    kept = [r for i, r in enumerate(records) if i % 3]
    options = {"minibatches": 1, "kl": "k2_loss", "entropy_coef": 0.1, "baseline": "group"}
    start = ChoicePolicy(seed=5)
    torch.testing.assert_close(learn(lost, start, **options), learn(kept, start, **options))


def test_a_batch_nobody_judged_changes_nothing():
    records = [dataclasses.replace(r, reward=None) for r in turns(ChoicePolicy())]
    assert not learn(records).any()


def test_micro_batches_do_not_matter(monkeypatch):
    options = {"kl": "k3_loss", "entropy_coef": 0.1}
    whole = learn(None, ChoicePolicy(seed=5), **options)
    for size in (7, 1):
        monkeypatch.setattr(batches, "MICRO_ROWS", size)
        torch.testing.assert_close(learn(None, ChoicePolicy(seed=5), **options), whole)


def test_behaviour_logprobs_are_recomputed_where_the_engine_gave_none():
    policy = ChoicePolicy()
    records = turns(policy)
    blind = [dataclasses.replace(r, logprobs=None) for r in records]
    torch.testing.assert_close(learn(blind), learn(records))


@pytest.mark.parametrize("kl", ["k1_reward", "k2_loss", "k3_loss"])
def test_kl_pulls_towards_the_start_model(kl):
    """With equal rewards nothing else moves the policy."""
    start = ChoicePolicy()
    with torch.no_grad():
        start.module["table"][PROMPTS_ROW["lemma"], 0, 2] += 3
    records = [dataclasses.replace(r, reward=0.0) for r in turns(ChoicePolicy(), 400)]
    change = learn(records, start, kl=kl, kl_coef=1.0, minibatches=1)
    assert moved(learn(records)) == set()
    assert "lemma" in moved(change)
    policy = ChoicePolicy()
    before = policy.module["table"].detach()[PROMPTS_ROW["lemma"], 0].log_softmax(0)
    after = (policy.module["table"].detach() + 0.1 * change)[PROMPTS_ROW["lemma"], 0].log_softmax(0)
    goal = start.module["table"].detach()[PROMPTS_ROW["lemma"], 0].log_softmax(0)
    assert (after.exp() * (after - goal)).sum() < (before.exp() * (before - goal)).sum()


def test_shuffled_advantages_are_the_same_numbers_in_other_places(monkeypatch):
    seen = []
    real = reinforcepp.policy_loss
    monkeypatch.setattr(reinforcepp, "policy_loss", lambda *a, **k: seen.append(a[2][:, 0]) or real(*a, **k))
    records = turns(ChoicePolicy())
    learn(records, minibatches=1)
    learn(records, minibatches=1, shuffle_advantages=True)
    plain, shuffled = seen
    assert torch.equal(plain.sort().values, shuffled.sort().values)
    assert not torch.equal(plain, shuffled)


def test_the_engine_gap_is_measured_before_the_first_step():
    policy = ChoicePolicy()
    args = Args(train_on="both", minibatches=3)
    optimizer = torch.optim.SGD(policy.module.parameters(), lr=50.0)
    metrics = update(policy, None, optimizer, turns(policy), args, np.random.default_rng(0))
    assert metrics["train/engine_gap"] < 1e-6
    assert metrics["train/kl_to_behaviour"] > 1e-3
    assert policy.version == 1


def test_who_trains():
    rows = {r.stage: r for r in turns(ChoicePolicy(), 1)}
    assert [s for s, r in rows.items() if trains(r, Args())] == list(STAGES)
    published = Args(train_on="solve")
    assert [s for s, r in rows.items() if trains(r, published)] == ["lemma", "lift", "solve", "goalpost"]


def test_minibatches_hold_every_row_once_and_keep_prompts_together():
    records = turns(ChoicePolicy(), 40)
    parts = batches.minibatches(records, 4, np.random.default_rng(0))
    assert sorted(row for part in parts for row in part) == list(range(len(records)))
    assert all(any(set(pack) <= set(part) for part in parts) for pack in batches.packs(records, batches.PACK))


def test_learning_rate_falls_over_the_second_half():
    assert [learning_rate(p) for p in (0, 0.5, 0.75, 1.0, 2.0)] == pytest.approx([1, 1, 0.525, 0.05, 0.05])


def test_micro_batches_hold_every_row_in_order_and_no_more_tokens_than_allowed():
    records = turns(ChoicePolicy(), 40)
    part = batches.minibatches(records, 1, np.random.default_rng(0))[0]
    for tokens in (1, 10, 50, 10**6):
        found = batches.micro_batches(records, part, tokens)
        assert [row for rows in found for row in rows] == part
        for rows in found:
            prompts = {records[row].prompt_ids for row in rows}
            size = sum(map(len, prompts)) + sum(len(records[row].completion_ids) for row in rows)
            assert len(rows) == 1 or size <= tokens
    assert len(batches.micro_batches(records, part, 10**6)) == 1


def test_what_prompts_have_in_common_is_counted_once():
    record = turns(ChoicePolicy(), 1)[0]
    rows = [
        dataclasses.replace(
            record, prompt_ids=(1, 2, 3, 4, end), completion_ids=(7,), mask=(True,), logprobs=(0.0,)
        )
        for end in (5, 6, 8)
    ]
    # 6 tokens, and 2 more for each row after the first.
    assert batches.micro_batches(rows, range(3), 10) == [[0, 1, 2]]
    assert batches.micro_batches(rows, range(3), 9) == [[0, 1], [2]]


@pytest.mark.parametrize("minibatches", [1, 3])
def test_a_correction_changes_nothing_where_the_engines_agree(minibatches):
    plain = learn(minibatches=minibatches)
    torch.testing.assert_close(learn(minibatches=minibatches, correction="truncate"), plain)


@pytest.mark.parametrize("minibatches", [1, 3])
def test_a_token_that_the_sampler_overrated_counts_less(minibatches):
    records = turns(ChoicePolicy())
    gap = [dataclasses.replace(r, logprobs=tuple(x + 0.5 for x in r.logprobs)) for r in records]
    plain = learn(records, minibatches=minibatches)
    corrected = learn(gap, minibatches=minibatches, correction="truncate")
    assert corrected.norm() == pytest.approx(float(np.exp(-0.5) * plain.norm()), rel=0.05)


def test_answers_that_were_cut_off_may_be_left_out():
    records = turns(ChoicePolicy())
    cut = [dataclasses.replace(r, stop="length") if i % 3 == 0 else r for i, r in enumerate(records)]
    rest = [r for i, r in enumerate(records) if i % 3]
    torch.testing.assert_close(learn(cut, overlong="mask", minibatches=1), learn(rest, minibatches=1))
    torch.testing.assert_close(learn(cut, minibatches=1), learn(records, minibatches=1))


def test_a_row_that_was_lost_changes_nothing():
    records = turns(ChoicePolicy())
    lost = dataclasses.replace(
        records[0], completion_ids=(), mask=(), logprobs=None, reward=None, stop="lost", group=99
    )
    for options in ({}, {"correction": "truncate"}, {"kl": "k1_reward"}):
        start = ChoicePolicy(seed=5) if "kl" in options else None
        options = {**options, "minibatches": 1}
        torch.testing.assert_close(
            learn([*records, lost], start, **options), learn(records, start, **options)
        )


def test_the_gap_between_engines_is_no_reward():
    """The policy is the start model, and all rewards are equal: there is nothing to learn."""
    records = [dataclasses.replace(r, reward=-1.0) for r in turns(ChoicePolicy())]
    gap = [
        dataclasses.replace(r, logprobs=tuple(x + 0.01 * i for i, x in enumerate(r.logprobs)))
        for r in records
    ]
    for correction in ("none", "truncate"):
        assert not learn(gap, ChoicePolicy(), kl="k1_reward", correction=correction, minibatches=1).any()


def test_rows_without_tokens_of_the_policy_s_own():
    records = [dataclasses.replace(r, mask=(False,) * len(r.mask)) for r in turns(ChoicePolicy())]
    assert not learn(records).any()
