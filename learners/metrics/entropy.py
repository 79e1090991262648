"""Two entropies that can move in opposite directions (arXiv 2507.14843): of tokens and of answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from math import log

from torch import Tensor


def token_entropy(entropy: Tensor, mask: Tensor) -> float:
    """Mean entropy of the next-token distribution over the tokens the policy chose, in nats.

    Args:
        entropy: (rows, tokens), from the full distribution at the sampling temperature.
        mask: (rows, tokens).
    """
    live = mask.bool()
    return float(entropy[live].double().mean()) if bool(live.any()) else 0.0


def answer_entropy(answers: Sequence[Hashable]) -> float:
    """Entropy of the empirical distribution of answers to one prompt, in nats.

    What counts as the same answer is the caller's choice: text, canonical program, behaviour.
    """
    total = len(answers)
    return -sum(n / total * log(n / total) for n in Counter(answers).values()) if total else 0.0
