"""The gate: the checks that turn a proposal into a task.

The order is: static rules, execution under every hash seed, novelty, relevance if it was requested. Each
rejection has one of the stable codes in `REASONS`, and the first check that fails gives the code.
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
from gasp_env.domains.python.purity import keeps_state
from gasp_env.domains.python.rules import GateRules, Refused, check_program
from gasp_env.domains.python.syntax import ParseError
from gasp_env.domains.python.triplet import Proposal, Triplet
from gasp_env.sandbox.runs import HASH_SEEDS, Call, Limits, Result, Run, Status
from gasp_env.tasks import Arguments, Task
from gasp_env.values import encode, render_arguments, render_known, same

#: The checks in order, each with its reasons. ``message_leaks`` belongs to two checks: one for leaks of the
#: program, one for leaks of its outputs.
CHECKS: dict[str, tuple[str, ...]] = {
    "parsing": ("too_long", "not_utf8", "no_program", "ambiguous", "no_inputs", "bad_input", "unparsable"),
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
    "novelty": ("copies_goalpost", "copies_example", "duplicate", "similar"),
    "message": ("message_leaks",),
}
#: Every reason, and the first check that gives it.
REASONS = {reason: check for check, reasons in reversed(CHECKS.items()) for reason in reasons}

#: Inputs beyond the greatest number that are executed, in place of those on which the program raises.
SPARE = 4

#: Resources of a run that have a limit.
_USED = {
    "processor time": "cpu_seconds",
    "wall time": "wall_seconds",
    "memory": "memory_bytes",
    "output": "output_bytes",
}
_used = attrgetter(*_USED.values())


class Rejected(Exception):
    """A rejected proposal. ``reason`` is one of `REASONS`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


class Unscored(Exception):
    """A failure of the infrastructure, which leaves the proposal undecided."""


