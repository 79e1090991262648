"""The gate: what a proposal must pass before it is a task.

Text rules first, then execution under every hash seed, then novelty, then relevance where it was asked
for. Each rejection has one of the stable codes in `REASONS`; the first check that fails is the one reported.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from operator import attrgetter
from typing import Any

from gasp_env.domains.base import Request
from gasp_env.domains.python.leaks import quotes_pairs, quotes_program, quotes_statement
from gasp_env.domains.python.program import Program
from gasp_env.domains.python.rules import GateRules, Refused, check_program
from gasp_env.domains.python.syntax import ParseError
from gasp_env.domains.python.triplet import Proposal, Triplet
from gasp_env.sandbox.runs import HASH_SEEDS, Call, Limits, Result, Run, Status
from gasp_env.tasks import Arguments, Task
from gasp_env.values import encode, render_known, same

#: The checks in order, each with the reasons it gives. ``message_leaks`` is given by two: for what the program alone
#: tells, and for what it returns.
CHECKS: dict[str, tuple[str, ...]] = {
    "parsing": ("too_long", "not_utf8", "no_program", "no_inputs", "bad_input", "unparsable"),
    "rules": (
        "program_too_large",
        "no_entry",
        "no_arguments",
        "banned_import",
        "banned_name",
        "input_count",
        "repeated_inputs",
        "message_leaks",
    ),
    "determinism": (
        *(str(status) for status in Status if status not in (Status.OK, Status.INFRA_ERROR)),
        "nondeterministic",
    ),
    "limits": ("near_limit", "output_too_large", "one_output"),
    "novelty": ("copies_goalpost", "duplicate", "similar"),
    "message": ("message_leaks",),
}
#: Every reason, and the first check that gives it.
REASONS = {reason: check for check, reasons in reversed(CHECKS.items()) for reason in reasons}


#: What runs use up, and have a limit of.
_USED = {
    "processor time": "cpu_seconds",
    "wall time": "wall_seconds",
    "memory": "memory_bytes",
    "output": "output_bytes",
}
_used = attrgetter(*_USED.values())


class Rejected(Exception):
    """A proposal that is not a task. ``reason`` is one of `REASONS`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


class Unscored(Exception):
    """The infrastructure failed; nothing is known of the proposal."""


