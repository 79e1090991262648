"""Spaces of text."""

from __future__ import annotations

import string
from typing import Any, NoReturn

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import create_shared_memory

#: Longest action that `TextAction.sample` draws, in characters. An action may have any length; one that
#: exceeds the parser's limit is a malformed answer.
MAX_ACTION = 65_536


class UnicodeText(spaces.Text):
    """Any text of at most ``max_length`` code points.

    `gymnasium.spaces.Text` checks every character against a character set; with all of Unicode in
    it, that is megabytes per space. Sampling draws printable ASCII.
    """

    def __init__(self, max_length: int, *, seed: int | np.random.Generator | None = None) -> None:
        super().__init__(max_length, min_length=0, charset=string.printable, seed=seed)

    def contains(self, x: Any) -> bool:
        """True if ``x`` is a text of allowed length."""
        return isinstance(x, str) and len(x) <= self.max_length

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.max_length})"

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, UnicodeText)
            and type(other) is type(self)
            and other.max_length == self.max_length
        )

    __hash__ = None  # type: ignore[assignment]  # spaces are mutable: they hold a generator


class TextAction(UnicodeText):
    """One text, or a tuple of 1 to ``samples`` texts: several answers to the same prompt in one step.

    A text may be of any length: a model's text is judged and paid, never an error. Only texts drawn by
    `sample` are limited to ``max_length`` characters. A list or a one-dimensional array stands for a tuple.
    """

    def __init__(
        self, max_length: int, samples: int, *, seed: int | np.random.Generator | None = None
    ) -> None:
        super().__init__(max_length, seed=seed)
        self.samples = samples

    def contains(self, x: Any) -> bool:
        """True if ``x`` is a text, or a tuple, list or array of 1 to ``samples`` texts."""
        texts = as_texts(x)
        return texts is not None and (isinstance(x, str) or 1 <= len(texts) <= self.samples)

    def __repr__(self) -> str:
        return f"TextAction({self.max_length}, samples={self.samples})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TextAction) and super().__eq__(other) and other.samples == self.samples

    __hash__ = None


def as_texts(action: Any) -> list[str] | None:
    """The texts of an action: one, or several as a tuple, a list or an array of one dimension; None of all else."""
    if isinstance(action, str):
        return [action]
    if (
        isinstance(action, np.ndarray) and action.ndim == 1
    ):  # made of tuples by NumPy and by libraries that use it
        action = action.tolist()
    if isinstance(action, tuple | list) and all(isinstance(text, str) for text in action):
        return list(action)
    return None


@create_shared_memory.register(UnicodeText)
def _no_shared_memory(space: UnicodeText, n: int = 1, ctx: Any = None) -> NoReturn:
    """Refuse shared memory: Gymnasium reads texts from it only once, and all later observations are
    garbage."""
    raise ValueError(
        "expected shared_memory=False, got an AsyncVectorEnv that shares memory, which would silently replace every "
        "prompt by the same meaningless text; pass shared_memory=False (vector_kwargs of gymnasium.make_vec), or leave "
        "the vectorization_mode out: gymnasium.make_vec(id, num_envs) steps all episodes in one process with one "
        "sandbox, which is faster"
    )
