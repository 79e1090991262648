"""The program of a text: the blocks that may be it, the name of its function, and the uses that follow it.

A model may write a draft, helpers, tests and examples beside its program, and call the function as the problem calls
it rather than as it was asked to. What a block is, is told by its content: a block that defines the function is a
candidate. Of two candidates that differ neither is chosen.
"""

from __future__ import annotations

import ast
import copy
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from gasp_env.domains.python.program import Program
from gasp_env.domains.python.syntax import ParseError

#: Functions that test or start a program rather than being it.
_BESIDE = re.compile(r"(?:test|check|main|run|example|demo)(?:_.*|s)?\Z", re.IGNORECASE)
#: Statements that a program may begin with, for the search of its end within prose.
_STATEMENT = re.compile(
    r"(?:def|class|import|from|async|if|for|while|with|try|else|elif|except|finally|return|print|assert|#|@|>>>|"
    r"\w+\s*[=(\[]|\w+\.\w)"
)


#: A label of the block that its author means in the end.
_CHOSEN = re.compile(
    r"\b(?:harder|easier|final|correct|corrected|fixed|improved|revised|updated|better)\b.{0,40}\Z", re.I
)
#: Nodes that bind a name.
_NAMED: tuple[Any, ...] = (ast.FunctionDef, ast.ClassDef, ast.ExceptHandler, ast.MatchAs, ast.MatchStar)
_LINE_END = re.compile(r"\r\n|\r|\n")


@dataclass(frozen=True)
class Candidate:
    """A program that may be the one that was asked for.

    Attributes:
        program: its text, whose function has the name ``entry``.
        name: the name that its author gave the function.
        uses: statements that call the function, or print, beside its definition.
        signature: the function's parameters; None for a whole program.
        label: the line of words above it; empty without one.
    """

    program: Program
    name: str
    uses: tuple[ast.stmt, ...]
    signature: ast.arguments | None
    label: str = ""

    @property
    def kept(self) -> list[ast.stmt]:
        """The statements that are no uses."""
        uses = set(map(id, self.uses))
        return [node for node in self.program.tree.body if id(node) not in uses]


def parsed(text: str) -> Program | None:
    """The program of a block, if it is one: without a byte order mark, the indentation of all or of the first line, and
    the prompts of a console."""
    text = text.removeprefix("\ufeff")
    tried = [text]
    if text.lstrip("\n")[:1] in (" ", "\t"):
        tried += [textwrap.dedent(text), text.lstrip()]
    if ">>>" in text:
        tried.append(_without_prompts(text))
    for body in tried:
        program = Program(body)
        try:
            program.tree  # noqa: B018
            return program
        except ParseError:
            continue
    return None


def leading(text: str) -> Program | None:
    """The longest program that a text begins with, where prose follows it; None if there is none.

    The text is cut at the first line at the margin that is no statement, or else where most of it can be parsed.
    """
    program = parsed(text)
    if program is not None:
        return program
    lines = text.split("\n")
    prose = (number for number, line in enumerate(lines) if line[:1].strip() and not _STATEMENT.match(line))
    cut = next(prose, None)
    text = "\n".join(lines[:cut]) if cut else text
    return parsed(text.rstrip()) or _longest(text)


def _longest(text: str) -> Program | None:
    """The program that a text begins with, cut where a line begins at the margin: the longest that can be parsed."""
    lines = text.split("\n")
    margins = [number for number, line in enumerate(lines) if number and line[:1].strip()]
    found, low, high = None, 0, len(margins)
    while low < high:  # what follows a fault cannot be parsed either
        middle = (low + high) // 2
        program = parsed("\n".join(lines[: margins[middle]]).rstrip())
        if program is None:
            high = middle
        else:
            found, low = program, middle + 1
    return found


