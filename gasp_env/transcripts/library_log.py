"""What an episode asked of the library, remembered, so that it can be played again without it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, TypeVar

from gasp_env.episode.view import SolverData, View
from gasp_env.library.entries import entry_of_record, entry_record
from gasp_env.tasks import Entry, TaskKind
from gasp_env.transcripts.schema import TranscriptError

Answer = TypeVar("Answer")


class RecordedView:
    """A view of the library that remembers what it was asked, so that a replay can answer the same."""

    def __init__(self, view: View) -> None:
        self._view = view
        self._known: set[str] = set()
        self._sizes: dict[str, int] = {}
        self._drawn: dict[str, Entry] = {}
        self._nearest: dict[str, float] = {}

    def __copy__(self) -> RecordedView:
        """The same library, remembered apart from here on: for an episode that was cloned."""
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

    def size(self, data: SolverData, kind: TaskKind | None = None) -> int:
        """See `gasp_env.episode.view.View`."""
        return self._sizes.setdefault(_place(data, kind), self._view.size(data, kind))

    def entry(self, data: SolverData, index: int, kind: TaskKind | None = None) -> Entry:
        """See `gasp_env.episode.view.View`."""
        return self._drawn.setdefault(_place(data, kind, index), self._view.entry(data, index, kind))

    def nearest(self, text: str, exclude: str | None = None) -> float:
        """See `gasp_env.episode.view.View`."""
        key = _text_key(text, exclude)
        if key not in self._nearest:
            self._nearest[key] = self._view.nearest(text, exclude)
        return self._nearest[key]

    def record(self) -> dict[str, Any]:
        """What was asked and answered, as JSON-able values."""
        return {
            "known": sorted(self._known),
            "sizes": dict(self._sizes),
            "drawn": {place: entry_record(entry) for place, entry in self._drawn.items()},
            "nearest": dict(self._nearest),
        }


class ReplayedView:
    """Answers as `RecordedView.record` says.

    Raises:
        TranscriptError: it is asked what it does not know.
    """

    def __init__(self, record: Mapping[str, Any]) -> None:
        self._known = set(record["known"])
        self._sizes: dict[str, int] = dict(record["sizes"])
        self._drawn = {place: entry_of_record(entry) for place, entry in record["drawn"].items()}
        self._nearest: dict[str, float] = dict(record["nearest"])

    def __contains__(self, fingerprint: object) -> bool:
        return fingerprint in self._known

    def size(self, data: SolverData, kind: TaskKind | None = None) -> int:
        """See `gasp_env.episode.view.View`."""
        return _answer(self._sizes, _place(data, kind))

    def entry(self, data: SolverData, index: int, kind: TaskKind | None = None) -> Entry:
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


def _place(data: SolverData, kind: TaskKind | None, index: int | None = None) -> str:
    parts = [data, *([kind] if kind else []), *([] if index is None else [str(index)])]
    return "/".join(parts)


def _text_key(text: str, exclude: str | None) -> str:
    return hashlib.sha256(f"{exclude}\n{text}".encode("utf-8", "surrogatepass")).hexdigest()
