"""Golden values: worked out from the formulas, rounded to two digits."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.rewards import Outcome, teacher_reward, teacher_rewards
from gasp_env.rewards.outcome import in_band
from gasp_env.rewards.registry import TeacherRewards, get_solver_reward


def outcome(correct: int, samples: int, stage: str = "lemma") -> Outcome:
    return Outcome(stage, "f", "g", "valid", correct, samples)


def reward(name: str, correct: int, samples: int) -> float:
    (terms,) = TeacherRewards({"lemma": name, "lift": name})([outcome(correct, samples)])
    assert terms is not None
    return sum(terms.values())


@pytest.mark.parametrize(
    ("name", "samples", "expected"),
    [
        ("gasp_lemma", 5, [-0.5, -0.5, 0.82, 0.82, -0.5, -0.5]),
        ("gasp_lemma", 8, [-0.5, -0.5, -0.5, 0.72, 1.0, 0.72, -0.5, -0.5, -0.5]),
        ("gasp_lemma", 10, [-0.5, -0.5, -0.5, 0.42, 0.82, 1.0, 0.82, 0.42, -0.5, -0.5, -0.5]),
        ("gasp_lift", 5, [-0.5, 0.69, 0.10, -0.5, -0.5, -0.5]),
        ("gasp_lift", 8, [-0.5, 0.97, 0.48, 0.14, 0.03, -0.5, -0.5, -0.5, -0.5]),
        ("gasp_lift", 10, [-0.5, 1.0, 0.69, 0.31, 0.10, 0.03, -0.5, -0.5, -0.5, -0.5, -0.5]),
        ("azr_paper", 8, [0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0]),
    ],
)
def test_golden(name: str, samples: int, expected: list[float]) -> None:
    got = [reward(name, correct, samples) for correct in range(samples + 1)]
    assert got == pytest.approx(expected, abs=0.005)


def test_lift_at_sixteen_attempts() -> None:
    got = [reward("gasp_lift", correct, 16) for correct in range(2, 9)]
    assert got == pytest.approx([0.97, 0.75, 0.48, 0.28, 0.14, 0.06, 0.03], abs=0.005)


@pytest.mark.parametrize("name", ["gasp_lemma", "gasp_lift", "azr_paper"])
def test_invalid_is_minus_one(name: str) -> None:
    rejected = Outcome("lemma", "f", "g", "duplicate")
    assert TeacherRewards(name)([rejected]) == [{"invalid": -1.0}]


@pytest.mark.parametrize("name", ["gasp_lemma", "gasp_lift", "azr_paper"])
@given(data=st.data())
def test_total_and_bounded(name: str, data: st.DataObject) -> None:
    samples = data.draw(st.integers(1, 64))
    correct = data.draw(st.integers(0, samples))
    got = reward(name, correct, samples)
    assert math.isfinite(got)
    assert -1 <= got <= 1


@given(st.integers(1, 1000), st.integers(0, 1000), st.integers(0, 10), st.integers(0, 10))
def test_band_is_exact(samples: int, correct: int, low: int, high: int) -> None:
    from fractions import Fraction

    p = Fraction(correct, samples)
    assert in_band(correct, samples, (low, high)) == (Fraction(low, 10) <= p <= Fraction(high, 10))


def test_gasp_chooses_by_stage() -> None:
    lemma, lift = outcome(1, 8, "lemma"), outcome(1, 8, "lift")
    assert TeacherRewards("gasp")([lift, lemma]) == [
        {"learnability": pytest.approx(0.97, abs=0.005)},
        {"out_of_band": -0.5},
    ]


def test_unscored_outcome_is_not_shown_to_a_reward() -> None:
    unscored = Outcome("lemma", "f", "g", "infra_error", scored=False)
    assert TeacherRewards("gasp")([unscored, outcome(4, 8)]) == [None, {"learnability": 1.0}]


@pytest.mark.parametrize(
    ("reason", "azr", "binary"),
    [("correct", 1.0, 1.0), ("wrong", -0.5, 0.0), ("wall_limit", -0.5, 0.0), ("malformed", -1.0, 0.0)],
)
def test_solver_rewards(reason: str, azr: float, binary: float) -> None:
    assert sum(get_solver_reward("azr")(reason).values()) == azr
    assert sum(get_solver_reward("binary")(reason).values()) == binary


def test_errors_say_what_can_be_chosen() -> None:
    with pytest.raises(ValueError, match="gasp_lemma.*'nope'"):
        TeacherRewards("nope")
    with pytest.raises(ValueError, match="binary.*'nope'"):
        get_solver_reward("nope")
    with pytest.raises(ValueError, match="lemma.*lift"):
        TeacherRewards({"lemma": "gasp_lemma"})


def test_bad_terms_are_refused() -> None:
    @teacher_reward("test_not_finite")
    def not_finite(outcomes):
        return [{"x": float("nan")} for _ in outcomes]

    @teacher_reward("test_too_few")
    def too_few(outcomes):
        return []

    assert {"test_not_finite", "test_too_few"} <= set(teacher_rewards())
    with pytest.raises(ValueError, match="finite"):
        TeacherRewards("test_not_finite")([outcome(1, 8)])
    with pytest.raises(ValueError, match="expected 1 dicts"):
        TeacherRewards("test_too_few")([outcome(1, 8)])
    # The same definition again is a notebook's cell run twice; another one is a mistake.
    teacher_reward("test_too_few")(too_few)
    with pytest.raises(ValueError, match="exists already"):
        teacher_reward("test_too_few")(not_finite)


def test_solver_rewards_of_ones_own(tmp_path, monkeypatch) -> None:
    (tmp_path / "mine_of_test.py").write_text(
        "from gasp_env import solver_reward\n"
        "@solver_reward('generous')\n"
        "def generous(reason):\n    return {'right': 2.0 if reason == 'correct' else 0.1}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert get_solver_reward("mine_of_test:generous")("correct") == {"right": 2.0}
    with pytest.raises(ValueError, match="cannot be imported"):
        get_solver_reward("no_such_module:generous")
    with pytest.raises(ValueError, match="cannot be imported"):
        TeacherRewards("no_such_module:x")