def definitions(text: str, entry: str) -> Program | None:
    """The program that a block begins with, where something behind it cannot be parsed; None without any.

    The rest of the block may hold calls, one of which is broken. A proposal's program does not need them. A block whose
    function ``entry`` itself is broken has none.
    """
    found = _longest(text) if parsed(text) is None else None
    if found is None or not any(isinstance(node, ast.FunctionDef) for node in found.tree.body):
        return None
    defined = re.compile(rf"^def {re.escape(entry)}\b", re.M)
    return None if defined.search(text) and not defined.search(found) else found


def candidate(program: Program, entry: str) -> Candidate | None:
    """A block as a candidate; None if it defines no such function.

    Args:
        program: of the block.
        entry: name of the function, or ``Class.method``; empty for a program that runs as a whole.
    """
    body = program.tree.body
    if not entry:
        reads = any(word in program for word in ("input", "stdin", "open(", "print", "sys"))
        return Candidate(program, "", (), None) if body and reads else None
    owner = entry.partition(".")[0]
    if any(isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == owner for node in body):
        return _candidate(program, entry, owner)
    # A lambda or another function of this name is a definition as well.
    if any(isinstance(node, ast.Assign) and _assigns(node, owner) for node in body):
        return Candidate(program, owner, (), None)
    name = None if "." in entry else _only_function(body)
    return _candidate(program, entry, name) if name is not None else None


def choose(found: Sequence[Candidate], entry: str) -> Candidate | None:
    """The candidate that the text means, the last of equal ones; None without any.

    A function under the name that was asked for goes before functions of other names, one with a body before one that
    is only a header, and one that the text calls the final, corrected or harder one before others.

    Raises:
        ParseError: ``ambiguous``: there are two that differ.
    """
    named = [one for one in found if one.name == entry.partition(".")[0]] or list(found)
    whole = [one for one in named if not _is_stub(one, entry)] or named
    if len({_content(one) for one in whole}) > 1:
        whole = [one for one in whole if _CHOSEN.search(one.label)] or whole
    if len({_content(one) for one in whole}) > 1:
        raise ParseError("ambiguous", f"expected one program, got {len(whole)} that differ")
    return whole[-1] if whole else None


def without_uses(found: Candidate) -> Program:
    """The program without the statements that use it, and without comments behind it."""
    if not found.uses:
        shorter = _without_trailing_comments(found.program)
        return found.program if shorter == found.program.rstrip() else Program(shorter)
    lines = _LINE_END.split(found.program)
    kept = found.kept
    taken = {line for node in kept for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)}
    dropped = {line for node in found.uses for line in range(_first(node), (node.end_lineno or 0) + 1)}
    if taken & dropped:  # two statements on a line
        return Program(ast.unparse(ast.Module(kept, [])))
    text = "\n".join(line for number, line in enumerate(lines, start=1) if number not in dropped)
    return Program(_without_trailing_comments(text).strip("\n"))


def _first(node: ast.stmt) -> int:
    """The first line of a statement, its decorators included."""
    return min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", []))])


def _candidate(program: Program, entry: str, name: str) -> Candidate | None:
    renamed = program if name == entry.partition(".")[0] else _renamed(program, name, entry)
    if renamed is None:
        return None
    body = renamed.tree.body
    own = [node for node in body if isinstance(node, ast.FunctionDef) and node.name == entry]
    reached = _reached(body, entry.partition(".")[0])
    uses = [node for node in body if _is_use(node, entry, reached)]
    # Values that are named behind the function for the calls of it.
    last = max((node.lineno for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef)), default=0)
    named = [node for node in body if isinstance(node, ast.Assign) and node.lineno > last]
    if any(isinstance(node, ast.Expr | ast.Assign | ast.Assert) and node.lineno > last for node in uses):
        uses = _in_order([*uses, *_only_used(named, uses, body, reached)])
    # Calls of the tests that are left out are left out with them.
    tests = {node.name for node in uses if isinstance(node, ast.FunctionDef | ast.ClassDef)} - reached
    if tests:
        uses += [node for node in body if isinstance(node, ast.Expr) and _mentions(node, *tests)]
        uses = _in_order(uses)
    return Candidate(renamed, name, tuple(uses), own[-1].args if own else None)