@dataclass(frozen=True)
class Gate:
    """The gate of one domain, as one curriculum uses it.

    Attributes:
        rules: see `GateRules`.
        limits: of every run.
        probes: argument tuples a program is also called with. If there are any, novelty compares
            what programs return on them; if not, it compares programs up to renaming and formatting.
        exact: whether a task that has been accepted already is refused.
        threshold: cosine similarity with an accepted task from which on a proposal is refused, by the
            embedder of the library; None compares no embeddings.
        seeds: fingerprints that count as accepted from the start.
    """

    rules: GateRules
    limits: Limits
    probes: tuple[Arguments, ...] = ()
    exact: bool = True
    threshold: float | None = None
    seeds: frozenset[str] = frozenset()

    def runs(self, proposal: Proposal, kind: str = "induction") -> list[Run]:
        """The executions that decide about a proposal.

        First all inputs in one run for every hash seed, every other one in reversed order. Probes come
        last, so that one that ends the run cannot take the proposal's own inputs with it. Then, unless
        the program evidently keeps nothing between calls, every input in a run of its own: what is
        recorded must be what a fresh call returns.

        Raises:
            Rejected: the proposal breaks a static rule and needs no execution.
        """
        program = Program(proposal.program)
        check_static(replace(proposal, program=program), self.rules, kind)

        # The first run that fails decides: what loops costs its limit once.
        text = str(program)
        series = _digest([text.encode(), kind.encode(), repr(proposal.inputs).encode()])

        def run(inputs: tuple[Arguments, ...], seed: int) -> Run:
            return Run(text, inputs, hash_seed=seed, limits=self.limits, series=series)

        together = [
            run((proposal.inputs if position % 2 == 0 else proposal.inputs[::-1]) + self.probes, seed)
            for position, seed in enumerate(HASH_SEEDS)
        ]
        if not program.keeps_state:
            return together
        return together + [
            run((arguments,), HASH_SEEDS[number % len(HASH_SEEDS)])
            for number, arguments in enumerate(proposal.inputs)
        ]

    def decide(self, proposal: Proposal, results: Sequence[Result], request: Request) -> Task:
        """Decide about a proposal, given the results of its `runs` in order: the task that it is.

        Raises:
            Rejected: with the first reason that applies.
            Unscored: a run was not executed.
        """
        lost = next((result for result in results if result.status is Status.INFRA_ERROR), None)
        if lost is not None:
            raise Unscored(lost.error)
        calls = self._check_determinism(proposal, results)
        outputs = tuple(call.value for call in calls[: len(proposal.inputs)])
        self._check_limits(results, outputs, request.kind)
        behaviour = _behaviour(calls[len(outputs) :])
        fingerprint = self.fingerprint(proposal, behaviour, request.stage, request.kind)
        self._check_novelty(proposal, fingerprint, request)
        shown = self.rules.shown if request.kind == "induction" else 0
        content = Triplet(str(proposal.program), proposal.inputs, outputs, shown, proposal.message)
        self._check_message(content, request)
        return request.task(content, fingerprint)

    def _check_determinism(self, proposal: Proposal, results: Sequence[Result]) -> tuple[Call, ...]:
        """Refuse runs that failed or differ; return the calls, those of probes last."""
        count = len(proposal.inputs)
        together, alone = results[: len(HASH_SEEDS)], results[len(HASH_SEEDS) :]
        orders = [_in_order(result, count, position) for position, result in enumerate(together)]
        for result, calls in zip(together, orders, strict=True):
            failed = _failure(result, calls, count)
            if failed is not None:
                raise Rejected(*failed)
        if not _behave_alike(*orders):
            raise Rejected(
                "nondeterministic", "results differ between hash seeds or with the order of the calls"
            )
        if not all(
            _behave_alike(result.calls, [call]) for result, call in zip(alone, orders[0], strict=False)
        ):
            raise Rejected("nondeterministic", "a call returns something else when it is the only one")
        return orders[0]

    def _check_limits(self, results: Sequence[Result], outputs: tuple[Any, ...], kind: str) -> None:
        """Refuse use of a limit beyond the share allowed, and outputs that are too long or all the same."""
        share = self.rules.used
        most = map(max, zip(*map(_used, results), strict=True))
        for name, used, limit in zip(_USED, most, _used(self.limits), strict=True):
            if used > share * limit:
                raise Rejected(
                    "near_limit", f"{name}: used {used:.3g} of {limit:.3g}, expected at most {share:.0%}"
                )
        # Only floats that are no numbers are written longer than Python does.
        together = repr(outputs)
        if len(together) > self.rules.output_chars or "nan" in together or "inf" in together:
            longest = max(len(render_known(output)) for output in outputs)
            if longest > self.rules.output_chars:
                raise Rejected(
                    "output_too_large",
                    f"expected at most {self.rules.output_chars} characters, got {longest}",
                )
        # There is nothing to find out about a program that says the same to everybody.
        if kind == "induction" and all(same(output, outputs[0]) for output in outputs[1:]):
            raise Rejected("one_output", "expected outputs that differ, got the same for all inputs")

    def _check_novelty(self, proposal: Proposal, fingerprint: str, request: Request) -> None:
        """Refuse the goalpost's reference, and a task that was accepted before."""
        goalpost, parent = request.goalpost, request.parent
        if goalpost is not None and _is_reference(proposal.program, goalpost.reference):
            raise Rejected("copies_goalpost", "expected a variant, got the goalpost's own reference program")
        if self.exact:
            if parent is not None and fingerprint == parent.fingerprint:
                repeated = set(map(encode, proposal.inputs)) == set(map(encode, parent.content.inputs))
            else:
                known = (self.seeds, request.own, request.view)
                repeated = any(fingerprint in one for one in known)
            if repeated:
                raise Rejected("duplicate", "a task that does the same has been accepted already")
        if self.threshold is not None:
            similarity = request.view.nearest(proposal.text, parent.fingerprint if parent else None)
            if similarity >= self.threshold:
                raise Rejected(
                    "similar",
                    f"similarity {similarity:.3f} with an accepted task, expected < {self.threshold}",
                )

    def _check_message(self, content: Triplet, request: Request) -> None:
        """Refuse a message that leaves nothing to find out."""
        if quotes_pairs(content.message, content):
            raise Rejected("message_leaks", "the message gives hidden outputs away")
        if request.goalpost is not None and quotes_statement(content.message, request.goalpost.statement):
            raise Rejected("message_leaks", "the message quotes the goalpost, which a lift of it may not see")

    def fingerprint(self, proposal: Proposal, behaviour: Sequence[bytes], stage: str, kind: str) -> str:
        """What novelty compares: a variant by its program; an unguided proposal by its kind as well, and, where it
        had to use a given program, by what it added to that."""
        program = behaviour if self.probes else [Program(proposal.program).form]
        if stage != "propose":
            return _digest(program)
        added: list[bytes] = []
        if kind == "induction":
            words = " ".join(re.findall(r"\w+", proposal.message.casefold()))
            added = [*sorted(encode(arguments) for arguments in proposal.inputs), words.encode()]
        return _digest([kind.encode(), *program, *added])


