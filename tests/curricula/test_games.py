"""Other curricula than the published one, and the switches that GASP's claims rest on. No sandbox here."""

from __future__ import annotations

import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gasp_env import curricula
from gasp_env.curricula import base
from gasp_env.domains.python.gate import SPARE
from gasp_env.envs.env import GaspCodeEnv
from gasp_env.episode.machine import Episode
from gasp_env.episode.turns import MAX_PROMPT, CutOff, Lost
from gasp_env.library.library import Library
from gasp_env.relevance import RelevanceRule
from gasp_env.rewards.credits import score
from gasp_env.sandbox import Sandbox
from gasp_env.tasks import Entry
from gasp_env.transcripts import replay
from tests.episode.test_machine import (
    GOALPOSTS,
    SEEDS,
    SOLVER,
    TEACHER,
    attempts,
    episode,
    known_task,
    library,
    seed,
    step,
)
from tests.players import PROGRAMS, REFUSED, answer, execute, proposal, right_answer, task_with


def azr(number: int = 0, view: Library | None = None, **options: Any) -> Episode:
    return episode(number, view=view, goalpost=None, goalposts=(), curriculum="azr", **options)


def azr_of(kind: str, view: Library | None = None, **options: Any) -> Episode:
    return next(game for number in range(100) if (game := azr(number, view, **options)).turn.kind == kind)


# --- unguided ---------------------------------------------------------------------------------------


def test_unguided_kinds_are_drawn_uniformly() -> None:
    kinds = Counter(azr(number).turn.kind for number in range(300))
    assert min(kinds[kind] for kind in ("induction", "deduction", "abduction")) > 70


@pytest.mark.parametrize("kind", ["deduction", "abduction"])
def test_unguided_program_and_input(kind: str) -> None:
    game = azr_of(kind)
    turn = game.turn
    assert (turn.agent, turn.stage, turn.axis, turn.samples) == ("teacher_0", "propose", None, 1)
    # It is shown the seed of its kind, with its output, and no other.
    assert [task.content.program in turn.prompt for task in SEEDS] == [task.kind == kind for task in SEEDS]
    step(game, [proposal(PROGRAMS[1], ["5"], None)])
    turn = game.turn
    assert (turn.stage, turn.kind, turn.samples) == ("attempt", kind, 8)
    resolution, credits = attempts(game, 2)
    ((index, outcome),) = [(one.turn, one.outcome) for one in resolution.settled]
    assert (index, outcome.stage, outcome.kind, outcome.goalpost, outcome.axis) == (
        0,
        "propose",
        kind,
        None,
        None,
    )
    assert credits[-1].reward == 0.75
    assert outcome.accepted, "whatever is valid is admitted"
    assert (game.turn.stage, game.turn.kind) == ("solve", kind)
    step(game, [right_answer(game.ask.question)])
    assert game.done
    (entry,) = game.entries
    assert (entry.task.kind, entry.task.content.shown, len(entry.task.content.inputs)) == (kind, 0, 1)


def test_unguided_proposal_has_exactly_one_input() -> None:
    game = azr_of("deduction")
    resolution, _ = step(game, [proposal(PROGRAMS[1])])
    (verdict,) = resolution.verdicts
    assert (verdict.reason, verdict.detail.count("f(")) == ("valid", SPARE), "the first of ten"


def test_unguided_induction_is_about_a_given_program() -> None:
    game = azr_of("induction")
    given = next(task.content.program for task in SEEDS if task.content.program in game.turn.prompt)
    # A program in the answer is not read: neither taken instead, nor refused.
    text = proposal("import os", [str(i) for i in range(10)], "What happens to a number?")
    step(game, [text])
    assert (game.turn.stage, game.turn.kind) == ("attempt", "induction")
    assert given not in game.turn.prompt
    assert "What happens to a number?" in game.turn.prompt
    attempts(game, 4)
    (entry,) = game.entries
    assert (entry.task.content.program, len(entry.task.content.inputs), entry.task.content.shown) == (
        given,
        10,
        5,
    )


def test_unguided_induction_is_new_by_its_inputs_and_message() -> None:
    def propose(inputs: range, message: str, view: Library | None) -> tuple[str, Episode]:
        for number in range(100):
            game = azr(number, view)
            if game.turn.kind == "induction" and SEEDS[0].content.program in game.turn.prompt:
                resolution, _ = step(game, [proposal("x", [str(i) for i in inputs], message)])
                return resolution.verdicts[0].reason, game
        raise AssertionError("no such episode")

    reason, game = propose(range(10), "first", None)
    assert reason == "valid"
    attempts(game, 3)
    held = Library(game.entries)
    assert propose(range(10), "first", held)[0] == "duplicate"
    assert propose(range(9, -1, -1), "first", held)[0] == "duplicate", "the order of inputs is no novelty"
    assert propose(range(10), "First!", held)[0] == "duplicate", "the same words are the same message"
    assert propose(range(10), "second", held)[0] == "valid"
    assert propose(range(1, 11), "first", held)[0] == "valid"


