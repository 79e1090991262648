"""Static rules for programs, checked on the syntax tree without execution.

The sandbox confines hostile programs; these rules keep tasks *reproducible*. A program that reads the
clock, files, the interpreter's frames or another module's state may return one value when it is checked
and another when an attempt is judged by it. So imports are an allow-list, a module may only be used as
``module.name``, and names and attributes that reach the interpreter's internals are refused.

The rules filter accidents and known tricks; they prove nothing, because a list cannot cover every form of
introspection in Python. Verdicts rest on execution.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from gasp_env.domains.python.syntax import ParseError

if TYPE_CHECKING:
    from gasp_env.domains.python.program import Program

#: Deterministic, side-effect free parts of the standard library.
IMPORTS = frozenset(
    "abc bisect collections copy dataclasses decimal enum fractions functools heapq itertools json math operator re "
    "statistics string typing".split()
)
#: Built-ins that reach the host's state or a person at the keyboard, or that bypass the rules about
#: attributes. A function's local variable may have such a name.
BANNED_NAMES = frozenset(
    "breakpoint compile copyright credits delattr eval exec exit getattr globals help input license locals memoryview "
    "open quit setattr vars".split()
)
#: Members of allowed modules that look up attributes by text, evaluate text, or are random.
BANNED_MEMBERS = frozenset(
    "attrgetter methodcaller Formatter get_type_hints ForwardRef make_dataclass getcontext setcontext update_wrapper "
    "wraps singledispatch singledispatchmethod NormalDist".split()
)
#: Attributes with an underscore that belong to the public interface of named tuples.
UNDERSCORED = frozenset("_asdict _fields _make _replace".split())
#: Special names a program may define or use.
SPECIAL = frozenset("__init__ __name__ __post_init__ __slots__ __hash__ __doc__".split())
#: Attributes of generators, coroutines, exceptions and frames that give access to frames and their contents.
FRAMES = frozenset(
    "ag_code ag_frame cr_code cr_frame cr_origin f_back f_builtins f_code f_globals f_locals func_globals gi_code "
    "gi_frame gi_yieldfrom tb_frame tb_next".split()
)
#: Submodules that may be used like modules of their own.
SUBMODULES = frozenset({"collections.abc"})

_IMPORT_STATEMENTS = (ast.Import, ast.ImportFrom)
#: A program of these nodes only needs no check of its scopes, which would parse it again. That check could
#: find just two faults in it: duplicate argument names and an unknown ``__future__`` feature.
_BEYOND_DOUBT = frozenset(
    getattr(ast, name)
    for name in (
        "Module FunctionDef Lambda ClassDef arguments arg Return Assign AugAssign For While If Expr Raise Assert "
        "Try ExceptHandler Pass Break Continue Import ImportFrom alias Name Constant Call keyword Attribute Subscript "
        "Slice Starred List Tuple Dict Set ListComp SetComp DictComp GeneratorExp comprehension IfExp JoinedStr "
        "FormattedValue BinOp UnaryOp BoolOp Compare Add Sub Mult Div FloorDiv Mod Pow MatMult LShift RShift BitAnd "
        "BitOr BitXor Invert Not UAdd USub And Or Eq NotEq Lt LtE Gt GtE Is IsNot In NotIn"
    ).split()
)


@dataclass(frozen=True)
class GateRules:
    """Requirements on a proposal.

    Attributes:
        input_count: least and greatest number of argument tuples of an induction proposal. If they differ, the first
            ones of more are taken, and those on which the program raises are left out while enough remain. If they
            are equal, a proposal has exactly so many. An unguided deduction or abduction proposal has one.
        shown: number of them that an induction prompt shows; the others judge the answer. None: the first half.
        program_chars: greatest length of a program, in characters.
        output_chars: greatest length of one rendered output, in characters. A longer one is refused, never
            cut.
        imports: top-level modules a program may import.
        used: share of any limit that a proposal may use, so that a later
            verdict on the same program does not depend on the machine's load.
    """

    input_count: tuple[int, int] = (6, 12)
    shown: int | None = None
    program_chars: int = 4000
    output_chars: int = 1000
    imports: frozenset[str] = IMPORTS
    used: float = 0.25

    def __post_init__(self) -> None:
        least, greatest = self.input_count
        if not (0 < self.shows(least) < least <= greatest):
            raise ValueError(
                f"expected 0 < shown < least <= greatest number of inputs, got shown {self.shown}, inputs {least} to "
                f"{greatest}: at least one pair must stay hidden to judge the answer"
            )

    def shows(self, count: int) -> int:
        """How many of ``count`` pairs an induction prompt shows."""
        return count // 2 if self.shown is None else self.shown


class Refused(Exception):
    """A program that breaks a rule. ``reason`` is one of the gate's ``RULE_REASONS`` or ``unparsable``."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def check_program(program: Program, imports: frozenset[str]) -> None:
    """Check a program against the rules.

    Raises:
        Refused: ``unparsable``, ``no_entry``, ``no_arguments``, ``banned_import`` or ``banned_name``.
    """
    try:
        tree = program.tree
    except ParseError as error:
        raise Refused("unparsable", str(error)) from None
    entries = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "f"]
    if len(entries) != 1:
        raise Refused("no_entry", f"expected exactly one top-level function f, got {len(entries)}")
    arguments = entries[0].args
    if not (arguments.posonlyargs or arguments.args or arguments.vararg):
        raise Refused("no_arguments", "expected f to take at least one argument")
    modules = _check_imports(program, imports)
    _check_names(program)
    if modules:
        _check_modules(program, modules)


