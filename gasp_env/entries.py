"""What the library holds, and how it is written down."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gasp_env.tasks import Task
from gasp_env.values import parse_arguments, parse_literal, render, render_arguments


@dataclass(frozen=True)
class Entry:
    """A task and what is known of it.

    Attributes:
        task: the verified task, its teacher's program and provenance included.
        correct, samples: its difficulty: ``correct`` of ``samples`` attempts were right.
        accepted: whether that lies within the band of its stage.
        step: training step it was made in; 0 if nobody said.
        id: given by the library that holds it: from 1, in order, never given twice; 0 outside of one.
        parent: ``id`` of the entry its task was lifted from (which may have been evicted since); 0 if it is
            no lift, or of a task that this library never held.
    """

    task: Task
    correct: int
    samples: int
    accepted: bool
    step: int = 0
    id: int = 0
    parent: int = 0


def task_record(task: Task) -> dict[str, Any]:
    """A task as JSON-able values; inputs and outputs as literals, which JSON could not tell apart."""
    return {
        "program": task.program,
        "inputs": [render_arguments(arguments) for arguments in task.inputs],
        "outputs": [render(output) for output in task.outputs],
        "shown": task.shown,
        "message": task.message,
        "fingerprint": task.fingerprint,
        "stage": task.stage,
        "axis": task.axis,
        "goalpost": task.goalpost,
        "parent": task.parent,
        "kind": task.kind,
    }


def task_of_record(record: dict[str, Any]) -> Task:
    """The task `task_record` was made of."""
    return Task(
        **{
            **record,
            "inputs": tuple(parse_arguments(text) for text in record["inputs"]),
            "outputs": tuple(parse_literal(text) for text in record["outputs"]),
        }
    )


def entry_record(entry: Entry) -> dict[str, Any]:
    """An entry as JSON-able values."""
    return {
        "id": entry.id,
        "parent": entry.parent,
        "step": entry.step,
        "correct": entry.correct,
        "samples": entry.samples,
        "accepted": entry.accepted,
        "task": task_record(entry.task),
    }


def entry_of_record(record: dict[str, Any]) -> Entry:
    """The entry `entry_record` was made of."""
    return Entry(**{**record, "task": task_of_record(record["task"])})
