"""A small family of programs with known behaviour, and texts around it: valid, nearly valid and hostile.

Tests of the core need results without a sandbox. `execute` gives what a sandbox would answer for the
programs of the family; a test may put any other answer in its place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gasp_env.domains.python.triplet import Proposal, Triplet
from gasp_env.relevance import relevance
from gasp_env.sandbox.runs import Call, Result, Run, Status
from gasp_env.tasks import Goalpost, Task
from gasp_env.values import encode, render_arguments

#: The agents of the built-in games.
AGENTS = ("teacher_0", "solver_0")

FAMILY: dict[str, Callable[[Any], Any]] = {
    "def f(x):\n    return x + 1": lambda x: x + 1,
    "def f(x):\n    return x + 2": lambda x: x + 2,
    "def f(x):\n    return x * 3": lambda x: x * 3,
    "def f(x):\n    return [x, x]": lambda x: [x, x],
    "def f(x):\n    return 'y' * 1500": lambda x: "y" * 1500,
    "def f(x):\n    return 1 + x": lambda x: 1 + x,
    "def f(x):\n    return 7": lambda x: 7,
}
PROGRAMS = list(FAMILY)
LONG_OUTPUT = PROGRAMS[4]
#: The reference of a goalpost, which a variant may not be.
REFERENCE = PROGRAMS[5]
INPUTS = [str(i) for i in range(10)]


def proposal(program: str, inputs: list[str] | None = None, message: str | None = "add") -> str:
    """A proposal in the default format."""
    blocks = [f"```python\n{program}\n```"]
    blocks += [f"```input\n{text}\n```" for text in (INPUTS if inputs is None else inputs)]
    blocks += [] if message is None else [f"```message\n{message}\n```"]
    return "\n".join(blocks)


def answer(tag: str, body: str) -> str:
    """An answer in the default format."""
    return f"Some words first.\n```{tag}\n{body}\n```\n"


#: Reason code the parser or the static rules must give, and a text that earns it.
REFUSED: dict[str, str] = {
    "too_long": "x" * 20_000,
    "not_utf8": proposal(PROGRAMS[0]) + "\ud800",
    "no_program": "I would rather not.",
    "ambiguous": f"```python\n{PROGRAMS[0]}\n```\nor\n```python\n{PROGRAMS[1]}\n```",
    "no_inputs": f"```python\n{PROGRAMS[0]}\n```",
    "bad_input": proposal(PROGRAMS[0], ["__import__('os').getpid()"] * 10),
    "unparsable": proposal("def f(x):\n    return " + "(" * 90 + "x" + ")" * 90),
    "program_too_large": proposal("# " + "z" * 5000 + "\ndef f(x):\n    return x"),
    "no_entry": proposal("def g(x):\n    return x\ndef h(x):\n    return x"),
    "no_arguments": proposal("def f():\n    return 1"),
    "banned_import": proposal("import os\ndef f(x):\n    return os.getpid()"),
    "banned_name": proposal("def f(x):\n    return eval('x')"),
    "input_count": proposal(PROGRAMS[0], INPUTS[:4]),
    "repeated_inputs": proposal(PROGRAMS[0], INPUTS[:5] + ["0"] * 3),
    "message_leaks": proposal(PROGRAMS[0], message="hint: return x + 1, as in def f"),
}


def execute(run: Run) -> Result:
    """What a sandbox answers for a program of the family; a compile error for any other."""
    function = FAMILY.get(run.program.strip())
    if function is None:
        return Result(Status.COMPILE_ERROR, error="SyntaxError: not of the family", tier="test")
    calls = []
    for arguments in run.inputs:
        try:
            calls.append(Call(Status.OK, function(*arguments)))
        except Exception as error:
            calls.append(Call(Status.EXCEPTION, error=type(error).__name__))
    status = next((call.status for call in calls if call.status is not Status.OK), Status.OK)
    size = sum(len(encode(call.value)) for call in calls)
    return Result(status, tuple(calls), cpu_seconds=0.01, output_bytes=size, tier="test")


def right_answer(question: Any) -> str:
    """A text that answers a `gasp_env.domains.python.judge.Question` about the family rightly."""
    if question.kind == "deduction":
        from gasp_env.values import render

        return answer("output", render(question.outputs[0]))
    if question.kind == "abduction":
        return answer("input", render_arguments(question.inputs[0]))
    program = next(
        text
        for text, function in FAMILY.items()
        if all(function(*i) == o for i, o in zip(question.inputs, question.outputs, strict=True))
    )
    return answer("python", program)


class Alike:
    """An embedder to which all texts are one: novelty refuses whatever follows the first accepted task."""

    name = "alike"
    threshold = 0.9

    def embed(self, texts: Sequence[str]) -> np.ndarray:
        return np.ones((len(texts), 1))


ALIKE = Alike()


@relevance("by_message")
def by_message(pairs: Sequence[tuple[Proposal, Goalpost]]) -> list[float | None]:
    """What the message says it is: ``relevance 0.4``; 1 if it says nothing, unknown if it says ``lost``."""

    def one(message: str) -> float | None:
        word = message.rpartition("relevance ")[2]
        return None if word == "lost" else float(word) if word.replace(".", "").isdigit() else 1.0

    return [one(proposal.message) for proposal, _ in pairs]


def goalpost_of(record: dict[str, Any]) -> dict[str, Any]:
    """The one goalpost that a stored episode looked at."""
    (played,) = record["goalposts"]["played"].values()
    return played


def python_task(
    program: str,
    inputs: tuple[Any, ...],
    outputs: tuple[Any, ...],
    shown: int,
    message: str,
    fingerprint: str,
    stage: str = "lemma",
    axis: Any = None,
    goalpost: str | None = None,
    parent: str | None = None,
    kind: str = "induction",
) -> Task:
    """A task of the Python domain."""
    content = Triplet(program, inputs, outputs, shown, message)
    return Task(content, fingerprint, stage, axis, goalpost, parent, kind)


def task_with(task: Task, **changes: Any) -> Task:
    """A task with other fields, of its own or of its content."""
    inner = {name: changes.pop(name) for name in list(changes) if hasattr(task.content, name)}
    return dataclasses.replace(task, content=dataclasses.replace(task.content, **inner), **changes)
