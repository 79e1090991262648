"""Reading of model text: every form that a person would accept, and nothing else."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.domains.python import syntax
from gasp_env.domains.python.parsing import parse_answer, parse_proposal
from gasp_env.domains.python.syntax import MAX_TEXT_BYTES, ParseError
from gasp_env.domains.python.texts import first_item
from gasp_env.values import render, render_arguments
from tests.players import INPUTS, PROGRAMS, answer, proposal

F = "```"
CODE = PROGRAMS[0]
CALLS = [f"f({number})" for number in range(10)]
READ = tuple((number,) for number in range(10))
HINT = "Add one."


def block(body: str, tag: str = "python") -> str:
    return f"{F}{tag}\n{body}\n{F}"


def document(program: str, calls: str, hint: str = HINT) -> str:
    return f"## Function\n{program}\n## Calls\n{calls}\n## Hint\n{hint}\n"


LINES = "\n".join(CALLS)
#: Ways of writing one and the same proposal.
PROPOSALS = {
    "tagged blocks": proposal(CODE, message=HINT),
    "headings": document(block(CODE), block(LINES)),
    "untagged": document(block(CODE, ""), block(LINES, "")),
    "one block": f"{block(f'{CODE}{chr(10) * 2}{LINES}')}\nHint: {HINT}",
    "one block with the hint": block(f"# Hint: {HINT}\n{CODE}\n\n{LINES}"),
    "one block that is broken below": block(f"# Hint: {HINT}\n{CODE}\n\n{LINES}\nf([1, 2), 3)\nf('x"),
    "hint of two lines": block(f"# Hint: Add\n# one.\n{CODE}\n\n# Calls 1 to 10\n{LINES}"),
    "one block without fences": f"# Hint: {HINT}\n{CODE}\n\n# Calls 1 to 10\n{LINES}\n\nDone.",
    "hint above the block": f"# Hint: {HINT}\n{block(f'{CODE}{chr(10)}{LINES}')}",
    "printed": document(block(CODE), block("\n".join(f"print({call})" for call in CALLS))),
    "asserted": document(
        block(CODE), block("\n".join(f"assert {c} == {n + 1}" for n, c in enumerate(CALLS)))
    ),
    "in a test": document(
        block(
            CODE + "\n\ndef test_f():\n" + "\n".join(f"    assert {c} == 1" for c in CALLS) + "\n\ntest_f()"
        ),
        "",
    ),
    "in a main": document(
        block(CODE + '\n\nif __name__ == "__main__":\n' + "\n".join(f"    print({c})" for c in CALLS)), ""
    ),
    "results behind": document(block(CODE), block("\n".join(f"{c} -> {n + 1}" for n, c in enumerate(CALLS)))),
    "results as comments": document(
        block(CODE), block("\n".join(f"{c}  # {n + 1}" for n, c in enumerate(CALLS)))
    ),
    "doctest": document(block(CODE), block("\n".join(f">>> {c}\n{n + 1}" for n, c in enumerate(CALLS)))),
    "numbered list": document(block(CODE), "\n".join(f"{n}. `{c}`" for n, c in enumerate(CALLS, 1))),
    "bullets": document(block(CODE), "\n".join(f"- {c}" for c in CALLS)),
    "a block each": document(block(CODE), "\n".join(block(c) for c in CALLS)),
    "inputs on lines": document(block(CODE), block("\n".join(INPUTS), "inputs")),
    "keywords": document(block(CODE), block("\n".join(f"f(x={n})" for n in range(10)))),
    "names of values": document(block(CODE), block("\n".join(f"a = {n}\nprint(f(a))" for n in range(10)))),
    "signs": document(block(CODE), block("\n".join(f"f(+{n})" for n in range(10)))),
    "repetitions": document(block(CODE), block(LINES + "\n" + LINES)),
    "calls that are none": document(block(CODE), block(LINES + "\nf(open('x'))\nf([n for n in range(3)])")),
    "a line that is broken": document(block(CODE), block(LINES + "\nf([1, 2), 3)")),
    "another name": document(block("def plus(x):\n    return x + 1"), block(LINES.replace("f(", "plus("))),
    "twice": f"{block(CODE)}\nOr with comments:\n{block('# plus one' + chr(10) + CODE)}\n{block(LINES)}\nHint: {HINT}",
    "a stub first": f"{block('def f(x):' + chr(10) + '    pass')}\n{document(block(CODE), block(LINES))}",
    "not closed": f"## Hint\n{HINT}\n## Function\n{block(CODE)}\n## Calls\n{F}python\n{LINES}",
    "broken off and begun again": f"{F}python\ndef f(x):\n    retu\n\nBetter:\n{document(block(CODE), block(LINES))}",
    "bold": f"**Function**\n{block(CODE)}\n**Calls**\n{block(LINES)}\n**Hint:** {HINT}",
    "hint in a block": f"{block(CODE)}\n{block(LINES)}\n## Hint\n{block(HINT, 'hint')}",
    "hint with more behind": document(block(CODE), block(LINES), f"{HINT}\n\nI hope that this helps."),
    "without fences": f"{CODE}\n\n{LINES}\n\nHint: {HINT}",
    "imports in a block of their own": f"{block('import math')}\n{document(block(CODE), block(LINES))}",
    "hint on the next line": block(f"# Hint:\n# {HINT}\n{CODE}\n\n{LINES}"),
    "hint for somebody": document(block(CODE), block(LINES), "").replace(
        "## Hint", f"Hint (for the student): {HINT}"
    ),
    "hint as a step": document(block(CODE), block(LINES), "").replace("## Hint", f"Step 3: Hint: {HINT}"),
    "hint in another script": document(block(CODE), block(LINES), "").replace("## Hint", f"Hint：{HINT}"),
    "messages are passed": f"Message-passing is what this is about.\n\n{document(block(CODE), block(LINES))}",
    "list items": f"1. **Hint:** {HINT}\n{block(CODE)}\n2. Calls\n{block(LINES)}",
    "named values in the program's block": block(
        f"{CODE}\n\n" + "\n".join(f"a = {n}\nprint(f(a))" for n in range(10))
    ),
    "doctest in the docstring": block(
        CODE.replace(
            "\n",
            '\n    """Plus.\n\n'
            + "\n".join(f"    >>> {c}\n    {n + 1}" for n, c in enumerate(CALLS))
            + '\n    """\n',
        )
    ),
    "a harder one beside the one that was given": (
        f"Exercise:\n{block(PROGRAMS[1])}\n\n**Harder exercise:**\n\n{block(CODE)}\n{block(LINES)}\nHint: {HINT}"
    ),
    "a corrected draft": f"{block(PROGRAMS[1])}\nThe corrected version:\n{document(block(CODE), block(LINES))}".replace(
        "## Function\n", ""
    ),
    "the series goes on": (
        f"{block(f'# Hint: {HINT}{chr(10)}{CODE}{chr(10)}{LINES}')}\n\nProblem: Count to ten.\n\nExercise:\n"
        f"{block(PROGRAMS[1] + chr(10) + 'call_1 = f(77)')}"
    ),
    "the series goes on in the block": block(
        f"# Hint: {HINT}\n{CODE}\n\n{LINES}\n\n# Exercise 2:\n# Hint: No.\n{PROGRAMS[1]}\ncall_1 = f(77)"
    ),
    "its own heading first": (
        f"Exercise:\n{document(block(CODE), block(LINES))}\n\n**Exercise**\n{block(PROGRAMS[1])}"
    ),
    "the hint of the one that is meant": (
        f"Exercise:\n{block('# Hint: No.' + chr(10) + PROGRAMS[1])}\n\nHarder exercise:\n"
        f"{block(f'# Hint: {HINT}{chr(10)}{CODE}{chr(10)}{LINES}')}"
    ),
    "another name than that of its calls": block(
        f"# Hint: {HINT}\ndef plus(x):\n    return x + 1\n\n{LINES}"
    ),
    "calls in comments": block(
        f"# Hint: {HINT}\n{CODE}\n\n" + "\n".join(f"# call_{n} = {c}" for n, c in enumerate(CALLS))
    ),
    "labels in comments": document(
        block(CODE), block("\n".join(f"# Call_{n}: {c}" for n, c in enumerate(CALLS)))
    ),
    "letters in comments": document(
        block(CODE), block("\n".join(f"# B: call_{n} = {c}" for n, c in enumerate(CALLS)))
    ),
    "labels": document(block(CODE), block("\n".join(f"call_{n}: {c}" for n, c in enumerate(CALLS)))),
    "numbers": document(block(CODE), block("\n".join(f"{n} call_{n} = {c}" for n, c in enumerate(CALLS)))),
    "names, and results in words": document(
        block(CODE), "\n".join(f"CALL_{n} = {c} Should return **{n + 1}**" for n, c in enumerate(CALLS))
    ),
    "all on a line": document(block(CODE), block(", ".join(f"call_{n} = {c}" for n, c in enumerate(CALLS)))),
    "a table": document(block(CODE), "\n".join(f"| {n} | `{c}` | {n + 1} |" for n, c in enumerate(CALLS))),
    "in words": document(block(CODE), "; ".join(f"{c} gives {n + 1}" for n, c in enumerate(CALLS))),
    "in a quotation": "\n".join(f"> {line}" for line in document(block(CODE), block(LINES)).splitlines()),
    "byte order mark": f"\ufeff{document(block(chr(0xFEFF) + CODE), block(LINES))}",
}


