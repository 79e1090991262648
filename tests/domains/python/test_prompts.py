from __future__ import annotations

import dataclasses

import pytest

from gasp_env.domains.python import parsing
from gasp_env.domains.python.gate import check_static
from gasp_env.domains.python.prompts import SEEN_TESTS
from gasp_env.domains.python.rules import GateRules
from gasp_env.domains.python.styles import BaseStyle, ExercisesStyle
from gasp_env.domains.python.syntax import ParseError
from gasp_env.goalposts.files import builtin_goalposts
from gasp_env.sandbox import Sandbox
from gasp_env.sandbox.runs import Run, Status
from gasp_env.tasks import AXES, Goalpost
from tests.episode.test_machine import GOALPOSTS, SEEDS, known_task
from tests.players import PROGRAMS, answer, proposal, task_with

STYLE = ExercisesStyle()


def test_teacher_sees_what_it_may() -> None:
    goalpost = dataclasses.replace(GOALPOSTS[1], inputs=((11,), (22,)), outputs=(33, 66))
    shown = {sees: STYLE.lemma(goalpost, sees, "f") for sees in ("statement", "tests", "reference")}
    assert "Multiply by three." in shown["statement"]
    assert "33" not in shown["statement"]
    assert "f(22) == 66" in shown["tests"]
    assert "Multiply" not in shown["tests"] + shown["reference"]
    assert "return 3 * x" in shown["reference"]


def test_axes_differ() -> None:
    assert len({STYLE.lemma(GOALPOSTS[0], "statement", axis) for axis in AXES}) == 2
    assert len({STYLE.lift(known_task(), axis) for axis in AXES}) == 2


def test_an_open_axis_names_none() -> None:
    prompts = {STYLE.lift(known_task(), axis) for axis in (*AXES, "none")}
    assert len(prompts) == 3
    open_axis = STYLE.lemma(GOALPOSTS[0], "statement", "none")
    assert "algorithm:" not in open_axis
    assert "inputs and outputs:" not in open_axis


def test_only_the_sighted_lift_sees_the_goalpost() -> None:
    blind = STYLE.lift(known_task(), "f")
    sighted = STYLE.sighted_lift(known_task(), GOALPOSTS[1], "statement", "f")
    assert GOALPOSTS[1].statement in sighted
    assert GOALPOSTS[1].statement not in blind
    assert "return 3 * x" in STYLE.sighted_lift(known_task(), GOALPOSTS[1], "reference", "f")


def test_proposals_ask_for_what_is_read() -> None:
    deduction = STYLE.propose("deduction", SEEDS, None)
    abduction = STYLE.propose("abduction", SEEDS, None)
    induction = STYLE.propose("induction", [], SEEDS[0])
    for prompt in (deduction, abduction):
        assert all(task.content.program in prompt for task in SEEDS)
        assert "one call of f" in prompt
        assert "hint" not in prompt
    assert deduction != abduction
    assert SEEDS[0].content.program in induction
    assert "eight calls of f" in induction
    assert "a hint" in induction


def test_fixed_text_comes_first() -> None:
    """A prefix cache serves all prompts of a stage, however the goalposts and the tasks differ."""
    for one, other in (
        (STYLE.lemma(GOALPOSTS[0], "statement", "f"), STYLE.lemma(GOALPOSTS[1], "statement", "io")),
        (STYLE.lift(known_task(), "f"), STYLE.lift(known_task(PROGRAMS[1]), "io")),
    ):
        shared = next(place for place, pair in enumerate(zip(one, other, strict=False)) if len(set(pair)) > 1)
        assert shared > 0.8 * len(one)


def test_the_examples_are_what_is_asked_for() -> None:
    for example in STYLE.examples:
        assert GateRules().input_count[0] <= len(example.inputs) <= GateRules().input_count[1]
        assert example.message
        assert not example.left_out
        check_static(example, GateRules())


@pytest.mark.docker
def test_the_examples_run(sandbox: Sandbox) -> None:
    runs = [Run(str(example.program), example.inputs) for example in STYLE.examples]
    for result in sandbox.run_many(runs):
        assert result.status is Status.OK
        assert len({repr(call.value) for call in result.calls}) > 2


def test_a_task_is_shown_as_it_is_written() -> None:
    shown = STYLE.lift(known_task(), "f").rpartition("Exercise:\n")[2]
    read = parsing.parse_proposal(shown)
    assert (read.program, read.inputs) == (known_task().content.program, known_task().content.inputs)
    assert read.message == known_task().content.message


