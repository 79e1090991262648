"""The encoding on generated values and on bytes that a hostile program may have written."""

from __future__ import annotations

import contextlib
import math
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox_image.worker.codec import MAX_COMPARISONS, MAX_DEPTH, MAX_NODES, MalformedValue, decode, encode
from tests.fuzz import examples
from tests.sandbox_image.mutations import mutated, peak_of, steps_of
from tests.sandbox_image.strategies import extremes, values

_SLOW_TO_DRAW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
_P = 2**61 - 1  # CPython's hash of an int is the rest of dividing by it


def same(a: Any, b: Any, *, keep_order: bool) -> bool:
    """Our equality, written a second time and without the encoding."""
    if type(a) is not type(b):
        return False
    if isinstance(a, float):
        return (math.isnan(a) and math.isnan(b)) or a == b
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(same(x, y, keep_order=keep_order) for x, y in zip(a, b, strict=True))
    if isinstance(a, dict):
        if len(a) != len(b):
            return False
        if keep_order:
            return same(list(a.items()), list(b.items()), keep_order=True)
        return all(
            any(same(key, other, keep_order=False) and same(value, b[other], keep_order=False) for other in b)
            for key, value in a.items()
        )
    if isinstance(a, set | frozenset):
        return len(a) == len(b) and all(any(same(x, y, keep_order=keep_order) for y in b) for x in a)
    return bool(a == b)


@given(values())
def test_decoding_gives_back_what_was_encoded(value: Any) -> None:
    for keep_order in (False, True):
        assert same(
            decode(encode(value, keep_order=keep_order), keep_order=keep_order), value, keep_order=keep_order
        )


@settings(suppress_health_check=_SLOW_TO_DRAW, deadline=None)
@given(extremes())
def test_so_it_is_for_extremes(value: Any) -> None:
    for keep_order in (False, True):
        data = encode(value, keep_order=keep_order)
        back = decode(data, keep_order=keep_order)
        assert same(back, value, keep_order=keep_order)
        assert encode(back, keep_order=keep_order) == data


@given(values(), values())
def test_values_are_equal_exactly_if_their_encodings_are(a: Any, b: Any) -> None:
    for keep_order in (False, True):
        alike = encode(a, keep_order=keep_order) == encode(b, keep_order=keep_order)
        assert alike == same(a, b, keep_order=keep_order)


def _read(data: bytes, keep_order: bool = False) -> None:
    """A value whose encoding these bytes are, or `MalformedValue`; never anything else."""
    try:
        value = decode(data, keep_order=keep_order)
    except MalformedValue:
        return
    assert encode(value, keep_order=keep_order) == data


_PIECES = st.one_of(
    st.binary(min_size=1, max_size=4),
    st.sampled_from([*"NTFifsbltdSZ"]).map(str.encode),
    st.sampled_from([0, 1, 2, 255, 2**16, 2**31, 2**32 - 1]).map(struct.Struct(">I").pack),
)


@st.composite
def _nearly(draw: st.DrawFn) -> bytes:
    data = encode(draw(values() | extremes()), keep_order=draw(st.booleans()))
    changed: bytes = mutated(draw, data, _PIECES)
    return changed


@settings(max_examples=examples(120), suppress_health_check=_SLOW_TO_DRAW, deadline=None)
@given(_nearly() | st.binary(max_size=300))
def test_any_bytes_are_one_value_or_malformed(data: bytes) -> None:
    for keep_order in (False, True):
        _read(data, keep_order)


@settings(max_examples=examples(60), suppress_health_check=_SLOW_TO_DRAW, deadline=None)
@given(_nearly())
def test_reading_costs_no_more_than_the_bytes_are_worth(data: bytes) -> None:
    assert steps_of(lambda: _try(data)) <= 100 + 40 * len(data)
    assert peak_of(lambda: _try(data)) <= 2**16 + 400 * len(data)


def _try(data: bytes) -> None:
    with contextlib.suppress(MalformedValue):
        decode(data, keep_order=True)


def _head(tag: bytes, count: int) -> bytes:
    return tag + struct.pack(">I", count)