def _only_used(
    named: Sequence[ast.stmt], uses: Sequence[ast.stmt], body: Sequence[ast.stmt], reached: set[str]
) -> list[ast.stmt]:
    """Those of the assignments whose names nothing needs but uses and others of them."""
    left = set(map(id, [*named, *uses]))
    needed = reached.union(*(_needs(node) for node in body if id(node) not in left))
    only = list(named)
    while kept := [node for node in only if _binds(node) & needed]:
        needed = needed.union(*map(_needs, kept))
        only = [node for node in only if node not in kept]
    return only


def _in_order(nodes: Sequence[ast.stmt]) -> list[ast.stmt]:
    """Statements in the order of the text, each once."""
    return sorted({id(node): node for node in nodes}.values(), key=lambda node: node.lineno)


def _only_function(body: Sequence[ast.stmt]) -> str | None:
    """The name of the one function that no other one calls, tests and mains aside."""
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    functions = [node for node in functions if not _BESIDE.match(node.name)] or functions
    called = {
        inner.id
        for node in functions
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name) and inner.id != node.name
    }
    roots = {node.name for node in functions} - called
    return roots.pop() if len(roots) == 1 else None


def _reached(body: Sequence[ast.stmt], name: str) -> set[str]:
    """Names at the top level that a definition needs, itself included: through functions, classes and assignments."""
    bound: dict[str, list[ast.stmt]] = {}
    for node in body:
        for one in _binds(node):
            bound.setdefault(one, []).append(node)
    reached: set[str] = set()
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one in bound and one not in reached:
            reached.add(one)
            for node in bound[one]:
                waiting += _needs(node)
    return reached


def _binds(node: ast.stmt) -> set[str]:
    """Names that a top-level statement binds, or whose value it changes."""
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    names = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.FunctionDef | ast.ClassDef):  # within an if or a try
            names.add(inner.name)
        elif isinstance(inner, ast.Attribute | ast.Subscript) and isinstance(inner.ctx, ast.Store):
            inner = inner.value
            if isinstance(inner, ast.Name):
                names.add(inner.id)
        elif isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            names.add(inner.id)
    return names


def _needs(node: ast.stmt) -> set[str]:
    """Names that a statement reads and does not bind itself."""
    names = [inner for inner in ast.walk(node) if isinstance(inner, ast.Name)]
    own = {inner.id for inner in names if isinstance(inner.ctx, ast.Store)}
    functions = [inner for inner in ast.walk(node) if isinstance(inner, ast.FunctionDef)]
    own |= {inner.arg for one in functions for inner in ast.walk(one.args) if isinstance(inner, ast.arg)}
    return {inner.id for inner in names if isinstance(inner.ctx, ast.Load)} - own


def _is_use(node: ast.stmt, entry: str, reached: set[str]) -> bool:
    """True if a top-level statement calls the function or prints, and the function does not need it."""
    if isinstance(node, ast.Import | ast.ImportFrom):
        return False
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return node.name not in reached and (bool(_BESIDE.match(node.name)) or _mentions(node, entry))
    if isinstance(node, ast.Expr):
        printed = isinstance(node.value, ast.Call) and _mentions(node.value.func, "print")
        if isinstance(node.value, ast.Call) and _receiver(node.value.func) in reached:
            return False  # it may change what the function works with
        return printed or isinstance(node.value, ast.Constant) or _mentions(node, entry)
    return _mentions(node, entry, "__name__") and not _binds(node) & reached


def _receiver(function: ast.expr) -> str:
    """The name at the root of a method's call; empty for a call that is none."""
    if not isinstance(function, ast.Attribute):
        return ""
    root: ast.expr = function
    while isinstance(root, ast.Attribute | ast.Subscript):
        root = root.value
    return root.id if isinstance(root, ast.Name) else ""