def test_a_statement_that_shows_the_definition_is_not_given_it_twice() -> None:
    stub = 'def add(x: int, y: int):\n    """Add two numbers."""'
    goalpost = Goalpost("s", stub, "def add(x: int,  y: int)", ((1, 2),), (3,), entry="add")
    assert STYLE.goalpost(goalpost).count("def add") == 1
    assert STYLE.goalpost(dataclasses.replace(goalpost, statement="Add two numbers.")).count("def add") == 1


def test_the_base_style_asks_for_thoughts_and_reads_what_follows_them() -> None:
    style = BaseStyle()
    prompts = [
        style.lemma(GOALPOSTS[0], "statement", "f"),
        style.lift(known_task(), "f"),
        style.sighted_lift(known_task(), GOALPOSTS[0], "statement", "f"),
        style.propose("deduction", SEEDS, None),
        style.solve(known_task(), "induction", 0),
        style.goalpost(GOALPOSTS[0]),
    ]
    assert all(prompt.endswith("Assistant: <think>") for prompt in prompts)
    thoughts = f" perhaps\n{answer('python', 'def f(x): return 0')} or\n"
    program = answer("python", PROGRAMS[0])
    for text in (f"{thoughts}</think> <answer>{program}</answer>", f"{thoughts}</think>\n{program}"):
        assert style.parse_answer(text, "induction") == PROGRAMS[0]
    assert style.parse_answer(f"<answer>{program}", "induction") == PROGRAMS[0]
    assert style.parse_proposal(f"{thoughts}</think>{proposal(PROGRAMS[0])}").program == PROGRAMS[0]
    with pytest.raises(ParseError) as caught:
        style.parse_answer(thoughts, "induction")
    assert caught.value.reason == "malformed"


def test_a_problem_that_reads_standard_input() -> None:
    goalpost = Goalpost(
        "s",
        "Add two numbers.",
        "",
        (("1 2\n",), ("3 4\n",)),
        ("3\n", "7\n"),
        1,
        entry="",
        rule="livecodebench",
    )
    prompt = STYLE.goalpost(goalpost)
    assert "standard input" in prompt
    assert "Input:\n1 2\nOutput:\n3" in prompt
    assert "3 4" not in prompt
    assert "Input:\n3 4\nOutput:\n7" in STYLE.lemma(goalpost, "tests", "f")


def test_a_problem_with_an_entry_of_its_own() -> None:
    goalpost = Goalpost(
        "m",
        "Add two numbers.",
        "class Solution:\n    def add(self, a: int, b: int) -> int:",
        ((1, 2), (3, 4)),
        (3, 7),
        1,
        entry="Solution.add",
        rule="livecodebench",
    )
    prompt = STYLE.goalpost(goalpost)
    assert "class Solution:" in prompt
    assert "add(1, 2) == 3" in prompt
    assert "add(3, 4)" not in prompt


def test_hidden_pairs_stay_hidden() -> None:
    task = task_with(
        known_task(), inputs=tuple((1000 + i,) for i in range(10)), outputs=tuple(range(2000, 2010))
    )
    prompt = STYLE.solve(task, "induction", 0)
    assert all(str(1000 + i) in prompt and str(2000 + i) in prompt for i in range(5))
    assert not any(str(1000 + i) in prompt or str(2000 + i) in prompt for i in range(5, 10))
    assert task.content.program not in prompt


def test_deduction_hides_the_output_and_abduction_the_input() -> None:
    task = task_with(known_task(), inputs=((1234,),) * 10, outputs=(5678,) * 10)
    deduction, abduction = STYLE.solve(task, "deduction", 3), STYLE.solve(task, "abduction", 3)
    assert "1234" in deduction
    assert "5678" not in deduction
    assert "5678" in abduction
    assert "1234" not in abduction


def test_goalpost_shows_no_hidden_test() -> None:
    for goalpost in builtin_goalposts():
        prompt = STYLE.goalpost(goalpost)
        assert goalpost.statement in prompt
        assert goalpost.signature in prompt
        assert prompt.count("f(") >= goalpost.shown
        assert goalpost.reference is not None
        assert goalpost.reference not in prompt


def test_a_teacher_that_sees_tests_is_not_drowned_in_them() -> None:
    many = Goalpost("m", "Double.", "def f(s)", tuple(("x" * 500 + str(i),) for i in range(999)), ("",) * 999)
    prompt = STYLE.lemma(many, "tests", "f")
    assert len(prompt) < 2 * SEEN_TESTS
    assert prompt.count("f('xx") > 20


def test_a_method_without_a_signature_is_named() -> None:
    goalpost = Goalpost("m", "Double.", "", ((1,),), (2,), entry="Solution.twice", rule="livecodebench")
    for prompt in (STYLE.goalpost(goalpost), STYLE.lemma(goalpost, "tests", "f")):
        assert "a class Solution with a method twice" in prompt
