"""What a program's text tells: rules that need no execution.

The sandbox is what keeps a hostile program from harm; these rules keep tasks *reproducible*. A program
that reaches the clock, files, the interpreter's frames or another module's state may return one value
today and another in the attempt that is judged by it. So imports are an allow-list, a module may only be
used as ``module.name``, and names and attributes that lead to the interpreter itself are refused.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from gasp_env.parsing import ParseError, parse_program

#: Deterministic, side-effect free parts of the standard library.
IMPORTS = frozenset(
    "bisect collections copy dataclasses decimal enum fractions functools heapq itertools json math operator re "
    "statistics string typing".split()
)
#: Ways to the host's state, to a person at the keyboard, or around the rules about attributes.
BANNED_NAMES = frozenset(
    "breakpoint compile delattr eval exec exit getattr globals help input locals memoryview open quit setattr "
    "vars".split()
)
#: Members of allowed modules that fetch attributes by text, or evaluate it.
BANNED_MEMBERS = frozenset(
    "attrgetter methodcaller Formatter get_type_hints ForwardRef make_dataclass getcontext setcontext".split()
)
#: Special names a program may define or use.
SPECIAL = frozenset("__init__ __name__ __post_init__ __slots__ __hash__ __doc__".split())
#: Attributes that lead from a generator, coroutine or exception to the frames around it.
FRAMES = frozenset(
    "ag_code ag_frame cr_code cr_frame cr_origin f_back f_builtins f_code f_globals f_locals func_globals gi_code "
    "gi_frame gi_yieldfrom tb_frame tb_next".split()
)
#: Submodules that may be used like modules of their own.
SUBMODULES = frozenset({"collections.abc"})

#: What a program may use and still be known to keep nothing from one call to the next.
_PURE_BUILTINS = frozenset(
    "abs all any bin bool chr dict divmod enumerate filter float frozenset hex int isinstance len list map max min oct "
    "ord pow range reversed round set slice sorted str sum tuple zip ValueError TypeError IndexError KeyError "
    "Exception StopIteration ZeroDivisionError".split()
)
_PURE_METHODS = frozenset(
    "add append capitalize clear copy count difference discard endswith extend find get index insert intersection "
    "isalnum isalpha isdigit islower isspace issubset issuperset isupper items join keys ljust lower lstrip partition "
    "pop popitem remove removeprefix removesuffix replace reverse rfind rindex rjust rsplit rstrip setdefault sort "
    "split splitlines startswith strip swapcase symmetric_difference title union update upper values zfill".split()
)


class Refused(Exception):
    """A program that breaks a rule. ``reason`` is one of `gasp_env.gate.RULE_REASONS` or ``unparsable``."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def check_program(program: str, imports: frozenset[str]) -> ast.Module:
    """Parse a program and check it against the rules.

    Raises:
        Refused: ``unparsable``, ``no_entry``, ``no_arguments``, ``banned_import`` or ``banned_name``.
    """
    try:
        tree = parse_program(program)
    except ParseError as error:
        raise Refused("unparsable", str(error)) from None
    entries = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "f"]
    if len(entries) != 1:
        raise Refused("no_entry", f"expected exactly one top-level function f, got {len(entries)}")
    arguments = entries[0].args
    if not (arguments.posonlyargs or arguments.args or arguments.vararg):
        raise Refused("no_arguments", "expected f to take at least one argument")
    modules = _check_imports(tree, imports)
    _check_names(tree)
    _check_modules(tree, modules)
    return tree


