from __future__ import annotations

import dataclasses

from gasp_env.gate import GateRules
from gasp_env.goalposts import ours
from gasp_env.prompts import FencedStyle
from gasp_env.tasks import AXES
from tests.test_curriculum import GOALPOSTS, known_task

STYLE, RULES = FencedStyle(), GateRules()


def test_teacher_sees_what_it_may() -> None:
    goalpost = dataclasses.replace(GOALPOSTS[1], inputs=((11,), (22,)), outputs=(33, 66))
    shown = {sees: STYLE.lemma(goalpost, sees, "f", RULES) for sees in ("statement", "tests", "reference")}
    assert "Multiply by three." in shown["statement"]
    assert "33" not in shown["statement"]
    assert "f(22) == 66" in shown["tests"]
    assert "Multiply" not in shown["tests"] + shown["reference"]
    assert "return x * 3" in shown["reference"]


def test_axes_differ() -> None:
    assert len({STYLE.lemma(GOALPOSTS[0], "statement", axis, RULES) for axis in AXES}) == 2
    assert len({STYLE.lift(known_task(), axis, RULES) for axis in AXES}) == 2


def test_hidden_pairs_stay_hidden() -> None:
    task = dataclasses.replace(
        known_task(), inputs=tuple((1000 + i,) for i in range(10)), outputs=tuple(range(2000, 2010))
    )
    prompt = STYLE.solve(task, "induction", 0)
    assert all(str(1000 + i) in prompt and str(2000 + i) in prompt for i in range(5))
    assert not any(str(1000 + i) in prompt or str(2000 + i) in prompt for i in range(5, 10))
    assert task.program not in prompt


def test_deduction_hides_the_output_and_abduction_the_input() -> None:
    task = dataclasses.replace(known_task(), inputs=((1234,),) * 10, outputs=(5678,) * 10)
    deduction, abduction = STYLE.solve(task, "deduction", 3), STYLE.solve(task, "abduction", 3)
    assert "1234" in deduction
    assert "5678" not in deduction
    assert "5678" in abduction
    assert "1234" not in abduction


def test_goalpost_shows_no_hidden_test() -> None:
    for goalpost in ours():
        prompt = STYLE.goalpost(goalpost)
        assert goalpost.statement in prompt
        assert goalpost.signature in prompt
        assert prompt.count("f(") >= goalpost.shown
        assert goalpost.reference is not None
        assert goalpost.reference not in prompt
