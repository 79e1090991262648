from __future__ import annotations

import ast

import pytest

from benchmarks.embedder_threshold import originals
from benchmarks.embedder_variants import near_copies, one_operation, renamed
from gasp_env.novelty import normal_form

PROGRAMS = {original.name: original.program for original in originals()}


def form(program: str) -> str:
    return normal_form(ast.parse(program))


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_comments_and_layout_never_matter_and_operations_always_do(program: str) -> None:
    original = form(program)
    copies = [copy.program for copy in near_copies(program) if copy.kind == "commented, respaced"]
    assert [form(copy) for copy in copies] == [original]
    assert copies != [program]
    same = [variant for variant in one_operation(program) if form(variant.program) == original]
    assert same == []


def test_other_names_make_no_other_program() -> None:
    other = [name for name, program in PROGRAMS.items() if form(program) != form(renamed(program))]
    # There a parameter and a function share a name, and only one of the two was given another.
    assert other == ["objects/decorators"]


def test_statements_in_another_order_are_another_program() -> None:
    assert form("def f(x):\n    a = 1\n    b = 2\n    return a - b") != form(
        "def f(x):\n    b = 2\n    a = 1\n    return a - b"
    )