def test_unguided_proposal_may_not_repeat_a_seed_of_its_kind() -> None:
    game = azr_of("deduction")
    resolution, _ = step(game, [proposal(SEEDS[0].content.program, ["7"], None)])
    assert resolution.verdicts[0].reason == "duplicate"
    game = azr_of("deduction")
    resolution, _ = step(game, [proposal(SEEDS[1].content.program, ["7"], None)])
    assert resolution.verdicts[0].reason == "valid", (
        "as an abduction task it is there, as deduction it is new"
    )


def test_unguided_references_come_from_the_view_as_well() -> None:
    own = seed(PROGRAMS[1], "deduction")
    view = Library([Entry(own, 0, 8, False), Entry(known_task(PROGRAMS[3]), 4, 8, True)])
    seen: Counter[str] = Counter()
    for number in range(60):
        game = azr(number, view, references=1)
        if game.turn.kind == "deduction":
            seen.update(
                task.content.program for task in (SEEDS[0], own) if task.content.program in game.turn.prompt
            )
    assert min(seen[SEEDS[0].content.program], seen[own.content.program]) >= 3, (
        "one that nobody solved is a reference too"
    )


def test_unguided_references_that_do_not_fit_are_left_out() -> None:
    long = [
        task_with(seed(PROGRAMS[1], "deduction"), program=f"# {n}" + "x" * 9000, fingerprint=str(n))
        for n in range(30)
    ]
    view = Library(Entry(task, 4, 8, True) for task in long)
    game = azr_of("deduction", view, references=30)
    assert MAX_PROMPT / 2 < len(game.turn.prompt) <= MAX_PROMPT
    assert "one call of it" in game.turn.prompt, "the form is asked for"


def test_unguided_solve_converts_only_when_asked() -> None:
    for convert, expected in ((False, {"deduction"}), (True, {"deduction", "abduction"})):
        kinds = set()
        for number in range(120):
            game = azr(number, convert=convert)
            if game.turn.kind == "deduction":
                step(game, [proposal(PROGRAMS[1], ["5"], None)])
                attempts(game, 1)
                kinds.add(game.turn.kind)
        assert kinds == expected


def test_unguided_mixture_plays_goalposts() -> None:
    stages = Counter(episode(number, curriculum="azr", goalpost_rate=0.5).turn.stage for number in range(100))
    assert set(stages) == {"propose", "goalpost"}
    assert 30 < stages["goalpost"] < 70


def test_real_problems_only() -> None:
    for number in range(20):
        assert episode(number, curriculum="rlvr").turn.stage == "goalpost"


# --- switches of the guided one -----------------------------------------------------------------------


def stages_of(game: Episode, texts: dict[str, list[str]], right: int) -> list[str]:
    """Play with the given proposals; every proposal is solved ``right`` times of eight."""
    stages = []
    while game.turn is not None:
        stages.append(game.turn.stage)
        if game.turn.agent == "teacher_0":
            step(game, [texts[game.turn.stage].pop(0)])
        elif game.turn.stage == "attempt":
            attempts(game, right)
        else:
            step(game, [right_answer(game.ask.question)])
    return stages


def lifts(*programs: str) -> dict[str, list[str]]:
    return {"lemma": [proposal(PROGRAMS[0])], "lift": [proposal(program) for program in programs]}


# --- proposals in two steps -----------------------------------------------------------------------------

CALLS = "\n".join(f"call_{n} = f({n})" for n in range(8))


def draft(program: str, hint: str = "Do something.") -> str:
    return f"```python\n# Hint: {hint}\n{program}\n```"


def test_a_variant_in_two_steps_is_one_variant() -> None:
    game = episode(two_steps=True, axis="f")
    assert GOALPOSTS[0].statement in game.turn.prompt
    assert "call_1" not in game.turn.prompt
    texts = {
        "lemma_draft": [draft(PROGRAMS[0])],
        "lemma": [f"```python\n{CALLS}\n```"],
        "lift_draft": [draft(PROGRAMS[2])],
        "lift": [f"```python\n{PROGRAMS[2]}\n\n{CALLS}\n```"],
    }
    stages = stages_of(game, texts, 3)
    assert stages == ["lemma_draft", "lemma", "attempt", "lift_draft", "lift", "attempt", "solve"]
    assert [entry.task.content.program for entry in game.entries] == [PROGRAMS[0], PROGRAMS[2]]
    assert {entry.task.content.message for entry in game.entries} == {"Do something."}
    assert [entry.task.stage for entry in game.entries] == ["lemma", "lift"]