@dataclass(frozen=True)
class Gate:
    """The gate of one domain under one curriculum.

    Attributes:
        rules: see `GateRules`.
        limits: limits of every run.
        probes: additional argument tuples. If there are any, novelty compares the programs' return values on
            them; if not, it compares programs up to renaming and formatting.
        exact: True if a task that has been accepted already is refused.
        threshold: least cosine similarity with an accepted task at which a proposal is refused, by the
            embedder of the library; None compares no embeddings.
        seeds: fingerprints that count as accepted from the start.
        examples: proposals that the prompts show. Neither they nor near copies of them are accepted.
    """

    rules: GateRules
    limits: Limits
    probes: tuple[Arguments, ...] = ()
    exact: bool = True
    threshold: float | None = None
    seeds: frozenset[str] = frozenset()
    examples: tuple[Proposal, ...] = ()

    def runs(self, proposal: Proposal, kind: str = "induction") -> list[Run]:
        """The executions that decide about a proposal.

        The first runs call the program on all inputs, one run for each hash seed, every other run in
        reversed order. Probes come last, so that a probe that ends the run does not lose the proposal's own
        inputs. Further runs call the program on one input each, unless it evidently keeps no state between
        calls: a recorded output must equal the return value of a fresh call.

        Raises:
            Rejected: the proposal breaks a static rule and needs no execution.
        """
        program = Program(proposal.program)
        check_static(replace(proposal, program=program), self.rules, kind)

        # The first failed run decides, so an endless loop costs the time limit only once.
        text = str(program)
        may_raise = len(proposal.inputs) > _counts(self.rules, kind)[0]
        series = _digest([text.encode(), kind.encode(), repr(proposal.inputs).encode()])

        def run(inputs: tuple[Arguments, ...], seed: int) -> Run:
            return Run(text, inputs, hash_seed=seed, limits=self.limits, series=series, may_raise=may_raise)

        together = [
            run((proposal.inputs if position % 2 == 0 else proposal.inputs[::-1]) + self.probes, seed)
            for position, seed in enumerate(HASH_SEEDS)
        ]
        if not keeps_state(program):
            return together
        return together + [
            run((arguments,), HASH_SEEDS[number % len(HASH_SEEDS)])
            for number, arguments in enumerate(proposal.inputs)
        ]

    def decide(self, proposal: Proposal, results: Sequence[Result], request: Request) -> Task:
        """Decide about a proposal, given the results of its `runs` in order; return its task.

        Raises:
            Rejected: the proposal fails a check; the first failed check gives the reason.
            Unscored: a run was not executed.
        """
        lost = next((result for result in results if result.status is Status.INFRA_ERROR), None)
        if lost is not None:
            raise Unscored(lost.error)
        least, greatest = _counts(self.rules, request.kind)
        calls, working = self._check_determinism(proposal, results, least)
        count, kept = len(proposal.inputs), working[:greatest]
        proposal = replace(proposal, inputs=tuple(proposal.inputs[index] for index in kept))
        outputs = tuple(calls[index].value for index in kept)
        self._check_limits(results, outputs, request.kind)
        fingerprint = self.fingerprint(proposal, _behaviour(calls[count:]), request.stage, request.kind)
        self._check_novelty(proposal, fingerprint, request)
        shown = self.rules.shows(len(kept)) if request.kind == "induction" else 0
        content = Triplet(str(proposal.program), proposal.inputs, outputs, shown, proposal.message)
        self._check_message(content, request)
        return request.task(content, fingerprint)

    def _check_determinism(
        self, proposal: Proposal, results: Sequence[Result], least: int
    ) -> tuple[tuple[Call, ...], list[int]]:
        """Refuse runs that failed or differ; return the calls, probes last, and the inputs that have outputs."""
        count = len(proposal.inputs)
        together, alone = results[: len(HASH_SEEDS)], results[len(HASH_SEEDS) :]
        orders = [_in_order(result, count, position) for position, result in enumerate(together)]
        for result, calls in zip(together, orders, strict=True):
            failed = _failure(result, calls, count, least)
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
        return orders[0], [index for index, call in enumerate(orders[0][:count]) if call.status is Status.OK]

    def _check_limits(self, results: Sequence[Result], outputs: tuple[Any, ...], kind: str) -> None:
        """Refuse use of a limit beyond the allowed share, and outputs that are too long or all equal."""
        share = self.rules.used
        most = map(max, zip(*map(_used, results), strict=True))
        for name, used, limit in zip(_USED, most, _used(self.limits), strict=True):
            if used > share * limit:
                raise Rejected(
                    "near_limit", f"{name}: used {used:.3g} of {limit:.3g}, expected at most {share:.0%}"
                )
        # Our rendering is longer than Python's repr for NaN and infinity only.
        together = repr(outputs)
        if len(together) > self.rules.output_chars or "nan" in together or "inf" in together:
            longest = max(len(render_known(output)) for output in outputs)
            if longest > self.rules.output_chars:
                raise Rejected(
                    "output_too_large",
                    f"expected at most {self.rules.output_chars} characters, got {longest}",
                )
        # A constant program makes a trivial induction task.
        if kind == "induction" and all(same(output, outputs[0]) for output in outputs[1:]):
            raise Rejected("one_output", "expected outputs that differ, got the same for all inputs")

    def _check_novelty(self, proposal: Proposal, fingerprint: str, request: Request) -> None:
        """Refuse the goalpost's reference, and a task that was accepted before."""
        goalpost, parent = request.goalpost, request.parent
        if goalpost is not None and _is_reference(proposal.program, goalpost.reference):
            raise Rejected("copies_goalpost", "expected a variant, got the goalpost's own reference program")
        if any(_is_copy(proposal, example, request.kind) for example in self.examples):
            raise Rejected("copies_example", "expected a new task, got the example of the prompt, or nearly")
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
        """Refuse a message that leaks hidden outputs or quotes the goalpost."""
        if quotes_pairs(content.message, content):
            raise Rejected("message_leaks", "the message gives hidden outputs away")
        if request.goalpost is not None and quotes_statement(content.message, request.goalpost.statement):
            raise Rejected("message_leaks", "the message quotes the goalpost, which a lift of it may not see")

    def fingerprint(self, proposal: Proposal, behaviour: Sequence[bytes], stage: str, kind: str) -> str:
        """The key that novelty compares. A variant's key is its program. An unguided proposal's key has the
        kind as well, and for induction, which uses a given program, also the inputs and the message."""
        program = behaviour if self.probes else [Program(proposal.program).form]
        if stage != "propose":
            return _digest(program)
        added: list[bytes] = []
        if kind == "induction":
            added = [
                *sorted(encode(arguments) for arguments in proposal.inputs),
                _words(proposal.message).encode(),
            ]
        return _digest([kind.encode(), *program, *added])


def _counts(rules: GateRules, kind: str) -> tuple[int, int]:
    """Least and greatest number of inputs of a proposal."""
    return rules.input_count if kind == "induction" else (1, 1)


def _spare(rules: GateRules, kind: str) -> int:
    """Inputs beyond the greatest number that may be executed; none where rules ask for an exact number."""
    least, greatest = rules.input_count
    return 0 if kind == "induction" and least == greatest else SPARE


