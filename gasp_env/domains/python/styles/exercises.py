"""The default style: a series of exercises, of which the model writes the next one.

An exercise is one block of code: a comment that says what the function does, the function, and calls of it. That is
what a coder model writes by itself, and the comment first makes it plan something small. Instructions, rules and
examples come first and never change, so that a prefix cache serves them; the order comes last.
``python -m benchmarks.llm_plays`` measures a style; ``docs/results.md`` has the figures.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Self

from gasp_env.domains.base import Sees
from gasp_env.domains.python.prompts import PromptStyle, pairs, seen, tests, wanted
from gasp_env.domains.python.styles.shots import EXAMPLES, SHOTS, Shot
from gasp_env.domains.python.triplet import Proposal, Triplet
from gasp_env.tasks import Axis, Goalpost, Task
from gasp_env.values import render, render_arguments

TEACHER = """\
You write short exercises that prepare a programming student for problems that are too hard for the student. In an \
exercise the student sees some calls of a function, what they return, and a hint, but not the function itself, and has \
to write a function that does the same. """

FORM = """\
It is one block of Python code in three parts: first the hint, a comment that says in one sentence what the function \
does; then a function called f, which returns its result, is deterministic, prints nothing and reads nothing; and then \
eight calls of it, call_1 to call_8, with short, plain Python values, no two the same. The function may import \
{imports}."""
WHOLE = (
    "has all three parts: the hint, {function}, and the eight calls from call_1 = f(...) to call_8 = f(...)"
)

#: The same of a proposal in two steps, whose calls are asked for later.
DRAFT_FORM = """\
It is one block of Python code in two parts: first the hint, a comment that says in one sentence what the function \
does; and then a function called f, which returns its result, is deterministic, prints nothing and reads nothing. The \
function may import {imports}."""
DRAFT = "has the hint and {function}"

LEMMA = """\
An exercise takes one small step of a problem and is much easier than the problem. {form} The function is short, two \
to six lines. Here are three problems and an exercise for each.

{shots}
Problem: {goalpost}

Do not solve this problem. Write an exercise for it, in the form of those above. {axis} Answer with one block of \
Python code that {parts}."""

LIFT = """\
When the student solves an exercise now and then, you write a harder one, which the student gets right about once in \
ten tries, yet could learn. {form} Here are three exercises and a harder one for each.

{shots}
Exercise:
{task}
{aim}
Write a harder exercise, in the form of those above. {axis} Do not repeat an exercise. Answer with one block of Python \
code that {parts}."""

COMPLETE = """\
What does this function return for different arguments?

{function}

Show it with eight calls of f, each with other arguments. Write the arguments out, as short, plain Python values of \
the types that f takes. Answer with one block of Python code that has the eight calls, from call_1 = f(...) to \
call_8 = f(...), one on each line, without the function."""

SIGHTED = """
It is a step towards this problem, which the student cannot solve yet:

{goalpost}
"""

PROPOSE_PROGRAM = """\
You write short exercises for a programming student. {asked} An exercise is one block of Python code: a function \
called f, which returns its result, is deterministic, prints nothing and reads nothing; and one call of it with plain \
Python values. The function may import {imports}. Here are some exercises.

{references}
Write a new exercise, in the form of those above. It should make the student think, in several steps, and yet be one \
that it gets right now and then. It should differ from the others in what the function does and not only in how it is \
written. Answer with one block of Python code, a function f and one call of f."""
ASKED = {
    "deduction": "In an exercise the student sees a function and a call of it, and has to say what it returns.",
    "abduction": "In an exercise the student sees a function and what a call of it returns, and has to find arguments "
    "that give this.",
}

PROPOSE_INPUTS = """\
You write short exercises for a programming student. In an exercise the student sees some calls of a function, what \
they return, and a hint, but not the function itself, and has to write a function that does the same. For a given \
function you write one block of Python code: first the hint, a comment of one sentence that leaves something to find \
out; and then eight calls of the function, call_1 to call_8, with short, plain Python values, which differ in kind, so \
that together they show all that the function does. Here are three functions and an exercise for each.

{shots}
Function:
```python
{program}
```

Write an exercise for this function, in the form of those above. Answer with one block of Python code that has \
the hint and the eight calls of f, from call_1 = f(...) to call_8 = f(...)."""

EASIER = {
    "io": "Keep the main idea of the problem, but choose much simpler data, from which the rule is easy to see.",
    "f": "Drop a requirement, or solve a small sub-problem or a special case.",
    "none": "Make it easier in whatever way helps the student most.",
}
HARDER = {
    "io": "Keep the algorithm, but choose more complex data or examples from which the rule is harder to see.",
    "f": "Add a requirement to the algorithm, or compose it with another operation.",
    "none": "Make it harder in whatever way teaches the student most.",
}

INDUCTION = """\
A function `f` returns these results:

```python
{pairs}
```
{message}
Write a function `f` that does the same, for these arguments and for others. Answer with the function, in one block of \
Python code."""

DEDUCTION = """\
```python
{program}
```

What does this call return?

```python
f({arguments})
```

Complete this line with the value that it returns, written as a Python literal, and answer with the line:

```python
f({arguments}) ==
```"""

ABDUCTION = """\
```python
{program}
```

Find arguments with which this function returns

```python
{output}
```

Any that do are right. Complete this line with the arguments, written as Python literals, in the place of the dots, \
and answer with the line:

