"""When two programs count as the same: exactly, up to how they are written.

The normal form of a program leaves out comments, layout, docstrings, ``pass`` and imports that are never used, and
numbers the names it binds in the order in which they come. Two programs of one form are one program with its names
exchanged one for one, everywhere. So a name is left as it is where that exchange could change what happens:

- the entry ``f`` and built-ins, even where a variable is called like one;
- names given as keywords; all parameters, if a call unpacks a dict;
- what a class body names outside its methods: members, fields, annotations;
- functions and classes, if something asks for a ``__name__`` or ``__class__``;
- everything, in a program that looks at itself (``dir``, ``__doc__``, ...); of that nothing is left out either.

A name that only gets into a text (of an error, or of an object of a class) makes no other program: a copy does not
become a task by saying its new names. A false "duplicate" costs one proposal.

``python -m benchmarks.novelty cruxeval.jsonl humaneval.jsonl``, the 800 programs of CRUXEval and the 164 of HumanEval:
957 forms, 10 equal pairs; none of 17,164 variants by one operation has the form of its original; 943 of 964 copies
with other names have it. Of the other 21, 16 have a variable that is called like a built-in.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

#: Nodes that name something of the program's own, and the field the name is in.
_NAMED: dict[type[ast.AST], str] = {
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
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
#: Without what an interactive interpreter adds: a form is the same everywhere.
_FIXED = frozenset(dir(builtins)) - {"_", "display", "get_ipython"} | {"f"}
#: By these a program sees its names. So it does by a name that begins with two underscores, unless it is harmless, and
#: by a text with two underscores where members are fetched by text.
_LOOKS = frozenset("* compile dir eval exec globals locals vars".split())
_HARMLESS = frozenset("__class__ __hash__ __init__ __name__ __post_init__ __slots__".split())
_FETCHES = frozenset("attrgetter delattr format format_map getattr hasattr methodcaller setattr".split())
#: Nodes in whose lists there may be something else than nodes.
_MIXED = frozenset({ast.Dict, ast.MatchClass, ast.arguments})
#: Fields that make no difference.
_SKIPPED = frozenset("ctx kind type_comment type_ignores".split())


def normal_form(nodes: Sequence[ast.AST]) -> str:
    """The form of a program, given the nodes of its tree level by level (`gasp_env.domains.python.syntax.nodes`).

    A node is written as its type, and then field by field: texts and numbers, a sign for each item of a list, the
    field's name where it is empty. That tells which nodes further down belong to it: no two trees are written alike.
    """
    kinds: dict[type[ast.AST], list[Any]] = defaultdict(list)
    for node in nodes:
        kinds[type(node)].append(node)
    renamed, dropped = _survey(kinds)
    names = _Names(renamed)
    parts: list[str] = []
    for node in nodes:
        if node in dropped:
            continue
        kind = type(node)
        parts.append(kind.__name__)
        if isinstance(node, ast.Name):
            parts.append(names[node.id])
        elif isinstance(node, ast.Constant):
            parts.append(_atom(node.value))
        elif isinstance(node, ast.alias):
            submodule = node.asname is not None and "." in node.name
            parts.append(f"{node.name} {submodule} {names[_imported(node)]}")
        elif isinstance(node, (ast.Global, ast.Nonlocal)):
            parts.append(" ".join(names[name] for name in node.names))
        else:
            named = _NAMED.get(kind)
            for field in _FIELDS[kind]:
                value = getattr(node, field, None)
                if isinstance(value, ast.AST):
                    continue
                if value is None:
                    parts.append("-" + field)
                elif type(value) is not list:
                    parts.append(names[value] if field == named else _atom(value))
                elif kind in _MIXED:
                    parts.append(" ".join("+" if isinstance(item, ast.AST) else repr(item) for item in value))
                else:
                    parts.append(str(sum(item not in dropped for item in value) if dropped else len(value)))
    return "\n".join(parts)


class _Names(dict[str, str]):
    """How names are written: those to be renamed by a number, in the order in which they are asked for."""

    def __init__(self, renamed: set[str]) -> None:
        self._renamed = renamed

    def __missing__(self, name: str) -> str:
        self[name] = f"#{len(self)}" if name in self._renamed else repr(name)
        return self[name]


class _Fields(dict[type[ast.AST], tuple[str, ...]]):
    """The fields of a kind of node that are written."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        self[kind] = tuple(name for name in kind._fields if name not in _SKIPPED)
        return self[kind]


