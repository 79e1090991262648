"""The looser comparison of real problems, and the answers it is applied to."""

from __future__ import annotations

import ast
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.domains.python import judge, livecodebench
from gasp_env.domains.python.judge import Question
from gasp_env.domains.python.livecodebench import COSTLY, MODULES, prelude, program
from gasp_env.domains.python.styles import ExercisesStyle
from gasp_env.episode.turns import Verdict
from gasp_env.goalposts.answers import same_text, same_value
from gasp_env.sandbox import Limits, Sandbox
from gasp_env.sandbox.runs import Result, Status

SUM = Question("induction", "", (("2\n1 2\n",), ("1\n-5\n",)), ("3\n", "-5\n"), "", "livecodebench")
PAIR = Question("induction", "", (([3, 1, 2], 4), ([], 0)), ([1, 3], []), "Solution.pair", "livecodebench")
TOKENS = st.text(st.characters(codec="utf-8", exclude_categories=("Zs", "Zl", "Zp", "Cc")), min_size=1)


def verdict(sandbox: Sandbox, question: Question, answer: str) -> Verdict:
    limits = Limits(cpu_seconds=2, wall_seconds=60.0)
    asked = judge.ask(question, f"```python\n{answer}\n```", ExercisesStyle(), limits)
    assert isinstance(asked, list)
    return judge.decide(question, sandbox.run_many(asked), asked)


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("3\n", "3"),
        ("  3  \n\n", "3\n"),
        ("1 2\n3 4", "1 2  \n   3 4\n"),
        ("\n\nYES", "YES"),
        ("a\r\nb\r\n", "a\nb"),
        ("1.50 2", "1.5 2.0"),
        ("1e3", "1000"),
        ("1  2", "1 2"),
        ("-0", "0"),
        ("0.1000000000000000000001", "0.1000000000000000000001"),
        ("Infinity", "inf"),
        ("", ""),
        ("\n", ""),
        ("1\n\n2", "1\n\n2"),
        ("9" * 400, "9" * 400 + ".0"),
    ],
)  # fmt: skip
def test_printed_texts_that_are_right(printed: str, expected: str) -> None:
    assert same_text(printed, expected)


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("", "0"),
        ("3\n4", "3"),
        ("3", "3\n4"),
        ("1\n2", "1 2"),
        ("1\n\n2", "1\n2"),
        ("yes", "YES"),
        ("a  b", "a b"),
        ("x 1.0", "x 1"),
        ("0.3333333333", "0.3333333334"),
        ("50000000000000000", "50000000000000001"),
        ("nan", "NaN"),
        ("sNaN", "1"),
        ("sNaN 1", "sNaN 1.0"),
        ("1 2", "1"),
        ("", "\n0"),
        ("[1, 2]", "[1,2]"),
        ("True", "1"),
    ],
)
def test_printed_texts_that_are_wrong(printed: str, expected: str) -> None:
    assert not same_text(printed, expected)


@given(st.lists(st.lists(TOKENS, min_size=1), min_size=1), st.sampled_from(["", " ", "\t", "\n", " \n "]))
def test_space_around_lines_does_not_matter(rows: list[list[str]], space: str) -> None:
    text = "\n".join(" ".join(row) for row in rows)
    spaced = "\n".join(f"{space.replace(chr(10), '')}{' '.join(row)} " for row in rows)
    assert same_text(space + spaced + space, text)
    assert same_text(text, spaced + space)
    assert not same_text(text + "\nmore", text)


@given(st.decimals(allow_nan=False, allow_infinity=False), st.decimals(allow_nan=False, allow_infinity=False))
def test_numbers_are_compared_exactly(one: Any, other: Any) -> None:
    assert same_text(f"{one} {other}", f"{other} {one}") is (Fraction(one) == Fraction(other))