def test_both_texts_of_a_variant_earn_its_reward() -> None:
    game = episode(two_steps=True)
    resolution, credits = step(game, [draft(PROGRAMS[0], "Add one to a number.")])
    assert (resolution.verdicts[0].reason, credits) == ("drafted", [])
    prompt = game.turn.prompt
    assert PROGRAMS[0] in prompt
    assert "Add one to a number." in prompt
    assert GOALPOSTS[0].statement not in prompt
    assert (game.turn.stage, game.turn.samples, game.turn.proposal) == ("lemma", 1, True)
    step(game, [f"```python\n{CALLS}\n```"])
    resolution, credits = attempts(game, 4)
    (settled,) = resolution.settled
    assert (settled.turn, settled.drafts, settled.outcome.stage) == (1, (0,), "lemma")
    paid = [(credit.turn, credit.reward) for credit in credits if credit.agent == "teacher_0"]
    assert [turn for turn, _ in paid] == [0, 1]
    assert paid[0][1] == paid[1][1] > 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("No program.", "no_program"),
        (draft("def f():\n    return 1"), "no_arguments"),
        (draft("import os\ndef f(x):\n    return x"), "banned_import"),
        (draft(PROGRAMS[0]) + "\n" + draft(PROGRAMS[1]), "ambiguous"),
        (CutOff(draft(PROGRAMS[0])), "cut_off"),
    ],
)
def test_a_draft_that_cannot_be_completed_is_the_proposal(text: str, reason: str) -> None:
    game = episode(two_steps=True)
    resolution, credits = step(game, [text])
    (settled,) = resolution.settled
    assert (settled.turn, settled.drafts) == (0, ())
    assert (settled.outcome.stage, settled.outcome.reason) == ("lemma", reason)
    assert [(credit.turn, credit.reward) for credit in credits] == [(0, -1.0)]
    assert game.done


def test_a_draft_whose_calls_fail_pays_for_both() -> None:
    game = episode(two_steps=True)
    step(game, [draft(PROGRAMS[0])])
    resolution, credits = step(game, ["No calls."])
    assert resolution.settled[0].outcome.reason == "no_inputs"
    assert [(credit.turn, credit.reward) for credit in credits] == [(0, -1.0), (1, -1.0)]


def test_a_draft_that_nobody_wrote_is_no_score() -> None:
    game = episode(two_steps=True)
    resolution, credits = step(game, [Lost("gone")])
    assert not resolution.settled[0].outcome.scored
    assert [credit.reward for credit in credits] == [None]
    assert game.truncated


def test_drafts_are_stages_only_where_they_are_asked_for() -> None:
    played = {two: curricula.get("gasp")(two_steps=two).played for two in (False, True)}  # type: ignore[call-arg]
    assert set(played[True]) - set(played[False]) == {"lemma_draft", "lift_draft"}


def test_a_style_without_drafts_is_refused() -> None:
    with pytest.raises(ValueError, match="lack drafting, complete"):
        GaspCodeEnv(two_steps=True, domain="learners.miniature:domain")


