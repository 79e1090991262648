"""Read the records of a problem set, with an account of those that cannot be used."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from gasp_env import goalposts
from gasp_env.goalposts.schema import GoalpostError, GoalpostRecord
from gasp_env.records import ABSENT
from gasp_env.tasks import Goalpost

T = TypeVar("T")
Source = str | Path | Iterable[Mapping[str, Any]]


@dataclass(frozen=True)
class Skipped:
    """A record that became no goalpost.

    Attributes:
        line: where it is, counted from 1: in a file its line, else its place among the records.
        id: its own name for itself, empty where that cannot be read.
        field: the field to blame, such as ``private_test_cases[3].input``; empty if it is the whole record.
        reason: the expected and the found value.
    """

    line: int
    id: str
    field: str
    reason: str

    @property
    def why(self) -> str:
        """The field and the value expected there: the same for all records with the same defect."""
        return f"{self.field}: {self.reason.partition(', came ')[0]}"


@dataclass(frozen=True)
class Loaded:
    """The goalposts of a set of records, and the account of the rest.

    Attributes:
        goalposts: in the order of their records.
        skipped: the records that are none of them, in the same order.
        outside: how many records were not asked for (their date, say).
        dropped: tests left out because they are too large, by goalpost id.
    """

    goalposts: tuple[Goalpost, ...]
    skipped: tuple[Skipped, ...] = ()
    outside: int = 0
    dropped: Mapping[str, int] = field(default_factory=dict)

    def reasons(self) -> dict[str, int]:
        """Number of skipped records by reason (`Skipped.why`), the commonest first."""
        found = Counter(item.why for item in self.skipped)
        return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


class Reader(GoalpostRecord):
    """A record of another project, which may have fields unknown to us.

    Attributes:
        line: see `Skipped`.
        name: the record's own name for itself, once that is known.
        record: its fields, once it is known to have some.
    """

    def __init__(self, where: str, line: int, record: Any) -> None:
        super().__init__(where)
        self.line = line
        self.name = ""
        self.record = record

    def field(self, name: str, kind: type[T], default: Any = ABSENT) -> T:
        """Return a field of the record.

        Raises:
            GoalpostError: it is absent and has no default, or is of another type; or the record has no fields.
        """
        if not isinstance(self.record, Mapping):
            self.refuse("", "an object", self.record, "write every record on a line of its own")
        value = self.record.get(name, default)
        if value is None and default is not ABSENT:
            value = default
        if type(value) is not kind:
            self.refuse(
                name, f"a field that holds a {kind.__name__}", value, "take the records as they are published"
            )
        return value

    def checked(self, goalpost: Goalpost, names: Mapping[str, str]) -> Goalpost:
        """The goalpost as it reads back from a goalpost file.

        Args:
            goalpost: the goalpost that the record describes.
            names: the record's names for fields of a goalpost, where they differ.

        Raises:
            GoalpostError: it cannot be stored in one.
        """
        try:
            return goalposts.from_record(goalposts.to_record(goalpost), self._where)
        except GoalpostError as error:
            field = names.get(error.field, error.field)
            raise GoalpostError(
                f"{self._where}, field {field!r}: {error.reason}", field, error.reason
            ) from None


class Account:
    """The account of a set while it is read.

    Args:
        strict: raise at the first record that cannot be used.
    """

    def __init__(self, *, strict: bool) -> None:
        self._strict = strict
        self._lines: dict[str, int] = {}
        self._goalposts: dict[int, Goalpost] = {}
        self._skipped: dict[int, Skipped] = {}

    @contextmanager
    def of(self, reader: Reader) -> Iterator[None]:
        """Context in which a record is read: an error about it is noted as the reason to skip it.

        Raises:
            GoalpostError: it cannot be used, and the account is strict.
        """
        try:
            yield
        except GoalpostError as error:
            if self._strict:
                raise
            self._skipped[reader.line] = Skipped(reader.line, reader.name, error.field, error.reason)

    def identify(self, reader: Reader, name: str) -> None:
        """Note a record's own name for itself.

        Raises:
            GoalpostError: an earlier record has the name, or UTF-8 cannot encode it.
        """
        reader.utf8(name, "")
        reader.name = name
        line = self._lines.setdefault(name, reader.line)
        if line != reader.line:
            reader.refuse(
                "", f"a record of its own, but line {line} has this name", name, "remove one of them"
            )

    def keep(self, reader: Reader, goalpost: Goalpost) -> None:
        """Note the goalpost that a record became."""
        self._goalposts[reader.line] = goalpost

    def loaded(self, outside: int = 0, dropped: Mapping[str, int] | None = None) -> Loaded:
        """The result, in the order of the records."""
        return Loaded(
            tuple(goalpost for _, goalpost in sorted(self._goalposts.items())),
            tuple(skipped for _, skipped in sorted(self._skipped.items())),
            outside,
            dict(dropped or {}),
        )


def readers(source: Source) -> Iterator[Reader]:
    """The records of a file, or of an iterable.

    Raises:
        GoalpostError: a line is no JSON: the file is damaged, or is something else.
        OSError: the file cannot be read.
    """
    if not isinstance(source, str | Path):
        for number, record in enumerate(source, start=1):
            yield Reader(f"record {number}", number, record)
        return
    with Path(source).open("rb") as file:
        for number, raw in enumerate(file, start=1):
            if raw.strip():
                where = f"{source}, line {number}"
                yield Reader(where, number, GoalpostRecord(where).json(raw.rstrip(b"\r\n")))