@given(st.text(), st.text())
def test_comparing_never_fails_and_has_no_sides(printed: str, expected: str) -> None:
    assert same_text(printed, expected) is same_text(expected, printed)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [(True, 1), (1.0, 1), ((1, 2), [1, 2]), ([True, 2.0], [1, 2]), ({"a": 1}, {"a": 1.0}), (None, None), (-0.0, 0)],
)  # fmt: skip
def test_values_that_are_right(returned: Any, expected: Any) -> None:
    assert same_value(returned, expected)


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        ([(1, 2)], [[1, 2]]), ({1, 2}, [1, 2]), ("1", 1), ([1, 2], [2, 1]), (float("nan"), float("nan")),
        (b"a", "a"), (0.1 + 0.2, 0.3), (None, False), ({1: 2}, {"1": 2}), (2**53 + 1, float(2**53)),
    ],
)  # fmt: skip
def test_values_that_are_wrong(returned: Any, expected: Any) -> None:
    assert not same_value(returned, expected)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON, JSON)
def test_exactly_equal_json_values_are_right(one: Any, other: Any) -> None:
    assert same_value(one, one)
    assert same_value(one, other) is same_value(other, one)
    if type(one) is list:
        assert same_value(tuple(one), one)


@pytest.mark.parametrize(
    "answer",
    [
        "x = 1",
        "",
        "# nothing",
        "from __future__ import annotations",
        "from __future__ import annotations\nx = 1",
        '"""Says."""\r\nfrom __future__ import annotations, division\r\nx = 1\r\n',
        "'doc'\n# why\nfrom __future__ import (\n    annotations,\n)\nfrom __future__ import generators\nx = 1",
        "from __future__ import annotations; x = 1",
        "from __future__ \\\n  import annotations\nx: Unknown = 1",
        "\ufefffrom __future__ import annotations\nx = 1",
        'from __future__ import annotations; x = """\n"""; y = """\n"""\nprint(x)',
        "from __future__ import annotations\\\n; x = 1",
        "'é\x0c🙂'; from __future__ import annotations # é\rx = 1",
        "from __future__ import (annotations # )\n); from __future__ import division; x = 1\n",
        "text = '__future__'\n",
        "print(date.today(), random.random(), mean([1]))",
    ],
)  # fmt: skip
def test_the_prelude_leaves_a_program_one(answer: str) -> None:
    before, after = ast.parse(answer.lstrip("\ufeff")), ast.parse(program(answer))
    compile(after, "<program>", "exec", dont_inherit=True)
    rest = [ast.dump(node) for node in after.body if ast.unparse(node) not in prelude(answer).split("; ")]
    assert rest == [ast.dump(node) for node in before.body]
    assert len(after.body) - len(before.body) == len(prelude(answer).split("; "))


@pytest.mark.parametrize(
    "answer", ["from __future__ import nonsense(", "from __future__ import division\nx = (" * 70]
)
def test_what_cannot_be_parsed_is_left_as_it_is(answer: str) -> None:
    assert program(answer) == answer


@pytest.mark.parametrize("between", ["\n", "; x = 1\n\n", '; x = """\n"""\n', "\\\n; x = 1\n"])
def test_lines_keep_their_numbers_behind_a_future_import(between: str) -> None:
    answer = f"# first\nfrom __future__ import annotations{between}last = 1\n"
    assert ast.parse(program(answer)).body[-1].lineno == ast.parse(answer).body[-1].lineno


@pytest.mark.parametrize(
    ("answer", "costly"),
    [
        ("print(sum(map(int, input().split())))", set()),
        ("shuffle(x)", {"random"}),
        ("random.shuffle(x)", {"random"}),
        ("def f(): return [median(x), date(2024, 1, 1)]", {"statistics", "datetime"}),
        ("import statistics", {"statistics"}),
    ],
)
def test_costly_modules_are_imported_for_those_who_use_them(answer: str, costly: set[str]) -> None:
    imports = prelude(answer).split("; ")
    assert imports == prelude(answer + " ").split("; ")
    kept = [name for name in MODULES if name not in COSTLY or name in costly]
    assert imports == [*(f"from {name} import *" for name in kept), f"import {', '.join(kept)}"]


