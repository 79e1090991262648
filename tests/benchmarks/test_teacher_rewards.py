"""The simulated comparison: that its players do what is said of them, and that it can tell rewards apart."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import reward_shapes
from benchmarks.teacher_rewards import report
from benchmarks.teacher_rewards.__main__ import main
from benchmarks.teacher_rewards.intervals import t_interval, t_quantile, within
from benchmarks.teacher_rewards.loop import Arm, Measured, Plan
from benchmarks.teacher_rewards.student import Student, kernel, sigmoid
from benchmarks.teacher_rewards.teacher import DRIFTS, Draw, Teacher
from benchmarks.teacher_rewards.world import (
    GAP,
    INPUTS,
    SKILLS,
    VARIANTS,
    WRONG,
    Item,
    broken,
    build,
    execute,
    item_of,
    items,
)
from gasp_env.domains.base import Request
from gasp_env.domains.python.gate import Rejected
from gasp_env.domains.python.syntax import ParseError
from gasp_env.episode.outcome import Outcome
from gasp_env.library.library import Library
from gasp_env.rewards import teacher_reward
from gasp_env.rewards.registry import TEACHER_REWARDS
from gasp_env.rewards.spec import Terms
from gasp_env.sandbox import Run, Sandbox
from tests.fuzz import examples

QUICK = ["--simulate", "--updates", "2", "--episodes", "4", "--seeds", "2"]
some_items = st.builds(
    Item, st.integers(0, SKILLS - 1), st.integers(-1000, 1000), st.integers(0, VARIANTS + len(WRONG) - 1)
)


@pytest.fixture(autouse=True)
def own_registry() -> Iterator[None]:
    """What a test registers is gone after it."""
    with TEACHER_REWARDS.isolated():
        yield


def arm(reward: str, seed: int = 0, **plan: object) -> Arm:
    return Arm(reward, Plan(**plan), seed, "gasp")  # type: ignore[arg-type]


# The world.


@given(item=some_items)
def test_a_task_can_be_read_back_from_its_texts(item: Item) -> None:
    assert Item.of_code(item.code) == item
    assert items(item.hint) == items(item.program) == [item]
    assert items(item.proposal()) == [item]


@given(one=some_items, other=some_items)
def test_different_tasks_have_different_programs(one: Item, other: Item) -> None:
    assert (one.program == other.program) == (one == other)
    assert (one.output(1) == other.output(1)) == (one == other)


@pytest.mark.docker
def test_the_closed_form_is_what_the_programs_return(sandbox: Sandbox) -> None:
    runs = [
        Run(item.program, ((1,), (2,), (-7,))) for item in (Item(0, 0), Item(11, -1000, 24), Item(5, 37, 28))
    ]
    for run, real in zip(runs, sandbox.run_many(runs), strict=True):
        simulated = execute(run)
        assert (simulated.status, simulated.calls) == (real.status, real.calls)
    raising = Run(broken(False).split("```python\n")[1].split("\n```")[0], ((1,),))
    (real,) = sandbox.run_many([raising])
    simulated = execute(raising)
    assert (simulated.status, simulated.calls[0].status) == (real.status, real.calls[0].status)


@pytest.mark.parametrize("seed", range(20))
def test_goalposts_are_out_of_reach_at_the_start(seed: int) -> None:
    world = build(seed)
    ability = Student(world.ability, 0.1)
    chances = [ability.chance(item_of(goalpost)) for goalpost in world.goalposts]
    assert max(chances) < 0.03
    assert min(chances) > sigmoid(-GAP[1] - 0.1)
    weakest = world.ability[[item_of(goalpost).skill for goalpost in world.goalposts]].mean()
    assert weakest < world.ability.mean() - 0.3


def test_the_real_gate_takes_proposals_and_refuses_broken_ones() -> None:
    world = build(0)
    domain, goalpost = world.domain, world.goalposts[0]
    gate, view = domain.gate, Library().view()

    def decide(text: str) -> object:
        proposal = domain.style.parse_proposal(text)
        results = [execute(run) for run in gate.runs(proposal)]
        return gate.decide(proposal, results, Request("lemma", view, axis="f", goalpost=goalpost))

    task = decide(Item(3, 17, 4).proposal())
    assert task.content.outputs == tuple(Item(3, 17, 4).output(x) for x in INPUTS)  # type: ignore[attr-defined]
    with pytest.raises(ParseError, match="expected a block with a program"):
        decide(broken(unreadable=True))
    with pytest.raises(Rejected) as refused:
        decide(broken(unreadable=False))
    assert refused.value.reason == "exception"


# The student.


def test_one_answer_moves_ability_along_the_gradient() -> None:
    """A step of rate 1 on one answer is the derivative of its log-probability, by differences."""
    start = np.linspace(-1, 1, SKILLS)
    item = Item(4, 3)
    for right in (True, False):
        student = Student(start, 1.0)
        student.learn([(item, right, 1.0)], 1)
        for skill in range(SKILLS):
            logs = []
            for nudge in (1e-5, -1e-5):
                other = Student(start, 1.0)
                other.learned[skill] += nudge
                p = other.chance(item)
                logs.append(math.log(p if right else 1 - p))
            assert student.learned[skill] == pytest.approx((logs[0] - logs[1]) / 2e-5, abs=1e-6)


@given(level=st.integers(-80, 80))
def test_expected_progress_is_p_times_one_minus_p(level: int) -> None:
    item = Item(0, level)
    chance = Student(np.zeros(SKILLS), 1.0).chance(item)
    expectation = 0.0
    for right, weight, reward in ((True, chance, 1.0), (False, 1 - chance, -0.5)):
        student = Student(np.zeros(SKILLS), 1.0)
        student.learn([(item, right, reward)], 1)
        expectation += weight * student.learned[0]
    assert expectation == pytest.approx(1.5 * chance * (1 - chance))


def test_neighbours_learn_too_and_the_far_side_does_not() -> None:
    student = Student(np.zeros(SKILLS), 1.0)
    student.learn([(Item(0, 0), True, 1.0)], 1)
    gain = student.ability
    assert gain[0] > gain[1] > gain[2] > 0
    assert gain[1] == pytest.approx(gain[SKILLS - 1])
    assert gain[SKILLS // 2] < 0.01 * gain[0]
    assert np.allclose(kernel(), kernel().T)


def test_a_task_practised_is_known_and_its_neighbour_is_not() -> None:
    student = Student(np.zeros(SKILLS), 1.0)
    student.learn([(Item(0, 0, 1), True, 1.0)], 16)
    assert student.chance(Item(0, 0, 1)) > 0.85
    assert 0.5 < student.chance(Item(0, 0, 2)) < 0.52
    assert student.ability[0] < 0.1


def test_an_episode_without_a_task_dilutes_the_step() -> None:
    one, four = Student(np.zeros(SKILLS), 1.0), Student(np.zeros(SKILLS), 1.0)
    one.learn([(Item(0, 0), True, 1.0)], 1)
    four.learn([(Item(0, 0), True, 1.0)], 4)
    assert one.learned == pytest.approx(4 * four.learned)


# The teacher.


def test_teacher_steps_along_the_gradient() -> None:
    """Each parameter moves by the derivative of the log-probability of what was drawn, by differences."""
    draw = Draw("lemma", context=0.7, noise=1.3, drift=1, item=Item(0, 0))
    teacher = Teacher(1.0, -2.0)
    head = teacher.heads["lemma"]
    offset = head.bias + head.slope * draw.context + head.spread * draw.noise

    def log_probability(bias: float, slope: float, log_spread: float, logits: np.ndarray) -> float:
        spread = math.exp(log_spread)
        density = -(((offset - bias - slope * draw.context) / spread) ** 2) / 2 - log_spread
        return float(density + logits[draw.drift] - np.log(np.exp(logits).sum()))

    at = [head.bias, head.slope, math.log(head.spread), *head.logits]

    def slope_of(number: int) -> float:
        values = []
        for nudge in (1e-5, -1e-5):
            moved = [value + nudge * (place == number) for place, value in enumerate(at)]
            values.append(log_probability(moved[0], moved[1], moved[2], np.array(moved[3:])))
        return (values[0] - values[1]) / 2e-5

    teacher.learn([(draw, 0.1)])
    after = [head.bias, head.slope, math.log(head.spread), *head.logits]
    for number in range(3 + len(DRIFTS)):
        assert after[number] - at[number] == pytest.approx(0.1 * slope_of(number), abs=1e-5)


def test_other_stages_stay_where_they_are() -> None:
    teacher, before = Teacher(1.0, -2.0), Teacher(1.0, -2.0)
    teacher.learn([(Draw("lift", 0.0, 1.0, 0, Item(0, 0)), 1.0)])
    assert teacher.heads["lemma"].bias == before.heads["lemma"].bias
    assert teacher.heads["lift"].bias > before.heads["lift"].bias


@given(stage=st.sampled_from(["lemma", "lift"]), level=st.integers(-50, 80), seed=st.integers(0, 2**32))
def test_a_variant_is_of_the_skill_and_difficulty_it_was_drawn_for(stage: str, level: int, seed: int) -> None:
    teacher, shown = Teacher(1.0, -2.0), Item(5, level)
    text, draw = teacher.propose(f"Make it other: {shown.hint}.", stage, None, np.random.default_rng(seed))
    assert draw is not None
    assert draw.item.skill == (5 + DRIFTS[draw.drift]) % SKILLS
    head = teacher.heads[stage]
    offset = head.bias + head.slope * draw.context + head.spread * draw.noise
    assert draw.item.difficulty == pytest.approx(shown.difficulty + offset, abs=0.051)
    assert items(text) in ([], [draw.item])


def test_hard_proposals_fail_more_often() -> None:
    teacher, rng = Teacher(1.0, -2.0), np.random.default_rng(0)

    def valid(level: int) -> int:
        return sum(
            bool(items(teacher.propose(Item(5, level).hint, "lift", None, rng)[0])) for _ in range(400)
        )

    assert valid(0) > 360
    assert 160 < valid(120) < 280


# The loop.


@pytest.mark.parametrize("curriculum", ["gasp", "azr"])
def test_the_judge_agrees_with_the_student(curriculum: str) -> None:
    """An answer that is meant to be right is judged right, whatever the kind, and no other is."""
    played = arm("azr_paper", curriculum=curriculum, updates=6, episodes=12)
    seen = set()
    while played.spent < played.plan.budget:
        rows = played.play()
        for row in rows:
            if row.answer is not None:
                seen.add(row.turn[1:])
                assert row.reward == (1.0 if row.answer[1] else -0.5)
        played.learn(rows)
    stages = {
        "gasp": {("attempt", "induction")},
        "azr": {("attempt", kind) for kind in ("induction", "deduction", "abduction")},
    }
    assert seen == stages[curriculum] | {("solve", kind) for kind in ("induction", "deduction", "abduction")}
    assert {settled.reason for settled in played.log} >= {"valid", "no_program", "exception"}


@settings(max_examples=examples(15), deadline=None)
@given(
    curriculum=st.sampled_from(["gasp", "azr"]),
    updates=st.integers(1, 3),
    episodes=st.integers(2, 5),
    attempts=st.integers(1, 9),
    seed=st.integers(0, 99),
)
def test_every_arm_spends_the_same_budget(
    curriculum: str, updates: int, episodes: int, attempts: int, seed: int
) -> None:
    for reward in ("azr_paper", "const_valid"):
        played = arm(
            reward, seed, curriculum=curriculum, updates=updates, episodes=episodes, attempts=attempts
        )
        texts: list[int] = []
        ask = played.texts

        def count(seat: object) -> list[str]:
            answered = ask(seat)  # type: ignore[arg-type] # noqa: B023
            texts.append(len(answered))  # noqa: B023
            return answered

        played.texts = count  # type: ignore[method-assign]
        measured = played.run()
        assert sum(texts) == played.spent == played.plan.budget
        assert measured.curve[0][0] == 0
        assert measured.curve[-1][0] == played.plan.budget
        assert all(0 <= value <= 1 for _, value in measured.curve)


def test_same_seed_same_numbers_and_arms_share_their_world() -> None:
    plan = {"updates": 4, "episodes": 6}
    assert arm("gasp", 3, **plan).run() == arm("gasp", 3, **plan).run()
    assert arm("gasp", 3, **plan).run() != arm("gasp", 4, **plan).run()
    one, other = arm("gasp", 3), arm("azr_paper", 3)
    assert np.array_equal(one.world.ability, other.world.ability)
    assert one.world.goalposts == other.world.goalposts


def test_what_is_learned_from() -> None:
    """A student that trains on solve turns alone learns nothing while there is nothing to solve."""
    hard = arm("azr_paper", updates=1, episodes=4, train_on="solve", start=5.0)
    hard.run()
    assert not hard.student.learned.any()
    assert not hard.library.accepted


def test_a_frozen_teacher_is_the_one_it_was() -> None:
    frozen = arm("frozen", updates=3, episodes=6)
    frozen.run()
    fresh = Teacher(0.5, -7.0)
    for stage, head in frozen.teacher.heads.items():
        assert (head.bias, head.slope, head.spread) == (fresh.heads[stage].bias, 0.0, 1.0)
        assert np.array_equal(head.logits, fresh.heads[stage].logits)


# Whether it can tell anything apart. Margins are about half of what is seen; seeds are fixed.


def hopeless(outcomes: Sequence[Outcome]) -> list[Terms]:
    return [{"hopeless": float(outcome.valid and outcome.correct == 0)} for outcome in outcomes]


def half(outcomes: Sequence[Outcome]) -> list[Terms]:
    return [
        {"half": 1 - abs(2 * outcome.correct / outcome.samples - 1)} if outcome.valid else {"invalid": -1.0}
        for outcome in outcomes
    ]


def test_paying_for_unsolvable_tasks_teaches_less_than_paying_for_even_ones() -> None:
    teacher_reward("hopeless")(hopeless)
    teacher_reward("half")(half)
    plan = {"updates": 24, "start": -3.0}
    good, bad = (
        [arm(name, seed, **plan).run().metrics for seed in range(2)] for name in ("half", "hopeless")
    )
    assert np.mean([one["goal_p"] for one in good]) > 1.5 * np.mean([one["goal_p"] for one in bad])
    for one, other in zip(good, bad, strict=True):
        assert one["goal_p"] > other["goal_p"]
        assert one["accepted"] > other["accepted"] + 0.2
        assert other["success"] < 0.2


def test_a_teacher_learns_its_reward_and_a_shuffled_one_does_not() -> None:
    """Against a student that stands still, so that nothing else moves the reward."""
    teacher_reward("half")(half)
    plan = Plan(updates=12, student_rate=0.0)
    last = {
        name: np.mean([Arm(name, plan, seed, "half").run().metrics["reward_last"] for seed in range(2)])
        for name in ("half", "shuffled:half", "frozen")
    }
    assert last["half"] > last["frozen"] + 0.1
    assert last["half"] > last["shuffled:half"] + 0.1
    assert abs(last["shuffled:half"] - last["frozen"]) < 0.1


# Summaries and the command line.


def measured(reward: str, seed: int, goal: float, **metrics: float) -> Measured:
    return Measured(
        reward, seed, {**dict.fromkeys(report.METRICS, 0.0), "goal_p": goal, **metrics}, [(0, 0.0), (8, goal)]
    )


@pytest.mark.parametrize(
    ("degrees", "confidence", "quantile"),
    [
        (1, 0.95, 12.7062), (2, 0.95, 4.30265), (3, 0.95, 3.18245), (4, 0.95, 2.77645), (4, 0.99, 4.60409),
        (7, 0.9, 1.89458), (9, 0.95, 2.26216), (30, 0.95, 2.04227), (100, 0.95, 1.98397),
    ],
)  # fmt: skip
def test_quantiles_are_those_of_the_tables(degrees: int, confidence: float, quantile: float) -> None:
    assert t_quantile(degrees, confidence) == pytest.approx(quantile, rel=1e-5)


@given(degrees=st.integers(1, 200), confidence=st.floats(0.01, 0.999))
def test_a_quantile_is_the_inverse_of_the_chance(degrees: int, confidence: float) -> None:
    angle = math.atan(t_quantile(degrees, confidence) / math.sqrt(degrees))
    assert within(angle, degrees) == pytest.approx(confidence, abs=1e-9)
    assert within(math.pi / 2, degrees) == pytest.approx(1)
    assert t_quantile(degrees, confidence) > t_quantile(degrees + 1, confidence)


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_cover_as_often_as_they_say(seeds: int) -> None:
    """In 4000 draws of normal values the share has a standard error of 0.0034."""
    draws = np.random.default_rng(seeds).normal(0.3, 2.0, size=(4000, seeds))
    estimates = [report.estimate(draw.tolist()) for draw in draws]
    covered = np.mean([e["low"] <= 0.3 <= e["high"] for e in estimates])  # type: ignore[operator]
    assert covered == pytest.approx(0.95, abs=0.012)


@given(values=st.lists(st.floats(-1, 1), min_size=3, max_size=12), shift=st.floats(-3, 3))
def test_an_interval_moves_with_its_values(values: list[float], shift: float) -> None:
    low, high = t_interval(values)  # type: ignore[misc]
    assert low - 1e-9 <= np.mean(values) <= high + 1e-9
    assert t_interval([value + shift for value in values]) == pytest.approx((low + shift, high + shift))


def test_differences_are_taken_seed_by_seed() -> None:
    runs = [
        measured(name, seed, goal + more)
        for seed, goal in ((2, 0.3), (0, 0.1), (1, 0.5))
        for name, more in (("b", 0.05 + 0.01 * seed), ("a", 0.0))
    ]
    first, second = report.summarise(runs, ["a", "b"])
    assert first["difference"]["goal_p"] == {"mean": 0.0, "low": 0.0, "high": 0.0}
    half = 4.30265 * 0.01 / math.sqrt(3)
    assert second["difference"]["goal_p"] == pytest.approx(
        {"mean": 0.06, "low": 0.06 - half, "high": 0.06 + half}
    )
    assert second["metrics"]["goal_p"]["mean"] == pytest.approx(0.36)
    assert f"[{0.06 - half:+.3f}, {0.06 + half:+.3f}]" in report.table([first, second])


@pytest.mark.parametrize("seeds", [1, 2])
def test_few_seeds_have_no_interval_and_nothing_has_no_mean(seeds: int) -> None:
    runs = [measured(name, seed, 0.2, success=float("nan")) for seed in range(seeds) for name in ("a", "b")]
    arms = report.summarise(runs, ["a", "b"])
    for summary in arms:
        assert summary["metrics"]["goal_p"] == {"mean": 0.2, "low": None, "high": None}
        assert summary["difference"]["goal_p"] == {"mean": 0.0, "low": None, "high": None}
        assert summary["metrics"]["success"]["mean"] is None
    assert "0.200 [-]" in report.table(arms)
    assert "+0.000 [-]" in report.table(arms)
    assert runs[0].record()["metrics"]["success"] is None


def test_the_figure_draws_what_has_no_interval(tmp_path: Path) -> None:
    runs = [measured(name, 0, 0.2) for name in ("a", "b")]
    report.draw(runs, report.summarise(runs, ["a", "b"]), Plan(), tmp_path / "few.svg")
    assert report.INTERVAL in (tmp_path / "few.svg").read_text()


def test_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "from gasp_env.rewards import teacher_reward\n\n"
        "@teacher_reward('easy_tasks')\n"
        "def easy_tasks(outcomes):\n"
        "    return [{'p': o.correct / o.samples} if o.valid else {'invalid': -1.0} for o in outcomes]\n"
    )
    out, figure = tmp_path / "out" / "found.json", tmp_path / "found.svg"
    arguments = [
        *QUICK,
        "--rewards",
        "gasp",
        f"{mine}:easy_tasks",
        "--controls",
        "--json",
        str(out),
        "--figure",
        str(figure),
    ]
    assert main(arguments) == 0
    printed = capsys.readouterr().out
    found = json.loads(out.read_text())
    names = ["gasp", f"{mine}:easy_tasks", "frozen", "shuffled:gasp", "const_valid", "random"]
    assert [entry["reward"] for entry in found["arms"]] == names
    assert [(run["reward"], run["seed"]) for run in found["runs"]] == [
        (name, seed) for name in names for seed in (0, 1)
    ]
    assert found["simulation"] is True
    assert "must not be concluded" in found["assumptions"]
    assert found["plan"]["budget"] == 2 * 4 * 19
    assert found["interval"] == report.INTERVAL
    assert "[-]" in printed
    assert set(found["metrics"]) == set(report.METRICS) == set(found["runs"][0]["metrics"])
    assert str(tmp_path) not in found["command"]
    assert printed.startswith("SIMULATION")
    assert "SIMULATION" in figure.read_text()


def test_curriculum_of_absolute_zero(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICK, "--curriculum", "azr"]) == 0
    assert "azr_paper" in capsys.readouterr().out
    assert main([*QUICK, "--curriculum", "azr", "--rewards", "gasp"]) == 2
    assert "'propose'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rewards", "gasp"], "--simulate"),
        ([*QUICK, "--rewards", "gasp", "no_such"], "no_such"),
        ([*QUICK, "--rewards", "not_there.py:mine"], "cannot be imported"),
        (
            [*QUICK, "--rewards", "opensir"],
            "'embedding': the nearest task of the library; the simulation has nothing",
        ),
        ([*QUICK, "--rewards", "gasp", "sgs_relevance"], "'relevance'"),
        ([*QUICK, "--rewards", "soar"], "needs"),
        ([*QUICK, "--rewards", "frozen", "gasp"], "first"),
        ([*QUICK, "--rewards", "gasp", "shuffled:no_such"], "no_such"),
        ([*QUICK, "--seeds", "0"], "at least 1"),
        ([*QUICK, "--episodes", "1"], "at least 2"),
        ([*QUICK, "--teacher-rate", "-1"], "teacher-rate"),
        ([*QUICK, "--curriculum", "rlvr"], "invalid choice"),
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
        status = main(arguments)
    except SystemExit as stopped:
        status = int(str(stopped.code))
    printed = capsys.readouterr()
    assert status == 2
    assert not printed.out
    assert said in printed.err.strip().splitlines()[-1]
    assert "option `" not in printed.err, "of the env, which nobody can set here"


@pytest.mark.usefixtures("own_registry")
def test_smaller_penalties_pay_valid_proposals_alike() -> None:
    names = [f"benchmarks.teacher_rewards.penalty:{name}" for name in ("quarter", "zero")]
    paid = [reward_shapes.shapes(name, 8)[0] for name in ("learnability", *names)]
    assert paid[0].values == paid[1].values == paid[2].values
    assert [shape.invalid for shape in paid] == [-1, -0.25, 0]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return [{'p': 1 / o.correct} for o in outcomes]", "ZeroDivisionError"),
        ("return [{'p': float('nan')} for o in outcomes]", "finite"),
        ("return 1", "list of terms"),
    ],
)
def test_a_reward_that_fails_is_named(
    body: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "fails.py"
    path.write_text(
        f"from gasp_env.rewards import teacher_reward\n\n@teacher_reward('fails')\ndef fails(outcomes):\n    {body}\n"
    )
    assert main([*QUICK, "--rewards", f"{path}:fails"]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "fails.py:fails" in line
    assert said in line
