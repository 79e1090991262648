"""What a library holds, and how it is written: JSON lines, one entry a line.

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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn, get_args

from gasp_env.tasks import STAGES, TASK_KINDS, Axis, Task
from gasp_env.values import (
    MAX_TEXT,
    ValueSyntaxError,
    parse_arguments,
    parse_literal,
    render,
    render_arguments,
)

_ENTRY = ("task", "correct", "samples", "accepted")
_ENTRY_DEFAULTS = {"step": 0, "id": 0, "parent": 0}
_TASK = ("program", "inputs", "outputs", "shown", "message", "fingerprint", "stage", "axis", "goalpost")
_TASK_DEFAULTS = {"parent": None, "kind": "induction"}
_SHOWN_CHARS = 80


@dataclass(frozen=True)
class Entry:
    """A task and what is known of it.

    Attributes:
        task: the verified task; it carries its teacher's program and says where it came from.
        correct, samples: its difficulty: ``correct`` of ``samples`` attempts were right.
        accepted: whether that lies within the band of its stage.
        step: training step it was made in; 0 if nobody said.
        id: given by the library that holds it: from 1, in order; 0 outside of one. Fingerprints are not
            unique: a task may first be too hard and later be accepted, and a lift that changed only the
            inputs of its lemma has the lemma's.
        parent: ``id`` of the entry its task was lifted from, which may have been evicted since; 0 if it is
            no lift, or one of a task that this library never held.
    """

    task: Task
    correct: int
    samples: int
    accepted: bool
    step: int = 0
    id: int = 0
    parent: int = 0


class LibraryError(ValueError):
    """A stored library that does not hold what it should; the message names the line, the field and the fix."""


def task_record(task: Task) -> dict[str, Any]:
    """A task as JSON-able values."""
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


def task_of_record(record: Any, where: str = "task record") -> Task:
    """The task `task_record` was made of. ``where`` is what messages call the place it came from.

    Raises:
        LibraryError: the record is not as described above.
    """
    return _Record(where).task(record, "")


def entry_of_record(record: Any, where: str = "entry record") -> Entry:
    """The entry `entry_record` was made of. ``where`` is what messages call the place it came from.

    Raises:
        LibraryError: the record is not as described above.
    """
    return _Record(where).entry(record)


def write(entries: Iterable[Entry], path: str | Path) -> None:
    """Write a file that `read` reads back to equal entries. Whoever looks finds the old one or the new one, whole.

    Raises:
        LibraryError: a value is too long to be read back. The file is left as it was.
        OSError: it cannot be written.
    """
    path = Path(path)
    lines = []
    for entry in entries:
        record = entry_record(entry)
        for name in ("inputs", "outputs"):
            for index, text in enumerate(record["task"][name]):
                if len(text) > MAX_TEXT:
                    raise LibraryError(
                        f"{path}, entry {entry.id}, field 'task.{name}[{index}]': expected at most {MAX_TEXT} "
                        f"characters, came {len(text)}; leave the entry out"
                    )
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
            reader = _Record(f"{path}, line {number}")
            entries.append(reader.entry(reader.json(raw)))
    return entries


class _Record:
    """Checks one record. Every complaint goes through `_refuse`, so that all of them read alike."""

    def __init__(self, where: str) -> None:
        self._where = where

    def json(self, raw: bytes) -> Any:
        try:
            return json.loads(raw.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            self._refuse(
                "", f"one JSON object in UTF-8 ({error})", raw, "write every entry on a line of its own"
            )

    def entry(self, value: Any) -> Entry:
        record = self._object(value, "", _ENTRY, _ENTRY_DEFAULTS)
        samples = self._integer(record["samples"], "samples", 0)
        accepted = record["accepted"]
        if type(accepted) is not bool:
            self._refuse("accepted", "true or false", accepted, "say whether its solver was to have it")
        return Entry(
            task=self.task(record["task"], "task"),
            correct=self._integer(record["correct"], "correct", 0, samples),
            samples=samples,
            accepted=accepted,
            step=self._integer(record["step"], "step", 0),
            id=self._integer(record["id"], "id", 0),
            parent=self._integer(record["parent"], "parent", 0),
        )

    def task(self, value: Any, field: str) -> Task:
        record = self._object(value, field, _TASK, _TASK_DEFAULTS)
        prefix = f"{field}." if field else ""
        inputs = self._literals(record["inputs"], f"{prefix}inputs", parse_arguments)
        outputs = self._literals(record["outputs"], f"{prefix}outputs", parse_literal)
        if len(inputs) != len(outputs):
            self._refuse(
                f"{prefix}outputs", f"{len(inputs)}, one for each input", len(outputs), "complete them"
            )
        return Task(
            program=self._text(record["program"], f"{prefix}program"),
            inputs=inputs,
            outputs=outputs,
            shown=self._integer(record["shown"], f"{prefix}shown", 0),
            message=self._text(record["message"], f"{prefix}message", empty=True),
            fingerprint=self._text(record["fingerprint"], f"{prefix}fingerprint"),
            stage=self._choice(record["stage"], f"{prefix}stage", STAGES),
            axis=self._choice(record["axis"], f"{prefix}axis", (*get_args(Axis), None)),
            goalpost=self._text_or_none(record["goalpost"], f"{prefix}goalpost"),
            parent=self._text_or_none(record["parent"], f"{prefix}parent"),
            kind=self._choice(record["kind"], f"{prefix}kind", TASK_KINDS),
        )

    def _object(
        self, value: Any, field: str, required: tuple[str, ...], optional: Mapping[str, Any]
    ) -> dict[str, Any]:
        known = (*required, *optional)
        if type(value) is not dict:
            self._refuse(field, "an object with " + ", ".join(known), value, "write it as {...}")
        prefix = f"{field}." if field else ""
        for name in value:
            if name not in known:
                self._refuse(prefix + name, "one of " + ", ".join(known), name, "rename or remove the field")
        for name in required:
            if name not in value:
                self._refuse(prefix + name, "the field", None, "add it")
        return {**optional, **value}

    def _literals(self, value: Any, field: str, parse: Callable[[str], Any]) -> tuple[Any, ...]:
        if type(value) is not list:
            self._refuse(field, "a list of texts", value, "write it as [...]")
        found = []
        for index, text in enumerate(value):
            try:
                found.append(parse(self._text(text, f"{field}[{index}]", empty=True)))
            except ValueSyntaxError as error:
                self._refuse(
                    f"{field}[{index}]",
                    f"Python literals ({error})",
                    text,
                    "write values as repr() prints them",
                )
        return tuple(found)

    def _text(self, value: Any, field: str, *, empty: bool = False) -> str:
        if type(value) is not str or not (value or empty):
            self._refuse(
                field, "a text" + ("" if empty else " that is not empty"), value, "write it in quotes"
            )
        return str(value)

    def _text_or_none(self, value: Any, field: str) -> str | None:
        return None if value is None else self._text(value, field)

    def _integer(self, value: Any, field: str, least: int, most: int | None = None) -> int:
        if type(value) is not int or value < least or (most is not None and value > most):
            wanted = f"an integer from {least}" + ("" if most is None else f" to {most}")
            self._refuse(field, wanted, value, "write a plain number in that range")
        return int(value)

    def _choice(self, value: Any, field: str, choices: tuple[Any, ...]) -> Any:
        if type(value) not in (str, type(None)) or value not in choices:
            named = ", ".join("null" if choice is None else str(choice) for choice in choices)
            self._refuse(field, f"one of {named}", value, "choose one")
        return value

    def _refuse(self, field: str, expected: str, came: Any, fix: str) -> NoReturn:
        place = f"{self._where}, field {field!r}" if field else self._where
        text = "nothing" if came is None else repr(came)
        shown = text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 3] + "..."
        raise LibraryError(f"{place}: expected {expected}, came {shown}; {fix}")
