"""When two programs count as the same: exactly, up to how they are written."""

from __future__ import annotations

import ast
import functools
import importlib

from gasp_env.domains.python.rules import IMPORTS, SUBMODULES
from gasp_env.domains.python.scopes import NAMED, Scope, Scopes, read_scopes
from gasp_env.domains.python.visible import Visible

_SKIPPED = frozenset({"type_comment", "kind", "type_ignores", "ctx"})
_FIELDS: dict[type[ast.AST], tuple[str, ...]] = {}


def normal_form(tree: ast.Module) -> str:
    """A program up to formatting, comments, docstrings, ``pass``, imports it never uses, and other names.

    A variable is renamed scope by scope, and only where what it is called cannot change what the program does
    (`gasp_env.domains.python.visible`): programs with one normal form do the same. The entry remains ``f``.

    Walks without recursion: model text may nest as deep as the parser allows.
    """
    scopes = read_scopes(tree)
    writer = _Writer(scopes, Visible(scopes))
    return " ".join(writer.write(tree))


class _Writer:
    """Writes the normal form of one program."""

    def __init__(self, scopes: Scopes, visible: Visible) -> None:
        self._scopes, self._visible = scopes, visible
        self._where: dict[int, Scope] = {id(node): scope for node, scope in scopes.found}
        self._numbers: dict[tuple[Scope, str], str] = {}
        self._keyword_names: dict[int, str] = {}
        self._dropped: set[int] = set()
        for node, scope in scopes.found:
            if visible.reflective:
                break  # what is first may be a docstring
            if isinstance(node, ast.Pass) or (
                isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            ):
                self._dropped.add(id(node))
            elif isinstance(node, ast.Import | ast.ImportFrom) and not scope.is_class:
                unused = [
                    one for one in node.names if _has_no_effect(node, one) and visible.unused(one, scope)
                ]
                self._dropped.update(map(id, unused if len(unused) < len(node.names) else [node]))

    def write(self, tree: ast.Module) -> list[str]:
        parts: list[str] = []
        stack: list[object] = [tree]
        while stack:
            node = stack.pop()
            if isinstance(node, ast.AST):
                kind = type(node)
                parts.append(kind.__name__)
                if kind is ast.Constant:
                    parts.append(_atom(node.value))  # type: ignore[attr-defined]
                    continue
                names, skipped = self._names(node)
                parts += names
                stack += [getattr(node, name, None) for name in _fields(kind) if name != skipped]
            elif isinstance(node, list):
                kept = [item for item in node if id(item) not in self._dropped]
                parts.append(f"[{len(kept)}")
                stack.extend(reversed(kept))
            else:
                parts.append(_atom(node))
        return parts

    def _names(self, node: ast.AST) -> tuple[list[str], str]:
        """The names in a node, and the field they are in, which is written by that."""
        field = NAMED.get(type(node))
        if field is not None:
            name = getattr(node, field)
            return [self._name(name, self._where[id(node)]) if name is not None else "None"], field
        if isinstance(node, ast.Call):
            function = self._visible.called(node, self._where[id(node)]) if node.keywords else None
            if function is not None:
                for keyword in node.keywords:
                    if keyword.arg is not None and _takes(function.node, keyword.arg):
                        self._keyword_names[id(keyword)] = self._name(keyword.arg, function)
        elif isinstance(node, ast.keyword):
            return [self._keyword_names.get(id(node), _atom(node.arg))], "arg"
        elif isinstance(node, ast.Global | ast.Nonlocal):
            scope = self._where[id(node)]
            return [str(len(node.names)), *(self._name(name, scope) for name in node.names)], "names"
        elif isinstance(node, ast.alias):
            bound = node.asname or node.name.partition(".")[0]
            submodule = "." in node.name and node.asname is not None
            name = "*" if bound == "*" else self._name(bound, self._where[id(node)])
            return [str(submodule), name], "asname"
        return [], ""

    def _name(self, name: str, scope: Scope) -> str:
        owner = self._scopes.binder(name, scope)
        if owner is None or not self._visible.renamable(owner, name):
            return repr(name)
        return self._numbers.setdefault((owner, name), f"#{len(self._numbers)}")


def _fields(kind: type[ast.AST]) -> tuple[str, ...]:
    """The fields that are written, the last one first."""
    if kind not in _FIELDS:
        _FIELDS[kind] = tuple(name for name in reversed(kind._fields) if name not in _SKIPPED)
    return _FIELDS[kind]


def _takes(function: ast.AST, name: str) -> bool:
    """Whether a function has an argument that can be given by this name."""
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    return any(one.arg == name for one in (*function.args.args, *function.args.kwonlyargs))


def _has_no_effect(node: ast.Import | ast.ImportFrom, alias: ast.alias) -> bool:
    """Whether an import is known to succeed, and to do nothing but bind a name."""
    if isinstance(node, ast.Import):
        return alias.name in IMPORTS | SUBMODULES
    return node.module is not None and not node.level and _has_member(node.module, alias.name)


@functools.lru_cache(maxsize=4096)
def _has_member(module: str, name: str) -> bool:
    if module not in IMPORTS | SUBMODULES:
        return False
    return hasattr(importlib.import_module(module), name)


def _atom(value: object) -> str:
    # hex: decimal text of a long integer is quadratic, and refused beyond 4300 digits.
    return f"int:{value:x}" if isinstance(value, int) and not isinstance(value, bool) else repr(value)
