"""Views of the library: the library at one moment, as an episode may query it."""

from __future__ import annotations

from typing import Literal, Protocol, get_args

from gasp_env.tasks import Entry

#: Sorts of entries for the solver: accepted tasks, all valid ones, or those neither always nor never solved.
SolverData = Literal["accepted", "all", "non_extremes"]


class View(Protocol):
    """The queries that an episode may make of the library. A view does not change."""

    def __contains__(self, fingerprint: object) -> bool:
        """True if a task with this fingerprint has been accepted; a new proposal may not repeat it.

        A task that was too hard or too easy may be proposed again, because the solver changes. An evicted
        task may be proposed again too.
        """
        ...

    def size(self, data: SolverData, kind: str | None = None) -> int:
        """Number of entries of that sort; of one task kind, or of all."""
        ...

    def entry(self, data: SolverData, index: int, kind: str | None = None) -> Entry:
        """The entry number ``index`` of that sort, oldest first.

        Raises:
            IndexError: the index is not in ``range(size(data, kind))``.
        """
        ...

    def nearest(self, text: str, exclude: str | None = None) -> float:
        """Greatest cosine similarity of ``text`` with an accepted task, -1.0 if there is none.

        Args:
            text: text of the content that is compared (`gasp_env.tasks.Content`).
            exclude: fingerprint of tasks that are not compared with.

        Raises:
            ValueError: the library has no embedder.
        """
        ...


def matches(entry: Entry, data: SolverData) -> bool:
    """True if an entry is of that sort.

    Raises:
        ValueError: there is no such sort.
    """
    check_data(data)
    if data == "accepted":
        return entry.accepted
    return data == "all" or 0 < entry.correct < entry.samples


def check_data(data: str) -> None:
    """Refuse an unknown sort of entries."""
    if data not in get_args(SolverData):
        raise ValueError(f"expected data to be one of {', '.join(get_args(SolverData))}, got {data!r}")
