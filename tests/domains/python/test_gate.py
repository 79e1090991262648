from __future__ import annotations

import ast
import dataclasses
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env import domains
from gasp_env.domains.base import Request
from gasp_env.domains.python import syntax
from gasp_env.domains.python.gate import (
    CHECKS,
    REASONS,
    SPARE,
    Gate,
    Rejected,
    Unscored,
    _behave_alike,
    _behaviour,
    _differ,
    check_static,
    select_inputs,
)
from gasp_env.domains.python.leaks import quotes_program
from gasp_env.domains.python.novelty import normal_form
from gasp_env.domains.python.parsing import parse_proposal
from gasp_env.domains.python.program import Program
from gasp_env.domains.python.purity import keeps_state
from gasp_env.domains.python.rules import GateRules
from gasp_env.domains.python.styles import ExercisesStyle
from gasp_env.domains.python.styles.shots import SHOTS
from gasp_env.domains.python.triplet import Proposal
from gasp_env.episode.turns import Judged
from gasp_env.episode.view import View
from gasp_env.library.library import Library
from gasp_env.sandbox import Sandbox
from gasp_env.sandbox.runs import HASH_SEEDS, Call, Limits, Result, Run, Status
from gasp_env.tasks import Entry, Goalpost, Task
from gasp_env.values import encode
from tests.players import ALIKE, LONG_OUTPUT, PROGRAMS, REFUSED, execute, proposal
from tests.sandbox_image.strategies import lookalikes

GATE = Gate(GateRules(), Limits())
STATEMENT = "Given a list of numbers, add one to each of them and return the sum of all."
GOALPOST = Goalpost("g", STATEMENT, "def f(x)", (), ())
VALID = parse_proposal(proposal(PROGRAMS[0]))


def decide(results: list[Result], proposed: Proposal = VALID, gate: Gate = GATE, **options: object) -> Task:
    arguments = {"view": Library().view(), "stage": "lemma", "axis": "f", "goalpost": GOALPOST} | options
    return gate.decide(proposed, results, Request(**arguments))


def reason(results: list[Result], proposed: Proposal = VALID, **options: object) -> str:
    with pytest.raises(Rejected) as caught:
        decide(results, proposed, **options)
    checks = {f"_check_{check}" for check, reasons in CHECKS.items() if caught.value.reason in reasons}
    assert checks & {entry.name for entry in caught.traceback}
    return caught.value.reason


def test_every_reason_has_its_checks() -> None:
    assert {reason: check for check in reversed(CHECKS) for reason in CHECKS[check]} == REASONS
    assert all(hasattr(Gate, f"_check_{check}") for check in list(CHECKS)[2:])


