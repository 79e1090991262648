from __future__ import annotations

import ast
import random
import re
import symtable
from collections.abc import Callable, Iterator

import pytest

from benchmarks.embedder_threshold import Original, originals
from benchmarks.embedder_variants import near_copies, one_operation, renamed
from gasp_env.domains.python.program import Program
from gasp_env.domains.python.rules import IMPORTS, Refused, check_program
from gasp_env.domains.python.syntax import ParseError
from gasp_env.sandbox import Limits, Result, Run, Sandbox
from gasp_env.values import encode

ORIGINALS = originals()
PROGRAMS = {original.name: original.program for original in ORIGINALS}


def form(program: str) -> bytes:
    return Program(program).form


def admissible(program: str) -> bool:
    try:
        check_program(Program(program), IMPORTS)
    except Refused:
        return False
    return True


ADMISSIBLE = [original for original in ORIGINALS if admissible(original.program)]


@pytest.mark.parametrize("program", PROGRAMS.values(), ids=PROGRAMS)
def test_comments_and_layout_never_matter_and_operations_always_do(program: str) -> None:
    original = form(program)
    copies = [copy.program for copy in near_copies(program) if copy.kind == "commented, respaced"]
    assert [form(copy) for copy in copies] == [original]
    assert copies != [program]
    same = [variant for variant in one_operation(program) if form(variant.program) == original]
    assert same == []


def test_other_names_make_no_other_program() -> None:
    other = [one.name for one in ADMISSIBLE if form(one.program) != form(renamed(one.program))]
    # There fields of a dataclass are renamed, and an argument that may be given by name in a dict.
    assert other == ["objects/data_classes", "objects/parameters"]


def test_statements_in_another_order_are_another_program() -> None:
    assert form("def f(x):\n    a = 1\n    b = 2\n    return a - b") != form(
        "def f(x):\n    b = 2\n    a = 1\n    return a - b"
    )


# --- every way to bind a name --------------------------------------------------------------------------

