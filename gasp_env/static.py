"""What a program's text tells: rules that need no execution.

The sandbox is what keeps a hostile program from harm; these rules keep tasks *reproducible*. A program
that reaches the clock, files, the interpreter's frames or another module's state may return one value
today and another in the attempt that is judged by it. So imports are an allow-list, a module may only be
used as ``module.name``, and names and attributes that lead to the interpreter itself are refused.

This is a filter against accidents and the tricks we know of, not a proof: Python has more ways to itself
than a list can hold. What a verdict rests on is what was executed.
"""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import re
import symtable
from collections.abc import Iterable, Iterator, Sequence
from types import ModuleType
from typing import Any

from gasp_env.parsing import ParseError, read_program

#: Deterministic, side-effect free parts of the standard library.
IMPORTS = frozenset(
    "abc bisect collections copy dataclasses decimal enum fractions functools heapq itertools json math operator re "
    "statistics string typing".split()
)
#: Ways to the host's state, to a person at the keyboard, or around the rules about attributes; where a
#: function has a variable of that name, it is the variable that is meant.
BANNED_NAMES = frozenset(
    "breakpoint compile copyright credits delattr eval exec exit getattr globals help input license locals memoryview "
    "open quit setattr vars".split()
)
#: Members of allowed modules that fetch attributes by text, evaluate it, or are random.
BANNED_MEMBERS = frozenset(
    "attrgetter methodcaller Formatter get_type_hints ForwardRef make_dataclass getcontext setcontext update_wrapper "
    "wraps singledispatch singledispatchmethod NormalDist".split()
)
#: Attributes with an underscore that are part of a public interface: named tuples'.
UNDERSCORED = frozenset("_asdict _fields _make _replace".split())
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
    "StopIteration ZeroDivisionError".split()
)
_PURE_METHODS = frozenset(
    "add append capitalize clear copy count difference discard endswith extend find get index insert intersection "
    "isalnum isalpha isdigit islower isspace issubset issuperset isupper items join keys ljust lower lstrip partition "
    "pop popitem remove removeprefix removesuffix replace reverse rfind rindex rjust rsplit rstrip setdefault sort "
    "split splitlines startswith strip swapcase symmetric_difference title union update upper values zfill".split()
)
#: What else a name may find that the program does not define; the last ones are there in an interpreter only that has
#: imported ``site``. The names with two underscores are checked by that.
_OTHER_BUILTINS = (
    frozenset(dir(builtins)) | frozenset("copyright credits exit help license quit".split())
) - _PURE_BUILTINS
#: For `is_plain`: what it does not deal with, whole lines of comment, the head of a function without defaults, lines
#: that are not indented, words, and members with whether they are called at once.
_NOT_SIMPLE = re.compile(r"[^\n -~]|\\|:=|__|\"\"\"|'''|\d[A-Za-z_]")
_COMMENT_LINE = re.compile(r"^ *#.*$", re.MULTILINE)
_HEAD = re.compile(r"\n*def ([a-z]\w*)\([\w\s,*:.|\[\]]*\)(?: *->[\w\s,.|\[\]]*)?:")
_TOP_LINE = re.compile(r"^[^ \n]", re.MULTILINE)
_WORD = re.compile(r"[A-Za-z_]\w*")
_MEMBER = re.compile(r"\.\s*([A-Za-z_#]\w*)(\s*\()?")
_DOUBTFUL_WORDS = _OTHER_BUILTINS | frozenset("class global import match nonlocal try".split())
_NOT_PLAIN = (ast.Global, ast.Nonlocal, ast.Import, ast.ImportFrom, ast.ClassDef, ast.Match)

_IMPORT_STATEMENTS = (ast.Import, ast.ImportFrom)


