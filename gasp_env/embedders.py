"""Texts to vectors, so that near copies of a task can be told from new ones."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float64]


class Embedder(Protocol):
    """What novelty measures similarity with.

    Attributes:
        name: what it is chosen by.
        threshold: cosine similarity from which on two tasks count as the same.
    """

    name: str
    threshold: float

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Rows of unit length, shape (n, d): one a text, the same whatever other texts come with it."""
        ...
