from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.domains.python import syntax
from gasp_env.domains.python.parsing import fenced_blocks, parse_answer, parse_proposal
from gasp_env.domains.python.syntax import MAX_TEXT_BYTES, ParseError
from tests.players import INPUTS, PROGRAMS, answer, proposal


def test_blocks_in_order() -> None:
    text = "a\n```python\nx = 1\n\ny = 2\n```\nb\n ``` Input \n1\n```\n```open"
    assert fenced_blocks(text) == [("python", "x = 1\n\ny = 2"), ("input", "1")]


def test_proposal() -> None:
    got = parse_proposal(proposal(PROGRAMS[0], message="add one"))
    assert got.program == PROGRAMS[0]
    assert got.inputs == tuple((i,) for i in range(len(INPUTS)))
    assert got.message == "add one"


def test_last_program_counts() -> None:
    text = answer("python", "def f(x): return 0") + answer("python", PROGRAMS[1])
    assert parse_answer(text, "induction") == PROGRAMS[1]


def test_arguments_and_value() -> None:
    assert parse_answer(answer("input", "1, [2, (3,)]"), "abduction") == (1, [2, (3,)])
    assert parse_answer(answer("output", "{'a': -1.5}"), "deduction") == {"a": -1.5}


@pytest.mark.parametrize(
    "body", ["f(1)", "1 + 1", "[x for x in (1,)]", "0) or (True", "(lambda: 1)()", "", "1\n2"]
)
@pytest.mark.parametrize(("tag", "kind"), [("output", "deduction"), ("input", "abduction")])
def test_answers_are_literals(body: str, tag: str, kind: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_answer(answer(tag, body), kind)
    assert caught.value.reason == "malformed"


def test_long_text_is_refused_whole() -> None:
    long = answer("output", "1") + "é" * (MAX_TEXT_BYTES // 2)
    with pytest.raises(ParseError, match="bytes"):
        parse_answer(long, "deduction")


@given(st.text(max_size=300) | st.text(alphabet="`python\n inut([{'\"-1,)]}", max_size=300))
def test_any_text_is_read_or_refused(text: str) -> None:
    reasons: set[str] = set()
    for parse in (
        parse_proposal,
        lambda t: parse_answer(t, "induction"),
        lambda t: parse_answer(t, "deduction"),
        lambda t: parse_answer(t, "abduction"),
        syntax.parse,
    ):
        try:
            parse(text)
        except ParseError as error:
            reasons.add(error.reason)
    assert all(reasons)