STATIC = [
    name
    for name in REFUSED
    if name not in ("too_long", "not_utf8", "no_program", "ambiguous", "no_inputs", "bad_input")
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


def test_a_program_that_may_keep_state_runs_every_input_alone() -> None:
    plain = GATE.runs(VALID)
    assert len(plain) == len(HASH_SEEDS), "a function of its argument alone is spared that"
    keeps = dataclasses.replace(VALID, program="seen = []\ndef f(x):\n    return x + 1")
    runs = GATE.runs(keeps)
    assert [run.inputs for run in runs[len(HASH_SEEDS) :]] == [(arguments,) for arguments in VALID.inputs]
    assert {run.hash_seed for run in runs[len(HASH_SEEDS) :]} == set(HASH_SEEDS)
    results = [execute(dataclasses.replace(run, program=PROGRAMS[0])) for run in runs]
    assert decide(results, keeps).content.outputs == tuple(i + 1 for i in range(10))
    results[-1] = Result(Status.OK, (Call(Status.OK, 99),))
    assert reason(results, keeps) == "nondeterministic"
    results[-1] = Result(Status.EXCEPTION)
    assert reason(results, keeps) == "nondeterministic"


@pytest.mark.parametrize(
    ("program", "nothing"),
    [
        ("def f(x):\n    y = sorted(x)\n    return [v + 1 for v in y if v > 0]", True),
        ("def f(n):\n    return 1 if n < 2 else n * f(n - 1)", True),
        ("def f(x):\n    d = {}\n    d.update(a=x)\n    return d", True),
        ("n = 0\ndef f(x):\n    return x", False),
        ("def f(x, seen=[]):\n    return x", False),
        ("def f(x, *, seen={}):\n    return x", False),
        ("def f(x):\n    f.n = x\n    return x", False),
        ("def f(x):\n    g = f\n    g.n = x\n    return x", False),
        ("def f(x):\n    global n\n    n = x\n    return x", False),
        ("def f(x):\n    import decimal\n    return x", False),
        ("def f(x):\n    return '{0.gi_frame}'.format(i for i in x)", False),
        ("def f(x):\n    return unknown(x)", True),
        ("def f(x):\n    return unknown(x) + len(x)", True),
        ("def f(x):\n    try:\n        return unknown(x)\n    except NameError:\n        return 1", False),
        ("def f(x):\n    try:\n        return unknown(x)\n    except:\n        return 1", False),
        ("def f(x):\n    return __name__", False),
        ("def f(x):\n    return print(x)", False),
        ("def f(x):\n    print = x\n    return print", True),
        ("def f(input):\n    return [next for next in input]", True),
        ("def f(x):\n    return [next for next in x], next", False),
        ("def f(x: (seen := [])):\n    seen.append(x)\n    return len(seen)", False),
        ("def f(x) -> (seen := []):\n    seen.append(x)\n    return len(seen)", False),
        ("def f(x: [seen := [], int]):\n    seen.append(x)\n    return len(seen)", False),
        ("def f(x: int) -> int:\n    return (y := x) + y", True),
        ("def square(x):\n    return square(x - 1) if x else 0", True),
        ("def square(x):\n    y = square\n    y.n = x\n    return x", False),
        ("def f(x):\n    return [f]", False),
        ("def f(x):\n    return x.format(x)", False),
        ("@staticmethod\ndef f(x):\n    return x", False),
        ("def f(x):\n    class C: pass\n    return x", False),
        ("def f(x):\n    f = x\n    return f", False),
        ("def f(x):\n    [license for license in ()]\n    license.count = 1\n    return x", False),
        ("def f(x):\n    x.count = 1\n    return x", False),
    ],
)
def test_keeps_state(program: str, nothing: bool) -> None:
    assert keeps_state(Program(program)) is not nothing


@pytest.mark.parametrize(
    ("message", "leaks"),
    [
        ("It adds 1 to a number.", False),
        ("Think of 5 apples and 7 pears.", False),
        ("Return 1 if the number is even and 0 otherwise.", False),
        ("f(5) == 6, f(6) == 7 and so on", True),
        ("{5: 6, 6: 7}", True),
        ("The rest gives 8, 9 and 10.", True),
        ("def  f(x): return something", True),
        ("f = lambda x: x+1", True),
        ("just return x  +  1", True),
    ],
)
def test_messages_that_give_the_answer_away(message: str, leaks: bool) -> None:
    proposed = parse_proposal(proposal(PROGRAMS[0], message=message))
    try:
        decide([execute(run) for run in GATE.runs(proposed)], proposed)
        found = None
    except Rejected as rejected:
        found = rejected.reason
    assert found == ("message_leaks" if leaks else None)


def test_messages_may_name_labels_and_words_of_the_program() -> None:
    shown = tuple(i % 2 == 0 for i in range(10))
    program = "def f(x):\n    count = x % 2\n    if count:\n        return False\n    return True"
    proposed = dataclasses.replace(
        VALID, program=program, message="Return True if x is even, and then return False."
    )
    results = [
        Result(Status.OK, tuple(Call(Status.OK, v) for v in order)) for order in (shown, shown[::-1]) * 2
    ]
    assert decide(results, proposed).content.outputs == shown


def test_looking_for_leaks_in_a_long_message_comes_to_an_end() -> None:
    inputs = tuple(([1] * (500 + i),) for i in range(10))
    proposed = dataclasses.replace(VALID, inputs=inputs, message="1, " * 5000)
    outputs = tuple([1] * (600 + i) for i in range(10))
    gate = Gate(GateRules(output_chars=10_000), Limits())
    results = [Result(Status.OK, tuple(Call(Status.OK, v) for v in o)) for o in (outputs, outputs[::-1]) * 2]
    assert decide(results, proposed, gate=gate).content.outputs == outputs


def test_brackets_in_text_are_no_nesting() -> None:
    check_static(
        dataclasses.replace(VALID, program=f"def f(x):\n    return '{'(' * 100}'.count('(') + x"), GateRules()
    )
    hidden = "def f(x):\n    return ')' * 0 + " + "'" + ")" * 200 + "' + " + "(" * 150 + "x" + ")" * 150
    with pytest.raises(Rejected, match="nested"):
        check_static(dataclasses.replace(VALID, program=hidden), GateRules())


def test_depth_does_not_depend_on_the_caller() -> None:
    deep = dataclasses.replace(VALID, program="def f(x):\n    return x" + ".a" * 400)

    def under(frames: int) -> str:
        if frames:
            return under(frames - 1)
        with pytest.raises(Rejected) as caught:
            check_static(deep, GateRules())
        return caught.value.reason

    assert under(0) == under(400) == "unparsable"


def test_valid_proposal_becomes_a_task_with_our_outputs() -> None:
    task = decide([execute(run) for run in GATE.runs(VALID)])
    assert task.content.outputs == tuple(i + 1 for i in range(10))
    assert task.content.shown == 5


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


@given(st.lists(lookalikes(), min_size=1, max_size=3))
def test_inputs_differ_if_their_encodings_do(pairs: list[tuple[Any, Any]]) -> None:
    for inputs in ([(value,) for pair in pairs for value in pair], pairs):
        assert _differ(inputs) is (len({encode(arguments) for arguments in inputs}) == len(inputs))


def test_difference_between_hash_seeds() -> None:
    results = good()
    calls = list(results[2].calls)
    calls[4] = Call(Status.OK, True)  # 1 == True in Python, not here
    results[2] = dataclasses.replace(results[2], calls=tuple(calls))
    assert reason(results) == "nondeterministic"


@given(st.lists(lookalikes(), max_size=3), st.booleans(), st.booleans())
def test_calls_are_alike_if_their_encodings_are(
    pairs: list[tuple[Any, Any]], fails: bool, longer: bool
) -> None:
    left = [Call(Status.OK, value) for value, _ in pairs]
    right = [Call(Status.OK, value) for _, value in pairs] + [Call(Status.OK, None)] * longer
    if fails:
        right[:1] = [Call(Status.EXCEPTION, None, "ValueError")]
    for a, b in ((left, right), (right, left), (left, left), (right, right)):
        assert _behave_alike(a, b) is (_behaviour(a) == _behaviour(b))


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


def holding(*tasks: Task, embedder: Any = None) -> View:
    return Library([Entry(task, 4, 8, True) for task in tasks], embedder=embedder).view()


def test_duplicate() -> None:
    held = holding(decide(good()))
    assert reason(good(), view=held) == "duplicate"
    decide(good(), gate=dataclasses.replace(GATE, exact=False), view=held)


def test_lift_is_not_compared_with_its_lemma_unless_it_is_the_lemma() -> None:
    lemma = decide(good())
    assert reason(good(), stage="lift", parent=lemma) == "duplicate"
    harder = parse_proposal(proposal(PROGRAMS[0], [str(i * 1000) for i in range(10)]))
    results = [execute(run) for run in GATE.runs(harder)]
    lift = decide(results, harder, stage="lift", parent=lemma, view=holding(lemma))
    assert lift.parent == lemma.fingerprint


def test_what_is_too_similar_is_refused_but_for_a_lift_and_its_lemma() -> None:
    gate = dataclasses.replace(GATE, threshold=ALIKE.threshold)
    lemma = decide(good())
    other = parse_proposal(proposal(PROGRAMS[2]))
    results = [execute(run) for run in GATE.runs(other)]
    held = holding(lemma, embedder=ALIKE)
    assert reason(results, other, gate=gate, view=held) == "similar"
    assert decide(results, other, gate=gate, view=held, stage="lift", parent=lemma)
    third = decide(
        [execute(r) for r in GATE.runs(parse_proposal(proposal(PROGRAMS[3])))],
        parse_proposal(proposal(PROGRAMS[3])),
    )
    both = holding(lemma, third, embedder=ALIKE)
    assert reason(results, other, gate=gate, view=both, stage="lift", parent=lemma) == "similar"


def test_what_says_the_same_to_all_is_nothing_to_find_out() -> None:
    constant = parse_proposal(proposal("def f(x):\n    return 7"))
    assert reason([execute(run) for run in GATE.runs(constant)], constant) == "one_output"
    single = parse_proposal(proposal("def f(x):\n    return 7", ["3"], None))
    results = [execute(run) for run in GATE.runs(single, "deduction")]
    assert decide(results, single, stage="propose", axis=None, goalpost=None, kind="deduction")


def test_the_goalposts_own_reference_is_no_variant() -> None:
    copied = dataclasses.replace(GOALPOST, reference="# mine\ndef f(number):\n    return number + 1")
    assert reason(good(), goalpost=copied) == "copies_goalpost"
    assert decide(good(), goalpost=dataclasses.replace(GOALPOST, reference="def f(x:"))


def test_a_message_does_not_quote_the_goalpost() -> None:
    for message, leaks in (
        (STATEMENT, True),
        ("Hint: " + STATEMENT.upper().replace(" ", "\n") + " Good luck.", True),
        ("Add one to each of them.", False),
    ):
        proposed = parse_proposal(proposal(PROGRAMS[0], message=message))
        results = [execute(run) for run in GATE.runs(proposed)]
        if leaks:
            assert reason(results, proposed) == "message_leaks"
        else:
            assert decide(results, proposed).content.message == message


def test_what_was_accepted_in_the_same_episode_is_known() -> None:
    task = decide(good())
    assert reason(good(), own={task.fingerprint}) == "duplicate"


def test_one_input_for_what_is_no_induction() -> None:
    one = parse_proposal(proposal(PROGRAMS[0], ["3"], None))
    for kind in ("deduction", "abduction"):
        results = [execute(run) for run in GATE.runs(one, kind)]
        task = decide(results, one, stage="propose", axis=None, goalpost=None, kind=kind)
        assert (task.kind, task.content.shown, task.content.outputs, task.axis) == (kind, 0, (4,), None)
        assert len(select_inputs(VALID, GateRules(), kind).inputs) == 1 + SPARE
    with pytest.raises(Rejected, match="expected 6 to 12 inputs, got 1"):
        GATE.runs(one)


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
    assert (Program(left).form == Program(right).form) is same


@given(st.sampled_from(["x", "value", "long_name_1", "f2"]), st.sampled_from(PROGRAMS))
def test_normal_form_ignores_names(name: str, program: str) -> None:
    renamed = re.sub(r"\bx\b", name, program)
    assert Program(renamed).form == Program(program).form


def test_normal_form_does_not_recurse() -> None:
    assert normal_form(syntax.nodes(ast.parse("def f(x): return x" + "[0]" * 900)))


def test_rules_need_a_hidden_pair() -> None:
    with pytest.raises(ValueError, match="hidden"):
        GateRules(input_count=(4, 4), shown=4)


def _inputs(count: int) -> list[str]:
    return [str(number) for number in range(count)]


@pytest.mark.docker
@pytest.mark.parametrize(
    ("raising", "working", "kept"),
    [(0, 6, 6), (2, 6, 6), (4, 12, 12), (0, 16, 12), (3, 9, 9)],
)
def test_inputs_that_raise_are_left_out(sandbox: Sandbox, raising: int, working: int, kept: int) -> None:
    domain = domains.get("python").with_novelty("exact")
    inputs = [str(100 + number) for number in range(raising)] + _inputs(working)
    text = proposal("def f(x):\n    return 2 * x if x < 90 else [][x]", inputs)
    request = Request("lemma", Library().view(), axis="f")
    asked = domain.read_proposal(text, request)
    judged = asked if isinstance(asked, Judged) else asked.decide(sandbox.run_many(asked.runs), None)
    assert judged.verdict.reason == "valid"
    assert judged.task is not None
    content = judged.task.content
    assert content.inputs == tuple((number,) for number in range(kept))
    assert content.shown == kept // 2
    assert judged.verdict.detail.count("f(10") == raising


@pytest.mark.docker
def test_too_many_that_raise_refuse_the_proposal(sandbox: Sandbox) -> None:
    domain = domains.get("python").with_novelty("exact")
    text = proposal("def f(x):\n    return 2 * x if x < 5 else [][x]", _inputs(10))
    asked = domain.read_proposal(text, Request("lemma", Library().view(), axis="f"))
    assert not isinstance(asked, Judged)
    judged = asked.decide(sandbox.run_many(asked.runs), None)
    assert judged.verdict.reason == "exception"


def test_an_exact_number_stays_exact() -> None:
    rules = GateRules(input_count=(10, 10))
    assert rules.shows(10) == 5
    twelve = parse_proposal(proposal(PROGRAMS[0], _inputs(12)))
    assert len(select_inputs(twelve, rules).inputs) == 12
    with pytest.raises(Rejected, match="expected 10 to 10 inputs, got 12"):
        check_static(select_inputs(twelve, rules), rules)


def test_repetitions_are_left_out_while_enough_remain() -> None:
    chosen = select_inputs(parse_proposal(proposal(PROGRAMS[0], _inputs(7) + ["3", "3"])), GateRules())
    assert (len(chosen.inputs), chosen.left_out) == (7, ("2 repeated",))


@pytest.mark.parametrize(
    "text",
    [
        SHOTS[0].exercise,
        SHOTS[1].harder,
        SHOTS[0].exercise.replace("fitting", "wide").replace("3)", "-1)"),
        SHOTS[0].exercise.replace("min(", "max("),
        SHOTS[0].exercise.replace("f([", "f([1, ").replace(">=", ">"),
    ],
)
def test_the_example_of_the_prompt_is_no_proposal(text: str) -> None:
    """Nor are near copies: its program, its inputs with another program, its hint."""
    gate = Gate(GateRules(), Limits(), examples=ExercisesStyle.examples)
    proposed = parse_proposal(f"```python\n{text}\n```")
    outputs = [Call(Status.OK, number) for number in range(len(proposed.inputs))]
    runs = gate.runs(proposed)
    results = [
        Result(
            Status.OK, tuple(outputs[::-1] if n % 2 and len(run.inputs) > 1 else outputs[: len(run.inputs)])
        )
        for n, run in enumerate(runs[: len(HASH_SEEDS)])
    ]
    results += [Result(Status.OK, (outputs[n],)) for n in range(len(runs) - len(HASH_SEEDS))]
    with pytest.raises(Rejected) as caught:
        gate.decide(proposed, results, Request("lemma", Library().view(), axis="f"))
    assert caught.value.reason == "copies_example"


@pytest.mark.parametrize(
    ("message", "leaks"),
    [
        ("If there is none, return -1.", False),
        ("Otherwise return None", False),
        ("Start with total = 0 and go on.", False),
        ("At the end return sorted(x)", True),
    ],
)
def test_mere_values_are_no_leak(message: str, leaks: bool) -> None:
    lines = ["total = 0", "if not x:", "    return -1", "if total:", "    return None", "return sorted(x)"]
    program = "\n    ".join(["def f(x):", *lines])
    assert quotes_program(message, program) == leaks


@pytest.mark.parametrize("name", ["_", "__", "___"])
def test_underscores_are_names(name: str) -> None:
    check_static(
        dataclasses.replace(
            VALID, program=f"def f(x):\n    for {name} in x:\n        x = {name}\n    return x"
        ),
        GateRules(),
    )
