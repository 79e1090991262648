"""The content of the Python domain's tasks: a program, inputs, and the outputs recorded by executing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from gasp_env.records import Record
from gasp_env.tasks import TASK_KINDS, Arguments
from gasp_env.values import MAX_TEXT, encode, parse_arguments, parse_literal, render, render_arguments

_FIELDS = ("program", "inputs", "outputs", "shown", "message")


@dataclass(frozen=True)
class Proposal:
    """A teacher's text after parsing and before execution.

    Attributes:
        program: defines ``f``.
        inputs: argument tuples.
        message: the hint, may be empty.
        left_out: inputs of the text that are not among them, each with the reason, for people.
    """

    program: str
    inputs: tuple[Arguments, ...]
    message: str = ""
    left_out: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """See `Triplet.text`."""
        return _text(self.program, self.message)


@dataclass(frozen=True)
class Triplet:
    """A verified triplet.

    Attributes:
        program: defines ``f``.
        inputs, outputs: same length; the first ``shown`` pairs are shown in an induction prompt,
            the rest are hidden and judge the answer.
        message: the teacher's hint, may be empty.
    """

    program: str
    inputs: tuple[Arguments, ...]
    outputs: tuple[Any, ...]
    shown: int
    message: str

    @property
    def text(self) -> str:
        """Message and program: the input of the embedder."""
        return _text(self.program, self.message)

    @property
    def variant(self) -> str:
        """The inputs. A lift may keep the program of its lemma and change the inputs."""
        return " ".join(sorted(encode(arguments).hex() for arguments in self.inputs))

    def record(self) -> dict[str, Any]:
        """JSON-able values; `read` reads them back.

        Literals rather than JSON values, because a tuple is not a list and ``1`` is not ``1.0`` (`gasp_env.values`).
        """
        return {
            "program": self.program,
            "inputs": [render_arguments(arguments) for arguments in self.inputs],
            "outputs": [render(output) for output in self.outputs],
            "shown": self.shown,
            "message": self.message,
        }


def read(record: Mapping[str, Any], kind: str, reader: Record, field: str) -> Triplet:
    """Read a triplet back from its `Triplet.record`.

    Args:
        record: its fields, and no others.
        kind: task kind of the task.
        reader: raises the errors.
        field: name of the record within its file, for messages.

    Raises:
        gasp_env.records.RecordError: a field does not have the expected form.
    """
    values = reader.fields(dict(record), field, _FIELDS, {})
    prefix = f"{field}." if field else ""
    reader.choice(kind, f"{prefix}kind", TASK_KINDS)
    inputs = _literals(values["inputs"], f"{prefix}inputs", parse_arguments, reader)
    outputs = _literals(values["outputs"], f"{prefix}outputs", parse_literal, reader)
    if not inputs:
        reader.refuse(f"{prefix}inputs", "at least one", values["inputs"], "leave the entry out")
    if len(inputs) != len(outputs):
        reader.refuse(f"{prefix}outputs", f"{len(inputs)}, one for each input", len(outputs), "complete them")
    # At least one pair of an induction task stays hidden, to judge the answer.
    most = len(inputs) - 1 if kind == "induction" else len(inputs)
    size = sum(len(text) for text in (*values["inputs"], *values["outputs"]))
    size += sum(len(str(values[name])) for name in ("program", "message"))
    if size > MAX_TEXT:
        reader.refuse(field, f"a task of at most {MAX_TEXT} characters", size, "leave the entry out")
    return Triplet(
        program=reader.text(values["program"], f"{prefix}program", verbatim=True),
        inputs=inputs,
        outputs=outputs,
        shown=reader.integer(values["shown"], f"{prefix}shown", 0, most),
        message=reader.text(values["message"], f"{prefix}message", empty=True),
    )


def _literals(value: Any, field: str, parse: Callable[[str], Any], reader: Record) -> tuple[Any, ...]:
    return tuple(
        reader.literal(text, f"{field}[{index}]", parse, empty=True)
        for index, text in enumerate(reader.items(value, field))
    )


def _text(program: str, message: str) -> str:
    return f"{message.strip()}\n\n{program.strip()}\n".lstrip()
