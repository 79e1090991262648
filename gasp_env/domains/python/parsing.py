"""Parser of model text: fenced blocks, literals, programs. The text is untrusted.

Nothing is executed, and no text is inserted into another. Programs are parsed to a syntax tree
(`gasp_env.domains.python.program`), values as literals.
"""

from __future__ import annotations

from typing import Any

from gasp_env.domains.python.program import Program
from gasp_env.domains.python.syntax import ParseError, check_text
from gasp_env.domains.python.triplet import Proposal
from gasp_env.tasks import Arguments
from gasp_env.values import ValueSyntaxError, parse_arguments, parse_literal


def fenced_blocks(text: str) -> list[tuple[str, str]]:
    """All closed fenced blocks as (tag, body), in order. A fence is a line that starts with three backticks."""
    blocks: list[tuple[str, str]] = []
    tag: str | None = None
    body: list[str] = []
    for line in text.split("\n"):
        if "```" not in line or not (stripped := line.strip()).startswith("```"):
            body.append(line)
        elif tag is None:
            tag, body = stripped[3:].strip().lower(), []
        else:
            blocks.append((tag, "\n".join(body)))
            tag = None
    return blocks


def parse_proposal(text: str, program: str | None = None) -> Proposal:
    """Parse a teacher's text: a ``python`` block, an ``input`` block per argument tuple, a ``message`` block.

    Of several ``python`` or ``message`` blocks the last counts, as the text's final version. Where the
    teacher was given a ``program``, the proposal uses that, and ``python`` blocks are not read.

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
    return Proposal(Program(program), tuple(arguments), messages[-1].strip() if messages else "")


def parse_answer(text: str, kind: str) -> Any:
    """Parse a solver's text: a `Program` (induction), an output (deduction) or arguments (abduction).

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
        return Program(body)
    try:
        return parse_literal(body.strip()) if kind == "deduction" else parse_arguments(body.strip())
    except ValueSyntaxError as error:
        raise ParseError("malformed", str(error)) from None
