"""Functions of an outcome that many rewards share."""

from __future__ import annotations

from collections import Counter

from gasp_env.episode.outcome import Outcome

#: For an invalid proposal, where a source has no value of its own: Absolute Zero's, and the environment's.
INVALID = -1.0


def rate(outcome: Outcome) -> float:
    """Share p = c/n of the attempts at a valid proposal that were right, in [0, 1].

    Raises:
        ValueError: there was no attempt.
    """
    if outcome.samples < 1:
        raise ValueError("expected a valid proposal to have been attempted, got 0 samples")
    return outcome.correct / outcome.samples


def is_extreme(outcome: Outcome) -> bool:
    """True if p is 0 or 1."""
    return outcome.correct in (0, outcome.samples)


def votes(outcome: Outcome) -> Counter[str]:
    """Number of attempts for each answer; an attempt without an answer does not vote.

    Where answers were not recorded, the right attempts count as one answer and the others do not vote.
    """
    if len(outcome.answers) == outcome.samples:
        return Counter(answer for answer in outcome.answers if answer)
    return Counter({"right": outcome.correct}) if outcome.correct else Counter()


def agreement(outcome: Outcome) -> int:
    """Number of attempts that gave the most common answer, 0 to n."""
    return max(votes(outcome).values(), default=0)
