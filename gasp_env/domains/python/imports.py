"""Imports that a program forgot: a model writes ``List[int]`` or ``math.gcd`` and leaves the import to its reader.

Only a name that the program binds nowhere, and which would be a NameError, is imported, and only from a module that
programs may import. Answers are executed as they were written, behind the imports that they have in a block of their
own: what they lack is part of their verdict.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Sequence

from gasp_env.domains.python.program import Program
from gasp_env.domains.python.syntax import ParseError

#: Names that mean one thing to a programmer, by module. Common words, as ``count`` or ``log``, are left out.
_MEMBERS = {
    "typing": "Any Callable DefaultDict Deque Dict FrozenSet Generator Iterable Iterator List Mapping NamedTuple "
    "Optional Sequence Set Tuple Union",
    "collections": "Counter OrderedDict defaultdict deque namedtuple",
    "functools": "cmp_to_key lru_cache reduce",
    "itertools": "accumulate combinations groupby permutations zip_longest",
    "math": "ceil factorial floor gcd isqrt sqrt",
    "heapq": "heapify heappop heappush",
    "bisect": "bisect_left bisect_right insort",
}
_MODULE_OF = {name: module for module, names in _MEMBERS.items() for name in names.split()}
_BUILT_IN = frozenset(dir(builtins))
_BINDERS = (
    ast.FunctionDef,
    ast.AsyncFunctionDef,
    ast.ClassDef,
    ast.ExceptHandler,
    ast.MatchAs,
    ast.MatchStar,
)


def with_imports(program: str, allowed: frozenset[str]) -> Program:
    """The program with imports of modules and members in front that it uses and binds nowhere.

    Args:
        program: a program's text; one that cannot be parsed is returned as it is.
        allowed: modules that may be imported.
    """
    read = Program(program)
    try:
        missing = _unbound(read)
        modules = {node.value.id for node in read.every(ast.Attribute) if isinstance(node.value, ast.Name)}
    except ParseError:
        return read
    lines = [f"import {name}" for name in missing if name in allowed & modules]
    members: dict[str, list[str]] = {}
    for name in missing:
        if _MODULE_OF.get(name) in allowed:
            members.setdefault(_MODULE_OF[name], []).append(name)
    lines += [f"from {module} import {', '.join(names)}" for module, names in members.items()]
    return Program("\n".join([*sorted(lines), "", str(read)])) if lines else read


def behind(imports: Sequence[ast.stmt], program: Program) -> Program:
    """The program behind those of some imports that bind a name which it lacks."""
    try:
        missing = set(_unbound(program)) if imports else set()
    except ParseError:
        return program
    needed = [
        ast.unparse(node)
        for node in imports
        if isinstance(node, ast.Import | ast.ImportFrom)
        and {_bound(alias) for alias in node.names} & {*missing, "*"}
    ]
    return Program("\n".join([*dict.fromkeys(needed), "", str(program)])) if needed and missing else program


def _unbound(program: Program) -> list[str]:
    """Names that the program reads and nowhere binds, sorted."""
    if any(alias.name == "*" for alias in program.every(ast.alias)):
        return []
    if any(
        node.module == "__future__" for node in program.every(ast.ImportFrom)
    ):  # nothing may stand before it
        return []
    names = program.every(ast.Name)
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)} | _BUILT_IN
    bound |= {node.arg for node in program.every(ast.arg)}
    bound |= {_bound(alias) for alias in program.every(ast.alias)}
    bound |= {str(node.name) for kind in _BINDERS for node in program.every(kind)}  # type: ignore[attr-defined]
    return sorted({node.id for node in names if isinstance(node.ctx, ast.Load)} - bound)


def _bound(alias: ast.alias) -> str:
    """The name that an import binds."""
    return alias.asname or alias.name.partition(".")[0]
