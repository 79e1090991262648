"""Reading, writing and comparing values."""

from __future__ import annotations

import math
import sys
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.values import (
    MAX_DEPTH,
    MAX_TEXT,
    Unserializable,
    ValueSyntaxError,
    equal,
    parse_arguments,
    parse_literal,
    render,
    render_arguments,
    render_known,
    same,
)
from tests.sandbox_image.strategies import lookalikes, values


@given(values())
def test_parse_undoes_render(value: Any) -> None:
    text = render(value)
    back = parse_literal(text)
    assert equal(back, value)
    assert render(back) == text
    assert render_known(value) == text


@given(st.lists(values(), max_size=4).map(tuple))
def test_parse_undoes_render_of_arguments(arguments: tuple[Any, ...]) -> None:
    assert equal(parse_arguments(render_arguments(arguments)), arguments)


@given(st.text(max_size=60) | st.text("()[]{},:-'\"0123.eEjx_ setfrozn\\#", max_size=60))
def test_any_text_is_a_value_or_an_error(text: str) -> None:
    for parse in (parse_literal, parse_arguments):
        try:
            value = parse(text)
        except ValueSyntaxError:
            continue
        assert equal(parse(render_arguments(value) if parse is parse_arguments else render(value)), value)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-1", -1),
        ("- 1", -1),
        ("0x_ff", 255),
        ("1_000", 1000),
        ("1.5e+3", 1500.0),
        (".5", 0.5),
        ("1.", 1.0),
        ("1e999", math.inf),
        ("-0.0", 0.0),
        ("True", True),
        ("None", None),
        ("'a' \"b\"", "ab"),
        ("'''a\n'b'''", "a\n'b"),
        (r"'\x41\n\ud800'", "A\n\ud800"),
        (r"r'\d'", r"\d"),
        (r"'\d'", r"\d"),
        (r"b'\xff'", b"\xff"),
        ("()", ()),
        ("(1)", 1),
        ("(1,)", (1,)),
        ("[1, 2,]", [1, 2]),
        ("{}", {}),
        ("{1: {2}, 'a': ()}", {1: {2}, "a": ()}),
        ("set()", set()),
        ("frozenset()", frozenset()),
        ("frozenset({1, 2})", frozenset({1, 2})),
        ("float('nan')", math.nan),
        ("-float('inf')", -math.inf),
        ("float('-inf')", -math.inf),
        (" [ 1 ,\n 2 ] ", [1, 2]),
    ],
)
def test_literals(text: str, value: Any) -> None:
    assert equal(parse_literal(text), value)


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", ()),
        (" ", ()),
        ("1, [2]", (1, [2])),
        ("(1, ), (1, )", ((1,), (1,))),
        ("(1, 2)", ((1, 2),)),
        ("1,", (1,)),
        ("'a, b', {'c': 1}", ("a, b", {"c": 1})),
    ],
)
def test_arguments(text: str, arguments: tuple[Any, ...]) -> None:
    assert equal(parse_arguments(text), arguments)


HOSTILE = [
    "", "0) or (True", "f'a'", "f'{1}'", "1 + 1", "a", "x=1", "*[1]", "**{}", "1j", "[x for x in y]", "lambda: 0",
    "1 2", "1\n2", "(", ")", "[1", "[1]]", "[,]", "{1:}", "{1: 2, 3}", "{1, 2: 3}", "{[]}", "{{}: 1}", "...",
    "__import__('os')", "'a", '"""a', "'a\nb'", "#", "1 # c", "\x00", "1\x00", "\ufeff1", "\u00a01", "--1",
    "-True", "-'a'", "+1", "~1", "not 1", "0777", "1__0", "0b2", "1e", "1.real", "'a'.upper()", "'a'[0]",
    "'a' b'b'", "'\\N{'", "'\\x'", "b'é'", "float('1')", "float(1)", "float", "set([1])", "set", "frozenset(1)",
    "frozenset({[]})", "dict()", "1 if 1 else 2", "(a := 1)", "`1`", "print('x')", "\uff11", "'\ud800\\n'",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueSyntaxError):
        parse_literal(text)
    if text:
        with pytest.raises(ValueSyntaxError):
            parse_arguments(text)


@pytest.mark.parametrize(
    "text",
    [
        "(" * 60_000,
        "[" * 30_000 + "]" * 30_000,
        "-" * 60_000 + "1",
        "{1:" * 20_000,
        "frozenset(" * 6_000,
        "1+" * 30_000 + "1",
        "a." * 30_000 + "a",
        "f()" + "()" * 30_000,
        "9" * 5_000,
        "9" * 60_000,
        "-" + "9" * 4_301,
        "1" + "_1" * 30_000,
        "0x" + "f" * 60_000,
        f"{10**4300:#x}",
        f"-{10**4300:#x}",
        f"{{1: [{10**4300:#b}]}}",
        "'" + "\\" * 60_000,
        "'" * 60_001,
        "'''" + "'a" * 30_000,
        "1" * (MAX_TEXT + 1),
    ],
    ids=lambda text: text[:8],
)
def test_hostile_sizes_end_quickly(text: str) -> None:
    for parse in (parse_literal, parse_arguments):
        started = time.monotonic()
        with pytest.raises(ValueSyntaxError):
            parse(text)
        assert time.monotonic() - started < 2