#: In each, ``old`` may be called anything, and ``seen`` may not.
BINDINGS = {
    "argument": "def f(old): return dict(seen=old)",
    "positional argument": "def f(old, /): return dict(seen=old)",
    "keyword-only argument": "def g(*, old=1): return old\ndef f(x): return [g(), x.seen]",
    "arguments": "def f(*old): return dict(seen=old)",
    "keyword arguments": "def g(**old): return old\ndef f(x): return g(seen=x)",
    "default": "def g(x=[1], old=2): return [x, old]\ndef f(x): return g(x) + [x.seen]",
    "annotated": "def f(old: 'seen' = 1) -> int: return [old, 'seen']",
    "lambda": "def f(x): return (lambda old: old + x.seen)(x)",
    "lambda with arguments": "def f(x): return (lambda *old, **more: [old, more])(x, seen=1)",
    "assignment": "def f(x):\n    old = x.seen\n    return old",
    "chained": "def f(x):\n    y = old = x.seen\n    return old + y",
    "unpacked": "def f(x):\n    y, (*old, z) = x.seen\n    return old + y + z",
    "augmented": "def f(x):\n    old = 0\n    old += x.seen\n    return old",
    "with annotation": "def f(x):\n    old: int = x.seen\n    return old",
    "only annotated": "def f(x):\n    old: int\n    old = x.seen\n    return old",
    "walrus": "def f(x): return (old := x.seen) + old",
    "walrus in a comprehension": "def f(x): return [(old := y) for y in x.seen] + [old]",
    "for": "def f(x):\n    for old in x.seen: y = old\n    return y",
    "async for": "async def g(x):\n    async for old in x.seen: print(old)\ndef f(x): return 1",
    "with": "def f(x):\n    with x.seen as old: return old",
    "with unpacked": "def f(x):\n    with x.seen as (old, y): return old + y",
    "async with": "async def g(x):\n    async with x.seen as old: print(old)\ndef f(x): return 1",
    "list": "def f(x): return [old.seen for old in x]",
    "set": "def f(x): return {old.seen for old in x}",
    "dict": "def f(x): return {old: old.seen for old in x}",
    "generator": "def f(x): return sum(old.seen for y in x for old in y if old)",
    "exception": "def f(x):\n    try: return x.seen\n    except KeyError as old: return str(old)",
    "exception of which the class is told": "def f(x):\n    try: return x.seen\n"
    "    except Exception as old: return type(old).__name__",
    "exception that is asked": "def f(x):\n    try: return x.seen\n"
    "    except Exception as old: return isinstance(old, A) or isinstance()",
    "exception group": "def f(x):\n    try: return x.seen\n    except* KeyError as old: y = str(old)\n    return y",
    "capture": "def f(x):\n    match x:\n        case old: return [old, x.seen]",
    "capture with as": "def f(x):\n    match x:\n        case [1 | 2] as old: return [old, x.seen]",
    "capture of the rest": "def f(x):\n    match x:\n        case [1, *old]: return [old, x.seen]",
    "capture of other keys": "def f(x):\n    match x:\n        case {'seen': 1, **old}: return old",
    "capture in a class": "def f(x):\n    match x:\n        case list(seen=old): return old",
    "import": "import math as old\ndef f(x): return old.floor(x.seen)",
    "import of a submodule": "import collections.abc as old\ndef f(x): return [old.Sized, x.seen]",
    "import from": "from math import floor as old\ndef f(x): return old(x.seen)",
    "import in a function": "def f(x):\n    import math as old\n    return old.floor(x.seen)",
    "function": "def old(x): return x.seen\ndef f(x): return old(x)",
    "function beside text": "def old(x): return x.seen\ndef f(x): return str(old(x))",
    "function that is handed on": "def old(x): return x.seen\ndef f(x): return [old][0](x)",
    "function as a key": "def old(x): return x.seen\ndef f(x): return str(sorted(x, key=old))",
    "coroutine": "async def old(x): return x.seen\ndef f(x): return [old][0](x)",
    "inner function": "def f(x):\n    def old(y): return y.seen\n    return old(x)",
    "recursion": "def f(x):\n    def old(y): return old(y.seen)\n    return old(x)",
    "decorated": "import functools\n@functools.cache\ndef old(x): return f'{x.seen}'\ndef f(x): return old(x)",
    "decorator": "def old(g): return g\n@old\ndef g(x): return x.seen\ndef f(x): return g(x)",
    "class": "class old:\n    seen = 1\ndef f(x): return old().seen",
    "variable of the module": "old = [1]\ndef f(x): return old + x.seen",
    "global": "old = 1\ndef f(x):\n    global old\n    old += x.seen\n    return old",
    "only global": "def f(x):\n    global old\n    old = x.seen\n    return old",
    "nonlocal": "def f(x):\n    old = 0\n    def g():\n        nonlocal old\n        old = x.seen\n    return g(), old",
    "closure": "def f(x):\n    old = x.seen\n    def g(): return [old for _ in old]\n    return g()",
    "del": "def f(x):\n    old = x.seen\n    del old\n    return 1",
    "in a method": "class A:\n    def seen(self, old): return old\ndef f(x): return A().seen(x)",
    "self": "class A:\n    def seen(old): return old.x\ndef f(x): return A().seen()",
    "named like a built-in": "def f(x):\n    old = x.seen\n    return len(old)",
}  # fmt: skip


@pytest.mark.parametrize("program", BINDINGS.values(), ids=BINDINGS)
def test_what_is_bound_may_be_called_anything(program: str) -> None:
    for other in ("new", "y1", "seen_too", "sort"):
        assert form(re.sub(r"\bold\b", other, program)) == form(program)


@pytest.mark.parametrize("program", BINDINGS.values(), ids=BINDINGS)
def test_what_is_seen_may_not(program: str) -> None:
    assert form(re.sub(r"\bseen\b", "unseen", program)) != form(program)


#: In each, ``old`` might be called anything, and is left as it is: it cannot be told by words alone.
KEPT = {
    "argument given by name": "def g(old, **more): return [old, more]\ndef f(x): return g(old=x, seen=1)",
    "argument given in a dict": "def g(old): return old\ndef f(x): return g(**x)",
    "method": "class A:\n    def old(self): return 1\ndef f(x): return [A(), x]",
    "member": "class A:\n    old = 1\ndef f(x): return [A(), x]",
    "annotation": "class A:\n    x: old\nold = int\ndef f(x): return A()",
    "annotation in a text": "class A:\n    x: 'list[old]'\nold = int\ndef f(x): return A()",
    "function beside a name": "def old(x): return x\ndef f(x): return old.__name__",
    "class beside a class": "class old: pass\ndef f(x): return old().__class__.__name__",
    "beside dir": "def f(old): return dir()",
    "beside special attributes": "def f(old): return old.__dict__",
    "beside special names in a text": "def f(old): return '{0.__class__}'.format(old)",
    "beside an import of everything": "from math import *\ndef f(old): return floor(old)",
}


