"""The gate: what a proposal must pass before it is a task.

Text rules first, then execution under every hash seed, then novelty. Each rejection has one of
the stable codes in `REASONS`; the first that applies is the one reported.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gasp_env.parsing import ParseError, parse_program
from gasp_env.sandbox.runs import HASH_SEEDS, Call, Limits, Result, Run, Status
from gasp_env.tasks import Arguments, Axis, Proposal, Stage, Task
from gasp_env.values import encode, render

#: Reasons of the parser, of the static rules, of the execution, and of novelty.
PARSE_REASONS = ("too_long", "not_utf8", "no_program", "no_inputs", "bad_input", "unparsable")
RULE_REASONS = (
    "program_too_large",
    "no_entry",
    "no_arguments",
    "banned_import",
    "banned_name",
    "input_count",
    "repeated_inputs",
    "message_leaks",
)
RUN_REASONS = tuple(str(status) for status in Status if status not in (Status.OK, Status.INFRA_ERROR))
REASONS = (
    *PARSE_REASONS,
    *RULE_REASONS,
    *RUN_REASONS,
    "nondeterministic",
    "near_limit",
    "output_too_large",
    "duplicate",
)

#: Deterministic, side-effect free parts of the standard library.
IMPORTS = frozenset(
    "bisect collections copy dataclasses decimal enum fractions functools heapq itertools json math operator re "
    "statistics string typing".split()
)
#: Ways around the import rule, to the host's state, or to a person at the keyboard.
BANNED_NAMES = frozenset(
    "__import__ breakpoint compile eval exec exit globals help input locals open quit vars".split()
)


@dataclass(frozen=True)
class GateRules:
    """What a domain asks of a proposal.

    Attributes:
        input_count: least and greatest number of argument tuples.
        shown: how many of them an induction prompt shows; the others judge.
        program_chars: longest program.
        output_chars: longest rendering of one output. Longer ones are refused, never cut.
        imports: top-level modules a program may import.
        used: share of any limit that a proposal may use (ruling: a quarter), so that a later
            verdict on the same program does not depend on how busy the machine is.
    """

    input_count: tuple[int, int] = (10, 10)
    shown: int = 5
    program_chars: int = 4000
    output_chars: int = 1000
    imports: frozenset[str] = IMPORTS
    used: float = 0.25

    def __post_init__(self) -> None:
        least, greatest = self.input_count
        if not 0 < self.shown < least <= greatest:
            raise ValueError(
                f"expected 0 < shown < least <= greatest number of inputs, got shown {self.shown}, inputs {least} to "
                f"{greatest}: at least one pair must stay hidden to judge the answer"
            )


class Rejected(Exception):
    """A proposal that is not a task. ``reason`` is one of `REASONS`."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason


class Unscored(Exception):
    """The infrastructure failed; nothing is known of the proposal."""


@dataclass(frozen=True)
class Gate:
    """The gate of one domain.

    Attributes:
        probes: argument tuples a program is also called with. If there are any, novelty compares
            what programs return on them; if not, it compares programs up to renaming and formatting.
    """

    rules: GateRules
    limits: Limits
    probes: tuple[Arguments, ...] = ()

    def runs(self, proposal: Proposal) -> list[Run]:
        """The executions that decide about a proposal: one per hash seed, every other one in reversed order.

        Reversing shows state that one call leaves to the next. Probes come last, so that a probe
        that ends the run cannot take the proposal's own inputs with it.

        Raises:
            Rejected: the proposal breaks a static rule and needs no execution.
        """
        check_static(proposal, self.rules)
        return [
            Run(
                proposal.program,
                (proposal.inputs if position % 2 == 0 else proposal.inputs[::-1]) + self.probes,
                hash_seed=seed,
                limits=self.limits,
            )
            for position, seed in enumerate(HASH_SEEDS)
        ]

    def decide(
        self,
        proposal: Proposal,
        results: Sequence[Result],
        known: Callable[[str], bool],
        *,
        stage: Stage,
        axis: Axis,
        goalpost: str,
        lemma: Task | None = None,
    ) -> Task:
        """The task a proposal is, given the results of its runs.

        Args:
            proposal: what was proposed.
            results: of `runs`, in order.
            known: whether a task with this fingerprint has been accepted already.
            stage: where the proposal was made.
            axis: the axis it was made on.
            goalpost: id of the goalpost of its episode.
            lemma: what a lift was made from. A lift is not compared with it, except that the same
                program with the same inputs is no new task.

        Raises:
            Rejected: with the first reason that applies.
            Unscored: a run was not executed.
        """
        if any(result.status is Status.INFRA_ERROR for result in results):
            raise Unscored(next(result.error for result in results if result.status is Status.INFRA_ERROR))
        count = len(proposal.inputs)
        orders = [_in_order(result, count, position) for position, result in enumerate(results)]
        for result, calls in zip(results, orders, strict=True):
            failed = _failure(result, calls, count)
            if failed is not None:
                raise Rejected(*failed)
        first = _behaviour(orders[0])
        if any(_behaviour(calls) != first for calls in orders[1:]):
            raise Rejected(
                "nondeterministic", "results differ between hash seeds or with the order of the calls"
            )
        for result in results:
            self._check_used(result)
        outputs = tuple(call.value for call in orders[0][:count])
        longest = max(len(render(output)) for output in outputs)
        if longest > self.rules.output_chars:
            raise Rejected(
                "output_too_large", f"expected at most {self.rules.output_chars} characters, got {longest}"
            )
        if self.probes:
            fingerprint = _digest(_behaviour(orders[0][count:]))
        else:
            fingerprint = _digest([normal_form(parse_program(proposal.program)).encode()])
        is_lemma_again = lemma is not None and fingerprint == lemma.fingerprint
        same_inputs = lemma is not None and {encode(i) for i in proposal.inputs} == {
            encode(i) for i in lemma.inputs
        }
        if same_inputs if is_lemma_again else known(fingerprint):
            raise Rejected("duplicate", "a task that does the same has been accepted already")
        return Task(
            program=proposal.program,
            inputs=proposal.inputs,
            outputs=outputs,
            shown=self.rules.shown,
            message=proposal.message,
            fingerprint=fingerprint,
            stage=stage,
            axis=axis,
            goalpost=goalpost,
            parent=lemma.fingerprint if lemma is not None else None,
        )

    def _check_used(self, result: Result) -> None:
        limits, share = self.limits, self.rules.used
        for name, used, limit in (
            ("processor time", result.cpu_seconds, limits.cpu_seconds),
            ("wall time", result.wall_seconds, limits.wall_seconds),
            ("memory", result.memory_bytes, limits.memory_bytes),
            ("output", result.output_bytes, limits.output_bytes),
        ):
            if used > share * limit:
                raise Rejected(
                    "near_limit", f"{name}: used {used:.3g} of {limit:.3g}, expected at most {share:.0%}"
                )


