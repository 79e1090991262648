"""Read records of files. Every error has one form: the field, the expected value, the value found, and the fix."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, NoReturn

from gasp_env.values import ValueSyntaxError

_SHOWN_CHARS = 80
#: Stands for a field that is not there.
ABSENT = object()


class RecordError(ValueError):
    """A malformed record; the message names the place, the field and the fix.

    Attributes:
        field: the field that is wrong, such as ``tests[3].input``; empty if it is the whole record.
        reason: the expected value and the value found.
    """

    def __init__(self, message: str, field: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.field = field
        self.reason = reason or message


class Record:
    """Check one record, part by part. ``field`` is the name of a part in messages.

    Attributes:
        error: the class raised at the first part that is wrong.
        surrogates: True if texts may hold lone surrogates, as a model's text may. A text that is shown to a model
            may not: no tokenizer takes it.
    """

    error: type[RecordError] = RecordError
    surrogates = False

    def __init__(self, where: str) -> None:
        self._where = where

    def json(self, raw: bytes) -> Any:
        """Parse a line of a file as JSON."""
        try:
            return json.loads(raw.decode("utf-8"), object_pairs_hook=self._once)
        except RecordError:
            raise
        except (ValueError, RecursionError) as error:
            self.refuse(
                "",
                f"one JSON object in UTF-8 ({error})",
                raw,
                "write every record on a line, as json.dumps does",
            )

    def _once(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(pairs)
        if len(record) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            self.refuse(twice, "the field once", names, "keep one of them")
        return record

    def fields(
        self, value: Any, field: str, required: tuple[str, ...], optional: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Check an object with these fields and no others; ``optional`` gives the defaults of missing ones."""
        known = (*required, *optional)
        if type(value) is not dict:
            self.refuse(field, "an object with " + ", ".join(known), value, "write it as {...}")
        prefix = f"{field}." if field else ""
        for name in value:
            if name not in known:
                self.refuse(prefix + name, "one of " + ", ".join(known), name, "rename or remove the field")
        for name in required:
            if name not in value:
                self.refuse(prefix + name, "the field", ABSENT, "add it")
        return {**optional, **value}

    def items(self, value: Any, field: str) -> list[Any]:
        """Check a list of anything."""
        if type(value) is not list:
            self.refuse(field, "a list", value, "write it as [...], empty if there is nothing to say")
        return [*value]

    def text(self, value: Any, field: str, *, empty: bool = False, verbatim: bool = False) -> str:
        """Check a text, which may be empty only if ``empty``.

        White space alone counts as empty: a person left the field blank. A ``verbatim`` text was written by a
        program and is kept as it is: there white space of any kind counts as content.
        """
        if type(value) is not str or not (empty or (value if verbatim else value.strip())):
            self.refuse(
                field, "a text" + ("" if empty else " that is not empty"), value, "write it in quotes"
            )
        if not self.surrogates:
            self.utf8(value, field)
        return str(value)

    def utf8(self, text: str, field: str) -> bytes:
        """Encode a text in UTF-8."""
        try:
            return text.encode()
        except UnicodeEncodeError as error:
            around = text[max(error.start - 20, 0) : error.start + 20]
            self.refuse(field, "a text that UTF-8 can encode", around, "remove the lone surrogates")

    def integer(self, value: Any, field: str, least: int, most: int | None = None) -> int:
        """Check a whole number within bounds, both included."""
        if type(value) is not int or value < least or (most is not None and value > most):
            wanted = f"an integer from {least}" + ("" if most is None else f" to {most}")
            self.refuse(field, wanted, value, "write a plain number in that range")
        return int(value)

    def choice(self, value: Any, field: str, choices: tuple[Any, ...]) -> Any:
        """Check one of several texts, or None where it is among the choices."""
        if type(value) not in (str, type(None)) or value not in choices:
            named = ", ".join("null" if choice is None else str(choice) for choice in choices)
            self.refuse(field, f"one of {named}", value, "choose one")
        return value

    def literal(self, value: Any, field: str, parse: Callable[[str], Any], *, empty: bool = False) -> Any:
        """Read a value written as a literal by ``parse``."""
        text = self.text(value, field, empty=empty)
        try:
            return parse(text)
        except ValueSyntaxError as error:
            expected = f"Python literals of built-in values ({error})"
            self.refuse(field, expected, text, "write values as repr() prints them")

    def refuse(self, field: str, expected: str, came: Any, fix: str) -> NoReturn:
        """Raise the error about a part.

        Raises:
            RecordError: always; `error`, to be exact.
        """
        place = f"{self._where}, field {field!r}" if field else self._where
        reason = f"expected {expected}, came {'nothing' if came is ABSENT else shorten(came)}"
        raise self.error(f"{place}: {reason}; {fix}", field, reason) from None


def shorten(value: Any) -> str:
    """A repr of at most 80 characters, for messages; never raises."""
    try:
        text = repr(_begun(value))
    except RecursionError:
        return f"a {type(value).__name__} that is nested too deeply"
    except Exception:  # an integer of too many digits, or a class with a repr of its own
        return f"something of type {type(value).__name__}"
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 3] + "..."


def _begun(value: Any) -> Any:
    """Cut a value, which may be large, to the part whose repr can be shown."""
    kind = type(value)
    if kind in (str, bytes):
        return value[:_SHOWN_CHARS]
    if kind in (list, tuple):
        return kind(map(_begun, value[:_SHOWN_CHARS]))
    if kind is dict:
        return {name: _begun(value[name]) for name in islice(value, _SHOWN_CHARS)}
    return value
