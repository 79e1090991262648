"""The value language: the values that programs take and return, written, read and compared.

Exact built-in values only: None, bool, int, float, str, bytes, list, tuple, dict, set, frozenset.
``True`` is not ``1``, ``1`` is not ``1.0``, a tuple is not a list, NaN equals NaN, -0.0 equals
0.0, sets and dicts compare unordered; depth, size and digits are bounded (`MAX_DEPTH` and the
others). Two values are equal if their canonical encodings are.

Text is read by a parser of our own, never by Python's on the whole: at most one number or string
token at a time is given to `ast.literal_eval`, so that no text, however hostile, can recurse,
allocate or execute. `parse_literal` reads the text that `render` wrote back to an equal value.
"""

from __future__ import annotations

import ast
import math
import re
import warnings
from typing import Any, NoReturn

from sandbox_image.worker.codec import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_DIGITS,
    MAX_NODES,
    MalformedValue,
    Unserializable,
    decode,
    encode,
    type_name,
)

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_DIGITS",
    "MAX_NODES",
    "MAX_TEXT",
    "MalformedValue",
    "Unserializable",
    "ValueSyntaxError",
    "decode",
    "encode",
    "equal",
    "parse_arguments",
    "parse_literal",
    "render",
    "render_arguments",
    "render_known",
    "same",
]

#: Longest text read as a literal, in characters.
MAX_TEXT = 2**16

_TOKEN = re.compile(
    r"""[ \t\r\n\f]*(?:
        (?P<number>(?:\d|\.\d)(?:[eE][+-]?\d|[\w.])*)
      | (?P<string>(?:[rRbBuU]|[rR][bB]|[bB][rR])?
            (?:'{3}(?:[^'\\]|\\.|'(?!''))*'{3} | "{3}(?:[^"\\]|\\.|"(?!""))*"{3}
              | '(?:[^'\\\n]|\\.)*' | "(?:[^"\\\n]|\\.)*"))
      | (?P<name>[A-Za-z_]\w*)
      | (?P<mark>[][(){},:-])
      | (?P<end>\Z)
    )""",
    re.VERBOSE | re.DOTALL | re.ASCII,
)
_INT_BOUND = 10**MAX_DIGITS
_CONSTANTS = {"True": True, "False": False, "None": None}
_AS_PYTHON = frozenset({int, str, bool, bytes, type(None)})
#: Of what Python writes: what `render` may write otherwise. That is floats, and sets for their order.
_NOT_AS_PYTHON = re.compile(r"[{]|nan|inf|-0\.0")
_FLOATS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


class ValueSyntaxError(ValueError):
    """The text is not a literal of the value language."""


def equal(a: Any, b: Any) -> bool:
    """True if two values are the same under the rules above; False if either is not a value at all."""
    try:
        return encode(a) == encode(b)
    except Unserializable:
        return False


def same(a: Any, b: Any) -> bool:
    """Faster `equal` for two objects that are known to be values, because `decode` or a parser here made them.

    Values with equal reprs are equal. The converse does not hold (sets, dicts, NaN in a set).
    """
    return repr(a) == repr(b) or encode(a) == encode(b)


def parse_literal(text: str) -> Any:
    """Read one value.

    Literals and displays as in Python, and ``set()``, ``frozenset()``, ``frozenset({...})``,
    ``float('nan')``, ``float('inf')``, ``-float('inf')``. No operators, calls, names or comments.

    Raises:
        ValueSyntaxError: the text is anything else, or over a bound.
    """
    parser = _Parser(text)
    value = parser.value(0)
    parser.expect_end()
    return value


def parse_prefix(text: str) -> tuple[Any, int]:
    """Read the value that a text begins with: the value, and the place of what follows it and the white space.

    Raises:
        ValueSyntaxError: the text begins with anything else, or with a value that is over a bound.
    """
    parser = _Parser(text)
    return parser.value(0), parser.start


