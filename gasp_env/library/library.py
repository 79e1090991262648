"""The library: every valid task with its difficulty.

An entry holds its provenance (goalpost, parent, axis, step), its difficulty (c of n), and its teacher's program,
which is known to be right. An entry is therefore an off-policy sample for a solver as well::

    view = library.view()
    for entry in sample(view, rng, 32, "non_extremes", kind="induction"):
        prompt = domain.style.solve(entry.task, "induction", 0)      # the solver's prompt
        answer = entry.task.content.program                                  # a right answer; wrap it as the style asks
        # As another kind: the answer to "deduction" on input i is entry.task.content.outputs[i], the one to
        # "abduction" entry.task.content.inputs[i].

No policy sampled that answer, so it has no behaviour log-probabilities: train on it as on supervised data, or
choose values in their place.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from gasp_env.episode.view import SolverData, View, matches
from gasp_env.library import entries as files
from gasp_env.library import eviction as evictions
from gasp_env.library.embedders import Embedder, EmbeddingTable
from gasp_env.library.entries import (
    ContentReader,
    LibraryError,
    entry_of_record,
    entry_record,
    python_content,
    task_of_record,
    task_record,
)
from gasp_env.library.lineage import Lineage
from gasp_env.library.view import LibraryView, sample
from gasp_env.tasks import Entry

__all__ = [
    "Entry",
    "Library",
    "LibraryError",
    "LibraryView",
    "SolverData",
    "View",
    "entry_of_record",
    "entry_record",
    "matches",
    "sample",
    "task_of_record",
    "task_record",
]

#: Embedding rows of evicted entries that are kept before the table is made anew.
_WASTE = 1024


class Library:
    """All valid tasks of one env, in the order they were committed.

    Args:
        entries: the first entries, added as by `commit`.
        capacity: greatest number of entries; None for no limit.
        eviction: policy that chooses the entries to drop beyond it (`gasp_env.library.eviction`). An evicted task is
            forgotten: novelty no longer knows it, and it may be committed again.
        embedder: embeds texts for `View.nearest`; None to do without.

    Attributes:
        entries: oldest first.
        step: training step, set by the learner; entries without a step of their own are committed with it.
    """

    def __init__(
        self,
        entries: Iterable[Entry] = (),
        *,
        capacity: int | None = None,
        eviction: str = "oldest",
        embedder: Embedder | None = None,
        read: ContentReader = python_content,
    ) -> None:
        if capacity is not None and (type(capacity) is not int or capacity < 1):
            raise ValueError(f"expected a capacity of at least 1, or None for no limit, got {capacity!r}")
        self.capacity = capacity
        self.eviction = eviction
        self.embedder = embedder
        self.read = read
        self.entries: list[Entry] = []
        self.step = 0
        self._worth = evictions.get(eviction)
        self._table = None if embedder is None else EmbeddingTable(embedder)
        self._view: LibraryView | None = None
        self._index(())
        self.commit(entries)

    def __len__(self) -> int:
        return len(self.entries)

    @property
    def accepted(self) -> int:
        """Number of accepted tasks."""
        return self.view().size("accepted")

    def commit(self, entries: Iterable[Entry]) -> int:
        """Add entries without duplicates; return the number that were added and kept.

        Duplicates are dropped: any task already accepted, and a rejected task already stored. A lift that
        changed only the inputs of its lemma has the lemma's fingerprint; its inputs tell it apart.

        Each entry is given an id, and the id of its parent: the newest entry with the fingerprint that its
        task names. For an episode's lift that is the lemma committed just before it.
        """
        before = self._last_id
        for entry in entries:
            parent = 0 if entry.task.parent is None else self._newest.get(entry.task.parent, 0)
            self._add(replace(entry, id=self._last_id + 1, parent=parent, step=entry.step or self.step))
        self._evict()
        return sum(entry.id > before for entry in self.entries)

    def view(self) -> LibraryView:
        """The library as it is now; later commits and evictions do not change the view."""
        if self._view is None:
            if self._table is not None and len(self._table) > 2 * len(self.entries) + _WASTE:
                self._table = self._table.of([entry.task.content.text for entry in self.entries])
            self._view = LibraryView(self.entries, self._table)
        return self._view

    def sample(
        self,
        rng: np.random.Generator,
        count: int,
        data: SolverData = "accepted",
        kind: str | None = None,
        *,
        replace: bool = False,
    ) -> list[Entry]:
        """Draw entries of the library as it is now: see `sample`."""
        return sample(self.view(), rng, count, data, kind, replace=replace)

    def lineage(self) -> Lineage:
        """The family trees of the current entries."""
        return Lineage(self.entries)

    def copy(self) -> Library:
        """An independent library with the same entries; embeddings, which never change, are shared."""
        twin = Library(capacity=self.capacity, eviction=self.eviction, embedder=self.embedder, read=self.read)
        twin.step, twin._table = self.step, self._table
        twin._index(self.entries)
        return twin

    def save(self, path: str | Path) -> None:
        """Write all entries as JSON lines (`gasp_env.library.entries`); the file is replaced as a whole or not at all.

        Raises:
            LibraryError: a value is too long to be read back.
            OSError: the file cannot be written.
        """
        files.write(self.entries, path, self.read)

    @classmethod
    def load(cls, path: str | Path, **options: Any) -> Library:
        """Read the library that `save` wrote, with the same ids. ``options`` are the keywords of `Library`.

        Embeddings are not stored; they are computed again at their first use.

        Raises:
            LibraryError: a line is not an entry; the message names the line and the expected value.
            OSError: the file cannot be read.
        """
        return cls._restored(files.read(path, options.get("read", python_content)), str(path), options)

    def state(self) -> list[dict[str, Any]]:
        """JSON-able records of all entries."""
        return [entry_record(entry) for entry in self.entries]

    @classmethod
    def from_state(cls, records: Iterable[Any], **options: Any) -> Library:
        """Restore the library from its `state`. ``options`` are the keywords of `Library`.

        Raises:
            LibraryError: a record is not an entry.
        """
        read = options.get("read", python_content)
        entries = [entry_of_record(one, f"library entry {n}", read) for n, one in enumerate(records, start=1)]
        return cls._restored(entries, "library", options)

    @classmethod
    def _restored(cls, entries: Sequence[Entry], where: str, options: dict[str, Any]) -> Library:
        """Restore entries: those with ids keep ids and parents, those without are committed."""
        if not any(entry.id for entry in entries):
            return cls(entries, **options)
        library = cls(**options)
        for entry in entries:
            if not library._last_id < entry.id or not entry.parent < entry.id:
                raise LibraryError(
                    f"{where}, entry with id {entry.id}: expected an id above {library._last_id} of the entry before "
                    f"and above its parent's, {entry.parent}; keep the order, or remove 'id' and 'parent' everywhere "
                    "to have them given anew"
                )
            library._add(entry)
        library.step = max(entry.step for entry in entries)
        library._evict()
        return library

    def _add(self, entry: Entry) -> None:
        """Append an entry that has its id, unless it is a duplicate."""
        key = entry.task.key
        if key in (self._accepted if entry.accepted else self._known):
            return
        self._known.add(key)
        if entry.accepted:
            self._accepted.add(key)
        self._newest[entry.task.fingerprint] = self._last_id = entry.id
        self.entries.append(entry)
        self._view = None

    def _evict(self) -> None:
        excess = 0 if self.capacity is None else len(self.entries) - self.capacity
        if excess > 0:
            gone = evictions.evicted(self.eviction, self._worth, tuple(self.entries), excess)
            self._index(entry for position, entry in enumerate(self.entries) if position not in gone)

    def _index(self, entries: Iterable[Entry]) -> None:
        """Replace all entries by these."""
        self.entries = list(entries)
        self._view = None
        self._known = {entry.task.key for entry in self.entries}
        self._accepted = {entry.task.key for entry in self.entries if entry.accepted}
        self._newest = {entry.task.fingerprint: entry.id for entry in self.entries}
        # The next id depends on the entries alone, so that a stored library goes on as this one would. An
        # id whose entry was evicted at once may be given again; no entry has it as a parent, for lifts come later.
        self._last_id = self.entries[-1].id if self.entries else 0
