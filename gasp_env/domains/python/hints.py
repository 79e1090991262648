"""The hint of a proposal: the first paragraph behind the word, a comment that begins with it, or a tagged block."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence

from gasp_env.domains.python.program import Program
from gasp_env.domains.python.syntax import ParseError
from gasp_env.domains.python.texts import MESSAGE_TAGS, UNFENCED, Text

_HINT = re.compile(
    r"^[\s#>*_\-\d.]*(?:(?:step|part) \d+[:.)]\s*)?(?:the )?(?:hint|message)s?\b(?:\s*\([^()\n]{0,40}\))?[*_\s]*"
    r"(?:(?:[:.：]|[\-–—]+(?=\s))[:.：*_\s]*|$)(?P<rest>.*)$",
    re.I,
)
#: A comment that begins something else: ``# Calls 1 to 8``, ``# Function``.
_LABEL = re.compile(r"^#+ *(?:calls?|functions?|code|exercise|example|test)\b", re.I)
_HEADING = re.compile(r"^\s*(?:#{1,6}\s|[-=]{3,}\s*$|\*\*[^*]+\*\*:?\s*$|<)")
_EMPHASIS = re.compile(r"(\*\*|__)(\S(?:.{0,200}?\S)?)\1")


def hint(read: Text, program: str = "") -> str:
    """The first paragraph of the hint; empty without one.

    Args:
        read: the text.
        program: of the proposal; a comment in it goes before what stands elsewhere, which may be of a draft.
    """
    tagged = [block.body for block in read.blocks if block.tag in MESSAGE_TAGS]
    if tagged:
        return _paragraph(tagged[-1].split("\n"), code=True)
    for text in (program, read.rest, *(block.body for block in read.blocks)):
        lines = text.split("\n")
        for number, line in enumerate(lines):
            said = _HINT.match(line)
            if said is None:
                continue
            if line.startswith("#") and (said["rest"].strip() or text is not read.rest):
                said_all = " ".join(line.lstrip("# ").strip() for line in _comment(lines, number))
                if found := _HINT.sub(r"\g<rest>", said_all).strip("*_ "):
                    return found
                continue
            paragraph = _paragraph([said["rest"], *lines[number + 1 :]])
            if paragraph and text is read.rest:
                return paragraph
    return ""


def _comment(lines: Sequence[str], first: int) -> list[str]:
    """The lines of a comment that begins at a line; another label ends it."""
    kept = [lines[first]]
    for line in lines[first + 1 :]:
        if not line.startswith("#") or _LABEL.match(line):
            break
        kept.append(line)
    return kept


def without_hint(program: Program) -> Program:
    """The program without the comment that is its hint."""
    lines = str(program).split("\n")
    first = next((n for n, line in enumerate(lines) if line.startswith("#") and _HINT.match(line)), None)
    if first is None:
        return program
    kept = lines[:first] + lines[first + len(_comment(lines, first)) :]
    shorter = Program("\n".join(kept).strip("\n"))
    try:
        same = ast.dump(shorter.tree) == ast.dump(program.tree)
    except (ParseError, RecursionError):
        return program
    return shorter if same else program


def _paragraph(lines: Sequence[str], code: bool = False) -> str:
    """The first paragraph, up to a blank line, a heading or, unless it may hold ``code``, a program."""
    kept: list[str] = []
    for line in lines:
        if (not line.strip() and kept) or _HEADING.match(line) or (UNFENCED.match(line) and not code):
            break
        if line.strip():
            kept.append(line.strip())
    return _EMPHASIS.sub(r"\2", "\n".join(kept)).strip()
