"""What sequences of tokens begin with in common."""

from __future__ import annotations

from collections.abc import Sequence


def common(one: Sequence[int], other: Sequence[int]) -> int:
    """Tokens that two sequences begin with alike."""
    if type(one) is not type(other):  # a list and a tuple are never equal
        one, other = tuple(one), tuple(other)
    # Slices are compared faster than tokens: halve what may still differ.
    low, least = 0, min(len(one), len(other))
    if one[:least] == other[:least]:
        return least
    while least - low > 1:
        middle = (low + least) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            least = middle
    return low
