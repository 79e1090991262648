from __future__ import annotations

import json
from pathlib import Path
from random import Random
from typing import Any

import pytest

from gasp_env import goalposts, values
from gasp_env.sandbox import Run, Sandbox, Status
from gasp_env.tasks import Evidence, Goalpost
from tests.brute_force import SECOND_OPINIONS

OURS = {goalpost.id: goalpost for goalpost in goalposts.builtin_goalposts()}
RANDOM_INPUTS = 25

RECORD: dict[str, Any] = {
    "id": "double",
    "statement": "Return twice the number.",
    "signature": "def f(n: int) -> int",
    "tests": [{"input": "1", "output": "2"}, {"input": "-3", "output": "-6"}],
}


def write(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_ours_are_forty_with_tests_enough() -> None:
    assert len(OURS) == 40
    assert set(OURS) == set(SECOND_OPINIONS)
    for goalpost in OURS.values():
        assert goalpost.reference is not None
        assert len(goalpost.inputs) >= 10
        assert 2 <= goalpost.shown <= 3
        assert len({values.render(output) for output in goalpost.outputs}) >= 4, goalpost.id
        inputs = [values.encode(arguments) for arguments in goalpost.inputs]
        assert len(set(inputs)) == len(inputs), f"{goalpost.id} asks one thing twice"


@pytest.mark.docker
def test_the_sandbox_agrees_with_every_reference(sandbox: Sandbox) -> None:
    runs = [Run(goalpost.reference or "", goalpost.inputs) for goalpost in OURS.values()]
    for goalpost, result in zip(OURS.values(), sandbox.run_many(runs), strict=True):
        assert result.status is Status.OK, (goalpost.id, result.error)
        returned = [call.value for call in result.calls]
        for arguments, value, output in zip(goalpost.inputs, returned, goalpost.outputs, strict=True):
            assert values.equal(value, output), (goalpost.id, arguments)
        assert result.cpu_seconds < 0.5, f"{goalpost.id} should leave room below the limits"


@pytest.mark.parametrize("name", sorted(OURS))
def test_a_brute_force_agrees_with_every_test(name: str) -> None:
    solve, _ = SECOND_OPINIONS[name]
    goalpost = OURS[name]
    for arguments, output in zip(goalpost.inputs, goalpost.outputs, strict=True):
        assert values.equal(solve(*arguments), output), values.render_arguments(arguments)


@pytest.mark.docker
def test_a_brute_force_agrees_with_every_reference_on_random_inputs(sandbox: Sandbox) -> None:
    drawn = {}
    for name, (_, draw) in SECOND_OPINIONS.items():
        rng = Random(name)
        drawn[name] = tuple(draw(rng) for _ in range(RANDOM_INPUTS))
    runs = [Run(OURS[name].reference or "", inputs) for name, inputs in drawn.items()]
    for (name, inputs), result in zip(drawn.items(), sandbox.run_many(runs), strict=True):
        assert result.status is Status.OK, (name, result.error)
        solve, _ = SECOND_OPINIONS[name]
        for arguments, call in zip(inputs, result.calls, strict=True):
            assert values.equal(call.value, solve(*arguments)), (name, values.render_arguments(arguments))


def test_ours_survive_dump_and_load(tmp_path: Path) -> None:
    goalposts.dump(goalposts.builtin_goalposts(), tmp_path / "ours.jsonl")
    assert goalposts.load(tmp_path / "ours.jsonl") == goalposts.builtin_goalposts()


def test_every_kind_of_value_survives_dump_and_load(tmp_path: Path) -> None:
    inputs = (
        (1, 1.0, True, None),
        ("é\n'\"", b"\x00", [()], {(1,): {2}}),
        (-0.0, float("inf"), 2j, frozenset({3})),
    )
    rich = Goalpost(
        id="rich",
        statement="Return what is given.\nUnicode: π.",
        signature="def f(*given) -> tuple",
        inputs=inputs[:2],
        outputs=inputs[:2],
        shown=1,
        evidence=(Evidence("some-model", 100, 0),),
        tags=("a", "b"),
        difficulty="hard",
        prelude="import math\n\ndef half(x): return x / 2\n",
    )
    goalposts.dump([rich], tmp_path / "rich.jsonl")
    (loaded,) = goalposts.load(tmp_path / "rich.jsonl")
    assert loaded == rich
    assert values.equal(loaded.inputs, rich.inputs)


def test_optional_fields_have_defaults(tmp_path: Path) -> None:
    (goalpost,) = goalposts.load(write(tmp_path / "one.jsonl", RECORD))
    assert goalpost.inputs == ((1,), (-3,))
    assert goalpost.outputs == (2, -6)
    assert (goalpost.shown, goalpost.reference, goalpost.evidence, goalpost.tags) == (0, None, (), ())
    assert goalpost.difficulty == "medium"
    assert goalpost.prelude == ""
    assert "prelude" not in goalposts.to_record(goalpost)


def test_blank_lines_are_skipped_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "blank.jsonl"
    path.write_text("\n" + json.dumps(RECORD) + "\r\n\n{}\n")
    with pytest.raises(
        goalposts.GoalpostError, match=r"line 4, field 'id': expected the field, came nothing; add it"
    ):
        goalposts.load(path)


def test_two_records_with_one_id_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "twice.jsonl", RECORD, RECORD)
    with pytest.raises(
        goalposts.GoalpostError, match=r"line 2, field 'id': .*'double', which line 1 has already"
    ):
        goalposts.load(path)


