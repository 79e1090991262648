"""The eight verifier holes found by running Absolute Zero's templates: each is refused here.

One test a hole, through the real judge and gate and the real sandbox.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from gasp_env import domains
from gasp_env.domains.base import Request
from gasp_env.domains.python import judge
from gasp_env.domains.python.gate import Rejected
from gasp_env.domains.python.judge import Question
from gasp_env.domains.python.parsing import parse_proposal
from gasp_env.episode.turns import Verdict
from gasp_env.library.library import Library
from gasp_env.sandbox import Sandbox
from tests.players import INPUTS, answer, proposal

PYTHON = domains.get("python")
EXACT = PYTHON.with_novelty("exact")
IDENTITY = "def f(x):\n    return x"
MULTIPLY = "def f(a, b):\n    return a * b + 1"

pytestmark = pytest.mark.docker


def verdict(sandbox: Sandbox, question: Question, text: str) -> Verdict:
    asked = judge.ask(question, text, PYTHON.style, PYTHON.limits)
    return asked if isinstance(asked, Verdict) else judge.decide(question, sandbox.run_many(asked), asked)


def gate_reason(sandbox: Sandbox, program: str, inputs: list[str] | None = None) -> str:
    proposed = parse_proposal(proposal(program, inputs or INPUTS))
    try:
        results = sandbox.run_many(EXACT.gate.runs(proposed))
        EXACT.gate.decide(proposed, results, Request("lemma", Library().view(), axis="f"))
    except Rejected as rejected:
        return rejected.reason
    return "valid"


def test_1_model_text_is_never_evaluated_on_the_host(sandbox: Sandbox, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    attack = f"__import__('pathlib').Path({str(marker)!r}).touch()"
    for kind, tag in (("deduction", "output"), ("abduction", "input")):
        question = Question(kind, IDENTITY, ((1,),), (1,))
        assert verdict(sandbox, question, answer(tag, attack)).reason == "malformed"
    program = f"import pathlib\ndef f(x):\n    pathlib.Path({str(marker)!r}).touch()\n    return x"
    assert not verdict(sandbox, Question("induction", "", ((1,),), (1,)), answer("python", program)).correct
    assert not marker.exists()


def test_2_abduction_answers_are_not_spliced_into_code(sandbox: Sandbox) -> None:
    question = Question("abduction", IDENTITY, ((5,),), (5,))
    for attack in ("type('E', (), {'__eq__': lambda s, o: True})()", "0) or (True", "5) == 5 or f(5"):
        assert verdict(sandbox, question, answer("input", attack)).reason == "malformed"
    assert verdict(sandbox, question, answer("input", "5")).correct


def test_3_overridden_equality_wins_nothing(sandbox: Sandbox) -> None:
    question = Question("induction", "", ((1,), (2,)), (10, 20))
    for base in ("object", "int", "str", "list"):
        program = (
            f"class E({base}):\n    def __eq__(self, other): return True\n    __hash__ = None\n"
            "    def __repr__(self): return '10'\ndef f(x):\n    return E()"
        )
        assert verdict(sandbox, question, answer("python", program)).reason == "unserializable"


def test_4_deduction_takes_values_not_expressions(sandbox: Sandbox) -> None:
    question = Question("deduction", MULTIPLY, ((3, 4),), (13,))
    for expression in ("(lambda a, b: a * b + 1)(3, 4)", "3 * 4 + 1", "int('13')", "[13][0]"):
        assert verdict(sandbox, question, answer("output", expression)).reason == "malformed"
    assert verdict(sandbox, question, answer("output", "13")).correct


def test_5_echoing_the_call_is_not_solving_it(sandbox: Sandbox) -> None:
    question = Question("deduction", MULTIPLY, ((3, 4),), (13,))
    assert verdict(sandbox, question, answer("output", "f(3, 4)")).reason == "malformed"
    # As an abduction it says which arguments are meant; they are tried as any are.
    for call, reason in (("f(3, 4)", "correct"), ("f(4, 4)", "wrong"), ("f(f(3, 4), 1)", "malformed")):
        question = Question("abduction", MULTIPLY, ((3, 4),), (13,))
        assert verdict(sandbox, question, answer("input", call)).reason == reason
    # Nor is a program that hopes to find the teacher's one.
    question = Question("induction", MULTIPLY, ((3, 4),), (13,))
    assert verdict(sandbox, question, answer("python", "g = f")).reason == "exception"
    assert (
        verdict(sandbox, question, answer("python", "def f(a, b):\n    return f(a, b)")).reason == "exception"
    )


def test_6_types_are_not_confused(sandbox: Sandbox) -> None:
    for right, lookalikes in ((1, ("True", "1.0")), ([1], ("(1,)", "[True]")), ("1", ("1", "b'1'"))):
        ask_value = Question("deduction", IDENTITY, ((right,),), (right,))
        ask_program = Question("induction", "", ((0,),), (right,))
        for lookalike in lookalikes:
            assert verdict(sandbox, ask_value, answer("output", lookalike)).reason == "wrong"
            assert (
                verdict(sandbox, ask_program, answer("python", f"def f(x):\n    return {lookalike}")).reason
                == "wrong"
            )
        assert verdict(sandbox, ask_value, answer("output", repr(right))).correct
        assert verdict(sandbox, ask_program, answer("python", f"def f(x):\n    return {right!r}")).correct


def test_7_the_import_ban_bans(sandbox: Sandbox) -> None:
    for module in ("os", "sys", "socket", "uuid", "secrets", "os.path", "random", "time"):
        assert gate_reason(sandbox, f"import {module}\n{IDENTITY}") == "banned_import"
    for call in ("open('/etc/passwd').read()", "__import__('random').random()", "eval('1')", "exec('1')"):
        assert gate_reason(sandbox, f"def f(x):\n    return {call}") == "banned_name"


@pytest.mark.parametrize(
    ("lines", "value"),
    [
        ("from enum import sys", "len(sys.argv)"),
        ("from statistics import random", "random.random()"),
        ("from json import *", "x"),
        ("from collections import _sys", "x"),
        ("import enum", "len(enum.sys.argv)"),
        ("import enum as e", "e.sys.path"),
        ("import enum", "(lambda m: m.sys)(enum)"),
        ("import enum\nfriend = enum", "friend.sys"),
        ("import typing", "typing.sys.modules['posix'].uname()"),
        ("import statistics", "statistics.random.random()"),
        ("import re", "re.enum.sys.argv"),
        ("import json", "json.decoder.scanner.re.enum"),
        ("import json.decoder", "x"),
        ("import collections.abc", "[collections.abc]"),
        ("from collections import abc", "[abc]"),
        ("import operator", "operator.attrgetter('__globals__')(f)"),
        ("import string", "string.Formatter().get_field('0.__globals__', (f,), {})"),
        ("import typing", "typing.get_type_hints(f)"),
        ("", "__builtins__['open']('/etc/passwd').read()"),
        ("", "f.__builtins__['eval']('x')"),
        ("", "f.__globals__"),
        ("", "getattr(f, '__glo' + 'bals__')"),
        ("", "(i for i in [x]).gi_frame.f_back"),
        ("", "type('C', (), {'__match_args__': ('__globals__',)})"),
        ("class C:\n    __match_args__ = ('__globals__',)", "x"),
        ("class A:\n    import json", "A.json.codecs.open('/proc/uptime').read()"),
        ("class A:\n    if 1:\n        import enum", "A.enum.sys.modules"),
        ("import enum as m\ndef g():\n    import math as m", "m.sys.modules"),
        ("import math", "math.no_such_member"),
        (
            "import functools, collections",
            "functools.update_wrapper(f, collections.namedtuple, [], ['__globals__'])",
        ),
        ("import functools\n@functools.singledispatch\ndef g(x): pass", "x"),
        ("import typing", "typing.get_args(typing.List['x'])[0]._evaluate({}, {}, frozenset())"),
        ("import enum", "enum.Enum._convert_('E', 'time', lambda n: True)"),
        ("", "repr(type(license)('n', '', ['uptime'], ['/proc']))"),
        ("import statistics", "statistics.NormalDist(0, 1).samples(1)"),
        ("T = type(int)", "x"),
        ("class M(type): pass", "x"),
        ("from dataclasses import dataclass\n@dataclass\nclass P:\n    gi_frame: int", "x"),
        ("def g(open): pass", "open('/etc/passwd')"),
        ("if 0:\n    open = 1", "open('/etc/passwd')"),
        ("class C:\n    x = open('/etc/passwd')", "x"),
    ],
)
def test_7_nor_do_the_ways_around_it_that_we_know(lines: str, value: str) -> None:
    program = f"{lines}\ndef f(x):\n    return {value}"
    with pytest.raises(Rejected) as caught:
        EXACT.gate.runs(parse_proposal(proposal(program)))
    assert caught.value.reason in ("banned_import", "banned_name")


def test_7_a_pattern_is_an_attribute_too() -> None:
    program = "def f(x):\n    match f:\n        case object(__globals__=g):\n            return len(g)"
    with pytest.raises(Rejected) as caught:
        EXACT.gate.runs(parse_proposal(proposal(program)))
    assert caught.value.reason == "banned_name"


def test_7_what_is_allowed_still_works(sandbox: Sandbox) -> None:
    for lines, value in (
        ("import math, itertools", "math.gcd(x, 6) + len(list(itertools.repeat(1, x)))"),
        ("from collections import Counter, deque", "sorted(Counter([x, x]).items()) + list(deque([x]))"),
        ("import collections.abc", "isinstance([x], collections.abc.Sequence)"),
        ("from copy import copy\nimport copy as c", "copy([x]) + c.copy([x])"),
        ("import re", "re.sub('[0-9]', '#', str(x))"),
        ("from functools import reduce", "reduce(lambda a, b: a * b, range(1, x + 2))"),
        ("class P:\n    def __init__(self, v):\n        self.v = v", "P(x).v"),
        ("", "type(x).__name__ + '{0:03d}'.format(x) + x.__class__.__name__ + str(type(x) is int)"),
        ("from __future__ import annotations\nfrom abc import ABC\nclass A(ABC): pass", "isinstance(x, A)"),
        ("def g(input, open=1):\n    vars = input + open\n    return vars", "g(x)"),
        (
            "from collections import defaultdict, namedtuple\nP = namedtuple('P', 'a b')",
            "P(x, 1)._replace(a=2).a",
        ),
        (
            "class P:\n    def __init__(self):\n        self._v = 1\n    def __lt__(self, o): return True",
            "P() < P()",
        ),
        ("from functools import lru_cache, cmp_to_key", "sorted([3, x], key=cmp_to_key(lambda a, b: b - a))"),
        ("import heapq, string, math", "[heapq.nsmallest(1, [x, 2])[0], string.digits, math.inf]"),
        (
            "from decimal import Decimal\nfrom fractions import Fraction",
            "str(Decimal(x)) + str(Fraction(x, 3))",
        ),
        (
            "def g(x):\n    try:\n        return 1 // x\n    except ZeroDivisionError as e:\n        return str(e)",
            "g(x)",
        ),
        ("if __name__ == '__main__':\n    pass", "[y for y in range(x) if (z := y) > 1]"),
    ):
        assert gate_reason(sandbox, f"{lines}\ndef f(x):\n    return {value}, x") == "valid", lines


def test_8_nondeterminism_across_processes_is_seen(sandbox: Sandbox) -> None:
    programs = {
        "hash of a string": "def f(x):\n    return hash('a' + str(x)) % 1000",
        "set order": "def f(x):\n    return list({'a', 'b', 'c', 'd', 'e', 'f', 'g' + str(x)})",
        "address": "def f(x):\n    return id(object()) + x",
        "address in a repr": "def f(x):\n    return str(object()) + str(x)",
        "counter in a global": "n = 0\ndef f(x):\n    global n\n    n += 1\n    return n",
        "counter that looks the same from both ends": (
            "n = [0]\ndef f(x):\n    k = min(n[0], 9 - n[0])\n    n[0] += 1\n    return x + k"
        ),
        "other first and last call": (
            "n = [0]\ndef f(x):\n    n[0] += 1\n    return x if 2 <= n[0] <= 9 else 99"
        ),
        "attribute of the function": (
            "def f(x):\n    f.n = vals(f) + 1\n    return x + f.n\n"
            "def vals(g):\n    try:\n        return g.n\n    except AttributeError:\n        return 0"
        ),
        "cache of a library": (
            "from functools import lru_cache\nseen = []\n@lru_cache\ndef g(x):\n    seen.append(x)\n"
            "    return len(seen)\ndef f(x):\n    return g(x % 2)"
        ),
        "mutable default": "def f(x, seen=[]):\n    seen.append(x)\n    return len(seen)",
    }
    for name, program in programs.items():
        assert gate_reason(sandbox, program) == "nondeterministic", name
    assert gate_reason(sandbox, "def f(x):\n    return sorted({'a', 'b', str(x)})") == "valid"
