"""Whether the calls of a program can know of each other."""

from __future__ import annotations

import ast
import builtins
import functools
import re
from collections.abc import Iterator, Sequence

from gasp_env.domains.python.parsing import ParseError, read_program
from gasp_env.domains.python.rules import Refused, scopes_of

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
        nodes: of the program's syntax tree, see `gasp_env.domains.python.parsing.nodes`.
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
        for scope in scopes_of(program)[1:]
        for symbol in scope.get_symbols()
    )


def _signature(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """What of a function is evaluated when it is defined, decorators aside."""
    for part in (function.args, function.returns, *getattr(function, "type_params", ())):
        if part is not None:
            yield from ast.walk(part)