def _check_imports(program: Program, allowed: frozenset[str]) -> dict[str, Any]:
    """Names bound to modules, each with the host's module, or None where the host cannot import it."""
    modules: dict[str, Any] = {}
    if not program.every(ast.alias):
        return modules

    def bind(name: str, module: Any) -> None:
        if modules.setdefault(name, module) is not module:
            raise Refused("banned_import", f"{name} may not stand for two modules")

    for node in program.nodes:
        if isinstance(node, ast.ClassDef) and any(
            isinstance(item, _IMPORT_STATEMENTS) for item in _own(node)
        ):
            raise Refused("banned_import", "nothing may be imported inside a class")
        if isinstance(node, ast.Import):
            for alias in node.names:
                root = _module(alias.name, allowed)
                bind(alias.asname or alias.name.split(".")[0], _load(alias.name) if alias.asname else root)
        elif isinstance(node, ast.ImportFrom) and (node.level or node.module != "__future__"):
            source = node.module or ""
            if node.level:
                raise Refused("banned_import", "relative imports are not possible")
            module = _module(source, allowed)
            for alias in node.names:
                if f"{source}.{alias.name}" in SUBMODULES:
                    bind(alias.asname or alias.name, _load(f"{source}.{alias.name}"))
                elif alias.name == "*" or not _is_public_member(_load(source), alias.name):
                    raise Refused("banned_import", f"{alias.name} may not be imported from {source}")
                elif (alias.asname or alias.name) in modules:
                    bind(alias.asname or alias.name, module)
    return modules


def _own(node: ast.AST) -> Iterator[ast.AST]:
    """A node's descendants, except those inside a function within it."""
    for child in ast.iter_child_nodes(node):
        yield child
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            yield from _own(child)


def _module(name: str, allowed: frozenset[str]) -> Any:
    root, dot, _ = name.partition(".")
    if root not in allowed or (dot and name not in SUBMODULES):
        raise Refused("banned_import", f"{name} may not be imported; allowed: {', '.join(sorted(allowed))}")
    return _load(root)


