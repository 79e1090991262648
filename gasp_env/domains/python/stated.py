r"""Where a text states an answer that is a value: an output, or arguments.

A model may write the value alone, complete the line that it was shown, or reason for a page and say the value at the
end. The forms are tried in an order, and the first that states anything is the answer:

1. a block that is tagged as output or input;
2. the completed line: an equation of ``f(...)`` whose known side is the question's own, wherever it stands;
3. what is called the final answer, in words or as ``\boxed{...}``;
4. a line with a label: ``Output: 3``;
5. another block;
6. the last sentence that concludes: "thus, the function returns `3`";
7. other equations and calls of ``f``, the text as a whole, and code within its last words.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gasp_env.domains.python import candidates
from gasp_env.domains.python.calls import MAX_LINE, CallReader, enclosed, literal_text
from gasp_env.domains.python.literals import arguments, literal
from gasp_env.domains.python.texts import INPUT_TAGS, OUTPUT_TAGS, Text
from gasp_env.tasks import Arguments
from gasp_env.values import ValueSyntaxError, encode, parse_literal, parse_prefix

#: Most blocks, lines or calls of a text that are read: a bound on the work that a hostile text causes.
MAX_PLACES = 64

_NOUNS = {
    "deduction": r"(?:outputs?|results?|answers?|return(?:s|ed)?(?: values?)?|values?)",
    "abduction": r"(?:inputs?|arguments?|parameters?|answers?)",
}
#: Words between a verb and its value.
_FILLED = (
    r"(?:\s+(?:the|a|an|list|string|tuple|dictionary|set|number|integer|boolean|value|equal|to|be|as|simply|then|now|"
    r"just|indeed|also|therefore|thus|follows))*\s*:?\s*"
)
_LABELS = {
    kind: re.compile(
        rf"^[\s#>*_\-`]*(?:the )?(?:(?:correct|expected|computed|actual) )*{noun}(?: is| are|:| =)+[*_\s]*"
        r"(?P<value>.+)$",
        re.I,
    )
    for kind, noun in _NOUNS.items()
}
_FINAL = re.compile(r"\bfinal (?:answer|output|result)(?: is|:| =)+[*_\s]*(?P<value>.+)$", re.I)
_IS = r"(?:[^`\n]|`[^`\n]*`){0,80}?(?:\b(?:is|are|be|was|were|becomes?)\b|:)"
_CONCLUDED = {
    "deduction": re.compile(
        r"\b(?:returns?|returned|outputs?|prints?|gives?|yields?|produces?|results? in|evaluates? to|equals?|"
        rf"{_NOUNS['deduction']}\b{_IS}){_FILLED}",
        re.I,
    ),
    "abduction": re.compile(rf"\b{_NOUNS['abduction']}\b{_IS}{_FILLED}", re.I),
}
_THEREFORE = re.compile(r"\b(?:therefore|thus|hence|so|finally|in conclusion)\b", re.I)
_BOXED = re.compile(r"\\boxed\{")
_INLINE = re.compile(r"`+([^`\n]+)`+")
#: Code, and more code that is listed behind it.
_LISTED = re.compile(r"`+[^`\n]*`*(?:\s*(?:,|and|,\s*and)\s*`+[^`\n]+`+)*")
_MATHS = re.compile(r"\\[(\[]\s*([^\n]+?)\s*\\[)\]]|\$([^$\n]{1,200})\$")
#: A full stop behind a number, which ends its sentence.
_STOP = re.compile(r"(?<=\d)\.(?=[\s*_)\"`]|\Z)")
_EMPHASIS = re.compile(r"\*\*|__")

_CALL = re.compile(r"(?<![\w.])f\(")
#: Between a call and its result. Only two equals signs go over the end of a line.
_EQUALS = re.compile(
    r"[)`$ \t]*(?:\s*==\s*|(?:=|->|=>|→|⇒|(?:#[ \t]*)?(?:returns?|gives?|equals?|is|evaluates to|"
    r"(?:expected )?(?:outputs?|results?):|expected:)|#[ \t]*(?:->|=>|prints?)?)[ \t]*`?)",
    re.I,
)
_CONSOLE = re.compile(r"[ \t]*\n")
#: What may stand behind a value: no operator, no subscript and no condition.
_ENDED = re.compile(r"[`.,;:!?)\]}$\\#\"'|]|\Z|(?!(?:if|or|and|in|not)\b)[^\W\d]")


@dataclass(frozen=True)
class _Equation:
    """A call of ``f`` in a text, and the value that is said to be its result."""

    arguments: Arguments
    has_value: bool
    value: Any = None


def values(
    read: Text, kind: str, signature: ast.arguments | None = None, known: Sequence[Any] = ()
) -> list[Any]:
    """The answers that a text states: outputs of a deduction, arguments of an abduction.

    Args:
        read: the text.
        kind: ``deduction`` or ``abduction``.
        signature: parameters of the program, for keywords.
        known: alone, what the question shows: the arguments of a deduction, the output of an abduction.

    Returns:
        Those of the first form that has any; several where the text states several.
    """
    for form in _Stated(read, kind, signature, known).forms():
        found = form()
        if found:
            return found
    return []


class _Stated:
    """The forms in which one text may state its answer."""

    def __init__(self, read: Text, kind: str, signature: ast.arguments | None, known: Sequence[Any]) -> None:
        self._read, self._kind, self._signature, self._known = read, kind, signature, known
        own_tags = OUTPUT_TAGS if kind == "deduction" else INPUT_TAGS
        self._tagged = [block.body for block in read.blocks if block.tag in own_tags]
        other_tags = (OUTPUT_TAGS | INPUT_TAGS) - own_tags
        self._untagged = [block.body for block in read.blocks if block.tag not in own_tags | other_tags]
        words = _MATHS.sub(lambda found: f"`{_without_latex(found[1] or found[2])}`", read.rest)
        self._words = _STOP.sub(" .", words)
        self._lines = [line for line in self._words.split("\n") if len(line) <= MAX_LINE]

    def forms(self) -> tuple[Callable[[], list[Any]], ...]:
        """The forms in their order."""
        return (
            lambda: self._of(self._tagged),
            lambda: self._of_equations(own=True),
            self._final,
            lambda: self._of(
                said["value"] for line in self._lines if (said := _LABELS[self._kind].match(line))
            ),
            lambda: self._of(self._untagged),
            self._concluded,
            lambda: self._of_equations(own=False),
            lambda: self._of(line for line in self._lines if "input(" in line),
            lambda: self._of([self._words]),
            self._inline,
        )

    def _of(self, bodies: Any) -> list[Any]:
        """The answers that blocks or lines hold."""
        found: list[Any] = []
        for number, body in enumerate(bodies):
            if number >= MAX_PLACES:
                break
            found += _answers(body, self._kind, self._signature)
        return found

    def _of_equations(self, own: bool) -> list[Any]:
        """What equations say: the question's own, or any; for an abduction also calls without a result."""
        whole = "\n".join([*self._untagged, self._words])
        found = list(_equations(whole, self._signature))
        if self._kind == "deduction":
            found = [one for one in found if one.has_value]
            return [one.value for one in found if not own or self._is_known(one.arguments)]
        return [one.arguments for one in found if not own or (one.has_value and self._is_known(one.value))]

    def _is_known(self, value: Any) -> bool:
        return bool(self._known) and encode(value) == encode(self._known[0])

    def _final(self) -> list[Any]:
        """The last value in a box, or the last one that is called final."""
        boxed = list(_BOXED.finditer(self._read.rest))
        if boxed:
            inner = _without_latex(enclosed(self._read.rest, boxed[-1].end()))
            return self._of([inner])
        for line in reversed(self._lines[-MAX_PLACES:]):
            said = _FINAL.search(line)
            found = self._of([said["value"]]) if said is not None else []
            if found:
                return found
        return []

    def _concluded(self) -> list[Any]:
        """The values of the last sentence that concludes, in the last paragraph or behind a word that says so."""
        paragraphs = re.split(r"\n\s*\n", self._words.strip())
        last = set(paragraphs[-1].split("\n"))
        for line in reversed(self._lines[-MAX_PLACES:]):
            if line not in last and not _THEREFORE.search(line):
                continue
            bare = _EMPHASIS.sub("", line)
            found = [
                one
                for said in _CONCLUDED[self._kind].finditer(bare)
                for one in self._behind(bare, said.end())
            ]
            if found:
                return found
        return []

    def _behind(self, line: str, at: int) -> list[Any]:
        """The value that stands at a place of a sentence, alone in a list: as code, or plain."""
        rest = line[at:]
        if rest.startswith("`"):
            listed = _LISTED.match(rest)
            codes = _INLINE.findall(listed[0]) if listed is not None else []
            if self._kind == "abduction" and len(codes) == _parameters(self._signature):
                codes = [", ".join(codes)]  # `6` and `5`, or `n = 6`, `k = 5`
            return self._of(codes)
        if self._kind == "abduction":
            plain = rest.strip().rstrip(".").strip()
            return _answers(plain, self._kind, self._signature)
        value = _prefix(rest)
        return [value[0]] if value is not None else []

    def _inline(self) -> list[Any]:
        """Code in the last line that has any which is an answer."""
        for line in reversed(self._lines[-MAX_PLACES:]):
            found = self._of(_INLINE.findall(line))
            if found:
                return found
        return []


