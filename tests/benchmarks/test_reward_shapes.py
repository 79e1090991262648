"""The shapes of rewards: golden values, and what must hold for any reward."""

from __future__ import annotations

import itertools
import json
import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import reward_shapes
from benchmarks.reward_shapes import (
    GRID,
    Shape,
    acceptance,
    binomial,
    expected,
    measure,
    noise,
    shapes,
    signal_and_noise,
)
from benchmarks.teacher_rewards.proposals import bands, proposals
from gasp_env.rewards import TeacherRewards, teacher_rewards
from gasp_env.rewards.registry import TEACHER_REWARDS

#: r(0), ..., r(n) of any reward.
values = st.lists(st.floats(-10, 10), min_size=2, max_size=33)
chances = st.floats(0, 1)

MINE = """
from gasp_env.rewards import teacher_reward

@teacher_reward("{name}")
def mine(outcomes):
    return [{body} for o in outcomes]
"""


@pytest.fixture
def own_registry() -> Iterator[None]:
    """What a test registers is gone after it."""
    with TEACHER_REWARDS.isolated():
        yield


def written(folder: Path, name: str, body: str) -> str:
    path = folder / f"{name}.py"
    path.write_text(MINE.format(name=name, body=body))
    return f"{path}:{name}"


def at(name: str, n: int, p: float, stage: str = "lift") -> float:
    (shape,) = (shape for shape in shapes(name, n) if stage in shape.stages)
    return float(expected(shape.values, np.array([p]))[0])


@pytest.mark.parametrize(("n", "expectation"), [(8, 0.23), (16, 0.14), (32, 0.05)])
def test_lift_at_its_own_target(n: int, expectation: float) -> None:
    assert at("gasp_lift", n, 0.1) == pytest.approx(expectation, abs=0.005)


@pytest.mark.parametrize(("n", "best"), [(8, 0.40), (16, 0.46), (32, 0.54)])
def test_lift_is_greatest_near_a_fifth(n: int, best: float) -> None:
    (shape,) = shapes("gasp_lift", n)
    found = measure(shape, (1.0, 1.0))
    assert found["argmax"] == pytest.approx(0.20, abs=0.02)
    assert found["maximum"] == pytest.approx(best, abs=0.005)


@pytest.mark.parametrize(("n", "expectation"), [(8, 0.45), (16, 0.72), (32, 0.85)])
def test_lemma_at_half(n: int, expectation: float) -> None:
    assert at("gasp_lemma", n, 0.5, "lemma") == pytest.approx(expectation, abs=0.005)
    (shape,) = shapes("gasp_lemma", n)
    assert measure(shape, (1.0, 1.0))["argmax"] == pytest.approx(0.5, abs=0.002)


def test_lemma_at_three_tenths_is_far_below_its_formula() -> None:
    assert 0.07 <= at("gasp_lemma", 8, 0.3, "lemma") <= 0.16
    assert 0.07 <= at("gasp_lemma", 16, 0.3, "lemma") <= 0.16


def test_values_at_eight_attempts() -> None:
    (lift,) = shapes("gasp_lift", 8)
    assert lift.values == pytest.approx([-0.5, 0.970, 0.484, 0.141, 0.025, -0.5, -0.5, -0.5, -0.5], abs=0.001)
    assert lift.invalid == -1
    assert not lift.more
    (paper,) = shapes("azr_paper", 4)
    assert paper.values == (0.0, 0.75, 0.5, 0.25, 0.0)
    assert paper.stages == ("lemma", "lift", "propose")


def test_a_name_for_each_stage_has_a_shape_for_each() -> None:
    lemma, lift = shapes("gasp", 8)
    assert (lemma.stages, lift.stages) == (("lemma",), ("lift",))
    assert (lemma.values, lift.values) == (
        shapes("gasp_lemma", 8)[0].values,
        shapes("gasp_lift", 8)[0].values,
    )


def test_acceptance_of_eight_attempts_by_hand() -> None:
    accepted = acceptance(8, (3, 7), np.array([0.5]))[0]
    assert accepted == pytest.approx((56 + 70 + 56) / 256)
    assert acceptance(8, (1, 5), np.array([0.0, 1.0])) == pytest.approx([0, 0])


@given(n=st.integers(1, 256), p=chances)
def test_binomial_sums_to_one(n: int, p: float) -> None:
    row = binomial(n, np.array([p]))[0]
    assert (row >= 0).all()
    assert row.sum() == pytest.approx(1)
    assert row @ np.arange(n + 1) == pytest.approx(n * p, abs=1e-6)


