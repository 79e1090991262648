"""Fenced blocks of a model's text: CommonMark, and the ways in which models depart from it.

Read as CommonMark has it: fences of backticks or tildes, three or more; indented fences, whose indentation is taken
off the body; fences inside of list items and quotations; a last block that is never closed. Beyond it:

- A fence may follow words on its line (``Answer: ```python``).
- A line with a fence *and a tag* can only open a block. One that stands inside of an open block ends that block,
  which its author forgot to close.
- A fence inside of a program's docstring closes nothing: a body that begins like a program and cannot be parsed is
  continued up to the first fence that makes it a program.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

#: Most fences of a text that are read, and most continuations of a body that are tried: bounds on the work that a
#: hostile text causes.
MAX_FENCES, MAX_TRIES = 256, 8

# Quotation marks, list markers and indentation; or words, of a fence that opens behind them.
_OPENING = re.compile(
    r"(?P<before>(?:[ \t]|>|[-*+][ \t]|\d{1,9}[.)][ \t])*|.*?[\s:*])(?P<fence>`{3,}|~{3,})[ \t]*(?P<tag>[^`\n]*)\Z"
)
# Words behind a closing fence are a sentence: an info string is one word, or has attributes.
_CLOSING = re.compile(r"[ \t>]*(?P<fence>`{3,}|~{3,})[ \t]*(?:[^\s`={]+[ \t][^`={]*)?\Z")
_MARKERS = " \t>-*+.)0123456789"
_PROGRAM = re.compile(r"^[ \t]*(?:def |class |import |from |@|async def )", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block.

    Attributes:
        tag: the first word of the info string, in lower case; empty without one.
        body: the text between the fences, without the indentation and the quotation marks of the fence.
        line: number of its opening line, from 0.
        end: number of the line after it.
        closed: False if the text ends, or another block begins, before a closing fence.
    """

    tag: str
    body: str
    line: int
    end: int
    closed: bool


@dataclass(frozen=True)
class _Fence:
    """A line with a fence: how it matches as an opening and as a closing one."""

    line: int
    opening: re.Match[str] | None
    closing: re.Match[str] | None


def blocks(text: str, parses: Callable[[str], bool] | None = None) -> list[Block]:
    """The fenced blocks of a text, in order.

    Args:
        text: any text.
        parses: tells if a text is a program; it decides where the body of a program ends that holds fences.
    """
    if "```" not in text and "~~~" not in text:
        return []
    lines = split_lines(text)
    fences = _fences(lines)
    found: list[Block] = []
    tries, at = MAX_TRIES, 0
    for position, fence in enumerate(fences):
        if fence.line < at or fence.opening is None:
            continue
        ends = _ends(fences[position + 1 :], fence.opening["fence"], len(lines))
        block = _block(lines, fence.line, fence.opening, *next(ends))
        if parses is not None and _PROGRAM.search(block.body) and not parses(block.body):
            for end in islice(ends, tries):
                tries -= 1
                longer = _block(lines, fence.line, fence.opening, *end)
                if parses(longer.body):
                    block = longer
                    break
        found.append(block)
        at = block.end
    return found


def outside(text: str, found: list[Block]) -> str:
    """The text without its blocks, a blank line for each, which ends the paragraph before it."""
    lines = split_lines(text)
    for block in reversed(found):
        lines[block.line : block.end] = [""]
    return "\n".join(lines)


def split_lines(text: str) -> list[str]:
    """The lines of a text, as the numbers of `Block` count them."""
    return text.replace("\r\n", "\n").split("\n")


def _fences(lines: list[str]) -> list[_Fence]:
    found = []
    for number, line in enumerate(lines):
        if "```" not in line and "~~~" not in line:
            continue
        opening = _OPENING.match(line)
        if opening is not None and _has_words(opening) and len(opening["tag"].split()) > 1:
            opening = None  # a sentence that mentions a fence
        found.append(_Fence(number, opening, _CLOSING.match(line)))
    return found[:MAX_FENCES]


def _has_words(opening: re.Match[str]) -> bool:
    return bool(opening["before"].strip(_MARKERS))


def _ends(fences: list[_Fence], opened: str, last: int) -> Iterator[tuple[int, bool]]:
    """The lines at which a block may end, the likeliest first; True if a closing fence stands there."""
    for fence in fences:
        if fence.closing is not None:
            if fence.closing["fence"][0] == opened[0] and len(fence.closing["fence"]) >= len(opened):
                yield fence.line, True
        elif fence.opening is not None and fence.opening["tag"] and not _has_words(fence.opening):
            yield fence.line, False
    yield last, False


def _block(lines: list[str], number: int, opening: re.Match[str], end: int, closed: bool) -> Block:
    body = lines[number + 1 : end]
    before = opening["before"]
    if not _has_words(opening):
        quoted = before.count(">")
        width = len(before.rpartition(">")[2].expandtabs(4))
        body = [_without(line, quoted, width) for line in body] if before else body
    tag = opening["tag"].strip().lower()
    first = body[0].strip().lower() if body else ""
    # Models that were told to tag a block may write the tag below a bare fence.
    if not tag and first in ("python", "python3", "py"):
        tag, body = first, body[1:]
    return Block(tag.split()[0].strip("{}.") if tag else "", "\n".join(body), number, end + closed, closed)


def _without(line: str, quoted: int, width: int) -> str:
    """A line without quotation marks, and with at most ``width`` columns less of indentation."""
    for _ in range(quoted):
        line = re.sub(r"^[ \t]*> ?", "", line)
    if quoted:
        width = max(0, width - 1)
    spaces = len(line) - len(line.lstrip(" "))
    return line[min(spaces, width) :]
