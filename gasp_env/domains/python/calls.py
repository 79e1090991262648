"""Calls of a function that stand in a text: ``f(1, [2])``, in whatever form a model writes them.

Read are calls whose arguments are literals: as statements, printed, asserted, assigned, with a comment or a result
behind them, in a test function, behind ``>>>``, in a list item. Nothing is evaluated: names of literals that were
assigned before are looked up, keywords are put in their places, and everything else is left out.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from gasp_env.tasks import Arguments
from gasp_env.values import ValueSyntaxError, parse_arguments

#: Most calls that are read, and most lines that are parsed alone: bounds on the work that a hostile text causes.
MAX_CALLS, MAX_LINES = 64, 128
#: Longest call that a message quotes, in characters.
_QUOTED = 60
#: Most parts of values that are put for names, in all calls of a text.
MAX_PARTS = 20_000
#: Longest line in which a result is looked for behind a call, in characters.
_LINE = 1000
#: Longest line of words, and longest call within words, in characters.
MAX_LINE = 4000

_RESULT = re.compile(r"\s*(?:->|=>|→|⇒|➔|#|//)\s*.*\Z|\s+(?:returns?|gives|should|=)\s.*\Z", re.DOTALL)
#: What may stand before a call on its line: a list marker, a number, a label, a console's prompt.
_PROMPT = re.compile(
    r"^\s*(?:[-*+•]\s+|\d{1,3}[.):]\s+|\d{1,3}\s+(?=call))?"
    r"(?:(?:[a-z]|\*{0,2}(?:input|call|example|test)s?[ _]*\d*)\s*[:.)]\*{0,2}\s*)?(?:>>>\s*)?",
    re.I,
)

_PIECE = re.compile(r"'(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\"|[\[\](){}]|[^\[\](){}'\"]+|.", re.DOTALL)


@dataclass
class Calls:
    """The calls of a text.

    Attributes:
        read: the arguments of each, in the order of the text.
        unread: calls whose arguments are no literals, shortened.
    """

    read: list[Arguments] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)


class CallReader:
    """Collects the calls of one function.

    Args:
        names: names under which it is called.
        signature: its parameters, for keywords; None if they are not known.
    """

    def __init__(self, names: frozenset[str], signature: ast.arguments | None = None) -> None:
        self.names, self.signature = names, signature
        self.calls = Calls()
        self._constants: dict[str, ast.expr] = {}
        self._budget = MAX_PARTS
        self._tries = MAX_LINES

    def of_statements(self, statements: Iterable[ast.stmt]) -> None:
        """Collect the calls that these statements contain, at any depth."""
        for statement in statements:
            if isinstance(statement, ast.Assign) and not self._has_call(statement.value):
                for target in statement.targets:
                    if isinstance(target, ast.Name):
                        self._constants[target.id] = statement.value
                continue
            for name in _changed(statement):
                self._constants.pop(name, None)
            calls = self._outermost(statement)
            for call in sorted(calls, key=lambda call: (call.lineno, call.col_offset)):
                self._take(call)

    def of_lines(self, text: str, parse: Callable[[str], ast.Module | None]) -> None:
        """Collect the calls of a text that is no program: of lines that are a use, and within other lines."""
        lines = [line for line in text.split("\n") if any(f"{name}(" in line for name in self.names)]
        for line in lines[:MAX_LINES]:
            if line.lstrip().startswith("|"):  # a row of a table, whose first cell may be the number
                cells = line.strip().strip("|").split("|")
                line = next((cell for cell in cells if any(f"{name}(" in cell for name in self.names)), line)
            bare = _PROMPT.sub("", line).strip().strip("`*").strip()
            tree = parse(bare)
            several = sum(line.count(f"{name}(") for name in self.names) > 1
            used = tree
            if tree is None and not several and len(bare) <= _LINE:
                used = parse(_RESULT.sub("", bare).strip("`* "))
            if used is not None and len(used.body) == 1 and self._is_use(used.body[0]):
                self.of_statements(used.body)
            elif (
                tree is None and not line[:1].isspace()
            ):  # an indented line may be of a program that is broken
                self._within(line)

    def of_comments(self, text: str, parse: Callable[[str], ast.Module | None]) -> None:
        """Collect the calls in the comments and the doctest examples of a program, a line each."""
        comments = [
            line.strip().lstrip("# ") for line in text.split("\n") if line.lstrip().startswith(("#", ">>>"))
        ]
        self.of_lines("\n".join(comments), parse)

    def _within(self, line: str) -> None:
        """Collect the calls with literals within a line of words."""
        for found in re.finditer(rf"(?<![\w.])(?:{'|'.join(map(re.escape, self.names))})\(", line[:MAX_LINE]):
            self._tries -= 1
            if self._tries < 0 or len(self.calls.read) + len(self.calls.unread) >= MAX_CALLS:
                return
            call = enclosed(line, found.end())
            try:
                if call:
                    self.calls.read.append(parse_arguments(call))
            except ValueSyntaxError:
                continue

    def _outermost(self, statement: ast.stmt) -> list[ast.Call]:
        """The calls in a statement that are not arguments of another one."""
        found: list[ast.Call] = []
        waiting: list[ast.AST] = [statement]
        while waiting:
            node = waiting.pop()
            if isinstance(node, ast.Call) and self._is_call(node):
                found.append(node)
            else:
                waiting += ast.iter_child_nodes(node)
        return found

    def _is_use(self, statement: ast.stmt) -> bool:
        return isinstance(statement, ast.Expr | ast.Assert | ast.Assign) and self._has_call(statement)

    def _has_call(self, node: ast.AST) -> bool:
        return any(self._is_call(inner) for inner in ast.walk(node))

    def _is_call(self, node: ast.AST) -> bool:
        return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in self.names

    def _take(self, call: ast.Call) -> None:
        if len(self.calls.read) + len(self.calls.unread) >= MAX_CALLS:
            return
        try:
            self.calls.read.append(self.arguments(call))
        except ValueSyntaxError:
            self.calls.unread.append(_quoted(call))

    def arguments(self, call: ast.Call) -> Arguments:
        """The arguments of a call.

        Raises:
            ValueSyntaxError: they are no literals, or a keyword is no parameter.
        """
        placed = self._positional(call)
        if placed is None:
            raise ValueSyntaxError("expected keywords that are parameters")
        try:
            size = sum(_size(one, self._constants) for one in placed) if self._constants else 0
            if size > self._budget:
                raise ValueSyntaxError("expected fewer repetitions of long values")
            self._budget -= size
            return parse_arguments(", ".join(literal_text(one, self._constants) for one in placed))
        except RecursionError:
            raise ValueSyntaxError("expected less nesting") from None

    def _positional(self, call: ast.Call) -> Sequence[ast.expr] | None:
        """The arguments by position; None if a keyword has no place."""
        if not call.keywords:
            return call.args
        if self.signature is None:
            return None
        given = {keyword.arg: keyword.value for keyword in call.keywords}
        parameters = [one.arg for one in (*self.signature.posonlyargs, *self.signature.args)]
        defaults = dict(zip(reversed(parameters), reversed(self.signature.defaults), strict=False))
        arguments = list(call.args)
        for name in parameters[len(arguments) :]:
            if not given:
                break
            value = given.pop(name, None) or defaults.get(name)
            if value is None:
                return None
            arguments.append(value)
        return None if given else arguments


def literal_text(node: ast.expr, constants: Mapping[str, ast.expr] = MappingProxyType({})) -> str:
    """The text of an expression, with constants put for their names and without plus signs.

    Raises:
        RecursionError: it is nested too deep.
    """
    return ast.unparse(_Plain(constants).visit(copy.deepcopy(node)))


def enclosed(text: str, at: int) -> str:
    """The text up to the bracket that closes the one before it; to the end of the line if there is none."""
    depth, place = 1, at
    for piece in _PIECE.finditer(text, at, at + MAX_LINE):
        depth += (piece[0] in "([{") - (piece[0] in ")]}")
        if not depth:
            return text[at : piece.start()]
        place = piece.end()
    return text[at:place].partition("\n")[0]


def _changed(statement: ast.stmt) -> set[str]:
    """Names that may stand for another value once a statement has begun."""
    changed = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            changed.add(node.id)
        elif isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.value, ast.Name):
            changed.add(node.value.id)
    return changed


def _size(node: ast.expr, constants: Mapping[str, ast.expr]) -> int:
    """Number of parts that an expression has once its names are replaced."""
    sizes = {name: sum(1 for _ in ast.walk(value)) for name, value in constants.items()}
    return sum(sizes.get(inner.id, 1) for inner in ast.walk(node) if isinstance(inner, ast.Name))


def _quoted(call: ast.Call) -> str:
    try:
        text = " ".join(ast.unparse(call).split())
    except RecursionError:
        return "a call that is nested too deep"
    return text if len(text) <= _QUOTED else text[: _QUOTED - 3] + "..."


class _Plain(ast.NodeTransformer):
    """Puts the literals for their names, and takes plus signs off."""

    def __init__(self, constants: Mapping[str, ast.expr]) -> None:
        self._constants = constants

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._constants.get(node.id, node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
        if isinstance(node.op, ast.UAdd) and isinstance(node.operand, ast.Constant):
            return node.operand
        self.generic_visit(node)
        return node
