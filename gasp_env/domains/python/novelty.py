"""Exact novelty: two programs are equal if they differ only in names and formatting (alpha-equivalence).

The normal form of a program omits comments, layout, docstrings, ``pass`` and unused imports. It replaces each
bound name by a number, in order of first occurrence. Two programs with equal forms differ by a one-to-one
renaming only. A name is kept where renaming could change the program's behaviour:

- the entry ``f`` and built-ins, even where a variable has the name of a built-in;
- names of keyword arguments; all parameters, if a call unpacks a dict;
- names in a class body outside its methods: members, fields, annotations;
- functions and classes, if the program reads a ``__name__`` or ``__class__``;
- all names, in a program that inspects itself (``dir``, ``__doc__``, ...); from such a program nothing is
  omitted.

A name may also appear in a text, such as an error message or the repr of an object. That does not make a
renamed copy a new program. A false "duplicate" costs one proposal.

``python -m benchmarks.novelty cruxeval.jsonl humaneval.jsonl``, the 800 programs of CRUXEval and the 164 of HumanEval:
957 forms, 10 equal pairs. None of 17,164 one-operation variants has the form of its original. 943 of 964
renamed copies have it. Of the other 21, 16 have a variable with the name of a built-in.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

#: Nodes that bind or use a name of the program, and the field that holds the name.
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
#: Names that an interactive interpreter adds are excluded, so that a form is the same everywhere.
_FIXED = frozenset(dir(builtins)) - {"_", "display", "get_ipython"} | {"f"}
#: Names by which a program inspects its own names. Two other signs are a name with two leading underscores
#: that is not in `_HARMLESS`, and a text with two underscores in a program that uses one of `_FETCHES`.
_LOOKS = frozenset("* compile dir eval exec globals locals vars".split())
_HARMLESS = frozenset("__class__ __hash__ __init__ __name__ __post_init__ __slots__".split())
_FETCHES = frozenset("attrgetter delattr format format_map getattr hasattr methodcaller setattr".split())
#: Nodes whose lists may hold items that are not nodes.
_MIXED = frozenset({ast.Dict, ast.MatchClass, ast.arguments})
#: Fields that do not affect the form.
_SKIPPED = frozenset("ctx kind type_comment type_ignores".split())


def normal_form(nodes: Sequence[ast.AST]) -> str:
    """The form of a program, given the nodes of its tree level by level (`gasp_env.domains.python.syntax.nodes`).

    A node is written as its type followed by its fields: texts and numbers, a mark for each item of a list,
    the field's name where it is empty. This determines a node's children on the next level, so different
    trees have different forms.
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
    """Written forms of names: a number, in order of first lookup, for a renamed one; else the name's repr."""

    def __init__(self, renamed: set[str]) -> None:
        self._renamed = renamed

    def __missing__(self, name: str) -> str:
        self[name] = f"#{len(self)}" if name in self._renamed else repr(name)
        return self[name]


class _Fields(dict[type[ast.AST], tuple[str, ...]]):
    """The fields of a node type that are part of the form."""

    def __missing__(self, kind: type[ast.AST]) -> tuple[str, ...]:
        self[kind] = tuple(name for name in kind._fields if name not in _SKIPPED)
        return self[kind]


_FIELDS = _Fields()


def _atom(value: object) -> str:
    # hex, because decimal conversion takes quadratic time and Python refuses it beyond 4300 digits.
    return f"int:{value:x}" if type(value) is int else repr(value)


def _imported(alias: ast.alias) -> str:
    """The name that an import binds."""
    return alias.asname or alias.name.partition(".")[0]


def _survey(kinds: Mapping[type[ast.AST], list[Any]]) -> tuple[set[str], set[ast.AST]]:
    """The names that are renamed, and the nodes that are omitted."""
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
    """All names in a class body outside its methods; words of texts too, which may be annotations."""
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
