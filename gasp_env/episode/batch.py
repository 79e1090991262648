"""Copies within one step: of equal proposals that a step settles, only the first is kept.

The view that novelty asks is that of the episode's beginning, so it cannot know what other episodes propose in the same
step. An episode is therefore told here which of its proposals another one has made already.
"""

from __future__ import annotations

from typing import Protocol

from gasp_env.episode.turns import Judged, Verdict


class Batch(Protocol):
    """The proposals that a step has settled so far."""

    def settle(self, sample: int, judged: Judged) -> Judged:
        """Return the decision on text number ``sample`` of a turn: ``duplicate`` for a valid proposal that repeats
        one of this batch, else the given one."""
        ...


class Proposed:
    """A batch that remembers every valid proposal; episodes settle theirs in env order."""

    def __init__(self) -> None:
        self._keys: set[str] = set()

    def settle(self, sample: int, judged: Judged) -> Judged:
        """See `Batch.settle`."""
        if judged.task is None:
            return judged
        if judged.task.key in self._keys:
            return repeated(judged)
        self._keys.add(judged.task.key)
        return judged


class Told:
    """A batch that a stored turn was told of.

    Args:
        keys: for each sample, the key of the task that its proposal repeated; None where it repeated none.
    """

    def __init__(self, keys: list[str | None]) -> None:
        self._keys = keys

    def settle(self, sample: int, judged: Judged) -> Judged:
        """See `Batch.settle`."""
        if judged.task is None or judged.task.key != self._keys[sample]:
            return judged
        return repeated(judged)


def repeated(judged: Judged) -> Judged:
    """The decision on a valid proposal that repeats one of its batch."""
    assert judged.task is not None
    said = Verdict("duplicate", "a proposal of the same batch does the same")
    return Judged(said, relevance=judged.relevance, repeats=judged.task.key)
