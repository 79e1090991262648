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
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, get_args

from gasp_env.records import Record, RecordError
from gasp_env.registry import load
from gasp_env.tasks import Axis, Entry, Task

#: Reads the content of a task: from its fields, the task's kind, a reader that complains, and the field's name.
ContentReader = Callable[[Mapping[str, Any], str, Record, str], Any]

_ENTRY = ("task", "correct", "samples", "accepted")
_ENTRY_DEFAULTS = {"step": 0, "id": 0, "parent": 0}
_TASK = ("fingerprint", "stage", "axis", "goalpost")
_TASK_DEFAULTS = {"parent": None, "kind": "induction"}


class LibraryError(RecordError):
    """A malformed library file."""


def task_record(task: Task) -> dict[str, Any]:
    """A task as JSON-able values."""
    return {
        **task.content.record(),
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


def python_content(record: Mapping[str, Any], kind: str, reader: Record, field: str) -> Any:
    """Read the content of a task of the Python domain, which no library needs before it reads one."""
    read: ContentReader = load("gasp_env.domains.python.triplet:read", "task content")
    return read(record, kind, reader, field)


def task_of_record(record: Any, where: str = "task record", read: ContentReader = python_content) -> Task:
    """The task `task_record` was made of. Messages call the place it was read from ``where``.

    Raises:
        LibraryError: the record is not as described above.
    """
    return _EntryRecord(where, read).task(record, "")


def entry_of_record(record: Any, where: str = "entry record", read: ContentReader = python_content) -> Entry:
    """The entry `entry_record` was made of. Messages call the place it was read from ``where``.

    Raises:
        LibraryError: the record is not as described above.
    """
    return _EntryRecord(where, read).entry(record)


def write(entries: Iterable[Entry], path: str | Path, read: ContentReader = python_content) -> None:
    """Write a file that `read` reads back to equal entries. The file is replaced atomically.

    Raises:
        LibraryError: `read` would refuse an entry. The file is left as it was.
        OSError: it cannot be written.
    """
    path = Path(path)
    lines = []
    for entry in entries:
        record = entry_record(entry)
        _EntryRecord(f"{path}, entry {entry.id}", read).entry(record)
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


def read(path: str | Path, read_content: ContentReader = python_content) -> list[Entry]:
    """The entries of a file, in order.

    Raises:
        LibraryError: at the first line that is not as described above.
        OSError: the file cannot be read.
    """
    entries = []
    for number, raw in enumerate(Path(path).read_bytes().split(b"\n"), start=1):
        if raw.strip():
            reader = _EntryRecord(f"{path}, line {number}", read_content)
            entries.append(reader.entry(reader.json(raw)))
    return entries


class _EntryRecord(Record):
    """The checks of one entry's record."""

    error = LibraryError

    def __init__(self, where: str, read: ContentReader) -> None:
        super().__init__(where)
        self._read = read

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
        prefix = f"{field}." if field else ""
        if type(value) is not dict:
            self.refuse(field, "an object", value, "write it as {...}")
        own = {name: value[name] for name in (*_TASK, *_TASK_DEFAULTS) if name in value}
        record = self.fields(own, field, _TASK, _TASK_DEFAULTS)
        kind = self.text(record["kind"], f"{prefix}kind")
        content = {name: part for name, part in value.items() if name not in own}
        return Task(
            content=self._read(content, kind, self, field),
            fingerprint=self.text(record["fingerprint"], f"{prefix}fingerprint", verbatim=True),
            stage=self.text(record["stage"], f"{prefix}stage"),
            axis=self.choice(record["axis"], f"{prefix}axis", (*get_args(Axis), None)),
            goalpost=self._text_or_none(record["goalpost"], f"{prefix}goalpost"),
            parent=self._text_or_none(record["parent"], f"{prefix}parent"),
            kind=kind,
        )

    def _text_or_none(self, value: Any, field: str) -> str | None:
        return None if value is None else self.text(value, field, verbatim=True)
