"""Whether the calls of a program can know of each other."""

from __future__ import annotations

import ast
import builtins
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gasp_env.domains.python.syntax import ParseError

if TYPE_CHECKING:
    from gasp_env.domains.python.program import Program

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

#: Nodes of which one is enough to say no more.
_NOT_PLAIN = frozenset({ast.Global, ast.Nonlocal, ast.Import, ast.ImportFrom, ast.ClassDef, ast.Match})

#: For `_is_plain`: signs that it does not deal with, numbers that run into words, whole lines of comment, the head of
#: a function without defaults, lines that are not indented, words, and members with whether they are called at once.
_SIGNS = ("\\", ":=", "__", '"""', "'''")
_GLUED = re.compile(r"\d[A-Za-z_]")
_COMMENT_LINE = re.compile(r"^ *#.*$", re.MULTILINE)
_HEAD = re.compile(r"\n*def ([a-z]\w*)\([\w\s,*:.|\[\]]*\)(?: *->[\w\s,.|\[\]]*)?:")
_TOP_LINE = re.compile(r"\n[^ \n]")
_WORD = re.compile(r"[A-Za-z_]\w*")
_MEMBER = re.compile(r"\.\s*([A-Za-z_#]\w*)(\s*\()?")
#: What there is besides one plain function, unless it stands in a string.
_MORE = re.compile(r"^(?:import |from |class |@)", re.MULTILINE)
_DOUBTFUL_WORDS = _OTHER_BUILTINS | frozenset("class global import match nonlocal try".split())


def keeps_state(program: Program) -> bool:
    """See `gasp_env.domains.python.program.Program.keeps_state`.

    An attempt is judged by its words where they tell, which spares parsing it: 25 microseconds for one of CRUXEval's
    programs where the tree alone takes 63, 54 and 132 for one of our corpus. Of HumanEval's few are, for their
    docstrings: 86 and 93. A proposal is parsed already.
    """
    if not program.is_parsed:
        if _is_plain(str(program)):
            return False
        if _MORE.search(program):
            return True
    try:
        return not _keeps_nothing(program)
    except ParseError:
        return True


def _is_plain(program: str) -> bool:
    """Whether the words of a text tell that it keeps nothing (see `_keeps_nothing`), if it is a program at all.

    Words in strings and comments count as if they were used, so that nothing can be hidden by them; False says
    nothing.
    """
    # Then a name is written as it is read, and a line neither begins inside a string nor goes on after its end.
    if not (program.isascii() and program.replace("\n", "").isprintable()):
        return False
    if any(sign in program for sign in _SIGNS) or _GLUED.search(program):
        return False
    if "#" in program:
        program = _COMMENT_LINE.sub("", program)
    head = _HEAD.match(program)
    # All other lines are indented, and so part of the one function. Nothing is bound in its head.
    if head is None or _TOP_LINE.search(program, head.end()):
        return False
    words = _WORD.findall(program)
    if not _DOUBTFUL_WORDS.isdisjoint(words):
        return False
    if any(name not in _PURE_METHODS or not call for name, call in _MEMBER.findall(program)):
        return False
    name = head[1]
    return words.count(name) == 1 or re.search(rf"\b{name}\b(?![ ]*\(|['\"])", program) is None


def _keeps_nothing(program: Program) -> bool:
    """Whether a program evidently keeps no state between calls of its function.

    True only for one plain function of variables, common built-ins and ordinary methods: then all
    that survives a call is the function itself. A name that nobody defines is as good: it raises an
    exception that such a program cannot catch. False says nothing.

    Raises:
        ParseError: it cannot be read, or is no program.
    """
    body, every = program.tree.body, program.every
    if len(body) != 1 or not isinstance(function := body[0], ast.FunctionDef):
        return False
    if not _NOT_PLAIN.isdisjoint(program.kinds):
        return False
    if function.decorator_list or function.args.defaults or any(function.args.kw_defaults):
        return False
    # What is bound in an annotation is a variable of the module.
    if every(ast.NamedExpr) and any(isinstance(node, ast.NamedExpr) for node in _signature(function)):
        return False
    if any(
        one.attr not in _PURE_METHODS or not isinstance(one.ctx, ast.Load) for one in every(ast.Attribute)
    ):
        return False
    # Memory is what calls share even so: who survives its end can tell that another call was before.
    attempts: list[ast.Try | ast.TryStar] = [*every(ast.Try), *every(ast.TryStar)]
    for attempt in attempts:
        if attempt.finalbody or any(handler.type is None for handler in attempt.handlers):
            return False
    # The function may call itself, and do nothing else with itself: it is where state could be put.
    names = [name.id for name in every(ast.Name)]
    called = [call.func.id for call in every(ast.Call) if isinstance(call.func, ast.Name)]
    if names.count(function.name) != called.count(function.name):
        return False
    doubtful = {name for name in names if name in _OTHER_BUILTINS or name.startswith("__")}
    # A variable may well be called like a built-in. Who is meant takes a closer look.
    return not doubtful or not any(
        symbol.is_global() and symbol.get_name() in doubtful
        for scope in program.scopes[1:]
        for symbol in scope.get_symbols()
    )


def _signature(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """What of a function is evaluated when it is defined, decorators aside."""
    for part in (function.args, function.returns, *getattr(function, "type_params", ())):
        if part is not None:
            yield from ast.walk(part)