def _all(tag: bytes, members: list[bytes]) -> bytes:
    return _head(tag, len(members)) + b"".join(sorted(members))


def _colliding(sets: int, members: int) -> bytes:
    """Sets in a set, all of one hash and told apart only by the last of many members of one hash."""
    shared = [encode(number * _P) for number in range(1, members)]
    return _all(b"S", [_all(b"Z", [*shared, encode((members + number) * _P)]) for number in range(sets)])


def _chain() -> bytes:
    """A set of a set and an int of that set's hash, sixty deep: two such could differ at the bottom alone."""
    value: frozenset[Any] = frozenset()
    salt = 0
    for _ in range(60):
        while not -_P < hash(value) < _P or hash(value) == -2:
            salt += 1
            value = frozenset([*value, salt])
        value = frozenset([value, hash(value)])
    return encode([value, value, {value: value}])


BOMBS: dict[str, bytes] = {
    "a list said to be endless": _head(b"l", 2**32 - 1) + b"N" * 1000,
    "a str said to be endless": _head(b"s", 2**32 - 1) + b"x" * 1000,
    "an int said to be endless": _head(b"i", 2**32 - 1) + b"\1" * 1000,
    "a long int": _head(b"i", 10**6) + b"\1" * 10**6,
    "a dict of half its length": _head(b"d", 50_000) + b"N" * 100_000,
    "nested lists": _head(b"l", 1) * 200_000 + b"N",
    "nested tuples": _head(b"t", 1) * 200_000 + b"N",
    "nested sets": _head(b"Z", 1) * 200_000 + b"N",
    "nested dicts": (_head(b"d", 1) + b"N") * 100_000 + b"N",
    "lists that promise the rest": _head(b"l", 1000) * (MAX_DEPTH - 1) + b"N" * 1000,
    "one value too many": _head(b"l", MAX_NODES) + b"N" * MAX_NODES,
    "empty sets": _head(b"l", MAX_NODES // 4) + _head(b"S", 0) * (MAX_NODES // 4),
    "keys of one hash": _all(b"S", [encode(number * _P) for number in range(20_000)]),
    "sets and ints of one hash": _chain(),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_cost_no_more_than_their_bytes(name: str) -> None:
    data = BOMBS[name]
    assert steps_of(lambda: _try(data)) <= 100 + 40 * len(data)
    assert peak_of(lambda: _try(data)) <= 2**16 + 200 * len(data)


class _Compared(int):
    """An int that counts how often it is compared, and does not let itself be compared for ever."""

    compared = 0

    __hash__ = int.__hash__

    def __eq__(self, other: object) -> bool:
        _Compared.compared += 1
        if _Compared.compared > 2 * MAX_COMPARISONS:
            raise AssertionError("compared too often")
        return int(self) == other


@pytest.mark.parametrize(("sets", "members"), [(1, 900), (200, 98), (900, 20), (12, 12)])
def test_sets_of_one_hash_are_not_compared_for_ever(
    sets: int, members: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of n equal hashes is compared with the others, and to compare two sets does that once more."""
    read: Callable[..., int] = int.from_bytes
    monkeypatch.setattr(
        "sandbox_image.worker.codec._from_bytes", lambda *args, **keys: _Compared(read(*args, **keys))
    )
    monkeypatch.setattr(_Compared, "compared", 0)
    _try(_colliding(sets, members))
    assert 0 < _Compared.compared < MAX_COMPARISONS or (sets, members) not in ((1, 900), (12, 12))


def test_honest_collisions_are_read() -> None:
    """-1 and -2 have one hash, and so have all tuples made of them."""
    grid = {(x, y, z): 1 for x in range(-9, 9) for y in range(-9, 9) for z in range(-9, 9)}
    pairs = {frozenset({-1, -2, number}) for number in range(200)}
    signs = {(a, b, c, d) for a in (-1, -2) for b in (-1, -2) for c in (-1, -2) for d in (-1, -2)}
    for value in (grid, pairs, signs, [{-1: 0, -2: 0}] * 5000):
        assert (
            same(decode(encode(value)), value, keep_order=False)
            if len(value) < 300
            else decode(encode(value))
        )
