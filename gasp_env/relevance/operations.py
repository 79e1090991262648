"""Relevance by syntax: which operations a program and a reference have in common, and how often.

Measured on our forty goalposts (`pytest tests/relevance -k tells_variants -rP` prints it). AUC: how often a
variant of a goalpost's reference is measured above the reference of another goalpost, the stranger::

                                     AUC     quantiles 5, 50, 95 %    pass a gate at 0.3
    one step away                  1.000     0.88  0.96  1.00         1.00
    half of the program left out   0.989     0.38  0.53  0.73         1.00
    solved by another road         0.677     0.11  0.29  0.47         0.45
    strangers                                0.11  0.23  0.39         0.25

Four variants written by hand, those of `gasp_env.policies.scripted`, are measured at 0.30, 0.60, 0.30 and 0.32: all
pass, only the second with room to spare. So passing a gate at 0.3 is weak evidence. It measures a program's manner, not
its problem: a solution by another road (those of `tests/brute_force`) is often taken for a stranger. One
that keeps less than 0.3 of a reference's operations cannot pass, and code that is never reached counts like any other.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from gasp_env.domains.python.program import Program
from gasp_env.domains.python.syntax import ParseError
from gasp_env.domains.python.triplet import Proposal
from gasp_env.relevance.registry import relevance
from gasp_env.tasks import Goalpost

#: Names of constructs. A comprehension counts as the type it builds, and one ``for`` for each of its loops.
_CONSTRUCTS: dict[type[ast.AST], str] = {
    ast.If: "if",
    ast.IfExp: "if",
    ast.For: "for",
    ast.comprehension: "for",
    ast.While: "while",
    ast.Break: "break",
    ast.Continue: "continue",
    ast.Try: "try",
    ast.Raise: "raise",
    ast.With: "with",
    ast.match_case: "case",
    ast.Lambda: "lambda",
    ast.Yield: "yield",
    ast.YieldFrom: "yield",
    ast.ListComp: "list of",
    ast.SetComp: "set of",
    ast.DictComp: "dict of",
    ast.GeneratorExp: "each of",
    ast.Slice: "slice",
    ast.FormattedValue: "format",
}
#: ``a > b`` is ``b < a``.
_COMPARISONS = {"Gt": "Lt", "GtE": "LtE"}
#: A reference that reads standard input has to; a proposal defines a function and may not.
_INPUT_AND_OUTPUT = frozenset({"input()", "print()", "read()", "readline()", "readlines()", "write()"})


@relevance("operations", needs=["reference"])
def operations(pairs: Sequence[tuple[Proposal, Goalpost]]) -> list[float | None]:
    """The share of operations that proposal and reference have in common (`jaccard` of `operations_of`).

    A program that cannot be parsed shares nothing: 0. The gate rejects it anyway.
    """
    references: dict[str, Counter[str]] = {}
    measured: list[float | None] = []
    for proposal, goalpost in pairs:
        reference = goalpost.reference or ""
        if reference not in references:
            references[reference] = operations_of(reference)
        try:
            measured.append(jaccard(operations_of(proposal.program), references[reference]))
        except ParseError:
            measured.append(0.0)
    return measured


def jaccard(one: Counter[str], other: Counter[str]) -> float:
    """Σ min / Σ max of how often each operation occurs, in [0, 1]; 1 for two empty multisets. Symmetric.

    Chosen over the share of the proposal's own operations that the reference has: that share is 1 for any
    one-line program, so that it would pay a teacher for trivial ones. Jaccard's index is raised neither by leaving out
    nor by padding, and is as fair to a lift, which adds, as to a lemma, which leaves out.
    """
    if one == other:
        return 1.0
    return (one & other).total() / (one | other).total()


def operations_of(program: str) -> Counter[str]:
    """Count how often each operation occurs in a program.

    Operators (``a += b`` is one as well), comparisons, indexing, control constructs, and calls: of a builtin, of
    something imported or of a method by its name, of the program's own definitions as ``own``, for those names are
    free. Constants, assignments and reading or printing do not count.

    Raises:
        gasp_env.domains.python.syntax.ParseError: it cannot be parsed.
    """
    nodes = Program(program).nodes
    imported: dict[str, str] = {}
    own: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.alias):
            imported[node.asname or node.name] = node.name
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            own.add(node.id)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            own.add(node.name)
    found = Counter(name for node in nodes for name in _names(node, imported, own))
    for name in _INPUT_AND_OUTPUT:
        del found[name]
    return found


def _names(node: ast.AST, imported: Mapping[str, str], own: set[str]) -> Iterator[str]:
    """The operations that a node stands for, without those below it."""
    if isinstance(node, ast.BinOp | ast.AugAssign):
        yield type(node.op).__name__
    elif isinstance(node, ast.UnaryOp):
        # -1 is a constant.
        if not isinstance(node.operand, ast.Constant):
            yield type(node.op).__name__
    elif isinstance(node, ast.BoolOp):
        yield from [type(node.op).__name__] * (len(node.values) - 1)
    elif isinstance(node, ast.Compare):
        for operator in node.ops:
            yield _COMPARISONS.get(type(operator).__name__, type(operator).__name__)
    elif isinstance(node, ast.Call):
        yield _called(node.func, imported, own) + "()"
    elif isinstance(node, ast.Subscript):
        if not isinstance(node.slice, ast.Slice):
            yield "item"
    elif type(node) in _CONSTRUCTS:
        yield _CONSTRUCTS[type(node)]


def _called(function: ast.expr, imported: Mapping[str, str], own: set[str]) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    if isinstance(function, ast.Name) and function.id not in own:
        return imported.get(function.id, function.id)
    return "own"
