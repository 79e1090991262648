"""JSON texts that are looked at before anything is built of them.

A list of empty objects takes twenty times as much memory as its text. How many values a text holds at least can be
counted without building any: one follows every comma, and one begins at every bracket that opens.
"""

from __future__ import annotations

import re

from gasp_env import values

#: A text in quotes, whole or cut off, or what stands between values and before them. Nothing is tried twice, so that
#: the time is linear whatever the text is.
_PARTS = re.compile(r'"(?:[^"\\]++|\\.?)*+"?|[,\n\[{]', re.DOTALL)


class TooMany(ValueError):
    """A text of more values than there may be."""


def check(text: str, most: int = values.MAX_NODES, *, separators: str = ",") -> None:
    """Refuse a text that cannot be JSON of so few values; what passes has at most some three times as many.

    Args:
        text: any text; whether it is JSON is not looked at.
        most: values that there may be, those inside of others included.
        separators: what stands between values; with a line break, if every line is a value.

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
    """How many values a text has at most, if it is JSON."""
    return 1 + sum(map(text.count, ",[{"))


def _most(between: int, opened: int) -> int:
    return max(between + 1, opened)
