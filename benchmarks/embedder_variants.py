"""Programs changed by one operation, and near copies of them, by way of their syntax trees.

A one-operation variant does something else than its original, as a lift does. A near copy does the same,
written otherwise. A sandbox decides whether they do; this module only writes them.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

_OPERATORS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd, ast.BitXor: ast.BitOr,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.And: ast.Or, ast.Or: ast.And,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.USub: ast.UAdd, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_FUNCTIONS = {
    "min": "max", "max": "min", "any": "all", "all": "any", "sum": "max", "sorted": "list", "set": "list",
    "list": "sorted", "abs": "int", "len": "sum", "reversed": "sorted", "int": "abs",
}  # fmt: skip
_METHODS = {
    "upper": "lower", "lower": "upper", "lstrip": "rstrip", "rstrip": "lstrip", "strip": "lstrip", "append": "remove",
    "startswith": "endswith", "endswith": "startswith", "pop": "index", "popleft": "pop", "keys": "values",
    "values": "keys", "find": "rfind", "add": "discard", "union": "intersection", "split": "splitlines",
    "isdigit": "isalpha", "isalpha": "isdigit", "isupper": "islower", "extend": "append", "index": "count",
}  # fmt: skip

_BLOCKS = (ast.FunctionDef, ast.For, ast.While, ast.If)

#: The nodes that an edit may change, and a function that changes one in place and returns True if it did.
Edit = tuple[type[ast.AST] | tuple[type[ast.AST], ...], Callable[[ast.AST], bool]]


@dataclass(frozen=True)
class Variant:
    """A changed program and the name of the change."""

    kind: str
    program: str


def one_operation(program: str) -> Iterator[Variant]:
    """Every variant that one of the edits makes at one place, laid out as `ast.unparse` does."""
    yield from _edited(program, ONE_OPERATION)


def near_copies(program: str) -> Iterator[Variant]:
    """Every near copy that one of the edits makes at one place, and the rewritings of the whole."""
    laid_out = ast.unparse(ast.parse(program))
    yield Variant("renamed", renamed(program))
    lines = laid_out.split("\n")
    commented = [f"{line}  # line {number}\n" if line else line for number, line in enumerate(lines, start=1)]
    yield Variant("commented, respaced", "\n".join(commented))
    yield from _edited(program, NEAR_COPY)


def parses(program: str) -> bool:
    """True if it is Python; an edit does not always leave valid code behind."""
    try:
        ast.parse(program)
    except (SyntaxError, ValueError):
        return False
    return True


def _edited(program: str, edits: dict[str, Edit]) -> Iterator[Variant]:
    tree = ast.parse(program)
    original = ast.unparse(tree)
    seen = {original}
    bound = sorted(_bound(tree))
    for place, node in enumerate(list(ast.walk(tree))):
        for kind, (types, edit) in edits.items():
            if not isinstance(node, types):
                continue
            changed = ast.parse(program)
            at = next(islice(ast.walk(changed), place, None))
            if isinstance(at, ast.Name):
                at.bound = bound  # type: ignore[attr-defined]
            if edit(at):
                text = ast.unparse(ast.fix_missing_locations(changed))
                if text not in seen and parses(text):
                    seen.add(text)
                    yield Variant(kind, text)


def _operator(node: ast.AST) -> bool:
    if isinstance(node, ast.Compare):
        node.ops[0] = _OPERATORS[type(node.ops[0])]()  # type: ignore[call-overload]
        return True
    if isinstance(node, ast.BinOp | ast.AugAssign | ast.BoolOp) and type(node.op) in _OPERATORS:
        node.op = _OPERATORS[type(node.op)]()  # type: ignore[assignment]
        return True
    return False


def _constant(node: ast.AST) -> bool:
    if not isinstance(node, ast.Constant) or type(node.value) not in (int, bool):
        return False
    node.value = not node.value if isinstance(node.value, bool) else int(node.value) + 1  # type: ignore[arg-type]
    return True


def _function(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    if isinstance(node.func, ast.Name) and node.func.id in _FUNCTIONS:
        node.func.id = _FUNCTIONS[node.func.id]
        return True
    if isinstance(node.func, ast.Attribute) and node.func.attr in _METHODS:
        node.func.attr = _METHODS[node.func.attr]
        return True
    return False


def _swapped(node: ast.AST) -> bool:
    if isinstance(node, ast.Call) and len(node.args) > 1:
        node.args[:2] = node.args[1::-1]
        return True
    if isinstance(node, ast.BinOp):
        node.left, node.right = node.right, node.left
        return True
    return False


def _other_name(node: ast.AST) -> bool:
    """Another name that the function binds, where one of them is read; `_edited` provides the names."""
    assert isinstance(node, ast.Name)
    bound: list[str] = getattr(node, "bound", [])
    if not isinstance(node.ctx, ast.Load) or node.id not in bound or len(bound) < 2:
        return False
    node.id = bound[(bound.index(node.id) + 1) % len(bound)]
    return True


def _negated(node: ast.AST) -> bool:
    if not isinstance(node, ast.If | ast.IfExp):
        return False
    node.test = ast.UnaryOp(ast.Not(), node.test)
    return True


def _call_dropped(node: ast.AST) -> bool:
    for name, value in ast.iter_fields(node):
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and len(value.args) == 1:
            setattr(node, name, value.args[0])
            return True
    return False


def _call_added(node: ast.AST) -> bool:
    if not isinstance(node, ast.Return) or node.value is None:
        return False
    wrapper = ("sorted", "len", "abs")[len(ast.unparse(node.value)) % 3]
    node.value = ast.Call(ast.Name(wrapper, ast.Load()), [node.value], [])
    return True


def _condition_added(node: ast.AST) -> bool:
    if not isinstance(node, ast.comprehension) or not isinstance(node.target, ast.Name):
        return False
    node.ifs.append(ast.Name(node.target.id, ast.Load()))
    return True


def _step_dropped(node: ast.AST) -> bool:
    body = getattr(node, "body", None)
    if not isinstance(body, list) or len(body) < 2:
        return False
    middle = len(body) // 2 - 1
    if isinstance(body[middle], ast.Expr) and isinstance(body[middle].value, ast.Constant):
        return False  # a docstring is no step
    del body[middle]
    return True


def _step_added(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef) or node.name != "f" or not node.args.args:
        return False
    name = node.args.args[0].arg
    step = ("{0} = {0} + {0}", "{0} = {0}[1:]", "{0} = abs({0})", "{0} = sorted({0})")[len(node.body) % 4]
    node.body[:0] = ast.parse(step.format(name)).body
    return True


def _step_moved_out(node: ast.AST) -> bool:
    body = getattr(node, "body", None)
    if not isinstance(body, list):
        return False
    for position, inner in enumerate(body):
        if isinstance(inner, ast.For | ast.While | ast.If) and len(inner.body) > 1 and not inner.orelse:
            body.insert(position + 1, inner.body.pop())
            return True
    return False


ONE_OPERATION: dict[str, Edit] = {
    "operator": ((ast.Compare, ast.BinOp, ast.AugAssign, ast.BoolOp), _operator),
    "constant": (ast.Constant, _constant),
    "function": (ast.Call, _function),
    "operands or arguments swapped": ((ast.BinOp, ast.Call), _swapped),
    "other name": (ast.Name, _other_name),
    "condition negated": ((ast.If, ast.IfExp), _negated),
    "condition added": (ast.comprehension, _condition_added),
    "call dropped": ((ast.expr, ast.stmt), _call_dropped),
    "call added": (ast.Return, _call_added),
    "step dropped": (_BLOCKS, _step_dropped),
    "step added": (ast.FunctionDef, _step_added),
    "step moved out of its block": (_BLOCKS, _step_moved_out),
}


def _bound(tree: ast.Module) -> set[str]:
    """Parameters and names that are assigned to."""
    stored = {n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    return stored | {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)}


def renamed(program: str) -> str:
    """The program with other names for its bindings, except for functions and classes."""
    tree = ast.parse(program)
    others = {name: f"name_{number}" for number, name in enumerate(sorted(_bound(tree)))}
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.arg = others.get(node.arg, node.arg)
        elif isinstance(node, ast.Name):
            node.id = others.get(node.id, node.id)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            node.names = [others.get(name, name) for name in node.names]
        elif isinstance(node, ast.keyword) and node.arg:
            node.arg = others.get(node.arg, node.arg)
    return ast.unparse(tree)


def _reordered(node: ast.AST) -> bool:
    body = getattr(node, "body", None)
    if not isinstance(body, list):
        return False
    for position in range(len(body) - 1):
        first, second = body[position : position + 2]
        if isinstance(first, ast.Assign | ast.AugAssign | ast.Expr) and type(first) is type(second):
            body[position : position + 2] = [second, first]
            return True
    return False


def _flipped(node: ast.AST) -> bool:
    mirror: dict[type[ast.cmpop], type[ast.cmpop]] = {
        ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE, ast.Eq: ast.Eq, ast.NotEq: ast.NotEq,
    }  # fmt: skip
    if not isinstance(node, ast.Compare) or len(node.ops) != 1 or type(node.ops[0]) not in mirror:
        return False
    node.left, node.comparators[0] = node.comparators[0], node.left
    node.ops[0] = mirror[type(node.ops[0])]()
    return True


def _commuted(node: ast.AST) -> bool:
    if not isinstance(node, ast.BinOp) or not isinstance(
        node.op, ast.Add | ast.Mult | ast.BitAnd | ast.BitOr
    ):
        return False
    node.left, node.right = node.right, node.left
    return True


def _spelled_out(node: ast.AST) -> bool:
    body = getattr(node, "body", None)
    if not isinstance(body, list):
        return False
    for position, inner in enumerate(body):
        if isinstance(inner, ast.AugAssign) and isinstance(inner.target, ast.Name):
            read = ast.Name(inner.target.id, ast.Load())
            body[position] = ast.Assign([inner.target], ast.BinOp(read, inner.op, inner.value))
            return True
    return False


def _idle_step(node: ast.AST) -> bool:
    if not isinstance(node, ast.FunctionDef):
        return False
    node.body[:0] = ast.parse("unused = 0").body
    return True


NEAR_COPY: dict[str, Edit] = {
    "statements swapped": (_BLOCKS, _reordered),
    "comparison flipped": (ast.Compare, _flipped),
    "operands swapped": (ast.BinOp, _commuted),
    "assignment spelled out": (_BLOCKS, _spelled_out),
    "idle step added": (ast.FunctionDef, _idle_step),
}
