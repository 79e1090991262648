"""What a message gives away: found out cheaply, and the same as by the patterns alone."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gasp_env.domains.python.leaks import _QUOTATION, quotes_pairs, quotes_statement
from gasp_env.domains.python.triplet import Triplet
from gasp_env.values import render, render_arguments


def _by_patterns(message: str, task: Triplet) -> bool:
    """What `quotes_pairs` means: nothing is left out because it is nowhere in the message."""

    def spaced(text: str) -> str:
        return r"\s*".join(re.escape(token) for token in re.findall(r"\w+|[^\w\s]", text[:200]))

    def says(pattern: str) -> bool:
        return re.search(rf"(?<![\w-])(?<!\d\.){pattern}(?!\w|\.\d)", message) is not None

    shown = {render(output) for output in task.outputs[: task.shown]}
    hidden = [
        (spaced(render_arguments(arguments)), render(output))
        for arguments, output in zip(task.inputs[task.shown :], task.outputs[task.shown :], strict=True)
    ]
    new = {output for _, output in hidden} - shown
    if len(new) >= 3 and all(says(spaced(output)) for output in new):
        return True
    near = [(a, spaced(o)) for a, o in hidden if says(a) and says(spaced(o))]
    return sum(says(rf"{a}(?!\w)[\s\S]{{0,16}}?(?<![\w-]){o}") for a, o in near) >= 2


_GLUE = st.sampled_from(
    ["", " ", "\n", "\u2003", ": ", " -> ", ", ", "-", "x", "1", ".5", " and so on, and so on, "]
)

_VALUES = ["a", "a b", "a  b", "\t", [1, 2], (1,), {"a": [1]}, {1, 2}, None, True, b"x"]


@st.composite
def _told(draw: st.DrawFn) -> tuple[str, Triplet]:
    """A task, and a message out of what its pairs look like."""
    some = st.integers(-20, 20) | st.sampled_from(_VALUES) | st.floats()
    inputs = draw(st.lists(some, min_size=3, max_size=6))
    outputs = [draw(some) for _ in inputs]
    pieces: list[Any] = [render(value) for value in [*inputs, *outputs]]
    words = draw(st.lists(st.sampled_from(pieces), max_size=12))
    message = "".join(word + draw(_GLUE) for word in words)
    if draw(st.booleans()):
        message = re.sub(r"([],(])", r"\1 \n", message)
    arguments = tuple((value,) for value in inputs)
    task = Triplet("", arguments, tuple(outputs), 1, message)
    return message, task


@given(_told())
def test_a_message_gives_away_what_the_patterns_say(told: tuple[str, Triplet]) -> None:
    message, task = told
    assert quotes_pairs(message, task) is _by_patterns(message, task)


def test_both_answers_occur() -> None:
    task = Triplet("", ((1,), (2,), (3,)), (10, [20], [30, 31]), 1, "")
    assert quotes_pairs("2 gives [ 20 ], 3 gives [30,\n31]", task)
    assert quotes_pairs("2 gives [ 20 ], 3 gives [30,\n32]", task) is False


@given(st.text("abC ", max_size=70), st.text("abC ", max_size=70), st.integers(40, 60), st.booleans())
def test_a_statement_is_quoted_by_a_long_stretch_of_it(
    before: str, after: str, size: int, swap: bool
) -> None:
    stretch = "".join(str(number % 10) + "-" * (number % 3) for number in range(60))[:size]
    message, statement = f"{before} {stretch} \n", f"{stretch.upper()} {after}"
    if swap:
        message, statement = statement, message
    said, source = ("".join(text.split()).casefold() for text in (message, statement))
    shared = any(source[i : i + _QUOTATION] in said for i in range(len(source) - _QUOTATION + 1))
    assert quotes_statement(message, statement) is shared
