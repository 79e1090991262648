"""Which scope binds a name, read from a syntax tree (`symtable` would need the text, and parse it again)."""

from __future__ import annotations

import ast
from collections import defaultdict
from dataclasses import dataclass, field

#: Nodes that bind a name, and the field it is in.
NAMED: dict[type[ast.AST], str] = {
    ast.Name: "id",
    ast.arg: "arg",
    ast.FunctionDef: "name",
    ast.AsyncFunctionDef: "name",
    ast.ClassDef: "name",
    ast.ExceptHandler: "name",
    ast.MatchAs: "name",
    ast.MatchStar: "name",
    ast.MatchMapping: "rest",
}
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


@dataclass(eq=False, slots=True)
class Scope:
    """A module, class, function or comprehension.

    Attributes:
        node: what it is the scope of.
        parent: None for the module's.
        sites: the names bound in it, each with the nodes that bind it (a ``del`` is one of them).
        elsewhere: names declared global (True) or nonlocal (False) in it.
    """

    node: ast.AST
    parent: Scope | None
    sites: dict[str, list[ast.AST]] = field(default_factory=lambda: defaultdict(list))
    elsewhere: dict[str, bool] = field(default_factory=dict)

    @property
    def is_class(self) -> bool:
        """Whether only what is directly in it sees what it binds."""
        return isinstance(self.node, ast.ClassDef)


@dataclass(frozen=True)
class Scopes:
    """The scopes of a program.

    Attributes:
        module: the outermost one.
        found: every node of the program that may bind, use or hide a name, with the scope it is in; outer ones first.
        inner: the scopes by the ``id`` of the node each belongs to.
    """

    module: Scope
    found: list[tuple[ast.AST, Scope]]
    inner: dict[int, Scope]

    def binder(self, name: str, scope: Scope) -> Scope | None:
        """The scope whose variable a name means in a scope; None where no one in the program binds it.

        A class's variable may be unset when it is read, and then a global one of its name is read.
        """
        at: Scope | None = scope
        while at is not None and at is not self.module:
            if not at.is_class or at is scope:
                declared = at.elsewhere.get(name)
                if declared:
                    break
                if declared is None and name in at.sites:
                    return at
            at = at.parent
        return self.module if name in self.module.sites else None


def read_scopes(tree: ast.Module) -> Scopes:
    """Find the scopes of a program. Without recursion: model text may nest as deep as the parser allows."""
    module = Scope(tree, None)
    found: list[tuple[ast.AST, Scope]] = []
    inner: dict[int, Scope] = {id(tree): module}
    stack: list[tuple[object, Scope]] = [(tree.body, module)]
    while stack:
        node, scope = stack.pop()
        if isinstance(node, list):
            stack += [(item, scope) for item in reversed(node)]
            continue
        if not isinstance(node, ast.AST) or isinstance(node, ast.expr_context):
            continue
        found.append((node, scope))
        _bind(node, scope)
        within: list[object] = []
        if isinstance(node, _FUNCTIONS):
            outside, within = _function(node)
        elif isinstance(node, ast.ClassDef):
            outside, within = [node.decorator_list, node.bases, node.keywords], [node.body]
        elif isinstance(node, _COMPREHENSIONS):
            outside, within = _comprehension(node)
        elif isinstance(node, ast.arg):
            continue  # its annotation belongs to the scope around the function
        elif isinstance(node, ast.NamedExpr):
            outside = [node.value]
            target = scope
            while isinstance(target.node, _COMPREHENSIONS) and target.parent is not None:
                target = target.parent
            stack.append((node.target, target))
        elif isinstance(node, ast.AnnAssign) and _binds_nothing(node):
            found.append((node.target, scope))
            outside = [node.annotation]
        else:
            outside = list(node.__dict__.values())
        if within:
            inner[id(node)] = Scope(node, scope)
            stack += [(value, inner[id(node)]) for value in reversed(within)]
        stack += [(value, scope) for value in reversed(outside)]
    scopes = Scopes(module, found, inner)
    for scope in inner.values():
        _move_declared(scope, scopes)
    return scopes


def _function(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> tuple[list[object], list[object]]:
    """What of a function is evaluated where it is defined, and what is inside it."""
    arguments = node.args
    own = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    own += [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    outside: list[object] = [arguments.defaults, arguments.kw_defaults, [one.annotation for one in own]]
    if not isinstance(node, ast.Lambda):
        outside += [node.decorator_list, node.returns]
    return outside, [own, node.body]


def _comprehension(
    node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp,
) -> tuple[list[object], list[object]]:
    first, *others = node.generators
    result: list[object] = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
    own = [part for one in others for part in (one.target, one.iter, one.ifs)]
    return [first.iter], [first.target, first.ifs, *own, *result]


def _binds_nothing(node: ast.AnnAssign) -> bool:
    """``(x): int``: in brackets and without a value, it does not even make a variable local."""
    return isinstance(node.target, ast.Name) and not node.simple and node.value is None


def _bind(node: ast.AST, scope: Scope) -> None:
    kind = type(node)
    if kind is ast.Name and isinstance(node.ctx, ast.Load):  # type: ignore[attr-defined]
        return
    if kind in NAMED:
        name = getattr(node, NAMED[kind])
        if name is not None:
            scope.sites[name].append(node)
    elif isinstance(node, ast.alias):
        scope.sites[node.asname or node.name.partition(".")[0]].append(node)
    elif isinstance(node, ast.Global | ast.Nonlocal):
        scope.elsewhere.update(dict.fromkeys(node.names, isinstance(node, ast.Global)))


def _move_declared(scope: Scope, scopes: Scopes) -> None:
    """What a scope binds for another by way of ``global`` or ``nonlocal`` is bound there."""
    if scope is scopes.module:
        return
    for name, is_global in scope.elsewhere.items():
        nodes = scope.sites.pop(name, [])
        around = scope.parent
        while not is_global and around is not None and around.is_class:
            around = around.parent
        owner = scopes.module if is_global or around is None else scopes.binder(name, around)
        if nodes and owner is not None:
            owner.sites[name] += nodes
