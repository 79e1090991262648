"""Hypothesis strategies for the value language."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st


def scalars() -> st.SearchStrategy[Any]:
    """Values without parts, lone surrogates and every float included."""
    text = st.text(st.characters(codec=None, exclude_categories=()), max_size=20)
    large = st.integers(-(10**60), 10**60)
    return st.none() | st.booleans() | st.integers() | large | st.floats() | text | st.binary(max_size=20)


def hashables() -> st.SearchStrategy[Any]:
    """Values that can be a key. NaN keys are left out: two of them are no dict of ours."""
    atoms = scalars().filter(lambda value: value == value)
    return st.recursive(
        atoms,
        lambda inner: st.lists(inner, max_size=4).map(tuple) | st.frozensets(inner, max_size=4),
        max_leaves=8,
    )


def values() -> st.SearchStrategy[Any]:
    """Any value."""
    return st.recursive(
        scalars() | hashables(),
        lambda inner: (
            st.lists(inner, max_size=5)
            | st.lists(inner, max_size=5).map(tuple)
            | st.dictionaries(hashables(), inner, max_size=5)
            | st.sets(hashables(), max_size=5)
        ),
        max_leaves=25,
    )
