"""Honest programs do in every tier what they do in plain CPython: values byte by byte, errors, what is printed."""

from __future__ import annotations

import subprocess
from functools import cache

import pytest

from gasp_env.sandbox import Result, Run, Sandbox, Status
from sandbox_image.worker import codec
from tests.sandbox.corpus import VALUES, WHOLE, Ending, Program, interpreter, run_plainly

#: Errors of which only the type is compared: our message is made of the exception's arguments, without running
#: its ``__str__``.
ONLY_THE_TYPE = {
    "ExceptionGroup": "str() counts the exceptions in it",
    "FileNotFoundError": "str() names the file; and here it may not even be looked for, hence:",
    "PermissionError": "what opening a file outside the standard library ends with where Landlock is in force",
    "IndentationError": "str() names the file",
    "SyntaxError": "str() names the file",
    "UnicodeDecodeError": "str() is made of its five arguments",
    "UnicodeEncodeError": "str() is made of its five arguments",
}
#: Types that stand for each other: the left in plain CPython, the right where no file can be found.
_ALIKE = {"FileNotFoundError": "PermissionError"}


@cache
def _plainly(executable: str) -> dict[str, Ending]:
    return run_plainly(executable, VALUES)


def _interpreter(sandbox: Sandbox) -> str:
    """A plain one of the sandbox's minor version."""
    [said] = sandbox.run_many([Run("import platform\ndef f(): return platform.python_version()", ((),))])
    found = interpreter(said.calls[0].value)
    if found is None:
        pytest.skip(f"there is no python {said.calls[0].value} on this machine")
    return found


def test_there_are_enough_and_names_are_unique() -> None:
    assert len({program.name for program in [*VALUES, *WHOLE]}) == len(VALUES) + len(WHOLE) >= 120


def test_the_corpus_does_what_it_does_in_plain_python(tier_sandbox: Sandbox) -> None:
    plainly = _plainly(_interpreter(tier_sandbox))
    results = tier_sandbox.run_many([Run(program.text, program.inputs) for program in VALUES])
    differences = {
        program.name: difference
        for program, result in zip(VALUES, results, strict=True)
        for difference in _differences(result, plainly[program.name])
    }
    assert differences == {}


def _differences(result: Result, plain: Ending) -> list[str]:
    found = []
    if result.stdout != plain.stdout:
        found.append(f"printed {result.stdout!r}, not {plain.stdout!r}")
    if plain.error:
        assert result.status in (Status.EXCEPTION, Status.COMPILE_ERROR), result
        return found + _unlike(result.error, plain.error)
    if len(result.calls) != len(plain.calls):
        return [*found, f"{len(result.calls)} calls, not {len(plain.calls)}: {result.error}"]
    for index, (call, (value, error)) in enumerate(zip(result.calls, plain.calls, strict=True)):
        if call.status is Status.OK:
            if codec.encode(call.value, keep_order=True) != value:
                found.append(f"call {index} returned {call.value!r}, not {value!r} {error}")
        elif value is not None:
            found.append(f"call {index} ended with {call.error}")
        else:
            found += [f"call {index} {unlike}" for unlike in _unlike(call.error, error)]
    return found


def _unlike(ours: str, plain: str) -> list[str]:
    our_type, plain_type = ours.partition(":")[0], plain.partition(":")[0]
    if plain_type in ONLY_THE_TYPE:
        same = our_type in (plain_type, _ALIKE.get(plain_type))
    else:
        same = ours == (plain if len(plain) <= 256 else plain[:255] + "…")
    return [] if same else [f"ended with {ours!r}, not {plain!r}"]


WHOLE_RUNS = [(program, text) for program in WHOLE for (text,) in program.inputs]


def test_whole_programs_do_what_they_do_in_plain_python(tier_sandbox: Sandbox) -> None:
    executable = _interpreter(tier_sandbox)
    results = tier_sandbox.run_many(
        [Run(program.text, profile="stdin", stdin=text) for program, text in WHOLE_RUNS]
    )
    differences = {}
    for (program, text), result in zip(WHOLE_RUNS, results, strict=True):
        plain = _whole_plainly(executable, program, text)
        last = (plain.stderr.decode("utf-8", "replace").strip().splitlines() or [""])[-1]
        same_end = (result.status is Status.OK) == (plain.returncode == 0)
        same_error = (
            plain.returncode == 0
            or not result.error.partition(":")[0].isidentifier()
            or not _unlike(result.error, last)
        )
        if (result.stdout, True, True) != (plain.stdout.decode(), same_end, same_error):
            differences[program.name, text] = result, plain
    assert differences == {}


@cache
def _whole_plainly(executable: str, program: Program, text: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [executable, "-I", "-X", "utf8", "-c", program.text],
        input=text.encode(),
        capture_output=True,
        check=False,
    )
