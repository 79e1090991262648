"""Prompts of the roles. A prompt is the content of the user's message only. Chat template, system prompt and
reasoning tags belong to the policy, which also strips them from the text it submits.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, Literal, Self

from gasp_env.domains.base import Sees
from gasp_env.domains.python import parsing
from gasp_env.domains.python.rules import GateRules
from gasp_env.domains.python.triplet import Proposal, Triplet
from gasp_env.tasks import Arguments, Axis, Goalpost, Task
from gasp_env.values import render, render_arguments


class PromptStyle:
    """A prompt style: the prompts of the Python domain's tasks and the parser of the replies.

    A style of your own is a subclass. It needs only the methods that its curricula use.

    Attributes:
        name: for messages.
        rules: the gate's rules, which the prompts describe; set by `with_rules`.
    """

    name = ""
    rules = GateRules()

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

    def parse_answer(self, text: str, kind: str) -> Any:
        """Read a solver's text.

        Raises:
            ParseError: ``malformed``.
        """
        return parsing.parse_answer(text, kind)


PROGRAM_FORMAT = """\
- one block tagged python: a program that defines `f`. It must be deterministic, return its result, take at least \
one argument, and use no randomness, clock, files, network or printing. Imports: only {imports}."""
INPUTS_FORMAT = """\
- {inputs} blocks tagged input: in each, the arguments of one call of `f`, as Python literals separated by commas. \
No two may be equal. The solver sees the first {shown} with their outputs; the others check its answer.
- one block tagged message: a hint for the solver, in words. It must not contain the program or hidden results."""
INPUT_FORMAT = """\
- one block tagged input: the arguments of one call of `f`, as Python literals separated by commas."""
PROPOSAL_FORMAT = """\
Write your task as fenced blocks, nothing else is read:
{blocks}
We execute the program to get the outputs. Arguments and results must be built of None, bool, int, float, str, \
bytes, list, tuple, dict, set and frozenset."""

LEMMA = """\
Below is a programming problem that a solver has never managed to solve.

{goalpost}

Invent a new task that is easier than this problem, but keeps its main idea, so that someone who practises on it \
gets closer to solving the problem. The solver will see input/output examples and your message, and must write a \
program that does the same as yours. Aim at a task that the solver gets right about half of the time.
{axis}

{form}"""

LIFT = """\
Below is a task: a program, inputs for it and a message. A solver that sees input/output examples and the message, \
but not the program, sometimes manages to write a program that does the same.

{task}

Invent a harder variant of this task, one that the solver gets right only about once in ten tries, yet could learn.
{axis}

{form}"""

SIGHTED = """\

The task is a step towards this problem, which the solver has never managed to solve:

{goalpost}
"""

PROPOSE_PROGRAM = """\
Invent a task for a solver that reasons about programs: a program and one input for it.

{asked} The task should make the solver think, in several steps, and yet be one that it gets right now and then. It \
should differ from the tasks below, in what the program does and not only in how it is written.
{references}
{form}"""
PROPOSE_ASKED = {
    "deduction": "The solver sees the program and the input, and must say what the program returns.",
    "abduction": "The solver sees the program and what it returns, and must find an input that gives this; any that "
    "does is right.",
}
PROPOSE_INPUTS = """\
Below is a program. Invent inputs for it and a message, from which a solver that does not see the program can find \
out what it does.

```python
{program}
```

Choose inputs that differ in kind, so that together they show all that the program does. The message is a puzzle \
rather than a description: it should help the solver, and leave it something to find out.

{form}"""

EASIER = {
    "io": "Make it easier through its inputs and outputs: keep the algorithm of the problem, but choose simpler data "
    "and examples from which the rule is easy to see.",
    "f": "Make it easier through its algorithm: drop a requirement, solve a sub-problem or a special case.",
    "none": "Make it easier in whatever way helps the solver most.",
}
HARDER = {
    "io": "Make it harder through its inputs and outputs: keep the algorithm, but choose more complex data or examples "
    "from which the rule is harder to see.",
    "f": "Make it harder through its algorithm: add a requirement, or compose it with another operation.",
    "none": "Make it harder in whatever way teaches the solver most.",
}

INDUCTION = """\
A hidden program `f` turned these inputs into these outputs:

{pairs}
{message}
Write a program that defines `f` and does the same, for these and for other inputs. Answer with the program in one \
fenced block tagged python."""

DEDUCTION = """\
```python
{program}
```

What does `f({arguments})` return? Answer with the value as a Python literal in one fenced block tagged output."""

ABDUCTION = """\
```python
{program}
```

Find arguments for which `f` returns

{output}

Any that do are right. Answer with the arguments as Python literals, separated by commas, in one fenced block \
tagged input."""

GOALPOST = """\
{statement}

