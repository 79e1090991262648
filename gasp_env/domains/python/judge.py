"""The judge decides if an answer is right.

One judge serves difficulty, reward, replay and evaluation. A text gives a verdict at once if it cannot
be read or if its value decides. Otherwise it gives runs, whose outputs are compared here, on the host.
Expected outputs never leave this process, and no answer is evaluated or inserted into another text:

- *deduction* is a literal, compared with the output;
- *abduction* is a list of literals; any arguments that the program maps to the output are right;
- *induction* is a program, right if it returns the expected value for every hidden argument tuple, each asked
  alone; for a real problem, for every test.

The question's rule defines the comparison of outputs:

- ``exact``: equal under `gasp_env.values`. A program that reads standard input must print exactly the
  expected text.
- ``livecodebench``: LiveCodeBench's comparison; `gasp_env.goalposts.answers` documents it and our
  differences. A line of imports precedes the answer.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gasp_env.domains.python import livecodebench, preludes
from gasp_env.domains.python.program import Program
from gasp_env.domains.python.prompts import PromptStyle
from gasp_env.domains.python.purity import keeps_state
from gasp_env.domains.python.syntax import ParseError
from gasp_env.domains.python.triplet import Triplet
from gasp_env.episode.turns import Verdict
from gasp_env.goalposts import answers
from gasp_env.sandbox.runs import Limits, Result, Run, Status
from gasp_env.tasks import Goalpost, Rule, Task
from gasp_env.values import Unserializable, encode

#: Reasons of an answer's verdict; the rest are statuses of the sandbox.
ANSWER_REASONS = (
    "correct",
    "wrong",
    "malformed",
    "ambiguous",
    *(str(status) for status in Status if status not in (Status.OK, Status.INFRA_ERROR)),
)


@dataclass(frozen=True)
class Question:
    """The data against which an answer is judged.

    Attributes:
        kind: task kind, which makes the answer a program, a value, or arguments.
        program: the program that is executed on the answer of an abduction.
        inputs, outputs: the pairs that an induction answer must reproduce; a single pair for deduction and
            abduction.
        entry: the function or method of an induction answer that is called, see `gasp_env.tasks.Goalpost`.
        rule: rule of comparison.
        prelude: lines that stand before an induction answer when it runs, see `gasp_env.tasks.Goalpost`.
        prompt: the text that the solver reads.
    """

    kind: str
    program: str
    inputs: tuple[tuple[Any, ...], ...]
    outputs: tuple[Any, ...]
    entry: str = "f"
    rule: Rule = "exact"
    prelude: str = ""
    prompt: str = ""

    @classmethod
    def of_task(cls, task: Task, kind: str, index: int) -> Question:
        """A task asked as ``kind``. Induction is judged on the hidden pairs, the others on pair ``index``."""
        own: Triplet = task.content
        if kind == "induction":
            return cls(kind, own.program, own.inputs[own.shown :], own.outputs[own.shown :])
        return cls(kind, own.program, (own.inputs[index],), (own.outputs[index],))

    @classmethod
    def of_goalpost(cls, goalpost: Goalpost) -> Question:
        """A real problem: the program must pass every test."""
        return cls(
            "induction",
            "",
            goalpost.inputs,
            goalpost.outputs,
            goalpost.entry,
            goalpost.rule,
            goalpost.prelude,
        )

    @property
    def known(self) -> tuple[Any, ...]:
        """Alone, what a deduction or an abduction shows of its pair; empty for an induction."""
        return {"deduction": self.inputs[:1], "abduction": self.outputs[:1]}.get(self.kind, ())

    @cached_property
    def expected(self) -> tuple[tuple[str, bytes], ...]:
        """The repr of each output, and its encoding. Both are empty for an object that is no value, which
        equals nothing."""
        return tuple(_known(output) for output in self.outputs)

    @cached_property
    def right(self) -> tuple[str, str]:
        """The repr of all outputs, and the digest of their encodings; both empty if one of them is no
        value."""
        encodings = [encoding for _, encoding in self.expected]
        return (repr(list(self.outputs)), _digest(*encodings)) if all(encodings) else ("", "")


def ask(question: Question, text: str, style: PromptStyle, limits: Limits) -> Verdict | list[Run]:
    """Judge a text: return a `Verdict` if no execution is needed, else the runs that decide.

    There is one run, or one for each test of a program that reads standard input.
    """
    try:
        answer = style.parse_answer(text, question.kind, question.entry, question.program, question.known)
    except ParseError as error:
        reason = error.reason if error.reason in ANSWER_REASONS else "malformed"
        return Verdict(reason, str(error))
    if question.kind == "deduction":
        said, (_, expected) = encode(answer), question.expected[0]
        return Verdict("correct" if said == expected else "wrong", answer=_digest(said))
    if question.kind == "abduction":
        return [Run(str(question.program), (answer,), limits=limits)]
    return _runs(question, answer, limits)


def decide(question: Question, results: Sequence[Result], runs: Sequence[Run] = ()) -> Verdict:
    """The verdict on an answer whose runs have been executed.

    Args:
        question: the question that was answered.
        results: one for each run that `ask` returned, in its order.
        runs: those runs. They are used for `Verdict.answer` of an abduction only, which is empty without
            them.
    """
    lost = next((result for result in results if result.status is Status.INFRA_ERROR), None)
    if lost is not None:
        return Verdict(str(lost.status), lost.error)
    given = _digest(encode(runs[0].inputs[0])) if question.kind == "abduction" and runs else ""
    failed = next((result for result in results if result.status is not Status.OK), None)
    if failed is not None:
        status = str(failed.status)
        return Verdict(
            status, failed.error, _digest(status.encode()) if question.kind == "induction" else given
        )
    claims = [claim for result in results for claim in _claims(question, result)]
    # A sandbox that reports "ok" with too few values is broken; the answer is not wrong.
    if len(claims) != len(question.outputs):
        return Verdict(str(Status.INFRA_ERROR), f"{len(claims)} values for {len(question.outputs)} tests")
    # Values with equal reprs are equal. Most attempts are right, so this usually avoids encoding them.
    if question.rule == "exact" and repr(claims) == question.right[0]:
        return Verdict("correct", answer=question.right[1] if question.kind == "induction" else given)
    compared = _compared(question, claims)
    if question.kind == "induction":
        given = _digest(*compared)
    for number, same in enumerate(_same(question, claims, compared), start=1):
        if not same:
            return Verdict("wrong", f"test {number} of {len(claims)} differs", given)
    return Verdict("correct", answer=given)


def _claims(question: Question, result: Result) -> list[Any]:
    """The outputs that a successful run claims."""
    return [call.value for call in result.calls] if question.entry else [result.stdout]


def _compared(question: Question, claims: Sequence[Any]) -> list[bytes]:
    """Encodings of the claims, normalised as the rule compares them."""
    if question.rule == "exact":
        return [
            encoding if repr(claim) == written else encode(claim)
            for claim, (written, encoding) in zip(claims, question.expected, strict=True)
        ]
    if question.entry:
        return [encode(answers.folded(claim)) for claim in claims]
    return [encode("\n".join(answers.lines(claim))) for claim in claims]


def _same(question: Question, claims: Sequence[Any], compared: Sequence[bytes]) -> Iterator[bool]:
    """One bool per claim: right or wrong by the question's rule; ``compared`` is the result of
    `_compared`."""
    if question.rule == "exact":
        return (said == encoding for said, (_, encoding) in zip(compared, question.expected, strict=True))
    same = answers.same_value if question.entry else answers.same_text
    return map(same, claims, question.outputs)


def _known(value: Any) -> tuple[str, bytes]:
    try:
        return repr(value), encode(value)
    except Unserializable:
        return "", b""


def _runs(question: Question, program: str, limits: Limits) -> list[Run]:
    """The runs that test an induction answer."""
    loose = question.rule == "livecodebench"
    entry = _entry(question, program)
    if question.prelude:
        program = preludes.before(program, question.prelude)
    # Each pair runs in a fork of its own, because an answer must be right in a fresh call. A program without
    # state shares one. Real problems may use the full limits for each test, so they never share.
    fresh = loose or keeps_state(Program(program))
    if loose:
        program, limits = livecodebench.program(program), livecodebench.limits(limits)
    program = str(program)
    if question.entry:
        return [Run(program, question.inputs, entry, limits=limits, fresh=fresh)]
    texts = [text for (text,) in question.inputs]
    # Equal answers to equal tests have one series, so that they are executed once.
    asked = (program, repr(limits), *texts)
    series = "tests " + _digest(*(text.encode("utf-8", "surrogatepass") for text in asked))
    return [Run(program, limits=limits, profile="stdin", stdin=text, series=series) for text in texts]


def _entry(question: Question, program: str) -> str:
    """The function that is called: the question's, or its method as a function in a program without the class."""
    owner, dot, name = question.entry.partition(".")
    if not dot:
        return question.entry
    try:
        body = Program(program).tree.body
    except ParseError:
        return question.entry
    classes = any(isinstance(node, ast.ClassDef) and node.name == owner for node in body)
    functions = any(isinstance(node, ast.FunctionDef) and node.name == name for node in body)
    return name if functions and not classes else question.entry


def _digest(*parts: bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
