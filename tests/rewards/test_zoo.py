"""What the published rewards pay: values worked out by hand from the formulas, and laws they all obey."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gasp_env.rewards import Outcome, TeacherRewards, specs
from gasp_env.rewards.needs import OFFERED
from gasp_env.tasks import Entry
from tests.fuzz import examples
from tests.rewards.outcomes import GOALPOST, PROGRAMS, library, outcome, pay, rejected, task

AVAILABLE = [spec for spec in specs() if spec.available]

# r(0), ..., r(8) of a lemma with 8 attempts, looked at alone.
EIGHT = {
    "azr_paper": [0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0],
    "azr_code": [-0.5, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, -0.5],
    "azr_inverse": [1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, -0.5],
    "chae_peak": [0, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, 0],
    "chae_peak_code": [-0.5, 0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25, -0.5],
    "chae_hard": [0, 0.5, 1, 0.8333, 0.6667, 0.5, 0.3333, 0.1667, 0],
    "chae_hard_code": [-0.5, 0.5, 1, 0.8333, 0.6667, 0.5, 0.3333, 0.1667, -0.5],
    "gasp_lemma": [-0.5, -0.5, -0.5, 0.7242, 1, 0.7242, -0.5, -0.5, -0.5],
    "gasp_lift": [-0.5, 0.9701, 0.4845, 0.1409, 0.0252, -0.5, -0.5, -0.5, -0.5],
    "spice": [0.0439, 0.3720, 0.8226, 0.9879, 1, 0.9879, 0.8226, 0.3720, 0.0439],
    "socratic_gauss": [0.0439, 0.1724, 0.4578, 0.8226, 1, 0.8226, 0.4578, 0.1724, 0.0439],
    "spell_gauss": [0, 0.0796, 0.3247, 0.7548, 1, 0.7548, 0.3247, 0.0796, 0],
    "learnability": [0, 0.1094, 0.1875, 0.2344, 0.25, 0.2344, 0.1875, 0.1094, 0],
    "evoenv": [0, 0.75, 0.9286, 0.8929, 0.7143, 0.5357, 0.3571, 0.1786, 0],
    "vhg": [1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0],
    "ssp": [1, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0],
    "ssr": [-0.8, 0.775, 0.55, 0.325, 0.1, -0.125, -0.35, -0.575, -0.8],
    "eva": [0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0],
    "sqlm": [0, 1, 1, 1, 1, 1, 1, 1, 0],
    "sqlm_attempts": [0, 1, 1, 1, 1, 1, 1, 1, 0],
    "svs": [0, 1, 1, 1, 1, 1, 0, 0, 0],
    "darc": [-0.1, 0.325, 0.45, 0.575, 0.7, 0.825, 0.95, 0.925, 0.8],
    "pasodoble": [0, 0, 1.05, 0.925, 0.8, 0.675, 0.55, 0.425, 0.3],
    "uniform_valid": [1] * 9,
    "const_valid": [0] * 9,
}

INVALID = {
    **dict.fromkeys((spec.name for spec in AVAILABLE), -1.0),
    **dict.fromkeys(("vhg", "ssp", "sqlm", "sqlm_attempts", "svs", "pasodoble"), 0.0),
    **dict.fromkeys(("rzero_paper", "rzero_vote", "agent0", "sqlzero", "sgs_relevance"), 0.0),
    "spice": -0.1,
}


@pytest.mark.parametrize(("name", "expected"), EIGHT.items())
def test_eight_attempts(name: str, expected: list[float]) -> None:
    got = [pay(name, outcome(c, 8))[0] for c in range(9)]
    assert got == pytest.approx(expected, abs=5e-5)


def test_no_reward_is_without_golden_values() -> None:
    with_others = {spec.name for spec in AVAILABLE if spec.needs} | {"disagree_samples", "random", "gasp"}
    assert {spec.name for spec in AVAILABLE} == set(EIGHT) | with_others


@pytest.mark.parametrize("spec", AVAILABLE, ids=lambda spec: spec.name)
@pytest.mark.parametrize("count", [1, 4, 64])
def test_an_invalid_proposal(spec, count: int) -> None:
    """Episodes in lockstep settle what is rejected apart from what is valid: only invalid ones in one step."""
    assert pay(spec.name, *[rejected()] * count) == [INVALID[spec.name]] * count


def test_darc_has_a_target_per_stage() -> None:
    lifts = [pay("darc", outcome(c, 8, "lift"))[0] for c in range(9)]
    assert lifts == pytest.approx([-0.1, 0.925, 0.95, 0.825, 0.7, 0.575, 0.45, 0.325, 0.2])
    proposals = [pay("darc", outcome(c, 8, "propose"))[0] for c in range(9)]
    assert proposals == pytest.approx([-0.1, 0.625, 0.75, 0.875, 1, 0.875, 0.75, 0.625, 0.5])


@pytest.mark.parametrize(
    ("lemma", "lift", "expected"),
    [
        (6, 2, 0.95),  # 0.25 + 0.2 < 0.75: in order
        (4, 4, 0.7 - 0.1),  # 0.5 (0.5 + 0.2 - 0.5)
        (1, 8, 0.0),  # 0.2 less 0.5 (1 + 0.2 - 0.125), not below 0
        (0, 4, 0.7),  # the lemma earned nothing, there is nothing to rank
        (1, 0, -0.1),
    ],
)
def test_darc_punishes_a_lift_no_harder_than_its_lemma(lemma: int, lift: int, expected: float) -> None:
    parent = Entry(task(PROGRAMS[1]), lemma, 8, True)
    assert pay("darc", outcome(lift, 8, "lift", parent=parent)) == pytest.approx([expected])


def test_darc_pays_nothing_for_a_copied_statement() -> None:
    copied = task(message="COUNT the letters, that are the same in two words!")
    own = task(message="Take the greatest of each row.")
    assert pay("darc", outcome(6, 8, problem=GOALPOST, task=copied)) == [-1.0]
    assert pay("darc", outcome(6, 8, problem=GOALPOST, task=own)) == pytest.approx([0.95])


def test_pasodoble_counts_repetitions_in_the_library() -> None:
    same, others = Entry(task(), 4, 8, True), [Entry(task(p), 4, 8, False) for p in PROGRAMS[1:4]]
    # One of four is alike: 1.1 - 0.5 + 0.2 * 0.75.
    assert pay("pasodoble", outcome(4, 8, library=library(same, *others).view())) == pytest.approx([0.75])
    # All are alike: nothing.
    assert pay("pasodoble", outcome(4, 8, library=library(same).view())) == [0.0]
    # What is more than 100 tasks ago does not count.
    many = [
        Entry(task(f"def f(x):\n    return {n} ** x + {n + 7} - len(str(x))"), 4, 8, True) for n in range(100)
    ]
    recent = outcome(4, 8, library=library(same, *many).view())
    assert pay("pasodoble", recent) == pytest.approx([0.8])


def test_opensir_adds_solvability_novelty_and_format() -> None:
    empty = library().view()
    got = [pay("opensir", outcome(c, 8, library=empty))[0] for c in range(9)]
    # k = 4 of the rates 1/8, ..., 1 are in [0.5, 0.9]: 1/4 at the edge, 1 at 0.7.
    solvability = [0, 0, 0, 0, 0.25, 0.71875, 0.8125, 0.34375, 0]
    assert got == pytest.approx([value + 1.1 for value in solvability])
    known = library(Entry(task(), 4, 8, True)).view()
    assert pay("opensir", outcome(0, 8, library=known)) == pytest.approx([0.1])


def test_answers_that_agree() -> None:
    tie = outcome(2, 4, answers=("a", "a", "b", "b"))
    alone = outcome(0, 4, answers=("a", "b", "c", "d"))
    none = outcome(0, 4, answers=("", "", "", ""))
    all_wrong = outcome(0, 4, answers=("x", "x", "x", "x"))
    some = outcome(0, 4, answers=("x", "x", "", ""))
    assert [pay("sqlm", one)[0] for one in (tie, alone, none, all_wrong, some)] == [1, 1, 0, 0, 1]
    # Entropy of answers in units of log 4; who does not answer does not vote.
    expected = [0.5, 1.0, 0.0, 0.0, 0.0]
    got = [pay("disagree_samples", one)[0] for one in (tie, alone, none, all_wrong, some)]
    assert got == pytest.approx(expected)


def batch(*rates: int, samples: int = 8) -> list[Outcome]:
    """Proposals that have nothing to do with each other."""
    return [outcome(c, samples, task=task(PROGRAMS[i])) for i, c in enumerate(rates)]


def test_rzero_takes_the_cluster_share_from_the_uncertainty() -> None:
    proposals = batch(4, 3, 2, 0)
    assert pay("rzero_paper", *proposals) == pytest.approx([0.75, 0.5, 0.25, 0])
    assert pay("agent0", *proposals) == pytest.approx([0.75, 0.5, 0.25, 0])
    assert pay("rzero_code", *proposals) == pytest.approx([0.25, 0.125, 0, -0.25])
    # Three of four are the same: share 3/4. An invalid one does not count, in its step or in another.
    repeated = [outcome(4, 8), outcome(3, 8), outcome(4, 8), *batch(0, 4)[1:]]
    assert pay("rzero_paper", *repeated) == pytest.approx([0.25, 0, 0.25, 0.75])
    assert pay("rzero_paper", *repeated, rejected()) == pytest.approx([0.25, 0, 0.25, 0.75, 0])
    assert pay("rzero_code", *repeated) == pytest.approx([-0.25, -0.375, -0.25, 0.25])
    assert pay("rzero_code", *repeated, rejected()) == pytest.approx([-0.25, -0.375, -0.25, 0.25, -1])


def test_rzero_as_published_votes() -> None:
    proposals = [
        outcome(0, 4, task=task(PROGRAMS[0]), answers=("a", "a", "b", "c")),
        outcome(0, 4, task=task(PROGRAMS[1]), answers=("a", "a", "a", "a")),
        outcome(4, 4, task=task(PROGRAMS[2]), answers=("a", "a", "a", "a")),
        outcome(0, 4, task=task(PROGRAMS[3]), answers=("", "", "", "")),
    ]
    assert pay("rzero_vote", *proposals) == pytest.approx([0.75, 0, 0, 0])
    assert pay("rzero_paper", *proposals) == [0, 0, 0, 0]


def test_sqlzero_peaks_at_one_right_answer() -> None:
    got = pay("sqlzero", *batch(0, 1, 2, 3, 4, 5, 1, 1, 1, 1, samples=5))
    assert got[:6] == pytest.approx([0.4, 1.4, 1.15, 0.9, 0.65, 0.4])
    # The same program but for its literals and names is the same template.
    other = task("def f(values):\n    return sum(v for v in values if v > 90)")
    assert pay("sqlzero", outcome(1, 5), outcome(1, 5, task=other)) == pytest.approx([0.5, 0.5])
    assert pay("sqlzero", outcome(0, 5), outcome(0, 5, task=other)) == [0, 0]


def test_lsp_zero_compares_with_the_mean() -> None:
    assert pay("lsp_zero", *batch(8, 4, 0)) == pytest.approx([-0.5, 0, 0.5])
    assert pay("lsp_zero", *batch(8, 4, 0), rejected()) == pytest.approx([-0.5, 0, 0.5, -1])


def test_sgs_pays_nothing_for_the_easiest() -> None:
    related = [outcome(c, 8, relevance=0.5) for c in (0, 1, 2, 4, 4, 4, 5, 6, 7, 8)]
    # The easiest three of ten: 6, 7 and 8 of 8.
    expected = [0, 0.4375, 0.375, 0.25, 0.25, 0.25, 0.1875, 0, 0, 0]
    assert pay("sgs_relevance", *related) == pytest.approx(expected)
    # Four tie, which are more than 30 % of ten: none of them is among the easiest.
    tied = [outcome(c, 8, relevance=1.0) for c in (1, 1, 1, 1, 1, 1, 4, 4, 4, 4)]
    assert pay("sgs_relevance", *tied)[-1] == 0.5
    with pytest.raises(
        RuntimeError, match="'sgs_relevance' raised ValueError: .* expected outcomes with a relev"
    ):
        pay("sgs_relevance", outcome(4, 8))


def test_the_random_control_is_known_once_the_outcome_is() -> None:
    one = outcome(4, 8, attempts=("correct", "wrong") * 4)
    assert pay("random", one) == pay("random", one)
    others = [outcome(4, 8, task=task(program)) for program in PROGRAMS]
    others += [outcome(4, 8, attempts=("correct",) * n + ("wrong",) * (8 - n)) for n in range(9)]
    values = [pay("random", other)[0] for other in others]
    assert len(set(values)) == len(values)
    assert all(0 <= value < 1 for value in values)
    many = [pay("random", outcome(4, 8, task=task(f"def f(x):\n    return x + {n}")))[0] for n in range(400)]
    # The mean of 400 uniform numbers has a standard deviation of 0.0144.
    assert sum(many) / 400 == pytest.approx(0.5, abs=0.06)


def test_the_shuffled_control_deals_out_what_a_reward_pays() -> None:
    step = [outcome(c, 8, task=task(program)) for c, program in enumerate(PROGRAMS[:9])]
    step += [rejected(), outcome(2, 8, "lift"), outcome(6, 8, "lift")]
    known, dealt = pay("gasp", *step), pay("shuffled:gasp", *step)
    assert dealt != known
    for part in (slice(0, 10), slice(10, None)):  # within a stage
        assert sorted(dealt[part]) == sorted(known[part])
    assert pay("shuffled:gasp", *step) == dealt
    others = {
        tuple(pay("shuffled:gasp", *(replace(one, goalpost=f"{n}") for one in step))) for n in range(20)
    }
    assert len(others) == 20, "another order for other outcomes"
    chosen = TeacherRewards("shuffled:gasp")
    assert chosen.needs == {"batch"}
    assert set(chosen.by_stage) == {"lemma", "lift"}
    with pytest.raises(ValueError, match="nope"):
        TeacherRewards("shuffled:nope")


@st.composite
def steps(draw: st.DrawFn) -> list[Outcome]:
    """What one step may settle of one stage."""
    stage = draw(st.sampled_from(["lemma", "lift"]))
    samples = draw(st.integers(1, 16))
    view = library(*(Entry(task(p), 1, 2, True) for p in draw(st.sets(st.sampled_from(PROGRAMS))))).view()
    found = []
    for _ in range(draw(st.integers(1, 6))):
        if draw(st.booleans()):
            correct = draw(st.integers(0, samples))
            wrong = draw(st.lists(st.sampled_from(["", "x", "y", "z"]), min_size=samples - correct))
            found.append(
                outcome(
                    correct,
                    samples,
                    stage,
                    answers=("right",) * correct + tuple(wrong[: samples - correct]),
                    task=task(draw(st.sampled_from(PROGRAMS)), draw(st.sampled_from(["", "Sort it."]))),
                    parent=Entry(task(), draw(st.integers(0, 3)), 3, True) if stage == "lift" else None,
                    problem=GOALPOST,
                    relevance=draw(st.floats(0, 1)),
                    library=view,
                )
            )
        else:
            found.append(rejected(stage))
    return found


def paid(name: str, outcomes: Sequence[Outcome]) -> list[float]:
    return [sum(terms.values()) for terms in TeacherRewards(name)(outcomes) if terms is not None]


@pytest.mark.parametrize("spec", AVAILABLE, ids=lambda spec: spec.name)
@settings(max_examples=examples(25), deadline=None)
@given(step=steps(), data=st.data())
def test_laws_of_all_rewards(spec, step: list[Outcome], data: st.DataObject) -> None:
    rewards = paid(spec.name, step)
    assert len(rewards) == len(step)
    assert all(math.isfinite(reward) for reward in rewards)
    assert all(-1 <= reward <= 3.1 for reward in rewards)
    # The order of a step means nothing.
    order = data.draw(st.permutations(range(len(step))))
    assert paid(spec.name, [step[i] for i in order]) == pytest.approx([rewards[i] for i in order])
    # Whether invalid proposals are settled beside valid ones or, as in lockstep, before them means nothing.
    apart: dict[int, float] = {}
    for valid in (False, True):
        places = [i for i, one in enumerate(step) if one.valid == valid]
        apart.update(zip(places, paid(spec.name, [step[i] for i in places]), strict=True))
    assert [apart[i] for i in range(len(step))] == rewards
    # What does not say that it compares proposals with each other does not.
    if "batch" not in spec.needs:
        assert [paid(spec.name, [one])[0] for one in step] == rewards


def test_needs_are_told_truly() -> None:
    """What declares no need is paid without library, relevance and batch; what declares one is not indifferent."""
    for spec in AVAILABLE:
        if not spec.needs:
            assert len(pay(spec.name, outcome(3, 8))) == 1
    with pytest.raises(RuntimeError, match="embedder|nearest"):
        pay("opensir", outcome(3, 8))
    for name in ("rzero_paper", "rzero_code", "rzero_vote", "agent0", "sqlzero", "lsp_zero"):
        alone, among = pay(name, outcome(3, 8)), pay(name, outcome(3, 8), *batch(0, 0, 0)[1:])
        assert alone[0] != among[0]
    assert {need for spec in AVAILABLE for need in spec.needs} <= OFFERED
