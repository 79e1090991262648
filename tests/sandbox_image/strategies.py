"""Hypothesis strategies for the value language."""

from __future__ import annotations

import math
import random
import struct
from typing import Any

from hypothesis import strategies as st

from sandbox_image.worker.codec import MAX_DEPTH, MAX_DIGITS


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


def values(max_leaves: int = 25) -> st.SearchStrategy[Any]:
    """Any value, of about as many parts without parts."""
    return st.recursive(
        scalars() | hashables(),
        lambda inner: (
            st.lists(inner, max_size=5)
            | st.lists(inner, max_size=5).map(tuple)
            | st.dictionaries(hashables(), inner, max_size=5)
            | st.sets(hashables(), max_size=5)
        ),
        max_leaves=max_leaves,
    )


def extreme_scalars() -> st.SearchStrategy[Any]:
    """What lies on a bound of the language, of a machine word or of IEEE 754."""
    bound = 10**MAX_DIGITS - 1
    edges = [
        sign * (2**bits + step)
        for bits in (7, 8, 31, 63, 64, 2048)
        for step in (-1, 0, 1)
        for sign in (1, -1)
    ]
    patterns = st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack(">d", bits.to_bytes(8, "big"))[0])
    return st.one_of(
        st.sampled_from([bound, -bound, bound - 1, 1 - bound, 0, *edges]),
        patterns,
        st.sampled_from(
            [math.inf, -math.inf, math.nan, -0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.8e308]
        ),
        st.text(
            st.sampled_from("\x00\x7f\x80\u07ff\u0800\ud800\udfff\uffff\U00010000\U0010ffffe\u0301"),
            max_size=9,
        ),
        st.binary(min_size=250, max_size=260),
    )


def extremes() -> st.SearchStrategy[Any]:
    """Extreme scalars, wide containers of them, and as deep a nest as there may be."""
    wide = st.lists(extreme_scalars(), max_size=40)
    members = st.lists(extreme_scalars().filter(lambda value: value == value), max_size=40)
    flat = wide | wide.map(tuple) | members.map(set) | members.map(frozenset) | members.map(dict.fromkeys)
    return flat | st.tuples(extreme_scalars(), st.lists(st.integers(0, 3), max_size=MAX_DEPTH)).map(_nest)


def _nest(how: tuple[Any, list[int]]) -> Any:
    value, kinds = how
    for kind in kinds:
        value = ([value], (value,), {0: value}, [None, value])[kind]
    return value


_ATOMS = st.sampled_from(
    [None, False, True, 0, 1, 2, -1, 0.0, -0.0, 1.0, math.nan, -math.nan, "", "1", "nan", b"1"]
)
_PLAIN = st.recursive(
    _ATOMS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.sets(_ATOMS, max_size=4)
        | st.frozensets(_ATOMS, max_size=4)
        | st.dictionaries(_ATOMS.filter(lambda key: key == key), inner, max_size=3)
    ),
    max_leaves=6,
)


@st.composite
def lookalikes(draw: st.DrawFn) -> tuple[Any, Any]:
    """Two values: unlike, or the second is the first in another order, or with parts that Python finds equal."""
    value, swaps = draw(_PLAIN), draw(st.sampled_from([0.0, 0.0, 0.1, 1.0, None]))
    if swaps is None:
        return value, draw(_PLAIN)
    return value, _like(value, random.Random(draw(st.integers(0, 99))), swaps)


def _like(value: Any, rng: random.Random, swaps: float) -> Any:
    kind, swap = type(value), rng.random() < swaps
    if kind in (list, tuple):
        parts = [_like(item, rng, swaps) for item in value]
        return parts if (kind is list) is not swap else tuple(parts)
    if kind in (set, frozenset):
        members = list(value)
        rng.shuffle(members)
        return kind(members)
    if kind is dict:
        items = [(key, _like(item, rng, swaps)) for key, item in value.items()]
        rng.shuffle(items)
        return dict(items)
    if kind is float:
        return -value if swap and value == 0 else float(value)
    if swap and kind in (bool, int) and value in (0, 1):
        return rng.choice((bool, int, float))(value)
    return value
