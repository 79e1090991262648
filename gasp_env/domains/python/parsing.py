"""Parser of model text. The text is untrusted, and somebody's honest attempt.

It is read by content, not by tag: the block that defines the function is the program, calls are calls in whatever
block they stand, however the blocks are fenced (`gasp_env.domains.python.texts`, `.fences`, `.candidates`, `.calls`,
`.hints`, `.stated`, `.literals`). The content is read strictly: nothing is executed, no text is inserted into another,
programs are parsed to a syntax tree (`.program`) and values as literals. A text with two candidates that differ is
refused as ``ambiguous``.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from typing import Any

from gasp_env.domains.python import candidates
from gasp_env.domains.python.calls import CallReader, Calls
from gasp_env.domains.python.candidates import Candidate
from gasp_env.domains.python.hints import hint, without_hint
from gasp_env.domains.python.imports import behind
from gasp_env.domains.python.literals import arguments
from gasp_env.domains.python.program import Program
from gasp_env.domains.python.stated import MAX_PLACES, values
from gasp_env.domains.python.syntax import ParseError, check_text
from gasp_env.domains.python.texts import INPUT_TAGS, MESSAGE_TAGS, OUTPUT_TAGS, Text, first_item
from gasp_env.domains.python.triplet import Proposal
from gasp_env.values import ValueSyntaxError, encode, parse_arguments


def parse_proposal(text: str, program: str | None = None) -> Proposal:
    """Parse a teacher's text: a program, calls of it, a hint.

    Calls that are no literals are left out (`Proposal.left_out`). Where the teacher was given a ``program``, the
    proposal uses that, and programs in the text are not read.

    Raises:
        ParseError: ``too_long``, ``not_utf8``, ``no_program``, ``ambiguous``, ``no_inputs`` or ``bad_input``.
    """
    check_text(text)
    read = Text(first_item(text))
    own = ""
    if program is None:
        taken, found = _proposed(read)
        if found is None:
            return Proposal(taken, ())  # the gate says what is wrong with it
        own = found.program
    else:
        taken = Program(program)
        found = candidates.candidate(taken, "f")
    calls = _calls(read, found)
    if not calls.read:
        if calls.unread:
            raise ParseError("bad_input", f"expected calls with literals, got {calls.unread[0]}")
        raise ParseError("no_inputs", "expected calls of f, found none")
    return Proposal(
        taken, tuple(calls.read), hint(read, own), tuple(f"{call}: no literals" for call in calls.unread)
    )


def parse_draft(text: str) -> Proposal:
    """Parse the first part of a proposal in two steps: a program and a hint. It has no inputs.

    Raises:
        ParseError: ``too_long``, ``not_utf8``, ``no_program`` or ``ambiguous``.
    """
    check_text(text)
    read = Text(first_item(text))
    program, found = _proposed(read)
    return Proposal(program, (), hint(read, "" if found is None else found.program))


def _proposed(read: Text) -> tuple[Program, Candidate | None]:
    """The program that a teacher's text proposes; what was meant to be one, and None, if it does not define f."""
    found = candidates.choose(read.programs("f", cut=True), "f")
    if found is not None:
        return _with_front(read, without_hint(candidates.without_uses(found))), found
    meant = read.meant()
    if meant is None:
        raise ParseError("no_program", "expected a block with a program that defines f, found none")
    return meant, None


def parse_answer(text: str, kind: str, entry: str = "f", program: str = "", known: Sequence[Any] = ()) -> Any:
    """Parse a solver's text: a `Program` (induction), an output (deduction) or arguments (abduction).

    Args:
        text: untrusted.
        kind: task kind.
        entry: the function that the program must define, see `gasp_env.tasks.Goalpost`.
        program: the program that a deduction or an abduction is about; its parameters give keywords their places.
        known: alone, what such a question shows: the arguments of a deduction, the output of an abduction.

    Raises:
        ParseError: ``malformed``, or ``ambiguous`` if the text holds two answers that differ.
    """
    try:
        read = Text(text)
    except ParseError as error:
        raise ParseError("malformed", str(error)) from None
    if kind == "induction":
        return _program(read, entry)
    found = values(read, kind, _signature(program), known)
    if not found:
        raise ParseError("malformed", f"expected {_EXPECTED[kind]}, found none")
    if len({encode(value) for value in found}) > 1:
        raise ParseError("ambiguous", f"expected one answer, got {len(found)} that differ")
    return found[-1]


_EXPECTED = {"deduction": "a value as a Python literal", "abduction": "arguments as Python literals"}


def _program(read: Text, entry: str) -> Program:
    # A method may be given as a function, without its class.
    for name in dict.fromkeys((entry, entry.rpartition(".")[2])):
        found = candidates.choose(read.programs(name), name)
        if found is not None and (name == entry or found.name == name):
            return _with_front(read, found.program)
    # A program that cannot be parsed, or that defines something else, fails where it is executed.
    meant = read.meant()
    if meant is None:
        raise ParseError("malformed", "expected a block with a program, found none")
    return meant


def _with_front(read: Text, program: Program) -> Program:
    """The program behind the imports that stand in a block of their own, as far as it needs them."""
    return behind(read.imports(), program)


def _signature(program: str) -> ast.arguments | None:
    """The parameters of ``f``; None without a program."""
    if not program:
        return None
    found = candidates.candidate(Program(program), "f")
    return found.signature if found is not None else None


def _calls(read: Text, found: Candidate | None) -> Calls:
    """The calls of a text, in order; arguments alone where a block is tagged as input."""
    names = frozenset({"f", found.name} if found is not None and found.name else {"f"})
    reader = CallReader(names, found.signature if found is not None else None)
    for block in read.blocks:
        if block.tag in MESSAGE_TAGS | OUTPUT_TAGS:
            continue
        if block.tag in INPUT_TAGS and not any(f"{name}(" in block.body for name in names):
            _bare(block.body, reader.calls)
        elif (program := read.program(block.body)) is None:
            reader.of_lines(block.body, read.tree)
        else:
            own = candidates.candidate(program, "f")
            reader.of_statements(own.uses if own is not None else program.tree.body)
    if not read.blocks and found is not None:
        reader.of_statements(found.uses)
    reader.of_lines(read.rest, read.tree)
    # Behind those that are written out, so that they count where these are too few.
    for block in read.blocks:
        if block.tag not in MESSAGE_TAGS | OUTPUT_TAGS | INPUT_TAGS:
            reader.of_comments(block.body, read.tree)
    return reader.calls


def _bare(body: str, calls: Calls) -> None:
    """Collect arguments without a call: one tuple of them, or one on each line."""
    try:
        calls.read.append(parse_arguments(body.strip()))
        return
    except ValueSyntaxError:
        lines = [line for line in body.split("\n") if line.strip() and not line.lstrip().startswith("#")]
    for line in lines[:MAX_PLACES]:
        try:
            calls.read.append(arguments(line, None))
        except ValueSyntaxError:
            calls.unread.append(line.strip()[:60])
