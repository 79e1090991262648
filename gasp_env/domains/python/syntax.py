"""Bounded parser from a program's text to its syntax tree.

Text is bounded before it is parsed, because parsers have limits of their own and raise errors of their own
(`RecursionError`, `MemoryError`) beyond them. The code here does not recurse, so it handles any nesting that
the bounds allow.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings

#: Greatest size of a completion, in UTF-8 bytes; a longer one is refused whole, never cut.
MAX_TEXT_BYTES = 16 * 1024
#: Greatest nesting of brackets in a program. CPython's own parser fails at 200.
MAX_NESTING = 64
#: Greatest depth of a program's syntax tree. CPython's own limit varies with the depth of the caller's stack.
MAX_DEPTH = 150

#: Greatest size of an int constant: the interpreter writes at most 4300 decimal digits.
MAX_BITS = 14_000
_OTHER_BASE = re.compile(r"0[xXoObB]")

#: Fields that hold no relevant nodes, in any node type.
_LEAVES = frozenset("id attr ctx kind type_comment asname level conversion is_async simple module".split())


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


def parse(program: str) -> tuple[ast.Module, list[ast.AST]]:
    """Syntax tree of a program, and its `nodes`.

    Raises:
        ParseError: ``unparsable`` for any error of the parser; or see `check_text`.
    """
    check_text(program)
    try:
        _check_nesting(program)
        with warnings.catch_warnings():
            # Invalid escapes in a program's strings must not warn in this process.
            warnings.simplefilter("ignore")
            tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError, tokenize.TokenError) as error:
        reason = str(error) if isinstance(error, ParseError) else f"{type(error).__name__}: {error}"
        raise ParseError("unparsable", reason) from None
    found, levels = _walk(tree)
    if _OTHER_BASE.search(program):
        _check_digits(found)
    if levels > MAX_DEPTH:
        raise ParseError("unparsable", f"expected a syntax tree of at most {MAX_DEPTH} levels")
    return tree, found


def nodes(tree: ast.AST) -> list[ast.AST]:
    """The nodes of a syntax tree level by level, without expression contexts (load, store, delete)."""
    return _walk(tree)[0]


def _check_nesting(program: str) -> None:
    """Refuse brackets that nest too deep. The number of opening brackets bounds the nesting, so most texts
    are not tokenized."""
    if sum(map(program.count, "([{")) <= MAX_NESTING:
        return
    nesting = 0
    for token in tokenize.generate_tokens(io.StringIO(program).readline):
        nesting += (token.string in "([{") - (token.string in ")]}") if token.type == tokenize.OP else 0
        if nesting > MAX_NESTING:
            raise ParseError("unparsable", f"expected at most {MAX_NESTING} nested brackets")


def _check_digits(found: list[ast.AST]) -> None:
    """Refuse ints that cannot be written in decimal. Python's parser refuses those that are written so."""
    for node in found:
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value.bit_length() > MAX_BITS:
            raise ParseError("unparsable", f"expected ints of at most {MAX_BITS} bits")


class _Below(dict[type[ast.AST], tuple[str, ...]]):
    """Fields of a node type that may hold nodes."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        fields = () if kind is ast.Constant else tuple(name for name in kind._fields if name not in _LEAVES)
        self[kind] = fields
        return fields


_BELOW = _Below()


def _walk(tree: ast.AST) -> tuple[list[ast.AST], int]:
    """All `nodes`, and the number of levels."""
    found: list[ast.AST] = []
    level, levels = [tree], 0
    while level:
        levels += 1
        found += level
        below: list[ast.AST] = []
        for node in level:
            for field in _BELOW[type(node)]:
                value = getattr(node, field, None)
                if isinstance(value, ast.AST):
                    below.append(value)
                elif type(value) is list:
                    below += [item for item in value if isinstance(item, ast.AST)]
        level = below
    return found, levels
