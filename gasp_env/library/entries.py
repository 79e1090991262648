"""Library files: JSON lines, one entry a line.

A record::

    {"id": 7, "parent": 6,               see `Entry`; 0 or left out: the library that reads it numbers it
     "step": 120,                        default 0
     "correct": 2, "samples": 8, "accepted": true,
     "task": {"program": "def f(x): ...", "message": "...",
              "inputs": ["3, [1]", ...],     arguments, as between the parentheses of a call
              "outputs": ["4", ...],         one for each
              "shown": 5, "fingerprint": "...", "stage": "lift", "axis": "f", "goalpost": "merge-bookings",
              "parent": "...",               fingerprint; default null
              "kind": "induction"}}          default induction

Literals rather than JSON values, because a tuple is not a list and ``1`` is not ``1.0`` (`gasp_env.values`).
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, get_args

from gasp_env.records import Record, RecordError
from gasp_env.tasks import TASK_KINDS, Axis, Entry, Task
from gasp_env.values import MAX_TEXT, parse_arguments, parse_literal, render, render_arguments

_ENTRY = ("task", "correct", "samples", "accepted")
_ENTRY_DEFAULTS = {"step": 0, "id": 0, "parent": 0}
_TASK = ("program", "inputs", "outputs", "shown", "message", "fingerprint", "stage", "axis", "goalpost")
_TASK_DEFAULTS = {"parent": None, "kind": "induction"}


class LibraryError(RecordError):
    """A malformed library file."""


def task_record(task: Task) -> dict[str, Any]:
    """Turn a task into JSON-able values."""
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


def entry_record(entry: Entry) -> dict[str, Any]:
    """Turn an entry into JSON-able values."""
    return {
        "id": entry.id,
        "parent": entry.parent,
        "step": entry.step,
        "correct": entry.correct,
        "samples": entry.samples,
        "accepted": entry.accepted,
        "task": task_record(entry.task),
    }


def task_of_record(record: Any, where: str = "task record") -> Task:
    """Rebuild a task from its record; messages call the place it was read from ``where``.

    Raises:
        LibraryError: the record is not as described above.
    """
    return _EntryRecord(where).task(record, "")


def entry_of_record(record: Any, where: str = "entry record") -> Entry:
    """Rebuild an entry from its record; messages call the place it was read from ``where``.

    Raises:
        LibraryError: the record is not as described above.
    """
    return _EntryRecord(where).entry(record)


def write(entries: Iterable[Entry], path: str | Path) -> None:
    """Write a file that `read` reads back to equal entries. The file is replaced atomically.

    Raises:
        LibraryError: `read` would refuse an entry. The file is left as it was.
        OSError: it cannot be written.
    """
    path = Path(path)
    lines = []
    for entry in entries:
        record = entry_record(entry)
        _EntryRecord(f"{path}, entry {entry.id}").entry(record)
        lines.append(json.dumps(record) + "\n")
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".draft")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(draft, 0o666 & ~umask)  # mkstemp's file is its owner's alone
        os.replace(draft, path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise


def read(path: str | Path) -> list[Entry]:
    """The entries of a file, in order.

    Raises:
        LibraryError: at the first line that is not as described above.
        OSError: the file cannot be read.
    """
    entries = []
    for number, raw in enumerate(Path(path).read_bytes().split(b"\n"), start=1):
        if raw.strip():
            reader = _EntryRecord(f"{path}, line {number}")
            entries.append(reader.entry(reader.json(raw)))
    return entries


class _EntryRecord(Record):
    """The checks of one entry's record."""

    error = LibraryError

    def entry(self, value: Any) -> Entry:
        record = self.fields(value, "", _ENTRY, _ENTRY_DEFAULTS)
        samples = self.integer(record["samples"], "samples", 1)
        accepted = record["accepted"]
        if type(accepted) is not bool:
            self.refuse("accepted", "true or false", accepted, "say whether its solver was to have it")
        return Entry(
            task=self.task(record["task"], "task"),
            correct=self.integer(record["correct"], "correct", 0, samples),
            samples=samples,
            accepted=accepted,
            step=self.integer(record["step"], "step", 0),
            id=self.integer(record["id"], "id", 0),
            parent=self.integer(record["parent"], "parent", 0),
        )

    def task(self, value: Any, field: str) -> Task:
        record = self.fields(value, field, _TASK, _TASK_DEFAULTS)
        prefix = f"{field}." if field else ""
        inputs = self._literals(record["inputs"], f"{prefix}inputs", parse_arguments)
        outputs = self._literals(record["outputs"], f"{prefix}outputs", parse_literal)
        if not inputs:
            self.refuse(f"{prefix}inputs", "at least one", record["inputs"], "leave the entry out")
        if len(inputs) != len(outputs):
            self.refuse(
                f"{prefix}outputs", f"{len(inputs)}, one for each input", len(outputs), "complete them"
            )
        kind = self.choice(record["kind"], f"{prefix}kind", TASK_KINDS)
        # At least one pair of an induction task stays hidden: it judges the answers.
        most = len(inputs) - 1 if kind == "induction" else len(inputs)
        size = sum(len(text) for text in (*record["inputs"], *record["outputs"]))
        size += sum(len(str(record[name])) for name in ("program", "message"))
        if size > MAX_TEXT:
            self.refuse(field, f"a task of at most {MAX_TEXT} characters", size, "leave the entry out")
        return Task(
            program=self.text(record["program"], f"{prefix}program", verbatim=True),
            inputs=inputs,
            outputs=outputs,
            shown=self.integer(record["shown"], f"{prefix}shown", 0, most),
            message=self.text(record["message"], f"{prefix}message", empty=True),
            fingerprint=self.text(record["fingerprint"], f"{prefix}fingerprint", verbatim=True),
            stage=self.text(record["stage"], f"{prefix}stage"),
            axis=self.choice(record["axis"], f"{prefix}axis", (*get_args(Axis), None)),
            goalpost=self._text_or_none(record["goalpost"], f"{prefix}goalpost"),
            parent=self._text_or_none(record["parent"], f"{prefix}parent"),
            kind=kind,
        )

    def _literals(self, value: Any, field: str, parse: Callable[[str], Any]) -> tuple[Any, ...]:
        return tuple(
            self.literal(text, f"{field}[{index}]", parse, empty=True)
            for index, text in enumerate(self.items(value, field))
        )

    def _text_or_none(self, value: Any, field: str) -> str | None:
        return None if value is None else self.text(value, field, verbatim=True)
