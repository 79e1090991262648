"""SIMULATION: intervals of a mean over a handful of seeds."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np

#: With fewer seeds there is no interval: one has no spread, and two say next to nothing about theirs.
LEAST_SEEDS = 3
CONFIDENCE = 0.95


def within(angle: float, degrees: int) -> float:
    """Chance that a Student t of so many degrees of freedom lies within ``sqrt(degrees) * tan(angle)`` of 0.

    A finite sum for whole degrees (Abramowitz and Stegun, 26.7.3 and 26.7.4).

    Args:
        angle: in [0, pi / 2].
        degrees: at least 1.
    """
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    # Odd: cos + 2/3 cos^3 + ... to cos^(degrees - 2). Even: 1 + 1/2 cos^2 + ..., to the same power.
    term, total = (cosine if odd else 1.0), 0.0
    for power in range(odd, degrees - 1, 2):
        total += term
        term *= cosine**2 * (power + 1) / (power + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


@functools.cache
def t_quantile(degrees: int, confidence: float = CONFIDENCE) -> float:
    """The t within which a Student t of so many degrees of freedom lies with this chance; 2.776 for 4 and 0.95.

    Raises:
        ValueError: unless ``degrees >= 1`` and ``0 < confidence < 1``.
    """
    if degrees < 1 or not 0 < confidence < 1:
        raise ValueError(
            f"expected at least 1 degree of freedom and a confidence in (0, 1), got {degrees} and {confidence}"
        )
    low, high = 0.0, math.pi / 2
    for _ in range(80):  # halved until nothing is left of it
        middle = (low + high) / 2
        low, high = (middle, high) if within(middle, degrees) < confidence else (low, middle)
    return math.sqrt(degrees) * math.tan((low + high) / 2)


def t_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float] | None:
    """Student t interval of the mean; None of fewer than `LEAST_SEEDS` values.

    Its coverage is exact if the values are normal. Give it differences for a paired comparison. A percentile bootstrap
    labelled 95 % covers 83 % with five values, 75 % with three.
    """
    if len(values) < LEAST_SEEDS:
        return None
    mean = float(np.mean(values))
    half = t_quantile(len(values) - 1, confidence) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return mean - half, mean + half
