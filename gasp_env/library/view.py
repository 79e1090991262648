"""Immutable views of a library, one for each episode."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gasp_env.episode.view import SolverData, View, check_data, matches
from gasp_env.library.embedders import EmbeddingTable
from gasp_env.tasks import Entry


def sample(
    view: View,
    rng: np.random.Generator,
    count: int,
    data: SolverData = "accepted",
    kind: str | None = None,
    *,
    replace: bool = False,
) -> list[Entry]:
    """Draw entries uniformly, the same from the same generator state and view.

    Returns:
        ``count`` of them; without replacement at most as many as there are, and none from an empty view.
    """
    size = view.size(data, kind)
    if size == 0:
        return []
    drawn = rng.choice(size, count if replace else min(count, size), replace=replace)
    return [view.entry(data, int(index), kind) for index in drawn]


class LibraryView:
    """The library at one moment (see `View`). Indices are built at their first use."""

    def __init__(self, entries: Sequence[Entry], table: EmbeddingTable | None) -> None:
        self._entries = tuple(entries)
        self._table = table
        self._sorts: dict[tuple[SolverData, str | None], tuple[Entry, ...]] = {}
        self._accepted: dict[str, list[int]] | None = None
        self._rows: NDArray[np.int64] | None = None

    def __deepcopy__(self, memo: object) -> LibraryView:
        return self  # nothing can change it

    def __contains__(self, fingerprint: object) -> bool:
        return fingerprint in self._positions()

    def size(self, data: SolverData, kind: str | None = None) -> int:
        """Number of entries of a sort, of one task kind or of all."""
        return len(self._sort(data, kind))

    def entry(self, data: SolverData, index: int, kind: str | None = None) -> Entry:
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
        if self._table is None:
            raise ValueError(
                "nearest: expected a library with an embedder, this one has none; make it with "
                "Library(embedder=gasp_env.library.embedders.get('hashing')), say"
            )
        entries = self._sort("accepted")
        if not entries:
            return -1.0
        if self._rows is None:
            self._rows = self._table.rows([entry.task.content.text for entry in entries])
        similarities = self._table.similarities(text)[self._rows]
        if exclude is not None:
            similarities[self._positions().get(exclude, [])] = -1.0
        return float(similarities.max())

    def _sort(self, data: SolverData, kind: str | None = None) -> tuple[Entry, ...]:
        if (data, kind) not in self._sorts:
            check_data(data)
            self._sorts[data, kind] = tuple(
                entry for entry in self._entries if matches(entry, data) and kind in (None, entry.task.kind)
            )
        return self._sorts[data, kind]

    def _positions(self) -> dict[str, list[int]]:
        """Position of each fingerprint among the accepted entries."""
        if self._accepted is None:
            found: dict[str, list[int]] = {}
            for position, entry in enumerate(self._sort("accepted")):
                found.setdefault(entry.task.fingerprint, []).append(position)
            self._accepted = found  # only now: other threads ask the same view
        return self._accepted