TEST = {"input": "1", "output": "2"}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"id": 3}, r"field 'id': expected a text that is not empty, came 3;"),
        ({"id": " "}, r"field 'id': expected a text"),
        ({"prelude": "import"}, r"field 'prelude': expected a Python program, came 'import'; write imports"),
        ({"prelude": None}, r"field 'prelude': expected a text"),
        ({"prelude": "x = '\ud800'"}, r"field 'prelude': expected a text that UTF-8 can encode"),
        (
            {"id": "\ud800"},
            r"field 'id': expected a text that UTF-8 can encode, came '\\ud800'; remove the lone",
        ),
        (
            {"statement": "Say \udfff."},
            r"field 'statement': expected a text that UTF-8 can encode, came 'Say",
        ),
        ({"signature": "def f(n)  # \ud800"}, r"field 'signature': expected a text that UTF-8 can encode"),
        ({"reference": "\ud800"}, r"field 'reference': expected a text that UTF-8 can encode"),
        ({"tags": ["\ud800"]}, r"field 'tags\[0\]': expected a text that UTF-8 can encode"),
        (
            {"evidence": [{"model": "\ud800", "samples": 1, "correct": 0}]},
            r"field 'evidence\[0\]\.model': expected a text that UTF-8",
        ),
        ({"statement": None}, r"field 'statement': expected a text .*, came None;"),
        (
            {"signature": "f(n)"},
            r"field 'signature': expected a function header, came 'f\(n\)'; write one line such as",
        ),
        ({"signature": "def g(n)"}, r"field 'signature': expected one line that defines f"),
        ({"signature": "def f(n"}, r"field 'signature': expected a function header"),
        ({"signature": "def f(n): return n\ndef f(n)"}, r"field 'signature'"),
        ({"signature": "def f(n, *, deep)"}, r"field 'signature': expected positional parameters only"),
        ({"signature": "def f(" + "(" * 300}, r"field 'signature'"),
        ({"tests": {}}, r"field 'tests': expected a list, came \{\};"),
        ({"tests": []}, r"field 'tests': expected at least one test, came \[\]; add one"),
        ({"tests": [TEST, {"input": "1"}]}, r"field 'tests\[1\]\.output': expected the field, came nothing"),
        ({"tests": [TEST | {"out": "3"}]}, r"field 'tests\[0\]\.out': expected one of input, output"),
        ({"tests": [TEST | {"input": 1}]}, r"field 'tests\[0\]\.input': expected a text .*, came 1;"),
        (
            {"tests": [TEST | {"input": "1, 2"}]},
            r"field 'tests\[0\]\.input': expected 1 argument\(s\), .* '1, 2'",
        ),
        (
            {"tests": [TEST | {"input": "f(1)"}]},
            r"field 'tests\[0\]\.input': expected Python literals .* 'f\(1\)'",
        ),
        (
            {"tests": [TEST | {"output": "1 +"}]},
            r"field 'tests\[0\]\.output': expected Python literals .* '1 \+'",
        ),
        ({"tests": [TEST | {"output": "[" * 2000}]}, r"field 'tests\[0\]\.output': expected Python literals"),
        ({"shown": True}, r"field 'shown': expected an integer from 0 to 2, came True;"),
        ({"shown": 3}, r"field 'shown': expected an integer from 0 to 2, came 3;"),
        ({"reference": 5}, r"field 'reference': expected a text"),
        (
            {"evidence": [{"model": "m", "samples": 0, "correct": 0}]},
            r"field 'evidence\[0\]\.samples': .* from 1, came 0",
        ),
        (
            {"evidence": [{"model": "m", "samples": 5, "correct": 6}]},
            r"field 'evidence\[0\]\.correct': expected an integer from 0 to 5, came 6",
        ),
        ({"tags": "graphs"}, r"field 'tags': expected a list, came 'graphs';"),
        ({"tags": ["graphs", 1]}, r"field 'tags\[1\]': expected a text"),
        ({"difficulty": "brutal"}, r"field 'difficulty': expected one of easy, medium, hard, came 'brutal';"),
        (
            {"refrence": "def f(n): ..."},
            r"field 'refrence': expected one of id, statement, .*rename or remove",
        ),
    ],
)
def test_a_wrong_field_is_named(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    path = write(tmp_path / "bad.jsonl", {**RECORD, "id": "right"}, {**RECORD, **change})
    with pytest.raises(goalposts.GoalpostError, match=rf"bad\.jsonl, line 2, {complaint}"):
        goalposts.load(path)


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b"7", b"\xff{}", b"[" * 100_000, b'{"shown": ' + b"9" * 5000 + b"}"]
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(json.dumps(RECORD).encode() + b"\n" + line)
    with pytest.raises(goalposts.GoalpostError, match=r"bad\.jsonl, line 2: expected "):
        goalposts.load(path)