@given(values=values, p=chances)
def test_expectation_lies_between_the_values(values: list[float], p: float) -> None:
    mean = expected(values, np.array([p]))[0]
    assert min(values) - 1e-9 <= mean <= max(values) + 1e-9
    assert -1e-9 <= noise(values, np.array([p]))[0] <= (max(values) - min(values)) ** 2 / 4 + 1e-6


@given(values=values)
def test_signal_and_noise_are_the_whole_variance(values: list[float]) -> None:
    """Of a uniform p, c is uniform on 0..n: the variance of the values is the sum of both."""
    signal, noisy = signal_and_noise(values)
    assert signal >= 0
    assert noisy >= 0
    assert signal + noisy == pytest.approx(np.var(values), abs=1e-6)


@given(values=st.lists(st.floats(-1, 1), min_size=2, max_size=10), a=st.floats(1, 8), b=st.floats(1, 8))
def test_signal_is_the_variance_of_the_expectation(values: list[float], a: float, b: float) -> None:
    """The closed form agrees with a fine sum over p."""
    grid = (np.arange(4000) + 0.5) / 4000
    weight = grid ** (a - 1) * (1 - grid) ** (b - 1)
    weight /= weight.sum()
    mean = expected(values, grid)
    signal, noisy = signal_and_noise(values, (a, b))
    assert signal == pytest.approx(weight @ (mean - weight @ mean) ** 2, abs=1e-3)
    assert noisy == pytest.approx(weight @ noise(values, grid), abs=1e-3)


def test_a_straight_reward_by_hand() -> None:
    """r = c/n: the expectation is p, so signal is Var(p) = 1/12 and noise is E[p(1-p)]/n = 1/(6n)."""
    signal, noisy = signal_and_noise([c / 8 for c in range(9)])
    assert signal == pytest.approx(1 / 12)
    assert noisy == pytest.approx(1 / 48)


def test_a_constant_has_neither_argmax_nor_share() -> None:
    (shape,) = shapes("const_valid", 8)
    found = measure(shape, (1.0, 1.0))
    assert (found["argmax"], found["share"], found["signal"]) == (None, None, 0.0)


@pytest.mark.parametrize("n", [2, 4, 8, 16])
def test_a_peak_is_one_point(n: int) -> None:
    """1 - p^n - (1-p)^n is greatest at 1/2 and nowhere else."""
    (shape,) = shapes("sqlm_attempts", n)
    found = measure(shape, (1.0, 1.0))
    assert found["argmax"] == 0.5
    assert found["greatest"] == [[0.5, 0.5]]


def test_where_nothing_can_be_told_apart_is_said_to_be_flat(capsys: pytest.CaptureFixture[str]) -> None:
    """With 64 attempts the same formula is 1 to nine digits from 0.277 to 0.723: its least p is no argmax."""
    (shape,) = shapes("sqlm_attempts", 64)
    found = measure(shape, (1.0, 1.0))
    ((low, high),) = found["greatest"]
    assert low == pytest.approx(1 - high)
    assert low**64 + (1 - low) ** 64 <= 1e-9 < (low - 0.001) ** 64 + (1.001 - low) ** 64
    assert found["argmax"] is None
    assert found["accepted_at_argmax"] == {"lemma": None, "lift": None, "propose": None}
    assert found["maximum"] == pytest.approx(1)
    assert reward_shapes.main(["--rewards", "sqlm_attempts", "--n", "64"]) == 0
    cells = capsys.readouterr().out.splitlines()[1].split()
    assert cells[3:5] == ["[0.277,", "0.723]"]
    assert cells[9:11] == ["-", "-"]


def test_two_peaks_are_two_places() -> None:
    shape = Shape("valley", ("lemma",), 4, (1.0, 0.5, 0.0, 0.5, 1.0), -1.0, False)
    found = measure(shape, (1.0, 1.0))
    assert found["argmax"] is None
    assert found["greatest"] == [[0.0, 0.0], [1.0, 1.0]]


@given(values=values)
def test_where_it_is_greatest(values: list[float]) -> None:
    """What is named is as great as anything, what is not is less, and no two stretches touch."""
    mean = expected(values, GRID)
    least = mean.max() - 1e-6
    stretches = reward_shapes.greatest(mean, 1e-6)
    inside = np.zeros(len(GRID), dtype=bool)
    for first, last in stretches:
        assert first <= last
        inside[first : last + 1] = True
    assert mean[inside].min() >= least
    assert inside.all() or mean[~inside].max() < least
    assert all(one[1] + 1 < other[0] for one, other in itertools.pairwise(stretches))