def test_depth_is_bounded_alike_for_text_and_values() -> None:
    assert parse_literal("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    with pytest.raises(ValueSyntaxError, match="nested"):
        parse_literal("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2))


def test_parsing_works_with_little_stack_left() -> None:
    """Deep in somebody's call stack it is a clear error or a value, never a crash."""

    def at(depth: int) -> Any:
        return at(depth - 1) if depth else parse_literal("[[[[1]]]]")

    assert at(sys.getrecursionlimit() // 2) == [[[[1]]]]


def test_one_nan_however_it_is_written() -> None:
    text = "{float('nan'): 1, -float('nan'): 2, (float('nan'),): 3, (-float('nan'),): 4}"
    assert equal(parse_literal(text), {math.nan: 2, (math.nan,): 4})
    assert equal(parse_literal("{float('nan'), -float('nan')}"), {math.nan})


@given(
    st.recursive(
        st.sampled_from(
            ["float('nan')", "-float('nan')", "0.0", "-0.0", "1", "True", "0x1", "'a'", "()", "-float('inf')"]
        ),
        lambda inner: st.tuples(
            st.sampled_from(["({},)", "frozenset({{{}}})", "[{}]", "{{{}}}", "{{{}: 0}}"]),
            st.lists(inner, min_size=1, max_size=4),
        ).map(lambda p: p[0].format(", ".join(p[1]))),
        max_leaves=12,
    )
)
def test_what_is_read_is_a_value(text: str) -> None:
    """It is not checked again."""
    try:
        value = parse_literal(text)
    except ValueSyntaxError:
        return
    assert equal(value, parse_literal(render(value)))


def test_the_largest_texts_are_values() -> None:
    for text in (
        "[" + "0," * (MAX_TEXT // 2 - 1) + "]",
        "['" + "\U0010ffff" * (MAX_TEXT - 4) + "']",
        "{0.:0}," * 9362,
    ):
        read = parse_arguments(text)
        assert equal(read, read)


def test_largest_int() -> None:
    assert parse_literal(f"{10**4300 - 1:#x}") == 10**4300 - 1
    assert parse_literal("9" * 4300) == 10**4300 - 1
    assert render(10**4300 - 1) == "9" * 4300


def test_equality() -> None:
    assert not equal(True, 1)
    assert not equal(1, 1.0)
    assert not equal((1,), [1])
    assert not equal({1}, frozenset({1}))
    assert not equal("é", "e\u0301")
    assert equal(math.nan, float("nan"))
    assert equal([math.nan], [float("nan")])
    assert equal(-0.0, 0.0)
    assert equal({"a": 1, "b": 2}, {"b": 2, "a": 1})


@given(lookalikes())
def test_values_written_alike_are_equal(pair: tuple[Any, Any]) -> None:
    left, right = pair
    assert same(left, right) is equal(left, right)


def test_lookalikes_are_told_apart() -> None:
    for left, right in (
        (True, 1),
        (1, 1.0),
        ((1,), [1]),
        ({1}, frozenset({1})),
        ("1", 1),
        (b"1", "1"),
        ({}, set()),
    ):
        assert not same(left, right)
        assert not same([left], [right])
    assert same({1, "a"}, {"a", 1})
    assert same({1: 2, 3: 4}, {3: 4, 1: 2})
    assert same([math.nan, -0.0], [float("nan"), 0.0])
    assert same({math.nan, float("nan")}, {math.nan})


def test_an_object_equal_to_everything_equals_nothing() -> None:
    class Always:
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    assert not equal(Always(), 1)
    assert not equal(1, Always())
    with pytest.raises(Unserializable):
        render(Always())


def test_what_is_no_value_is_not_written() -> None:
    cycle: list[Any] = []
    cycle.append(cycle)
    for value in (cycle, 10**4300, {1: [object()]}):
        with pytest.raises(Unserializable):
            render(value)


def test_render_reads_as_python_writes() -> None:
    for value in (1, -1.5, "it's", b"x", [1, (2,)], (), {"a": [None]}, True):
        assert render(value) == repr(value)
    assert render({3, 1, 2}) == "{1, 2, 3}"
    assert render({"b", "a"}) == "{'a', 'b'}"
    assert render((math.nan, -math.inf)) == "(float('nan'), -float('inf'))"
    assert render_arguments((1, [2])) == "1, [2]"
