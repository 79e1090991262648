"""HumanEval's and MBPP's records, whose tests are code, as goalposts.

Their tests carry the answers and decide about them in the solution's own process, so we do not judge by them. Each is
run once, in the sandbox, around the record's own solution, which shows the arguments it asks about; then that solution
is executed on those arguments, and what it returns are the expected values. From then on the problem is a goalpost
like any other, and the verdict on an answer the host's.

A problem is converted only if that says the same as its tests, see `gasp_env.loaders.recorder`; if arguments and
values are ones that `gasp_env.values` knows; if its solution passes, and does the same under every hash seed; and if
the values its tests name are the solution's, type included: the rule is ``exact``, so that where a test that expects
``1`` would take ``True``, it is the solution that says which is meant. Tests that draw at random are seeded.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from gasp_env import values
from gasp_env.loaders import recorder, stubs
from gasp_env.loaders.accounting import Account, Loaded, Reader, Source, readers
from gasp_env.records import shorten
from gasp_env.sandbox.errors import SandboxError
from gasp_env.sandbox.runs import HASH_SEEDS, Limits, Result, Run, Status
from gasp_env.tasks import Arguments, Goalpost

_PUBLISHED = "take the records as they are published"


class Executes(Protocol):
    """The one method of a sandbox that is needed here."""

    def run_many(self, runs: Sequence[Run]) -> list[Result]:
        """Execute runs; results in their order."""
        ...


@dataclass
class _Problem:
    """A record on its way.

    Attributes:
        field: where its tests are.
        prelude: what the record gives every answer: imports, and helpers of its prompt.
        solution: a program that passes them.
        recording: the program that records what they ask.
        inputs: what they ask.
        expected: how and with what they compare each answer.
    """

    reader: Reader
    field: str
    statement: str
    signature: str
    entry: str
    prelude: str
    solution: str
    recording: str
    tags: tuple[str, ...]
    inputs: tuple[Arguments, ...] = ()
    expected: tuple[tuple[str, Any], ...] = ()


def load_humaneval(
    source: Source, sandbox: Executes, *, limits: Limits | None = None, strict: bool = False
) -> Loaded:
    """Read HumanEval's records: ``task_id``, ``prompt``, ``entry_point``, ``canonical_solution`` and ``test``.

    Args:
        source: path of a file of JSON lines, or the records themselves.
        sandbox: executes their code.
        limits: of its runs.
        strict: raise at the first record that cannot be converted instead of listing it.

    Raises:
        GoalpostError: a line is no JSON; with ``strict`` at any record that cannot be converted.
        SandboxError: the sandbox failed, which says nothing of the records.
    """
    return _load(source, _humaneval, sandbox, limits or Limits(), strict)


def load_mbpp(
    source: Source, sandbox: Executes, *, limits: Limits | None = None, strict: bool = False
) -> Loaded:
    """Read MBPP's records: ``task_id``, ``text`` or ``prompt``, ``code`` and ``test_list``; see `load_humaneval`."""
    return _load(source, _mbpp, sandbox, limits or Limits(), strict)


def _load(
    source: Source,
    read: Callable[[Account, Reader], _Problem],
    sandbox: Executes,
    limits: Limits,
    strict: bool,
) -> Loaded:
    account = Account(strict=strict)
    problems: list[_Problem] = []
    for reader in readers(source):
        with account.of(reader):
            problems.append(read(account, reader))
    recorded: list[_Problem] = []
    runs = [
        Run(problem.recording, ((),), recorder.ENTRY, seed, limits)
        for problem in problems
        for seed in HASH_SEEDS
    ]
    for problem, results in _shared(problems, sandbox.run_many(runs)):
        with account.of(problem.reader):
            _note(problem, results)
            recorded.append(problem)
    runs = [
        Run(problem.solution, problem.inputs, problem.entry, seed, limits, fresh=True)
        for problem in recorded
        for seed in HASH_SEEDS
    ]
    for problem, results in _shared(recorded, sandbox.run_many(runs)):
        with account.of(problem.reader):
            account.keep(problem.reader, _goalpost(problem, results))
    return account.loaded()


def _shared(problems: list[_Problem], results: list[Result]) -> list[tuple[_Problem, list[Result]]]:
    seeds = len(HASH_SEEDS)
    return [(problem, results[at * seeds : (at + 1) * seeds]) for at, problem in enumerate(problems)]


def _note(problem: _Problem, results: list[Result]) -> None:
    """Take the recorded arguments and expected values of the tests."""
    refuse = problem.reader.refuse
    _check(problem, results, "tests that its own solution passes")
    asked, expected = results[0].calls[0].value
    if len(asked) != len(expected):
        refuse(problem.field, "asserts that are all reached", "some that are not", recorder.FIX)
    if not asked:
        refuse(problem.field, "tests that call the solution", "none that does", _PUBLISHED)
    distinct: dict[bytes, tuple[Arguments, tuple[str, Any]]] = {}
    for arguments, how in zip(asked, expected, strict=True):
        distinct.setdefault(values.encode(arguments), (arguments, how))
    problem.inputs = tuple(arguments for arguments, _ in distinct.values())
    problem.expected = tuple(how for _, how in distinct.values())


