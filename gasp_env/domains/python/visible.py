"""Which names a program may let be seen: those whose choice can change what it does.

Names of attributes, methods, members of a class and arguments given by keyword are seen by design. A function's or
class's name is seen in its text and its ``__name__``; names of variables in the text of an error, through ``dir`` and
the like. Where a closer look would be needed, a name counts as seen.
"""

from __future__ import annotations

import ast
import builtins
import re
from collections import Counter
from collections.abc import Iterator

from gasp_env.domains.python.rules import BANNED_MEMBERS, BANNED_NAMES, FRAMES, IMPORTS, SPECIAL, SUBMODULES
from gasp_env.domains.python.scopes import NAMED, Scope, Scopes

Binding = tuple[Scope, str]

#: Built-ins and attributes that see names; most may not be used, but that is for the rules of a domain to say.
_REFLECTIVE_NAMES = BANNED_NAMES | {"dir"}
_REFLECTIVE_ATTRIBUTES = BANNED_MEMBERS | FRAMES
#: Modules of which it is known what they can see.
_MODULES = IMPORTS | SUBMODULES | {"__future__"}
#: Attributes with two underscores that show no variable.
_HARMLESS_SPECIAL = SPECIAL - {"__doc__"} | {"__class__"}
#: Errors of the interpreter's own whose text has names of classes and functions at most, not those of variables.
_PLAIN_ERRORS = frozenset(
    "ArithmeticError AssertionError AttributeError IndexError KeyError LookupError NotImplementedError OverflowError "
    "RecursionError RuntimeError StopIteration UnicodeError ValueError ZeroDivisionError".split()
)
#: What makes text of anything, functions and classes included.
_TO_TEXT = frozenset(
    "str repr ascii format print type UserString Template substitute safe_substitute mod imod".split()
)
#: Built-ins that use up the generator they are given, and hand out neither it nor a function they call.
_CONSUMERS = frozenset(
    "sum any all max min sorted list set tuple dict frozenset map filter zip enumerate next".split()
)
#: What makes classes whose members are named in a text.
_CLASS_MAKERS = frozenset("namedtuple NamedTuple Enum IntEnum StrEnum Flag IntFlag".split())
_CALL_FIRST = frozenset({"map", "filter"})
_KEYED = frozenset({"sorted", "max", "min", "sort"})
_METHODS = frozenset({"sort", "format", "join", "extend", "update"})
_BUILTINS = frozenset(dir(builtins))
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Visible:
    """What of a program may be seen.

    Attributes:
        reflective: it looks at itself in a way that may show anything: docstrings, imports, all its names.
        all_names: no name may be changed.
    """

    def __init__(self, scopes: Scopes) -> None:
        self.scopes = scopes
        self.reflective = self.all_names = self._text = self._keywords = False
        self._uses: Counter[Binding] = Counter()
        self._given: set[str] = set()
        self._named: set[str] = set()
        self._shown: set[Scope] = set()
        self._open: set[Scope] = set()
        self._plain_classes = True
        self._members: set[str] = set()
        self._replaces = self._makes_classes = False
        self._methods: frozenset[str] = frozenset()
        self._kept: dict[Binding, bool] = {}
        self._look()

    def renamable(self, scope: Scope, name: str) -> bool:
        """Whether it makes no difference what a name that is bound in a scope is called."""
        binding = (scope, name)
        if binding not in self._kept:
            self._kept[binding] = self.all_names or self._keep(scope, name)
        return not self._kept[binding]

    def unused(self, node: ast.alias, scope: Scope) -> bool:
        """Whether what is imported there is never named again."""
        name = node.asname or node.name.partition(".")[0]
        owner = self.scopes.binder(name, scope)
        if owner is None or owner is not scope or name in scope.elsewhere or name in self._mentioned:
            return False
        return (
            not self.reflective
            and owner.sites[name] == [node]
            and not self._uses[owner, name]
            and not (name.startswith("__") or name in self._named or self._special(owner, name))
        )

    def called(self, call: ast.Call, scope: Scope) -> Scope | None:
        """The scope of the one function of the program that a call calls, if that can be told."""
        if not isinstance(call.func, ast.Name):
            return None
        owner = self.scopes.binder(call.func.id, scope)
        if owner is None or owner.is_class or self._special(owner, call.func.id):
            return None
        sites = owner.sites[call.func.id]
        if len(sites) != 1 or not isinstance(sites[0], ast.FunctionDef | ast.AsyncFunctionDef):
            return None
        if not all(self._is_cache(one, owner) for one in sites[0].decorator_list):
            return None
        return self.scopes.inner[id(sites[0])]

    def _look(self) -> None:
        found = self.scopes.found
        self._mentioned = {
            name for node, _ in found if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names
        }
        stored: set[str] = set()
        futures = False
        for scope in self.scopes.inner.values():
            if scope.is_class:
                self._members |= scope.sites.keys()
        for node, scope in found:
            for name in self._outside_names(node, scope):
                self._look_at_name(name, node)
            for name in _identifiers(node):
                if name.startswith("__") and not name.endswith("__"):
                    self.reflective = True  # in a class it stands for another name
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                owner = self.scopes.binder(node.id, scope)
                if owner is not None:
                    self._uses[owner, node.id] += 1
            elif isinstance(node, ast.Attribute) and not isinstance(node.ctx, ast.Load):
                stored.add(node.attr)
            elif isinstance(node, ast.JoinedStr):
                self._text = True
            elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Mod):
                right = node.right if isinstance(node, ast.BinOp) else node.value
                number = isinstance(right, ast.Constant) and isinstance(right.value, int | float)
                self._text = self._text or not number
            elif isinstance(node, ast.Import):
                self.reflective = self.reflective or not all(one.name in _MODULES for one in node.names)
            elif isinstance(node, ast.ImportFrom):
                futures = futures or node.module == "__future__"
                named = node.module in _MODULES and not node.level and node.names[0].name != "*"
                self.reflective = self.reflective or not named
            elif isinstance(node, ast.ClassDef):
                self._plain_classes = self._plain_classes and self._is_plain_class(node, scope)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                # It is given every error there is.
                self.all_names = self.all_names or node.name in ("__exit__", "__aexit__")
            if getattr(node, "type_params", ()) or type(node).__name__ == "TypeAlias":
                self.reflective = True
        for node, scope in found:
            if isinstance(node, ast.AnnAssign) and scope.is_class:
                self._look_at_annotation(node.annotation, futures)
        self.all_names = self.all_names or self.reflective
        if (
            self._plain_classes
            and not self._makes_classes
            and not self._members & {"__getattr__", "__getattribute__"}
        ):
            self._methods = _METHODS - self._members - stored
        self._look_at_calls()

    def _look_at_name(self, name: str, node: ast.AST) -> None:
        if name in (_REFLECTIVE_NAMES if isinstance(node, ast.Name) else _REFLECTIVE_ATTRIBUTES):
            self.reflective = True
        elif name in _TO_TEXT or name in ("__name__", "__class__"):
            self._text = True
        elif name == "replace":
            self._replaces = True
        elif name in _CLASS_MAKERS:
            self._makes_classes = True
        if name.startswith("__") and name not in _HARMLESS_SPECIAL:
            self.reflective = True
        if name in ("format", "format_map") and isinstance(node, ast.Attribute):
            # A text that is formatted may fetch attributes.
            text = node.value.value if isinstance(node.value, ast.Constant) else None
            if not isinstance(text, str) or "__" in text:
                self.reflective = True
            self._text = True

    def _outside_names(self, node: ast.AST, scope: Scope) -> Iterator[str]:
        """Names in a node that mean what is not of the program: attributes, what is imported, built-ins."""
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.alias):
            yield node.name
        elif isinstance(node, ast.Name):
            # A variable of the module or of a class may be unset when it is read.
            owner = self.scopes.binder(node.id, scope)
            if owner is None or owner is self.scopes.module or owner.is_class:
                yield node.id

    def _look_at_annotation(self, annotation: ast.expr, futures: bool) -> None:
        """A dataclass looks up the names in an annotation that is text, and hands the text out."""
        for node in ast.walk(annotation):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                self._named |= set(re.findall(r"\w+", node.value))
            elif isinstance(node, ast.Name) and futures:
                self._named.add(node.id)

    def _look_at_calls(self) -> None:
        """Who is given which keywords, and which functions, generators and errors get out of sight."""
        consumed: set[int] = set()
        direct: Counter[Binding] = Counter()

        def use(node: ast.AST | None, scope: Scope) -> None:
            consumed.add(id(node))
            if isinstance(node, ast.Name):
                owner = self.scopes.binder(node.id, scope)
                if owner is not None:
                    direct[owner, node.id] += 1

        harmless: Counter[Binding] = Counter()
        handlers: list[tuple[ast.ExceptHandler, Scope]] = []
        for node, scope in self.scopes.found:
            if isinstance(node, ast.Call):
                use(node.func, scope)
                known = self._known(node, scope)
                if known in _CALL_FIRST and node.args:
                    use(node.args[0], scope)
                if known in _KEYED:
                    for keyword in node.keywords:
                        if keyword.arg == "key":
                            use(keyword.value, scope)
                # Of several, max and min may give one back.
                one_only = known in ("max", "min") and len(node.args) > 1
                if known in _CONSUMERS | self._methods and not one_only:
                    consumed.update(id(one) for one in node.args if isinstance(one, ast.GeneratorExp))
                # The class that is asked for may be one with a metaclass that looks at the error.
                if node.args and (known == "type" or (known == "isinstance" and self._plain_classes)):
                    self._count(harmless, node.args[0], scope)
                self._look_at_keywords(node, known, scope)
            elif isinstance(node, ast.ClassDef):
                self._give(node.keywords)
            elif isinstance(node, ast.Raise):
                self._count(harmless, node.exc, scope)
                self._count(harmless, node.cause, scope)
            elif isinstance(node, ast.Attribute) and node.attr == "__class__":
                self._count(harmless, node.value, scope)
            elif isinstance(node, ast.ExceptHandler) and node.name is not None:
                handlers.append((node, scope))
        for node, scope in handlers:
            self._look_at_handler(node, scope, harmless)
        if self._text:
            self._look_at_functions(consumed, direct)

    def _count(self, counter: Counter[Binding], node: ast.AST | None, scope: Scope) -> None:
        if isinstance(node, ast.Name):
            owner = self.scopes.binder(node.id, scope)
            if owner is not None:
                counter[owner, node.id] += 1

    def _known(self, call: ast.Call, scope: Scope) -> str | None:
        """The name of the built-in function or ordinary method that a call evidently calls."""
        function = call.func
        if isinstance(function, ast.Name) and function.id in _BUILTINS:
            return function.id if self.scopes.binder(function.id, scope) is None else None
        if isinstance(function, ast.Attribute) and function.attr in self._methods:
            return function.attr
        return None

    def _look_at_keywords(self, call: ast.Call, known: str | None, scope: Scope) -> None:
        if not call.keywords or (known is not None and known not in ("type", "super")):
            return
        function = self.called(call, scope)
        if function is None:
            self._give(call.keywords)
        elif any(keyword.arg is None for keyword in call.keywords):
            self._open.add(function)

    def _give(self, keywords: list[ast.keyword]) -> None:
        for keyword in keywords:
            if keyword.arg is None:
                self._keywords = True
            else:
                self._given.add(keyword.arg)

    def _look_at_handler(self, node: ast.ExceptHandler, scope: Scope, harmless: Counter[Binding]) -> None:
        name = node.name
        owner = self.scopes.binder(name, scope) if name is not None else None
        if owner is None or name is None or self._uses[owner, name] == harmless[owner, name]:
            return
        types = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
        if all(self._is_plain_error(one, scope) for one in types):
            self._text = True
        else:
            self.all_names = True

    def _is_plain_error(self, node: ast.expr | None, scope: Scope) -> bool:
        if not isinstance(node, ast.Name):
            return False
        owner = self.scopes.binder(node.id, scope)
        if owner is None:
            return node.id in _PLAIN_ERRORS
        # Whoever raises an error of a class of the program's own wrote its text as well.
        return node.id not in _BUILTINS and all(
            isinstance(site, ast.ClassDef) for site in owner.sites[node.id]
        )

    def _is_plain_class(self, node: ast.ClassDef, scope: Scope) -> bool:
        """Whether it has no metaclass, which would be told its name."""
        for base in node.bases:
            if not isinstance(base, ast.Name):
                return False
            owner = self.scopes.binder(base.id, scope)
            if owner is None:
                if base.id not in _BUILTINS or base.id == "type":
                    return False
            elif not all(isinstance(site, ast.ClassDef) for site in owner.sites[base.id]):
                return False
        return not node.keywords

    def _is_cache(self, node: ast.expr, scope: Scope) -> bool:
        """Whether a decorator only keeps what a function returned."""
        if isinstance(node, ast.Call):
            node = node.func
        name = node.value if isinstance(node, ast.Attribute) else node
        if not isinstance(name, ast.Name):
            return False
        owner = self.scopes.binder(name.id, scope)
        sites = owner.sites[name.id] if owner is not None else []
        if not sites or not all(isinstance(site, ast.alias) for site in sites):
            return False
        names = (
            {node.attr} if isinstance(node, ast.Attribute) else {getattr(site, "name", "") for site in sites}
        )
        return names <= {"cache", "lru_cache"}

    def _look_at_functions(self, consumed: set[int], direct: Counter[Binding]) -> None:
        """Find the functions that may be turned into text, or in whose text something is that was made in them."""
        for node, scope in self.scopes.found:
            if isinstance(node, ast.Lambda | ast.GeneratorExp):
                if id(node) not in consumed:
                    self._show(scope)
            elif isinstance(node, ast.Yield | ast.YieldFrom | ast.ClassDef):
                self._show(scope)
            elif isinstance(node, ast.AsyncFunctionDef):
                self._show(self.scopes.inner[id(node)])
            elif isinstance(node, ast.FunctionDef):
                owner = self.scopes.binder(node.name, scope)
                own = owner is not None and not owner.is_class
                if (
                    not own
                    or self._uses[owner, node.name] != direct[owner, node.name]  # type: ignore[index]
                    or not all(self._is_cache(one, scope) for one in node.decorator_list)
                ):
                    self._show(self.scopes.inner[id(node)])

    def _show(self, scope: Scope | None) -> None:
        while scope is not None and scope not in self._shown:
            self._shown.add(scope)
            scope = scope.parent

    def _special(self, scope: Scope, name: str) -> bool:
        """Whether a variable of the module is the entry, or another is meant while it is unset."""
        return scope is self.scopes.module and (name == "f" or name in _BUILTINS or name in self._members)

    def _keep(self, scope: Scope, name: str) -> bool:
        if scope.is_class or name.startswith("__") or name in self._named or self._special(scope, name):
            return True
        for site in scope.sites[name]:
            if isinstance(site, ast.arg):
                if self._may_be_given(site, scope):
                    return True
            elif isinstance(site, ast.ClassDef):
                if self._text or not self._plain_classes:
                    return True
            elif isinstance(site, _FUNCTIONS) and self._text and self.scopes.inner[id(site)] in self._shown:
                return True
        return False

    def _may_be_given(self, argument: ast.arg, scope: Scope) -> bool:
        """Whether an argument may be given by its name where it cannot be told that it is this one."""
        function = scope.node
        if not isinstance(function, _FUNCTIONS):
            return False
        if not any(argument is one for one in (*function.args.args, *function.args.kwonlyargs)):
            return False
        if self._keywords or scope in self._open or argument.arg in self._given:
            return True
        # `dataclasses.replace` gives all fields by name.
        method = scope.parent is not None and scope.parent.is_class
        return (method or self._replaces) and argument.arg in self._members


def _identifiers(node: ast.AST) -> Iterator[str]:
    """Everything in a node that is a name of something."""
    kind = type(node)
    if kind in NAMED:
        name = getattr(node, NAMED[kind])
        if name is not None:
            yield name
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.alias):
        yield node.name
        if node.asname is not None:
            yield node.asname
    elif isinstance(node, ast.Global | ast.Nonlocal):
        yield from node.names