def test_a_field_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text('{"id": "a", "id": "b"}')
    with pytest.raises(
        goalposts.GoalpostError,
        match=r"line 1, field 'id': expected the field once, came \['id', 'id'\]; keep one",
    ):
        goalposts.load(path)


def test_dump_refuses_what_load_would_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "never.jsonl"
    fine = Goalpost("fine", "Say it.", "def f(n)", ((1,),), (1,))
    with pytest.raises(goalposts.GoalpostError, match="already"):
        goalposts.dump([fine, fine], path)
    with pytest.raises(goalposts.GoalpostError, match="1 inputs and 2 outputs"):
        goalposts.dump([Goalpost("odd", "Say it.", "def f(n)", ((1,),), (1, 2))], path)
    assert not path.exists()


def test_optional_and_variable_arguments_are_counted(tmp_path: Path) -> None:
    optional = {
        **RECORD,
        "signature": "def f(a, b=0)",
        "tests": [{"input": "1", "output": "1"}, {"input": "1, 2", "output": "3"}],
    }
    variable = {
        **RECORD,
        "id": "any",
        "signature": "def f(*given)",
        "tests": [{"input": "1, 2, 3", "output": "6"}],
    }
    first, second = goalposts.load(write(tmp_path / "fine.jsonl", optional, variable))
    assert first.inputs == ((1,), (1, 2))
    assert second.inputs == ((1, 2, 3),)
    over = {**optional, "tests": [{"input": "1, 2, 3", "output": "6"}]}
    with pytest.raises(goalposts.GoalpostError, match=r"expected 1 to 2 argument\(s\)"):
        goalposts.load(write(tmp_path / "over.jsonl", over))