WITHOUT_HINT = ("in a quotation", "named values in the program's block", "doctest in the docstring")


@pytest.mark.parametrize("form", PROPOSALS)
def test_every_way_of_writing_a_proposal(form: str) -> None:
    read = parse_proposal(PROPOSALS[form])
    renamed = read.program.replace("plus", "f").removeprefix("# plus one\n").removeprefix("# f one\n")
    if form != "doctest in the docstring":
        assert renamed.removeprefix("import math\n").strip() == CODE
    assert tuple(dict.fromkeys(read.inputs)) == READ
    assert form in WITHOUT_HINT or read.message == HINT


def test_calls_that_are_no_literals_are_named() -> None:
    read = parse_proposal(PROPOSALS["calls that are none"])
    assert read.left_out == ("f(open('x')): no literals", "f([n for n in range(3)]): no literals")


def test_keywords_are_put_in_their_places() -> None:
    program = "def f(a, b=2, c=3):\n    return a, b, c"
    read = parse_proposal(block(program) + "\n" + block("f(c=1, a=0)\nf(1, c=5)\nf(1, d=5)\nf(*[1])"))
    assert read.inputs == ((0, 2, 1), (1, 2, 5))
    assert len(read.left_out) == 2


def test_tests_and_mains_are_no_part_of_the_program() -> None:
    helper = "import math\n\nLIMIT = 3\n\ndef helper(x):\n    return x % LIMIT"
    program = f"{helper}\n\ndef f(x):\n    return math.sqrt(helper(x))"
    tests = (
        "\n\ndef main():\n    print(f(2))\n\nresult = f(1)\nprint(result)\nmain()\nassert f(3) == 0, 'wrong'"
    )
    read = parse_proposal(block(program + tests))
    assert read.program == program
    assert read.inputs == ((2,), (1,), (3,))