@pytest.mark.docker
def test_every_module_is_there_under_its_name_and_its_names_mean_the_usual(sandbox: Sandbox) -> None:
    answer = (
        "assert math.pi == pi and comb(4, 2) == 6 and re.sub('a', 'b', 'a') == 'b' and sub(3, 2) == 1\n"
        "assert pow(2, 3, 5) == 3 and open is builtins.open and compile is builtins.compile\n"
        "assert (copy.copy([1]), bisect.bisect([1], 1), datetime.date(1, 1, 1)) == ([1], 1, date(1, 1, 1))\n"
        "assert 0 <= random.random() < 1 and mean([1, 3]) == 2 and ascii_lowercase[0] == 'a' and List[int]\n"
        "input(); print(sum(map(int, input().split())))"
    )
    assert verdict(sandbox, SUM, answer).correct


@pytest.mark.docker
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("n = int(input())\nprint(sum(map(int, input().split())))", "correct"),
        ("import sys\nprint(sum(map(int, sys.stdin.read().split()[1:])), '.0', sep='')", "correct"),
        ("import os\n_, *n = os.read(0, 99).split()\nos.write(1, b'%d' % sum(map(int, n)))", "correct"),
        ("input()\nif __name__ == '__main__':\n    print(reduce(add, map(int, input().split())))", "correct"),
        ("from __future__ import annotations\nx: Nowhere\nprint(sum(map(int, [*stdin][1].split())))", "correct"),
        (
            'from __future__ import annotations; x = """\n"""\ninput()\nprint(reduce(add, map(int, input().split())))',
            "correct",
        ),
        (
            "from __future__ import annotations; n = int(sqrt(1)); input()\nprint(sum(map(int, input().split())) * n)",
            "correct",
        ),
        ("from __future__ import annotations\\\n; input()\nprint(reduce(add, map(int, input().split())))", "correct"),
        ("input()\nprint(sum(map(int, input().split())))\nexit()", "correct"),
        ("input()\nprint(sum(map(int, input().split())))\nexit(1)", "exited"),
        ("input()\nprint(sum(map(int, input().split())))\n1 // 0", "exception"),
        ("print(3)", "wrong"),
        ("print('3\\n-5')", "wrong"),
        ("", "malformed"),
        ("print(", "compile_error"),
        ("while True: pass", "cpu_limit"),
        # Deeper than the interpreter's own bound, and more digits than it writes.
        ("def f(n): return n and f(n - 1)\ninput()\nprint(sum(map(int, input().split())) + f(20000))", "correct"),
        ("input()\nprint(sum(map(int, input().split())) + 0 * len(str(10 ** 9000)))", "correct"),
    ],
)  # fmt: skip
def test_programs_on_standard_input(sandbox: Sandbox, answer: str, reason: str) -> None:
    if reason == "malformed":
        asked = judge.ask(SUM, f"```python\n{answer}\n```", ExercisesStyle(), Limits())
        assert isinstance(asked, Verdict)
        assert asked.reason == reason
    else:
        assert verdict(sandbox, SUM, answer).reason == reason


@pytest.mark.docker
@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return sorted(p for p in nums if p in (1, 3))", "correct"),
        ("return tuple(sorted(set(nums) - {2}))", "correct"),
        ("return [float(x) for x in sorted(nums) if x != 2]", "correct"),
        ("return list(map(int, filterfalse(lambda x: x == 2, sorted(nums))))", "correct"),
        ("nums.sort(); print('noise'); return nums[::2]", "correct"),
        ("return set(nums) - {2}", "wrong"),
        ("return [1, 3]", "wrong"),
        ("return deque(nums)", "unserializable"),
        ("return 1 // 0", "exception"),
        ("class Yes(list):\n            def __eq__(self, other): return True\n        return Yes()", "unserializable"),
    ],
)  # fmt: skip
def test_methods_of_a_solution(sandbox: Sandbox, body: str, reason: str) -> None:
    answer = (
        f"class Solution:\n    def pair(self, nums: List[int], target: int) -> List[int]:\n        {body}"
    )
    assert verdict(sandbox, PAIR, answer).reason == reason


