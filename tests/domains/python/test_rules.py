"""Static rules, where they take a shorter way: it leads to the same."""

from __future__ import annotations

import ast
import builtins
import contextlib
import symtable
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.domains.python import parsing
from gasp_env.domains.python import rules as static
from gasp_env.domains.python.parsing import ParseError, nodes, parse_program
from gasp_env.domains.python.purity import is_plain, keeps_nothing

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
def _programs(draw: st.DrawFn) -> str:
    name = st.sampled_from(_NAMES)

    def filled(text: str) -> str:
        e = draw(st.sampled_from(_EXPRESSIONS)).format(a=draw(name), b=draw(name))
        return text.format(a=draw(name), b=draw(name), e=e)

    lines = [filled(draw(st.sampled_from(_STATEMENTS))) for _ in range(draw(st.integers(1, 5)))]
    comment = draw(st.sampled_from(["", "# print(input)\n", "# é\n"]))
    return comment + filled(draw(st.sampled_from(_HEADS))) + ":\n    " + "\n    ".join(lines)


def _said_plainly(program: str) -> bool:
    """What `keeps_nothing` means, with all scopes looked at and the tree walked again for every rule."""
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
            and not (node.attr in static._PURE_METHODS and isinstance(node.ctx, ast.Load))
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
    return reached <= static._PURE_BUILTINS


@given(_programs())
def test_keeping_nothing_is_what_all_scopes_say(program: str) -> None:
    """It is more careful only where an annotation binds something."""
    with contextlib.suppress(SyntaxError):
        plain = _said_plainly(program)
        try:
            claimed = keeps_nothing(nodes(ast.parse(program)), program)
        except static.Refused:  # a function that cannot be compiled
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


@given(_programs() | st.lists(st.sampled_from(_PIECES), max_size=14).map("".join))
def test_plain_programs_keep_nothing(text: str) -> None:
    for program in (text, f"def f(x):\n    y = x\n    {text}", f"# c\n\ndef f(x):\n    return [{text}]\n"):
        if is_plain(program):
            with contextlib.suppress(SyntaxError):
                assert _said_plainly(program)


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
    assert is_plain(program) is plain
    assert not static.may_keep_state(program) or not plain


@given(_programs())
def test_banned_names_are_found_in_any_scope(program: str) -> None:
    try:
        scopes = static._scopes(program)
    except static.Refused:
        return
    banned = {
        symbol.get_name()
        for scope in scopes
        for symbol in scope.get_symbols()
        if symbol.get_name() in static.BANNED_NAMES
        and not (scope.get_type() == "function" and not symbol.is_global())
    }
    if banned:
        assert static._may_name(program, static.BANNED_NAMES)


@given(_programs())
def test_nodes_are_those_of_a_walk(program: str) -> None:
    with contextlib.suppress(SyntaxError):
        tree = ast.parse(program)
        mine, levels = parsing._walk(tree)
        walked = [node for node in ast.walk(tree) if not isinstance(node, ast.expr_context)]
        assert Counter(map(id, mine)) == Counter(map(id, walked))
        assert mine[0] is tree
        assert levels == _levels(tree)


def _levels(tree: ast.AST) -> int:
    below = [_levels(n) for n in ast.iter_child_nodes(tree) if not isinstance(n, ast.expr_context)]
    return 1 + max(below, default=0)


@given(st.text("([{)]}'\"#\n ax,", max_size=200))
def test_few_brackets_cannot_nest_deep(text: str) -> None:
    """Nesting is at most the number of opening brackets, so that what is not looked at was not too deep."""
    deep = parsing.MAX_NESTING
    assert parse_program("x = " + "(" * deep + ")" * deep)
    with pytest.raises(ParseError, match="nested"):
        parse_program("x = " + "(" * (deep + 1) + ")" * (deep + 1) + "\n" + text)
    with contextlib.suppress(ParseError):
        tree = parse_program(text)
        assert ast.dump(tree) == ast.dump(ast.parse(text))