@pytest.mark.parametrize("program", KEPT.values(), ids=KEPT)
def test_what_may_be_seen_keeps_its_name(program: str) -> None:
    assert form(re.sub(r"\bold\b", "new", program)) != form(program)


def test_a_variable_called_like_a_built_in_keeps_its_name() -> None:
    assert form("def f(list): return [list]") != form("def f(items): return [items]")


# --- pairs that do not do the same ---------------------------------------------------------------------

DIFFERENT = {
    "keyword": ("def f(a): return dict(a=a)", "def f(b): return dict(b=b)"),
    "methods": (
        "class A:\n    def a(self): return 1\n    def b(self): return 2\ndef f(x): return A().a()",
        "class A:\n    def b(self): return 1\n    def a(self): return 2\ndef f(x): return A().a()",
    ),
    "members": ("class A:\n    a = 1\ndef f(x): return A.a", "class A:\n    b = 1\ndef f(x): return A.a"),
    "fields": (
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    a: int\ndef f(x): return repr(A(x))",
        "from dataclasses import dataclass\n@dataclass\nclass A:\n    b: int\ndef f(x): return repr(A(x))",
    ),
    "fields as a dict": (
        "import dataclasses as d\n@d.dataclass\nclass A:\n    a: int\ndef f(x): return d.asdict(A(x))",
        "import dataclasses as d\n@d.dataclass\nclass A:\n    b: int\ndef f(x): return d.asdict(A(x))",
    ),
    "fields by name": (
        "import dataclasses as d\n@d.dataclass(init=False)\nclass A:\n    a: int\n"
        "    def __init__(self, a): self.a = a\ndef f(x): return d.replace(A(x)).a",
        "import dataclasses as d\n@d.dataclass(init=False)\nclass A:\n    a: int\n"
        "    def __init__(self, b): self.a = b\n"
        "def f(x): return d.replace(A(x)).a",
    ),
    "module of a field": (
        "import dataclasses as d\n@d.dataclass\nclass A:\n    a: 'd.InitVar[int]'\ndef f(x): return len(d.fields(A))",
        "import dataclasses as e\n@e.dataclass\nclass A:\n    a: 'd.InitVar[int]'\ndef f(x): return len(e.fields(A))",
    ),
    "type of a field": (
        "from __future__ import annotations\nimport dataclasses as d\nT = int\n@d.dataclass\nclass A:\n    a: T\n"
        "def f(x): return d.fields(A)[0].type",
        "from __future__ import annotations\nimport dataclasses as d\nU = int\n@d.dataclass\nclass A:\n    a: U\n"
        "def f(x): return d.fields(A)[0].type",
    ),
    "namedtuple": (
        "from collections import namedtuple\nA = namedtuple('A', 'a')\ndef f(x): return A(a=x)._asdict()",
        "from collections import namedtuple\nA = namedtuple('A', 'b')\ndef f(x): return A(b=x)._asdict()",
    ),
    "enum": (
        "import enum\nclass A(enum.Enum):\n    a = 1\ndef f(x): return A(1).name",
        "import enum\nclass A(enum.Enum):\n    b = 1\ndef f(x): return A(1).name",
    ),
    "equals sign in text": ("def f(a): return f'{a=}'", "def f(b): return f'{b=}'"),
    "function's name": (
        "def g(x): return 1\ndef f(x): return g.__name__",
        "def h(x): return 1\ndef f(x): return h.__name__",
    ),
    "class's name": (
        "class A: pass\ndef f(x): return A().__class__.__name__",
        "class B: pass\ndef f(x): return B().__class__.__name__",
    ),
    "class's name in an attribute": (
        "class A:\n    def set(self): self.__x = 1\ndef f(x): return hasattr(A(), '_A__x')",
        "class B:\n    def set(self): self.__x = 1\ndef f(x): return hasattr(B(), '_A__x')",
    ),
    "names of local variables": ("def f(a): return dir()", "def f(b): return dir()"),
    "names in a format": (
        "def g(a): return a\ndef f(x): return '{0.__code__.co_varnames}'.format(g)",
        "def g(b): return b\ndef f(x): return '{0.__code__.co_varnames}'.format(g)",
    ),
    "docstring": ("def f(x):\n    'a'\n    return f.__doc__", "def f(x):\n    'b'\n    return f.__doc__"),
    "no docstring": (
        "def f(x):\n    'a'\n    return f.__doc__",
        "def f(x):\n    pass\n    'a'\n    return f.__doc__",
    ),
    "argument of a member named in a text": (
        "from collections import namedtuple as n\ndef g(key=1, b=2): return [key, b]\n"
        "def f(x): return n('N', 'so' + 'rt')(g).sort(key=x)",
        "from collections import namedtuple as n\ndef g(b=1, key=2): return [b, key]\n"
        "def f(x): return n('N', 'so' + 'rt')(g).sort(key=x)",
    ),
    "argument of a member made up": (
        "def g(key=1, b=2): return [key, b]\nclass A:\n    def __getattr__(self, name): return g\n"
        "def f(x): return A().sort(key=x)",
        "def g(b=1, key=2): return [b, key]\nclass A:\n    def __getattr__(self, name): return g\n"
        "def f(x): return A().sort(key=x)",
    ),
    "argument given by who is not known": (
        "def g(a=1): return a\ndef f(x):\n    try: return [g][0](a=x)\n    except TypeError: return 0",
        "def g(b=1): return b\ndef f(x):\n    try: return [g][0](a=x)\n    except TypeError: return 0",
    ),
    "argument given to partial": (
        "import functools as t\ndef g(a=1, b=2): return [a, b]\ndef f(x): return t.partial(g, a=x)()",
        "import functools as t\ndef g(b=1, a=2): return [b, a]\ndef f(x): return t.partial(g, a=x)()",
    ),
    "arguments in a dict": (
        "def g(a=1, b=2): return [a, b]\ndef f(x): return g(**{'a': x})",
        "def g(b=1, a=2): return [b, a]\ndef f(x): return g(**{'a': x})",
    ),
    "arguments in a dict for who is not known": (
        "def g(a=1, b=2): return [a, b]\ndef f(x): return [g][0](**{'a': x})",
        "def g(b=1, a=2): return [b, a]\ndef f(x): return [g][0](**{'a': x})",
    ),
    "argument of a method": (
        "class A:\n    def m(self, a=1, b=2): return [a, b]\ndef f(x): return A().m(a=x)",
        "class A:\n    def m(self, b=1, a=2): return [b, a]\ndef f(x): return A().m(a=x)",
    ),
    "argument of a class": (
        "class A:\n    def __init__(self, a=1, b=2): self.x = [a, b]\ndef f(x): return A(a=x).x",
        "class A:\n    def __init__(self, b=1, a=2): self.x = [b, a]\ndef f(x): return A(a=x).x",
    ),
    "argument beside others of a method named sort": (
        "class A:\n    def sort(self, key=1, b=2): return [key, b]\ndef f(x): return A().sort(key=x)",
        "class A:\n    def sort(self, b=1, key=2): return [b, key]\ndef f(x): return A().sort(key=x)",
    ),
    "positional argument": (
        "def g(a, /, **b): return b\ndef f(x): return g(1, a=x)",
        "def g(c, /, **b): return b\ndef f(x): return g(1, c=x)",
    ),
    "attribute of a pattern": (
        "def f(x):\n    match x:\n        case complex(real=y): return y",
        "def f(x):\n    match x:\n        case complex(imag=y): return y",
    ),
    "built-in behind a variable that is unset": (
        "if 0: max = 1\ndef f(x): return max(x)",
        "if 0: min = 1\ndef f(x): return min(x)",
    ),
    "module's variable behind a class's": (
        "a = 1\nclass A:\n    a = a\ndef f(x): return A.a",
        "b = 1\nclass A:\n    a = a\ndef f(x): return A.a",
    ),
    "built-in and variable": (
        "def f(x):\n    max = min\n    return max(x)",
        "def f(x):\n    a = min\n    return max(x)",
    ),
    "brackets make nothing local": (
        "def f(x):\n    (max): int\n    return max(x)",
        "def f(x):\n    (min): int\n    return min(x)",
    ),
    "global": (
        "a = 1\ndef f(x):\n    global a\n    a = 2\n    return g()\ndef g(): return a",
        "a = 1\ndef f(x):\n    a = 2\n    return g()\ndef g(): return a",
    ),
    "nonlocal": (
        "def f(x):\n    a = 1\n    def g():\n        nonlocal a\n        a = 2\n    g()\n    return a",
        "def f(x):\n    a = 1\n    def g():\n        a = 2\n    g()\n    return a",
    ),
    "class is no scope for a method": (
        "a = 1\nclass A:\n    a = 2\n    def m(self): return a\ndef f(x): return A().m()",
        "b = 1\nclass A:\n    a = 2\n    def m(self): return a\ndef f(x): return A().m()",
    ),
    "variable of a comprehension": (
        "def f(x):\n    a = 1\n    [a for a in x]\n    return a",
        "def f(x):\n    a = 1\n    [b for a in x]\n    return a",
    ),
    "walrus": (
        "def f(x):\n    a = 1\n    [(a := y) for y in x]\n    return a",
        "def f(x):\n    a = 1\n    [(b := y) for y in x]\n    return a",
    ),
    "default": (
        "def f(x):\n    a = 1\n    def g(a=a): return a\n    return g()",
        "def f(x):\n    a = 1\n    def g(b=a): return a + b\n    return g()",
    ),
    "arguments swapped": (
        "def g(a, b): return a - b\ndef f(x): return g(a=x, b=1)",
        "def g(a, b): return a - b\ndef f(x): return g(b=x, a=1)",
    ),
    "other module": (
        "import math as m\ndef f(x): return m.floor(x)",
        "import operator as m\ndef f(x): return m.floor(x)",
    ),
    "submodule": (
        "import collections.abc as c\ndef f(x): return [c.Sized]",
        "import collections.abc\ndef f(x): return [collections.Sized]",
    ),
    "import in a class": (
        "class A:\n    import math\ndef f(x): return hasattr(A, 'math')",
        "class A: pass\ndef f(x): return hasattr(A, 'math')",
    ),
    "import that makes a name local": (
        "def f(x):\n    import math\n    return math",
        "import math\ndef f(x):\n    return math",
    ),
    "import for an annotation": (
        "import dataclasses as d\nimport typing as t\n@d.dataclass\nclass A:\n    a: 't.ClassVar'\n"
        "def f(x): return len(d.fields(A))",
        "import dataclasses as d\n@d.dataclass\nclass A:\n    a: 't.ClassVar'\n"
        "def f(x): return len(d.fields(A))",
    ),
}