def test_a_program_needs_what_it_needs() -> None:
    program = "table = {}\nfor n in range(9):\n    table[n] = n * n\n\ndef f(x):\n    return table.get(x)"
    assert parse_proposal(f"{block(program)}\n{block(LINES)}").program == program


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"{block(CODE)}\n{block(PROGRAMS[1])}\n{block(LINES)}", "ambiguous"),
        (f"{block(CODE)}\nNo calls.", "no_inputs"),
        (f"{block(CODE)}\n{block('f(open(1))')}", "bad_input"),
        ("No program.\n- f(1)", "no_program"),
        (block("x = 1"), None),
    ],
)
def test_what_is_missing_is_said(text: str, reason: str | None) -> None:
    if reason is None:
        assert parse_proposal(text).inputs == ()  # the gate says that it defines no function
        return
    with pytest.raises(ParseError) as caught:
        parse_proposal(text)
    assert caught.value.reason == reason


def test_a_given_program_is_taken() -> None:
    read = parse_proposal(f"{block('import os')}\n{block(LINES)}\n## Hint\n{HINT}", CODE)
    assert (read.program, read.inputs, read.message) == (CODE, READ, HINT)


#: Ways of giving one and the same program as an answer.
PROGRAM_ANSWERS = {
    "tagged": block(CODE),
    "py": block(CODE, "py"),
    "python3": block(CODE, "python3"),
    "untagged": block(CODE, ""),
    "reasoning in a fence that is left open": f"First idea:\n{F}\nadd one\n\nAnswer:\n{block(CODE)}",
    "a draft broken off": f"{F}python\ndef f(x):\n    retu\n\nBetter:\n{block(CODE)}",
    "opened behind words": f"Answer: {block(CODE)}",
    "not closed": f"{F}python\n{CODE}\n",
    "not closed, prose behind": f"{F}python\n{CODE}\n\nThis function adds one.",
    "in a list item": f"- {F}python\n  def f(x):\n      return x + 1\n  {F}",
    "a quotation": f"> {F}python\n> def f(x):\n>     return x + 1\n> {F}",
    "no fence": CODE,
    "no fence, prose around": f"Here it is:\n\n{CODE}\n\nIt adds one.",
    "byte order mark": block("\ufeff" + CODE),
    "another block": f"{block(CODE)}\nFor example:\n{block('print(f(1))')}",
    "the output too": f"{block(CODE)}\nOutput:\n{block('2', '')}",
    "given twice": f"{block(CODE)}\nSo the answer is\n{block(CODE)}",
    "another name": block("def plus(x):\n    return x + 1"),
    "another name, beside a test": block(
        "def plus(x):\n    return x + 1\n\ndef test_plus():\n    assert plus(1) == 2"
    ),
    "imports in a block of their own": f"{block(CODE)}\nwith\n{block('import math')}",
    "a shell beside it": f"{block(CODE)}\nRun it:\n{block('print(f(1))', 'bash')}",
    "twice, once with annotations": f"{block(CODE.replace('(x)', '(x: int) -> int'))}\nor\n{block(CODE)}",
    "a first line that is indented": block(" " + CODE),
    "an indented block": block("\n".join("    " + line for line in CODE.split("\n"))),
    "a check": block("def check_plus(x):\n    return x + 1"),
    "a console": block(">>> def f(x):\n...     return x + 1\n>>> f(1)\n2", "pycon"),
}


