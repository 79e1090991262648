"""HumanEval's and MBPP's records: their code runs in the sandbox, and what it asks becomes tests."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from gasp_env import domains, goalposts
from gasp_env.domains.python import judge
from gasp_env.domains.python.judge import Question
from gasp_env.loaders import Loaded, humaneval_mbpp
from gasp_env.loaders.__main__ import main
from gasp_env.sandbox import Limits, Run, Sandbox, SandboxError
from gasp_env.sandbox.runs import Result
from gasp_env.sandbox.tiers import TIERS
from gasp_env.tasks import Goalpost

PROMPT = '''from typing import List


def widest(gaps: List[int], least: int = 0) -> int:
    """ The widest gap that is at least so wide, else -1.
    >>> widest([1, 3, 2])
    3
    """
'''
BODY = "    return max([gap for gap in gaps if gap >= least], default=-1)\n"
CHECK = """

METADATA = {'author': 'us'}


def check(candidate):
    # as published
    assert candidate([1, 3, 2]) == 3, "first"
    assert -1 == candidate([1, 2], 5)
    assert candidate([1, 3, 2]) == 3, "asked twice"
    for n in range(3):
        assert candidate([n]) == n
    assert True, "printed for debugging"
"""


def humaneval(test: str = CHECK, **changes: Any) -> dict[str, Any]:
    return {
        "task_id": "Own/0",
        "prompt": PROMPT,
        "entry_point": "widest",
        "canonical_solution": BODY,
        "test": test,
        **changes,
    }


def checking(*lines: str) -> str:
    return "def check(candidate):\n" + "".join(f"    {line}\n" for line in lines)


def mbpp(**changes: Any) -> dict[str, Any]:
    return {
        "task_id": 7,
        "text": "Write a function to double a number.",
        "code": "import math\r\ndef half(x):\r\n  return x / 2\r\ndef double(x, *rest):\r\n  return 2 * x",
        "test_list": ["assert double(2) == 4", "assert double(-1.5)==-3.0"],
        "test_setup_code": "",
        "challenge_test_list": ["assert double('ab') == 'abab'"],
        **changes,
    }


def reasons(sandbox: Sandbox, answers: Sequence[tuple[Goalpost, str]]) -> list[str]:
    """Verdicts on programs, all executed as one batch."""
    questions = [Question.of_goalpost(goalpost) for goalpost, _ in answers]
    asked: list[list[Run]] = []
    for question, (_, program) in zip(questions, answers, strict=True):
        runs = judge.ask(question, f"```python\n{program}\n```", domains.get("python").style, Limits())
        assert isinstance(runs, list)
        asked.append(runs)
    results = iter(sandbox.run_many([run for runs in asked for run in runs]))
    return [
        judge.decide(question, [next(results) for _ in runs], runs).reason
        for question, runs in zip(questions, asked, strict=True)
    ]


def one(loaded: Loaded) -> Goalpost:
    assert loaded.skipped == ()
    [goalpost] = loaded.goalposts
    return goalpost


@pytest.mark.docker
def test_a_check_becomes_tests(sandbox: Sandbox, tmp_path: Path) -> None:
    goalpost = one(humaneval_mbpp.load_humaneval([humaneval()], sandbox))
    assert goalpost == Goalpost(
        id="Own/0",
        statement=(
            "The widest gap that is at least so wide, else -1.\n>>> widest([1, 3, 2])\n3\n\n"
            "Already imported: `from typing import List`"
        ),
        signature="def widest(gaps: List[int], least: int=0) -> int",
        inputs=(([1, 3, 2],), ([1, 2], 5), ([0],), ([1],), ([2],)),
        outputs=(3, -1, 0, 1, 2),
        reference=PROMPT + BODY,
        tags=("humaneval",),
        entry="widest",
        prelude="from typing import List",
    )
    goalposts.dump([goalpost], tmp_path / "own.jsonl")
    assert goalposts.load(tmp_path / "own.jsonl") == (goalpost,)


@pytest.mark.docker
def test_what_it_became_judges(sandbox: Sandbox) -> None:
    goalpost = one(humaneval_mbpp.load_humaneval([humaneval()], sandbox))

    def reason(program: str) -> str:
        return reasons(sandbox, [(goalpost, program)])[0]

    assert reason(PROMPT + BODY) == "correct"
    assert reason("def widest(gaps, least=0): return max(gaps)") == "wrong"
    assert reason("def widest(gaps): return max(gaps)") == "exception"
    assert reason("def other(gaps): return max(gaps)") == "exception"
    # What would pass the check itself, in its own process.
    always = "class Yes(int):\n    def __eq__(self, other): return True\ndef widest(*_): return Yes()"
    assert reason(always) == "unserializable"
    assert reason("def widest(gaps, least=0): return float(max(gaps)) if least == 0 else -1.0") == "wrong"


@pytest.mark.docker
@pytest.mark.parametrize(
    ("body", "lines", "outputs"),
    [
        ("    return gaps == []\n", ["assert candidate([])", "assert not candidate([1])"], (True, False)),
        ("    return gaps == []\n", ["assert candidate([]) is True", "assert False is candidate([1])"], (True, False)),
        ("    return None\n", ["assert candidate([]) is None"], (None,)),
        ("    return gaps\n", ["assert tuple(candidate([1, 2])) == tuple([1, 2])"], ([1, 2],)),
        ("    return tuple(gaps)\n", ["assert [1, 2] == list(candidate([1, 2]))"], ((1, 2),)),
        ("    return gaps.pop()\n", ["x = [1, 2]", "assert candidate(x) == 2", "assert candidate(x) == 1"], (2, 1)),
        ("    return gaps[least]\n", ["import random", "x = random.random()", "assert candidate([x]) == x"], None),
        ("    return sum(gaps)\n", ["args = ([1, 2], 3)", "assert candidate(*args) == 3"], (3,)),
        ("    return {'a': {1.5}}\n", ["assert candidate([]) == {'a': {1.5}}"], ({"a": {1.5}},)),
        ("    return 0.1 + 0.2\n", ["assert candidate([]) == 0.30000000000000004"], (0.30000000000000004,)),
    ],
)  # fmt: skip
def test_checks_that_have_one_right_answer(
    sandbox: Sandbox, body: str, lines: list[str], outputs: tuple[Any, ...] | None
) -> None:
    record = humaneval(checking(*lines), canonical_solution=body)
    goalpost = one(humaneval_mbpp.load_humaneval([record], sandbox))
    if outputs is None:
        assert goalpost.outputs == (goalpost.inputs[0][0][0],)
        assert goalpost == one(humaneval_mbpp.load_humaneval([record], sandbox)), (
            "what is drawn is drawn again"
        )
    else:
        assert goalpost.outputs == outputs


EXACTLY = "expected asserts that compare what the solution returns with a value, exactly, came "
ALONE = "expected the solution called in asserts alone, came "
OWN = "expected tests that its own solution passes, came "
NO = "    return -1\n"
ONE = "expected tests that all call one function of the code, "
TYPED = "expected tests that name the value its own solution returns, type included, came "


@pytest.mark.docker
@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"test": checking("assert abs(candidate([1]) - 1) < 1e-6")}, "test", EXACTLY),
        ({"test": checking("assert candidate([1]) in (1, 2)")}, "test", EXACTLY),
        ({"test": checking("assert candidate([1]) != 2")}, "test", EXACTLY),
        ({"test": checking("assert candidate([1]) == 1 == 1")}, "test", EXACTLY),
        ({"test": checking("assert candidate([1]) == candidate([1])")}, "test", EXACTLY),
        ({"test": checking("assert set(candidate([1])) == {1}")}, "test", EXACTLY),
        ({"test": checking("assert candidate(gaps=[1]) == 1")}, "test", EXACTLY),
        ({"test": checking("assert candidate([candidate([1])]) == 1")}, "test", EXACTLY),
        ({"test": checking("assert candidate([1]) == 1 or candidate([1]) == 2")}, "test", EXACTLY),
        ({"test": checking("result = candidate([1])", "assert result == 1")}, "test", ALONE + "'result = "),
        ({"test": checking("for x in candidate([1]): pass")}, "test", ALONE),
        ({"test": checking("f = candidate", "assert f([1]) == 1")}, "test", ALONE + "'f = candidate'"),
        ({"test": checking("assert candidate([1]) == 2")}, "test", OWN + "'exception: AssertionError'"),
        ({"test": checking("assert candidate([1]) == 1", "1 // 0")}, "test", OWN + "'exception: ZeroDivisionError"),
        ({"test": checking("import os", "os._exit(0)")}, "test", OWN),
        ({"test": checking("assert candidate([len]) == -1"), "canonical_solution": NO}, "test", OWN + "'unserial"),
        ({"test": checking("pass")}, "test", "expected tests that call the solution, came 'none that does'"),
        (
            {"test": checking("try:", "    assert candidate([1]) == 1 // 0", "except ZeroDivisionError: pass")},
            "test",
            "expected asserts that are all reached, came 'some that are not'",
        ),
        ({"test": checking("assert candidate([1]) == True")}, "test", TYPED + "'True for 1 at widest([1])'"),
        ({"test": checking("assert candidate([1]) == 1.0")}, "test", TYPED),
        ({"test": checking("assert candidate([1])")}, "test", TYPED),
        (
            {
                "test": checking("x = ['a', 'b', 'c', 'd', 'e', 'f']", "assert candidate(x) == list(set(x))"),
                "canonical_solution": "    return list(set(gaps))\n",
            },
            "test",
            "expected the same in every process, came 'other values under another hash seed'",
        ),
        ({"test": "def test(candidate): pass"}, "test", "expected one function check(candidate), came "),
        ({"test": "def check(): pass"}, "test", "expected one function check(candidate), came "),
        ({"test": "def check(candidate:"}, "test", "expected a Python program ("),
        ({"test": checking("assert candidate(" + "-" * 900 + "1) == 1")}, "test", "expected a "),
        ({"test": None}, "test", "expected a field that holds a str, came None"),
        ({"entry_point": "narrowest"}, "canonical_solution", "expected a program that defines narrowest, came "),
        ({"canonical_solution": "    return ("}, "canonical_solution", "expected a Python program ("),
        ({"prompt": 3}, "prompt", "expected a field that holds a str, came 3"),
    ],
)  # fmt: skip
def test_what_cannot_be_converted_is_said(
    sandbox: Sandbox, changes: dict[str, Any], field: str, reason: str
) -> None:
    records = [humaneval(task_id="right"), humaneval(**changes)]
    loaded = humaneval_mbpp.load_humaneval(records, sandbox)
    assert [goalpost.id for goalpost in loaded.goalposts] == ["right"]
    [skipped] = loaded.skipped
    assert (skipped.line, skipped.id, skipped.field) == (2, "Own/0", field)
    assert skipped.reason.startswith(reason)
    with pytest.raises(goalposts.GoalpostError) as caught:
        humaneval_mbpp.load_humaneval(records, sandbox, strict=True)
    assert str(caught.value).startswith(f"record 2, field {field!r}: {reason}")


@pytest.mark.docker
def test_nothing_of_a_record_runs_here(sandbox: Sandbox, tmp_path: Path) -> None:
    attack = f"import os\nos.mkdir({str(tmp_path / 'executed')!r})\n"
    records = [
        humaneval(attack + CHECK, task_id="a"),
        humaneval(task_id="b", prompt=attack + PROMPT),
        humaneval(checking(f"import os; os.mkdir({str(tmp_path / 'executed')!r})"), task_id="c"),
    ]
    loaded = humaneval_mbpp.load_humaneval(records, sandbox)
    assert [skipped.id for skipped in loaded.skipped] == ["a", "b", "c"]
    assert list(tmp_path.iterdir()) == []


class Broken:
    """A sandbox whose machine is gone."""

    def run_many(self, runs: Sequence[Run]) -> list[Result]:
        from gasp_env.sandbox.runs import Status

        return [Result(Status.INFRA_ERROR, error="no engine") for _ in runs]


def test_a_failure_of_the_sandbox_is_not_the_records() -> None:
    with pytest.raises(SandboxError, match="the sandbox failed at Own/0: no engine"):
        humaneval_mbpp.load_humaneval([humaneval()], Broken())


@pytest.mark.docker
def test_mbpp_is_read_too(sandbox: Sandbox) -> None:
    goalpost = one(humaneval_mbpp.load_mbpp([mbpp()], sandbox))
    assert goalpost == Goalpost(
        id="mbpp/7",
        statement="Write a function to double a number.",
        signature="def double(x, *rest)",
        inputs=((2,), (-1.5,), ("ab",)),
        outputs=(4, -3.0, "abab"),
        reference=mbpp()["code"].replace("\r\n", "\n"),
        tags=("mbpp",),
        entry="double",
    )
    sanitized = mbpp(
        prompt="Double it.", test_imports=["import math"], test_list=["assert double(math.pi) == math.tau"]
    )
    del sanitized["text"], sanitized["test_setup_code"], sanitized["challenge_test_list"]
    goalpost = one(humaneval_mbpp.load_mbpp([sanitized], sandbox))
    assert (goalpost.statement, goalpost.outputs) == ("Double it.", (6.283185307179586,))


@pytest.mark.docker
@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"test_list": ["assert math.isclose(double(2), 4)"]}, "test_list", EXACTLY),
        ({"test_list": ["assert set(double([1])) == {1}"]}, "test_list", EXACTLY),
        ({"test_list": ["assert double(2) == 5"]}, "test_list", OWN),
        ({"test_list": ["assert double(2) == 4.0"]}, "test_list", TYPED),
        ({"test_list": ["assert triple(2) == 6"]}, "test_list", ONE + "came []"),
        ({"test_list": ["assert half(double(2)) == 2"], "challenge_test_list": []}, "test_list", ONE),
        ({"test_list": [], "challenge_test_list": []}, "test_list", ONE),
        ({"test_list": ["assert double("]}, "test_list", "expected a Python program ("),
        ({"test_list": "assert"}, "test_list", "expected a field that holds a list, came 'assert'"),
        ({"code": "def double(x:"}, "code", "expected a Python program ("),
        ({"text": "", "prompt": None}, "prompt", "expected a field that holds a str, came None"),
        ({"task_id": None}, "task_id", "expected a field that holds a str, came None"),
    ],
)  # fmt: skip
def test_what_of_mbpp_cannot_be_converted_is_said(
    sandbox: Sandbox, changes: dict[str, Any], field: str, reason: str
) -> None:
    loaded = humaneval_mbpp.load_mbpp([mbpp(**changes)], sandbox)
    [skipped] = loaded.skipped
    assert skipped.field == field
    assert skipped.reason.startswith(reason)


@pytest.mark.docker
def test_records_that_are_called_alike(sandbox: Sandbox) -> None:
    loaded = humaneval_mbpp.load_mbpp([mbpp(), mbpp(), []], sandbox)
    assert [(skipped.line, skipped.id) for skipped in loaded.skipped] == [(2, "mbpp/7"), (3, "")]


@pytest.mark.docker
def test_the_command_line_writes_goalposts_and_an_account(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out, report = (tmp_path / name for name in ("own.jsonl", "out.jsonl", "report.json"))
    bad = humaneval(checking("assert candidate([1]) > 0"), task_id="Own/1")
    source.write_text(json.dumps(humaneval()) + "\n" + json.dumps(bad) + "\n")
    assert main(["humaneval", str(source), "--out", str(out), "--json", str(report), "--tier", "docker"]) == 0
    assert capsys.readouterr().out == (
        "1 of 2 records became goalposts, with 5 tests\n"
        "    1  test: expected asserts that compare what the solution returns with a value, exactly\n"
        "       line 2, Own/1: 'assert candidate([1]) > 0'\n"
    )
    assert [goalpost.id for goalpost in goalposts.load(out)] == ["Own/0"]
    account = json.loads(report.read_text())
    assert (account["records"], account["goalposts"], account["tests"], account["tier"]) == (
        2,
        1,
        5,
        "docker",
    )
    assert [skipped["line"] for skipped in account["skipped"]] == [2]
    assert main(["humaneval", str(source), "--out", str(out), "--strict", "--tier", "auto"]) == 2
    assert "line 2, field 'test': expected asserts" in capsys.readouterr().err


@pytest.mark.parametrize("set_", ["humaneval", "mbpp"])
def test_the_command_line_takes_every_tier_and_auto(set_: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([set_, "own.jsonl", "--out", "out.jsonl", "--tier", "nonsense"])
    said = capsys.readouterr().err
    assert all(tier in said for tier in ("auto", *TIERS))


HELPER = "def gap(a: int, b: int) -> int:\n    return abs(a - b)\n"


@pytest.mark.docker
@pytest.mark.parametrize(
    ("head", "body", "said"),
    [
        (
            "from typing import List\n",
            "    return max(gaps)\n",
            "Already imported: `from typing import List`",
        ),
        (
            "from __future__ import annotations\nimport math\n\n",
            "    return max(map(math.floor, gaps))\n",
            "Already imported: `from __future__ import annotations`, `import math`",
        ),
        (HELPER, "    return gap(max(gaps), 0)\n", f"Already defined:\n\n```python\n{HELPER}```"),
        (
            "LIMIT = 99\n",
            "    return min(LIMIT, max(gaps))\n",
            "Already defined:\n\n```python\nLIMIT = 99\n```",
        ),
        ("", "    return max(gaps)\n", ""),
    ],
    ids=["typing", "future", "helper", "constant", "nothing"],
)
def test_what_a_prompt_gives_every_answer_is_there(sandbox: Sandbox, head: str, body: str, said: str) -> None:
    header = f"def widest(gaps{': List[int]' if 'List' in head else ''}):\n"
    prompt = f'{head}{header}    """Widest of the gaps.\n\n    widest([1, 3]) is 3, "\\\\n" not.\n    """\n'
    check = checking("assert candidate([1, 3]) == 3", "assert candidate([7]) == 7")
    goalpost = one(
        humaneval_mbpp.load_humaneval([humaneval(check, prompt=prompt, canonical_solution=body)], sandbox)
    )
    assert goalpost.prelude == head.strip()
    words = 'Widest of the gaps.\n\nwidest([1, 3]) is 3, "\\\\n" not.'
    assert goalpost.statement == f"{words}\n\n{said}".strip()
    alone = header + body
    answers = [alone, head + alone, f"from __future__ import division; X = 1\n{alone}"]
    assert reasons(sandbox, [(goalpost, answer) for answer in answers]) == ["correct"] * 3


@pytest.mark.docker
def test_a_prompt_without_a_docstring_is_its_own_statement(sandbox: Sandbox) -> None:
    prompt = "import math\n\n\ndef widest(gaps):\n    # the widest gap\n"
    for body in ("    return max(gaps)\n", '    """Say."""\n    return max(gaps)\n'):
        record = humaneval(checking("assert candidate([1, 3]) == 3"), prompt=prompt, canonical_solution=body)
        goalpost = one(humaneval_mbpp.load_humaneval([record], sandbox))
        assert (goalpost.statement, goalpost.prelude) == (prompt.strip(), "import math")


@pytest.mark.docker
def test_a_function_called_check_is_no_check(sandbox: Sandbox) -> None:
    helper = "def check(gap):\n    return gap > 1\n\n\n"
    record = humaneval(
        checking("assert candidate([1, 3]) == [3]"),
        prompt=helper + 'def widest(gaps):\n    """Wide gaps."""\n',
        canonical_solution="    return [gap for gap in gaps if check(gap)]\n",
    )
    goalpost = one(humaneval_mbpp.load_humaneval([record], sandbox))
    assert goalpost.outputs == ([3],)
    assert reasons(sandbox, [(goalpost, "def widest(gaps): return list(filter(check, gaps))")]) == ["correct"]
    record = mbpp(
        code="def check(n):\n  return n % 2 == 0", test_list=["assert check(4)"], challenge_test_list=[]
    )
    goalpost = one(humaneval_mbpp.load_mbpp([record], sandbox))
    assert (goalpost.entry, goalpost.outputs) == ("check", (True,))


@pytest.mark.docker
def test_imports_that_headers_and_tests_of_mbpp_need_are_there(sandbox: Sandbox) -> None:
    record = mbpp(
        code="import re, typing as t\nfrom math import floor, pi\ndef double(x: t.List[int], y=pi):\n  return x * 2",
        test_setup_code="import math",
        test_imports=["import math", "from math import tau"],
        test_list=["assert double([int(math.tau)]) == [6, 6]"],
        challenge_test_list=[],
    )
    goalpost = one(humaneval_mbpp.load_mbpp([record], sandbox))
    assert goalpost.prelude == "import typing as t\nfrom math import pi\nimport math\nfrom math import tau"
    answer = f"{goalpost.signature}: return x + x[: math.ceil(pi)]"
    assert reasons(sandbox, [(goalpost, answer)]) == ["correct"]


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.skipif("GASP_HUMANEVAL" not in os.environ, reason="GASP_HUMANEVAL names no humaneval.jsonl")
def test_humaneval_itself(sandbox: Sandbox) -> None:
    loaded = humaneval_mbpp.load_humaneval(os.environ["GASP_HUMANEVAL"], sandbox)
    assert len(loaded.goalposts) == 161
    assert [skipped.id for skipped in loaded.skipped] == ["HumanEval/2", "HumanEval/4", "HumanEval/32"]
    assert list(loaded.reasons().values()) == [2, 1]
    assert sum(len(goalpost.inputs) for goalpost in loaded.goalposts) == 1423
    # The function that the prompt asks for, without the imports and helpers before it, is a right answer.
    alone = []
    for goalpost in loaded.goalposts:
        assert goalpost.reference is not None
        function = goalpost.reference.strip().removeprefix(goalpost.prelude).strip()
        assert function.startswith(f"def {goalpost.entry}(")
        alone.append((goalpost, function))
    assert reasons(sandbox, alone) == ["correct"] * 161
    assert sum(bool(goalpost.prelude) for goalpost in loaded.goalposts) == 24
