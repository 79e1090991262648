"""A model's text, taken apart: its blocks, each parsed once, and the words outside of them."""

from __future__ import annotations

import ast
import re
from dataclasses import replace

from gasp_env.domains.python import candidates, fences
from gasp_env.domains.python.candidates import Candidate
from gasp_env.domains.python.program import Program
from gasp_env.domains.python.syntax import check_text

PROGRAM_TAGS = frozenset("python python3 py".split())
INPUT_TAGS = frozenset("input inputs arguments args".split())
MESSAGE_TAGS = frozenset("message hint".split())
#: Tags of what is no Python program, whatever it looks like.
FOREIGN_TAGS = frozenset(
    "bash sh shell console terminal text txt plaintext json yaml java javascript js typescript c cpp sql html diff md "
    "markdown".split()
)
OUTPUT_TAGS = frozenset("output result answer".split())

#: Most programs outside of blocks that are read.
MAX_UNFENCED = 4
#: A line with which a program begins.
UNFENCED = re.compile(r"^(?:from |import |def |class |@)", re.MULTILINE)


#: A heading of the series that a teacher's prompt shows, alone on its line or, of a problem, with the statement behind.
_HEADING = re.compile(
    r"^[ \t#*_>]*(?:\d{1,3}[.)][ \t]*)?(?:(exercise)[ \t]*\d{0,3}[ \t]*[:*_.]{0,5}[ \t]*$|(problem)\b)",
    re.I | re.M,
)
_DEFINITION = re.compile(r"^[ \t]*def \w", re.M)


def first_item(text: str) -> str:
    """A teacher's text up to where it goes on with the next exercise: a model may continue the series of its prompt.

    An exercise behind a program is the next one, unless that program is of a problem, which the text then repeats.
    """
    start = _DEFINITION.search(text)
    if start is None:
        return text
    before = [heading[2] for heading in _HEADING.finditer(text, 0, start.start())]
    if before and before[-1]:
        return text
    following = (heading.start() for heading in _HEADING.finditer(text, start.end()) if heading[1])
    return text[: next(following, len(text))]


class Text:
    """A text with its blocks, each parsed once."""

    def __init__(self, text: str) -> None:
        check_text(text)
        self._programs: dict[str, Program | None] = {}
        self._lines = fences.split_lines(text)
        self.blocks = fences.blocks(text, lambda body: self.program(body) is not None)
        self.rest = fences.outside(text, self.blocks) if self.blocks else text

    def program(self, body: str) -> Program | None:
        """The program of a block; None if it is none."""
        if body not in self._programs:
            self._programs[body] = candidates.parsed(body)
        return self._programs[body]

    def tree(self, line: str) -> ast.Module | None:
        """The syntax tree of a line."""
        program = self.program(line)
        return program.tree if program is not None else None

    def programs(self, entry: str, cut: bool = False) -> list[Candidate]:
        """The candidates for the function ``entry``, in order; from outside of the blocks if no block is one.

        With ``cut``, if there are none, a block that cannot be parsed counts as the definitions that it begins with.
        """
        blocks = [block for block in self.blocks if block.tag not in INPUT_TAGS | MESSAGE_TAGS]
        blocks = [block for block in blocks if block.tag not in OUTPUT_TAGS or "def " in block.body]
        if any(block.tag in PROGRAM_TAGS and self._is_candidate(block.body, entry) for block in blocks):
            blocks = [block for block in blocks if block.tag not in FOREIGN_TAGS]
        programs = [self.program(block.body) for block in blocks]
        if blocks and not blocks[-1].closed and programs[-1] is None:
            programs[-1] = candidates.leading(blocks[-1].body)
        found = [
            self._labelled(candidates.candidate(program, entry), block)
            for program, block in zip(programs, blocks, strict=True)
            if program is not None
        ]
        if cut and not any(found):
            programs = [candidates.definitions(block.body, entry) for block in blocks]
            found = [candidates.candidate(program, entry) for program in programs if program is not None]
        if not any(found):
            found = [candidates.candidate(program, entry) for program in self._unfenced()]
        return [one for one in found if one is not None]

    def _unfenced(self) -> list[Program]:
        """The programs outside of the blocks, with the prose between them left out."""
        found: list[Program] = []
        rest = self.rest
        while len(found) < MAX_UNFENCED and (start := UNFENCED.search(rest)) is not None:
            program = candidates.leading(rest[start.start() :])
            if program is None:
                break
            found.append(program)
            rest = rest[start.start() + len(program) :]
        return found

    def _labelled(self, found: Candidate | None, block: fences.Block) -> Candidate | None:
        """The candidate with the line of words above its block."""
        above = block.line - 1
        while above >= 0 and not self._lines[above].strip():
            above -= 1
        label = self._lines[above].strip("#*_:> ") if above >= 0 else ""
        return None if found is None else replace(found, label=label)

    def imports(self) -> list[ast.stmt]:
        """The statements of blocks that hold imports only, which stand beside a program in a block of its own."""
        programs = [self.program(block.body) for block in self.blocks]
        return [
            node
            for program in programs
            if program is not None
            and all(isinstance(node, ast.Import | ast.ImportFrom) for node in program.tree.body)
            for node in program.tree.body
        ]

    def _is_candidate(self, body: str, entry: str) -> bool:
        program = self.program(body)
        return program is not None and candidates.candidate(program, entry) is not None

    def meant(self) -> Program | None:
        """The last block that was meant to be the program, whether or not it can be parsed and defines the function."""
        for block in reversed(self.blocks):
            code = block.tag in PROGRAM_TAGS or (not block.tag and "def " in block.body)
            if code and block.body.strip():
                return self.program(block.body) or Program(block.body)
        return None