_FIELDS = _Fields()


def _atom(value: object) -> str:
    # hex: decimal text of a long integer is quadratic, and refused beyond 4300 digits.
    return f"int:{value:x}" if type(value) is int else repr(value)


def _imported(alias: ast.alias) -> str:
    """The name an import binds."""
    return alias.asname or alias.name.partition(".")[0]


def _survey(kinds: Mapping[type[ast.AST], list[Any]]) -> tuple[set[str], set[ast.AST]]:
    """The names that are renamed, and the nodes that are left out."""
    imports = kinds.get(ast.alias, [])
    names = {node.id for node in kinds.get(ast.Name, ())}
    attributes = {node.attr for node in kinds.get(ast.Attribute, ())}
    texts = [node.value for node in kinds.get(ast.Constant, ()) if type(node.value) is str]
    outer = names | {node.name for node in imports}
    seen = outer | attributes
    if (
        not _LOOKS.isdisjoint(outer)
        or any(name.startswith("__") and name not in _HARMLESS for name in seen)
        or (not _FETCHES.isdisjoint(seen) and any("__" in text for text in texts))
    ):
        return set(), set()

    bound = {node.id for node in kinds.get(ast.Name, ()) if not isinstance(node.ctx, ast.Load)}
    bound |= {_imported(node) for node in imports}
    for kind in kinds.keys() & _NAMED.keys() - {ast.Name}:
        bound |= {getattr(node, _NAMED[kind]) for node in kinds[kind]}
    kept = {node.arg for node in kinds.get(ast.keyword, ())}
    if None in kept:
        kept |= {node.arg for node in kinds.get(ast.arg, ())}
    for node in kinds.get(ast.ClassDef, ()):
        kept |= _members(node)
    if not attributes.isdisjoint(("__name__", "__class__")):
        kept |= {node.name for kind in (*_FUNCTIONS, ast.ClassDef) for node in kinds.get(kind, ())}

    dropped: set[ast.AST] = set(kinds.get(ast.Pass, ()))
    for node in kinds.get(ast.Expr, ()):
        if isinstance(node.value, ast.Constant):
            dropped |= {node, node.value}
    used = names | kept
    for node in (*kinds.get(ast.Global, ()), *kinds.get(ast.Nonlocal, ())):
        used |= set(node.names)
    for node in (*kinds.get(ast.Import, ()), *kinds.get(ast.ImportFrom, ())):
        if getattr(node, "module", None) != "__future__":
            unused = {one for one in node.names if _imported(one) not in used}
            dropped |= unused if len(unused) < len(node.names) else {node, *unused}
    return {name for name in bound - kept - _FIXED if name and not name.startswith("__")}, dropped


def _members(node: ast.ClassDef) -> set[str]:
    """Whatever the body of a class names, except inside methods; words of texts too, which may be annotations."""
    found: set[str] = set()
    stack: list[ast.AST] = list(node.body)
    while stack:
        inner = stack.pop()
        if type(inner) in _NAMED:
            found.add(getattr(inner, _NAMED[type(inner)]))
        elif isinstance(inner, ast.alias):
            found.add(_imported(inner))
        elif isinstance(inner, ast.Constant) and isinstance(inner.value, str):
            found.update(re.findall(r"\w+", inner.value))
        if not isinstance(inner, (*_FUNCTIONS, ast.Expr)):
            stack += ast.iter_child_nodes(inner)
    return found