@pytest.mark.parametrize(("left", "right"), DIFFERENT.values(), ids=DIFFERENT)
def test_who_may_do_something_else_is_no_copy(left: str, right: str) -> None:
    assert form(left) != form(right)


# --- what does nothing ---------------------------------------------------------------------------------

PLAIN = "def f(x):\n    if x:\n        return 1\n    return 2"
PADDED = {
    "pass": "def f(x):\n    pass\n    if x:\n        pass\n        return 1\n    pass\n    return 2\npass",
    "pass after else": "def f(x):\n    if x:\n        return 1\n    else:\n        pass\n    return 2",
    "constants": "def f(x):\n    0\n    if x:\n        ...\n        return 1\n    'text'\n    return 2",
    "docstrings": "'a'\ndef f(x):\n    '''b'''\n    if x:\n        return 1\n    return 2",
    "import": "import math\ndef f(x):\n    if x:\n        return 1\n    return 2",
    "imports": "import math, re as r\nfrom math import floor, pi as p\n" + PLAIN,
    "import inside": "def f(x):\n    import collections.abc\n    if x:\n        return 1\n    return 2",
}


@pytest.mark.parametrize("padded", PADDED.values(), ids=PADDED)
def test_padding_makes_no_other_program(padded: str) -> None:
    assert form(padded) == form(PLAIN)