class Refused(Exception):
    """A program that breaks a rule. ``reason`` is one of `gasp_env.gate.RULE_REASONS` or ``unparsable``."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def check_program(program: str, imports: frozenset[str]) -> tuple[ast.Module, list[ast.AST]]:
    """Parse a program and check it against the rules.

    Returns:
        Its syntax tree and the nodes of that, see `gasp_env.parsing.nodes`.

    Raises:
        Refused: ``unparsable``, ``no_entry``, ``no_arguments``, ``banned_import`` or ``banned_name``.
    """
    try:
        tree, nodes = read_program(program)
    except ParseError as error:
        raise Refused("unparsable", str(error)) from None
    entries = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "f"]
    if len(entries) != 1:
        raise Refused("no_entry", f"expected exactly one top-level function f, got {len(entries)}")
    arguments = entries[0].args
    if not (arguments.posonlyargs or arguments.args or arguments.vararg):
        raise Refused("no_arguments", "expected f to take at least one argument")
    modules = _check_imports(nodes, imports)
    _check_names(nodes, program)
    if modules:
        _check_modules(nodes, modules)
    return tree, nodes


@functools.lru_cache(maxsize=4096)
def may_keep_state(program: str) -> bool:
    """Whether a call of the entry might find what an earlier call left behind; False only where none can."""
    if is_plain(program):
        return False
    try:
        return not keeps_nothing(read_program(program)[1], program)
    except (ParseError, Refused):
        return True


def is_plain(program: str) -> bool:
    """Whether the words of a text tell that it keeps nothing (see `keeps_nothing`), if it is a program at all.

    Most attempts are judged so, for a tenth of what a syntax tree takes. Words in strings and comments count as if
    they were used, so that nothing can be hidden by them; False says nothing.
    """
    # Then a name is written as it is read, and a line neither begins inside a string nor goes on after its end.
    if _NOT_SIMPLE.search(program):
        return False
    program = _COMMENT_LINE.sub("", program)
    head = _HEAD.match(program)
    # All other lines are indented, and so part of the one function. Nothing is bound in its head.
    if head is None or len(_TOP_LINE.findall(program)) != 1:
        return False
    if not _DOUBTFUL_WORDS.isdisjoint(_WORD.findall(program)):
        return False
    if any(name not in _PURE_METHODS or not call for name, call in _MEMBER.findall(program)):
        return False
    return re.search(rf"\b{head[1]}\b(?![ ]*\(|['\"])", program) is None


def keeps_nothing(nodes: Sequence[ast.AST], program: str) -> bool:
    """Whether a program evidently keeps no state between calls of its function.

    True only for one plain function of variables, common built-ins and ordinary methods: then all
    that survives a call is the function itself. A name that nobody defines is as good: it raises an
    exception that such a program cannot catch. False says nothing.

    Args:
        nodes: of the program's syntax tree, see `gasp_env.parsing.nodes`.
        program: its text.
    """
    tree = nodes[0]
    if (
        not isinstance(tree, ast.Module)
        or len(tree.body) != 1
        or not isinstance(tree.body[0], ast.FunctionDef)
    ):
        return False
    function = tree.body[0]
    if function.decorator_list or function.args.defaults or any(function.args.kw_defaults):
        return False
    # What is bound in an annotation is a variable of the module.
    if ":=" in program and any(isinstance(node, ast.NamedExpr) for node in _signature(function)):
        return False
    names: set[str] = set()
    mentioned = called = 0
    for node in nodes:
        if isinstance(node, ast.Name):
            names.add(node.id)
            # The function may call itself, and do nothing else with itself: it is where state could be put.
            mentioned += node.id == function.name
        elif isinstance(node, ast.Call):
            called += isinstance(node.func, ast.Name) and node.func.id == function.name
        elif isinstance(node, ast.Attribute):
            if node.attr not in _PURE_METHODS or not isinstance(node.ctx, ast.Load):
                return False
        # Memory is what calls share even so: who survives its end can tell that another call was before.
        elif isinstance(node, ast.Try | ast.TryStar):
            if node.finalbody or any(handler.type is None for handler in node.handlers):
                return False
        elif isinstance(node, _NOT_PLAIN):
            return False
    if mentioned != called:
        return False
    doubtful = {name for name in names if name in _OTHER_BUILTINS or name.startswith("__")}
    # A variable may well be called like a built-in. Who is meant takes a closer look.
    return not doubtful or not any(
        symbol.is_global() and symbol.get_name() in doubtful
        for scope in _scopes(program)[1:]
        for symbol in scope.get_symbols()
    )


def _signature(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """What of a function is evaluated when it is defined, decorators aside."""
    for part in (function.args, function.returns, *getattr(function, "type_params", ())):
        if part is not None:
            yield from ast.walk(part)


def _scopes(program: str) -> list[symtable.SymbolTable]:
    """The module's scope, then all scopes inside it.

    Raises:
        Refused: see `_module_scope`.
    """
    scopes = [_module_scope(program)]
    for scope in scopes:
        scopes += scope.get_children()
    return scopes


def _module_scope(program: str) -> symtable.SymbolTable:
    """The module's scope.

    Raises:
        Refused: ``unparsable``: it parses, but is no program (``return`` outside of a function, say).
    """
    try:
        return symtable.symtable(program, "<program>", "exec")
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Refused("unparsable", f"{type(error).__name__}: {error}") from None


def _may_name(program: str, words: Iterable[str]) -> bool:
    """Whether any of these may be a name in a program. Only names in other than ASCII letters stand for names that
    the text does not have."""
    return not program.isascii() or any(word in program for word in words)


def _check_imports(nodes: Sequence[ast.AST], allowed: frozenset[str]) -> dict[str, Any]:
    """Names bound to modules, with the module as it is here, or None where it cannot be imported."""
    modules: dict[str, Any] = {}

    def bind(name: str, module: Any) -> None:
        if modules.setdefault(name, module) is not module:
            raise Refused("banned_import", f"{name} may not stand for two modules")

    for node in nodes:
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
    """What is inside a node, but not inside a function in it."""
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
    """An allowed module as it is on this side, to see which of its members are modules again."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