@pytest.mark.parametrize("form", PROGRAM_ANSWERS)
def test_every_way_of_giving_a_program(form: str) -> None:
    program = parse_answer(PROGRAM_ANSWERS[form], "induction")
    same = program.removeprefix("import math\n").strip().replace("\n   return", "\n    return")
    assert same.startswith(CODE)


def test_a_renamed_function_is_renamed_everywhere() -> None:
    program = "def fact(n):\n    # fact\n    return 1 if n < 2 else n * fact(n - 1)"
    assert parse_answer(block(program), "induction") == (
        "def f(n):\n    # fact\n    return 1 if n < 2 else n * f(n - 1)"
    )


@pytest.mark.parametrize(
    "program",
    [
        "def plus(x):\n    f = x\n    return f + 1",
        "def plus(x):\n    return f'{plus(x - 1)}'",
        "def plus(x):\n    return x\ndef minus(x):\n    return -x",
        "plus = lambda x: x + 1",
        "def plus(x):\n    match x:\n        case [f, *_]:\n            return plus(1)\n    return 2",
        "def plus(x):\n    try:\n        return plus(x - 1)\n    except ValueError as f:\n        return 1",
    ],
)
def test_a_name_in_doubt_stays(program: str) -> None:
    assert parse_answer(block(program), "induction") == program


def test_an_answer_that_calls_its_helper() -> None:
    program = "def helper(x):\n    return x\n\ndef solve(x):\n    return helper(x) + 1"
    assert "def f(x)" in parse_answer(block(program), "induction")
    assert "def helper" in parse_answer(block(program), "induction")


def test_two_answers_are_none() -> None:
    with pytest.raises(ParseError) as caught:
        parse_answer(f"{block(CODE)}\nor\n{block(PROGRAMS[1])}", "induction")
    assert caught.value.reason == "ambiguous"
    for kind, one, other in (("deduction", "1", "2"), ("abduction", "f(1)", "f(2)")):
        with pytest.raises(ParseError) as caught:
            parse_answer(f"{block(one)}\nor\n{block(other)}", kind)
        assert caught.value.reason == "ambiguous"