def _parameters(signature: ast.arguments | None) -> int:
    return len(signature.posonlyargs) + len(signature.args) if signature is not None else 0


def _equations(text: str, signature: ast.arguments | None) -> Iterator[_Equation]:
    """The calls of ``f`` with literals in a text, with their results where they are said."""
    for number, call in enumerate(_CALL.finditer(text)):
        if number >= MAX_PLACES:
            return
        inner = enclosed(text, call.end())
        end = call.end() + len(inner) + 1
        try:
            given = arguments(inner, signature)
        except ValueSyntaxError:
            continue
        line = text[text.rfind("\n", 0, call.start()) + 1 : call.start()]
        said = _EQUALS.match(text, end) or (_CONSOLE.match(text, end) if ">>>" in line else None)
        value = _result(text, said.end()) if said is not None else None
        yield _Equation(given, value is not None, value[0] if value is not None else None)


def _result(text: str, at: int) -> tuple[Any] | None:
    """The value at a place behind an equals sign, or the last one of a chain of equations on its line."""
    value = _prefix(text[at : at + MAX_LINE])
    if value is not None:
        return value
    line = text[at : at + MAX_LINE].partition("\n")[0]
    chained, equals, last = line.rpartition("=")
    # An equation of something else, or a condition, says nothing of this call.
    if not equals or "f(" in line or chained.endswith(("!", "<", ">")) or _ended_before(chained):
        return None
    return _prefix(last)


