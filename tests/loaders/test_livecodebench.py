"""LiveCodeBench's records, from the file to the verdict."""

from __future__ import annotations

import base64
import json
import pickle
import re
import sys
import tracemalloc
import zlib
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from gasp_env import goalposts
from gasp_env.domains.python import judge
from gasp_env.domains.python.judge import Question
from gasp_env.domains.python.styles import ExercisesStyle
from gasp_env.loaders import Loaded, Skipped, livecodebench
from gasp_env.loaders.__main__ import main
from gasp_env.sandbox import Limits, Sandbox
from gasp_env.tasks import Goalpost
from tests.loaders.records import LANTERNS, NEIGHBOURS, STARTER, cases, method_record, packed, stdin_record


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def reason(sandbox: Sandbox, goalpost: Goalpost, program: str) -> str:
    question = Question.of_goalpost(goalpost)
    asked = judge.ask(question, f"```python\n{program}\n```", ExercisesStyle(), Limits())
    assert isinstance(asked, list)
    return judge.decide(question, sandbox.run_many(asked), asked).reason


def test_both_kinds_of_problem_are_read() -> None:
    loaded = livecodebench.load([stdin_record(), method_record()])
    assert (loaded.skipped, loaded.outside, loaded.dropped) == ((), 0, {})
    lanterns, neighbours = loaded.goalposts
    assert lanterns == Goalpost(
        id="own001_a",
        statement=stdin_record()["question_content"],
        signature="",
        inputs=(("3\n1 4 5\n",), ("2\n7 8\n",), ("4\n0 1 2 6\n",), ("1\n9\n",)),
        outputs=("2.0\n", "1\n", "2\n", "none\n"),
        shown=1,
        tags=("livecodebench", "atcoder", "2023-09-02"),
        difficulty="easy",
        entry="",
        rule="livecodebench",
    )
    assert neighbours.entry == "Solution.neighbours"
    assert neighbours.signature == method_record()["starter_code"]
    assert neighbours.inputs == (([1, 5, 2], 3), ([], 1), ([4, 4], 0), ([1, 2, 3], 2))
    assert neighbours.outputs == ([1, 2], [], [0, 1], [])
    assert neighbours.shown == 2


def test_what_is_read_can_be_written(tmp_path: Path) -> None:
    loaded = livecodebench.load(write(tmp_path / "lcb.jsonl", stdin_record(), method_record()))
    assert loaded == livecodebench.load([stdin_record(), method_record()])
    goalposts.dump(loaded.goalposts, tmp_path / "goalposts.jsonl")
    assert goalposts.load(tmp_path / "goalposts.jsonl") == loaded.goalposts


def test_private_tests_come_packed_or_not() -> None:
    plain = cases("stdin", ("1", "2"))
    for form in (plain, json.dumps(plain), *(packed(plain, protocol) for protocol in range(6))):
        [goalpost] = livecodebench.load([stdin_record(private_test_cases=form)]).goalposts
        assert (goalpost.inputs[1:], goalpost.outputs[1:]) == ((("1",),), ("2",))
    [goalpost] = livecodebench.load([stdin_record(metadata={}, public_test_cases=[])]).goalposts
    assert (len(goalpost.inputs), goalpost.shown) == (3, 0)


@pytest.mark.docker
def test_right_and_wrong_answers_are_told_apart(sandbox: Sandbox) -> None:
    lanterns, neighbours = livecodebench.load([stdin_record(), method_record()]).goalposts
    assert reason(sandbox, lanterns, LANTERNS) == "correct"
    assert reason(sandbox, lanterns, LANTERNS.replace("none", "None")) == "wrong"
    assert reason(sandbox, lanterns, LANTERNS.replace("n < 2", "n < 1")) == "exception"
    assert reason(sandbox, lanterns, NEIGHBOURS) == "wrong"
    assert reason(sandbox, neighbours, NEIGHBOURS) == "correct"
    assert reason(sandbox, neighbours, NEIGHBOURS.replace("return []", "return None")) == "wrong"
    assert reason(sandbox, neighbours, NEIGHBOURS.replace("self, ", "")) == "exception"
    assert reason(sandbox, neighbours, LANTERNS) == "exception"


@pytest.mark.parametrize(
    ("dates", "found"),
    [
        ((None, None), 2),
        (("2023-05-01", "2024-08-31"), 2),
        (("2023-09-02", "2023-09-02"), 1),
        ((None, date(2024, 8, 16)), 1),
        (("2023-09-03", None), 1),
        (("2025-01-01", None), 0),
        ((datetime(2023, 9, 2, 23), datetime(2023, 9, 2, 1)), 1),
        ((datetime(2023, 9, 3, tzinfo=UTC), None), 1),
        ((date(2023, 9, 2), datetime(2024, 8, 17)), 2),
    ],
)  # fmt: skip
def test_dates_choose(dates: Any, found: int) -> None:
    loaded = livecodebench.load([stdin_record(), method_record()], dates=dates)
    assert (len(loaded.goalposts), loaded.outside, loaded.skipped) == (found, 2 - found, ())


