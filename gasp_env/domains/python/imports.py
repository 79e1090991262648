"""Imports that a program forgot: a model writes ``List[int]`` or ``math.gcd`` and leaves the import to its reader.

Only a name that the program binds nowhere, and which would be a NameError, is imported, and only from a module that
programs may import. Answers are executed as they were written: what they lack is part of their verdict.
"""

from __future__ import annotations

import ast
import builtins

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
    except ParseError:
        return read
    lines = [f"import {name}" for name in missing if name in allowed]
    members: dict[str, list[str]] = {}
    for name in missing:
        if name not in allowed and _MODULE_OF.get(name) in allowed:
            members.setdefault(_MODULE_OF[name], []).append(name)
    lines += [f"from {module} import {', '.join(names)}" for module, names in members.items()]
    return Program("\n".join([*sorted(lines), "", str(read)])) if lines else read


def _unbound(program: Program) -> list[str]:
    """Names that the program reads and nowhere binds, sorted; modules only where an attribute is read of them."""
    if any(alias.name == "*" for alias in program.every(ast.alias)):
        return []
    if any(
        node.module == "__future__" for node in program.every(ast.ImportFrom)
    ):  # nothing may stand before it
        return []
    names = program.every(ast.Name)
    read = {node.id for node in names if isinstance(node.ctx, ast.Load)}
    read &= _MODULE_OF.keys() | {
        node.value.id for node in program.every(ast.Attribute) if isinstance(node.value, ast.Name)
    }
    bound = {node.id for node in names if not isinstance(node.ctx, ast.Load)} | _BUILT_IN
    bound |= {node.arg for node in program.every(ast.arg)}
    bound |= {node.asname or node.name.partition(".")[0] for node in program.every(ast.alias)}
    bound |= {str(node.name) for kind in _BINDERS for node in program.every(kind)}  # type: ignore[attr-defined]
    return sorted(read - bound)
