"""Bounds on the number of values in a JSON text, checked before it is parsed.

A list of empty objects takes twenty times as much memory as its text. A lower bound on the number of values can be
counted without building any: one value follows every comma, and one begins at every opening bracket.
"""

from __future__ import annotations

import re

from gasp_env import values

#: A text in quotes, whole or cut off, or a mark between or before values. Nothing is tried twice, so that the time is
#: linear for every text.
_PARTS = re.compile(r'"(?:[^"\\]++|\\.?)*+"?|[,\n\[{]', re.DOTALL)


class TooMany(ValueError):
    """The text holds more values than allowed."""


def check(text: str, most: int = values.MAX_NODES, *, separators: str = ",") -> None:
    """Refuse a text that, read as JSON, would hold more than ``most`` values.

    The bound is one-sided: a text that passes may hold up to about three times as many.

    Args:
        text: any text; it need not be JSON.
        most: greatest number of values, nested ones included.
        separators: the marks between values; includes a line break if every line is a value.

    Raises:
        TooMany: there are more.
    """
    if _most(sum(map(text.count, separators)), text.count("[") + text.count("{")) <= most:
        return  # even if nothing of it is inside of quotes
    between = opened = quoted = 0
    for part in _PARTS.finditer(text):
        mark = text[part.start()]
        between += mark in separators
        opened += mark in "[{"
        quoted += mark == '"'
        # JSON has a name and a value between two commas, not more in quotes.
        if max(_most(between, opened), quoted // 2) > most:
            raise TooMany(f"more than {most} values")


def at_most(text: str) -> int:
    """Upper bound on the number of values in a JSON text."""
    return 1 + sum(map(text.count, ",[{"))


def _most(between: int, opened: int) -> int:
    return max(between + 1, opened)
