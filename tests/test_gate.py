from __future__ import annotations

import ast
import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.gate import Gate, GateRules, Rejected, Unscored, check_static, normal_form
from gasp_env.parsing import parse_proposal
from gasp_env.sandbox.runs import HASH_SEEDS, Call, Limits, Result, Run, Status
from gasp_env.tasks import Proposal, Task
from tests.players import LONG_OUTPUT, PROGRAMS, REFUSED, execute, proposal

GATE = Gate(GateRules(), Limits())
VALID = parse_proposal(proposal(PROGRAMS[0]))


def decide(results: list[Result], proposed: Proposal = VALID, gate: Gate = GATE, **options: object) -> Task:
    arguments = {"stage": "lemma", "axis": "f", "goalpost": "g", "known": lambda _: False} | options
    return gate.decide(proposed, results, **arguments)


def reason(results: list[Result], proposed: Proposal = VALID, **options: object) -> str:
    with pytest.raises(Rejected) as caught:
        decide(results, proposed, **options)
    return caught.value.reason


STATIC = [
    name for name in REFUSED if name not in ("too_long", "not_utf8", "no_program", "no_inputs", "bad_input")
]


@pytest.mark.parametrize("name", STATIC)
def test_static_rules(name: str) -> None:
    with pytest.raises(Rejected) as caught:
        check_static(parse_proposal(REFUSED[name]), GateRules())
    assert caught.value.reason == name


@pytest.mark.parametrize(
    "program",
    [
        "import math, collections\ndef f(x): return math.gcd(x, 4)",
        "from collections import Counter as C\ndef f(x): return len(C([x]))",
        "def f(*a): return a",
        "class A:\n    def m(self): return 1\ndef f(x): return A().m()",
    ],
)
def test_ordinary_programs_pass(program: str) -> None:
    check_static(dataclasses.replace(VALID, program=program), GateRules())


@pytest.mark.parametrize(
    "line", ["import os", "import os.path", "from os import path", "from . import x", "import math, sys"]
)
def test_imports_are_an_allow_list(line: str) -> None:
    with pytest.raises(Rejected) as caught:
        check_static(dataclasses.replace(VALID, program=f"def f(x):\n    {line}\n    return x"), GateRules())
    assert caught.value.reason == "banned_import"


def test_runs_cover_every_hash_seed_and_both_orders() -> None:
    runs = GATE.runs(VALID)
    assert [run.hash_seed for run in runs] == list(HASH_SEEDS)
    assert runs[0].inputs == VALID.inputs
    assert runs[1].inputs == VALID.inputs[::-1]


def test_valid_proposal_becomes_a_task_with_our_outputs() -> None:
    task = decide([execute(run) for run in GATE.runs(VALID)])
    assert task.outputs == tuple(i + 1 for i in range(10))
    assert task.shown == 5


def test_probes_come_last_and_may_raise() -> None:
    gate = Gate(GateRules(), Limits(), probes=((7,), ("text",)))
    runs = gate.runs(VALID)
    assert all(run.inputs[-2:] == ((7,), ("text",)) for run in runs)
    first = decide([execute(run) for run in runs], gate=gate)
    twin = parse_proposal(proposal(PROGRAMS[0].replace("x + 1", "1 + x")))
    results = [
        dataclasses.replace(execute(dataclasses.replace(run, program=PROGRAMS[0]))) for run in gate.runs(twin)
    ]
    assert decide(results, twin, gate=gate).fingerprint == first.fingerprint
    other = parse_proposal(proposal(PROGRAMS[1]))
    assert decide([execute(r) for r in gate.runs(other)], other, gate=gate).fingerprint != first.fingerprint


def good() -> list[Result]:
    return [execute(run) for run in GATE.runs(VALID)]


@pytest.mark.parametrize("status", [s for s in Status if s not in (Status.OK, Status.INFRA_ERROR)])
@pytest.mark.parametrize("position", [0, 3])
def test_any_failing_run_rejects(status: Status, position: int) -> None:
    results = good()
    results[position] = Result(status, error="because")
    assert reason(results) == status


