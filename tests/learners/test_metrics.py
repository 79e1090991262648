"""pass@k against counting, and the ledger of a run."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from math import comb

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learners.metrics import (
    Ledger,
    MaskedMeans,
    bootstrap_interval,
    costs,
    describe,
    pass_at_k,
    zero_success_bound,
)
from learners.turn_records import TurnRecord


@given(st.integers(1, 9), st.data())
def test_pass_at_k_counts_the_draws_with_a_right_answer(n, data):
    c, k = data.draw(st.integers(0, n)), data.draw(st.integers(1, n))
    draws = list(combinations([i < c for i in range(n)], k))
    assert pass_at_k(n, c, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def test_pass_at_k_of_many_samples():
    assert pass_at_k(4096, 7, 100) == pytest.approx(1 - comb(4089, 100) / comb(4096, 100))
    assert (pass_at_k(8, 0, 8), pass_at_k(8, 1, 8)) == (0, 1)
    for n, c, k in ((8, 9, 1), (8, 1, 9), (8, 1, 0)):
        with pytest.raises(ValueError, match="expected"):
            pass_at_k(n, c, k)


def test_what_zeros_say():
    assert zero_success_bound(100) == pytest.approx(0.0295, abs=1e-4)


def test_bootstrap_interval_holds_the_mean():
    low, high = bootstrap_interval([0.0] * 50 + [1.0] * 50)
    assert 0.38 < low < 0.5 < high < 0.62
    assert bootstrap_interval([0.3] * 4) == pytest.approx((0.3, 0.3))


def test_masked_means_are_of_all_micro_batches():
    means = MaskedMeans()
    assert means.means() == {}
    means.add("a", torch.tensor([[1.0, torch.nan], [2.0, 4.0]]), torch.tensor([[True, False], [True, True]]))
    means.add("a", torch.tensor([[9.0]], requires_grad=True), torch.tensor([[True]]))
    means.add("nothing", torch.tensor([[9.0]]), torch.tensor([[False]]))
    assert means.means() == {"a": 4.0}


def test_speeds_count_every_pass_over_the_rows():
    seconds = {"generate": 2.0, "environment": 1.0, "update": 5.0}
    found = costs(
        [record(1.0), record(None)], {"train/tokens": 2.0, "teacher/train/tokens": 1.0}, seconds, 10
    )
    assert found["speed/sampled_tokens_per_s"] == 2.0
    assert found["speed/trained_tokens_per_s"] == 6.0
    assert found["speed/share_in_environment"] == 1 / 8
    assert found["tokens/share_trained"] == 0.75


def record(reward, role="solver", stage="attempt", group=0, kind="induction"):
    verdict = "valid" if role == "teacher" else "correct" if reward == 1 else "wrong"
    ids, mask = (2, 3), (True, True)
    return TurnRecord(
        (1,), ids, mask, None, reward, f"{role}_0", role, stage, kind, "io", group, 0, verdict=verdict
    )


def test_ledger_counts_and_survives_json():
    ledger = Ledger()
    ledger.add([record(1.0), record(-0.5), record(None), record(0.5, "teacher", "lemma", 1)])
    ledger.add(
        [record(1.0, group=2), record(1.0, group=2), record(-1.0, stage="solve", group=3, kind="abduction")]
    )
    ledger = Ledger.restore(json.loads(json.dumps(ledger.state())))
    assert ledger.tokens == {"teacher": 2, "solver": 12}
    assert ledger.proposed == {"lemma": {"valid": 1}}
    assert ledger.groups == {"all": 2, "with_gradient": 1}
    assert ledger.solve_rates() == {"attempt/induction": 0.75, "solve/abduction": 0.0}
    assert ledger.quarters() == {
        "solver/attempt": {"first_quarter": 0.25, "last_quarter": 1.0},
        "solver/solve": {"first_quarter": None, "last_quarter": -1.0},
        "teacher/lemma": {"first_quarter": 0.5, "last_quarter": None},
    }


def test_solve_rates_count_verdicts_whatever_a_right_answer_is_worth():
    ledger = Ledger()
    right, wrong = replace(record(1.0), reward=2.0), replace(record(-0.5), reward=1.0)
    ledger.add([right, wrong, record(None)])
    assert ledger.solve_rates() == {"attempt/induction": 0.5}


def test_describe_leaves_unscored_out_of_means():
    got = describe([record(1.0), record(None)])
    assert got["reward/solver/attempt"] == 1.0
    assert got["unscored/solver/attempt"] == 0.5
    assert got["verdict/solver/attempt/correct"] == 0.5
    assert "reward/solver/solve" not in describe([record(None, stage="solve")])


def test_a_record_checks_its_lengths():
    with pytest.raises(ValueError, match="one mask bit"):
        TurnRecord((1,), (2, 3), (True,), None, 1.0, "solver_0", "solver", "solve", None, None, 0, 0)
