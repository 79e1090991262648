"""Outcomes: the full record of a judged proposal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gasp_env.tasks import Axis, Entry, Goalpost, Task

if TYPE_CHECKING:
    from gasp_env.episode.view import View


@dataclass(frozen=True)
class Outcome:
    """The argument of every teacher reward.

    Attributes:
        stage: the stage of the proposal, such as ``lemma``, ``lift`` or ``propose``.
        axis: the requested axis of a variant; None if the proposal is no variant.
        goalpost: id of the episode's goalpost; None if the episode is unguided.
        reason: ``valid`` or the gate's reason for rejection (`gasp_env.domains.python.gate.REASONS`).
        correct, samples: c of n attempts were right; both 0 for an invalid proposal.
        attempts: reason of every attempt's verdict, in order.
        answers: the answer of every attempt, in order: equal texts for equal behaviour (a program's, on the
            hidden inputs; a value; arguments), empty for an attempt that gave no answer.
        accepted: valid, and c/n within the curriculum's band for the stage.
        scored: False when a run it needed was not executed; no reward is computed for it.
        kind: the requested task kind: ``induction`` in a guided curriculum.
        task: the verified task, None for an invalid proposal.
        parent: the entry from which a lift was made, with its own ``correct`` and ``samples``; None
            otherwise.
        problem: the episode's goalpost; None if the episode is unguided.
        others: verdict reasons of related groups of attempts, by name, such as those without an adversary's
            text.
        relevance: relevance of the proposal to its goalpost, in [0, 1]; None if it was not measured.
        library: the episode's view of the library.
    """

    stage: str
    axis: Axis | None
    goalpost: str | None
    reason: str
    correct: int = 0
    samples: int = 0
    attempts: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()
    accepted: bool = False
    scored: bool = True
    kind: str = "induction"
    task: Task | None = None
    parent: Entry | None = None
    problem: Goalpost | None = None
    others: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    relevance: float | None = None
    library: View | None = field(default=None, compare=False, repr=False)

    @property
    def valid(self) -> bool:
        """True if the gate let the proposal pass."""
        return self.reason == "valid"


def in_band(correct: int, samples: int, band: tuple[int, int]) -> bool:
    """True if c/n lies in a closed band given in tenths."""
    low, high = band
    return samples > 0 and low * samples <= 10 * correct <= high * samples