```python
f(...) == {output}
```"""

GOALPOST = """\
{statement}

{wanted}{examples}Answer with the program, in one block of Python code."""


class ExercisesStyle(PromptStyle):
    """English; a proposal is one block of code, an answer the program or the completed line."""

    name = "exercises"
    examples = EXAMPLES
    _drafts = False

    def drafting(self) -> Self:
        """The style for the first turn of proposals in two steps, which asks for the hint and the function only."""
        twin = copy.copy(self)
        twin._drafts = True
        return twin

    def complete(self, draft: Proposal) -> str:
        """Ask for the calls of a draft."""
        hint = f"# {' '.join(draft.message.split())}\n" if draft.message else ""
        return COMPLETE.format(function=_block(hint + draft.program.strip()))

    def lemma(self, goalpost: Goalpost, sees: Sees, axis: Axis) -> str:
        """Ask the teacher for an easier variant of a goalpost."""
        shots = (f"Problem: {shot.problem}\n\nExercise:\n{self._shot(shot.exercise)}\n" for shot in SHOTS)
        shown, easier = seen(goalpost, sees), EASIER[axis]
        return TEACHER + LEMMA.format(
            form=self._form(),
            shots="\n".join(shots),
            goalpost=shown,
            axis=easier,
            parts=self._parts("a short function f"),
        )

    def lift(self, lemma: Task, axis: Axis) -> str:
        """Ask the teacher for a harder variant of a task. The goalpost is not an argument: a lift is blind to it."""
        return self._lift(lemma, axis, "")

    def sighted_lift(self, lemma: Task, goalpost: Goalpost, sees: Sees, axis: Axis) -> str:
        """Ask for a lift with the goalpost in the prompt: the ablation of the blind lift."""
        return self._lift(lemma, axis, SIGHTED.format(goalpost=seen(goalpost, sees)))

    def propose(self, kind: str, references: Sequence[Task], given: Task | None) -> str:
        """Ask the teacher for a task of its own.

        Args:
            kind: the requested task kind.
            references: earlier tasks, from which the new one must differ.
            given: for induction, the earlier task whose program the new task uses; the teacher writes inputs
                and a hint for it.
        """
        if given is not None:
            shots = "\n".join(map(_function_and_calls, SHOTS))
            return PROPOSE_INPUTS.format(shots=shots, program=given.content.program)
        listed = "\n".join(f"Exercise:\n{_shown(task)}\n" for task in references)
        return PROPOSE_PROGRAM.format(asked=ASKED[kind], imports=self._imports(), references=listed)

    def solve(self, task: Task, kind: str, index: int) -> str:
        """See `PromptStyle.solve`."""
        own: Triplet = task.content
        if kind == "deduction":
            return DEDUCTION.format(program=own.program, arguments=render_arguments(own.inputs[index]))
        if kind == "abduction":
            return ABDUCTION.format(program=own.program, output=render(own.outputs[index]))
        message = f"\nHint: {own.message}\n" if own.message else ""
        shown = pairs(own.inputs[: own.shown], own.outputs[: own.shown])
        return INDUCTION.format(pairs=shown, message=message)

    def goalpost(self, goalpost: Goalpost) -> str:
        """See `PromptStyle.goalpost`."""
        asked = wanted(goalpost)
        shown = tests(goalpost, slice(goalpost.shown))
        return GOALPOST.format(
            statement=goalpost.statement,
            wanted=f"{asked}\n\n" if asked else "",
            examples=f"For example:\n{shown}\n\n" if shown else "",
        )

    def _lift(self, lemma: Task, axis: Axis, aim: str) -> str:
        shots = (
            f"Exercise:\n{self._shot(shot.exercise)}\n\nHarder exercise:\n{self._shot(shot.harder)}\n"
            for shot in SHOTS
        )
        return TEACHER + LIFT.format(
            form=self._form(),
            shots="\n".join(shots),
            task=_shown(lemma, calls=not self._drafts),
            aim=aim,
            axis=HARDER[axis],
            parts=self._parts("a function f"),
        )

    def _form(self) -> str:
        return (DRAFT_FORM if self._drafts else FORM).format(imports=self._imports())

    def _parts(self, function: str) -> str:
        return (DRAFT if self._drafts else WHOLE).format(function=function)

    def _shot(self, exercise: str) -> str:
        return _block(exercise.rpartition("\n\n")[0] if self._drafts else exercise)

    def _imports(self) -> str:
        return ", ".join(sorted(self.rules.imports)) or "nothing"


def _function_and_calls(shot: Shot) -> str:
    """A shot's function, and the rest of its exercise."""
    hint, _, rest = shot.exercise.partition("\n")
    function, _, calls = rest.partition("\n\n")
    exercise = _block(f"{hint}\n{calls}")
    return f"Function:\n{_block(function)}\n\nExercise:\n{exercise}\n"


def _shown(task: Task, calls: bool = True) -> str:
    """A task, formatted for the teacher as it should write one."""
    inputs = task.content.inputs
    written = [f"f({render_arguments(arguments)})" for arguments in inputs] if calls else []
    if len(written) > 1:
        written = [f"call_{number} = {call}" for number, call in enumerate(written, start=1)]
    hint = " ".join(task.content.message.split())
    lines = [*([f"# Hint: {hint}"] if hint else []), task.content.program.strip(), "", *written]
    return _block("\n".join(lines).rstrip())


def _block(code: str) -> str:
    return f"```python\n{code}\n```"