def keeps_nothing(tree: ast.Module) -> bool:
    """Whether a program evidently keeps no state between calls of ``f``.

    True only for one plain function of local names, common built-ins and ordinary methods: then all
    that survives a call is the function itself. False says nothing.
    """
    if len(tree.body) != 1 or not isinstance(tree.body[0], ast.FunctionDef):
        return False
    function = tree.body[0]
    if function.decorator_list or function.args.defaults or any(function.args.kw_defaults):
        return False
    local = {node.arg for node in ast.walk(function) if isinstance(node, ast.arg)}
    local |= {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    # The function may call itself, and do nothing else with itself: it is where state could be put.
    called = {id(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
    for node in ast.walk(function):
        if isinstance(
            node, ast.Global | ast.Nonlocal | ast.Import | ast.ImportFrom | ast.ClassDef | ast.Match
        ):
            return False
        if isinstance(node, ast.Attribute) and node.attr not in _PURE_METHODS:
            return False
        calls_itself = isinstance(node, ast.Name) and node.id == "f" and id(node) in called
        if isinstance(node, ast.Name) and node.id not in local | _PURE_BUILTINS and not calls_itself:
            return False
    return "f" not in local


def _check_imports(tree: ast.Module, allowed: frozenset[str]) -> dict[str, Any]:
    """Names bound to modules, with the module as it is here, or None where it cannot be imported."""
    modules: dict[str, Any] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = _module(alias.name, allowed)
                modules[alias.asname or alias.name.split(".")[0]] = (
                    _load(alias.name) if alias.asname else root
                )
        elif isinstance(node, ast.ImportFrom):
            source = node.module or ""
            if node.level:
                raise Refused("banned_import", "relative imports are not possible")
            _module(source, allowed)
            for alias in node.names:
                member = getattr(_load(source), alias.name, None)
                if f"{source}.{alias.name}" in SUBMODULES:
                    modules[alias.asname or alias.name] = _load(f"{source}.{alias.name}")
                elif alias.name == "*" or not _is_public_member(alias.name, member):
                    raise Refused("banned_import", f"{alias.name} may not be imported from {source}")
    return modules


def _module(name: str, allowed: frozenset[str]) -> Any:
    root, dot, _ = name.partition(".")
    if root not in allowed or (dot and name not in SUBMODULES):
        raise Refused("banned_import", f"{name} may not be imported; allowed: {', '.join(sorted(allowed))}")
    return _load(root)


def _load(name: str) -> Any:
    """An allowed module as it is on this side, to see which of its members are modules again."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _is_public_member(name: str, member: Any) -> bool:
    return not (name.startswith("_") or name in BANNED_MEMBERS or isinstance(member, ModuleType))


def _check_names(tree: ast.Module) -> None:
    for node in ast.walk(tree):
        for name, is_attribute in _names(node):
            special = name.startswith("__") and name.endswith("__") and name not in SPECIAL
            if special or name in (FRAMES if is_attribute else BANNED_NAMES):
                raise Refused("banned_name", f"{name} may not be used")
        if _makes_type(node):
            raise Refused("banned_name", "type may only be asked for the type of a value")


def _makes_type(node: ast.AST) -> bool:
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "type"
    return is_call and isinstance(node, ast.Call) and (len(node.args) != 1 or bool(node.keywords))


def _names(node: ast.AST) -> Iterator[tuple[str, bool]]:
    """Names a node uses, and whether as attributes."""
    if isinstance(node, ast.Name):
        yield node.id, False
    elif isinstance(node, ast.Attribute):
        yield node.attr, True
    elif isinstance(node, ast.MatchClass):
        yield from ((name, True) for name in node.kwd_attrs)
    elif isinstance(node, ast.MatchAs | ast.MatchStar | ast.ExceptHandler) and node.name:
        yield node.name, False
    elif isinstance(node, ast.alias):
        yield node.asname or "", False
    elif isinstance(node, ast.arg):
        yield node.arg, False


def _check_modules(tree: ast.Module, modules: dict[str, Any]) -> None:
    """A module is only ever used as ``module.name``, where the name is public and no module itself."""
    inner = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in modules and id(node) not in inner:
            raise Refused("banned_import", f"the module {node.id} may only be used as {node.id}.name")
        if not isinstance(node, ast.Attribute):
            continue
        path: list[str] = []
        base: ast.expr = node
        while isinstance(base, ast.Attribute):
            path.append(base.attr)
            base = base.value
        if not isinstance(base, ast.Name) or base.id not in modules:
            continue
        value, dotted = modules[base.id], base.id
        for left, attribute in reversed(list(enumerate(path))):
            if not isinstance(value, ModuleType) and value is not None:
                break
            member = getattr(value, attribute, None)
            dotted = f"{dotted}.{attribute}"
            submodule = (
                isinstance(member, ModuleType) and dotted in SUBMODULES and (left or id(node) in inner)
            )
            if not submodule and not _is_public_member(attribute, member):
                raise Refused("banned_import", f"{dotted} may not be used")
            value = member if member is not None else object()
