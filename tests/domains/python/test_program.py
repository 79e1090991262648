from __future__ import annotations

import ast
import copy
import json
import pickle

import pytest

from gasp_env.domains.python import program as module
from gasp_env.domains.python.judge import Question, ask
from gasp_env.domains.python.parsing import parse_answer, parse_proposal
from gasp_env.domains.python.program import Program
from gasp_env.domains.python.purity import keeps_state
from gasp_env.domains.python.styles import ExercisesStyle
from gasp_env.domains.python.syntax import ParseError
from gasp_env.sandbox.frames import encode_payload
from gasp_env.sandbox.runs import Limits
from tests.domains.python.test_gate import GATE, decide
from tests.players import PROGRAMS, answer, execute, proposal

TEXT = "def f(x):\n    return sorted(x)"


def test_a_program_is_its_text() -> None:
    program = Program(TEXT)
    assert program == TEXT
    assert {program: 1}[TEXT] == 1
    assert json.dumps(program) == json.dumps(TEXT)
    assert type(str(program)) is str
    assert Program(program) is program
    assert program.find("sorted") == TEXT.find("sorted")


def test_copies() -> None:
    program = Program(TEXT)
    form, pickled = program.form, pickle.dumps(program)
    for twin in (copy.copy(program), copy.deepcopy(program), pickle.loads(pickled)):  # noqa: S301
        assert (twin, type(twin), twin.form) == (TEXT, Program, form)
    assert len(pickled) < 200, "the text, not the tree"


def test_everything_is_worked_out_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = []
    monkeypatch.setattr(
        module.syntax, "parse", lambda text, parse=module.syntax.parse: parsed.append(text) or parse(text)
    )
    proposed = parse_proposal(proposal(PROGRAMS[0]))
    assert parsed.count(proposed.program) == 1
    task = decide([execute(run) for run in GATE.runs(proposed)], proposed)
    assert parsed.count(proposed.program) == 1
    assert isinstance(proposed.program, Program)
    assert proposed.program.nodes[0] is proposed.program.tree
    assert proposed.program.every(ast.Return) == [
        n for n in ast.walk(proposed.program.tree) if type(n) is ast.Return
    ]
    assert type(task.content.program) is str


def test_unreadable_programs() -> None:
    program = Program("def f(x:\n")
    for name in ("tree", "nodes", "kinds", "scopes", "form"):
        with pytest.raises(ParseError, match="SyntaxError"):
            getattr(program, name)
    assert keeps_state(program)
    with pytest.raises(ParseError, match="duplicate argument"):
        assert Program("def f(x, x): pass").scopes


def test_the_sandbox_is_sent_plain_text() -> None:
    """Only exact types cross the wall."""
    program = parse_answer(answer("python", TEXT), "induction")
    assert isinstance(program, Program)
    runs = GATE.runs(parse_proposal(proposal(PROGRAMS[0])))
    for rule in ("exact", "livecodebench"):
        question = Question("induction", "", ((1,),), (1,), rule=rule)
        asked = ask(question, answer("python", TEXT), ExercisesStyle(), Limits())
        assert isinstance(asked, list)
        runs += asked
    asked = ask(
        Question("abduction", program, ((1,),), (1,)), answer("input", "1"), ExercisesStyle(), Limits()
    )
    assert isinstance(asked, list)
    for run in runs + asked:
        assert type(run.program) is str
        assert encode_payload(run)