def check_static(proposal: Proposal, rules: GateRules, kind: str = "induction") -> None:
    """Rules that need no execution.

    Raises:
        Rejected: with a reason of the ``rules`` in `CHECKS`, or ``unparsable``.
    """
    program, inputs = proposal.program, proposal.inputs
    if len(program) > rules.program_chars:
        raise Rejected(
            "program_too_large", f"expected at most {rules.program_chars} characters, got {len(program)}"
        )
    try:
        check_program(Program(program), rules.imports)
    except Refused as refused:
        raise Rejected(refused.reason, str(refused)) from None
    least, greatest = rules.input_count if kind == "induction" else (1, 1)
    if not least <= len(inputs) <= greatest:
        raise Rejected("input_count", f"expected {least} to {greatest} inputs, got {len(inputs)}")
    # A hidden input that is also shown would give its answer away.
    if not _differ(inputs):
        raise Rejected("repeated_inputs", "expected inputs that all differ")
    if quotes_program(proposal.message, program):
        raise Rejected("message_leaks", "the message contains a line of the program")


def _is_reference(program: str, reference: str | None) -> bool:
    """Whether a program is a goalpost's reference, up to renaming and formatting."""
    return reference is not None and Program(program).form == _reference_form(reference)


@lru_cache(1024)
def _reference_form(reference: str) -> bytes | None:
    """What exact novelty compares of a goalpost's reference, which comes again in every episode; None of one of others
    that we cannot read."""
    try:
        return Program(reference).form
    except ParseError:
        return None


def _differ(inputs: Sequence[Arguments]) -> bool:
    """Whether no two are equal. If two are, Python finds them equal too, unless there is a NaN in them."""
    if "nan" not in repr(inputs) and not any(a == b for a, b in combinations(inputs, 2)):
        return True
    return len(set(map(encode, inputs))) == len(inputs)


def _in_order(result: Result, count: int, position: int) -> tuple[Call, ...]:
    own, probes = result.calls[:count], result.calls[count:]
    if position % 2 == 1 and len(own) == count:
        own = own[::-1]
    return own + probes


def _failure(result: Result, calls: tuple[Call, ...], count: int) -> tuple[str, str] | None:
    """Why a run fails the gate; a probe may raise, but may not end the run."""
    for call in calls[:count]:
        if call.status is not Status.OK:
            return str(call.status), call.error
    if len(calls) < count or result.status not in (Status.OK, Status.EXCEPTION, Status.UNSERIALIZABLE):
        return str(result.status if result.status is not Status.OK else Status.EXITED), result.error
    return None


def _behave_alike(first: Sequence[Call], *others: Sequence[Call]) -> bool:
    """Whether all calls ended alike and returned equal values: the same as `_behaviour` of each, for less."""
    values = [call.value for call in first]
    written = repr(values)
    for calls in others:
        if [call.status for call in calls] != [call.status for call in first]:
            return False
        claims = [call.value for call in calls]
        if repr(claims) != written and not all(map(same, claims, values)):
            return False
    return True


def _behaviour(calls: Sequence[Call]) -> list[bytes]:
    return [encode(call.value) if call.status is Status.OK else f"!{call.status}".encode() for call in calls]


def _digest(parts: Sequence[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