DEDUCTIONS: list[tuple[str, Any]] = [
    (answer("output", "{'a': -1.5}"), {"a": -1.5}),
    (block("(2, 6, 1)"), (2, 6, 1)),
    (block("[1, 2]", "json"), [1, 2]),
    (block("3", ""), 3),
    ("output: 3", 3),
    ("The output is 5.", 5),
    ("Output: 5.", 5),
    ("Output:\n" + block("'x'", ""), "x"),
    ("**Answer:** `'x'`", "x"),
    ("The output is `[1, 2]`.", [1, 2]),
    ("3", 3),
    ("f(2) == 3", 3),
    (block("f(2) == 3"), 3),
    (block("assert f(2) == +3"), 3),
    (block("print(3)"), 3),
    (block("result = [1]"), [1]),
    (block("1, 2"), (1, 2)),
    (block("[1]  # why"), [1]),
    (block("+1", "output"), 1),
    (f"The program is\n{block(CODE)}\nso it returns\n{block('3', 'output')}", 3),
    (f"{block('f(2) == 3')}\nThe result is 3.", 3),
]


@pytest.mark.parametrize(("text", "value"), DEDUCTIONS)
def test_every_way_of_giving_a_value(text: str, value: Any) -> None:
    assert parse_answer(text, "deduction", program=CODE) == value


ABDUCTIONS: list[tuple[str, tuple[Any, ...]]] = [
    (answer("input", "1, [2, (3,)]"), (1, [2, (3,)])),
    (block("f(1, [2])"), (1, [2])),
    (block("f(1, [2]) == 3"), (1, [2])),
    (block("print(f(1, [2]))"), (1, [2])),
    (block("x = 1\ny = [2]\nf(x, y)"), (1, [2])),
    (block("y = [2]\nx = 1"), (1, [2])),
    (block("x=1, y=[2]", "input"), (1, [2])),
    ("f(1, [2]) == 3", (1, [2])),
    ("`f(y=[2], x=1)`", (1, [2])),
    ("input(1, [2])", (1, [2])),
    ("Input: 1, [2]", (1, [2])),
    ("1, [2]", (1, [2])),
]


@pytest.mark.parametrize(("text", "arguments"), ABDUCTIONS)
def test_every_way_of_giving_arguments(text: str, arguments: tuple[Any, ...]) -> None:
    assert parse_answer(text, "abduction", program="def f(x, y):\n    return x") == arguments


@pytest.mark.parametrize(
    "body",
    [
        "f(open(1))",
        "1 + 1",
        "[x for x in (1,)]",
        "0) or (True",
        "(lambda: 1)()",
        "",
        "1\n2",
        "a",
    ],
)
@pytest.mark.parametrize(("tag", "kind"), [("output", "deduction"), ("input", "abduction")])
def test_answers_are_literals(body: str, tag: str, kind: str) -> None:
    with pytest.raises(ParseError) as caught:
        parse_answer(answer(tag, body), kind)
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize("text", ["f(3) != 6", "f(3) < 6", "1 < f(3) < 6"])
def test_only_an_equation_says_a_value(text: str) -> None:
    with pytest.raises(ParseError, match="expected a value"):
        parse_answer(block(text), "deduction", program=CODE)


def test_a_method_may_be_given_as_a_function() -> None:
    text = block("def twice(x):\n    return 2 * x")
    assert parse_answer(text, "induction", "Solution.twice") == "def twice(x):\n    return 2 * x"


def test_a_starter_of_a_class_is_no_draft() -> None:
    starter = "class Solution:\n    def twice(self, x: int) -> int:\n        pass"
    solved = starter.replace("pass", "return 2 * x")
    for first, last in ((starter, solved), (solved, starter)):
        text = f"{block(first)}\nSo:\n{block(last)}"
        assert parse_answer(text, "induction", "Solution.twice") == solved


def test_a_program_that_reads_standard_input_beside_a_shell() -> None:
    program = "n = int(input())\nprint(n + 1)"
    text = f"{block(program)}\nRun it as\n{block('print(open(0).read())', 'bash')}"
    assert parse_answer(text, "induction", "") == program


