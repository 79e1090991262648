"""Every case of the list is answered, and what is said to answer it exists."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.adversarial.cases import CASES
from tests.adversarial.reference import DEVIATIONS, ELSEWHERE, LIST
from tests.adversarial.test_nondeterminism import DIFFER, FIXED

ROOT = Path(__file__).parents[2]
PROGRAMS = {number for case in CASES for number in case.numbers} | DIFFER.keys() | FIXED.keys()


@cache
def _tests_in(file: str) -> frozenset[str]:
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    return frozenset(
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_")
    )


def test_the_list_is_whole() -> None:
    assert list(LIST) == list(range(1, 98))
    assert PROGRAMS | ELSEWHERE.keys() | DEVIATIONS.keys() <= LIST.keys()


@pytest.mark.parametrize("number", LIST)
def test_every_case_is_answered(number: int) -> None:
    assert number in PROGRAMS or number in ELSEWHERE, LIST[number]
    for test in ELSEWHERE.get(number, ()):
        file, _, name = test.partition("::")
        assert name in _tests_in(file), test


def test_every_hostile_program_is_of_the_list() -> None:
    assert all(case.numbers for case in CASES)
