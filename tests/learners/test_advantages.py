"""Advantages against the formulas written out in numpy, and what must hold for any batch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learners.advantages import centre_groups, normalise, populations, returns, task_relative


def golden(rewards, scored, lengths, population, groups, baseline, weighting, floor, k1=None, beta=0.0):
    """REINFORCE++ row by row and token by token, in float64, sharing no code with the implementation."""
    rows, width = len(rewards), max(lengths)
    value = {}
    for i in range(rows):
        if not scored[i]:
            continue
        reward = rewards[i]
        mates = [j for j in range(rows) if groups[j] == groups[i] and scored[j]]
        if baseline == "group" and len(mates) > 1:
            reward = reward - sum(rewards[j] for j in mates) / len(mates)
        for t in range(lengths[i]):
            penalty = 0.0 if k1 is None else beta * sum(k1[i][s] for s in range(t, lengths[i]))
            value[i, t] = reward - penalty
    out = np.zeros((rows, width))
    for p in set(population):
        cells = [key for key in value if population[key[0]] == p]
        if not cells:
            continue
        weight = {key: 1.0 if weighting == "token" else 1.0 / lengths[key[0]] for key in cells}
        total = sum(weight.values())
        mu = sum(weight[key] * value[key] for key in cells) / total
        sigma = np.sqrt(sum(weight[key] * (value[key] - mu) ** 2 for key in cells) / total)
        for key in cells:
            out[key] = 0.0 if sigma < 1e-12 else (value[key] - mu) / max(sigma, floor)
    return out


@st.composite
def batches(draw):
    rows = draw(st.integers(1, 12))
    reward = st.sampled_from([-1.0, -0.5, 0.0, 0.125, 0.3, 1.0])

    def column(strategy):
        return draw(st.lists(strategy, min_size=rows, max_size=rows))

    lengths = column(st.integers(1, 5))
    return {
        "rewards": column(reward),
        "scored": column(st.booleans()),
        "lengths": lengths,
        "population": column(st.integers(0, 2)),
        "groups": column(st.integers(0, 3)),
        "k1": [
            [draw(st.floats(-1, 1, allow_subnormal=False)) for _ in range(max(lengths))] for _ in range(rows)
        ],
    }


def tensors(batch, dtype=torch.float64):
    width = max(batch["lengths"])
    mask = torch.tensor([[t < n for t in range(width)] for n in batch["lengths"]])
    return {
        "rewards": torch.tensor(batch["rewards"], dtype=dtype),
        "scored": torch.tensor(batch["scored"]),
        "mask": mask,
        "population": torch.tensor(batch["population"]),
        "groups": torch.tensor(batch["groups"]),
    }


def permuted(arguments, order):
    return {name: value[order] for name, value in arguments.items()}


@given(batches(), st.sampled_from(["none", "group"]), st.sampled_from(["token", "sequence"]), st.booleans())
def test_equals_the_formulas(batch, baseline, weighting, penalised):
    k1, beta = (batch["k1"], 0.3) if penalised else (None, 0.0)
    expected = golden(
        *(batch[k] for k in ("rewards", "scored", "lengths", "population", "groups")),
        baseline, weighting, 1e-3, k1, beta,
    )  # fmt: skip
    for dtype, tolerance in ((torch.float64, 1e-9), (torch.float32, 1e-2)):
        got = task_relative(
            **tensors(batch, dtype),
            baseline=baseline,
            weighting=weighting,
            floor=1e-3,
            k1=None if k1 is None else torch.tensor(k1, dtype=dtype),
            beta=beta,
        )
        np.testing.assert_allclose(got.values.numpy(), expected, atol=tolerance, rtol=tolerance)


def test_token_weights_favour_the_long_answer():
    """One ten-token success beside one thousand-token failure."""
    mask = torch.arange(1000)[None] < torch.tensor([[10], [1000]])
    rewards = torch.tensor([1.0, -1.0], dtype=torch.float64)
    values, one = returns(rewards, mask), torch.zeros(2, dtype=torch.long)
    token = normalise(values, mask, one, 1, "token").values[:, 0]
    sequence = normalise(values, mask, one, 1, "sequence").values[:, 0]
    assert token.tolist() == pytest.approx([10.0, -0.1])
    assert sequence.tolist() == pytest.approx([1.0, -1.0])


def test_eight_rows_by_hand():
    """Rewards 1, 0, 0, 0 of equal length: mean 1/4, variance 3/16."""
    mask = torch.ones(4, 3, dtype=torch.bool)
    got = task_relative(
        torch.tensor([1.0, 0, 0, 0]),
        torch.ones(4, dtype=torch.bool),
        mask,
        torch.zeros(4).long(),
        torch.arange(4),
    )
    assert got.mean.item() == 0.25
    assert got.std.item() == pytest.approx(np.sqrt(3) / 4)
    assert got.values[:, 1].tolist() == pytest.approx([np.sqrt(3)] + [-1 / np.sqrt(3)] * 3)


@given(batches(), st.sampled_from(["none", "group"]), st.sampled_from([float("nan"), float("inf"), -7.0]))
def test_unscored_rows_and_padding_are_never_read(batch, baseline, poison):
    clean = tensors(batch)
    k1 = torch.tensor(batch["k1"], dtype=torch.float64)
    dirty = dict(clean, rewards=torch.where(clean["scored"], clean["rewards"], poison))
    live = clean["mask"] & clean["scored"][:, None]
    options = {"baseline": baseline, "beta": 0.1}
    expected = task_relative(**clean, k1=k1, **options).values
    got = task_relative(**dirty, k1=torch.where(live, k1, poison), **options).values
    assert torch.equal(got, expected)
    assert not got[~live].any()


@given(batches(), st.randoms(use_true_random=False))
def test_order_of_rows_does_not_matter(batch, random):
    arguments = tensors(batch)
    order = list(range(len(batch["rewards"])))
    random.shuffle(order)
    expected = task_relative(**arguments, baseline="group").values[order]
    got = task_relative(**permuted(arguments, order), baseline="group").values
    torch.testing.assert_close(got, expected, atol=1e-9, rtol=1e-9)


@given(batches())
def test_populations_do_not_see_each_other(batch):
    arguments = tensors(batch)
    arguments["groups"] = (
        arguments["groups"] + 10 * arguments["population"]
    )  # a prompt belongs to one population
    everyone = task_relative(**arguments, baseline="group").values
    for p in arguments["population"].unique():
        rows = arguments["population"] == p
        alone = task_relative(**permuted(arguments, rows), baseline="group").values
        torch.testing.assert_close(everyone[rows], alone, atol=1e-9, rtol=1e-9)


@given(
    st.floats(-1, 1, allow_subnormal=False),
    st.integers(1, 9),
    st.sampled_from([torch.float32, torch.float64]),
)
def test_equal_rewards_are_no_signal(reward, rows, dtype):
    """Exactly zero, although a mean of equal floats need not equal them."""
    mask = torch.ones(rows, 3, dtype=torch.bool)
    arguments = (torch.full((rows,), reward, dtype=dtype), torch.ones(rows, dtype=torch.bool), mask)
    for baseline in ("none", "group"):
        got = task_relative(*arguments, torch.zeros(rows).long(), torch.zeros(rows).long(), baseline=baseline)
        assert not got.values.any()
        assert got.std.item() == 0


def test_a_group_of_one_keeps_its_reward():
    rewards, scored = torch.tensor([1.0, -1.0, 0.5, 9.0]), torch.tensor([True, True, True, False])
    assert centre_groups(rewards, scored, torch.tensor([5, 5, 7, 7])).tolist() == [1.0, -1.0, 0.5, 0.0]


def test_floor_and_cap_bound_a_lone_success():
    rewards = torch.zeros(400, dtype=torch.float64)
    rewards[0] = 1.0
    arguments = (
        rewards,
        torch.ones(400, dtype=torch.bool),
        torch.ones(400, 2, dtype=torch.bool),
        torch.zeros(400).long(),
        torch.arange(400),
    )
    assert task_relative(*arguments).values.max() > 19
    assert task_relative(*arguments, floor=0.2).values.max() < 5
    assert task_relative(*arguments, cap=3.0).values.max() == 3


def test_population_names():
    turns = [
        ("teacher", "lemma", "induction"),
        ("teacher", "lift", "induction"),
        ("solver", "solve", "abduction"),
    ]
    index, names = populations(turns, "role_stage_kind")
    assert names == ["solver/solve/abduction", "teacher/lemma/induction", "teacher/lift/induction"]
    assert index.tolist() == [1, 2, 0]
    assert populations(turns, "role_kind")[0].tolist() == [1, 1, 0]
    assert populations(turns, "global")[0].tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="role_kind"):
        populations(turns, "per_moon")  # type: ignore[arg-type]


def test_empty_batch():
    empty = torch.zeros(0)
    got = task_relative(empty, empty.bool(), torch.zeros(0, 0, dtype=torch.bool), empty.long(), empty.long())
    assert got.values.shape == (0, 0)
