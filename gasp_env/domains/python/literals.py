"""Expressions as values: what Python reads as a literal, though the value language is stricter."""

from __future__ import annotations

import ast
from typing import Any

from gasp_env.domains.python import candidates
from gasp_env.domains.python.calls import CallReader
from gasp_env.tasks import Arguments
from gasp_env.values import ValueSyntaxError, parse_arguments, parse_literal


def literal(text: str) -> Any:
    """A value as Python reads it: a sign, a comment, a tuple without parentheses are no obstacle.

    Raises:
        ValueSyntaxError: it is no literal.
    """
    try:
        return parse_literal(text)
    except ValueSyntaxError:
        found = arguments(text, None)
        if not found:
            raise
        return found[0] if len(found) == 1 and not text.rstrip().endswith(",") else found


def arguments(text: str, signature: ast.arguments | None) -> Arguments:
    """Arguments as they stand in a call, with keywords, signs and comments.

    Raises:
        ValueSyntaxError: they are no literals.
    """
    try:
        return parse_arguments(text)
    except ValueSyntaxError as error:
        program = candidates.parsed(f"f({text}\n)")
        body = program.tree.body if program is not None else []
        if len(body) != 1 or not isinstance(body[0], ast.Expr) or not isinstance(body[0].value, ast.Call):
            raise
        reader = CallReader(frozenset("f"), signature or _in_order(body[0].value))
        try:
            return reader.arguments(body[0].value)
        except ValueSyntaxError:
            raise error from None


def _in_order(call: ast.Call) -> ast.arguments:
    """A signature whose parameters are the keywords of a call in their order."""
    names = [ast.arg(f" {number}") for number in range(len(call.args))]
    names += [ast.arg(keyword.arg or "") for keyword in call.keywords]
    return ast.arguments([], names, None, [], [], None, [])
