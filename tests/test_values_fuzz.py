"""The parser of values on what a model might write: near misses, bombs, and what reading them costs."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gasp_env.values import (
    MAX_TEXT,
    Unserializable,
    ValueSyntaxError,
    encode,
    equal,
    parse_arguments,
    parse_literal,
    render,
    render_arguments,
)
from tests.fuzz import examples
from tests.sandbox_image.mutations import mutated, peak_of, steps_of
from tests.sandbox_image.strategies import extremes, values

_SLOW_TO_DRAW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]
_TOKENS = (
    "( ) [ ] { } , : - + . ' \" ''' \"\"\" \\ # 0 1 9 0x 1e9 1_0 1j _ True None nan set() frozenset( float('nan') "
    "lambda x: if else for in not := ** * @ ... __import__('os') print( f' b' rb\" \\N{DIGIT ONE} \\ud800 \\x00"
).split(" ")


@st.composite
def _nearly(draw: st.DrawFn) -> str:
    """The text of a value with a few changes."""
    pieces = st.sampled_from([*_TOKENS, "\n", "\0", "\ufeff", "\u00a0"]) | st.text(min_size=1, max_size=3)
    changed: str = mutated(draw, render(draw(values())), pieces)
    return changed


def _texts() -> st.SearchStrategy[str]:
    return _nearly() | st.lists(st.sampled_from(_TOKENS), max_size=30).map("".join) | st.text(max_size=80)


@settings(max_examples=examples(150), suppress_health_check=_SLOW_TO_DRAW, deadline=None)
@given(_texts())
def test_any_text_is_one_value_or_refused(text: str) -> None:
    """What is read can be written and read again, and is the same."""
    with contextlib.suppress(ValueSyntaxError):
        value = parse_literal(text)
        assert equal(parse_literal(render(value)), value)
    with contextlib.suppress(ValueSyntaxError):
        arguments = parse_arguments(text)
        assert type(arguments) is tuple
        assert equal(parse_arguments(render_arguments(arguments)), arguments)


@settings(max_examples=examples(60), suppress_health_check=_SLOW_TO_DRAW, deadline=None)
@given(_texts())
def test_reading_costs_no_more_than_the_text_is_worth(text: str) -> None:
    assert steps_of(lambda: _try(text)) <= 1000 + 60 * len(text)
    assert peak_of(lambda: _try(text)) <= 2**17 + 1000 * len(text)


@settings(max_examples=examples(50), suppress_health_check=_SLOW_TO_DRAW, deadline=None)
@given(extremes())
def test_extremes_are_written_and_read(value: Any) -> None:
    text = render(value)
    if len(text) <= MAX_TEXT:
        assert encode(parse_literal(text)) == encode(value)
    else:
        with pytest.raises(ValueSyntaxError):
            parse_literal(text)


def _try(text: str) -> None:
    for parse in (parse_literal, parse_arguments):
        with contextlib.suppress(ValueSyntaxError):
            parse(text)


_P = 2**61 - 1
BOMBS = {
    "parentheses": "(" * MAX_TEXT,
    "brackets": "[" * 30_000 + "]" * 30_000,
    "dicts": "{0:" * 20_000,
    "minuses": "-" * 60_000 + "1",
    "frozensets": "frozenset(" * 6_000,
    "frozensets in sets": "frozenset({" * 40 + "1" + "})" * 40,
    "strings side by side": "''" * 30_000,
    "long strings side by side": ("'" + "x" * 100 + "'") * 600,
    "bytes side by side": "b'x'" * 16_000,
    "underscores": "1" + "_1" * 30_000,
    "exponent": "1e" + "9" * 60_000,
    "escapes": "'" + "\\" * 60_000,
    "names of characters": "'" + "\\N{DIGIT ONE}" * 4_000 + "'",
    "quotes": "'" * 60_001,
    "open triple quotes": "'''" + "'a" * 30_000,
    "spaces": " " * 60_000 + "1",
    "keys of one hash": "{" + ",".join(str(number * _P) for number in range(2_800)) + "}",
    "sets of one hash": "{"
    + ",".join(
        "frozenset({" + ",".join(str((k if k else s + 50) * _P) for k in range(50)) + "})" for s in range(50)
    )
    + "}",
    "commas": "," * 60_000,
    "a very long one": "1" * (MAX_TEXT + 1),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs_cost_no_more_than_their_text(name: str) -> None:
    text = BOMBS[name]
    assert steps_of(lambda: _try(text)) <= 1000 + 60 * len(text)
    assert peak_of(lambda: _try(text)) <= 2**20 + 500 * len(text)


class _Int(int):
    """Nearly a value."""


def test_nothing_else_than_values_is_written() -> None:
    for value in (object(), _Int(1), [lambda: 0], {1: ...}, 1j, range(3)):
        with pytest.raises(Unserializable):
            render(value)
