"""The typed encoding: an identity on values, one form for each, and nothing else accepted."""

from __future__ import annotations

import math
import struct
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sandbox_image.worker.codec import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_NODES,
    MalformedValue,
    Unserializable,
    decode,
    encode,
)
from tests.fuzz import examples
from tests.sandbox_image.strategies import values


@given(values())
def test_decode_undoes_encode(value: Any) -> None:
    for keep_order in (False, True):
        data = encode(value, keep_order=keep_order)
        back = decode(data, keep_order=keep_order)
        assert type(back) is type(value)
        assert encode(back, keep_order=keep_order) == data
        assert encode(back) == encode(value)


@given(st.dictionaries(st.integers() | st.text(), st.integers()))
def test_order_is_kept_where_asked_and_forgotten_where_not(mapping: dict[Any, Any]) -> None:
    backwards = dict(reversed(mapping.items()))
    assert encode(mapping) == encode(backwards)
    assert list(decode(encode(backwards, keep_order=True), keep_order=True)) == list(backwards)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_malformed(data: bytes) -> None:
    try:
        value = decode(data)
    except MalformedValue:
        return
    assert encode(value) == data


@settings(max_examples=examples(300))
@given(values(), st.data())
def test_what_is_accepted_is_canonical(value: Any, draw: st.DataObject) -> None:
    """Change one byte: refused, or the encoding of another value."""
    data = bytearray(encode(value))
    data[draw.draw(st.integers(0, len(data) - 1))] = draw.draw(st.integers(0, 255))
    try:
        other = decode(bytes(data))
    except MalformedValue:
        return
    assert encode(other) == bytes(data)


def test_types_are_told_apart() -> None:
    alike = [0, False, 0.0, "", b"", None, [], (), {}, set(), frozenset()]
    assert len({encode(value) for value in alike}) == len(alike)
    assert encode(True) != encode(1) != encode(1.0)


def test_floats_that_count_as_one() -> None:
    [quiet, negative] = struct.unpack(">dd", b"\x7f\xf8" + bytes(5) + b"\1" + b"\xff\xf8" + bytes(6))
    assert encode(math.nan) == encode(quiet) == encode(negative)
    assert encode(-0.0) == encode(0.0)
    assert encode({float("nan"), float("nan")}) == encode({math.nan})


class _Int(int):
    pass


class _Liar(type):
    def __eq__(cls, other: object) -> bool:
        return True

    def __hash__(cls) -> int:
        return hash(int)


class _Lying(metaclass=_Liar):
    __class__ = int  # type: ignore[assignment]


@pytest.mark.parametrize(
    "value",
    [object(), _Int(1), _Lying(), 1j, range(3), iter([]), int, len, bytearray(), ...],
    ids=lambda value: type(value).__name__,  # the default may hold an address, which no two processes share
)
def test_other_types_are_refused(value: Any) -> None:
    for nested in (value, [value], {1: value}):
        with pytest.raises(Unserializable, match="exact built-in"):
            encode(nested)


def _nested(depth: int) -> Any:
    value: Any = 0
    for _ in range(depth):
        value = [value]
    return value


def _cycle() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def _doubled() -> Any:
    value: list[Any] = []
    for _ in range(MAX_DEPTH - 1):
        value = [value, value]
    return value


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (_nested(MAX_DEPTH + 1), "nested"),
        (_nested(100_000), "nested"),
        (_cycle(), "cycle"),
        (_doubled(), "values"),
        ([0] * MAX_NODES, "values"),
        (set(range(MAX_NODES)), "values"),
        (10**4300, "digits"),
        (-(10**4300), "digits"),
        ("x" * MAX_BYTES, "long"),
        ({float("nan"): 1, float("nan"): 2}, "NaN"),
    ],
    ids=[
        "depth",
        "very deep",
        "cycle",
        "shared",
        "list",
        "set",
        "digits",
        "negative digits",
        "bytes",
        "NaN keys",
    ],
)
def test_bounds(value: Any, why: str) -> None:
    with pytest.raises(Unserializable, match=why):
        encode(value)


def test_what_is_just_within_bounds_passes() -> None:
    for value in (_nested(MAX_DEPTH), [0] * (MAX_NODES - 1), 10**4300 - 1, -(10**4300 - 1)):
        assert decode(encode(value)) == value


def _int(value: int) -> bytes:
    return encode(value)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"?",
        b"NN",
        b"i\0\0\0\0",
        b"i\0\0\0\2\0\1",
        b"i\0\0\0\2\xff\xff",
        b"i\0\0\xff\xff" + b"\1" * 0xFFFF,
        b"i\0\0\0",
        b"s\0\0\0\1\xff",
        b"s\xff\xff\xff\xff",
        b"l\xff\xff\xff\xff",
        b"l\0\0\0\2N",
        b"f" + b"\x80" + bytes(7),
        b"f\x7f\xf8" + bytes(5) + b"\1",
        b"f\0",
        b"S\0\0\0\2" + _int(2) + _int(1),
        b"S\0\0\0\2" + _int(1) + _int(1),
        b"S\0\0\0\2T" + _int(1),
        b"S\0\0\0\1l\0\0\0\0",
        b"d\0\0\0\1NX",
        b"d\0\0\0\2" + (_int(1) + b"N") * 2,
        b"l\0\0\0\1" * 100_000 + b"N",
        b"l\0\0\0\1" * 65 + b"N",
    ],
)
def test_malformed(data: bytes) -> None:
    for keep_order in (False, True):
        with pytest.raises(MalformedValue):
            decode(data, keep_order=keep_order)


def test_too_long_to_decode() -> None:
    with pytest.raises(MalformedValue, match="bytes"):
        decode(encode("x" * 1000), max_bytes=999)
    with pytest.raises(MalformedValue, match="values"):
        decode(b"l" + struct.pack(">I", 10**6) + b"N" * 10**6)


def test_colliding_keys_do_not_hold_the_host_up() -> None:
    """Forged: building this set would take the program minutes, and us as long."""
    members = sorted(encode(i * (2**61 - 1)) for i in range(20_000))
    data = b"S" + struct.pack(">I", len(members)) + b"".join(members)
    started = time.monotonic()
    with pytest.raises(MalformedValue, match="one hash"):
        decode(data)
    assert time.monotonic() - started < 2
