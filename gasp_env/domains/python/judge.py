"""The judge: is an answer right?

One judge serves difficulty, reward, replay and evaluation. A text becomes either a verdict at
once (it cannot be read, or a value settles it) or runs whose outputs are compared here, on
the host. Expected outputs never leave this process, and no answer is ever evaluated or put into
another text:

- *deduction* is a literal, compared with the output;
- *abduction* is a list of literals; any arguments that the program maps to the output are right;
- *induction* is a program, right if it returns the expected value for every hidden argument tuple, each asked
  alone; for a real problem, for every test.

How outputs are compared is the question's rule:

- ``exact``: equal under `gasp_env.values`. A program that reads standard input must print the expected text to the
  last character.
- ``livecodebench``: as LiveCodeBench compares, see `gasp_env.goalposts.answers` for that and for where we differ.
  An answer is preceded by a line of imports.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from gasp_env.domains.python import livecodebench
from gasp_env.domains.python.program import Program
from gasp_env.domains.python.prompts import PromptStyle
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
    *(str(status) for status in Status if status not in (Status.OK, Status.INFRA_ERROR)),
)


@dataclass(frozen=True)
class Question:
    """What an answer is judged against.

    Attributes:
        kind: what the answer is: a program, a value, or arguments.
        program: executed for abduction, on the answer.
        inputs, outputs: what an induction answer must reproduce; for deduction and abduction
            one pair.
        entry: what of an induction answer is called, see `gasp_env.tasks.Goalpost`.
        rule: how outputs are compared.
        prompt: the text that the solver reads.
    """

    kind: str
    program: str
    inputs: tuple[tuple[Any, ...], ...]
    outputs: tuple[Any, ...]
    entry: str = "f"
    rule: Rule = "exact"
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
        return cls("induction", "", goalpost.inputs, goalpost.outputs, goalpost.entry, goalpost.rule)

    @cached_property
    def expected(self) -> tuple[tuple[str, bytes], ...]:
        """How Python writes each output, and its encoding. Both are empty for what is no value: nothing equals it."""
        return tuple(_known(output) for output in self.outputs)

    @cached_property
    def right(self) -> tuple[str, str]:
        """How Python writes all outputs, and the digest of their encodings; empty if one of them is no value."""
        encodings = [encoding for _, encoding in self.expected]
        return (repr(list(self.outputs)), _digest(*encodings)) if all(encodings) else ("", "")


def ask(question: Question, text: str, style: PromptStyle, limits: Limits) -> Verdict | list[Run]:
    """Judge a text: a `Verdict` if it can be settled without execution, else the runs that settle it.

    One run, or one for each test where a whole program reads standard input.
    """
    try:
        answer = style.parse_answer(text, question.kind)
    except ParseError as error:
        return Verdict("malformed", str(error))
    if question.kind == "deduction":
        said, (_, expected) = encode(answer), question.expected[0]
        return Verdict("correct" if said == expected else "wrong", answer=_digest(said))
    if question.kind == "abduction":
        return [Run(str(question.program), (answer,), limits=limits)]
    return _runs(question, answer, limits)


def decide(question: Question, results: Sequence[Result], runs: Sequence[Run] = ()) -> Verdict:
    """The verdict on an answer whose runs have been executed.

    Args:
        question: what was asked.
        results: one for each run that `ask` wanted, in its order.
        runs: those runs. Only `Verdict.answer` of an abduction is taken from them, and empty without them.
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
    # A sandbox that answers "ok" with too few values is broken, and that is nobody's wrong answer.
    if len(claims) != len(question.outputs):
        return Verdict(str(Status.INFRA_ERROR), f"{len(claims)} values for {len(question.outputs)} tests")
    # Values that are written alike are equal, and most attempts are right: that spares encoding them.
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
    """What a run that ended well says the outputs are."""
    return [call.value for call in result.calls] if question.entry else [result.stdout]


def _compared(question: Question, claims: Sequence[Any]) -> list[bytes]:
    """Encodings of the claims, as far as the rule looks at them."""
    if question.rule == "exact":
        return [
            encoding if repr(claim) == written else encode(claim)
            for claim, (written, encoding) in zip(claims, question.expected, strict=True)
        ]
    if question.entry:
        return [encode(answers.folded(claim)) for claim in claims]
    return [encode("\n".join(answers.lines(claim))) for claim in claims]


def _same(question: Question, claims: Sequence[Any], compared: Sequence[bytes]) -> Iterator[bool]:
    """Whether each claim is right, by the question's rule; ``compared`` is what `_compared` made of them."""
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
    """What an induction answer has to be asked."""
    loose = question.rule == "livecodebench"
    # A fork for each pair, unless none can know of another: right means right alone. Real problems may be as
    # large as the limits allow, so they are not shared either.
    fresh = loose or Program(program).keeps_state
    if loose:
        program, limits = livecodebench.program(program), livecodebench.limits(limits)
    program = str(program)
    if question.entry:
        return [Run(program, question.inputs, question.entry, limits=limits, fresh=fresh)]
    texts = [text for (text,) in question.inputs]
    # Equal answers to equal tests are the same series, so that they are executed once.
    asked = (program, repr(limits), *texts)
    series = "tests " + _digest(*(text.encode("utf-8", "surrogatepass") for text in asked))
    return [Run(program, limits=limits, profile="stdin", stdin=text, series=series) for text in texts]


def _digest(*parts: bytes) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
