"""The rule ``livecodebench``: real problems judged as LiveCodeBench judges them, on the host.

Common to LiveCodeBench (``lcb_runner/evaluation/testing_util.py``, read at commit 28fef95) and this rule:

- *Function problems* (entry ``Solution.name``, or a function of that name without the class): arguments and expected
  values are JSON values. The return
  value is compared with Python's ``==``, so ``1``, ``1.0`` and ``True`` are equal at any depth. A returned
  tuple counts as a list; a tuple inside another value does not.
- *Programs that read standard input* (entry empty): printed and expected text are stripped and cut at newlines,
  and each line is stripped. There must be as many lines. Lines that differ as texts are equal if all their tokens are
  numbers, equal as decimals in order: ``1.50`` is ``1.5``, and no tolerance is given.
- The names of common modules are already imported (`MODULES`). The recursion limit is 50000, and ints of
  50000 digits can be printed.

Deliberate differences:

- A text of more than 16 KiB is not read, so a right program with a table of that size is ``malformed``.
- A text is read by content (`gasp_env.domains.python.parsing`). LiveCodeBench takes the last fence, whatever it holds;
  we take the block with the program, and refuse two that differ.
- A return value is a claim of an exact built-in type and bounded size (`gasp_env.values`). Its own ``==`` is
  never called: a ``Counter``, a named tuple or a numpy number is ``unserializable``, even where it equals a
  dict or an int.
- Every test runs in its own process, on its own instance, within the domain's limits. In LiveCodeBench all
  tests share one process and one instance, and the limit is six seconds a test.
- A program that reads standard input runs as ``__main__`` on a real descriptor and must end with exit code 0.
  In LiveCodeBench it is the body of a function, input and output are replaced objects, and any ``SystemExit``
  is success.
- ``from __future__`` may stand first in an answer. In LiveCodeBench it is a syntax error, since imports
  precede it.
- Tests run until one fails to execute. That failure is the verdict, even if an earlier test printed a wrong
  output.
- Programs may import the standard library. In LiveCodeBench they may import any installed package.
- A printed token that spells a signalling NaN is a wrong answer. In LiveCodeBench its comparison raises.
"""

from __future__ import annotations

import importlib
import re
from dataclasses import replace
from functools import cache

from gasp_env.domains.python import preludes
from gasp_env.goalposts.answers import OUTPUT_BYTES
from gasp_env.sandbox.runs import Limits

#: Modules whose public names are imported, and the modules themselves. A later module overrides an earlier
#: one: ``builtins`` is late so that ``open``, ``pow`` or ``compile`` keep their usual meaning.
MODULES = (
    "string", "re", "datetime", "collections", "heapq", "bisect", "copy", "math", "random", "statistics",
    "itertools", "functools", "operator", "io", "sys", "json", "builtins", "typing",
)  # fmt: skip

#: Modules that take longer to import than most tests take to run; imported only where one of their names is
#: used.
COSTLY = frozenset({"datetime", "random", "statistics"})

#: Limits of the interpreter that LiveCodeBench's programs assume: recursion depth, digits of an int.
RECURSION, DIGITS = 50_000, 50_000

_NAME = re.compile(r"[^\W\d]\w*")


def program(answer: str) -> str:
    """An answer with `prelude` in the line before it, or in the line of its last ``from __future__`` import."""
    return preludes.before(answer, prelude(answer), inline=True)


def prelude(answer: str) -> str:
    """One line that imports `MODULES`, except `COSTLY` ones none of whose names occurs in the answer."""
    used = set(_NAME.findall(answer))
    modules = [name for name in MODULES if name not in COSTLY or used & _public(name)]
    return "; ".join([*(f"from {name} import *" for name in modules), "import " + ", ".join(modules)])


def limits(given: Limits) -> Limits:
    """The given limits with higher bounds on recursion, digits and output; time and memory stay the same."""
    return replace(
        given,
        recursion=max(given.recursion, RECURSION),
        digits=max(given.digits, DIGITS),
        output_bytes=max(given.output_bytes, OUTPUT_BYTES),
    )


@cache
def _public(module: str) -> frozenset[str]:
    """A costly module's name and the names that ``from module import *`` defines."""
    return frozenset({module, *importlib.import_module(module).__all__})