def parse_arguments(text: str) -> tuple[Any, ...]:
    """Read the positional arguments of a call: ``"1, [2]"`` is ``(1, [2])``, ``""`` is ``()``.

    Raises:
        ValueSyntaxError: the text is no comma-separated list of literals, or over a bound.
    """
    parser = _Parser(text)
    values: list[Any] = []
    while parser.kind != "end":
        values.append(parser.value(1))
        if parser.kind != "end":
            parser.take(",")
    return tuple(values)


def render(value: Any) -> str:
    """Write a value as Python would, with set members in a fixed order.

    Sizes are not checked here: a value beyond the bounds is written, and refused when it is read.

    Raises:
        Unserializable: something in it is of another type, or nested too deep, or a number of too many digits.
    """
    try:
        return _render(value, 0)
    except Unserializable:
        raise
    except ValueError as error:  # the interpreter's bound on digits
        raise Unserializable(str(error)) from None


def render_known(value: Any) -> str:
    """Like `render`, of what is known to be a value: it came out of `decode`, or of a parser here."""
    text = repr(value)
    return render(value) if _NOT_AS_PYTHON.search(text) else text


def render_arguments(arguments: tuple[Any, ...]) -> str:
    """Write arguments as they stand between a call's parentheses: ``(1, [2])`` as ``"1, [2]"``."""
    return ", ".join(render(argument) for argument in arguments)


class _Parser:
    """Recursive descent over tokens, one ahead, at most `MAX_DEPTH` deep.

    The values it returns need no further check. A text of `MAX_TEXT` characters has fewer than `MAX_NODES` parts,
    which take fewer than `MAX_BYTES`. Types, depth and digits are checked here. There is only one NaN object, so that
    no dict has two of them as keys.
    """

    def __init__(self, text: str) -> None:
        if len(text) > MAX_TEXT:
            raise ValueSyntaxError(f"{len(text)} characters, at most {MAX_TEXT} are read")
        self._text = text
        self._at = 0
        self._advance()

    def expect_end(self) -> None:
        if self.kind != "end":
            self._fail("one value and nothing after it")

    def take(self, mark: str) -> None:
        if self.kind != "mark" or self.token != mark:
            self._fail(f"{mark!r}")
        self._advance()

    def value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ValueSyntaxError(f"nested deeper than {MAX_DEPTH}")
        kind, token = self.kind, self.token
        if kind == "number":
            return self._number()
        if kind == "string":
            return self._string()
        if kind == "name" and token in _CONSTANTS:
            self._advance()
            return _CONSTANTS[token]
        if kind == "name" and token in ("set", "frozenset", "float"):
            return self._constructor(depth)
        if kind == "mark" and token == "-":
            self._advance()
            if self.kind == "name" and self.token == "float":
                number = self._constructor(depth)
                return -number if number == number else number
            return -self._number()
        if kind == "mark" and token == "[":
            return self._items("]", depth)[0]
        if kind == "mark" and token == "(":
            items, has_comma = self._items(")", depth)
            return items[0] if len(items) == 1 and not has_comma else tuple(items)
        if kind == "mark" and token == "{":
            return self._braces(depth)
        self._fail("a literal")

    def _is(self, mark: str) -> bool:
        return self.kind == "mark" and self.token == mark

    def _advance(self) -> None:
        match = _TOKEN.match(self._text, self._at)
        if match is None:
            self.start = self._at
            self.kind, self.token = "error", self._text[self._at : self._at + 20].strip()
            return
        self.kind = match.lastgroup or "end"
        self.token = match[self.kind]
        self.start, self._at = match.start(self.kind), match.end()

    def _fail(self, expected: str) -> NoReturn:
        found = "the end" if self.kind == "end" else repr(self.token[:40])
        raise ValueSyntaxError(f"expected {expected}, found {found} at character {self.start}")

    def _number(self) -> Any:
        if self.kind != "number":
            self._fail("a number")
        token = self.token
        if len(token) > MAX_DIGITS + MAX_DIGITS // 2:  # room for underscores
            raise ValueSyntaxError(f"a number of more than {MAX_DIGITS} digits")
        value = self._literal(token)
        if type(value) not in (int, float):
            self._fail("an int or a float")
        if type(value) is int and value >= _INT_BOUND:
            raise ValueSyntaxError(f"a number of more than {MAX_DIGITS} digits")
        self._advance()
        return value

    def _string(self) -> str | bytes:
        value: Any = self._literal(self.token)
        self._advance()
        while self.kind == "string":  # adjacent strings are one, as in Python
            more = self._literal(self.token)
            if type(more) is not type(value):
                self._fail("str next to str, or bytes next to bytes")
            value += more
            self._advance()
        text: str | bytes = value
        return text

    def _literal(self, token: str) -> Any:
        """The value of a single number or string token."""
        if token.isdigit() and token.isascii() and len(token) < 19 and (token[0] != "0" or token == "0"):
            return int(token)
        if (
            token[0] in "'\""
            and token[:3] not in ("'''", '"""')
            and "\\" not in token
            and token.isprintable()
        ):
            return token[1:-1]
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # an invalid escape means the same as in Python
                return ast.literal_eval(token)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            self._fail("a number or a string")

    def _items(self, closing: str, depth: int) -> tuple[list[Any], bool]:
        """Values up to a closing mark, and True if there was a comma."""
        self._advance()
        items: list[Any] = []
        has_comma = False
        while not self._is(closing):
            items.append(self.value(depth + 1))
            if not self._is(closing):
                self.take(",")
                has_comma = True
        self._advance()
        return items, has_comma or not items

    def _braces(self, depth: int) -> dict[Any, Any] | set[Any]:
        self._advance()
        if self._is("}"):
            self._advance()
            return {}
        keys, values = [self.value(depth + 1)], []
        is_dict = self._is(":")
        while True:
            if is_dict:
                self.take(":")
                values.append(self.value(depth + 1))
            if not self._is("}"):
                self.take(",")
            if self._is("}"):
                break
            keys.append(self.value(depth + 1))
        self._advance()
        try:
            return dict(zip(keys, values, strict=True)) if is_dict else set(keys)
        except TypeError:
            raise ValueSyntaxError("a list, dict or set as a key or member") from None

    def _constructor(self, depth: int) -> Any:
        name = self.token
        self._advance()
        self.take("(")
        if name == "float":
            text = self._string() if self.kind == "string" else None
            if type(text) is not str or text not in _FLOATS:
                self._fail("float('nan'), float('inf') or float('-inf')")
            value: Any = _FLOATS[text]
        elif name == "set" or self._is(")"):
            value = set() if name == "set" else frozenset()
        else:
            items = self.value(depth + 1)
            if type(items) not in (set, list, tuple):
                raise ValueSyntaxError("frozenset() takes a display such as {1, 2}")
            try:
                value = frozenset(items)
            except TypeError:
                raise ValueSyntaxError("a list, dict or set as a member") from None
        self.take(")")
        return value


