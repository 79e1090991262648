"""What is known of a proposal once it has been judged."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gasp_env.tasks import Axis, Stage, Task

if TYPE_CHECKING:
    from gasp_env.library import View


@dataclass(frozen=True)
class Outcome:
    """The argument of every teacher reward.

    Attributes:
        stage: ``lemma`` or ``lift``.
        axis: what the variant was asked to change.
        goalpost: id of the episode's goalpost.
        reason: ``valid`` or why the gate rejected it (`gasp_env.gate.REASONS`).
        correct, samples: c of n attempts were right; both 0 for an invalid proposal.
        attempts: reason of every attempt's verdict, in order.
        accepted: valid, and c/n within the curriculum's band for the stage.
        scored: False when a run it needed was not executed; no reward is computed for it.
        task: the verified task, None for an invalid proposal.
        library: what the episode saw of the library.
    """

    stage: Stage
    axis: Axis
    goalpost: str
    reason: str
    correct: int = 0
    samples: int = 0
    attempts: tuple[str, ...] = ()
    accepted: bool = False
    scored: bool = True
    task: Task | None = None
    library: View | None = field(default=None, compare=False, repr=False)

    @property
    def valid(self) -> bool:
        """Whether the gate let the proposal pass."""
        return self.reason == "valid"


def in_band(correct: int, samples: int, band: tuple[int, int]) -> bool:
    """Whether c/n lies in a closed band given in tenths."""
    low, high = band
    return samples > 0 and low * samples <= 10 * correct <= high * samples
