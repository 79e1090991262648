"""How many values a text has is known before they are built, and no real text is refused."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env import values
from gasp_env.loaders.bounded import TooMany, at_most, check

TEXT = st.text() | st.text('"\\\\,[{}]:\\n')
JSON = st.recursive(
    st.none() | st.integers() | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
)


def count(value: Any) -> int:
    inner = value if type(value) is list else value.values() if type(value) is dict else ()
    return 1 + sum(map(count, inner))


@given(JSON, st.sampled_from([None, 1]), st.booleans())
def test_no_text_of_few_values_is_refused(value: Any, indent: int | None, plain: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=plain)
    check(text, count(value))
    assert count(value) <= at_most(text)


@given(JSON, JSON)
def test_what_passes_has_at_most_three_times_as_many(one: Any, other: Any) -> None:
    value = [one, other, [[]] * 3]
    with pytest.raises(TooMany, match="more than"):
        check(json.dumps(value), (count(value) - 1) // 3)


@given(TEXT, st.integers(1, 3))
def test_any_text_is_looked_at(text: str, most: int) -> None:
    separators = text.count(",") + text.count("\n")
    if max(separators + 1, text.count("[") + text.count("{")) <= most:
        check(text, most, separators=",\n")
    elif '"' not in text:
        with pytest.raises(TooMany, match=f"more than {most} values"):
            check(text, most, separators=",\n")
    else:
        with suppress(TooMany):
            check(text, most, separators=",\n")


@pytest.mark.parametrize("unit", ["{},", "[],", "[", '{"":', '"",', "1,", '"', '""', '"\\"', "\n", '\\"'])
def test_a_long_text_is_refused_at_once(unit: str) -> None:
    begun = time.process_time()
    with pytest.raises(TooMany, match=f"more than {values.MAX_NODES} values"):
        check("[" * 200_000 + unit * 2**20, separators=",\n")
    text = unit * 2**20
    with suppress(TooMany):
        check(text + "," * 200_000)
    assert time.process_time() - begun < 5


def test_what_is_inside_of_quotes_does_not_count() -> None:
    text = json.dumps([{"input": "[1, 2], [" * 10**5, "output": '\\"{,' * 10**5}] * 10)
    check(text, 30)
    with pytest.raises(TooMany):
        check(text, 9)