{wanted}
{examples}
Answer with the program in one fenced block tagged python."""

#: Limit on the tests shown to a teacher, in characters: imported problems have megabytes of tests.
SEEN_TESTS = 16_384

STDIN = "Write a program that reads standard input and prints the answer."


def pairs(inputs: tuple[Arguments, ...], outputs: tuple[Any, ...], name: str = "f") -> str:
    """Input/output examples of a function, one a line."""
    return "\n".join(
        f"{name}({render_arguments(i)}) == {render(o)}" for i, o in zip(inputs, outputs, strict=True)
    )


class FencedStyle(PromptStyle):
    """The default style: English, answers in tagged fenced blocks."""

    name = "fenced"

    def lemma(self, goalpost: Goalpost, sees: Sees, axis: Axis) -> str:
        """Ask the teacher for an easier variant of a goalpost."""
        return LEMMA.format(goalpost=_seen(goalpost, sees), axis=EASIER[axis], form=_form(self.rules))

    def lift(self, lemma: Task, axis: Axis) -> str:
        """Ask the teacher for a harder variant of a task. The goalpost is not an argument: a lift is blind to it."""
        return LIFT.format(task=_shown(lemma), axis=HARDER[axis], form=_form(self.rules))

    def sighted_lift(self, lemma: Task, goalpost: Goalpost, sees: Sees, axis: Axis) -> str:
        """Ask for a lift with the goalpost in the prompt: the ablation of the blind lift."""
        aim = SIGHTED.format(goalpost=_seen(goalpost, sees))
        return LIFT.format(task=_shown(lemma) + "\n" + aim, axis=HARDER[axis], form=_form(self.rules))

    def propose(self, kind: str, references: Sequence[Task], given: Task | None) -> str:
        """Ask the teacher for a task of its own.

        Args:
            kind: the requested task kind.
            references: earlier tasks, from which the new one must differ.
            given: for induction, the earlier task whose program the new task uses; the teacher writes inputs
                and a message for it.
        """
        if given is not None:
            return PROPOSE_INPUTS.format(program=given.content.program, form=_form(self.rules, "inputs"))
        listed = "".join(
            f"\nTask {number}:\n{_shown(task)}\n```output\n{render(task.content.outputs[0])}\n```\n"
            for number, task in enumerate(references, start=1)
        )
        return PROPOSE_PROGRAM.format(
            asked=PROPOSE_ASKED[kind], references=listed, form=_form(self.rules, "program")
        )

    def solve(self, task: Task, kind: str, index: int) -> str:
        """See `PromptStyle.solve`."""
        own: Triplet = task.content
        if kind == "deduction":
            return DEDUCTION.format(program=own.program, arguments=render_arguments(own.inputs[index]))
        if kind == "abduction":
            return ABDUCTION.format(program=own.program, output=render(own.outputs[index]))
        message = f"\n{own.message}\n" if own.message else ""
        return INDUCTION.format(
            pairs=pairs(own.inputs[: own.shown], own.outputs[: own.shown]), message=message
        )

    def goalpost(self, goalpost: Goalpost) -> str:
        """See `PromptStyle.goalpost`."""
        shown = _tests(goalpost, slice(goalpost.shown))
        examples = f"\nFor example:\n{shown}\n" if shown else ""
        return GOALPOST.format(statement=goalpost.statement, wanted=_wanted(goalpost), examples=examples)


def _signature(goalpost: Goalpost) -> str:
    """The definition that a program must contain: the goalpost's own text, or a default."""
    if goalpost.signature:
        return goalpost.signature
    owner, dot, name = goalpost.entry.rpartition(".")
    return f"a class {owner} with a method {name}" if dot else f"a function {name}"


def _wanted(goalpost: Goalpost) -> str:
    return f"Write a program that defines\n\n{_signature(goalpost)}" if goalpost.entry else STDIN


def _seen(goalpost: Goalpost, sees: Sees) -> str:
    """A goalpost, formatted for the teacher."""
    if sees == "reference":
        return f"```python\n{goalpost.reference}\n```"
    asked = _signature(goalpost) if goalpost.entry else STDIN
    if sees == "statement":
        return f"{goalpost.statement}\n\n{asked}"
    shown, size = [], 0
    for index in range(len(goalpost.inputs)):
        shown.append(_tests(goalpost, slice(index, index + 1)))
        size += len(shown[-1])
        if size > SEEN_TESTS and index + 1 >= goalpost.shown:
            break
    return f"{asked}\n\n" + "\n".join(shown)


def _tests(goalpost: Goalpost, which: slice) -> str:
    inputs, outputs = goalpost.inputs[which], goalpost.outputs[which]
    if goalpost.entry:
        return pairs(inputs, outputs, goalpost.entry.rpartition(".")[2])
    # Plain texts: a program that reads standard input splits lines and parses no literals.
    return "\n".join(
        f"Input:\n{i[0].rstrip()}\nOutput:\n{o.rstrip()}" for i, o in zip(inputs, outputs, strict=True)
    )


def _shown(task: Task) -> str:
    """A task, formatted for the teacher."""
    inputs = "\n".join(f"```input\n{render_arguments(arguments)}\n```" for arguments in task.content.inputs)
    message = f"\n```message\n{task.content.message}\n```" if task.kind == "induction" else ""
    return f"```python\n{task.content.program}\n```\n{inputs}{message}"


def _form(rules: GateRules, asked: Literal["both", "program", "inputs"] = "both") -> str:
    program = PROGRAM_FORMAT.format(imports=", ".join(sorted(rules.imports)) or "none")
    inputs = INPUTS_FORMAT.format(inputs=rules.input_count[0], shown=rules.shown)
    blocks = {"both": [program, inputs], "program": [program, INPUT_FORMAT], "inputs": [inputs]}[asked]
    return PROPOSAL_FORMAT.format(blocks="\n".join(blocks))
