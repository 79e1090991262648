"""The rule ``livecodebench``: real problems judged as LiveCodeBench judges them, on the host.

What is the same as there (``lcb_runner/evaluation/testing_util.py``, read at commit 28fef95):

- *Function problems* (entry ``Solution.name``): arguments and expected values are JSON values. What the method
  returns is compared with Python's ``==``, so ``1``, ``1.0`` and ``True`` are equal at any depth; a tuple that is
  returned counts as a list, one inside of another value does not.
- *Programs that read standard input* (entry empty): printed and expected text are stripped and cut at newlines,
  and each line is stripped. There must be as many lines. Lines that differ as texts are equal if all their tokens are
  numbers, equal as decimals in order: ``1.50`` is ``1.5``, and no tolerance is given.
- Every program finds the names of common modules imported (`MODULES`), may recurse 50000 deep and print ints of
  50000 digits.

What is different here, on purpose:

- A returned value is a claim of an exact built-in type and bounded size (`gasp_env.values`). Its own ``==`` is never
  asked: a ``Counter``, a named tuple or a numpy number is ``unserializable``, even where it equals a dict or an int.
- Every test runs in a process of its own, on an instance of its own, within all limits of the run. There all tests
  share one process and one instance. The limits are those of the domain; there it is six seconds a test.
- A program that reads standard input runs as ``__main__`` on a real descriptor and must end with exit code 0. There it
  is the body of a function, input and output are replaced objects, and every ``SystemExit`` is a good end.
- ``from __future__`` may stand first in an answer; there what is put before it makes it a syntax error.
- Tests are run until one fails to run; that is the verdict, even where an earlier one prints something wrong.
- Programs are offered the standard library; there whatever is installed may be imported.
- A printed token that spells a signalling NaN is a wrong answer; there comparing it raises.
"""

from __future__ import annotations

import ast
import importlib
import re
from dataclasses import replace
from functools import cache

from gasp_env.domains.python.program import Program
from gasp_env.domains.python.syntax import ParseError
from gasp_env.goalposts.answers import OUTPUT_BYTES
from gasp_env.sandbox.runs import Limits

#: Modules whose public names a program finds, later ones first; the modules themselves are there as well.
#: ``builtins`` is late so that ``open``, ``pow`` or ``compile`` mean what they always do.
MODULES = (
    "string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics",
    "itertools", "functools", "operator", "io", "sys", "json", "builtins", "typing",
)  # fmt: skip

#: Those of them that take longer to import than most tests to run: only for programs that use one of their names.
COSTLY = frozenset({"datetime", "random", "statistics"})

#: The interpreter's bounds that programs of such problems are written for.
RECURSION, DIGITS = 50_000, 50_000

_NAME = re.compile(r"[^\W\d]\w*")
_LINE_END = re.compile(r"\r\n|\r|\n")


def program(answer: str) -> str:
    """An answer with `prelude` in the line before it; or, if it has ``from __future__`` imports, which have to be
    first, right behind the last of them, in the same line. One that speaks of them and cannot be parsed is left as it
    is.
    """
    answer = answer.removeprefix("\ufeff")  # which is only ignored where it is first
    imports = prelude(answer)
    if "__future__" not in answer:
        return f"{imports}\n{answer}"
    try:
        body = Program(answer).tree.body
    except ParseError:
        return answer
    future = [node for node in body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    if not future:
        return f"{imports}\n{answer}"
    at = _end(answer, future[-1])
    return f"{answer[:at]}; {imports}{answer[at:]}"


def prelude(answer: str) -> str:
    """One line that imports `MODULES`, but for costly ones of which the answer has no name, in any place."""
    used = set(_NAME.findall(answer))
    modules = [name for name in MODULES if name not in COSTLY or used & _public(name)]
    return "; ".join([*(f"from {name} import *" for name in modules), "import " + ", ".join(modules)])


def limits(given: Limits) -> Limits:
    """Limits with the bounds raised that are not about time and memory."""
    return replace(
        given,
        recursion=max(given.recursion, RECURSION),
        digits=max(given.digits, DIGITS),
        output_bytes=max(given.output_bytes, OUTPUT_BYTES),
    )


def _end(answer: str, node: ast.stmt) -> int:
    """Where in the text a statement ends."""
    row, column = node.end_lineno or 1, node.end_col_offset or 0
    starts = [0, *(match.end() for match in _LINE_END.finditer(answer))]
    line = answer[starts[row - 1] :]
    # The parser counts columns in bytes.
    return starts[row - 1] + len(line.encode()[:column].decode())


@cache
def _public(module: str) -> frozenset[str]:
    """A costly module's name and what ``from module import *`` defines."""
    return frozenset({module, *importlib.import_module(module).__all__})