def test_a_program_that_reads_standard_input() -> None:
    program = "n = int(input())\nprint(n + 1)"
    text = f"{block(program)}\nFor the input\n{block('1', '')}\nit prints\n{block('2', '')}"
    assert parse_answer(text, "induction", "") == program


def test_long_text_is_refused_whole() -> None:
    long = answer("output", "1") + "é" * (MAX_TEXT_BYTES // 2)
    with pytest.raises(ParseError, match="bytes"):
        parse_answer(long, "deduction")


@given(
    st.text(max_size=300)
    | st.text(alphabet="`python\n inut([{'\"-1,)]}", max_size=300)
    | st.lists(
        st.sampled_from(
            ["```", "```python", "def f(x):", "    return x", "f(1)", "f(x=2)", ">>> f(3)", "## Hint", "~~~"]
        ),
        max_size=20,
    ).map("\n".join)
)
def test_any_text_is_read_or_refused(text: str) -> None:
    reasons: set[str] = set()
    for parse in (
        parse_proposal,
        lambda t: parse_answer(t, "induction"),
        lambda t: parse_answer(t, "induction", ""),
        lambda t: parse_answer(t, "induction", "Solution.f"),
        lambda t: parse_answer(t, "deduction", program=CODE),
        lambda t: parse_answer(t, "abduction", program=CODE),
        syntax.parse,
    ):
        try:
            parse(text)
        except ParseError as error:
            reasons.add(error.reason)
    assert all(reasons)


literals = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text("ab'\"`\\ #(", max_size=6),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text("kl", max_size=2), inner)
    ),
    max_leaves=6,
)


@given(
    st.lists(st.tuples(literals, literals), min_size=1, max_size=8),
    st.sampled_from(["call", "print", "assert", "bare"]),
)
def test_one_proposal_in_every_form(inputs: list[tuple[Any, Any]], form: str) -> None:
    program = "def f(x, y):\n    return [x, y]"
    written = [render_arguments(arguments) for arguments in inputs]
    calls = {
        "call": "\n".join(f"f({text})" for text in written),
        "print": "\n".join(f"print(f({text}))" for text in written),
        "assert": "\n".join(
            f"assert f({text}) == {render(list(i))}" for text, i in zip(written, inputs, strict=True)
        ),
        "bare": "",
    }[form]
    bare = "\n".join(block(text, "input") for text in written) if form == "bare" else block(calls)
    read = parse_proposal(document(block(program), bare))
    assert (read.program, [render_arguments(i) for i in read.inputs], read.message) == (
        program,
        written,
        HINT,
    )


HUGE = "0x" + "f" * 4000


@pytest.mark.parametrize(
    "text",
    [
        f"{block(CODE)}\n{block(f'{LINES}{chr(10)}f({HUGE})')}",
        f"{block(f'def f(x):{chr(10)}    return x + {HUGE}')}\n{block(LINES)}",
        block(f"f({HUGE}) == {HUGE}"),
        HUGE,
    ],
)
def test_an_int_that_cannot_be_written_is_no_error_of_ours(text: str) -> None:
    for parse in (
        parse_proposal,
        lambda t: parse_answer(t, "induction"),
        lambda t: parse_answer(t, "deduction", program=CODE),
        lambda t: parse_answer(t, "abduction", program=CODE),
    ):
        with contextlib.suppress(ParseError):
            parse(text)


def test_names_of_long_values_are_replaced_within_a_bound() -> None:
    text = f"x = [{', '.join('1' * 2000)}]\nf({', '.join('x' * 2000)})\nf(1)"
    read = parse_proposal(f"{block(CODE)}\n{block(text)}")
    assert read.inputs == ((1,),)


def test_names_of_values_that_change_are_not_replaced() -> None:
    text = "a = [1]\na.append(2)\nf(a)\nb = 3\nb += 1\nf(b)\nx = 3\nfor x in range(5):\n    print(f(x))\nf(7)"
    assert parse_proposal(f"{block(CODE)}\n{block(text)}").inputs == ((7,),)


def test_a_test_goes_with_its_decorators() -> None:
    text = block(f"@cache\ndef test_f():\n    assert f(1) == 2\n{CODE}\n{LINES}")
    assert parse_proposal(text).program == CODE


