"""Choosing rewards, and what is refused."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.episode.outcome import in_band
from gasp_env.rewards import Outcome, specs, teacher_reward, teacher_rewards
from gasp_env.rewards.needs import NEEDS
from gasp_env.rewards.registry import (
    SOLVER_REWARDS,
    TEACHER_REWARDS,
    TeacherRewards,
    get_solver_reward,
    solver_reward,
)
from tests.rewards.outcomes import outcome, pay

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "my_reward.py"


@pytest.fixture(autouse=True)
def registry_as_it_was() -> Iterator[None]:
    """What a test registers is forgotten after it."""
    with TEACHER_REWARDS.isolated(), SOLVER_REWARDS.isolated():
        yield


@given(st.integers(1, 1000), st.integers(0, 1000), st.integers(0, 10), st.integers(0, 10))
def test_band_is_exact(samples: int, correct: int, low: int, high: int) -> None:
    p = Fraction(correct, samples)
    assert in_band(correct, samples, (low, high)) == (Fraction(low, 10) <= p <= Fraction(high, 10))


def test_one_name_serves_every_stage() -> None:
    chosen = TeacherRewards("azr_paper")
    assert chosen.default is not None
    steps = [outcome(2, 8, stage) for stage in ("propose", "lemma", "lift", "a stage of somebody's game")]
    assert chosen(steps) == [{"learnability": 0.75}] * 4


def test_gasp_chooses_by_stage() -> None:
    lemma, lift = outcome(1, 8, "lemma"), outcome(1, 8, "lift")
    assert TeacherRewards("gasp")([lift, lemma]) == [
        {"learnability": pytest.approx(0.97, abs=0.005)},
        {"out_of_band": -0.5},
    ]


@pytest.mark.parametrize(
    ("name", "samples", "expected"),
    [
        ("gasp_lemma", 5, [-0.5, -0.5, 0.82, 0.82, -0.5, -0.5]),
        ("gasp_lemma", 10, [-0.5, -0.5, -0.5, 0.42, 0.82, 1.0, 0.82, 0.42, -0.5, -0.5, -0.5]),
        ("gasp_lift", 5, [-0.5, 0.69, 0.10, -0.5, -0.5, -0.5]),
        ("gasp_lift", 10, [-0.5, 1.0, 0.69, 0.31, 0.10, 0.03, -0.5, -0.5, -0.5, -0.5, -0.5]),
        ("gasp_lift", 16, [-0.5, -0.5, 0.97, 0.75, 0.48, 0.28, 0.14, 0.06, 0.03, *[-0.5] * 8]),
    ],
)
def test_gasp_at_other_numbers_of_attempts(name: str, samples: int, expected: list[float]) -> None:
    got = [pay(name, outcome(correct, samples))[0] for correct in range(samples + 1)]
    assert got == pytest.approx(expected, abs=0.005)


def test_a_mapping_may_leave_out_the_unguided_stage() -> None:
    guided = TeacherRewards({"lemma": "gasp_lemma", "lift": "azr_code"})
    guided.check((), ("lemma", "lift"))
    with pytest.raises(ValueError, match="'propose'.*azr_paper"):
        guided.check((), ("propose",))
    whole = TeacherRewards({"lemma": "gasp_lemma", "lift": "azr_code", "propose": "azr_paper"})
    whole.check((), ("propose",))
    assert whole([outcome(0, 8, "propose")]) == [{"learnability": 0.0}]


@pytest.mark.parametrize("stages", [("propose",), ("lemma", "lift", "propose")])
def test_gasp_is_no_reward_for_unguided_proposals(stages: tuple[str, ...]) -> None:
    TeacherRewards("gasp").check((), ("lemma", "lift"))
    with pytest.raises(ValueError, match=r"'gasp' is for \['lemma', 'lift'\].*stage 'propose'.*azr_paper"):
        TeacherRewards("gasp").check((), stages)
    with pytest.raises(ValueError, match="stage 'propose'"):
        TeacherRewards("gasp")([outcome(4, 8, "propose")])


@pytest.mark.parametrize("choice", [{"lemma": "gasp_lemma"}, {"propose": "azr_paper"}, {"lift": "gasp_lift"}])
def test_a_mapping_has_to_have_the_stages_of_the_curriculum(choice: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="this curriculum has the stage '(lemma|lift)'"):
        TeacherRewards(choice).check((), ("lemma", "lift"))


def test_a_mapping_names_single_rewards() -> None:
    with pytest.raises(ValueError, match="one reward per stage.*gasp_lemma"):
        TeacherRewards({"lemma": "gasp", "lift": "gasp_lift"})
    with pytest.raises(ValueError, match="mapping from stages"):
        TeacherRewards({})
    with pytest.raises(ValueError, match="sgs_relevance.*propose"):
        TeacherRewards({"lemma": "vhg", "lift": "vhg", "propose": "sgs_relevance"})


def test_needs_are_checked_against_what_an_env_offers() -> None:
    with pytest.raises(ValueError, match="'rzero_paper' needs 'batch'.*score_deferred"):
        TeacherRewards("rzero_paper").check((), ("lemma",))
    TeacherRewards("rzero_paper").check({"batch"}, ("lemma",))
    with pytest.raises(ValueError, match="'opensir' needs 'embedding'.*novelty"):
        TeacherRewards("opensir").check({"batch", "relevance"}, ("lemma",))
    # In the other modes the env pays for relevance, and this reward would do so again.
    with pytest.raises(
        ValueError, match="'sgs_relevance' needs 'relevance'.*`relevance_mode` at 'gate'.*'scale'"
    ):
        TeacherRewards("sgs_relevance").check({"batch", "embedding"}, ("lemma", "lift"))
    # A stage that the curriculum does not have asks for nothing.
    mixed = TeacherRewards({"lemma": "vhg", "lift": "vhg", "propose": "lsp_zero"})
    mixed.check((), ("lemma", "lift"))
    with pytest.raises(ValueError, match="lsp_zero"):
        mixed.check((), ("propose",))
    assert mixed.needs == {"batch"}


def test_declared_needs_are_known_ones() -> None:
    with pytest.raises(ValueError, match="'mind_reading'.*'batch'"):
        teacher_reward("test_need", needs=["mind_reading"])(lambda outcomes: [])
    # One need as a text is one need, and not its letters.
    teacher_reward("test_need", needs="judge")(lambda outcomes: [{"x": 0.0} for _ in outcomes])
    with pytest.raises(ValueError, match="test_need.*judge.*no environment here offers"):
        TeacherRewards("test_need")
    assert "test_need" not in teacher_rewards()
    assert "judge" in NEEDS


def test_nothing_but_a_name_is_needed() -> None:
    @teacher_reward("test_plain")
    def plain(outcomes):
        return [{"x": 0.5} for _ in outcomes]

    (spec,) = [spec for spec in specs() if spec.name == "test_plain"]
    assert (spec.source, spec.formula, spec.tag, spec.needs) == (__name__, "", "ours", frozenset())
    assert pay("test_plain", outcome(1, 8)) == [0.5]


@pytest.mark.parametrize("name", ["", "a:b"])
def test_names_that_could_not_be_chosen(name: str) -> None:
    with pytest.raises(ValueError, match="without a colon"):
        teacher_reward(name)(lambda outcomes: [])


def test_stages_of_a_reward() -> None:
    @teacher_reward("test_lifts_only", stages=("lift",))
    def lifts_only(outcomes):
        return [{"x": 1.0} for _ in outcomes]

    assert list(TeacherRewards("test_lifts_only").by_stage) == ["lift"]
    with pytest.raises(ValueError, match="'test_lifts_only' is for .*stage 'lemma'"):
        TeacherRewards("test_lifts_only").check((), ("lift", "lemma"))
    with pytest.raises(ValueError, match="expected names of stages"):
        teacher_reward("test_bad_stage", stages=(5,))(lifts_only)


def test_unscored_outcome_is_not_shown_to_a_reward() -> None:
    unscored = Outcome("lemma", "f", "g", "infra_error", scored=False)
    assert TeacherRewards("gasp")([unscored, outcome(4, 8)]) == [None, {"learnability": 1.0}]


def test_bad_terms_are_refused() -> None:
    @teacher_reward("test_not_finite")
    def not_finite(outcomes):
        return [{"x": float("nan")} for _ in outcomes]

    @teacher_reward("test_too_few")
    def too_few(outcomes):
        return []

    @teacher_reward("test_no_list")
    def no_list(outcomes):
        return {"x": 1.0}

    @teacher_reward("test_no_terms")
    def no_terms(outcomes):
        return [1.0 for _ in outcomes]

    assert {"test_not_finite", "test_too_few"} <= set(teacher_rewards())
    for name, complaint in {
        "test_not_finite": "finite",
        "test_too_few": "expected 1 dicts",
        "test_no_list": "expected a list",
        "test_no_terms": "finite named terms",
    }.items():
        with pytest.raises(ValueError, match=complaint):
            TeacherRewards(name)([outcome(1, 8)])


def test_a_name_that_is_known_is_replaced() -> None:
    def other(outcomes):
        return [{"other": 1.0} for _ in outcomes]

    for name in ("gasp", "vhg"):
        with pytest.warns(
            UserWarning, match=f"teacher reward '{name}' of .* is replaced by that of .*test_reg"
        ):
            teacher_reward(name)(other)
        assert TeacherRewards(name)([outcome(1, 8), outcome(1, 8, "lift")]) == [{"other": 1.0}] * 2
        (spec,) = [spec for spec in specs() if spec.name == name]
        assert spec.function is other
    # One that was only listed has nothing to be replaced.
    teacher_reward("soar", needs=["batch"])(other)
    assert TeacherRewards("soar").needs == {"batch"}
    assert "soar" in teacher_rewards()
    assert len([spec for spec in specs() if spec.name == "soar"]) == 1


def test_terms_of_which_the_sum_is_not_finite_are_refused() -> None:
    paid: dict[str, float] = {}
    teacher_reward("test_sum")(lambda outcomes: [paid for _ in outcomes])
    for sign in (1, -1):
        paid = {"a": sign * 1e308, "b": sign * 1e308}
        with pytest.raises(
            ValueError, match="'test_sum': expected terms whose sum is finite, got .*1e\\+308"
        ):
            pay("test_sum", outcome(1, 8))
    for term in (10**400, Fraction(10**400), float("inf"), "1"):
        paid = {"a": term}
        with pytest.raises(ValueError, match="'test_sum': expected finite named terms"):
            pay("test_sum", outcome(1, 8))
    paid = {"a": Fraction(1, 2), "b": 1e308, "c": -1e308}
    assert pay("test_sum", outcome(1, 8)) == [0.0]


def test_an_error_of_a_reward_names_it() -> None:
    @teacher_reward("test_raises")
    def raises(outcomes):
        raise KeyError("boom")

    @solver_reward("test_raises")
    def raises_too(reason):
        return {"x": 1 / 0}

    with pytest.raises(RuntimeError, match="teacher reward 'test_raises' raised KeyError: 'boom'") as caught:
        TeacherRewards({"lemma": "vhg", "lift": "test_raises"})([outcome(1, 8), outcome(1, 8, "lift")])
    assert isinstance(caught.value.__cause__, KeyError)
    with pytest.raises(
        RuntimeError, match="solver reward 'test_raises' raised ZeroDivisionError: div"
    ) as caught:
        get_solver_reward("test_raises")("correct")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


@pytest.mark.parametrize("terms", [None, 1.0, {}, {"x": float("nan")}, {"x": 1e308, "y": 1e308}])
def test_bad_terms_of_a_solver_are_refused(terms) -> None:
    solver_reward("test_bad")(lambda reason: terms)
    with pytest.raises(ValueError, match="solver reward 'test_bad': expected .*finite"):
        get_solver_reward("test_bad")("correct")


@pytest.mark.parametrize("choice", [5, None, ["gasp"], ("gasp",), {"lemma": 5, "lift": "vhg"}])
def test_a_choice_that_is_no_name(choice) -> None:
    with pytest.raises(
        ValueError, match="expected the name of a teacher reward, or a mapping from stages.*got"
    ):
        TeacherRewards(choice)


def test_a_solver_reward_is_chosen_by_name() -> None:
    with pytest.raises(ValueError, match="expected the name of a solver reward, got 5"):
        get_solver_reward(5)  # type: ignore[arg-type]


def test_a_mapping_from_something_else() -> None:
    with pytest.raises(ValueError, match="mapping from stages to names, got .*3: 'vhg'"):
        TeacherRewards({"lemma": "vhg", 3: "vhg"})  # type: ignore[dict-item]


def test_errors_say_what_can_be_chosen() -> None:
    with pytest.raises(ValueError, match="gasp_lemma.*'nope'"):
        TeacherRewards("nope")
    with pytest.raises(ValueError, match="binary.*'nope'"):
        get_solver_reward("nope")


def test_the_example_is_chosen_by_its_path() -> None:
    parent = outcome(4, 8).task
    assert parent is not None
    from gasp_env.tasks import Entry

    lift = outcome(2, 8, "lift", parent=Entry(parent, 4, 8, True))
    first, second = TeacherRewards(f"{EXAMPLE}:mine")([outcome(2, 8), lift])
    assert first == {"learnability": pytest.approx(0.94921875), "harder": 0.0}
    assert second == {"learnability": pytest.approx(0.94921875), "harder": 0.2}
    assert TeacherRewards({"lemma": f"{EXAMPLE}:mine", "lift": "gasp_lift"}).by_stage["lemma"].name == "mine"


def test_a_file_by_path_and_by_name_is_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "twice_of_test.py").write_text(
        "from gasp_env import teacher_reward\n"
        "@teacher_reward('twice')\n"
        "def twice(outcomes):\n    return [{'x': 2.0} for _ in outcomes]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert pay("twice_of_test:twice", outcome(1, 8)) == [2.0]
    assert pay(f"{tmp_path}/twice_of_test.py:twice", outcome(1, 8)) == [2.0]
    with pytest.raises(
        ValueError, match="gasp_lemma.*twice_of_test.py:other'.*neither registers nor defines"
    ):
        TeacherRewards(f"{tmp_path}/twice_of_test.py:other")


ONE = "@teacher_reward('dup')\ndef reward(outcomes):\n    return [{'x': 1.0} for _ in outcomes]\n"
TWO = ONE.replace("1.0", "2.0")


@pytest.mark.parametrize(
    "body",
    [
        ONE + TWO,
        "from gasp_env.rewards.registry import each\n"
        + "".join(
            f"@teacher_reward('dup')\n@each\ndef reward(outcome):\n    return {{'x': {paid}}}\n"
            for paid in (1.0, 2.0)
        ),
        "class A:\n" + "".join(f"    {line}\n" for line in (ONE + TWO).splitlines()),
    ],
    ids=["functions", "of each outcome", "in a class"],
)
def test_of_two_of_one_name_in_one_file_the_second_counts(body: str, tmp_path: Path) -> None:
    path = tmp_path / "dup_of_test.py"
    path.write_text("from gasp_env import teacher_reward\n" + body)
    assert pay(f"{path}:dup", outcome(1, 8)) == [2.0]


def test_a_reloaded_module_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "again_of_test.py"
    path.write_text("from gasp_env import teacher_reward\n" + ONE)
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("again_of_test")
    assert pay("dup", outcome(1, 8)) == [1.0]
    path.write_text("from gasp_env import teacher_reward\n\n# Moved.\n" + TWO)
    importlib.reload(module)
    assert pay("dup", outcome(1, 8)) == [2.0] == pay("again_of_test:dup", outcome(1, 8))


def test_functions_that_are_not_registered(tmp_path: Path) -> None:
    path = tmp_path / "plain_of_test.py"
    path.write_text(
        "from gasp_env.rewards import teacher_reward\n"
        "def halves(outcomes):\n    'A half.'\n    return [{'x': 0.5} for _ in outcomes]\n"
        "def right(reason):\n    return {'x': float(reason == 'correct')}\n"
        "@teacher_reward('another_name', needs=['batch'])\n"
        "def needy(outcomes):\n    return [{'x': 1.0} for _ in outcomes]\n"
        # A name of ours, and nothing of ours is meant.
        "def gasp_lemma(outcomes):\n    return [{'x': 9.0} for _ in outcomes]\n"
        "number = 3\n"
    )
    assert pay(f"{path}:halves", outcome(1, 8)) == [0.5]
    reward = TeacherRewards(f"{path}:halves").reward("lemma")
    assert reward is not None
    assert (reward.formula, reward.available) == ("A half.", True)
    assert pay(f"{path}:gasp_lemma", outcome(1, 8)) == [9.0]
    assert get_solver_reward(f"{path}:right")("correct") == {"x": 1.0}
    # Its declaration holds, by whichever name it is found.
    assert TeacherRewards(f"{path}:needy").needs == {"batch"} == TeacherRewards("another_name").needs
    with pytest.raises(ValueError, match="number': expected a function of outcomes, got int"):
        TeacherRewards(f"{path}:number")
    with pytest.raises(ValueError, match="number': expected a function of a reason, got int"):
        get_solver_reward(f"{path}:number")


@pytest.mark.parametrize("name", ["no_such_module:x", "no/such/file.py:x", ":x"])
def test_what_cannot_be_imported(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be imported"):
        TeacherRewards(name)
    with pytest.raises(ValueError, match="cannot be imported"):
        get_solver_reward(name)


@pytest.mark.parametrize(
    ("reason", "azr", "binary"),
    [("correct", 1.0, 1.0), ("wrong", -0.5, 0.0), ("wall_limit", -0.5, 0.0), ("malformed", -1.0, 0.0)],
)
def test_solver_rewards(reason: str, azr: float, binary: float) -> None:
    assert sum(get_solver_reward("azr")(reason).values()) == azr
    assert sum(get_solver_reward("binary")(reason).values()) == binary


def test_solver_rewards_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine_of_test.py").write_text(
        "from gasp_env import solver_reward\n"
        "@solver_reward('generous')\n"
        "def generous(reason):\n    return {'right': 2.0 if reason == 'correct' else 0.1}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    assert get_solver_reward("mine_of_test:generous")("correct") == {"right": 2.0}
    with pytest.warns(UserWarning, match="solver reward 'generous' of .*mine_of_test.py is replaced"):
        solver_reward("generous")(lambda reason: {"x": 0.0})
    assert get_solver_reward("generous")("correct") == {"x": 0.0}
