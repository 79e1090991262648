"""Family trees of a library's entries: each lift below the task it was lifted from.

    >>> lineage = library.lineage()                                           # doctest: +SKIP
    >>> [entry.id for entry in lineage.descendants(lineage.family("merge-bookings")[0].id)]  # doctest: +SKIP
    >>> print(lineage.render("merge-bookings"))                               # doctest: +SKIP
    #4 lemma f merge-bookings 4/8 accepted step 3: Spans on one day
    ├─ #5 lift f merge-bookings 2/8 accepted step 3: The same, over midnight
    └─ #9 lift f merge-bookings 0/8 step 7: Spans of two people

Entries are named by their ids, because fingerprints are not unique (`gasp_env.tasks.Entry`). An evicted
parent is in no tree; its lifts are then roots, which name the parent's id.
"""

from __future__ import annotations

from collections.abc import Iterable

from gasp_env.tasks import Entry

_TITLE_CHARS = 60


class Lineage:
    """The forest of some entries. Every child comes after its parent, so that there are no circles."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self._entries: dict[int, Entry] = {}
        self._children: dict[int, list[Entry]] = {}
        for entry in entries:
            if entry.id in self._entries or not 0 <= entry.parent < entry.id:
                raise ValueError(
                    f"expected entries of one library, each with an id of its own and above its parent's; got id "
                    f"{entry.id} with parent {entry.parent}"
                )
            self._entries[entry.id] = entry
            self._children.setdefault(entry.parent, []).append(entry)

    def entry(self, id: int) -> Entry:
        """The entry with this id.

        Raises:
            KeyError: no entry has it; perhaps it was evicted.
        """
        if id not in self._entries:
            raise KeyError(f"expected the id of one of {len(self._entries)} entries, got {id!r}")
        return self._entries[id]

    def find(self, fingerprint: str) -> list[Entry]:
        """All entries with this fingerprint, oldest first."""
        return [entry for entry in self._entries.values() if entry.task.fingerprint == fingerprint]

    def parent(self, id: int) -> Entry | None:
        """The entry it was lifted from; None if it is no lift, or its parent was evicted."""
        return self._entries.get(self.entry(id).parent)

    def children(self, id: int) -> list[Entry]:
        """Lifts of the entry, oldest first. An evicted entry may be asked for too."""
        return list(self._children.get(id, ())) if id else []

    def ancestors(self, id: int) -> list[Entry]:
        """The entry's parent, its parent's parent and so on, up to the first evicted one."""
        found = []
        above = self.parent(id)
        while above is not None:
            found.append(above)
            above = self.parent(above.id)
        return found

    def descendants(self, id: int) -> list[Entry]:
        """Lifts of the entry, their lifts and so on, in depth-first order."""
        found = []
        stack = self.children(id)[::-1]
        while stack:
            entry = stack.pop()
            found.append(entry)
            stack.extend(self.children(entry.id)[::-1])
        return found

    def roots(self) -> list[Entry]:
        """Entries without a parent here, oldest first."""
        return [entry for entry in self._entries.values() if entry.parent not in self._entries]

    def family(self, goalpost: str | None) -> list[Entry]:
        """All entries made for a goalpost, oldest first; for None, those made without one."""
        return [entry for entry in self._entries.values() if entry.task.goalpost == goalpost]

    def render(self, goalpost: str | None = None) -> str:
        """The trees as text, a line an entry; only those that hold an entry of ``goalpost``, if it is given."""
        lines: list[str] = []
        for root in self.roots():
            tree = [root, *self.descendants(root.id)]
            if goalpost is None or any(entry.task.goalpost == goalpost for entry in tree):
                lines.extend(self._tree(root))
        return "\n".join(lines)

    def _tree(self, root: Entry) -> list[str]:
        lines = []
        # An entry, the prefix of its line, and the prefix of its children's lines.
        stack = [(root, "", "")]
        while stack:
            entry, mark, indent = stack.pop()
            lines.append(mark + _line(entry, lost=entry is root and bool(entry.parent)))
            children = self.children(entry.id)
            branches = [
                (child, indent + "├─ ", indent + "│  ")
                if child is not children[-1]
                else (child, indent + "└─ ", indent + "   ")
                for child in children
            ]
            stack.extend(branches[::-1])
        return lines


def _line(entry: Entry, *, lost: bool) -> str:
    task = entry.task
    words = [
        f"#{entry.id}",
        task.stage,
        task.axis,
        task.goalpost,
        f"{entry.correct}/{entry.samples}",
        "accepted" if entry.accepted else None,
        f"step {entry.step}" if entry.step else None,
        f"from #{entry.parent}, evicted" if lost else None,
    ]
    said = task.content.text.strip()
    title = said.splitlines()[0][:_TITLE_CHARS] if said else ""
    return " ".join(word for word in words if word) + f": {title}"
