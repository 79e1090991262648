"""Static rules, where they take a shorter way: it leads to the same."""

from __future__ import annotations

import ast
import builtins
import contextlib
import symtable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.embedder_threshold import Original, originals
from gasp_env.domains.python import purity, rules
from gasp_env.domains.python.program import Program
from gasp_env.domains.python.purity import _is_plain, _keeps_nothing, keeps_state
from gasp_env.domains.python.syntax import ParseError

_NAMES = "x y f g print input next sum list id __name__ __debug__ NameError ValueError unknown sneak".split()
_EXPRESSIONS = (
    "{a}", "{a}({b})", "[{a} for {b} in x]", "(lambda {a}: {b})(x)", "{a}.append({b})", "{a}.count", "{a}.format(x)",
    "({a} := {b})", "[({a} := {b}) for y in x]", "{{**{a}}}", "f'{{{a}}}{{{b}!r}}'", "-{a} if {b} else {a}", "{a}[{b}]",
)  # fmt: skip
_STATEMENTS = (
    "return {e}", "{a} = {e}", "{a}, {b} = x", "for {a} in {e}: y = {b}", "del {a}", "{a} += 1", "{a}: {b} = {e}",
    "try:\n        {a}\n    except {b}:\n        y = 1", "try:\n        {a}\n    except {b} as {a}:\n        pass",
    "try:\n        {e}\n    finally:\n        y = 1", "def {a}({b}): return {e}", "def {a}(y={e}): pass", "global {a}",
    "import {a}", "class {a}: {b} = 1", "with {e} as {a}: pass", "{a}.n = {b}", "async def {a}(): await {b}",
    "assert {e}", "match x:\n        case {a}: pass", "while {e}: break",
)  # fmt: skip
_HEADS = (
    "def f(x)", "def f(x, y)", "def f(x: int) -> list[{a}]", "def f(x: ({a} := [])) -> {b}", "def f(*x)",
    "def f(x={a})", "def g(x)", "@{a}\ndef f(x)", "def {a}({b})", "def f(x: lambda: ({a} := 1))",
    "def f(x, *, y={a})", "y = 1\ndef f(x)",
)  # fmt: skip


@st.composite
def programs(draw: st.DrawFn) -> str:
    name = st.sampled_from(_NAMES)

    def filled(text: str) -> str:
        e = draw(st.sampled_from(_EXPRESSIONS)).format(a=draw(name), b=draw(name))
        return text.format(a=draw(name), b=draw(name), e=e)

    lines = [filled(draw(st.sampled_from(_STATEMENTS))) for _ in range(draw(st.integers(1, 5)))]
    comment = draw(st.sampled_from(["", "# print(input)\n", "# é\n"]))
    return comment + filled(draw(st.sampled_from(_HEADS))) + ":\n    " + "\n    ".join(lines)


def _said_plainly(program: str) -> bool:
    """What `_keeps_nothing` means, with all scopes looked at and the tree walked again for every rule."""
    tree = ast.parse(program)
    if len(tree.body) != 1 or not isinstance(function := tree.body[0], ast.FunctionDef):
        return False
    if function.decorator_list or function.args.defaults or any(function.args.kw_defaults):
        return False
    found = list(ast.walk(function))
    called = {id(node.func) for node in found if isinstance(node, ast.Call)}
    banned = ast.Global | ast.Nonlocal | ast.Import | ast.ImportFrom | ast.ClassDef | ast.Match
    if any(
        isinstance(node, banned)
        or (
            isinstance(node, ast.Try | ast.TryStar)
            and (node.finalbody or any(h.type is None for h in node.handlers))
        )
        or (
            isinstance(node, ast.Attribute)
            and not (node.attr in purity._PURE_METHODS and isinstance(node.ctx, ast.Load))
        )
        or (isinstance(node, ast.Name) and node.id == function.name and id(node) not in called)
        for node in found
    ):
        return False
    try:
        scopes = [symtable.symtable(program, "p", "exec")]
    except SyntaxError:
        return True  # does not even begin
    for scope in scopes:
        scopes += scope.get_children()
    outside = {s.get_name() for scope in scopes[1:] for s in scope.get_symbols() if s.is_global()}
    defined = {s.get_name() for s in scopes[0].get_symbols() if s.is_assigned()} - {function.name}
    reached = {
        name for name in outside if name in defined or hasattr(builtins, name) or name.startswith("__")
    }
    return reached <= purity._PURE_BUILTINS


@given(programs())
def test_keeping_nothing_is_what_all_scopes_say(program: str) -> None:
    """It is more careful only where an annotation binds something."""
    with contextlib.suppress(SyntaxError):
        plain = _said_plainly(program)
        try:
            claimed = _keeps_nothing(Program(program))
        except ParseError:  # a function that cannot be compiled
            return
        assert claimed <= plain
        assert claimed or not plain or ":=" in program


_PIECES = (
    "def f(x):\n", "def f(x, y: int) -> int:\n", "    ", "\n    ", "\n", "return ", "f(x)", "f", "x", " = ",
    "y", ".append(y)", ".count", ".\n    count(1)", ".format(x)", "# ", "#", "'", "\"", "\"\"\"", "\\\n", "(",
    ")", "[", "]", ":", ": ", ";", ", ", "print", "if ", " else ", " for y in ", "lambda y: ", "f'{x}'",
    "import os", "global y", "0x1", "1", "1if ", "y := ", "@", "é", "\f", "\r", "\t", "{", "}", "del ",
    "pass", "yield ", "async ", "await ", "with ", " as ", "try", "class y", "**", ". # c\n    n",
    "x.sort(key=f)", "sorted(x)", "return x", "y = x",
)  # fmt: skip


