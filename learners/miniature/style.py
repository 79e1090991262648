r"""Prompts of the miniature, and the parsing of answers to them.

Prompts use the words of `learners.miniature.tokenizer` only. Integers are written with a
space before each, ``" 3 -1 4"``; an empty list is ``" []"``; a value that is no list of small
integers, which a teacher's program may well return, is shown as ``" ?"``.

===================  =====================================================  ==========================
asked                prompt                                                 answer
===================  =====================================================  ==========================
induction, goalpost  ``examples\n 3 -1 -> -1 3\n ...\nprogram\n``             a program
deduction            ``PROGRAM\ninput 3 -1\noutput``                          a list
abduction            ``PROGRAM\noutput -1 3\ninput``                          a list
lemma, lift          ``lemma AXIS\nPROGRAM\nvariant\n``                       a program, then inputs
===================  =====================================================  ==========================
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gasp_env.domains.base import Sees
from gasp_env.domains.python.program import Program
from gasp_env.domains.python.prompts import PromptStyle
from gasp_env.domains.python.syntax import ParseError, check_text
from gasp_env.domains.python.triplet import Proposal, Triplet
from gasp_env.tasks import Axis, Goalpost, Task
from learners.miniature.tokenizer import BOUND

EXAMPLES = "examples"
PROGRAM = "\nprogram\n"
OTHER = " ?"

_INTS = re.compile(r"(?: -?[0-9]{1,2})+")


def ints(value: Any) -> str:
    """A list of integers in the miniature's notation."""
    if type(value) is not list or any(type(v) is not int or abs(v) > BOUND for v in value):
        return OTHER
    return "".join(f" {v}" for v in value) or " []"


def read_ints(text: str) -> list[int] | None:
    """The list that `ints` wrote, or None if it wrote no such text."""
    if text == " []":
        return []
    return [int(word) for word in text.split()] if _INTS.fullmatch(text) else None


def pair_input(x: Any) -> str:
    """The first half of a shown pair; the output follows."""
    return f"\n{ints(x)} ->"


def input_line(x: Any) -> str:
    """One input of a proposal."""
    return f"\n{ints(x)}"


def induction_prompt(inputs: Sequence[Any], outputs: Sequence[Any]) -> str:
    """Prompt with shown pairs; the answer is a program."""
    pairs = (pair_input(x) + ints(y) for x, y in zip(inputs, outputs, strict=True))
    return EXAMPLES + "".join(pairs) + PROGRAM


def deduction_prompt(program: str, x: Any) -> str:
    """Prompt for the value that ``program`` returns for ``x``."""
    return f"{program}\ninput{ints(x)}\noutput"


def abduction_prompt(program: str, y: Any) -> str:
    """Prompt for an input for which ``program`` returns ``y``."""
    return f"{program}\noutput{ints(y)}\ninput"


def lemma_prompt(program: str, axis: Axis) -> str:
    """Prompt for an easier variant of ``program`` with its inputs."""
    return f"lemma {axis}\n{program}\nvariant\n"


def lift_prompt(program: str, axis: Axis) -> str:
    """Prompt for a harder variant of ``program`` with its inputs."""
    return f"lift {axis}\n{program}\nvariant\n"


def _check_axis(axis: Axis) -> None:
    if axis == "none":
        raise ValueError("expected the axis io or f: the miniature has no words for a variant without one")


class MiniatureStyle(PromptStyle):
    """The miniature's prompts. They have no words for messages, which stay empty, nor for unguided proposals."""

    name = "miniature"

    def lemma(self, goalpost: Goalpost, sees: Sees, axis: Axis) -> str:
        """Prompt for a lemma: the teacher starts from the goalpost's reference program.

        Raises:
            ValueError: the env asks for another view of the goalpost, or there is no reference.
        """
        if sees != "reference":
            raise ValueError(
                f"expected sees='reference', got {sees!r}: the miniature has no words for statements"
            )
        if goalpost.reference is None:
            raise ValueError(f"expected a goalpost with a reference program, {goalpost.id!r} has none")
        _check_axis(axis)
        return lemma_prompt(goalpost.reference, axis)

    def lift(self, lemma: Task, axis: Axis) -> str:
        """Prompt for a lift: a function of the lemma's program and the axis alone."""
        return lift_prompt(lemma.content.program, axis)

    def solve(self, task: Task, kind: str, index: int) -> str:
        """See `gasp_env.domains.python.prompts.PromptStyle.solve`."""
        own: Triplet = task.content
        if kind == "deduction":
            return deduction_prompt(own.program, own.inputs[index][0])
        if kind == "abduction":
            return abduction_prompt(own.program, own.outputs[index])
        return induction_prompt(
            [arguments[0] for arguments in own.inputs[: own.shown]], own.outputs[: own.shown]
        )

    def goalpost(self, goalpost: Goalpost) -> str:
        """Prompt that reads like an induction prompt: the solver cannot tell real problems from invented ones."""
        shown = goalpost.shown
        return induction_prompt(
            [arguments[0] for arguments in goalpost.inputs[:shown]], goalpost.outputs[:shown]
        )

    def parse_proposal(self, text: str, program: str | None = None) -> Proposal:
        """Parse a program (``def`` and the indented lines under it), then one input a line."""
        check_text(text)
        lines = text.split("\n")
        body = 1
        while body < len(lines) and lines[body].startswith("    "):
            body += 1
        if not lines[0].startswith("def ") or body == 1:
            raise ParseError("no_program", f"expected 'def' and indented lines first, got {lines[0][:40]!r}")
        if body == len(lines):
            raise ParseError("no_inputs", "expected lines of integers after the program, got none")
        inputs = []
        for number, line in enumerate(lines[body:], start=1):
            values = read_ints(line)
            if values is None:
                raise ParseError(
                    "bad_input", f"input {number}: expected integers such as ' 3 -1', got {line[:40]!r}"
                )
            inputs.append((values,))
        return Proposal(Program("\n".join(lines[:body])), tuple(inputs))

    def parse_answer(
        self, text: str, kind: str, entry: str = "f", program: str = "", known: Sequence[Any] = ()
    ) -> Any:
        """Parse a program, whose text is left for the sandbox to execute, or a list of integers."""
        if kind == "induction":
            if not text.startswith("def "):
                raise ParseError("malformed", f"expected a program that starts with 'def', got {text[:40]!r}")
            return Program(text)
        values = read_ints(text)
        if values is None:
            raise ParseError("malformed", f"expected integers such as ' 3 -1', got {text[:40]!r}")
        return values if kind == "deduction" else (values,)