def test_infra_error_is_unscored_even_beside_a_failure() -> None:
    results = good()
    results[0] = Result(Status.EXCEPTION)
    results[2] = Result(Status.INFRA_ERROR, error="gone")
    with pytest.raises(Unscored, match="gone"):
        decide(results)


def test_difference_between_hash_seeds() -> None:
    results = good()
    calls = list(results[2].calls)
    calls[4] = Call(Status.OK, True)  # 1 == True in Python, not here
    results[2] = dataclasses.replace(results[2], calls=tuple(calls))
    assert reason(results) == "nondeterministic"


def test_state_that_leaks_between_calls() -> None:
    # A program that counts its calls returns the same in any run of one order, and another in the reversed order.
    def counting(run: Run) -> Result:
        return Result(Status.OK, tuple(Call(Status.OK, number) for number in range(len(run.inputs))))

    assert reason([counting(run) for run in GATE.runs(VALID)]) == "nondeterministic"


@pytest.mark.parametrize(
    "used",
    [{"cpu_seconds": 1.1}, {"wall_seconds": 2.6}, {"memory_bytes": 65 * 2**20}, {"output_bytes": 65 * 2**10}],
)
def test_near_a_limit(used: dict[str, float]) -> None:
    results = good()
    results[1] = dataclasses.replace(results[1], **used)
    assert reason(results) == "near_limit"


def test_long_output_is_refused_not_cut() -> None:
    long = parse_proposal(proposal(LONG_OUTPUT))
    assert reason([execute(run) for run in GATE.runs(long)], long) == "output_too_large"


def test_duplicate() -> None:
    fingerprint = decide(good()).fingerprint
    assert reason(good(), known=lambda f: f == fingerprint) == "duplicate"


def test_lift_is_not_compared_with_its_lemma_unless_it_is_the_lemma() -> None:
    lemma = decide(good())
    known = {lemma.fingerprint}.__contains__
    assert reason(good(), stage="lift", lemma=lemma) == "duplicate"
    harder = parse_proposal(proposal(PROGRAMS[0], [str(i * 1000) for i in range(10)]))
    results = [execute(run) for run in GATE.runs(harder)]
    assert decide(results, harder, stage="lift", lemma=lemma, known=known).parent == lemma.fingerprint


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("def f(x):\n    return x+1  # c", 'def f(value):\n    """Doc."""\n    return (value + 1)', True),
        ("def f(x):\n    y = 'x'\n    return y", "def f(x):\n    x1 = 'x'\n    return x1", True),
        ("def f(x): return x.sort", "def f(sort): return sort.sort", True),
        ("def f(a, b): return a - b", "def f(b, a): return b - a", True),
        ("def f(a, b): return a - b", "def f(a, b): return b - a", False),
        ("def f(x): return 'x'", "def f(y): return 'y'", False),
        ("def f(x): return 1", "def f(x): return True", False),
        ("def f(x): return len(x)", "def f(x): return sum(x)", False),
        ("def f(x): return g(x)\ndef g(x): return x", "def f(x): return h(x)\ndef h(x): return x", True),
    ],
)
def test_normal_form(left: str, right: str, same: bool) -> None:
    assert (normal_form(ast.parse(left)) == normal_form(ast.parse(right))) is same


@given(st.sampled_from(["x", "value", "long_name_1", "f2"]), st.sampled_from(PROGRAMS))
def test_normal_form_ignores_names(name: str, program: str) -> None:
    renamed = re.sub(r"\bx\b", name, program)
    assert normal_form(ast.parse(renamed)) == normal_form(ast.parse(program))


def test_normal_form_does_not_recurse() -> None:
    tree = ast.parse("def f(x): return x" + "[0]" * 900)
    assert normal_form(tree)


def test_rules_need_a_hidden_pair() -> None:
    with pytest.raises(ValueError, match="hidden"):
        GateRules(input_count=(4, 4), shown=4)
