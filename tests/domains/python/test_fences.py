from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.domains.python.candidates import parsed
from gasp_env.domains.python.fences import MAX_FENCES, Block, blocks, outside

F = "```"
CODE = "def f(x):\n    return x"


def read(text: str) -> list[tuple[str, str]]:
    return [(block.tag, block.body) for block in blocks(text, lambda body: parsed(body) is not None)]


def test_blocks_in_order() -> None:
    text = "a\n```python\nx = 1\n\ny = 2\n```\nb\n ``` Input \n1\n```\n```open"
    assert read(text) == [("python", "x = 1\n\ny = 2"), ("input", "1"), ("open", "")]


@pytest.mark.parametrize(
    "text",
    [
        f"{F}python\n{CODE}\n{F}",
        f"{F}Python\n{CODE}\n{F} and words",
        f"{F}python title=x\n{CODE}\n{F}",
        f"{F}{{.python}}\n{CODE}\n{F}",
        f"{F}python\r\n{CODE}\n{F}\r\n",
        f"~~~python\n{CODE}\n~~~",
        f"````python\n{CODE}\n````",
        f"  {F}python\n  def f(x):\n      return x\n  {F}",
        f"- {F}python\n  def f(x):\n      return x\n  {F}",
        f"2. {F}python\n   def f(x):\n       return x\n   {F}",
        f"> {F}python\n> def f(x):\n>     return x\n> {F}\n",
        f"> - {F}python\n>   def f(x):\n>       return x\n>   {F}\n",
        f"Answer: {F}python\n{CODE}\n{F}",
        f"{F}\npython\n{CODE}\n{F}",
        f"{F}python\n{CODE}",
        f"{F}python\n{CODE}\n{F}{F}",
        f"Use {F} like this:\n{F}python\n{CODE}\n{F}",
    ],
)
def test_ways_of_fencing(text: str) -> None:
    found = read(text)
    assert [tag.removesuffix(",") for tag, _ in found] == ["python"]
    assert found[0][1].strip("\n").startswith(CODE)


def test_an_open_block_ends_where_a_tagged_one_begins() -> None:
    text = f"First:\n{F}\nadd one\n\nAnswer:\n{F}python\n{CODE}\n{F}\nDone."
    assert read(text) == [("", "add one\n\nAnswer:"), ("python", CODE)]


@pytest.mark.parametrize("inner", [F, f"{F}python", f"    {F}"])
def test_a_fence_in_a_docstring_closes_nothing(inner: str) -> None:
    program = f'def f(x):\n    """Add.\n{inner}\nf(1)\n{inner.strip("python")}\n    """\n    return x + 1'
    assert read(f"Words.\n{F}python\n{program}\n{F}\nMore.\n{F}input\n1\n{F}") == [
        ("python", program),
        ("input", "1"),
    ]


def test_what_is_outside() -> None:
    text = f"one\n{F}a\nx\n{F}\ntwo\n{F}b\ny\n{F}\nthree"
    assert outside(text, blocks(text)) == "one\n\ntwo\n\nthree"


def test_a_fence_within_a_line_opens_nothing() -> None:
    assert read(f"Call {F}f(1, 2){F} twice.\nA sentence with {F} and more words.") == []


def test_many_fences_are_bounded() -> None:
    assert len(blocks(f"{F}\n" * 4000)) <= MAX_FENCES


@given(st.text(alphabet="`~> -1.\n\tapython", max_size=200))
def test_blocks_do_not_overlap(text: str) -> None:
    found: list[Block] = blocks(text, lambda body: parsed(body) is not None)
    lines = text.replace("\r\n", "\n").split("\n")
    assert all(block.line < block.end <= len(lines) for block in found)
    assert all(one.end <= other.line for one, other in itertools.pairwise(found))


@given(
    st.lists(st.text(alphabet="abc =\n", max_size=30), max_size=4), st.sampled_from(["```", "~~~", "`````"])
)
def test_written_blocks_are_read(bodies: list[str], fence: str) -> None:
    text = "\n".join(f"{fence}tag\n{body}\n{fence}" for body in bodies)
    assert read(text) == [("tag", body) for body in bodies]