@given(programs() | st.lists(st.sampled_from(_PIECES), max_size=14).map("".join))
def test_plain_programs_keep_nothing(text: str) -> None:
    for program in (text, f"def f(x):\n    y = x\n    {text}", f"# c\n\ndef f(x):\n    return [{text}]\n"):
        if _is_plain(program):
            with contextlib.suppress(SyntaxError, ParseError):
                assert _said_plainly(program)
                assert _keeps_nothing(Program(program))


@pytest.mark.parametrize(
    ("program", "plain"),
    [
        ("def f(x):\n    return x + 1", True),
        ("# Attempt 1.\ndef f(x):\n    # Doubled.\n    return [y * 2 for y in x]\n", True),
        (
            "def f(nums: list[int], k: int) -> dict[str, int]:\n    d = {}\n    d.update(a=k)\n    return d",
            True,
        ),
        ("def f(n):\n    return 1 if n < 2 else n * f(n - 1)", True),
        ("def f(x):\n    return f'{x}' + f\"{x.strip()}\"", True),
        ("\n\ndef solve(x):\n    def g(y):\n        return y.upper()\n\n    return g(x)", True),
        ("def f(x=[]):\n    return x", False),
        ("def f(x):\n    return x\ny = 1", False),
        ("y = 1; \ndef f(x):\n    return x", False),
        ("@g\ndef f(x):\n    return x", False),
        ("def f(x):\n    f.n = x\n    return x", False),
        ("def f(x):\n    g = f\n    return x", False),
        ("def f(x):\n    g = f\n    (x)", False),
        ("def f(x):\n    x.n = 1", False),
        ("def f(x):\n    return (x. # c\n    format(1))", False),
        ("def f(x):\n    return (x.\n    # c\n    format(1))", False),
        ("def f(x):\n    return print(x)", False),
        ("def f(x):\n    'print'\n    return x", False),
        ("def f(x) -> x[1:(y := [])]:\n    return x", False),
        ("def f(x):\n    return '\\\n# {open}'", False),
        ("def f(x):\n    return 0x1for", False),
        ("def f(x):\n\timport os", False),
        ("def f(x):\n    return ｏｐｅｎ(x)", False),
    ],
)
def test_what_is_plain(program: str, plain: bool) -> None:
    assert _is_plain(program) is plain
    assert not keeps_state(Program(program)) or not plain


@pytest.mark.parametrize("original", originals(), ids=lambda original: original.name)
def test_words_and_tree_agree(original: Original) -> None:
    parsed, unparsed = Program(original.program), Program(original.program)
    assert parsed.tree
    assert parsed.is_parsed
    assert not unparsed.is_parsed
    assert keeps_state(parsed) == keeps_state(unparsed)


def test_words_spare_parsing() -> None:
    for text, keeps in (("def f(x): return x", False), ("import math\ndef f(x): return x", True)):
        program = Program(text)
        assert keeps_state(program) is keeps
        assert not program.is_parsed
    # They cannot tell what is in a string, and then say yes.
    quoted = Program("def f(x):\n    '''\nimport os\n'''\n    return x")
    assert keeps_state(quoted)
    assert not _keeps_nothing(Program("import os"))
    assert _keeps_nothing(quoted)


@given(programs())
def test_rules_take_a_look_at_scopes_where_they_have_to(program: str) -> None:
    """Where they spare it, there is nothing to see: the scopes are in order, and no banned name is among them."""
    with contextlib.suppress(ParseError, rules.Refused):
        parsed = Program(program)
        rules._check_names(parsed)
        if "scopes" not in vars(parsed):
            banned = {
                symbol.get_name()
                for scope in parsed.scopes
                for symbol in scope.get_symbols()
                if scope.get_type() != "function" or symbol.is_global()
            } & rules.BANNED_NAMES
            assert not banned


@pytest.mark.parametrize(
    "program",
    [
        "def f(x, x): return x",
        "def f(x, *x): return x",
        "def f(x): return (lambda y, *, y: y)(x)",
        "def f(x):\n    nonlocal y\n    return x",
        "def f(x):\n    y = 1\n    global y",
        "def f(x): return [y := 1 for y in x]",
        "def f(x): return [(yield) for y in x]",
        "from __future__ import braces\ndef f(x): return x",
        "from __future__ import nothing\ndef f(x): return x",
    ],
)
def test_what_parses_may_be_no_program(program: str) -> None:
    ast.parse(program)
    with pytest.raises(rules.Refused) as caught:
        rules.check_program(Program(program), rules.IMPORTS)
    assert caught.value.reason == "unparsable"


@pytest.mark.parametrize(
    "program",
    [
        "def f(x): return ｅｖａｌ(x)",
        "class vars: pass\ndef f(x): return x",
        "def open(x): return x\ndef f(x): return open(x)",
        "def f(x):\n    global exit\n    exit = x\n    return x",
        "def f(x):\n    class A:\n        input = 1\n    return x",
        "def f(x):\n    match x:\n        case {**eval}: return [(lambda: 1), y.__dict__]",
        "def f(x): return x.__class__",
        "def f(x): return x.__class__.__name__.__class__",
        "def f(x): return type(x)",
        "def f(self): return self.__dict__",
        "def f(x): return x._private",
        "def f(x): return x.gi_frame",
        "def f(__x__): return 1",
    ],
)
def test_names_that_may_not_be_used(program: str) -> None:
    with pytest.raises(rules.Refused) as caught:
        rules.check_program(Program(program), rules.IMPORTS)
    assert caught.value.reason == "banned_name"