STDIN: dict[str, Any] = {
    "id": "sum",
    "statement": "Add.",
    "signature": "",
    "tests": [{"input": "1 2\n", "output": "3\n"}, {"input": "", "output": ""}],
    "entry": "",
    "rule": "livecodebench",
}
STARTER = (
    "# Given.\nclass Solution:\n    def pair(self, nums: List[int], goal: int = 0) -> List[int]:\n        "
)
METHOD: dict[str, Any] = {
    "id": "pair",
    "statement": "Find two.",
    "signature": STARTER,
    "tests": [
        {"input": [[1, 2], 3], "output": [0, 1]},
        {"input": [[]], "output": {"a": [None, True, 1.5, "é"]}},
    ],
    "entry": "Solution.pair",
    "rule": "livecodebench",
}


DEEP: list[Any] = []
for _ in range(100_000):
    DEEP = [DEEP]


def test_whole_programs_and_methods_are_read_and_written(tmp_path: Path) -> None:
    loaded = goalposts.load(write(tmp_path / "real.jsonl", STDIN, METHOD))
    assert [(goalpost.entry, goalpost.rule) for goalpost in loaded] == [
        ("", "livecodebench"),
        ("Solution.pair", "livecodebench"),
    ]
    assert (loaded[0].inputs, loaded[0].outputs) == ((("1 2\n",), ("",)), ("3\n", ""))
    assert (loaded[1].inputs[0], loaded[1].outputs[1]) == (([1, 2], 3), {"a": [None, True, 1.5, "é"]})
    goalposts.dump(loaded, tmp_path / "again.jsonl")
    assert goalposts.load(tmp_path / "again.jsonl") == loaded
    records = [json.loads(line) for line in (tmp_path / "again.jsonl").read_text().splitlines()]
    assert [record["tests"] for record in records] == [STDIN["tests"], METHOD["tests"]]


def test_the_usual_entry_and_rule_are_not_written() -> None:
    assert not {"entry", "rule"} & goalposts.to_record(goalposts.builtin_goalposts()[0]).keys()
    named = Goalpost("n", "Say it.", "def say(n)", ((1,),), (1,), entry="say")
    assert {**goalposts.to_record(named)}.keys() & {"entry", "rule"} == {"entry"}


def test_a_large_test_of_a_real_problem_is_read(tmp_path: Path) -> None:
    text = "7 " * 2**20
    large = [list(range(90_000)), 3]
    method = METHOD | {"tests": [{"input": large, "output": 1}]}
    stdin = STDIN | {"tests": [{"input": text, "output": "1"}]}
    loaded = goalposts.load(write(tmp_path / "large.jsonl", method, stdin))
    assert [goalpost.inputs for goalpost in loaded] == [(tuple(large),), ((text,),)]


