"""The library: every valid task with what is known of its difficulty.

It only grows, so what an episode saw of it is a length: a `View` is immutable and costs nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

from gasp_env.tasks import Task
from gasp_env.values import encode, parse_arguments, parse_literal, render, render_arguments


@dataclass(frozen=True)
class Entry:
    """A task and its difficulty: ``correct`` of ``samples`` attempts; ``accepted`` if in its stage's band."""

    task: Task
    correct: int
    samples: int
    accepted: bool


class View(Protocol):
    """What an episode may ask of the library."""

    def __contains__(self, fingerprint: object) -> bool:
        """Whether a task with this fingerprint had been accepted: what a new proposal may not repeat.

        One that was too hard or too easy may be proposed again, for the solver has changed since.
        """
        ...

    @property
    def accepted(self) -> int:
        """Number of accepted tasks."""
        ...

    def accepted_task(self, index: int) -> Task:
        """The accepted task number ``index``, oldest first."""
        ...


class Library:
    """All valid tasks of one env, in the order they were committed."""

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self.entries: list[Entry] = []
        self._known: set[str] = set()
        self._first_accepted: dict[str, int] = {}
        self._accepted: list[int] = []
        self.commit(entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def accepted(self) -> int:
        """Number of accepted tasks."""
        return len(self._accepted)

    def commit(self, entries: Iterable[Entry]) -> int:
        """Add entries, dropping those that tell nothing new; return how many were added.

        Nothing new is a task that has been accepted already, or one not accepted that is known. A lift
        that changed only the inputs of its lemma has the lemma's fingerprint, and is known by its inputs as well.
        """
        before = len(self.entries)
        for entry in entries:
            key = _key(entry.task)
            known = self._first_accepted if entry.accepted else self._known
            if key in known:
                continue
            self._known.add(key)
            if entry.accepted:
                self._first_accepted[key] = len(self.entries)
                self._accepted.append(len(self.entries))
            self.entries.append(entry)
        return len(self.entries) - before

    def view(self) -> LibraryView:
        """The library as it is now, unchanged by what is committed later."""
        return LibraryView(self, len(self.entries))

    def state(self) -> list[dict[str, Any]]:
        """JSON-able records of all entries."""
        return [entry_record(entry) for entry in self.entries]

    @classmethod
    def from_state(cls, records: Iterable[dict[str, Any]]) -> Library:
        """The library `state` was taken of."""
        return cls(entry_of_record(record) for record in records)


class LibraryView:
    """The first ``length`` entries of a library."""

    def __init__(self, library: Library, length: int) -> None:
        self._library = library
        self._length = length
        self._accepted = bisect_left(library._accepted, length)

    def __contains__(self, fingerprint: object) -> bool:
        return self._library._first_accepted.get(str(fingerprint), self._length) < self._length

    @property
    def accepted(self) -> int:
        """Number of accepted tasks."""
        return self._accepted

    def accepted_task(self, index: int) -> Task:
        """The accepted task number ``index``, oldest first."""
        if not 0 <= index < self._accepted:
            raise IndexError(f"expected an index in [0, {self._accepted}), got {index}")
        return self._library.entries[self._library._accepted[index]].task


def _key(task: Task) -> str:
    if task.fingerprint != task.parent:
        return task.fingerprint
    return task.fingerprint + " " + " ".join(sorted(encode(arguments).hex() for arguments in task.inputs))


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
        "task": task_record(entry.task),
        "correct": entry.correct,
        "samples": entry.samples,
        "accepted": entry.accepted,
    }


def entry_of_record(record: dict[str, Any]) -> Entry:
    """The entry `entry_record` was made of."""
    return Entry(**{**record, "task": task_of_record(record["task"])})
