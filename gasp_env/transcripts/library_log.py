"""The answers that an episode got from library and goalposts, kept so that it can be played again without them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from gasp_env.episode.view import SolverData, View
from gasp_env.library.entries import ContentReader, entry_of_record, entry_record
from gasp_env.tasks import Entry, Goalpost
from gasp_env.transcripts.schema import TranscriptError

Answer = TypeVar("Answer")


class RecordedView:
    """A view of the library that records its queries and answers, so that a replay can answer the same."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._known: set[str] = set()
        self._sizes: dict[str, int] = {}
        self._drawn: dict[str, Entry] = {}
        self._nearest: dict[str, float] = {}

    def __copy__(self) -> RecordedView:
        """Copy for a cloned episode: later queries are recorded separately."""
        twin = RecordedView(self._view)
        twin._known = set(self._known)
        twin._sizes, twin._drawn = dict(self._sizes), dict(self._drawn)
        twin._nearest = dict(self._nearest)
        return twin

    def __contains__(self, fingerprint: object) -> bool:
        found = fingerprint in self._view
        if found:
            self._known.add(str(fingerprint))
        return found

    def size(self, data: SolverData, kind: str | None = None) -> int:
        """See `gasp_env.episode.view.View`."""
        return self._sizes.setdefault(_place(data, kind), self._view.size(data, kind))

    def entry(self, data: SolverData, index: int, kind: str | None = None) -> Entry:
        """See `gasp_env.episode.view.View`."""
        return self._drawn.setdefault(_place(data, kind, index), self._view.entry(data, index, kind))

    def nearest(self, text: str, exclude: str | None = None) -> float:
        """See `gasp_env.episode.view.View`."""
        key = _text_key(text, exclude)
        if key not in self._nearest:
            self._nearest[key] = self._view.nearest(text, exclude)
        return self._nearest[key]

    def record(self) -> dict[str, Any]:
        """Queries and answers, as JSON-able values."""
        return {
            "known": sorted(self._known),
            "sizes": dict(self._sizes),
            "drawn": {place: entry_record(entry) for place, entry in self._drawn.items()},
            "nearest": dict(self._nearest),
        }


class RecordedGoalposts(Sequence[Goalpost]):
    """Goalposts that record which of them were looked at."""

    def __init__(self, goalposts: Sequence[Goalpost]) -> None:
        self._goalposts = goalposts
        self.played: dict[int, Goalpost] = {}

    def __copy__(self) -> RecordedGoalposts:
        twin = RecordedGoalposts(self._goalposts)
        twin.played = dict(self.played)
        return twin

    def __len__(self) -> int:
        return len(self._goalposts)

    def __getitem__(self, index: Any) -> Any:
        found = self._goalposts[index]
        if isinstance(index, slice):
            self.played |= dict(zip(range(len(self))[index], found, strict=True))
        else:
            self.played[index % len(self)] = found
        return found


class ReplayedGoalposts(Sequence[Goalpost]):
    """The goalposts that a stored episode looked at; the others are not there.

    Raises:
        TranscriptError: it is asked for another one.
    """

    def __init__(self, played: Mapping[int, Goalpost], count: int) -> None:
        self._played, self._count = played, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return tuple(self[i] for i in range(self._count)[index])
        if not -self._count <= index < self._count:
            raise IndexError(index)
        if index % self._count not in self._played:
            raise TranscriptError(
                f"the episode, played again, looks at goalpost {index}, which the stored one did not: its seed or its "
                "options have been changed, or the code has"
            )
        return self._played[index % self._count]


class ReplayedView:
    """A view that answers from a `RecordedView.record`.

    Raises:
        TranscriptError: the record has no answer to a query.
    """

    def __init__(self, record: Mapping[str, Any], read: ContentReader) -> None:
        self._known = set(record["known"])
        self._sizes: dict[str, int] = dict(record["sizes"])
        self._drawn = {place: entry_of_record(entry, read=read) for place, entry in record["drawn"].items()}
        self._nearest: dict[str, float] = dict(record["nearest"])

    def __contains__(self, fingerprint: object) -> bool:
        return fingerprint in self._known

    def size(self, data: SolverData, kind: str | None = None) -> int:
        """See `gasp_env.episode.view.View`."""
        return _answer(self._sizes, _place(data, kind))

    def entry(self, data: SolverData, index: int, kind: str | None = None) -> Entry:
        """See `gasp_env.episode.view.View`."""
        return _answer(self._drawn, _place(data, kind, index))

    def nearest(self, text: str, exclude: str | None = None) -> float:
        """See `gasp_env.episode.view.View`."""
        return _answer(self._nearest, _text_key(text, exclude))


def _answer(answers: Mapping[str, Answer], question: str) -> Answer:
    if question not in answers:
        raise TranscriptError(
            f"the episode, played again, asks the library for {question!r}, which the stored one did not: what it was "
            "given, such as a text, has been changed, or the code has"
        )
    return answers[question]


def _place(data: SolverData, kind: str | None, index: int | None = None) -> str:
    parts = [data, *([kind] if kind else []), *([] if index is None else [str(index)])]
    return "/".join(parts)


def _text_key(text: str, exclude: str | None) -> str:
    return hashlib.sha256(f"{exclude}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()