@pytest.mark.docker
def test_the_scripted_player_plays_in_two_steps(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(two_steps=True, role="solver", partner="scripted")
    env.reset(seed=2)
    assert [turn["stage"] for turn in env.transcript["turns"]] == ["lemma_draft", "lemma"]
    assert env.transcript["turns"][1]["samples"][0]["verdict"] == "valid"


@pytest.mark.docker
def test_variants_in_two_steps_play_again(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(
        goalposts=GOALPOSTS, two_steps=True, attempts=4, admit={"lemma": (0, 10)}, domain="python"
    )
    env.reset(seed=3)
    env.step(draft("def f(x):\n    return math.gcd(x, 12)"))
    env.step(f"```python\n{CALLS.replace('call_7', 'call_6')}\n```")
    *_, info = env.step(("no",) * 4)
    assert [credit.turn for credit in info["credits"] if credit.agent == "teacher_0"] == [0, 1]
    env.step(draft("def f(x):\n    return x"))
    env.step("No calls.")
    assert replay.replay(env.transcript, sandbox) == []
    assert "import math" in env.transcript["turns"][1]["prompt"]


# --- other switches --------------------------------------------------------------------------------------


def test_no_lift_at_all() -> None:
    assert stages_of(episode(lifts=0), lifts(), 4) == ["lemma", "attempt", "solve"]


def test_lifts_are_chained() -> None:
    game = episode(lifts=2)
    stages = stages_of(game, lifts(PROGRAMS[2], PROGRAMS[3]), 3)
    assert stages == ["lemma", "attempt"] + ["lift", "attempt"] * 2 + ["solve"]
    tasks = [entry.task for entry in game.entries]
    assert [task.parent for task in tasks] == [None, *(task.fingerprint for task in tasks[:2])]


def test_a_chain_does_not_go_back_to_where_it_was() -> None:
    game = episode(lifts=2)
    stages_of(game, lifts(PROGRAMS[2], PROGRAMS[0]), 3)
    assert [entry.task.content.program for entry in game.entries] == [PROGRAMS[0], PROGRAMS[2]]


def test_a_chain_ends_where_a_lift_is_not_accepted() -> None:
    game = episode(lifts=3)
    stages = stages_of(game, {**lifts(PROGRAMS[2]), "lift": [proposal(PROGRAMS[2]), REFUSED["no_entry"]]}, 3)
    assert stages == ["lemma", "attempt", "lift", "attempt", "lift", "solve"]


def test_a_lift_from_any_valid_lemma() -> None:
    assert stages_of(episode(), lifts(PROGRAMS[2]), 8) == ["lemma", "attempt"]
    game = episode(lift_from="valid", admit={"lift": (0, 10)})
    assert stages_of(game, lifts(PROGRAMS[2]), 8) == ["lemma", "attempt", "lift", "attempt", "solve"]


def test_a_lift_from_the_library() -> None:
    game = episode(lift_from="library", view=library())
    step(game, [REFUSED["no_entry"]])
    assert game.turn.stage == "lift"
    assert known_task().content.program in game.turn.prompt
    step(game, [proposal(PROGRAMS[2])])
    resolution, _ = attempts(game, 2)
    assert resolution.settled[0].outcome.parent.task == known_task()
    assert game.entries[0].task.parent == known_task().fingerprint
    # It belongs where what it lifts came from, whatever this episode was about.
    assert (game.entries[0].task.axis, game.entries[0].task.goalpost) == ("f", "one")
    for number in range(9):
        other = episode(number, lift_from="library", view=library(), goalpost=1, axis="io", relevance=RULE)
        step(other, [REFUSED["no_entry"]])
        assert other.turn.axis == "f"
        other.submit([proposal(PROGRAMS[2])])
        assert [goalpost for _, goalpost in other.measures] == [GOALPOSTS[0]]
    # Without a library there is nothing to lift.
    game = episode(lift_from="library")
    step(game, [REFUSED["no_entry"]])
    assert game.done


def test_a_lift_that_sees_the_goalpost() -> None:
    prompts = set()
    for goalpost in (0, 1):
        game = episode(goalpost=goalpost, axis="f", lift_sees_goalpost=True)
        step(game, [proposal(PROGRAMS[3])])
        attempts(game, 4)
        assert GOALPOSTS[goalpost].statement in game.turn.prompt
        prompts.add(game.turn.prompt)
    assert len(prompts) == 2


def test_an_axis_left_open() -> None:
    games = [episode(number, axis="none") for number in range(4)]
    assert {game.turn.axis for game in games} == {"none"}
    assert len({game.turn.prompt for game in games}) == 1
    step(games[0], [proposal(PROGRAMS[0])])
    attempts(games[0], 4)
    assert games[0].entries[0].task.axis == "none"


def test_without_conversion_every_solve_is_induction() -> None:
    kinds = set()
    for number in range(30):
        game = episode(number, view=library(), convert=False)
        step(game, [REFUSED["no_entry"]])
        kinds.add(game.turn.kind)
    assert kinds == {"induction"}


@pytest.mark.parametrize(
    ("right", "data", "solves"),
    [
        (8, "accepted", False),
        (8, "all", True),
        (8, "non_extremes", False),
        (1, "accepted", False),
        (1, "non_extremes", True),
        (0, "all", True),
        (0, "non_extremes", False),
    ],
)
def test_solver_data(right: int, data: str, solves: bool) -> None:
    assert (stages_of(episode(solver_data=data), lifts(), right)[-1] == "solve") is solves


def test_pinning_one_thing_leaves_the_rest_as_it_was() -> None:
    for number in range(20):
        drawn, pinned = episode(number, goalpost=None), episode(number, goalpost=1)
        assert drawn.turn.axis == pinned.turn.axis


# --- novelty and relevance -----------------------------------------------------------------------------


def test_novelty_off_takes_what_is_known() -> None:
    for novelty, reason in (("exact", "duplicate"), ("off", "valid")):
        game = episode(view=library(), novelty=novelty)
        resolution, _ = step(game, [proposal(known_task().content.program)])
        assert resolution.verdicts[0].reason == reason


RULE = RelevanceRule("tests.players:by_message", "gate", threshold=0.5)


def propose_with(relevance: float | None, mode: str) -> Episode:
    rule = RelevanceRule("tests.players:by_message", mode, threshold=0.5, weight=2.0)
    game = episode(relevance=rule)
    game.resolve([execute(run) for run in game.submit([proposal(PROGRAMS[0])])], [relevance])
    return game


def test_gate_by_relevance() -> None:
    assert propose_with(0.5, "gate").turn.stage == "attempt"
    assert propose_with(0.49, "gate").done
    assert propose_with(0.49, "score").turn.stage == "attempt"


def test_relevance_that_nobody_could_measure_is_no_score() -> None:
    game = episode(relevance=RULE)
    runs = game.submit([proposal(PROGRAMS[0])])
    assert len(game.measures) == 1
    resolution = game.resolve([execute(run) for run in runs])
    assert [verdict.reason for verdict in resolution.verdicts] == ["infra_error"]
    assert game.truncated


def test_rejected_is_rejected_whether_relevance_was_measured_or_not() -> None:
    game = episode(relevance=RULE, view=library())
    runs = game.submit([proposal(known_task().content.program)])
    resolution = game.resolve([execute(run) for run in runs])
    assert [verdict.reason for verdict in resolution.verdicts] == ["duplicate"]


@pytest.mark.parametrize(("mode", "expected"), [("gate", 1.0), ("scale", 0.6), ("score", 1.0 + 2 * 0.6)])
def test_relevance_changes_the_reward(mode: str, expected: float) -> None:
    game = propose_with(0.6, mode)
    texts = [right_answer(game.ask.question)] * 4 + [answer("python", PROGRAMS[1])] * 4
    resolution = game.resolve([execute(run) for run in game.submit(texts)])
    assert resolution.settled[0].outcome.relevance == 0.6
    credits = score([resolution], TEACHER, SOLVER, game.context.relevance)[0]
    assert credits[-1].reward == pytest.approx(expected)
    assert credits[-1].reward == pytest.approx(sum(credits[-1].terms.values()))


# --- what a reward is told -----------------------------------------------------------------------------


def test_outcome_knows_answers_parent_and_problem() -> None:
    game = episode()
    step(game, [proposal(PROGRAMS[0])])
    same = answer("python", PROGRAMS[0] + "  # another text, the same behaviour")
    texts = [right_answer(game.ask.question)] * 3 + [same] + [answer("python", PROGRAMS[1])] * 3 + ["?"]
    resolution, _ = step(game, texts)
    (lemma,) = [one.outcome for one in resolution.settled]
    assert lemma.parent is None
    assert lemma.problem == GOALPOSTS[0]
    # What is no program of the family fails to compile here: an answer of its own.
    assert [lemma.answers.count(one) for one in lemma.answers] == [3, 3, 3, 1, 3, 3, 3, 1]
    assert lemma.answers[-1] == ""
    step(game, [proposal(PROGRAMS[2])])
    resolution, _ = attempts(game, 1)
    (lift,) = [one.outcome for one in resolution.settled]
    assert (lift.parent.task, lift.parent.correct, lift.parent.samples) == (game.entries[0].task, 3, 8)


@pytest.mark.docker
def test_the_game_in_the_docstring_is_one(sandbox: Sandbox, tmp_path: Path) -> None:
    written = base.__doc__.partition("::\n\n")[2].partition("\n`gasp_env")[0]
    head = (
        "from typing import Annotated\nfrom pydantic import Field\n"
        "from gasp_env.curricula.base import SelfPlay, Stage\nfrom gasp_env.curricula.steps import propose\n"
        "from gasp_env.episode.machine import Context, Game\nfrom gasp_env.options import options\n\n"
    )
    path = tmp_path / "duel.py"
    path.write_text(head + textwrap.dedent(written))
    env = GaspCodeEnv(curriculum=f"{path}:Duel", attempts=2, urgent=True)
    observation, _ = env.reset(seed=0)
    assert observation["prompt"] == "Write a task. Hurry!"
    *_, info = env.step(proposal(PROGRAMS[0]))
    assert info["verdicts"] == ["valid"]
    _, _, terminated, _, info = env.step(("?", "?"))
    assert terminated
    assert Counter(credit.agent for credit in info["credits"]) == {"teacher_0": 1, "solver_0": 2}
