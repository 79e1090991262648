"""Rules that use a relevance: nothing passes below a threshold, or the reward depends on it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

Mode = Literal["gate", "scale", "score"]
MODES: tuple[Mode, ...] = get_args(Mode)

TERM = "relevance"


@dataclass(frozen=True)
class RelevanceRule:
    """A relevance and how it is used.

    Attributes:
        name: see `gasp_env.relevance.get`.
        mode: ``gate``: a proposal below the threshold is rejected, rewards are left alone. ``scale``: a positive
            reward is multiplied by the relevance. ``score``: ``weight`` times the relevance is added to the reward.
        threshold: of ``gate``, in [0, 1]. 0.3 is for ``operations``; ``similarity`` by ``hashing`` wants about 0.7
            (their modules list the rates of passing). Measure the threshold of a relevance of your own.
        weight: of ``score``, at least 0.
    """

    name: str
    mode: Mode
    threshold: float = 0.3
    weight: float = 0.5

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name:
            raise ValueError(f"expected the name of a relevance, got {self.name!r}")
        if self.mode not in MODES:
            raise ValueError(f"relevance mode: expected one of {', '.join(MODES)}, got {self.mode!r}")
        if not _is_number(self.threshold) or not 0 <= self.threshold <= 1:
            raise ValueError(f"relevance threshold: expected a number from 0 to 1, got {self.threshold!r}")
        if not _is_number(self.weight) or self.weight < 0:
            raise ValueError(f"relevance weight: expected a number of at least 0, got {self.weight!r}")

    def passes(self, relevance: float) -> bool:
        """True if a proposal of this relevance is let through; always, unless the mode is ``gate``."""
        return self.mode != "gate" or relevance >= self.threshold

    def apply(self, terms: Mapping[str, float], relevance: float) -> dict[str, float]:
        """The terms of a teacher's reward (their sum is the reward), with the change by relevance as a term of its own.

        ``scale`` leaves a reward of at most 0 as it is, without the term: multiplied by a small relevance a penalty
        would shrink, and leaving the topic would be the way out of it.

        Raises:
            ValueError: there is a term named ``relevance`` already.
        """
        if self.mode == "gate":
            return dict(terms)
        if TERM in terms:
            raise ValueError(
                f"relevance mode {self.mode!r} adds a term named {TERM!r}, and the teacher reward has one already; "
                "rename that one"
            )
        if self.mode == "score":
            return {**terms, TERM: self.weight * relevance}
        reward = math.fsum(terms.values())
        return {**terms, TERM: reward * (relevance - 1.0)} if reward > 0 else dict(terms)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