def test_what_looks_at_more_than_counts_is_marked() -> None:
    marked = {name: any(shape.more for shape in shapes(name, 4)) for name in teacher_rewards()}
    assert marked["random"]
    assert marked["rzero_paper"]
    assert marked["opensir"]
    assert not marked["azr_code"]
    assert not marked["gasp"]


def test_the_reference_proposals_are_what_they_say() -> None:
    for stage in ("lemma", "lift", "propose"):
        found = proposals(stage, 8)
        assert [outcome.correct for outcome in found] == list(range(9))
        assert all(
            outcome.accepted == (bands()[stage][0] <= 10 * c / 8 <= bands()[stage][1])
            for c, outcome in enumerate(found)
        )
        assert all(outcome.attempts.count("correct") == outcome.correct for outcome in found)
        assert len({outcome.task.fingerprint for outcome in found if outcome.task}) == 9
        assert all((outcome.parent is not None) == (stage == "lift") for outcome in found)


def test_a_batch_of_unlike_proposals_is_not_one_cluster() -> None:
    """Otherwise repetition would be all that the rewards of R-Zero's family are measured on."""
    (shape,) = shapes("rzero_paper", 8)
    assert shape.values[4] == pytest.approx(1 - 1 / 9)
    alike = TeacherRewards("rzero_paper")(list(proposals("lemma", 8, other=True)))
    assert sum((alike[4] or {}).values()) == 0


@pytest.mark.usefixtures("own_registry")
def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = written(
        tmp_path,
        "halves",
        '{"half": 1 - abs(2 * o.correct / o.samples - 1)} if o.valid else {"invalid": -2.0}',
    )
    out, figure = tmp_path / "deep" / "out.json", tmp_path / "out.svg"
    arguments = ["--rewards", "gasp", mine, "--n", "4", "8", "--json", str(out), "--figure", str(figure)]
    assert reward_shapes.main(arguments) == 0
    printed = capsys.readouterr().out
    found = json.loads(out.read_text())
    assert [(row["reward"], tuple(row["stages"]), row["n"]) for row in found["rows"][:4]] == [
        ("gasp", ("lemma",), 4),
        ("gasp", ("lemma",), 8),
        ("gasp", ("lift",), 4),
        ("gasp", ("lift",), 8),
    ]
    own = next(row for row in found["rows"] if row["reward"] == mine and row["n"] == 4)
    assert own["r"] == [0, 0.5, 1, 0.5, 0]
    assert own["invalid"] == -2
    assert own["argmax"] == 0.5
    assert own["maximum"] == pytest.approx(6 / 16 + 0.5 * 8 / 16)
    assert all(math.isfinite(value) for row in found["rows"] for value in row["expected"])
    assert str(tmp_path) not in found["command"]
    assert "<svg" in figure.read_text()
    assert "0.446" in printed


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rewards", "no_such"], "no_such"),
        (["--rewards", "not_there.py:mine"], "cannot be imported"),
        (["--rewards", "soar"], "needs"),
        (["--n", "0"], "between 1 and 256"),
        (["--n", "eight"], "invalid int"),
        (["--beta", "0", "1"], "positive"),
        (["--rewards", "gasp", "--n", "4", "--figure", "shape.nonsense"], "nonsense"),
        (["--rewards", "gasp", "--n", "4", "--json", "/dev/null/out.json"], "/dev/null"),
    ],
)
def test_bad_input_is_one_clear_error(
    arguments: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        status = reward_shapes.main(arguments)
    except SystemExit as stopped:
        status = int(str(stopped.code))
    assert status == 2
    assert said in capsys.readouterr().err.strip().splitlines()[-1]


@pytest.mark.usefixtures("own_registry")
def test_a_reward_that_fails_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert reward_shapes.main(["--rewards", written(tmp_path, "fails", '{"half": 1 / o.correct}')]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "fails" in line
    assert "ZeroDivisionError" in line


def test_every_reward_that_can_be_chosen_is_measured() -> None:
    """As a user runs it, with n small for speed."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.reward_shapes", "--n", "4"],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    for name in teacher_rewards():
        assert f"\n{name}" in done.stdout
    assert "not determined" not in done.stdout


def test_the_grid_is_what_the_text_says() -> None:
    assert GRID[1] == 0.001
    assert len(GRID) == 1001