def _mentions(node: ast.AST, *names: str) -> bool:
    return any(isinstance(inner, ast.Name) and inner.id in names for inner in ast.walk(node))


def _assigns(node: ast.Assign, name: str) -> bool:
    return any(isinstance(target, ast.Name) and target.id == name for target in node.targets)


def _is_stub(found: Candidate, entry: str) -> bool:
    """True if the function, or every method of the class, has a header and no statements."""
    owner, dot, _ = entry.partition(".")
    own = [node for node in found.program.tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    own = [node for node in own if node.name == owner and isinstance(node, ast.ClassDef) == bool(dot)]
    functions = [
        one for node in own for one in (node.body if dot else [node]) if isinstance(one, ast.FunctionDef)
    ]
    return bool(functions) and all(
        isinstance(node, ast.Pass) or _is_constant(node) for one in functions for node in one.body
    )


def _is_constant(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _content(found: Candidate) -> str:
    """The program without comments, layout, annotations and uses: equal for candidates that do not differ."""
    try:
        return ast.unparse(_Bare().visit(copy.deepcopy(ast.Module(found.kept, []))))
    except RecursionError:
        return str(found.program)


class _Bare(ast.NodeTransformer):
    """Takes docstrings and the annotations of functions off."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        self.generic_visit(node)
        node.returns = None
        if len(node.body) > 1 and _is_constant(node.body[0]):
            node.body = node.body[1:]
        return node

    def visit_arg(self, node: ast.arg) -> ast.arg:
        node.annotation = None
        return node


def _renamed(program: Program, name: str, entry: str) -> Program | None:
    """The program with its function ``name`` called ``entry``; None if the new name means something else in it.

    Only the identifier changes, where it is defined and where it is used; comments and layout stay.
    """
    # A call of the new name that nothing binds is of this function.
    taken = {node.id for node in program.every(ast.Name) if not isinstance(node.ctx, ast.Load)}
    taken |= {node.arg for node in program.every(ast.arg)}
    taken |= {node.name for kind in _NAMED for node in program.every(kind) if node.name}
    taken |= {name for node in program.every(ast.alias) for name in (node.name, node.asname) if name}
    taken |= {node.rest for node in program.every(ast.MatchMapping) if node.rest}
    formatted = [inner for node in program.every(ast.JoinedStr) for inner in ast.walk(node)]
    if entry in taken or any(isinstance(inner, ast.Name) and inner.id == name for inner in formatted):
        return None
    if {ast.Global, ast.Nonlocal} & program.kinds.keys() or any(
        one.arg == name for one in program.every(ast.arg)
    ):
        return None
    lines = [line.encode() for line in _LINE_END.split(program)]
    old, new = name.encode(), entry.encode()
    places = [(node.lineno - 1, node.col_offset) for node in program.every(ast.Name) if node.id == name]
    for node in program.tree.body:  # a method of this name keeps it
        if isinstance(node, ast.FunctionDef) and node.name == name:
            at = lines[node.lineno - 1].find(old, node.col_offset + len(b"def "))
            if at < 0:
                return None
            places.append((node.lineno - 1, at))
    for row, column in sorted(set(places), reverse=True):
        line = lines[row]
        if line[column : column + len(old)] != old:  # a name in another spelling
            return None
        lines[row] = line[:column] + new + line[column + len(old) :]
    return Program(b"\n".join(lines).decode())


def _without_prompts(text: str) -> str:
    """A console session as a program: lines behind ``>>>`` and ``...``, without what was printed."""
    lines = [line.lstrip() for line in text.split("\n")]
    said = [line[4:] for line in lines if line.startswith((">>>", "..."))]
    return "\n".join(said)


def _without_trailing_comments(text: str) -> str:
    lines = text.rstrip().split("\n")
    while lines and (not lines[-1].strip() or lines[-1].startswith("#")):
        lines.pop()
    return "\n".join(lines)
