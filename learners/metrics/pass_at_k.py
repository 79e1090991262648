"""pass@k, the bound that n failures put on a success rate, and bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np


def pass_at_k(n: int, c: int, k: int) -> float:
    """Chance that at least one of ``k`` answers is right, without bias from ``c`` right of ``n`` (arXiv 2107.03374).

    ``1 - C(n-c, k) / C(n, k)``, as a product that does not overflow.

    Raises:
        ValueError: unless ``0 <= c <= n`` and ``1 <= k <= n``.
    """
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"expected 0 <= c <= n and 1 <= k <= n, got n={n}, c={c}, k={k}")
    return 1.0 if n - c < k else 1.0 - prod(1.0 - k / j for j in range(n - c + 1, n + 1))


def zero_success_bound(n: int, confidence: float = 0.95) -> float:
    """Upper bound of a success rate after ``n`` failures and no success: ``1 - (1 - confidence)^(1/n)``."""
    return 1.0 - (1.0 - confidence) ** (1.0 / n)


def bootstrap_interval(
    values: Sequence[float], confidence: float = 0.95, draws: int = 2000, seed: int = 0
) -> tuple[float, float]:
    """Percentile interval of the mean over problems. For a paired comparison pass the differences."""
    data = np.asarray(values, dtype=np.float64)
    picks = np.random.default_rng(seed).integers(0, len(data), size=(draws, len(data)))
    tail = 100 * (1 - confidence) / 2
    low, high = np.percentile(data[picks].mean(axis=1), [tail, 100 - tail])
    return float(low), float(high)
