"""Comparison of answers to real problems under LiveCodeBench's rule."""

from __future__ import annotations

from decimal import Decimal, InvalidOperation
from typing import Any

#: Bytes a test's answer may have; problems that need more are refused when they are loaded.
OUTPUT_BYTES = 2**20


def same_value(returned: Any, expected: Any) -> bool:
    """True if a function's value is right. Both are exact built-in values, so ``==`` is Python's own."""
    return bool(folded(returned) == expected)


def same_text(printed: str, expected: str) -> bool:
    """True if a program's printed text is right: the same lines, each as text or as the same numbers."""
    mine, right = lines(printed), lines(expected)
    return len(mine) == len(right) and all(map(_same_line, mine, right))


def folded(value: Any) -> Any:
    """Turn a tuple into a list; any other value stays."""
    return list(value) if type(value) is tuple else value


def lines(text: str) -> list[str]:
    """Split a printed text into the stripped lines that are compared."""
    return [line.strip() for line in text.strip().split("\n")]


def _same_line(mine: str, right: str) -> bool:
    if mine == right:
        return True
    try:
        return [Decimal(token) for token in mine.split()] == [Decimal(token) for token in right.split()]
    except (InvalidOperation, ValueError):
        return False
