"""Prompt styles: the interface, and the parts that styles share. The styles are in `gasp_env.domains.python.styles`.

A prompt is the content of the user's message only. Chat template, system prompt and
reasoning tags belong to the policy, which also strips them from the text it submits.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Self

from gasp_env.domains.base import Sees
from gasp_env.domains.python import parsing
from gasp_env.domains.python.rules import GateRules
from gasp_env.domains.python.triplet import Proposal
from gasp_env.tasks import Arguments, Goalpost, Task
from gasp_env.values import render, render_arguments


class PromptStyle:
    """A prompt style: the prompts of the Python domain's tasks and the parser of the replies.

    A style of your own is a subclass. It needs only the methods that its curricula use.

    Attributes:
        name: for messages.
        rules: the gate's rules, which the prompts describe; set by `with_rules`.
        examples: proposals that the prompts show. The gate accepts neither them nor near copies.
    """

    name = ""
    rules = GateRules()
    examples: tuple[Proposal, ...] = ()

    def with_rules(self, rules: GateRules) -> Self:
        """Copy the style; the copy describes these rules."""
        twin = copy.copy(self)
        twin.rules = rules
        return twin

    def solve(self, task: Task, kind: str, index: int) -> str:
        """Ask the solver; ``index`` selects the input/output pair of a deduction or abduction question."""
        raise NotImplementedError(f"{type(self).__name__}.solve")

    def goalpost(self, goalpost: Goalpost) -> str:
        """Ask the solver for the real problem."""
        raise NotImplementedError(f"{type(self).__name__}.goalpost")

    def parse_proposal(self, text: str, program: str | None = None) -> Proposal:
        """Read a teacher's text; ``program`` is the program that the teacher was given, if any.

        Raises:
            ParseError: the text cannot be read.
        """
        return parsing.parse_proposal(text, program)

    def parse_draft(self, text: str) -> Proposal:
        """Read the first part of a proposal in two steps: a program and a hint, no inputs.

        Raises:
            ParseError: the text cannot be read.
        """
        return parsing.parse_draft(text)

    def parse_answer(
        self, text: str, kind: str, entry: str = "f", program: str = "", known: Sequence[Any] = ()
    ) -> Any:
        """Read a solver's text.

        Args:
            text: untrusted.
            kind: task kind.
            entry: the function that a program must define.
            program: the program that a deduction or an abduction is about.
            known: alone, what such a question shows: the arguments of a deduction, the output of an abduction.

        Raises:
            ParseError: ``malformed`` or ``ambiguous``.
        """
        return parsing.parse_answer(text, kind, entry, program, known)


#: Limit on the tests shown to a teacher, in characters: imported problems have megabytes of tests.
SEEN_TESTS = 16_384

STDIN = "Write a program that reads standard input and prints the answer."


def pairs(inputs: tuple[Arguments, ...], outputs: tuple[Any, ...], name: str = "f") -> str:
    """Input/output examples of a function, one a line."""
    return "\n".join(
        f"{name}({render_arguments(i)}) == {render(o)}" for i, o in zip(inputs, outputs, strict=True)
    )


def signature(goalpost: Goalpost) -> str:
    """The definition that a program must contain: the goalpost's own text, or a default."""
    if goalpost.signature:
        return goalpost.signature
    owner, dot, name = goalpost.entry.rpartition(".")
    return f"a class {owner} with a method {name}" if dot else f"a function {name}"


def wanted(goalpost: Goalpost) -> str:
    """The program that a goalpost asks for, unless its statement shows the definition already."""
    if not goalpost.entry:
        return STDIN
    asked = signature(goalpost)
    if "".join(asked.split()) in "".join(goalpost.statement.split()):
        return ""
    return f"Write a program that defines\n\n{asked}"


def seen(goalpost: Goalpost, sees: Sees) -> str:
    """A goalpost, formatted for the teacher."""
    if sees == "reference":
        return f"```python\n{goalpost.reference}\n```"
    if sees == "statement":
        # Without the signature, which a model would copy: a variant need not have it.
        return goalpost.statement
    asked = signature(goalpost) if goalpost.entry else STDIN
    shown, size = [], 0
    for index in range(len(goalpost.inputs)):
        shown.append(tests(goalpost, slice(index, index + 1)))
        size += len(shown[-1])
        if size > SEEN_TESTS and index + 1 >= goalpost.shown:
            break
    return f"{asked}\n\n" + "\n".join(shown)


def tests(goalpost: Goalpost, which: slice) -> str:
    """Tests of a goalpost as examples."""
    inputs, outputs = goalpost.inputs[which], goalpost.outputs[which]
    if goalpost.entry:
        return pairs(inputs, outputs, goalpost.entry.rpartition(".")[2])
    # Plain texts: a program that reads standard input splits lines and parses no literals.
    return "\n".join(
        f"Input:\n{i[0].rstrip()}\nOutput:\n{o.rstrip()}" for i, o in zip(inputs, outputs, strict=True)
    )
