"""Preludes: lines of a problem that stand before every answer to it, such as imports and helpers."""

from __future__ import annotations

import ast
import re

from gasp_env.domains.python.program import Program
from gasp_env.domains.python.syntax import ParseError

_LINE_END = re.compile(r"\r\n|\r|\n")
#: What separates a statement from the next one in its line.
_SEPARATOR = re.compile(r"(?:[ \t\f;]|\\(?:\r\n|\r|\n))*")


def before(answer: str, prelude: str, *, inline: bool = False) -> str:
    """Put a prelude before an answer.

    ``from __future__`` imports have to be first: then the prelude follows the last of them. An answer that mentions
    ``__future__`` and cannot be parsed stays unchanged.

    Args:
        answer: a program. A byte order mark at its start is removed, since Python ignores one only there.
        prelude: whole lines; empty for none.
        inline: the prelude is one line of simple statements. Behind a ``from __future__`` import it then shares
            that import's line, so that later lines keep their numbers.
    """
    answer = answer.removeprefix("\ufeff")
    if not prelude:
        return answer
    at: int | None = 0
    if "__future__" in answer:
        at = _behind_future(answer)
    if at is None:
        return answer
    if not at:
        return f"{prelude}\n{answer}"
    if inline:
        return f"{answer[:at]}; {prelude}{answer[at:]}"
    return f"{answer[:at]}\n{prelude}\n{_SEPARATOR.sub('', answer[at:], count=1)}"


def _behind_future(answer: str) -> int | None:
    """The offset behind the last ``from __future__`` import, 0 if there is none; None if it is no program."""
    try:
        body = Program(answer).tree.body
    except ParseError:
        return None
    future = [node for node in body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    return _end(answer, future[-1]) if future else 0


def _end(answer: str, node: ast.stmt) -> int:
    """The offset in the text at which a statement ends."""
    row, column = node.end_lineno or 1, node.end_col_offset or 0
    starts = [0, *(match.end() for match in _LINE_END.finditer(answer))]
    line = answer[starts[row - 1] :]
    # The parser counts columns in bytes.
    return starts[row - 1] + len(line.encode()[:column].decode())
