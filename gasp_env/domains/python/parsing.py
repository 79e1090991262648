"""Reading model text: fenced blocks, literals, programs. Everything here is hostile until proven otherwise.

Nothing is executed and nothing is spliced: programs are parsed to a syntax tree, values as
literals. Text is capped before any parser sees it, because parsers have limits of their own and
fail in their own ways (`RecursionError`, `MemoryError`) beyond them.
"""

from __future__ import annotations

import ast
import io
import tokenize
import warnings
from typing import Any

from gasp_env.domains.python.triplet import Proposal
from gasp_env.tasks import Arguments
from gasp_env.values import ValueSyntaxError, parse_arguments, parse_literal

#: UTF-8 bytes of one completion that are read; a longer one is refused whole, never cut.
MAX_TEXT_BYTES = 16 * 1024
#: Nesting of brackets in a program. CPython's own parser gives up at 200.
MAX_NESTING = 64
#: Levels of a program's syntax tree. CPython's limit depends on how deep the caller's stack is already.
MAX_DEPTH = 150


class ParseError(ValueError):
    """A text that cannot be read. ``reason`` is a stable code, the message is for a person."""

    def __init__(self, reason: str, message: str = "") -> None:
        super().__init__(message or reason)
        self.reason = reason


def check_text(text: str) -> None:
    """Refuse text that is too long or is not valid Unicode.

    Raises:
        ParseError: ``not_utf8`` or ``too_long``.
    """
    # A code point is at least one byte, so this bounds the work of encoding as well.
    if len(text) > MAX_TEXT_BYTES:
        raise ParseError("too_long", f"expected at most {MAX_TEXT_BYTES} bytes, got {len(text)} characters")
    try:
        size = len(text.encode("utf-8"))
    except UnicodeEncodeError as error:
        raise ParseError(
            "not_utf8", f"expected valid Unicode, got a lone surrogate at {error.start}"
        ) from None
    if size > MAX_TEXT_BYTES:
        raise ParseError("too_long", f"expected at most {MAX_TEXT_BYTES} bytes, got {size}")


def fenced_blocks(text: str) -> list[tuple[str, str]]:
    """All closed fenced blocks as (tag, body), in order. A fence is a line that starts with three backticks."""
    blocks: list[tuple[str, str]] = []
    tag: str | None = None
    body: list[str] = []
    for line in text.split("\n"):
        stripped = line.strip()
        if not stripped.startswith("```"):
            body.append(line)
        elif tag is None:
            tag, body = stripped[3:].strip().lower(), []
        else:
            blocks.append((tag, "\n".join(body)))
            tag = None
    return blocks


def parse_program(program: str) -> ast.Module:
    """Syntax tree of a program.

    Raises:
        ParseError: ``unparsable``, whatever the parser's way of failing was.
    """
    return read_program(program)[0]


def read_program(program: str) -> tuple[ast.Module, list[ast.AST]]:
    """Syntax tree of a program, and its `nodes`.

    Raises:
        ParseError: see `parse_program`.
    """
    check_text(program)
    try:
        _check_nesting(program)
        with warnings.catch_warnings():
            # Invalid escapes in somebody's string are their business, not a warning of ours.
            warnings.simplefilter("ignore")
            tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError) as error:
        reason = str(error) if isinstance(error, ParseError) else f"{type(error).__name__}: {error}"
        raise ParseError("unparsable", reason) from None
    found, levels = _walk(tree)
    if levels > MAX_DEPTH:
        raise ParseError("unparsable", f"expected a syntax tree of at most {MAX_DEPTH} levels")
    return tree, found


def _check_nesting(program: str) -> None:
    """Refuse brackets that nest too deep. No text nests deeper than it has opening brackets, in strings or not, so
    that most need no closer look."""
    if sum(map(program.count, "([{")) <= MAX_NESTING:
        return
    nesting = 0
    for token in tokenize.generate_tokens(io.StringIO(program).readline):
        nesting += (token.string in "([{") - (token.string in ")]}") if token.type == tokenize.OP else 0
        if nesting > MAX_NESTING:
            raise ParseError("unparsable", f"expected at most {MAX_NESTING} nested brackets")


def nodes(tree: ast.AST) -> list[ast.AST]:
    """The nodes of a syntax tree, outermost first, without those that only say load, store or delete."""
    return _walk(tree)[0]


def _walk(tree: ast.AST) -> tuple[list[ast.AST], int]:
    """`nodes`, and on how many levels they are. Without recursion, and faster than `ast.walk`: programs are looked at
    more often than anything else."""
    found: list[ast.AST] = []
    level, levels = [tree], 0
    while level:
        levels += 1
        found += level
        below: list[ast.AST] = []
        for node in level:
            for value in node.__dict__.values():
                if type(value) is int:  # four of them say where it is in the text
                    continue
                if isinstance(value, list):
                    below += [item for item in value if isinstance(item, ast.AST)]
                elif isinstance(value, ast.AST) and not isinstance(value, ast.expr_context):
                    below.append(value)
        level = below
    return found, levels


def parse_proposal(text: str, program: str | None = None) -> Proposal:
    """A teacher's text: one ``python`` block, one ``input`` block per argument tuple, one ``message`` block.

    Of several ``python`` or ``message`` blocks the last counts: it is the one the text settled on. Where the
    teacher was given the ``program``, that is the one: a ``python`` block is not needed, and not read.

    Raises:
        ParseError: ``too_long``, ``not_utf8``, ``no_program``, ``no_inputs`` or ``bad_input``.
    """
    check_text(text)
    blocks = fenced_blocks(text)
    programs = [body for tag, body in blocks if tag == "python"]
    inputs = [body for tag, body in blocks if tag == "input"]
    messages = [body for tag, body in blocks if tag == "message"]
    if program is None:
        if not programs or not programs[-1].strip():
            raise ParseError("no_program", "expected a fenced block tagged python, found none")
        program = programs[-1]
    if not inputs:
        raise ParseError("no_inputs", "expected fenced blocks tagged input, found none")
    arguments: list[Arguments] = []
    for number, body in enumerate(inputs, start=1):
        try:
            arguments.append(parse_arguments(body.strip()))
        except ValueSyntaxError as error:
            raise ParseError("bad_input", f"input {number}: {error}") from None
    return Proposal(program, tuple(arguments), messages[-1].strip() if messages else "")


def parse_answer(text: str, kind: str) -> Any:
    """A solver's text: the program (induction), the output value (deduction) or the arguments (abduction).

    The last block with the right tag counts (``python``, ``output``, ``input``).

    Raises:
        ParseError: ``malformed``.
    """
    tag = {"induction": "python", "deduction": "output", "abduction": "input"}[kind]
    try:
        check_text(text)
    except ParseError as error:
        raise ParseError("malformed", str(error)) from None
    bodies = [body for name, body in fenced_blocks(text) if name == tag]
    if not bodies or not bodies[-1].strip():
        raise ParseError("malformed", f"expected a fenced block tagged {tag}, found none")
    body = bodies[-1]
    if kind == "induction":
        return body
    try:
        return parse_literal(body.strip()) if kind == "deduction" else parse_arguments(body.strip())
    except ValueSyntaxError as error:
        raise ParseError("malformed", str(error)) from None