def _is_public_member(module: Any, name: str) -> bool:
    """Whether a module has a member of this name that may be used; of a module unknown here, all but private ones."""
    if name.startswith("_") or name in BANNED_MEMBERS:
        return False
    if not isinstance(module, ModuleType):
        return True
    return hasattr(module, name) and not isinstance(getattr(module, name), ModuleType)


def _check_names(nodes: Sequence[ast.AST], program: str) -> None:
    parents: dict[int, ast.AST] = {}
    if _may_name(program, ("type", "__class__")):
        parents = {id(child): node for node in nodes for child in ast.iter_child_nodes(node)}
    for node in nodes:
        for name in _names(node):
            special = name.startswith("__") and name.endswith("__") and name not in SPECIAL
            if (special and not _is_class_name(node, parents)) or name in FRAMES:
                raise Refused("banned_name", f"{name} may not be used")
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if not own and node.attr not in SPECIAL | UNDERSCORED and not _is_class_name(node, parents):
                raise Refused("banned_name", f"{node.attr} may not be used")
        if isinstance(node, ast.Name) and node.id == "type" and not _asks_for_type(node, parents):
            raise Refused(
                "banned_name", "type may only be compared, or asked for its __name__: type(x) is int"
            )
    scopes = _scopes(program) if _may_name(program, BANNED_NAMES) else [_module_scope(program)]
    for scope in scopes:
        for symbol in scope.get_symbols():
            local = scope.get_type() == "function" and not symbol.is_global()
            if symbol.get_name() in BANNED_NAMES and not local:
                raise Refused("banned_name", f"{symbol.get_name()} may not be used")


def _asks_for_type(node: ast.Name, parents: dict[int, ast.AST]) -> bool:
    call = parents[id(node)]
    if not (isinstance(call, ast.Call) and call.func is node and len(call.args) == 1 and not call.keywords):
        return False
    use = parents[id(call)]
    return isinstance(use, ast.Compare) or (isinstance(use, ast.Attribute) and use.attr == "__name__")


def _is_class_name(node: ast.AST, parents: dict[int, ast.AST]) -> bool:
    """``x.__class__.__name__``, the one use of ``__class__`` that leads nowhere."""
    use = parents.get(id(node))
    is_class = isinstance(node, ast.Attribute) and node.attr == "__class__"
    return is_class and isinstance(use, ast.Attribute) and use.attr == "__name__"


def _names(node: ast.AST) -> Iterator[str]:
    """Names and attributes a node uses or binds."""
    if isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.MatchClass):
        yield from node.kwd_attrs
    elif isinstance(node, ast.MatchAs | ast.MatchStar | ast.ExceptHandler):
        yield node.name or ""
    elif isinstance(node, ast.alias):
        yield node.asname or ""
    elif isinstance(node, ast.arg):
        yield node.arg


def _check_modules(nodes: Sequence[ast.AST], modules: dict[str, Any]) -> None:
    """A module is only ever used as ``module.name``, where the name is public and no module itself."""
    inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
    for node in nodes:
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
            if not submodule and not _is_public_member(value, attribute):
                raise Refused("banned_import", f"{dotted} may not be used")
            value = member if member is not None else object()
