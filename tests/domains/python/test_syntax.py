"""From text to tree, within bounds."""

from __future__ import annotations

import ast
import contextlib
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.domains.python import syntax
from gasp_env.domains.python.syntax import ParseError
from tests.domains.python.test_rules import programs


@pytest.mark.parametrize(
    "program",
    [
        "(" * 5000,
        "-" * 16_000 + "1",
        "a" + ".b" * 8000,
        "not " * 4000 + "x",
        "x = '\\d'\n)",
        "def f(x):\n\0",
        "[" * 80 + "]" * 80,
    ],
)
def test_programs_that_break_parsers(program: str) -> None:
    with pytest.raises(ParseError) as caught:
        syntax.parse(program)
    assert caught.value.reason == "unparsable"


@given(programs())
def test_nodes_are_those_of_a_walk(program: str) -> None:
    with contextlib.suppress(SyntaxError):
        tree = ast.parse(program)
        mine, levels = syntax._walk(tree)
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
    deep = syntax.MAX_NESTING
    assert syntax.parse("x = " + "(" * deep + ")" * deep)
    with pytest.raises(ParseError, match="nested"):
        syntax.parse("x = " + "(" * (deep + 1) + ")" * (deep + 1) + "\n" + text)
    with contextlib.suppress(ParseError):
        tree, _ = syntax.parse(text)
        assert ast.dump(tree) == ast.dump(ast.parse(text))