@pytest.mark.parametrize(
    "held", [date(2023, 9, 2), datetime(2023, 9, 2, 5), "2023-09-02", "2023-09-02T05:00:00"]
)
def test_the_day_of_a_record_has_many_forms(held: Any) -> None:
    loaded = livecodebench.load([stdin_record(contest_date=held)], dates=("2023-09-02", "2023-09-02"))
    assert [goalpost.tags[2] for goalpost in loaded.goalposts] == ["2023-09-02"]


@pytest.mark.parametrize("day", ["2023.05", 20230501, 0, b"2023-05-01", "", ("2023-05-01",)])
def test_a_day_that_is_none_is_refused(day: Any) -> None:
    with pytest.raises(ValueError, match=re.escape(f"expected a day such as 2024-01-31, got {day!r}")):
        livecodebench.load([], dates=(day, None))
    with pytest.raises(ValueError, match="give it as a text, a date or a datetime"):
        livecodebench.load([], dates=(None, day))


STDIN_TEST = {"input": "1", "output": "1", "testtype": "stdin"}
BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"question_content": None}, "question_content", "expected a field that holds a str, came None"),
    ({"question_content": " "}, "question_content", "expected a text that is not empty, came ' '"),
    ({"difficulty": "brutal"}, "difficulty", "expected one of easy, medium, hard, came 'brutal'"),
    ({"contest_date": "soon"}, "contest_date", "expected a date such as 2024-01-31T00:00:00, came 'soon'"),
    ({"contest_date": 5}, "contest_date", "expected a date such as 2024-01-31T00:00:00, came 5"),
    ({"platform": ["x"]}, "platform", "expected a field that holds a str, came ['x']"),
    ({"metadata": "{"}, "metadata", "expected JSON ("),
    ({"metadata": '{"func_name": 3}'}, "metadata", "expected an object with a func_name or without"),
    ({"metadata": "[1]"}, "metadata", "expected an object with a func_name or without"),
    (
        {"public_test_cases": "[]", "private_test_cases": "[]"},
        "private_test_cases",
        "expected at least one test",
    ),
    ({"public_test_cases": None}, "public_test_cases", "expected a list of tests, came None"),
    (
        {"public_test_cases": "{}"},
        "public_test_cases",
        "expected JSON, or JSON that was pickled, compressed and",
    ),
    ({"private_test_cases": "[1"}, "private_test_cases", "expected JSON ("),
    (
        {"private_test_cases": [7]},
        "private_test_cases[0]",
        "expected an object with input, output and testtype",
    ),
    (
        {"private_test_cases": [STDIN_TEST, {"input": ""}]},
        "private_test_cases[1]",
        "expected an object with input",
    ),
    (
        {"private_test_cases": [{**STDIN_TEST, "testtype": "functional"}]},
        "private_test_cases[0].testtype",
        "expected stdin, as the metadata does not name a func_name, came 'functional'",
    ),
    (
        {"private_test_cases": [{**STDIN_TEST, "output": "x" * 2**20 + "y"}]},
        "private_test_cases[0].output",
        "expected at most 1048576 bytes, came '1048577 bytes'",
    ),
    (
        {"public_test_cases": [{**STDIN_TEST, "input": "\ud800"}]},
        "tests[0].input",
        "expected a text that UTF-8 can",
    ),
    ({"question_content": "Say \ud800."}, "question_content", "expected a text that UTF-8 can"),
    ({"platform": "\udfff"}, "tags[1]", "expected a text that UTF-8 can"),
]
BAD_METHOD: list[tuple[dict[str, Any], str, str]] = [
    ({"starter_code": ""}, "", ""),
    ({"starter_code": "class Other: ..."}, "starter_code", "expected a class Solution with neighbours"),
    (
        {"starter_code": "def neighbours(heights): "},
        "starter_code",
        "expected a class Solution with neighbours",
    ),
    (
        {"starter_code": STARTER + "# \ud800"},
        "starter_code",
        "expected a text that UTF-8 can encode, came '",
    ),
    (
        {"metadata": '{"func_name": "not a name"}', "starter_code": ""},
        "entry",
        "expected the name of a function",
    ),
    (
        {"private_test_cases": cases("functional", ("[1]\n2", "x"))},
        "private_test_cases[0].output",
        "expected JSON (Expecting value: line 1 column 1 (char 0)), came 'x'",
    ),
    (
        {"private_test_cases": cases("functional", ("[1]\n\n2", "1"))},
        "private_test_cases[0].input",
        "expected JSON (",
    ),
    (
        {"private_test_cases": cases("functional", ("9" * 5000, "1"))},
        "private_test_cases[0].input",
        "expected JSON (",
    ),
    (
        {"private_test_cases": cases("functional", ("1\n2\n3", "1"))},
        "tests[2].input",
        "expected 2 argument(s)",
    ),
    (
        {"private_test_cases": cases("functional", (json.dumps([0] * 100_000), "1"))},
        "private_test_cases[0].input",
        "expected values within bounds (more than 100000 values)",
    ),
]