def _render(value: Any, depth: int) -> str:
    if depth > MAX_DEPTH:
        raise Unserializable(f"nested deeper than {MAX_DEPTH} (or a cycle)")
    kind = type(value)
    if kind in _AS_PYTHON:
        return repr(value)
    if kind is float:
        if value != value:
            return "float('nan')"
        if value in (math.inf, -math.inf):
            return "float('inf')" if value > 0 else "-float('inf')"
        return repr(value or 0.0)
    inner = depth + 1
    if kind is list:
        return "[" + ", ".join([_render(item, inner) for item in value]) + "]"
    if kind is tuple:
        return (
            "(" + ", ".join([_render(item, inner) for item in value]) + ("," if len(value) == 1 else "") + ")"
        )
    if kind is dict:
        pairs = [f"{_render(key, inner)}: {_render(item, inner)}" for key, item in value.items()]
        return "{" + ", ".join(pairs) + "}"
    if kind is set:
        return "{" + _render_members(value, inner) + "}" if value else "set()"
    if kind is frozenset:
        return "frozenset({" + _render_members(value, inner) + "})" if value else "frozenset()"
    raise Unserializable(f"{type_name(kind)} is not one of the exact built-in value types")


def _render_members(members: set[Any] | frozenset[Any], depth: int) -> str:
    kinds = {type(member) for member in members}
    ordered = sorted(members) if kinds in ({int}, {str}) else sorted(members, key=encode)
    return ", ".join([_render(member, depth) for member in ordered])