@pytest.mark.docker
def test_a_solution_that_is_not_there(sandbox: Sandbox) -> None:
    assert verdict(sandbox, PAIR, "def other(nums, target): return [1, 3]").detail == (
        "NameError: the program does not define Solution"
    )
    function = "def pair(nums, target): return [n for n in sorted(nums) if n != 2]"
    assert verdict(sandbox, PAIR, function).correct, "LiveCodeBench takes a function without its class too"
    assert verdict(sandbox, PAIR, "class Solution: pass").detail == (
        "AttributeError: 'Solution' object has no attribute 'pair'"
    )


@pytest.mark.docker
def test_no_test_knows_of_another(sandbox: Sandbox) -> None:
    """Ten times the same question: neither the class nor the module nor a patched library remembers."""
    question = Question(
        "induction", "", tuple((n,) for n in range(10)), (1,) * 10, "Solution.f", "livecodebench"
    )
    answer = (
        "seen = []\nclass Solution:\n    kept = []\n    def f(self, n):\n        seen.append(n)\n"
        "        self.kept.append(n)\n        math.pi = math.pi + 1\n"
        "        return len(seen) * len(self.kept) * int(math.pi - 3)"
    )
    assert verdict(sandbox, question, answer).correct


def test_tests_of_one_answer_are_a_series() -> None:
    def series(question: Question, answer: str, limits: Limits) -> list[str]:
        asked = judge.ask(question, f"```python\n{answer}\n```", ExercisesStyle(), limits)
        assert isinstance(asked, list)
        return [run.series for run in asked]

    first = series(SUM, "print(3)", Limits())
    assert first == series(SUM, "print(3)", Limits())
    assert len(first) == 2
    assert len(set(first)) == 1
    assert "" not in first
    fewer = replace(SUM, inputs=SUM.inputs[:1], outputs=SUM.outputs[:1])
    others = [
        series(SUM, "print(4)", Limits())[0],
        series(SUM, "print(3)", Limits(cpu_seconds=9))[0],
        series(fewer, "print(3)", Limits())[0],
    ]
    assert len({first[0], *others}) == 4
    # Nothing in it tells what is expected.
    assert first == series(replace(SUM, outputs=("1\n", "2\n")), "print(3)", Limits())


def test_answers_are_equal_for_equal_behaviour() -> None:
    def answer(*printed: str) -> str:
        return judge.decide(SUM, [Result(Status.OK, stdout=text) for text in printed]).answer

    assert answer("3", "-5") == answer(" 3 \n", "-5\n") != ""
    assert (
        len({answer("3", "-5"), answer("3", "5"), answer("3", "-5.0"), answer("3\n-5", ""), answer("3", "")})
        == 5
    )
    broken = judge.decide(SUM, [Result(Status.OK, stdout="3"), Result(Status.CPU_LIMIT)])
    other = judge.decide(SUM, [Result(Status.CPU_LIMIT), Result(Status.OK, stdout="3")])
    assert broken.reason == other.reason == "cpu_limit"
    assert broken.answer == other.answer != ""


def test_a_failure_of_the_sandbox_is_nobodys_answer() -> None:
    results = [Result(Status.EXCEPTION, error="ValueError"), Result(Status.INFRA_ERROR, error="gone")]
    assert judge.decide(SUM, results) == Verdict("infra_error", "gone")
    assert judge.decide(SUM, [Result(Status.OK, stdout="3")]).reason == "infra_error"


def test_no_expected_output_is_in_a_run() -> None:
    secret = "7351249"
    for question in (
        Question("induction", "", (("1",),), (secret,), "", "livecodebench"),
        Question("induction", "", ((1,),), (int(secret),), "Solution.f", "livecodebench"),
    ):
        asked = judge.ask(question, "```python\nprint(1)\n```", ExercisesStyle(), Limits())
        assert secret not in repr(asked)


def test_limits_are_the_domains_but_for_the_interpreters_own() -> None:
    given = Limits(cpu_seconds=3, wall_seconds=7.0, memory_bytes=2**27)
    raised = livecodebench.limits(given)
    assert (raised.cpu_seconds, raised.wall_seconds, raised.memory_bytes) == (3, 7.0, 2**27)
    assert (raised.recursion, raised.digits, raised.output_bytes) == (50_000, 50_000, 2**20)
    assert livecodebench.limits(Limits(output_bytes=2**21)).output_bytes == 2**21