@pytest.mark.parametrize(
    ("record", "field", "said"),
    [(stdin_record(**change), field, said) for change, field, said in BAD]
    + [(method_record(**change), field, said) for change, field, said in BAD_METHOD],
)
def test_what_is_wrong_with_a_record_is_said(record: dict[str, Any], field: str, said: str) -> None:
    right = stdin_record(question_id="right")
    loaded = livecodebench.load([right, record])
    assert [goalpost.id for goalpost in loaded.goalposts][:1] == ["right"]
    if not said:
        assert len(loaded.goalposts) == 2
        return
    [skipped] = loaded.skipped
    assert (skipped.line, skipped.id, skipped.field) == (2, record["question_id"], field)
    assert skipped.reason.startswith(said)
    with pytest.raises(goalposts.GoalpostError) as caught:
        livecodebench.load([right, record], strict=True)
    assert str(caught.value).startswith(f"record 2, field {field!r}: {said}")


def test_records_without_a_name_of_their_own() -> None:
    records: list[Any] = [
        stdin_record(),
        stdin_record(),
        stdin_record(question_id=5),
        stdin_record(question_id=""),
        [],
    ]
    loaded = livecodebench.load(records)
    assert len(loaded.goalposts) == 1
    assert [(skipped.line, skipped.id, skipped.field) for skipped in loaded.skipped] == [
        (2, "own001_a", ""),
        (3, "", "question_id"),
        (4, "", "question_id"),
        (5, "", ""),
    ]
    assert (
        loaded.skipped[0].reason == "expected a record of its own, but line 1 has this name, came 'own001_a'"
    )


def test_a_name_that_cannot_be_printed_is_none() -> None:
    [skipped] = livecodebench.load([stdin_record(question_id="a\ud800b")]).skipped
    assert (skipped.id, skipped.reason) == ("", "expected a text that UTF-8 can encode, came 'a\\ud800b'")


def test_lines_are_counted_as_the_file_has_them(tmp_path: Path) -> None:
    path = tmp_path / "lcb.jsonl"
    path.write_text(f"\n{json.dumps(stdin_record())}\r\n\n{json.dumps({'question_id': 'x'})}\n")
    loaded = livecodebench.load(path)
    assert len(loaded.goalposts) == 1
    assert loaded.skipped == (Skipped(4, "x", "public_test_cases", "expected a list of tests, came None"),)
    path.write_bytes(path.read_bytes() + b"{cut")
    with pytest.raises(goalposts.GoalpostError, match=r"lcb\.jsonl, line 5: expected one JSON object"):
        livecodebench.load(path)


def test_large_tests_can_be_dropped() -> None:
    large = json.dumps([0] * 100_000)
    method = method_record(private_test_cases=cases("functional", (f"{large}\n1", "[]"), ("[2]\n1", "[]")))
    stdin = stdin_record(private_test_cases=cases("stdin", ("1", "x" * 2**21)))
    loaded = livecodebench.load([method, stdin], drop_large=True)
    assert loaded.dropped == {"9001": 1, "own001_a": 1}
    assert [len(goalpost.inputs) for goalpost in loaded.goalposts] == [3, 1]
    assert [goalpost.shown for goalpost in loaded.goalposts] == [2, 1]
    assert len(livecodebench.load([method, stdin]).skipped) == 2