def test_what_is_left_of_an_import_is_what_is_used() -> None:
    assert form("from math import floor, pi\ndef f(x): return floor(x)") == form(
        "from math import floor as down\ndef f(x): return down(x)"
    )
    assert form("class A: pass\ndef f(x): return A") == form("class A: ...\ndef f(x): return A")


# --- programs of the corpus and of the goalposts ---------------------------------------------------------


def local_names(program: str) -> set[str]:
    """Names that are only ever variables of functions, and no function's, class's or module's."""
    scopes = [symtable.symtable(program, "<program>", "exec")]
    for scope in scopes:
        scopes += scope.get_children()
    found: set[str] = set()
    others: set[str] = set()
    for scope in scopes:
        for symbol in scope.get_symbols():
            local = scope.get_type() == "function" and (symbol.is_local() or symbol.is_free())
            plain = not (symbol.is_namespace() or symbol.is_imported())
            (found if local and plain else others).add(symbol.get_name())
    nodes = list(ast.walk(ast.parse(program)))
    others |= {node.arg for node in nodes if isinstance(node, ast.keyword) and node.arg is not None}
    return {name for name in found - others if not name.startswith((".", "_"))}


def with_names(program: str, other: Callable[[str], str]) -> str:
    tree = ast.parse(program)
    for node in ast.walk(tree):
        for field in ("id", "name", "rest", "asname") if not isinstance(node, ast.alias) else ("asname",):
            if isinstance(getattr(node, field, None), str):
                setattr(node, field, other(getattr(node, field)))
        if isinstance(node, ast.arg):
            node.arg = other(node.arg)
        elif isinstance(node, ast.Nonlocal):
            node.names = [other(name) for name in node.names]
    return ast.unparse(tree)


