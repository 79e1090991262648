"""Bytes and texts that nearly are what they should be, and what reading them costs."""

from __future__ import annotations

import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st


def mutated(draw: st.DrawFn, given: Any, pieces: st.SearchStrategy[Any]) -> Any:
    """``given``, bytes or text, changed a few times: overwritten, inserted into, cut, repeated, swapped."""
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(given)))
        end = draw(st.integers(start, min(len(given), start + 12)))
        how = draw(st.integers(0, 4))
        part = given[start:end]
        if how == 0:
            given = given[:start] + draw(pieces) + given[end:]
        elif how == 1:
            given = given[:start] + draw(pieces) + given[start:]
        elif how == 2:
            given = given[:start] + given[end:]
        elif how == 3:
            given = given[:end] + part * draw(st.integers(1, 3)) + given[end:]
        else:
            given = given[end:] + given[:end]
    return given


def peak_of(function: Callable[[], object]) -> int:
    """Bytes that Python allocated at once while ``function`` ran."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def steps_of(function: Callable[[], object]) -> int:
    """Calls made while ``function`` ran, of Python functions and of built-in ones."""
    steps = 0

    def count(_frame: Any, event: str, _argument: Any) -> None:
        nonlocal steps
        steps += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(before)
    return steps