def check_static(proposal: Proposal, rules: GateRules) -> None:
    """Rules that need no execution.

    Raises:
        Rejected: with one of `RULE_REASONS` or ``unparsable``.
    """
    program, inputs = proposal.program, proposal.inputs
    if len(program) > rules.program_chars:
        raise Rejected(
            "program_too_large", f"expected at most {rules.program_chars} characters, got {len(program)}"
        )
    try:
        tree = parse_program(program)
    except ParseError as error:
        raise Rejected("unparsable", str(error)) from None
    entries = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "f"]
    if len(entries) != 1:
        raise Rejected("no_entry", f"expected exactly one top-level function f, got {len(entries)}")
    arguments = entries[0].args
    if not (arguments.posonlyargs or arguments.args or arguments.vararg):
        raise Rejected("no_arguments", "expected f to take at least one argument")
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [node.module or "." * node.level]
        elif isinstance(node, ast.Name) and node.id in BANNED_NAMES:
            raise Rejected("banned_name", f"{node.id} may not be used")
        else:
            continue
        for module in modules:
            if module.split(".")[0] not in rules.imports:
                raise Rejected(
                    "banned_import", f"{module} may not be imported; allowed: {sorted(rules.imports)}"
                )
    least, greatest = rules.input_count
    if not least <= len(inputs) <= greatest:
        raise Rejected("input_count", f"expected {least} to {greatest} inputs, got {len(inputs)}")
    # A hidden input that is also shown would give its answer away.
    if len({encode(arguments) for arguments in inputs}) != len(inputs):
        raise Rejected("repeated_inputs", "expected inputs that all differ")
    if _leaks(proposal.message, program):
        raise Rejected("message_leaks", "the message contains a line of the program")


def normal_form(tree: ast.Module) -> str:
    """A program up to formatting, comments, docstrings and a consistent renaming of the names it binds.

    Walks without recursion: model text may nest as deep as the parser allows.
    """
    bound: dict[str, str] = {}

    stack: list[object] = [tree]
    order: list[ast.AST] = []
    while stack:
        node = stack.pop()
        if isinstance(node, ast.AST):
            order.append(node)
            stack.extend(value for _, value in reversed(list(ast.iter_fields(node))))
        elif isinstance(node, list):
            stack.extend(reversed(node))
    for node in order:
        name = _bound_name(node)
        if name is not None:
            bound.setdefault(name, f"v{len(bound)}")

    parts: list[str] = []
    stack = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.AST):
            if isinstance(node, ast.Load | ast.Store | ast.Del):
                continue
            parts.append(type(node).__name__)
            # Text in a constant and names of attributes are not names the program binds.
            if isinstance(node, ast.Constant):
                parts.append(_atom(node.value))
                continue
            if isinstance(node, ast.Attribute):
                parts.append(node.attr)
                stack.append(node.value)
                continue
            fields = [
                (name, value) for name, value in ast.iter_fields(node) if name not in ("type_comment", "kind")
            ]
            stack.extend(value for _, value in reversed(fields))
        elif isinstance(node, list):
            # A bare string is a docstring or a comment in disguise.
            kept = [item for item in node if not _is_bare_string(item)]
            parts.append(f"[{len(kept)}")
            stack.extend(reversed(kept))
        elif isinstance(node, str) and node in bound:
            parts.append(bound[node])
        else:
            parts.append(_atom(node))
    return " ".join(parts)


def _bound_name(node: ast.AST) -> str | None:
    """The name a node binds, if it is one whose choice means nothing: all but the entry's."""
    if isinstance(node, ast.Name):
        return node.id if isinstance(node.ctx, ast.Store) else None
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return node.name if node.name != "f" else None
    if isinstance(node, ast.ExceptHandler):
        return node.name
    return node.asname if isinstance(node, ast.alias) else None


def _is_bare_string(node: object) -> bool:
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )


def _atom(value: object) -> str:
    # hex: decimal text of a long integer is quadratic, and refused beyond 4300 digits.
    return f"int:{value:x}" if isinstance(value, int) and not isinstance(value, bool) else repr(value)


def _leaks(message: str, program: str) -> bool:
    if "def f" in message:
        return True
    lines = (line.strip() for line in program.splitlines())
    return any(len(line) >= 12 and line in message for line in lines)


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


def _behaviour(calls: Sequence[Call]) -> list[bytes]:
    return [encode(call.value) if call.status is Status.OK else f"!{call.status}".encode() for call in calls]


def _digest(parts: Sequence[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "big"))
        digest.update(part)
    return digest.hexdigest()
