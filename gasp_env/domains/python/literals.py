"""Answers that are values: an output, or arguments, as literals in whatever place of a text."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence
from typing import Any

from gasp_env.domains.python import candidates
from gasp_env.domains.python.calls import CallReader, literal_text
from gasp_env.domains.python.texts import INPUT_TAGS, OUTPUT_TAGS, Text
from gasp_env.tasks import Arguments
from gasp_env.values import ValueSyntaxError, parse_arguments, parse_literal

#: Most blocks or lines of a text that are read as values: a bound on the work that a hostile text causes.
MAX_BODIES = 64

#: A value that is announced: ``Output: 3``, ``**Answer:** 3``.
_SAID = re.compile(
    r"^[\s#>*_\-`]*(?:the )?(?:final )?(?:output|result|answer|return(?:s|ed)?(?: value)?|value|arguments?|inputs?)"
    r"(?: is| are|:| =)+[*_\s]*(?P<value>.+)$",
    re.I,
)
_INLINE = re.compile(r"`([^`\n]+)`")


def values(read: Text, kind: str, signature: ast.arguments | None) -> list[Any]:
    """The answers that a text gives: values, or arguments. Those of a later form are read only without an earlier."""
    tags = OUTPUT_TAGS if kind == "deduction" else INPUT_TAGS
    lines = read.rest.split("\n")
    for bodies in (
        [block.body for block in read.blocks if block.tag in tags],
        [block.body for block in read.blocks if block.tag not in tags],
        # A full stop behind a number ends the sentence.
        [said["value"].rstrip(".") for line in lines if (said := _SAID.match(line))],
        [line for line in lines if "f(" in line or "input(" in line],
        [read.rest],
        _INLINE.findall(read.rest),
    ):
        found = [value for body in bodies[:MAX_BODIES] for value in _answers(body, kind, signature)]
        if found:
            return found
    return []


def _answers(body: str, kind: str, signature: ast.arguments | None) -> list[Any]:
    """The answers that a block or a line holds."""
    body = body.strip().removeprefix("\ufeff")
    labelled = _SAID.match(body.rpartition("\n")[2])
    tried = (body, body.strip("`*. "), labelled["value"].strip("`* ") if labelled is not None else body)
    for text in dict.fromkeys(tried):
        if not text:
            continue
        try:
            return [_literal(text) if kind == "deduction" else arguments(text, signature)]
        except ValueSyntaxError:
            program = candidates.parsed(text)
        if program is not None:
            completed = _outputs if kind == "deduction" else _inputs
            found = completed(program.tree.body, signature)
            if found:
                return found
    return []


def _outputs(body: Sequence[ast.stmt], signature: ast.arguments | None) -> list[Any]:
    """Values in the form of a completed statement: ``f(2) == 3``, ``assert f(2) == 3``, ``x = 3``, ``print(3)``."""
    found = []
    for node in body:
        value = node.test if isinstance(node, ast.Assert) else getattr(node, "value", None)
        if isinstance(value, ast.Call) and _is_name(value.func, "print") and len(value.args) == 1:
            value = value.args[0]
        if isinstance(value, ast.Compare):
            if len(value.ops) != 1 or not isinstance(value.ops[0], ast.Eq | ast.Is):
                continue
            value = value.comparators[0]
        elif not (isinstance(node, ast.Assign | ast.Expr) and len(body) == 1):
            continue
        if value is not None:
            found += _text_as(parse_literal, value)
    return found


def _inputs(body: Sequence[ast.stmt], signature: ast.arguments | None) -> list[Any]:
    """Arguments in the form of a completed statement: ``f(2) == 3``, ``assert f(x) == 3``, ``x = 2``."""
    reader = CallReader(frozenset({"f", "input"}), signature)
    reader.of_statements(body)
    if reader.calls.read or reader.calls.unread:
        return list(reader.calls.read)
    assigned = {
        target.id: node.value
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    if len(assigned) < len(body) or not assigned:
        return []
    names = [one.arg for one in (*signature.posonlyargs, *signature.args)] if signature is not None else []
    values = [assigned[name] for name in names if name in assigned]
    if len(values) < len(assigned):
        values = list(assigned.values()) if len(assigned) == 1 else []
    found = [_text_as(parse_literal, value) for value in values]
    return [tuple(value for (value,) in found)] if values and all(found) else []


def _text_as(parse: Callable[[str], Any], node: ast.expr) -> list[Any]:
    """What a parser of text makes of an expression, alone in a list; an empty list if it refuses it."""
    try:
        return [parse(literal_text(node))]
    except (ValueSyntaxError, RecursionError):
        return []


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _literal(text: str) -> Any:
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
