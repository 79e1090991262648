"""Where a text states a value: every place in which a person would find it, and no other."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.domains.python.judge import Question
from gasp_env.domains.python.parsing import parse_answer
from gasp_env.domains.python.syntax import ParseError
from gasp_env.values import equal, render, render_arguments
from tests.domains.python.test_parsing import block, literals

PROGRAM = "def f(x):\n    return x"
#: Of the question ``f(3)``, whose answer is said to be 5.
FIVE = {
    "the line": "f(3) == 5",
    "the line in a sentence": "Therefore the output is `5`, i.e. `f(3) == 5`",
    "asserted within words": "Thus it returns `5`, which means `assert f(3) == 5` is passed.",
    "one equals sign": "f(3) = 5",
    "the value first": "5 == f(3)",
    "an arrow": "f(3) -> 5",
    "a comment": block("f(3)  # 5"),
    "a comment with an arrow": block("print(f(3))  # -> 5"),
    "a comment with a label": block("print(f(3))  # Output: 5"),
    "a console": ">>> f(3)\n5",
    "a console in a block": block(">>> f(3)\n5", "pycon"),
    "over two lines": block("f(3)\n== 5"),
    "the value below": "f(3) ==\n5",
    "a verb": "f(3) returns 5",
    "a verb and code": "The call `f(3)` returns `5`.",
    "a chain": "f(3) = 2 + 3 = 5",
    "a formula": "$f(3) = 5$",
    "a formula in brackets": "\\(f(3) = 5\\)",
    "a box": "so \\[ \\boxed{5} \\]",
    "a box beside other values": "We have 1, 2 and `4`.\n\n$$\\boxed{5}$$",
    "a final answer": "Output: 2 at first.\n**Final answer: 5**",
    "input and output": "Input: 3\nOutput: 5",
    "a label": "**Answer:** `5`",
    "the result in words": "The result of the call is 5.",
    "a conclusion": "The loop runs `2` times with `[1]`.\n\nThus, the function returns `5` for the provided input.",
    "a plain conclusion": "First it is 2.\n\nTherefore, the function returns the value 5.",
    "a bold conclusion": "So the function will return **5**.",
    "what another call gives": "f(2) == 4\nf(3) == 5",
    "a test of another call": "The answer\n" + block("assert f(2) == 4") + "\nOutput: 5",
    "another block above": "At first\n" + block("[1, 2]", "") + "\nis made.\n\n**Output:** 5",
    "blocks and a completed line": block("[1]", "") + "\n" + block("f(3) == 5"),
    "a tag and the line": block("5", "output") + "\nf(3) == 5",
}


@pytest.mark.parametrize("form", FIVE)
def test_every_place_of_an_output(form: str) -> None:
    assert parse_answer(FIVE[form], "deduction", program=PROGRAM, known=[(3,)]) == 5


#: Texts in which another value stands nearer to hand than the one that is stated.
MISLEADING: list[tuple[str, Any]] = [
    ('f(3) == "1."', "1."),
    ("f(3) == '1. a 2. b'", "1. a 2. b"),
    ("f(3) == '$5$'", "$5$"),
    ("So the function returns `'**'`.", "**"),
    ("So the function returns '__init__'.", "__init__"),
    ("f(3) ==\n\n1. The function adds 1 to x.\n2. 3 + 1 = 4.\n\nSo the function returns `4`.", 4),
    ("1. The call passes 3 to f.\n2. It adds one.\n\n```python\nf(3) ==\n```\n\nAnswer: 4", 4),
    ("Is f(3) == 4? No: the loop runs once more.\n\nThe final answer is 5.", 5),
    ("It is not true that f(3) == 4.\n\nAnswer: 5", 5),
    ("If the loop were skipped, f(3) == 0. It is not.\n\n**Final answer:** `5`", 5),
    ("result = 0\nThe loop adds 1 + 2 + 3 = 6 to it.\n\nSo the function returns 6.", 6),
    ("Trace:\n- result = []\n- the loop appends 1\n\nThus, the function returns `[1]`.", [1]),
    ("First we set\n```python\ntotal = 0\n```\nand add 1, 2, 3.\n\nTherefore, the result is 6.", 6),
    ("For example:\n```python\nassert f(1) == 2\n```\nThus, the function returns `8`.", 8),
    ("f(3) == 5 and f(4) == 6", 5),
    ("f(3) = 5 mod 3 = 2", 2),
    ("So the output is 5.", 5),
    ("Therefore, the return value is 5.", 5),
    ("The function returns True when the number is even. 3 is odd, so the output is False.", False),
    ("So the output is 5, since the function returns 2 for x = 1 only.", 5),
    ("Therefore the answer is 5.\n\nNote that f(4) would return 6 instead.", 5),
    ("Thus, the function outputs 5\n\nHope this helps! The index equals 2.", 5),
    ("The output is `5`, not `6`.", 5),
    ("f(3) => 5", 5),
    ("f(3) -> 2 -> 5", 5),
    ("Answer:\n5", 5),
    ("Final answer: 5 (because 2+3=5)", 5),
]


@pytest.mark.parametrize(("text", "value"), MISLEADING)
def test_the_value_that_is_stated_and_no_other(text: str, value: Any) -> None:
    read = parse_answer(text, "deduction", program=PROGRAM, known=[(3,)])
    assert equal(read, value), read


@pytest.mark.parametrize(
    "text",
    [
        "not f(3) == 6",
        "f(3) = 17 mod 5",
        "f(3) == 5 | 2",
        "f(3) == 5 ** 2",
        "f(3) == 5 != 6",
        "f(3) gives 2 times 3 which is 6",
        "f(3) = 'ab' repeated 2 times, i.e. 'abab'",
        "f(3) = [1, 2] concatenated with [3]",
        "Therefore, the function returns 3 elements: [1, 2, 3].",
        "f(3) == 1,234",
        "The function returns 1, 2.",
        "Since len(x) equals 2, the function is done.",
        "For example, f(1) == 2.\n\nIn our case the loop runs three times, which leaves 8.",
        f"f(3) == {'9' * 5000}",
        f"The result is {'9' * 5000}.",
    ],
)
def test_part_of_an_expression_is_no_value(text: str) -> None:
    with pytest.raises(ParseError, match="expected a value"):
        parse_answer(text, "deduction", program=PROGRAM, known=[(3,)])


@pytest.mark.parametrize(
    "unit", ["\\(", "$ ", "f(", "f(1)", "the output ", "so it returns ", "`a` ", "f(3) = = ", "if "]
)
@pytest.mark.parametrize("before", ["", "\\(", "f(1)", "f(3) == "])
def test_the_work_on_a_long_text_is_bounded(before: str, unit: str) -> None:
    # Each took minutes once, and takes a tenth of a second.
    for text in (before + unit * (16_000 // len(unit)), before + " " * 16_000):
        for kind in ("deduction", "abduction"):
            with contextlib.suppress(ParseError):
                parse_answer(text, kind, program=PROGRAM, known=[(3,)])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("f(3) == 5\n\nFinal answer: 6", "ambiguous"),
        (block("5", "output") + "\n\nAnswer: 6", "ambiguous"),
        ("The final answer is 5.\nThe final answer is 6.", "ambiguous"),
        ("f(3) == 5\n\nor f(3) == 6", "ambiguous"),
        ("It returns `5`, or it returns `6`.", "ambiguous"),
        ("f(3) != 5", "malformed"),
        ("f(3) == 5 if it runs", "malformed"),
        ("f(3) == [1, 2][0]", "malformed"),
        ("f(3) == 5th", "malformed"),
        ("I do not know.", "malformed"),
        ("f(3) == f(2) + 1", "malformed"),
        ("", "malformed"),
    ],
)
def test_what_states_no_output(text: str, reason: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_answer(text, "deduction", program=PROGRAM, known=[(3,)])
    assert caught.value.reason == reason


TWO = "def f(n, k):\n    return n * k"
#: Of the question for which arguments f returns 10, of which 2 and 5 are said to be some.
ARGUMENTS = {
    "the line": "f(2, 5) == 10",
    "the line within words": "Trying f(1, 5) == 5 is not enough, so `f(2, 5) == 10`.",
    "other calls are tries": "f(1, 1) == 1\nf(3, 5) == 15\nf(2, 5) == 10",
    "asserted": "which means " + "`assert f(2, 5) == 10` holds",
    "keywords": "f(k=5, n=2) == 10",
    "a conclusion": "The loop.\n\nThus, the arguments are `2, 5`.",
    "a conclusion of two": "So the arguments that return `10` are `2` and `5`.",
    "a conclusion with names": "Therefore, the arguments are `k = 5` and `n = 2`.",
    "a box": "\\boxed{2, 5}",
    "input and output": "Input: 2, 5\nOutput: 10",
    "a call alone": block("f(2, 5)"),
}


@pytest.mark.parametrize("form", ARGUMENTS)
def test_every_place_of_arguments(form: str) -> None:
    assert parse_answer(ARGUMENTS[form], "abduction", program=TWO, known=[10]) == (2, 5)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("f('Dr. 5. Main') == 9", ("Dr. 5. Main",)),
        ("f('cost $5 and $6') == 9", ("cost $5 and $6",)),
        ("Is f(4) == 9? No, that is 16.\n\nSo the answer is 3.", (3,)),
        ("f(2) == 9 is false, as 2*2 is 4. Answer: 3", (3,)),
        ("First:\n```python\nn = 100\n```\nis too large. So the input must be 3.", (3,)),
        ("Trying f(1) == 1 first.\n\nTherefore, `f(5, 1)` returns `10`.", (5, 1)),
        (
            block("def f(n, acc=0):\n    if n > 9:\n        return f(0, 2)\n    return n")
            + "\nSo `f(5, 1)` works.",
            (5, 1),
        ),
    ],
)
def test_the_arguments_that_are_stated_and_no_others(text: str, value: tuple[Any, ...]) -> None:
    program = "def f(n, acc=0):\n    return n"
    assert parse_answer(text, "abduction", program=program, known=[9]) == value


def test_alternatives_are_no_answer() -> None:
    with pytest.raises(ParseError, match="2 that differ"):
        parse_answer("f(2, 5) == 10\nf(5, 2) == 10", "abduction", program=TWO, known=[10])


@given(
    literals,
    literals,
    st.sampled_from(["{0}", "Thus, `{0}`.", "```python\nassert {0}\n```", "so {0} is true"]),
)
def test_a_completed_line_is_read_wherever_it_stands(given_value: Any, value: Any, form: str) -> None:
    line = f"f({render_arguments((given_value,))}) == {render(value)}"
    if "`" in line and "`" in form:
        return  # the code's own end is not told apart
    text = form.format(line) if "{" in form else line
    assert equal(parse_answer(text, "deduction", program=PROGRAM, known=[(given_value,)]), value)
    assert equal(parse_answer(text, "abduction", program=PROGRAM, known=[value]), (given_value,))


def test_a_question_tells_what_it_shows() -> None:
    pair = {"inputs": ((1, 2),), "outputs": (3,)}
    assert Question("deduction", PROGRAM, **pair).known == ((1, 2),)
    assert Question("abduction", PROGRAM, **pair).known == (3,)
    assert Question("induction", PROGRAM, **pair).known == ()
