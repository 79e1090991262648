"""The episode as a machine: no sandbox here, every result is chosen by the test."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gasp_env import curricula, domains
from gasp_env import relevance as relevances
from gasp_env.domains.python import gate, judge
from gasp_env.domains.python.program import Program
from gasp_env.domains.python.styles import ExercisesStyle
from gasp_env.domains.python.triplet import Proposal
from gasp_env.episode.machine import Context, Episode
from gasp_env.episode.turns import Credit, Resolution, Turn
from gasp_env.library.library import Library
from gasp_env.relevance import RelevanceRule
from gasp_env.rewards.credits import score
from gasp_env.rewards.registry import TeacherRewards, get_solver_reward
from gasp_env.sandbox.runs import Call, Limits, Result, Run, Status
from gasp_env.tasks import Entry, Goalpost, Task
from tests.fuzz import examples
from tests.players import (
    ALIKE,
    INPUTS,
    LONG_OUTPUT,
    PROGRAMS,
    REFERENCE,
    REFUSED,
    answer,
    execute,
    proposal,
    python_task,
    right_answer,
)


def seed(program: str, kind: str) -> Task:
    proposed = Proposal(program, ((2,),))
    fingerprint = gate.Gate(gate.GateRules(), Limits()).fingerprint(proposed, (), "propose", kind)
    output = execute(Run(program, ((2,),))).calls[0].value
    return python_task(program, ((2,),), (output,), 0, "", fingerprint, "propose", None, None, kind=kind)


#: The Python domain with seed tasks that the tests' executor knows.
SEEDS = (seed(PROGRAMS[0], "deduction"), seed(PROGRAMS[2], "abduction"))
PYTHON = dataclasses.replace(domains.get("python"), builtin_seeds=lambda: SEEDS)
GOALPOSTS = (
    Goalpost("one", "Add one.", "def f(x)", ((1,), (2,)), (2, 3), 1, REFERENCE),
    Goalpost(
        "three", "Multiply by three.", "def f(x)", ((1,), (2,)), (3, 6), 0, "def f(x):\n    return 3 * x"
    ),
)
TEACHER = TeacherRewards({"lemma": "gasp_lemma", "lift": "gasp_lift", "propose": "azr_paper"})
EXAMPLE = ExercisesStyle.examples[0]
SOLVER = get_solver_reward("azr")
BY_MESSAGE = relevances.get("tests.players:by_message")
BANDS = {"lemma": (3, 7), "lift": (1, 5), "propose": (0, 10)}
#: A program that the library knows already.
KNOWN = PROGRAMS[3]


def known_task(program: str = KNOWN) -> Task:
    inputs = tuple((i,) for i in range(10))
    outputs = tuple(execute(Run(program, (i,))).calls[0].value for i in inputs)
    fingerprint = gate._digest([Program(program).form])
    return python_task(program, inputs, outputs, 5, "", fingerprint, "lemma", "f", "one")


def library(accepted: bool = True) -> Library:
    return Library([Entry(known_task(), 4, 8, accepted)])


def episode(
    seed: int = 0,
    *,
    view: Library | None = None,
    goalpost: int | None = 0,
    goalposts: Sequence[Goalpost] = GOALPOSTS,
    curriculum: str = "gasp",
    novelty: str = "exact",
    relevance: RelevanceRule | None = None,
    on_infra_error: str = "truncate",
    **options: Any,
) -> Episode:
    game = curricula.get(curriculum)(**options)
    context = Context(
        domain=PYTHON.with_novelty(novelty),
        options=game,
        goalposts=goalposts,
        view=(Library() if view is None else view).view(),
        seed=seed,
        pinned=goalpost,
        relevance=relevance,
        on_infra_error=on_infra_error,
    )
    return Episode(game.play, context)


def step(
    game: Episode, texts: Sequence[str], results: Callable[[Run], Result] = execute
) -> tuple[Resolution, list[Credit]]:
    resolution = game.resolve([results(run) for run in game.submit(texts)])
    return resolution, score([resolution], TEACHER, SOLVER)[0]


def attempts(game: Episode, right: int, samples: int = 8) -> tuple[Resolution, list[Credit]]:
    assert game.ask.question is not None
    texts = [right_answer(game.ask.question)] * right + [answer("python", PROGRAMS[1])] * (samples - right)
    return step(game, texts)


def test_lemma_attempts_lift_attempts_solve() -> None:
    game = episode(axis="f")
    stages, rewards = [], []
    for act in (
        lambda: step(game, [proposal(PROGRAMS[0])]),
        lambda: attempts(game, 4),
        lambda: step(game, [proposal(PROGRAMS[2])]),
        lambda: attempts(game, 1),
        lambda: step(game, [right_answer(game.ask.question)]),
    ):
        assert game.turn is not None
        stages.append(game.turn.stage)
        _, credits = act()
        rewards.append([(c.turn, c.agent, c.reward) for c in credits if c.agent == "teacher_0"])
    assert stages == ["lemma", "attempt", "lift", "attempt", "solve"]
    assert rewards == [
        [],
        [(0, "teacher_0", 1.0)],
        [],
        [(2, "teacher_0", pytest.approx(0.970, abs=0.001))],
        [],
    ]
    assert game.done
    assert not game.truncated
    assert [(e.task.stage, e.correct, e.accepted) for e in game.entries] == [
        ("lemma", 4, True),
        ("lift", 1, True),
    ]
    assert game.entries[1].task.parent == game.entries[0].task.fingerprint


@pytest.mark.parametrize(("right", "accepted"), [(2, False), (3, True), (5, True), (6, False)])
def test_lemma_band(right: int, accepted: bool) -> None:
    game = episode()
    step(game, [proposal(PROGRAMS[0])])
    resolution, _ = attempts(game, right)
    (outcome,) = [one.outcome for one in resolution.settled]
    assert outcome.accepted is accepted
    assert (game.turn is not None and game.turn.stage == "lift") is accepted


@pytest.mark.parametrize(("right", "accepted"), [(0, False), (1, True), (4, True), (5, False)])
def test_lift_band(right: int, accepted: bool) -> None:
    game = episode(axis="f")
    step(game, [proposal(PROGRAMS[0])])
    attempts(game, 4)
    step(game, [proposal(PROGRAMS[2])])
    resolution, _ = attempts(game, right)
    assert resolution.settled[0].outcome.accepted is accepted


def test_admission_does_not_depend_on_the_reward() -> None:
    game = episode(admit={"lemma": (0, 10)})
    step(game, [proposal(PROGRAMS[0])])
    resolution, credits = attempts(game, 8)
    assert resolution.settled[0].outcome.accepted
    assert credits[-1].reward == -0.5


def test_rejected_lemma_leads_to_solve_from_the_library() -> None:
    game = episode(view=library())
    _, credits = step(game, [REFUSED["no_program"]])
    assert [(c.turn, c.agent, c.reward, c.terms) for c in credits] == [
        (0, "teacher_0", -1.0, {"invalid": -1.0})
    ]
    assert game.turn is not None
    assert game.turn.stage == "solve"


def test_no_task_no_solve_turn() -> None:
    game = episode()
    step(game, [REFUSED["no_program"]])
    assert game.done
    game = episode(view=library(accepted=False))
    step(game, [REFUSED["no_program"]])
    assert game.done


def test_previous_step_ignores_own_tasks() -> None:
    game = episode(solving="previous_step", admit={"lemma": (0, 10), "lift": (10, 10)}, axis="f")
    step(game, [proposal(PROGRAMS[0])])
    attempts(game, 4)
    step(game, [REFUSED["no_program"]])
    assert game.done


def test_goalpost_episode() -> None:
    game = episode(goalpost_rate=1.0)
    assert game.turn is not None
    assert (game.turn.stage, game.turn.samples) == ("goalpost", 8)
    right = answer("python", PROGRAMS[0])
    _, credits = step(game, [right, answer("python", "def f(x): return")] * 4)
    assert [c.reward for c in credits] == [1.0, -0.5] * 4
    assert game.done


def test_solve_comes_as_every_kind() -> None:
    kinds = Counter()
    for seed in range(60):
        game = episode(seed, view=library())
        step(game, [REFUSED["no_program"]])
        assert game.turn is not None
        kinds[game.turn.kind] += 1
        _, credits = step(game, [right_answer(game.ask.question)])
        assert [c.reward for c in credits if c.agent == "solver_0"] == [1.0]
    assert min(kinds[kind] for kind in ("induction", "deduction", "abduction")) >= 8


def infra_error(run: Run) -> Result:
    return Result(Status.INFRA_ERROR, error="gone")


def test_unscored_proposal() -> None:
    game = episode(view=library())
    resolution, credits = step(game, [proposal(PROGRAMS[0])], infra_error)
    assert [(c.reward, dict(c.terms)) for c in credits] == [(None, {})]
    assert not resolution.settled[0].outcome.scored
    assert game.truncated
    game = episode(view=library(), on_infra_error="continue")
    step(game, [proposal(PROGRAMS[0])], infra_error)
    assert game.turn is not None
    assert game.turn.stage == "solve"


def test_unscored_attempt_leaves_the_difficulty_unknown() -> None:
    game = episode()
    step(game, [proposal(PROGRAMS[0])])
    right = right_answer(game.ask.question)
    failing = iter([infra_error, execute, execute, execute])
    first, credits = step(game, [right, right], lambda run: next(failing)(run))
    assert [c.reward for c in credits] == [None, 1.0]
    assert not first.settled
    assert game.turn is not None, "the group of attempts is played to its end"
    resolution, credits = step(game, [answer("python", PROGRAMS[1])] * 6)
    (outcome,) = [one.outcome for one in resolution.settled]
    assert (outcome.scored, outcome.accepted, outcome.samples) == (False, False, 8)
    assert credits[-1].agent == "teacher_0"
    assert credits[-1].reward is None
    assert game.truncated
    assert not game.entries


def test_lift_prompt_is_blind_to_the_goalpost() -> None:
    prompts = set()
    for goalpost in (0, 1):
        game = episode(goalpost=goalpost, axis="f")
        step(game, [proposal(PROGRAMS[3])])
        attempts(game, 4)
        assert game.turn is not None
        assert game.turn.stage == "lift"
        prompts.add(game.turn.prompt)
    assert len(prompts) == 1


def test_axis_is_drawn_and_kept() -> None:
    seen = set()
    for seed in range(20):
        game = episode(seed)
        assert game.turn is not None
        axis = game.turn.axis
        seen.add(axis)
        turns = [game.turn]
        step(game, [proposal(PROGRAMS[0])])
        turns.append(game.turn)
        attempts(game, 4)
        turns.append(game.turn)
        assert [turn.axis for turn in turns if turn is not None] == [axis] * 3
        step(game, [proposal(PROGRAMS[2])])
        assert game.entries[0].task.axis == axis
    assert seen == {"io", "f"}


def test_misuse_is_refused_without_moving() -> None:
    game = episode()
    with pytest.raises(ValueError, match="expected 1 to 1 texts"):
        game.submit(["a", "b"])
    with pytest.raises(RuntimeError, match="submit"):
        game.resolve([])
    runs = game.submit([proposal(PROGRAMS[0])])
    with pytest.raises(RuntimeError, match="resolve"):
        game.submit(["again"])
    with pytest.raises(ValueError, match="expected 4 results"):
        game.resolve([])
    game.resolve([execute(run) for run in runs])
    assert game.turn is not None
    assert game.turn.stage == "attempt"


@pytest.mark.parametrize(
    "wrong",
    [
        {"attempts": 0},
        {"goalpost_rate": 1.5},
        {"axis": "x"},
        {"sees": "all"},
        {"solving": "later"},
        {"admit": {"solve": (3, 7)}},
        {"admit": {"lemma": (7, 3)}},
        {"admit": {"lemma": (0.3, 0.7)}},
        {"admit": {"lemma": 3}},
        {"lifts": -1},
        {"lifts": True},
        {"curriculum": "azr", "references": 1.5},
        {"curriculum": "ppo"},
        {"curriculum": "rlvr", "goalpost_rate": 0.5},
        {"lift_from": "goalpost"},
        {"solver_data": "good"},
        {"convert": 1},
        {"lift_from": "library", "lift_sees_goalpost": True},
    ],
)
def test_a_game_says_what_it_expects(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"expected .* got"):
        episode(**wrong)


def test_clone_goes_its_own_way() -> None:
    game = episode(axis="f")
    step(game, [proposal(PROGRAMS[0])])
    twin = game.clone()
    attempts(game, 4)
    assert game.turn is not None
    assert game.turn.stage == "lift"
    assert twin.turn is not None
    assert (twin.turn.stage, twin.turn.samples, twin.entries) == ("attempt", 8, [])
    attempts(twin, 4)
    assert twin.turn == game.turn
    # Draws after the clone are the same as well.
    for one in (game, twin):
        step(one, [REFUSED["no_program"]])
    assert twin.turn == game.turn


# --- any text, any result -------------------------------------------------------------------------

HOSTILE = [
    "",
    "```python\n" * 50,
    answer("python", "import os; os._exit(0)"),
    answer("python", "def f(x):\n  while True: pass"),
    answer("output", "type('E', (), {'__eq__': lambda s, o: True})()"),
    answer("input", "0) or (True"),
    answer("input", "*(1,), **{}"),
    answer("output", "9" * 6000),
    answer("output", "[" * 3000),
    "\x00\ud800\u202e",
    proposal(PROGRAMS[0], ["x" * 100] * 10),
]
LISTED = [
    *(proposal(program) for program in PROGRAMS),
    *(answer("python", program) for program in PROGRAMS),
    *(answer(tag, str(number)) for tag in ("input", "output") for number in range(6)),
    *HOSTILE,
]
#: How a test's sandbox may answer one run of a step instead of honestly.
ODDITIES: list[str] = [*Status, "nondeterministic", "near_limit"]


def odd_result(run: Run, oddity: str) -> Result:
    honest = execute(run)
    if oddity == "nondeterministic":
        return dataclasses.replace(honest, calls=tuple(Call(Status.OK, "other") for _ in honest.calls))
    if oddity == "near_limit":
        return dataclasses.replace(honest, wall_seconds=9.0)
    return honest if oddity == Status.OK else Result(Status(oddity), error="odd")


class Plan:
    """The texts and results of one episode, drawn once and played as often as wanted.

    Hypothesis draws the texts that no list has, and the generator that chooses: left to it alone,
    choices cluster, and rare reasons are not reached.
    """

    def __init__(self, data: st.DataObject) -> None:
        self.random = data.draw(st.randoms(use_true_random=True))
        self.strange = data.draw(
            st.text(max_size=60) | st.text(alphabet="`python\ninput([{'\"-1,)]}", max_size=60)
        )
        choice = self.random.choice
        self.seed = self.random.randrange(2**32)
        self.known = self.random.random() < 0.5
        self.alike = self.random.random() < 0.1
        self.curriculum = choice([*["gasp"] * 5, "azr", "azr", "rlvr"])
        self.rule = choice([None, None, None, RelevanceRule("tests.players:by_message", "gate")])
        self.options: dict[str, Any] = {
            "curriculum": self.curriculum,
            "on_infra_error": choice(["truncate", "continue"]),
            "novelty": "tests.players:ALIKE" if self.alike else choice(["exact", "exact", "exact", "off"]),
            "relevance": self.rule,
        }
        if self.curriculum != "rlvr":
            self.options |= {
                "goalpost_rate": choice([0.0, 0.0, 0.3, 1.0]),
                "convert": choice([True, False]),
                "solver_data": choice(["accepted", "all", "non_extremes"]),
                "solving": choice(["same_step", "same_step", "previous_step"]),
            }
        if self.curriculum == "azr":
            self.options["references"] = choice([0, 1, 6])
        if self.curriculum == "gasp":
            self.options |= {
                "axis": choice(["both", "io", "f", "none"]),
                "lifts": choice([0, 1, 1, 2, 3]),
                "lift_from": choice(["accepted", "accepted", "valid", "library"]),
                "sees": choice([None, "statement", "tests", "reference"]),
            }
            if self.options["lift_from"] != "library":
                self.options["lift_sees_goalpost"] = choice([False, True])
        self.texts: list[list[str]] = []
        self.oddities: list[str | None] = []
        self.at: list[int] = []

    def episode(self) -> Episode:
        view = Library(
            [Entry(known_task(), 4, 8, True)] if self.known else [], embedder=ALIKE if self.alike else None
        )
        return episode(self.seed, view=view, goalpost=None, **self.options)

    def draw(self, game: Episode) -> None:
        """Choose the next step: helpful texts often, so that deep stages are reached."""
        turn, random = game.turn, self.random
        assert turn is not None
        if turn.agent == "teacher_0":
            refused = [*REFUSED.values(), proposal(PROGRAMS[0], message=EXAMPLE.message)]
            listed = [random.choice(refused), self.strange, random.choice(LISTED)]
            inputs = None if turn.kind in (None, "induction") else [random.choice(INPUTS)]
            message = random.choice(["add", "add", f"relevance {random.random():.1f}", "relevance lost"])
            helpful = proposal(random.choice(PROGRAMS), inputs, message)
            texts = [helpful if random.random() < 0.6 else random.choice(listed)]
        else:
            count = random.randint(1, turn.samples)
            right = 0 if random.random() < 0.1 else random.randint(0, count)
            others = [random.choice([self.strange, random.choice(LISTED)]) for _ in range(count - right)]
            texts = [right_answer(game.ask.question)] * right + others
        self.texts.append(texts)
        self.oddities.append(random.choice(ODDITIES) if random.random() < 0.3 else None)
        self.at.append(random.randrange(8))

    def results(self, number: int, runs: list[Run]) -> list[Result]:
        oddity = self.oddities[number]
        chosen = self.at[number] % max(1, len(runs))
        return [
            odd_result(r, oddity) if oddity is not None and i == chosen else execute(r)
            for i, r in enumerate(runs)
        ]


def check(resolution: Resolution, credits: list[Credit], seen: Counter[str]) -> None:
    for credit in credits:
        assert (credit.reward is None) == (not credit.terms)
        assert credit.reward is None or credit.reward == pytest.approx(sum(credit.terms.values()))
    seen[f"stage {resolution.turn.stage}"] += 1
    for verdict in resolution.verdicts:
        kind = "proposal" if resolution.turn.agent == "teacher_0" else "answer"
        seen[f"{kind} {verdict.reason}"] += 1
    for outcome in (one.outcome for one in resolution.settled):
        if outcome.valid and outcome.scored:
            low, high = BANDS[outcome.stage]
            p = 10 * outcome.correct / outcome.samples
            side = "below" if p < low else "above" if p > high else "in"
            assert outcome.accepted == (side == "in")
            seen[f"{outcome.stage} {side} band"] += 1


def play(plan: Plan, seen: Counter[str], draw: bool) -> list[Any]:
    game = plan.episode()
    log: list[Any] = [game.turn]
    number = 0
    while game.turn is not None:
        if draw:
            plan.draw(game)
        runs = game.submit(plan.texts[number])
        resolution = game.resolve(plan.results(number, runs), BY_MESSAGE.measure(game.measures))
        credits = score([resolution], TEACHER, SOLVER, plan.rule)[0]
        check(resolution, credits, seen)
        log += [runs, resolution, credits, game.turn, list(game.entries)]
        number += 1
    assert number <= 2 + 4 * (1 + 8)
    return [*log, game.truncated]


EXPECTED = (
    {f"stage {stage}" for stage in ("lemma", "lift", "propose", "attempt", "solve", "goalpost")}
    | {f"proposal {reason}" for reason in (*gate.REASONS, "irrelevant", "valid", "infra_error")}
    | {f"answer {reason}" for reason in (*judge.ANSWER_REASONS, "infra_error")}
    | {f"{stage} {side} band" for stage in ("lemma", "lift") for side in ("below", "in", "above")}
    | {"propose in band"}
)


def test_any_texts_and_results() -> None:
    """Never raises, credits sum, the same inputs give the same episode; and everything was reached."""
    seen: Counter[str] = Counter()

    @settings(
        max_examples=examples(2000),
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    @given(st.data())
    def run(data: st.DataObject) -> None:
        plan = Plan(data)
        first = play(plan, seen, draw=True)
        assert play(plan, Counter(), draw=False) == first

    run()
    assert EXPECTED - set(seen) == set()


@settings(max_examples=examples(100), deadline=None)
@given(
    st.lists(st.sampled_from(["right", "wrong", "junk"]), min_size=8, max_size=8),
    st.lists(st.integers(1, 8), max_size=8),
)
def test_k_texts_equal_k_steps(plan: list[str], cuts: list[int]) -> None:
    def play_in(chunks: list[int]) -> tuple[list[Credit], list[Any], Turn | None]:
        game = episode(3)
        step(game, [proposal(PROGRAMS[0])])
        texts = {
            "right": right_answer(game.ask.question),
            "wrong": answer("python", PROGRAMS[1]),
            "junk": "?",
        }
        credits: list[Credit] = []
        outcomes: list[Any] = []
        due = [texts[name] for name in plan]
        for size in [*chunks, 8]:
            if not due or game.turn is None or game.turn.stage != "attempt":
                break
            resolution, own = step(game, due[:size])
            due = due[size:]
            credits += own
            outcomes += resolution.settled
        return credits, outcomes, game.turn

    assert play_in(cuts) == play_in([8])


@pytest.mark.parametrize("axis", ["io", "f"])
def test_lift_prompts_are_the_same_bytes_for_any_goalpost(axis: str) -> None:
    goalposts = (*GOALPOSTS, *PYTHON.goalposts())
    prompts = set()
    for number in range(len(goalposts)):
        for sees in ("statement", "tests", "reference"):
            game = episode(number, goalpost=number, goalposts=goalposts, axis=axis, sees=sees)
            step(game, [proposal(PROGRAMS[3])])
            attempts(game, 4)
            assert game.turn is not None
            assert game.turn.stage == "lift"
            prompts.add(game.turn.prompt.encode())
    assert len(prompts) == 1


def test_long_output_program_is_of_the_family() -> None:
    assert execute(Run(LONG_OUTPUT, ((1,),))).status is Status.OK