def test_variables_of_admissible_programs_may_be_called_anything() -> None:
    count = 0
    for original in ADMISSIBLE:
        program = original.program
        if original.name == "objects/parameters":
            continue  # an argument there may be given by name in a dict
        names = sorted(local_names(program))
        count += len(names)
        fresh = {name: f"other{number}" for number, name in enumerate(names)}
        turned = dict(zip(names, names[1:] + names[:1], strict=True))
        for table in (fresh, turned):
            text = with_names(program, lambda name, table=table: table.get(name, name))  # type: ignore[misc]
            assert form(text) == form(program), original.name
    assert count > 400


def changed(original: Original, rng: random.Random) -> Iterator[str]:
    """The program with one name changed to another one of its names, in one place, in all, or exchanged with it."""
    program = original.program
    words = sorted(set(re.findall(r"\b[A-Za-z_]\w*\b", program)))
    places = list(re.finditer(r"\b[A-Za-z_]\w*\b", program))
    for _ in range(15):
        place, word = rng.choice(places), rng.choice([*words, "fresh"])
        yield program[: place.start()] + word + program[place.end() :]
        old = place.group()
        yield re.sub(rf"\b{old}\b", word, program)
        yield re.sub(rf"\b({old}|{word})\b", lambda m, o=old, w=word: w if m[1] == o else o, program)  # type: ignore[misc]


@pytest.mark.docker
def test_programs_of_one_form_do_the_same(sandbox: Sandbox) -> None:
    rng = random.Random(7)
    asked: list[tuple[Original, str]] = []
    for original in ADMISSIBLE:
        known = {original.program, ast.unparse(ast.parse(original.program))}
        for program in changed(original, rng):
            try:
                same = program not in known and form(program) == form(original.program)
            except ParseError:
                continue
            # Rules refuse an import that fails, which makes no difference to the form where it is not used.
            if same and admissible(program) and sum(one is original for one, _ in asked) < 3:
                known.add(program)
                asked.append((original, program))
    limits = Limits(wall_seconds=4.0, cpu_seconds=2)
    runs = [Run(program, original.inputs, limits=limits) for original, program in asked]
    before = {original.name: original for original, _ in asked}
    expected = dict(
        zip(
            before,
            sandbox.run_many([Run(one.program, one.inputs, limits=limits) for one in before.values()]),
            strict=True,
        )
    )
    results = sandbox.run_many(runs)
    other = [
        (original.name, program)
        for (original, program), result in zip(asked, results, strict=True)
        if behaviour(result) != behaviour(expected[original.name])
    ]
    assert other == []
    assert len(asked) > 200


def behaviour(result: Result) -> list[object]:
    return [encode(call.value) if call.status == "ok" else call.status for call in result.calls]