def select_inputs(proposal: Proposal, rules: GateRules, kind: str = "induction") -> Proposal:
    """The proposal with the inputs that are executed: without repetitions, and as many as can be needed.

    A proposal that has too few without them keeps its repetitions, and is refused for them.
    """
    least, greatest = _counts(rules, kind)
    distinct = {encode(arguments): arguments for arguments in reversed(proposal.inputs)}
    inputs = tuple(reversed(distinct.values()))
    if len(inputs) < least:
        return proposal
    repeated = len(proposal.inputs) - len(inputs)
    left_out = proposal.left_out + ((f"{repeated} repeated",) if repeated else ())
    spare = _spare(rules, kind)
    return replace(proposal, inputs=inputs[: greatest + spare] if spare else inputs, left_out=left_out)


def left_out(proposal: Proposal, task: Task) -> str:
    """The inputs of a proposal that its task has not, in a line for people; empty if there are none."""
    kept = set(map(encode, task.content.inputs))
    unused = [arguments for arguments in proposal.inputs if encode(arguments) not in kept]
    notes = [f"f({render_arguments(arguments)}): raises or is not needed" for arguments in unused]
    notes = [*proposal.left_out, *notes]
    return f"left out: {'; '.join(notes)}" if notes else ""


def check_static(proposal: Proposal, rules: GateRules, kind: str = "induction") -> None:
    """Check the rules that need no execution.

    Raises:
        Rejected: with a reason of the ``rules`` in `CHECKS`, or ``unparsable``.
    """
    check_draft(proposal, rules)
    inputs = proposal.inputs
    least, greatest = _counts(rules, kind)
    if not least <= len(inputs) <= greatest + _spare(rules, kind):
        raise Rejected("input_count", f"expected {least} to {greatest} inputs, got {len(inputs)}")
    # A hidden input that equals a shown one would reveal its output.
    if not _differ(inputs):
        raise Rejected("repeated_inputs", "expected inputs that all differ")


def check_draft(draft: Proposal, rules: GateRules) -> None:
    """Check the rules for a program and its hint, which need neither inputs nor execution.

    Raises:
        Rejected: with a reason of the ``rules`` in `CHECKS`, or ``unparsable``.
    """
    program = draft.program
    if len(program) > rules.program_chars:
        raise Rejected(
            "program_too_large", f"expected at most {rules.program_chars} characters, got {len(program)}"
        )
    try:
        check_program(Program(program), rules.imports)
    except Refused as refused:
        raise Rejected(refused.reason, str(refused)) from None
    if quotes_program(draft.message, program):
        raise Rejected("message_leaks", "the message contains a line of the program")


def _is_copy(proposal: Proposal, example: Proposal, kind: str) -> bool:
    """True if a proposal has an example's program; or its message, or most of its inputs, for induction."""
    if Program(proposal.program).form == Program(example.program).form:
        return True
    if kind != "induction":
        return False
    if _words(proposal.message) and _words(proposal.message) == _words(example.message):
        return True
    theirs = set(map(encode, example.inputs))
    return 2 * sum(encode(arguments) in theirs for arguments in proposal.inputs) > len(proposal.inputs)


def _words(message: str) -> str:
    return " ".join(re.findall(r"\w+", message.casefold()))


def _is_reference(program: str, reference: str | None) -> bool:
    """True if a program is a goalpost's reference, up to renaming and formatting."""
    return reference is not None and Program(program).form == _reference_form(reference)


@lru_cache(1024)
def _reference_form(reference: str) -> bytes | None:
    """The normal form of a goalpost's reference; None if it cannot be parsed. Cached, as references recur in
    every episode."""
    try:
        return Program(reference).form
    except ParseError:
        return None


def _differ(inputs: Sequence[Arguments]) -> bool:
    """True if no two are equal as values. Equal values are equal for Python too, except where they hold a
    NaN."""
    if "nan" not in repr(inputs) and not any(a == b for a, b in combinations(inputs, 2)):
        return True
    return len(set(map(encode, inputs))) == len(inputs)


def _in_order(result: Result, count: int, position: int) -> tuple[Call, ...]:
    own, probes = result.calls[:count], result.calls[count:]
    if position % 2 == 1 and len(own) == count:
        own = own[::-1]
    return own + probes


def _failure(result: Result, calls: tuple[Call, ...], count: int, least: int) -> tuple[str, str] | None:
    """The reason and detail of a run that fails the gate, else None.

    At most ``count - least`` inputs may raise, and any probe, but none may end the run.
    """
    failed = [call for call in calls[:count] if call.status is not Status.OK]
    if len(failed) > count - least:
        return str(failed[0].status), failed[0].error
    if len(calls) < count or result.status not in (Status.OK, Status.EXCEPTION, Status.UNSERIALIZABLE):
        return str(result.status if result.status is not Status.OK else Status.EXITED), result.error
    return None


def _behave_alike(first: Sequence[Call], *others: Sequence[Call]) -> bool:
    """True if all calls have equal statuses and values: a faster comparison of their `_behaviour`."""
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