@pytest.mark.parametrize(
    "program",
    [
        "def check_even(n):\n    return n % 2\nCHECKS = [check_even]\ndef f(n):\n    return sum(c(n) for c in CHECKS)",
        "def f(n):\n    return OPS['neg'](n) if n > 1 else n\ndef neg(n):\n    return -f(n)\nOPS = {'neg': neg}",
        "def f(n):\n    return n + f.base\nf.base = 3",
        "def f(n):\n    return g(n - 1) if n else 0\ng = f",
        "memo = {}\ndef f(n):\n    return memo.get(n, n)\nfor i in range(3):\n    memo[i] = f(i) + 1",
    ],
)
def test_statements_that_the_program_needs_are_kept(program: str) -> None:
    assert parse_proposal(block(f"{program}\n\n{LINES}")).program == program


@pytest.mark.parametrize(
    "program",
    [
        "def helper(x):\n    return x * 2\n\nK = 3\n\ndef f(x):\n    return helper(x) + K",
        "def f(xs):\n    return xs\n\ndata = [1, 2, 3]\ndata.append(4)",
        "def f(x):\n    return x\ninputs = [[1], [2, 3]]\nassert len(inputs) == 2",
        "T = []\ndef f(x):\n    return x + len(T)\nT.append(f)",
        "def f(x):\n    return len(f.t)\nf.t = []\nf.t.append(3)",
        "def f(x):\n    return g(x) if x else 0\nif True:\n    def g(x):\n        return f(x-1)",
        "def check(x):\n    return f(x) > 1\ndef f(x):\n    return check(x) or max([x], key=lambda check: check)",
        "T = []\nfor i in range(3):\n    T.append(i)\nelse:\n    T.append(9)\ndef f(x):\n    return T",
    ],
)
@pytest.mark.parametrize("behind", ["", "\ncall_9 = f(9"])
def test_what_a_program_does_is_not_changed(program: str, behind: str) -> None:
    assert parse_proposal(block(f"{program}\n\n{LINES}{behind}")).program == program


def test_a_broken_function_is_not_replaced_by_its_helper() -> None:
    broken = "def helper(x):\n    return x\n\ndef f(x):\n    return (x\n"
    assert "def helper" in parse_proposal(block(f"{broken}\n{LINES}")).program


def test_a_method_of_the_same_name_keeps_it() -> None:
    program = "class A:\n    def solve(self, x):\n        return x\ndef solve(x):\n    return A().solve(x)"
    read = parse_answer(block(program), "induction")
    assert read == program.replace("def solve(x)", "def f(x)")


@pytest.mark.parametrize("tag", ["python", "py3", "solution", "answer", ""])
def test_two_programs_are_two_whatever_their_tags(tag: str) -> None:
    assert parse_answer(block(CODE, tag), "induction") == CODE
    for text in (f"{block(CODE)}\nor\n{block(PROGRAMS[1], tag)}", f"{CODE}\n\nOr this:\n\n{PROGRAMS[1]}"):
        with pytest.raises(ParseError, match="2 that differ"):
            parse_answer(text, "induction")


def test_imports_beside_a_program_are_taken_as_far_as_it_lacks_them() -> None:
    program = "def f(x):\n    return pow(x, gcd(x, 2))"
    text = f"{block('from math import pow')}\n{block('import os')}\n{block('from math import gcd')}\n{block(program)}"
    assert parse_answer(text, "induction") == f"from math import gcd\n\n{program}"


def test_statements_that_only_use_it_are_left_out() -> None:
    program = "def f(x):\n    y = x + 1\n    return y"
    assert parse_proposal(block(f"{program}\n\ny = f(1)\nx = f(2)\nprint(x, y)\n{LINES}")).program == program


def test_an_exercise_behind_a_solution_of_its_problem_is_no_next_one() -> None:
    text = f"Problem: Count to ten.\n{block(PROGRAMS[1])}\nExercise:\n{block(CODE + chr(10) + LINES)}"
    with pytest.raises(ParseError) as refused:
        parse_proposal(text)
    assert refused.value.reason == "ambiguous"
    assert first_item("Exercise:\n\nno program") == "Exercise:\n\nno program"