def _load(name: str) -> Any:
    """The host's copy of an allowed module, which shows the members that are modules themselves."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _is_public_member(module: Any, name: str) -> bool:
    """True if a program may use this member. Of a module unknown to the host, every public name is
    allowed."""
    if name.startswith("_") or name in BANNED_MEMBERS:
        return False
    if not isinstance(module, ModuleType):
        return True
    return hasattr(module, name) and not isinstance(getattr(module, name), ModuleType)


def _check_names(program: Program) -> None:
    names = _names(program)
    refused = [name for name in names if _is_special(name) or name in FRAMES]
    if refused:
        raise Refused("banned_name", f"{min(refused)} may not be used")
    parents: dict[int, ast.AST] = {}
    if "type" in names or any(node.attr == "__class__" for node in program.every(ast.Attribute)):
        parents = {id(child): node for node in program.nodes for child in ast.iter_child_nodes(node)}
    for node in program.every(ast.Attribute):
        name = node.attr
        if name in FRAMES or (name.startswith("_") and not _may_be_fetched(node, parents)):
            raise Refused("banned_name", f"{name} may not be used")
    for use in program.every(ast.Name):
        if use.id == "type" and not _asks_for_type(use, parents):
            raise Refused(
                "banned_name", "type may only be compared, or asked for its __name__: type(x) is int"
            )
    names |= {node.name for node in program.every(ast.FunctionDef)}
    names |= {node.name for node in program.every(ast.ClassDef)}
    names |= {node.name.partition(".")[0] for node in program.every(ast.alias)}
    if BANNED_NAMES.isdisjoint(names) and _is_beyond_doubt(program):
        return
    try:
        scopes = program.scopes
    except ParseError as error:
        raise Refused("unparsable", str(error)) from None
    for scope in scopes:
        for symbol in scope.get_symbols():
            local = scope.get_type() == "function" and not symbol.is_global()
            if symbol.get_name() in BANNED_NAMES and not local:
                raise Refused("banned_name", f"{symbol.get_name()} may not be used")


def _is_beyond_doubt(program: Program) -> bool:
    """True if a parsed program's scopes need no check, see `_BEYOND_DOUBT`."""
    if not program.kinds.keys() <= _BEYOND_DOUBT:
        return False
    for node in program.every(ast.arguments):
        names = [one.arg for one in (*node.posonlyargs, *node.args, *node.kwonlyargs)]
        names += [one.arg for one in (node.vararg, node.kwarg) if one is not None]
        if len(set(names)) < len(names):
            return False
    return all(node.module != "__future__" for node in program.every(ast.ImportFrom))


def _names(program: Program) -> set[str]:
    """Names that a program uses or binds, except names of its definitions and its imports."""
    names = {node.id for node in program.every(ast.Name)} | {node.arg for node in program.every(ast.arg)}
    names |= {node.asname for node in program.every(ast.alias) if node.asname}
    names |= {node.name for node in program.every(ast.ExceptHandler) if node.name}
    names |= {node.name for node in program.every(ast.MatchAs) if node.name}
    names |= {node.name for node in program.every(ast.MatchStar) if node.name}
    for node in program.every(ast.MatchClass):
        names |= set(node.kwd_attrs)
    return names


def _is_special(name: str) -> bool:
    return name.startswith("__") and name.endswith("__") and bool(name.strip("_")) and name not in SPECIAL


def _may_be_fetched(node: ast.Attribute, parents: dict[int, ast.AST]) -> bool:
    """True if a program may use this attribute, whose name begins with an underscore."""
    if node.attr in SPECIAL:
        return True
    if node.attr == "__class__":
        # ``x.__class__.__name__`` is the only safe use.
        use = parents[id(node)]
        return isinstance(use, ast.Attribute) and use.attr == "__name__"
    own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
    return not _is_special(node.attr) and (own or node.attr in UNDERSCORED)


def _asks_for_type(node: ast.Name, parents: dict[int, ast.AST]) -> bool:
    call = parents[id(node)]
    if not (isinstance(call, ast.Call) and call.func is node and len(call.args) == 1 and not call.keywords):
        return False
    use = parents[id(call)]
    return isinstance(use, ast.Compare) or (isinstance(use, ast.Attribute) and use.attr == "__name__")


def _check_modules(program: Program, modules: dict[str, Any]) -> None:
    """Check that modules are used as ``module.name`` only, with a public name that is no module itself."""
    inner = {id(node.value) for node in program.every(ast.Attribute)}
    for name in program.every(ast.Name):
        if name.id in modules and id(name) not in inner:
            raise Refused("banned_import", f"the module {name.id} may only be used as {name.id}.name")
    for node in program.every(ast.Attribute):
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
            if not submodule and not _is_public_member(value, attribute):
                raise Refused("banned_import", f"{dotted} may not be used")
            value = member if member is not None else object()
