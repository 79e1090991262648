"""HumanEval's prompts, which are code to complete, taken apart into the fields of a goalpost.

A prompt is a head of imports and helpers, and a function with a docstring and no body. The docstring's text becomes the
statement, the head the prelude. The statement says what stands in the head as well, so that a solver reads what the
prompt says, in words.
"""

from __future__ import annotations

import ast
import inspect
import re
from dataclasses import dataclass

from gasp_env.loaders import recorder
from gasp_env.records import Record

_LITERAL = re.compile(r"[rRuU]?(\"\"\"|'''|\"|')(.*)\1", re.DOTALL)
_LINE_END = re.compile(r"\r\n|\r|\n")
_IMPORTED = "Already imported: {imports}"
_DEFINED = """\
Already defined:

```python
{prelude}
```"""


@dataclass(frozen=True)
class Stub:
    """A prompt taken apart.

    Attributes:
        statement: the problem in words.
        prelude: the head, whole lines; empty if there is none.
    """

    statement: str
    prelude: str


def taken_apart(reader: Record, prompt: str, solution: str, header: ast.FunctionDef) -> Stub:
    """Take a prompt apart; one without a docstring is its own statement.

    Args:
        reader: raises the errors.
        prompt: the text that a solution continues.
        solution: the prompt and its continuation, a whole program.
        header: the function to complete, parsed from ``solution``.

    Raises:
        GoalpostError: the head of the prompt is no program.
    """
    first = min([header.lineno, *(node.lineno for node in header.decorator_list)])
    ends = [0, *(match.end() for match in _LINE_END.finditer(prompt)), len(prompt)]
    prelude = prompt[: ends[min(first, len(ends)) - 1]].strip()
    said = _docstring(prompt, solution, header)
    if not said:
        return Stub(prompt.strip(), prelude)
    return Stub("\n\n".join(filter(None, [said, _in_words(reader, prelude)])), prelude)


def _docstring(prompt: str, solution: str, function: ast.FunctionDef) -> str:
    """The text of the first string that stands alone in a function; empty if the prompt has none.

    It is taken as written, since a solver reads the source: an escape in an example is no line end.
    """
    lines = len(_LINE_END.findall(prompt.rstrip())) + 1
    for node in function.body:
        if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Constant):
            continue
        value = node.value.value
        if type(value) is str and (node.end_lineno or 0) <= lines:
            written = ast.get_source_segment(solution, node) or ""
            literal = _LITERAL.fullmatch(written)
            alone = literal is not None and written.count(literal[1]) == 2
            return inspect.cleandoc(literal[2] if literal and alone else value).strip()
    return ""


def _in_words(reader: Record, prelude: str) -> str:
    """A paragraph that says what a head holds; empty if it holds nothing."""
    nodes = recorder.parsed(reader, "prompt", prelude)
    if all(isinstance(node, ast.Import | ast.ImportFrom) for node in nodes):
        imports = ", ".join(f"`{ast.unparse(node)}`" for node in nodes)
        return _IMPORTED.format(imports=imports) if imports else ""
    return _DEFINED.format(prelude=prelude)
