"""Records as LiveCodeBench publishes them, of two problems of our own."""

from __future__ import annotations

import base64
import json
import pickle
import zlib
from typing import Any


def packed(tests: list[dict[str, str]], protocol: int = 4) -> str:
    """Private tests as they are published."""
    return base64.b64encode(zlib.compress(pickle.dumps(json.dumps(tests), protocol))).decode()


def cases(kind: str, *pairs: tuple[str, str]) -> list[dict[str, str]]:
    """Tests as they are published."""
    return [{"input": given, "output": output, "testtype": kind} for given, output in pairs]


def stdin_record(**changes: Any) -> dict[str, Any]:
    """Lanterns along a street: a whole program."""
    return {
        "question_title": "Lanterns",
        "question_content": "A street has N lanterns in a row. ... Print the mean gap between those that burn.",
        "platform": "atcoder",
        "question_id": "own001_a",
        "contest_id": "own001",
        "contest_date": "2023-09-02T00:00:00",
        "starter_code": "",
        "difficulty": "easy",
        "public_test_cases": json.dumps(cases("stdin", ("3\n1 4 5\n", "2.0\n"))),
        "private_test_cases": packed(
            cases("stdin", ("2\n7 8\n", "1\n"), ("4\n0 1 2 6\n", "2\n"), ("1\n9\n", "none\n"))
        ),
        "metadata": "{}",
        **changes,
    }


LANTERNS = """
n = int(input())
burning = sorted(map(int, input().split()))
if n < 2:
    print("none")
else:
    print((burning[-1] - burning[0]) / (n - 1))
"""


STARTER = "class Solution:\n    def neighbours(self, heights: List[int], goal: int) -> List[int]:\n        "


def method_record(**changes: Any) -> dict[str, Any]:
    """Heights of neighbours: a method."""
    return {
        "question_title": "Neighbours",
        "question_content": "Return the indices of two neighbours whose heights differ by goal, or [].",
        "platform": "leetcode",
        "question_id": "9001",
        "contest_id": "own-contest-7",
        "contest_date": "2024-08-17T00:00:00",
        "starter_code": STARTER,
        "difficulty": "medium",
        "public_test_cases": json.dumps(cases("functional", ("[1, 5, 2]\n3", "[1, 2]"), ("[]\n1", "[]"))),
        "private_test_cases": packed(cases("functional", ("[4, 4]\n0", "[0, 1]"), ("[1, 2, 3]\n2", "[]")), 2),
        "metadata": '{"func_name": "neighbours"}',
        **changes,
    }


NEIGHBOURS = """
class Solution:
    def neighbours(self, heights: List[int], goal: int) -> List[int]:
        for i, (a, b) in enumerate(pairwise(heights)):
            if abs(a - b) == goal:
                return i, i + 1
        return []
"""