def _goalpost(problem: _Problem, results: list[Result]) -> Goalpost:
    _check(problem, results, "a solution that can be executed on what its tests ask")
    outputs = tuple(call.value for call in results[0].calls)
    for arguments, (how, expected), output in zip(problem.inputs, problem.expected, outputs, strict=True):
        if not recorder.agrees(how, expected, output):
            problem.reader.refuse(
                problem.field,
                "tests that name the value its own solution returns, type included",
                f"{shorten(expected)} for {shorten(output)} at {problem.entry}({values.render_arguments(arguments)})",
                recorder.FIX,
            )
    goalpost = Goalpost(
        id=problem.reader.name,
        statement=problem.statement,
        signature=problem.signature,
        inputs=problem.inputs,
        outputs=outputs,
        reference=problem.solution,
        tags=problem.tags,
        entry=problem.entry,
        prelude=problem.prelude,
    )
    return problem.reader.checked(goalpost, {})


def _check(problem: _Problem, results: list[Result], expected: str) -> None:
    """Refuse a problem whose runs failed, or differ between hash seeds."""
    for result in results:
        if result.status is Status.INFRA_ERROR:
            raise SandboxError(f"the sandbox failed at {problem.reader.name}: {result.error}")
        if result.status is not Status.OK:
            came = f"{result.status}: {result.error}"
            problem.reader.refuse(problem.field, expected, came, recorder.FIX)
    found = {values.encode([call.value for call in result.calls]) for result in results}
    if len(found) > 1:
        came = "other values under another hash seed"
        problem.reader.refuse(problem.field, "the same in every process", came, "leave the record out")


def _humaneval(account: Account, reader: Reader) -> _Problem:
    account.identify(reader, reader.field("task_id", str))
    prompt = reader.field("prompt", str)
    entry = reader.field("entry_point", str)
    solution = prompt + reader.field("canonical_solution", str)
    recording = recorder.program(reader, "test", solution, reader.field("test", str), entry)
    header = _header(reader, "canonical_solution", solution, entry)
    stub = stubs.taken_apart(reader, prompt, solution, header)
    return _Problem(
        reader,
        "test",
        stub.statement,
        _signature(header),
        entry,
        stub.prelude,
        solution,
        recording,
        ("humaneval",),
    )


def _mbpp(account: Account, reader: Reader) -> _Problem:
    number = reader.record.get("task_id") if isinstance(reader.record, dict) else None
    account.identify(reader, f"mbpp/{number}" if type(number) is int else reader.field("task_id", str))
    statement = reader.field("text", str, "") or reader.field("prompt", str)
    solution = reader.field("code", str).replace("\r\n", "\n")
    setup = "\n".join(
        [reader.field("test_setup_code", str, ""), *map(str, reader.field("test_imports", list, []))]
    )
    tests = [*reader.field("test_list", list), *reader.field("challenge_test_list", list, [])]
    entry = _entry(reader, solution, tests)
    # The tests call the solution by its name; as a parameter, that name is what is handed in.
    lines = [ast.unparse(node) for test in tests for node in recorder.parsed(reader, "test_list", str(test))]
    check = "\n    ".join([f"def check({entry}):", *lines, "pass"])
    recording = recorder.program(reader, "test_list", f"{solution}\n{setup}", check, entry)
    header = _header(reader, "code", solution, entry)
    prelude = _imports(reader, solution, setup, header)
    return _Problem(
        reader,
        "test_list",
        statement,
        _signature(header),
        entry,
        prelude,
        solution,
        recording,
        ("mbpp",),
    )


def _entry(reader: Reader, solution: str, tests: list[Any]) -> str:
    """The function that every test calls."""
    defined = {
        node.name for node in recorder.parsed(reader, "code", solution) if isinstance(node, ast.FunctionDef)
    }
    for test in tests:
        body = ast.Module(recorder.parsed(reader, "test_list", str(test)), [])
        defined &= {
            node.func.id
            for node in ast.walk(body)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
    if len(defined) != 1 or not tests:
        reader.refuse(
            "test_list", "tests that all call one function of the code", sorted(defined), _PUBLISHED
        )
    return defined.pop()


def _imports(reader: Reader, solution: str, setup: str, header: ast.FunctionDef) -> str:
    """The imports that the tests need, and those of the solution that the header needs."""
    needed = {node.id for node in ast.walk(header.args) if isinstance(node, ast.Name)}
    if header.returns:
        needed |= {node.id for node in ast.walk(header.returns) if isinstance(node, ast.Name)}
    kept: list[ast.stmt] = []
    for node in recorder.parsed(reader, "code", solution):
        if isinstance(node, ast.Import | ast.ImportFrom):
            node.names = [name for name in node.names if (name.asname or name.name.split(".")[0]) in needed]
            kept += [node] if node.names else []
    asked = recorder.parsed(reader, "test_setup_code", setup)
    kept += [node for node in asked if isinstance(node, ast.Import | ast.ImportFrom)]
    return "\n".join(dict.fromkeys(map(ast.unparse, kept)))


def _header(reader: Reader, field: str, solution: str, entry: str) -> ast.FunctionDef:
    """The definition of the entry."""
    found = [
        node
        for node in recorder.parsed(reader, field, solution)
        if isinstance(node, ast.FunctionDef) and node.name == entry
    ]
    if not found:
        reader.refuse(field, f"a program that defines {entry}", solution, _PUBLISHED)
    return found[-1]


def _signature(header: ast.FunctionDef) -> str:
    """The header of the entry, on one line."""
    returns = f" -> {ast.unparse(header.returns)}" if header.returns else ""
    return f"def {header.name}({ast.unparse(header.args)}){returns}"