def bomb(text: str, size: int) -> str:
    """A packed list of the same over and over, of so many characters."""
    listed = "[" + ",".join([text] * (size // (len(text) + 1) - 1)) + "]"
    return base64.b64encode(zlib.compress(pickle.dumps(listed), 9)).decode()


@pytest.mark.parametrize(
    ("text", "size", "said"),
    [
        ("{}", 2**23, "expected JSON (more than 100000 values)"),
        ("[]", 2**23, "expected JSON (more than 100000 values)"),
        (json.dumps(STDIN_TEST), 2**23, "expected JSON (more than 100000 values)"),
        ("{}", 2**24, "expected JSON, or JSON that was pickled, compressed and written in base64 (more than"),
        ("{}", 2**26, "expected JSON, or JSON that was pickled, compressed and written in base64 (more than"),
        (
            json.dumps({"input": "1\n" * 2**18, "output": "[]", "testtype": "functional"}),
            2**23,
            "expected values within bounds (more than 100000 values)",
        ),
    ],
)
def test_a_small_record_does_not_take_much_memory(text: str, size: int, said: str) -> None:
    record = (method_record if "functional" in text else stdin_record)(private_test_cases=bomb(text, size))
    assert len(json.dumps(record)) < 100_000
    tracemalloc.start()
    try:
        loaded = livecodebench.load([record])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [skipped.reason[: len(said)] for skipped in loaded.skipped] == [said]
    assert peak < 40 * 2**20


def test_tests_of_too_many_values_together_can_be_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livecodebench, "MAX_VALUES", 1000)
    large = json.dumps([[]] * 45)  # 91 values at most, and two beside them
    method = method_record(private_test_cases=cases("functional", *[(f"{large}\n1", "0")] * 12))
    loaded = livecodebench.load([method], drop_large=True)
    assert loaded.dropped == {"9001": 2}
    assert len(loaded.goalposts[0].inputs) == 12
    [skipped] = livecodebench.load([method]).skipped
    assert skipped.why == "private_test_cases: expected at most 1000 values in all"


@pytest.mark.docker
def test_tests_as_large_as_may_be_are_judged(sandbox: Sandbox) -> None:
    numbers = list(range(99_990))
    method = method_record(
        public_test_cases=[], private_test_cases=cases("functional", (f"{numbers}\n1", "[0, 1]"))
    )
    text = f"{2**18}\n{' '.join(['7'] * 2**18)}\n"
    stdin = stdin_record(public_test_cases=[], private_test_cases=cases("stdin", (text, "0")))
    neighbours, lanterns = livecodebench.load([method, stdin]).goalposts
    assert reason(sandbox, neighbours, NEIGHBOURS) == "correct"
    assert reason(sandbox, lanterns, LANTERNS) == "correct"
    stdin = stdin_record(public_test_cases=[], private_test_cases=cases("stdin", ("", "y\n" * 2**19)))
    [goalpost] = livecodebench.load([stdin]).goalposts
    assert reason(sandbox, goalpost, "print('y\\n' * 2**19, end='')") == "correct"


def test_the_datasets_library_reads_them_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    path = write(
        tmp_path / "lcb.jsonl",
        stdin_record(),
        method_record(),
        stdin_record(question_id="bad", platform="", difficulty="x"),
    )
    loaded = livecodebench.load_dataset("json", data_files=str(path), cache_dir=str(tmp_path / "cache"))
    plain = livecodebench.load(path)
    assert loaded == plain
    assert len(loaded.goalposts) == 2
    in_2023 = livecodebench.load_dataset(
        data_files=str(path), cache_dir=str(tmp_path / "cache"), dates=("2023-01-01", "2023-12-31")
    )
    assert [goalpost.id for goalpost in in_2023.goalposts] == ["own001_a"]
    streamed = livecodebench.load_dataset(data_files=str(path), streaming=True)
    assert streamed == plain
    with pytest.raises(ValueError, match="expected one split, came train; say which"):
        livecodebench.load_dataset(data_files=str(path), cache_dir=str(tmp_path / "cache"), split=None)


def test_without_the_datasets_library_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ImportError, match=r"pip install 'gasp-env\[datasets\]', or download the files"):
        livecodebench.load_dataset()


def test_reasons_are_counted() -> None:
    skipped = (
        Skipped(1, "a", "x", "expected a y, came 1"),
        Skipped(2, "b", "z", "expected a y, came 1"),
        Skipped(3, "c", "z", "expected a y, came 2"),
    )
    assert list(Loaded((), skipped).reasons().items()) == [("z: expected a y", 2), ("x: expected a y", 1)]


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    source = write(
        tmp_path / "lcb.jsonl", stdin_record(), method_record(), stdin_record(question_id="x", difficulty=1)
    )
    out, report = tmp_path / "out.jsonl", tmp_path / "report.json"
    assert (
        main(["livecodebench", str(source), "--out", str(out), "--to", "2023-12-31", "--json", str(report)])
        == 0
    )
    assert capsys.readouterr().out == (
        "1 of 3 records became goalposts, with 4 tests\n1 are of other days\n"
        "    1  difficulty: expected a field that holds a str\n       line 3, x: 1\n"
    )
    assert [goalpost.id for goalpost in goalposts.load(out)] == ["own001_a"]
    assert json.loads(report.read_text())["skipped"] == [
        {"line": 3, "id": "x", "field": "difficulty", "reason": "expected a field that holds a str, came 1"}
    ]
    before = out.read_bytes()
    for wrong in (["--strict"], ["--from", "soon"]):
        assert main(["livecodebench", str(source), "--out", str(out), *wrong]) == 2
        assert capsys.readouterr().err.startswith("error: ")
    assert main(["livecodebench", str(tmp_path / "absent.jsonl"), "--out", str(out)]) == 2
    assert out.read_bytes() == before
