"""What an answer is judged on."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.domains.python import judge
from gasp_env.domains.python.judge import Question
from gasp_env.domains.python.styles import ExercisesStyle
from gasp_env.episode.turns import Verdict
from gasp_env.sandbox import Call, Limits, Result, Sandbox, Status
from gasp_env.tasks import Goalpost
from gasp_env.values import encode, equal
from tests.sandbox_image.strategies import lookalikes

SQUARES = Question("induction", "", ((1,), (2,), (3,)), (1, 4, 9))


def _verdict(sandbox: Sandbox, program: str) -> str:
    asked = judge.ask(SQUARES, f"```python\n{program}\n```", ExercisesStyle(), Limits())
    assert isinstance(asked, list)
    return judge.decide(SQUARES, sandbox.run_many(asked)).reason


@pytest.mark.docker
@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("def f(x): return x * x", "correct"),
        # Right by the order in which it is asked, and for no other reason.
        ("calls = []\ndef f(x):\n    calls.append(x)\n    return len(calls) ** 2", "wrong"),
        ("import math\ndef f(x):\n    math.pi = int(math.pi) - 1\n    return x * x", "correct"),
        # Right whenever it is asked alone; what an earlier call left behind is not held against it.
        ("import os\ndef f(x, seen=[]):\n    seen.append(x)\n    return x * x if len(seen) == 1 else 0", "correct"),
        ("def f(x): return x * x if x < 3 else 1 // 0", "exception"),
    ],
)  # fmt: skip
def test_every_pair_is_judged_alone(sandbox: Sandbox, program: str, reason: str) -> None:
    assert _verdict(sandbox, program) == reason


def test_a_run_is_shared_where_nothing_can_be_kept() -> None:
    for program, fresh in (("def f(x): return x * x", False), ("import math\ndef f(x): return x", True)):
        asked = judge.ask(SQUARES, f"```python\n{program}\n```", ExercisesStyle(), Limits())
        assert isinstance(asked, list)
        assert [run.fresh for run in asked] == [fresh]


@given(st.lists(lookalikes(), min_size=1, max_size=3))
def test_claims_are_compared_as_values_are(pairs: list[tuple[Any, Any]]) -> None:
    """Whether or not a claim is written like the output, the verdict and the digest are those of its encoding."""
    claims, outputs = zip(*pairs, strict=True)
    question = Question("induction", "", ((0,),) * len(pairs), outputs)
    verdict = judge.decide(question, [Result(Status.OK, tuple(Call(Status.OK, claim) for claim in claims))])
    differs = [number for number, pair in enumerate(pairs, start=1) if not equal(*pair)]
    assert verdict.reason == ("wrong" if differs else "correct")
    assert verdict.detail == (f"test {differs[0]} of {len(pairs)} differs" if differs else "")
    assert verdict.answer == judge._digest(*map(encode, claims))


def test_nothing_equals_what_is_no_value() -> None:
    question = Question("induction", "", ((0,),), (object(),))
    assert judge.decide(question, [Result(Status.OK, (Call(Status.OK, ""),))]).reason == "wrong"
    assert judge.ask(
        Question("deduction", "", ((0,),), (1j,)), "```output\n1\n```", ExercisesStyle(), Limits()
    ) == (Verdict("wrong", answer=judge._digest(encode(1))))


def _judged(sandbox: Sandbox, question: Question, tag: str, body: str) -> Verdict:
    asked = judge.ask(question, f"```{tag}\n{body}\n```", ExercisesStyle(), Limits())
    return asked if isinstance(asked, Verdict) else judge.decide(question, sandbox.run_many(asked), asked)


@pytest.mark.docker
def test_answers_that_do_the_same_are_known_as_one(sandbox: Sandbox) -> None:
    """Right or wrong; of a program it is what it did, not how it is written."""
    programs = [
        ["def f(x): return x * x", "def f(x):\n    return x ** 2"],
        ["def f(x): return x", "def f(y): return +y"],
        ["def f(x): return 1 // 0", "def f(x): raise ValueError"],
        ["def f(x): return x * x if x < 3 else [9]"],
        ["def f(x): return float(x * x)"],
        ["def g(x): return x"],
        ["def f(x):"],
    ]
    answers = [
        {_judged(sandbox, SQUARES, "python", program).answer for program in group} for group in programs
    ]
    assert all(len(group) == 1 for group in answers)
    # A program without f raises as well: the two groups that end in an exception are one.
    assert len(set.union(*answers)) == len(programs) - 1
    assert "" not in set.union(*answers)


@pytest.mark.docker
def test_values_and_arguments_are_answers_too(sandbox: Sandbox) -> None:
    square = "def f(x): return x * x"
    deduction = Question("deduction", square, ((3,),), (9,))
    said = [_judged(sandbox, deduction, "output", body) for body in ("9", " 9 ", "10", "9.0", "no value")]
    assert [verdict.reason for verdict in said] == ["correct", "correct", "wrong", "wrong", "malformed"]
    assert said[0].answer == said[1].answer
    assert len({verdict.answer for verdict in said}) == 4
    assert said[-1].answer == ""
    abduction = Question("abduction", square, ((3,),), (9,))
    found = [_judged(sandbox, abduction, "input", body) for body in ("3", "-3", "4", "'a'", "5,", "5", "(")]
    reasons = ["correct", "correct", "wrong", "exception", "wrong", "wrong", "malformed"]
    assert [verdict.reason for verdict in found] == reasons
    assert found[4].answer == found[5].answer
    assert len({verdict.answer for verdict in found}) == 6
    assert found[-1].answer == ""


@pytest.mark.docker
def test_the_entry_is_what_the_problem_names(sandbox: Sandbox) -> None:
    named = Question("induction", "", ((1,), (2,)), (1, 4), "square")
    method = Question("induction", "", ((1,), (2,)), (1, 4), "Squares.of")
    function = "def square(x): return x * x"
    assert _judged(sandbox, named, "python", function).correct
    assert _judged(sandbox, named, "python", function.replace("square", "f")).correct, "the only candidate"
    two = f"{function}\ndef cube(x): return x ** 3".replace("square", "f")
    assert _judged(sandbox, named, "python", two).reason == "exception"
    assert _judged(sandbox, method, "python", "class Squares:\n    def of(self, x): return x * x").correct
    assert (
        _judged(sandbox, method, "python", "class Squares:\n    def of(self, x): return x * 1.0 * x").reason
        == "wrong"
    )


@pytest.mark.docker
def test_a_whole_program_prints_exactly_the_text(sandbox: Sandbox) -> None:
    shout = Question("induction", "", (("a\n",), ("",)), ("A\n", "\n"), "")
    assert _judged(
        sandbox, shout, "python", "import sys\nprint(sys.stdin.readline().strip().upper())"
    ).correct
    assert _judged(sandbox, shout, "python", "import sys\nprint(sys.stdin.read().upper())").reason == "wrong"
    assert _judged(sandbox, shout, "python", "print(input().upper())").reason == "exception"


def test_goalposts_are_asked_by_their_entry_and_rule() -> None:
    goalpost = Goalpost("g", "s", "", (("1",),), ("2",), entry="", rule="livecodebench")
    asked = Question.of_goalpost(goalpost)
    assert (asked.kind, asked.entry, asked.rule) == ("induction", "", "livecodebench")
    assert (asked.inputs, asked.outputs) == (goalpost.inputs, goalpost.outputs)
