"""The typed encoding in which values cross the sandbox's wall, and by which they are compared.

Ten exact built-in types and None, one tag byte each, every length written before its content.
Subclasses are refused: a value whose ``==``, ``repr`` or iteration a program wrote itself never
gets a byte. The encoding is canonical, so two values are equal under our rules exactly if their
encodings are the same bytes: ``True``, ``1`` and ``1.0`` differ, a tuple is not a list, NaN
equals NaN, -0.0 is 0.0, sets and dicts have no order.

A program may well depend on the order of a dict it is given, so there is a second form,
``keep_order=True``, in which dicts keep their insertion order; this form travels.

Standard library only: this file runs on the host and inside the sandbox, where the program has
had its hands on everything. Hence ``is`` on types (a metaclass may lie in ``__eq__`` and
``__hash__``) and, on the host, a decoder that trusts no byte and is bounded in time and memory.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable
from typing import Any

MAX_DEPTH = 64
MAX_NODES = 100_000
MAX_BYTES = 4 * 2**20
MAX_DIGITS = 4300  # CPython's own default limit for int <-> str
MAX_COMPARISONS = 10**6  # between parts of keys that share a hash: a set of n such costs n², nested ones more

_INT_BOUND = 10**MAX_DIGITS
_MAX_INT_BYTES = _INT_BOUND.bit_length() // 8 + 1
_from_bytes = int.from_bytes
_LENGTH = struct.Struct(">I")
_FLOAT = struct.Struct(">d")
_NAN = b"\x7f\xf8\x00\x00\x00\x00\x00\x00"
_ZERO = bytes(8)
_MINUS_ZERO = b"\x80" + bytes(7)


class Unserializable(ValueError):
    """The value has no encoding: a type, a depth or a size outside the value language."""


class MalformedValue(ValueError):
    """The bytes are not the encoding of any value."""


def encode(value: Any, *, keep_order: bool = False, max_bytes: int = MAX_BYTES) -> bytes:
    """Encode an exact built-in value.

    Args:
        value: None, bool, int, float, str, bytes, list, tuple, dict, set or frozenset, nested at
            most `MAX_DEPTH` deep, with at most `MAX_NODES` values and `MAX_DIGITS` digits.
        keep_order: write dicts in insertion order instead of canonical order.
        max_bytes: refuse longer encodings.

    Raises:
        Unserializable: the value is outside these bounds. Cycles are reported as depth.
    """
    return _Encoder(keep_order, max_bytes).encode(value, 0)


def decode(data: bytes, *, keep_order: bool = False, max_bytes: int = MAX_BYTES) -> Any:
    """Decode exactly the output of `encode` with the same ``keep_order``, and nothing else.

    Raises:
        MalformedValue: for every other input, within time and memory bounded by its length.
    """
    if len(data) > max_bytes:
        raise MalformedValue(f"{len(data)} bytes, at most {max_bytes} are allowed")
    decoder = _Decoder(data, keep_order)
    value = decoder.decode(0)
    if decoder.at != len(data):
        raise MalformedValue(f"{len(data) - decoder.at} bytes follow the value")
    return value


class _Encoder:
    """Walks a value, spending its budget of nodes and bytes before it allocates."""

    __slots__ = ("bytes_left", "keep_order", "nodes_left")

    def __init__(self, keep_order: bool, max_bytes: int) -> None:
        self.keep_order = keep_order
        self.bytes_left = max_bytes
        self.nodes_left = MAX_NODES

    def encode(self, value: Any, depth: int) -> bytes:
        if depth > MAX_DEPTH:
            raise Unserializable(f"nested deeper than {MAX_DEPTH} (or a cycle)")
        kind = type(value)
        if kind is int:
            return self._int(value)
        if kind is str:
            self._spend(1, 5 + len(value))
            return _sized(b"s", value.encode("utf-8", "surrogatepass"))
        if kind is list:
            return self._items(b"l", list(value), depth)
        if kind is tuple:
            return self._items(b"t", value, depth)
        if value is None:
            self._spend(1, 1)
            return b"N"
        if kind is bool:
            self._spend(1, 1)
            return b"T" if value else b"F"
        if kind is float:
            return self._float(value)
        if kind is dict:
            return self._dict(value, depth)
        if kind is set:
            return self._set(b"S", value, depth)
        if kind is frozenset:
            return self._set(b"Z", value, depth)
        if kind is bytes:
            self._spend(1, 5 + len(value))
            return _sized(b"b", value)
        raise Unserializable(f"{type_name(kind)} is not one of the exact built-in value types")

    def _spend(self, nodes: int, size: int) -> None:
        self.nodes_left -= nodes
        self.bytes_left -= size
        if self.nodes_left < 0:
            raise Unserializable(f"more than {MAX_NODES} values")
        if self.bytes_left < 0:
            raise Unserializable("the encoding is too long")

    def _int(self, value: int) -> bytes:
        if not -_INT_BOUND < value < _INT_BOUND:
            raise Unserializable(f"an int of more than {MAX_DIGITS} digits")
        body = _int_bytes(value)
        self._spend(1, 5 + len(body))
        return _sized(b"i", body)

    def _float(self, value: float) -> bytes:
        self._spend(1, 9)
        if value != value:
            return b"f" + _NAN
        return b"f" + (_FLOAT.pack(value) if value else _ZERO)

    def _items(self, tag: bytes, items: Any, depth: int) -> bytes:
        self._spend(1, 5)
        if len(items) > self.nodes_left:
            raise Unserializable(f"more than {MAX_NODES} values")
        encode = self.encode
        return tag + _LENGTH.pack(len(items)) + b"".join([encode(item, depth + 1) for item in items])

    def _set(self, tag: bytes, items: Any, depth: int) -> bytes:
        self._spend(1, 5)
        if len(items) > self.nodes_left:
            raise Unserializable(f"more than {MAX_NODES} values")
        # Several NaN objects may sit in one set; they are one value to us.
        encoded = sorted({self.encode(item, depth + 1) for item in tuple(items)})
        return tag + _LENGTH.pack(len(encoded)) + b"".join(encoded)

    def _dict(self, mapping: dict[Any, Any], depth: int) -> bytes:
        self._spend(1, 5)
        if 2 * len(mapping) > self.nodes_left:
            raise Unserializable(f"more than {MAX_NODES} values")
        pairs = [
            (self.encode(key, depth + 1), self.encode(value, depth + 1))
            for key, value in tuple(mapping.items())
        ]
        if len({key for key, _ in pairs}) != len(pairs):
            raise Unserializable("a dict with two NaN keys")
        if not self.keep_order:
            pairs.sort()
        return b"d" + _LENGTH.pack(len(pairs)) + b"".join([key + value for key, value in pairs])


class _Decoder:
    """Reads one value, checking every length against the rest of the input before it allocates."""

    __slots__ = ("at", "comparisons_left", "data", "keep_order", "nodes_left")

    def __init__(self, data: bytes, keep_order: bool) -> None:
        self.data = data
        self.at = 0
        self.keep_order = keep_order
        self.nodes_left = MAX_NODES
        self.comparisons_left = MAX_COMPARISONS

    def decode(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise MalformedValue(f"nested deeper than {MAX_DEPTH}")
        self.nodes_left -= 1
        if self.nodes_left < 0:
            raise MalformedValue(f"more than {MAX_NODES} values")
        at = self.at
        tag = self.data[at : at + 1]
        self.at = at + 1
        if tag == b"i":
            return self._int()
        if tag == b"s":
            return self._str()
        if tag == b"l":
            return self._items(depth)
        if tag == b"t":
            return tuple(self._items(depth))
        if tag == b"b":
            return self._sized()
        if tag == b"N":
            return None
        if tag == b"T":
            return True
        if tag == b"F":
            return False
        if tag == b"f":
            return self._float()
        if tag == b"d":
            return self._dict(depth)
        if tag == b"S":
            return self._set(depth)
        if tag == b"Z":
            return frozenset(self._set(depth))
        raise MalformedValue(f"unknown tag {tag!r}" if tag else "the bytes end inside a value")

    def _sized(self) -> bytes:
        """A length and as many bytes."""
        start = self.at + 4
        head = self.data[self.at : start]
        end = start + (_from_bytes(head) if len(head) == 4 else len(self.data))
        if end > len(self.data):
            raise MalformedValue("the bytes end inside a value")
        self.at = end
        return self.data[start:end]

    def _count(self, least: int) -> int:
        """A number of items, each of which takes at least ``least`` bytes."""
        head = self.data[self.at : self.at + 4]
        self.at += 4
        count = _from_bytes(head)
        if len(head) < 4 or count * least > len(self.data) - self.at:
            raise MalformedValue("the bytes end inside a value")
        return count

    def _int(self) -> int:
        body = self._sized()
        size = len(body)
        if not 0 < size <= _MAX_INT_BYTES:
            raise MalformedValue(f"an int of no or more than {MAX_DIGITS} digits")
        value = _from_bytes(body, "big", signed=True)
        # The first byte must say more than the sign of the second.
        if size > 1 and ((body[0] == 0 and body[1] < 128) or (body[0] == 255 and body[1] >= 128)):
            raise MalformedValue("an int that is not in its shortest form")
        if size == _MAX_INT_BYTES and not -_INT_BOUND < value < _INT_BOUND:
            raise MalformedValue(f"an int of more than {MAX_DIGITS} digits")
        return value

    def _float(self) -> float:
        body = self.data[self.at : self.at + 8]
        self.at += 8
        if len(body) < 8:
            raise MalformedValue("the bytes end inside a value")
        value: float = _FLOAT.unpack(body)[0]
        if body == _MINUS_ZERO or (value != value and body != _NAN):
            raise MalformedValue("a float that is not in canonical form")
        return value

    def _str(self) -> str:
        try:
            return self._sized().decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            raise MalformedValue("a str that is not UTF-8") from None

    def _items(self, depth: int) -> list[Any]:
        return [self.decode(depth + 1) for _ in range(self._count(1))]

    def _keyed(self, depth: int, count: int, with_values: bool) -> tuple[list[bytes], list[Any], list[Any]]:
        """Encoded keys, keys and values of a dict or set."""
        encoded, keys, values = [], [], []
        for _ in range(count):
            start = self.at
            keys.append(self.decode(depth + 1))
            encoded.append(self.data[start : self.at])
            if with_values:
                values.append(self.decode(depth + 1))
        try:
            hashes = {hash(key) for key in keys}
        except TypeError:
            raise MalformedValue("a key or member that cannot be hashed") from None
        if len(hashes) < count:
            self.comparisons_left -= _comparisons(keys)
            if self.comparisons_left < 0:
                raise MalformedValue("too many keys with one hash")
        return encoded, keys, values

    def _set(self, depth: int) -> set[Any]:
        count = self._count(1)
        encoded, keys, _ = self._keyed(depth, count, with_values=False)
        _demand_sorted(encoded)
        value = set(keys)
        if len(value) != count:
            raise MalformedValue("a set with a repeated member")
        return value

    def _dict(self, depth: int) -> dict[Any, Any]:
        count = self._count(2)
        encoded, keys, values = self._keyed(depth, count, with_values=True)
        if not self.keep_order:
            _demand_sorted(encoded)
        mapping = dict(zip(keys, values, strict=True))
        if len(mapping) != count or len(set(encoded)) != count:
            raise MalformedValue("a dict with a repeated key")
        return mapping


def _comparisons(keys: list[Any]) -> int:
    """A bound on the comparisons it takes to build a set of these keys."""
    return sum((len(group) - 1) * sum(map(_comparing, group)) for group in _alike(keys) if len(group) > 1)


def _comparing(key: Any) -> int:
    """A bound on the comparisons it takes to tell a key from another of its hash."""
    kind = type(key)
    if kind is tuple:
        return 1 + sum(map(_comparing, key))
    if kind is frozenset:
        # Each member is looked up in the other set, and meets there all that have its hash.
        return 1 + sum(len(group) * sum(map(_comparing, group)) for group in _alike(key))
    return 1


def _alike(keys: Iterable[Any]) -> Iterable[list[Any]]:
    """Keys in groups of one hash."""
    groups: dict[int, list[Any]] = {}
    for key in keys:
        groups.setdefault(hash(key), []).append(key)
    return groups.values()


def type_name(kind: type) -> str:
    """The name a class was given, independent of its metaclass."""
    return str.__str__(type.__dict__["__name__"].__get__(kind))


def _sized(tag: bytes, body: bytes) -> bytes:
    return tag + _LENGTH.pack(len(body)) + body


def _int_bytes(value: int) -> bytes:
    """Two's complement, big endian, shortest."""
    return value.to_bytes((value if value >= 0 else ~value).bit_length() // 8 + 1, "big", signed=True)


def _demand_sorted(encoded: list[bytes]) -> None:
    for before, after in itertools.pairwise(encoded):
        if before >= after:
            raise MalformedValue("keys or members out of order")
