"""What the roles read. A prompt is the user's content only: chat template, system prompt and reasoning tags
belong to the policy, which also strips them from the text it submits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol

from gasp_env import parsing
from gasp_env.tasks import Arguments, Axis, Goalpost, Proposal, Task, TaskKind
from gasp_env.values import render, render_arguments

if TYPE_CHECKING:
    from gasp_env.gate import GateRules

#: What of a goalpost the teacher is shown when it writes a lemma.
Sees = Literal["statement", "tests", "reference"]
SEES: tuple[Sees, ...] = ("statement", "tests", "reference")


class PromptStyle(Protocol):
    """How tasks are put into words, and how answers are read back."""

    name: str

    def lemma(self, goalpost: Goalpost, sees: Sees, axis: Axis, rules: GateRules) -> str:
        """Ask the teacher for an easier variant of a goalpost."""
        ...

    def lift(self, lemma: Task, axis: Axis, rules: GateRules) -> str:
        """Ask the teacher for a harder variant of a lemma. The goalpost is not an argument: a lift is blind to it."""
        ...

    def solve(self, task: Task, kind: TaskKind, index: int) -> str:
        """Ask the solver; ``index`` is the input/output pair that deduction and abduction are about."""
        ...

    def goalpost(self, goalpost: Goalpost) -> str:
        """Ask the solver for the real problem."""
        ...

    def parse_proposal(self, text: str) -> Proposal:
        """Read a teacher's text. Raises `gasp_env.parsing.ParseError`."""
        ...

    def parse_answer(self, text: str, kind: TaskKind) -> Any:
        """Read a solver's text. Raises `gasp_env.parsing.ParseError` with reason ``malformed``."""
        ...


PROPOSAL_FORMAT = """\
Write your task as fenced blocks, nothing else is read:
- one block tagged python: a program that defines `f`. It must be deterministic, return its result, take at least \
one argument, and use no randomness, clock, files, network or printing. Imports: only {imports}.
- {inputs} blocks tagged input: in each, the arguments of one call of `f`, as Python literals separated by commas. \
No two may be equal. The solver sees the first {shown} with their outputs; the others check its answer.
- one block tagged message: a hint for the solver, in words. It must not contain the program or hidden results.
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

EASIER = {
    "io": "Make it easier through its inputs and outputs: keep the algorithm of the problem, but choose simpler data "
    "and examples from which the rule is easy to see.",
    "f": "Make it easier through its algorithm: drop a requirement, solve a sub-problem or a special case.",
}
HARDER = {
    "io": "Make it harder through its inputs and outputs: keep the algorithm, but choose more complex data or examples "
    "from which the rule is harder to see.",
    "f": "Make it harder through its algorithm: add a requirement, or compose it with another operation.",
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

Write a program that defines

{signature}
{examples}
Answer with the program in one fenced block tagged python."""


def pairs(inputs: tuple[Arguments, ...], outputs: tuple[Any, ...]) -> str:
    """Input/output examples, one a line."""
    return "\n".join(f"f({render_arguments(i)}) == {render(o)}" for i, o in zip(inputs, outputs, strict=True))


class FencedStyle:
    """The default style: English, answers in tagged fenced blocks."""

    name = "fenced"

    def lemma(self, goalpost: Goalpost, sees: Sees, axis: Axis, rules: GateRules) -> str:
        """See `PromptStyle.lemma`."""
        shown = {
            "statement": f"{goalpost.statement}\n\n{goalpost.signature}",
            "tests": f"{goalpost.signature}\n\n{pairs(goalpost.inputs, goalpost.outputs)}",
            "reference": f"```python\n{goalpost.reference}\n```",
        }[sees]
        return LEMMA.format(goalpost=shown, axis=EASIER[axis], form=self._form(rules))

    def lift(self, lemma: Task, axis: Axis, rules: GateRules) -> str:
        """See `PromptStyle.lift`."""
        inputs = "\n".join(f"```input\n{render_arguments(arguments)}\n```" for arguments in lemma.inputs)
        task = f"```python\n{lemma.program}\n```\n{inputs}\n```message\n{lemma.message}\n```"
        return LIFT.format(task=task, axis=HARDER[axis], form=self._form(rules))

    def solve(self, task: Task, kind: TaskKind, index: int) -> str:
        """See `PromptStyle.solve`."""
        if kind == "deduction":
            return DEDUCTION.format(program=task.program, arguments=render_arguments(task.inputs[index]))
        if kind == "abduction":
            return ABDUCTION.format(program=task.program, output=render(task.outputs[index]))
        message = f"\n{task.message}\n" if task.message else ""
        shown = pairs(task.inputs[: task.shown], task.outputs[: task.shown])
        return INDUCTION.format(pairs=shown, message=message)

    def goalpost(self, goalpost: Goalpost) -> str:
        """See `PromptStyle.goalpost`."""
        shown = pairs(goalpost.inputs[: goalpost.shown], goalpost.outputs[: goalpost.shown])
        examples = f"\nFor example:\n{shown}\n" if shown else ""
        return GOALPOST.format(statement=goalpost.statement, signature=goalpost.signature, examples=examples)

    def parse_proposal(self, text: str) -> Proposal:
        """See `PromptStyle.parse_proposal`."""
        return parsing.parse_proposal(text)

    def parse_answer(self, text: str, kind: TaskKind) -> Any:
        """See `PromptStyle.parse_answer`."""
        return parsing.parse_answer(text, kind)

    def _form(self, rules: GateRules) -> str:
        return PROPOSAL_FORMAT.format(
            imports=", ".join(sorted(rules.imports)) or "none", inputs=rules.input_count[0], shown=rules.shown
        )