@pytest.mark.parametrize(
    ("record", "change", "complaint"),
    [
        (RECORD, {"entry": 3}, r"field 'entry': expected the name of a function, Class\.method, or nothing"),
        (RECORD, {"entry": "a.b.c"}, r"field 'entry': expected the name .*, came 'a\.b\.c'; write what"),
        (RECORD, {"entry": "f()"}, r"field 'entry'"),
        (RECORD, {"entry": "class"}, r"field 'entry'"),
        (RECORD, {"entry": ".f"}, r"field 'entry'"),
        (RECORD, {"entry": "g"}, r"field 'signature': expected one line that defines g, came 'def f"),
        (RECORD, {"rule": "loose"}, r"field 'rule': expected one of exact, livecodebench, came 'loose'"),
        (RECORD, {"rule": ["exact"]}, r"field 'rule'"),
        (RECORD, {"rule": "livecodebench"}, r"field 'tests\[0\]\.input': expected a list, came '1'"),
        (RECORD, {"signature": ""}, r"field 'signature': expected a text that is not empty, came ''"),
        (RECORD, {"signature": "class f: ..."}, r"field 'signature'"),
        (STDIN, {"signature": "def f(x)"}, r"field 'signature': expected an empty text, because the entry is"),
        (STDIN, {"tests": [{"input": ["1"], "output": "1"}]}, r"field 'tests\[0\]\.input': expected a text"),
        (STDIN, {"tests": [{"input": "1", "output": 1}]}, r"field 'tests\[0\]\.output': expected a text, came 1"),
        (STDIN, {"tests": [{"input": "\ud800", "output": "1"}]}, r"field 'tests\[0\]\.input': .* UTF-8 can encode"),
        (
            STDIN,
            {"tests": [{"input": "1", "output": "é" * 2**20}]},
            r"field 'tests\[0\]\.output': expected at most 1048576 bytes, came '2097152 bytes'; leave the test",
        ),
        (METHOD, {"signature": "class Solution: ..."}, r"field 'signature': expected a class Solution with pair"),
        (METHOD, {"signature": "def pair(self, a)"}, r"field 'signature': expected a class Solution with pair"),
        (METHOD, {"signature": "class Solution:\n  def pair(self"}, r"field 'signature': expected starter code"),
        (METHOD, {"signature": 1}, r"field 'signature': expected a text"),
        (METHOD, {"tests": [{"input": "[1]", "output": 1}]}, r"field 'tests\[0\]\.input': expected a list"),
        (METHOD, {"tests": [{"input": [1, 2, 3], "output": 1}]}, r"expected 1 to 2 argument\(s\), as the signature"),
        (
            METHOD,
            {"tests": [{"input": [[0] * 100_000], "output": 1}]},
            r"field 'tests\[0\]\.input': expected a JSON value within bounds, .*; leave the test out: more than 100000",
        ),
        (METHOD, {"tests": [{"input": [1], "output": "x" * 2**20}]}, r"field 'tests\[0\]\.output': .*too long"),
    ],
)  # fmt: skip
def test_what_does_not_fit_entry_and_rule_is_named(
    tmp_path: Path, record: dict[str, Any], change: dict[str, Any], complaint: str
) -> None:
    path = write(tmp_path / "bad.jsonl", record | {"id": "right"}, record | change)
    with pytest.raises(goalposts.GoalpostError, match=rf"bad\.jsonl, line 2, .*{complaint}") as caught:
        goalposts.load(path)
    assert caught.value.field in str(caught.value)
    assert caught.value.reason in str(caught.value)


@pytest.mark.parametrize(
    ("entry", "inputs", "outputs"),
    [
        ("", ((1,),), ("1",)),
        ("", (("1", "2"),), ("1",)),
        ("", (("1",),), (1,)),
        ("Solution.f", (((1, 2),),), (1,)),
        ("Solution.f", (({1: 2},),), (1,)),
        ("Solution.f", ((1,),), (b"1",)),
        ("Solution.f", ((1,),), (1j,)),
        ("Solution.f", ((1,),), (DEEP,)),
    ],
)
def test_dump_refuses_what_a_record_cannot_hold(
    tmp_path: Path, entry: str, inputs: tuple[Any, ...], outputs: tuple[Any, ...]
) -> None:
    goalpost = Goalpost("odd", "Say it.", "", inputs, outputs, entry=entry, rule="livecodebench")
    with pytest.raises(goalposts.GoalpostError, match=r"goalpost 'odd', test 0: expected .*came "):
        goalposts.dump([goalpost], tmp_path / "never.jsonl")
    assert not (tmp_path / "never.jsonl").exists()


def test_evidence_is_added_by_id() -> None:
    first, second = (Goalpost(name, "Say it.", "def f(n)", ((1,),), (1,)) for name in ("a", "b"))
    measured = Evidence("m", 100, 0)
    (a, b) = goalposts.with_evidence([first, second], {"b": [measured]})
    assert (a, b.evidence) == (first, (measured,))
    assert goalposts.with_evidence([b], {"b": [Evidence("n", 10, 0)]})[0].evidence == (
        measured,
        Evidence("n", 10, 0),
    )
    with pytest.raises(goalposts.GoalpostError, match=r"expected ids of these 2 goalposts, came \['c'\]"):
        goalposts.with_evidence([first, second], {"c": [measured]})
