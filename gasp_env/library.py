"""The library: every valid task with what is known of its difficulty."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from gasp_env import eviction as evictions
from gasp_env.embedders import Embedder
from gasp_env.entries import Entry, entry_of_record, entry_record, task_of_record, task_record
from gasp_env.tasks import Proposal, Task, TaskKind
from gasp_env.values import encode

__all__ = [
    "Entry",
    "Library",
    "LibraryView",
    "SolverData",
    "View",
    "entry_of_record",
    "entry_record",
    "task_of_record",
    "task_record",
    "task_text",
]

#: What a solver is given of a library: accepted tasks, all valid ones, or those neither always nor never solved.
SolverData = Literal["accepted", "all", "non_extremes"]


class View(Protocol):
    """What an episode may ask of the library. It does not change."""

    def __contains__(self, fingerprint: object) -> bool:
        """Whether a task with this fingerprint had been accepted: what a new proposal may not repeat.

        One that was too hard or too easy may be proposed again, for the solver has changed since.
        """
        ...

    def size(self, data: SolverData, kind: TaskKind | None = None) -> int:
        """Number of entries of that sort; of one task kind, or of all."""
        ...

    def entry(self, data: SolverData, index: int, kind: TaskKind | None = None) -> Entry:
        """The entry number ``index`` of that sort, oldest first.

        Raises:
            IndexError: the index is not in ``range(size(data, kind))``.
        """
        ...

    def nearest(self, text: str, exclude: str | None = None) -> float:
        """Greatest cosine similarity of ``text`` with an accepted task, -1.0 if there is none.

        Args:
            text: `task_text` of what is compared.
            exclude: fingerprint of tasks that are not compared with.

        Raises:
            ValueError: the library has no embedder.
        """
        ...


def task_text(task: Task | Proposal) -> str:
    """What embedders read of a task: message and program."""
    return f"{task.message.strip()}\n\n{task.program.strip()}\n".lstrip()


class Library:
    """All valid tasks of one env, in the order they were committed.

    Args:
        entries: what it begins with, as if committed.
        capacity: greatest number of entries; None: it only grows.
        eviction: policy that says what goes when there are more (`gasp_env.eviction`).
        embedder: what `View.nearest` measures with; None: it cannot.

    Attributes:
        entries: oldest first.
        step: training step, set by whoever trains; entries that name none are committed with it.
    """

    def __init__(
        self,
        entries: Iterable[Entry] = (),
        *,
        capacity: int | None = None,
        eviction: str = "oldest",
        embedder: Embedder | None = None,
    ) -> None:
        if capacity is not None and capacity < 1:
            raise ValueError(f"expected a capacity of at least 1, or None, got {capacity!r}")
        self.capacity = capacity
        self.eviction = eviction
        self.embedder = embedder
        self.entries: list[Entry] = []
        self.step = 0
        self._worth = evictions.get(eviction)
        self._last_id = 0
        self._view: LibraryView | None = None
        self._vectors = None if embedder is None else _Vectors(embedder)
        self._index()
        self.commit(entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def accepted(self) -> int:
        """Number of accepted tasks."""
        return sum(entry.accepted for entry in self.entries)

    def commit(self, entries: Iterable[Entry]) -> int:
        """Add entries, dropping those that tell nothing new; return how many were added and kept.

        Nothing new is a task that has been accepted already, or one not accepted that is known. A lift
        that changed only the inputs of its lemma has the lemma's fingerprint, and is known by its inputs as well.
        An evicted task is known no more, and may come again.
        """
        before = self._last_id
        for entry in entries:
            key = _key(entry.task)
            known = self._accepted if entry.accepted else self._known
            if key in known:
                continue
            self._last_id += 1
            parent = self._newest.get(entry.task.parent, 0) if entry.task.parent is not None else 0
            self._add(replace(entry, id=self._last_id, parent=parent, step=entry.step or self.step), key)
        self._evict()
        return sum(entry.id > before for entry in self.entries)

    def view(self) -> LibraryView:
        """The library as it is now, unchanged by what is committed or evicted later."""
        if self._view is None:
            self._view = LibraryView(self.entries, self._vectors)
        return self._view

    def state(self) -> list[dict[str, Any]]:
        """JSON-able records of all entries."""
        return [entry_record(entry) for entry in self.entries]

    @classmethod
    def from_state(cls, records: Iterable[dict[str, Any]], **options: Any) -> Library:
        """The library `state` was taken of."""
        return cls((entry_of_record(record) for record in records), **options)

    def _add(self, entry: Entry, key: str) -> None:
        self._view = None
        self._known.add(key)
        if entry.accepted:
            self._accepted.add(key)
        self._newest[entry.task.fingerprint] = entry.id
        self.entries.append(entry)

    def _evict(self) -> None:
        excess = 0 if self.capacity is None else len(self.entries) - self.capacity
        if excess <= 0:
            return
        gone = evictions.evicted(self.eviction, self._worth, tuple(self.entries), excess)
        self.entries = [entry for position, entry in enumerate(self.entries) if position not in gone]
        self._index()

    def _index(self) -> None:
        self._view = None
        self._known: set[str] = set()
        self._accepted: set[str] = set()
        self._newest: dict[str, int] = {}
        entries, self.entries = self.entries, []
        for entry in entries:
            self._add(entry, _key(entry.task))


class LibraryView:
    """A library at one moment. What is asked of it is worked out at the first question."""

    def __init__(self, entries: Sequence[Entry], vectors: _Vectors | None) -> None:
        self._entries = tuple(entries)
        self._vectors = vectors
        self._sorts: dict[tuple[SolverData, TaskKind | None], tuple[Entry, ...]] = {}
        self._known: frozenset[str] | None = None
        self._rows: NDArray[np.int64] | None = None

    def __contains__(self, fingerprint: object) -> bool:
        if self._known is None:
            self._known = frozenset(entry.task.fingerprint for entry in self._sort("accepted"))
        return fingerprint in self._known

    def size(self, data: SolverData, kind: TaskKind | None = None) -> int:
        """Number of entries of that sort; of one task kind, or of all."""
        return len(self._sort(data, kind))

    def entry(self, data: SolverData, index: int, kind: TaskKind | None = None) -> Entry:
        """The entry number ``index`` of that sort, oldest first.

        Raises:
            IndexError: the index is not in ``range(size(data, kind))``.
        """
        found = self._sort(data, kind)
        if not 0 <= index < len(found):
            raise IndexError(f"expected an index in [0, {len(found)}), got {index}")
        return found[index]

    def nearest(self, text: str, exclude: str | None = None) -> float:
        """Greatest cosine similarity of ``text`` with an accepted task, -1.0 if there is none.

        Raises:
            ValueError: the library has no embedder.
        """
        if self._vectors is None:
            raise ValueError("nearest: expected a library with an embedder, this one has none; give it one")
        entries = self._sort("accepted")
        if self._rows is None:
            self._rows = self._vectors.rows([task_text(entry.task) for entry in entries])
        kept = [
            row for row, entry in zip(self._rows, entries, strict=True) if entry.task.fingerprint != exclude
        ]
        if not kept:
            return -1.0
        return float(self._vectors.similarities(text)[kept].max())

    def _sort(self, data: SolverData, kind: TaskKind | None = None) -> tuple[Entry, ...]:
        if (data, kind) not in self._sorts:
            if data not in get_args(SolverData):
                raise ValueError(
                    f"expected data to be one of {', '.join(get_args(SolverData))}, got {data!r}"
                )
            self._sorts[data, kind] = tuple(
                entry for entry in self._entries if matches(entry, data) and kind in (None, entry.task.kind)
            )
        return self._sorts[data, kind]


class _Vectors:
    """Embeddings by text: rows are only ever added, so that views may share them."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._row: dict[str, int] = {}
        self._rows: list[NDArray[np.float64]] = []

    def rows(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """Which row each text has; those that are new are embedded."""
        new = [text for text in dict.fromkeys(texts) if text not in self._row]
        if new:
            for text, vector in zip(new, self._embedder.embed(new), strict=True):
                self._row[text] = len(self._rows)
                self._rows.append(vector)
        return np.array([self._row[text] for text in texts], dtype=np.int64)

    def similarities(self, text: str) -> NDArray[np.float64]:
        """Cosine similarity of a text with every row."""
        return np.stack(self._rows) @ self._embedder.embed([text])[0]


def matches(entry: Entry, data: SolverData) -> bool:
    """Whether an entry belongs to the data a filter names."""
    if data == "accepted":
        return entry.accepted
    return data == "all" or 0 < entry.correct < entry.samples


def _key(task: Task) -> str:
    if task.fingerprint != task.parent:
        return task.fingerprint
    return task.fingerprint + " " + " ".join(sorted(encode(arguments).hex() for arguments in task.inputs))