def _ended_before(chained: str) -> bool:
    """True if the first equation of a chain has ended, so that what follows is another one."""
    return any(mark in chained for mark in "`#;,$")


def _prefix(text: str) -> tuple[Any] | None:
    """The value that a text begins with, alone; None if there is none, or if more of the expression follows."""
    try:
        value, end = parse_prefix(text)
    except ValueSyntaxError:
        return None
    rest = text[end:]
    if rest[:1].isalnum() and not text[end - 1].isspace():  # 5th
        return None
    before = text[:end].rstrip()
    between, rest = text[len(before) : end] + rest[: len(rest) - len(rest.lstrip())], rest.lstrip()
    # A value ends with its line.
    ended = "\n" in between or rest.startswith("**") or _ENDED.match(rest)
    return (value,) if ended else None


def _without_latex(text: str) -> str:
    r"""A formula as code: ``\{1\}`` is ``{1}``, ``\text{a}`` is ``a``."""
    text = re.sub(r"\\(?:text|texttt|mathrm|mathtt)\{([^{}]*)\}", r"\1", text)
    return re.sub(r"\\([{}_%&#$ ])", r"\1", text).strip()


def _answers(body: str, kind: str, signature: ast.arguments | None) -> list[Any]:
    """The answers that a block or a line holds."""
    body = body.strip().removeprefix("\ufeff")
    labelled = _LABELS[kind].match(body.rpartition("\n")[2])
    tried = (body, body.strip("`*. "), labelled["value"].strip("`* ") if labelled is not None else body)
    for text in dict.fromkeys(tried):
        if not text:
            continue
        try:
            return [literal(text) if kind == "deduction" else arguments(text, signature)]
        except ValueSyntaxError:
            program = candidates.parsed(text)
        if program is not None:
            completed = _outputs if kind == "deduction" else _inputs
            found = completed(program.tree.body, signature)
            if found:
                return found
    return []


def _outputs(body: Sequence[ast.stmt], signature: ast.arguments | None) -> list[Any]:
    """Values in the form of a completed statement: ``3 == f(2)``, ``x = 3``, ``print(3)``."""
    found = []
    for node in body:
        value = node.test if isinstance(node, ast.Assert) else getattr(node, "value", None)
        if isinstance(value, ast.Call) and _is_name(value.func, "print") and len(value.args) == 1:
            value = value.args[0]
        if isinstance(value, ast.Compare):
            if len(value.ops) != 1 or not isinstance(value.ops[0], ast.Eq | ast.Is):
                continue
            left, right = value.left, value.comparators[0]
            value = left if isinstance(right, ast.Call) and _is_name(right.func, "f") else right
        elif not (isinstance(node, ast.Assign | ast.Expr) and len(body) == 1):
            continue
        if value is not None:
            found += _text_as(parse_literal, value)
    return found


def _inputs(body: Sequence[ast.stmt], signature: ast.arguments | None) -> list[Any]:
    """Arguments in the form of a completed statement: ``f(2) == 3``, ``assert f(x) == 3``, ``x = 2``."""
    reader = CallReader(frozenset({"f", "input"}), signature)
    reader.of_statements(body)
    if reader.calls.read or reader.calls.unread:
        return list(reader.calls.read)
    assigned = {
        target.id: node.value
        for node in body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    if len(assigned) < len(body) or not assigned:
        return []
    names = [one.arg for one in (*signature.posonlyargs, *signature.args)] if signature is not None else []
    values = [assigned[name] for name in names if name in assigned]
    if len(values) < len(assigned):
        values = list(assigned.values()) if len(assigned) == 1 else []
    found = [_text_as(parse_literal, value) for value in values]
    return [tuple(value for (value,) in found)] if values and all(found) else []


def _text_as(parse: Callable[[str], Any], node: ast.expr) -> list[Any]:
    """What a parser of text makes of an expression, alone in a list; an empty list if it refuses it."""
    try:
        return [parse(literal_text(node))]
    except (ValueSyntaxError, RecursionError):
        return []


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
