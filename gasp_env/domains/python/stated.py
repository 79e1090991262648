r"""Where a text states an answer that is a value: an output, or arguments.

A model may write the value alone, complete the line that it was shown, or reason for a page and say the value at the
end. In this order, and only where nothing before it states a value, the answer is

1. what the text states outright: a block that is tagged as output or input, the completed line (an equation of
   ``f(...)`` whose known side is the question's own, wherever it stands), a final answer, a ``\boxed{...}``, a line
   with a label, as ``Output: 3``. All of these have to agree;
2. what its last sentence that concludes says: "thus, the function returns `3`";
3. another block, the text as a whole, a call without a result, code within its last words.

An equation that is asked, denied or supposed ("is f(3) == 4?") states nothing, nor does one of another call.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
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
    "deduction": r"(?:outputs?|results?|answers?|return(?:ed)? values?|values?)",
    "abduction": r"(?:inputs?|arguments?|parameters?|answers?)",
}
#: Words and marks between a verb and its value.
_FILLED = (
    r"(?:\s{1,3}(?:the|a|an|list|string|tuple|dictionary|set|number|integer|boolean|value|equal|to|be|as|simply|then|now|"
    r"just|indeed|also|therefore|thus|follows))*\s{0,3}:?\s{0,3}(?:\*\*|__)?"
)
_LABELS = {
    kind: re.compile(
        rf"^[\s#>*_\-`]*(?:the )?(?:(?:final|correct|expected|computed|actual) )*{noun}(?: is| are|[*_]*:)+[*_\s]*"
        r"(?P<value>.*)$",
        re.I,
    )
    for kind, noun in _NOUNS.items()
}
_FINAL = re.compile(r"\bfinal (?:answer|output|result)[*_]*(?: is|:| =)+[*_\s]*(?P<value>.*)$", re.I)
_IS = r"(?:[^`\n]|`[^`\n]*`){0,80}?(?:\b(?:is|are|be|was|were|becomes?)\b|:)"
#: What a sentence concludes with, the likelier first: "the output is", and "the function returns".
_CONCLUDED = {
    "deduction": (
        re.compile(rf"\b{_NOUNS['deduction']}\b{_IS}{_FILLED}", re.I),
        re.compile(
            r"(?:\b(?:function|call|code|program|it)|\bf\([^`\n]{0,200}?\)`?)\s"
            r"(?:(?:will|would|should|then|thus|therefore|finally) )*"
            rf"(?:returns?|outputs?|prints?|gives?|yields?|produces?|evaluates? to|equals?)\b{_FILLED}",
            re.I,
        ),
    ),
    "abduction": (re.compile(rf"\b{_NOUNS['abduction']}\b{_IS}{_FILLED}", re.I),),
}
_THEREFORE = re.compile(r"\b(?:therefore|thus|hence|so|finally|in conclusion)\b", re.I)
_BOXED = re.compile(r"\\boxed\{")
_INLINE = re.compile(r"`+([^`\n]+)`+")
#: Code or a formula, and more of it that is listed behind.
_SPAN = r"(?:`+[^`\n]{1,400}`+|\\\([^\n]{1,200}?\\\)|\$[^$\n]{1,200}\$)"
_LISTED = re.compile(rf"{_SPAN}(?:\s{{0,3}}(?:,|and|, and)\s{{0,3}}{_SPAN}){{0,8}}")
_SENTENCE = re.compile(r"(?<=[.!?])[*_]*\s+(?=[A-Z*`_(\\])")

_CALL = re.compile(r"(?<![\w.])f\(")
#: Between a call and its result. Only two equals signs go over the end of a line.
_EQUALS = re.compile(
    r"[)`$ \t]{0,8}(?:\s{0,8}==[ \t]{0,8}|(?:=>|=|->|→|⇒|(?:#[ \t]{0,8})?(?:returns?|gives?|equals?|is|evaluates to|"
    r"(?:expected )?(?:outputs?|results?):|expected:)|#[ \t]{0,8}(?:->|=>|prints?)?)[ \t]{0,8}`?)",
    re.I,
)
_BELOW = re.compile(r"[ \t]{0,8}\n[ \t]{0,8}")
#: A chain of equations, of which the last is the result.
_CHAINED = re.compile(r"(?:=|->|→)(?!.*(?:=|->|→))")
#: What may stand behind a value: no operator, no subscript, no condition and no noun that it counts.
_ENDED = re.compile(
    r"\Z|[`;\])}$\\#\"']|\.(?!\w)|,(?!\s*[\d\"'(\[{-])|!(?!=)|\*\*(?!\s*[\w(])|\((?=i\.?e|as |because|since|see )|"
    r"(?:and|as|because|since|for|which|so|is|holds|here|again|i\.e|therefore|thus|after|before|at)\b",
    re.I,
)
#: A number and the full stop of its sentence.
_STOPPED = re.compile(r"\s*(-?\d[\d_]*)\.(?=\s|\Z|[*_`)\"'])")
#: Words in front of an equation that deny it, and a sentence that only supposes it.
_DENIED = re.compile(r"\b(?:not|never|\w+n't|rather than|instead of)\b[^,;:`]*\Z", re.I)
_SUPPOSED = re.compile(
    r"\s*(?:if|suppose|assume|assuming|were|unless|note)\b(?!.*\b(?:so|therefore|thus|hence)\b)", re.I
)
_REFUTED = re.compile(
    r"[`*\s]*(?:(?:is|was|would be|seems) (?:not|false|wrong|incorrect)|isn't|fails|when|if|only|where|instead)\b",
    re.I,
)


@dataclass(frozen=True)
class _Equation:
    """A call of ``f`` in a text.

    Attributes:
        arguments: of the call.
        equated: True if something is said of its result.
        result: alone, the value that it is said to be; None if that is none.
    """

    arguments: Arguments
    equated: bool
    result: tuple[Any] | None


def values(
    read: Text, kind: str, signature: ast.arguments | None = None, known: Sequence[Any] = ()
) -> list[Any]:
    """The answers that a text states: outputs of a deduction, arguments of an abduction; several if they differ.

    Args:
        read: the text.
        kind: ``deduction`` or ``abduction``.
        signature: parameters of the program, for keywords.
        known: alone, what the question shows: the arguments of a deduction, the output of an abduction.
    """
    for form in _Stated(read, kind, signature, known).forms():
        found = form()
        if found:
            return found
    return []


class _Stated:
    """The forms in which one text may state its answer."""

    def __init__(self, read: Text, kind: str, signature: ast.arguments | None, known: Sequence[Any]) -> None:
        self._kind, self._signature, self._known = kind, signature, known
        own_tags = OUTPUT_TAGS if kind == "deduction" else INPUT_TAGS
        self._tagged = [block.body for block in read.blocks if block.tag in own_tags]
        untagged = [block.body for block in read.blocks if block.tag not in OUTPUT_TAGS | INPUT_TAGS]
        self._statements = [_statements(read, body) for body in untagged]
        self._words = read.rest
        self._paragraphs = re.split(r"\n[ \t]*\n", read.rest.strip())
        self._lines = [line for line in read.rest.split("\n") if len(line) <= MAX_LINE]
        self._equations = list(_equations([*self._statements, read.rest], signature))

    def forms(self) -> tuple[Callable[[], list[Any]], ...]:
        """The forms in their order."""
        return (
            self._outright,
            self._concluded,
            lambda: self._of(self._statements),
            lambda: self._of([self._words]),
            self._calls,
            lambda: self._of(line for line in self._lines if "input(" in line),
            self._inline,
        )

    def _outright(self) -> list[Any]:
        """What is stated in so many words, each once."""
        found = [*self._of(self._tagged), *self._completed(), *self._boxed(), *self._labelled()]
        return list({encode(value): value for value in found}.values())

    def _of(self, bodies: Iterable[str]) -> list[Any]:
        """The answers that blocks or lines hold."""
        found: list[Any] = []
        for number, body in enumerate(bodies):
            if number >= MAX_PLACES:
                break
            found += _answers(body, self._kind, self._signature)
        return found

    def _completed(self) -> list[Any]:
        """The answers of equations whose known side is the question's own."""
        stated = [one for one in self._equations if one.result is not None]
        if self._kind == "deduction":
            return [one.result[0] for one in stated if one.result and self._is_known(one.arguments)]
        return [one.arguments for one in stated if one.result and self._is_known(one.result[0])]

    def _calls(self) -> list[Any]:
        """Arguments of calls without a result; of the only call of the last paragraph, whatever its result."""
        if self._kind == "deduction":
            return []
        plain = [one.arguments for one in self._equations if not one.equated]
        last = [one.arguments for one in _equations([self._paragraphs[-1]], self._signature)]
        return plain or (last if len(set(map(encode, last))) == 1 else [])

    def _is_known(self, value: Any) -> bool:
        return bool(self._known) and encode(value) == encode(self._known[0])

    def _boxed(self) -> list[Any]:
        """The value of the last box."""
        boxes = list(_BOXED.finditer(self._words))[-1:]
        return self._of(_without_latex(enclosed(self._words, box.end())) for box in boxes)

    def _labelled(self) -> list[Any]:
        """Values behind a label on its line or alone on the next one; the final ones, if any are called so."""
        found: dict[bool, list[Any]] = {True: [], False: []}
        places = 0
        for number, line in enumerate(self._lines):
            final = _FINAL.search(line)
            said = final or _LABELS[self._kind].match(line)
            if said is None or places >= MAX_PLACES:
                continue
            places += 1
            value = said["value"].strip()
            below = [after for after in self._lines[number + 1 : number + 3] if after.strip()]
            for text in [value.rstrip(".")] if value else below[:1]:
                answers = _answers(text, self._kind, self._signature)
                stated = _prefix(text) if value and not answers and self._kind == "deduction" else None
                found[final is not None] += answers or list(stated or ())
        return found[True] or found[False]

    def _concluded(self) -> list[Any]:
        """The values of the last sentence that concludes, in the last paragraph or behind a word that says so."""
        last = set(self._paragraphs[-1].split("\n"))
        for line in reversed(self._lines[-MAX_PLACES:]):
            for sentence in reversed(_SENTENCE.split(line)):
                if line not in last and not _THEREFORE.search(sentence):
                    continue
                for form in _CONCLUDED[self._kind]:
                    found = [
                        one
                        for said in form.finditer(sentence)
                        if not _is_doubted(sentence[: said.start()], "")
                        for one in self._behind(sentence, said.end())
                    ]
                    if found:
                        return found
        return []

    def _behind(self, line: str, at: int) -> list[Any]:
        """The value that stands at a place of a sentence, alone in a list: as code, or plain."""
        rest = line[at:]
        listed = _LISTED.match(rest)
        if listed is not None:
            if _REFUTED.match(rest, listed.end()):
                return []
            spans = [
                _without_latex(span.strip("`$").removeprefix("\\(").removesuffix("\\)"))
                for span in re.findall(_SPAN, listed[0])
            ]
            if self._kind == "abduction" and len(spans) == _parameters(self._signature):
                spans = [", ".join(spans)]  # `6` and `5`, or `n = 6`, `k = 5`
            return self._of(spans)
        if self._kind == "abduction":
            return _answers(rest.strip().rstrip(".*_").strip(), self._kind, self._signature)
        value = _prefix(rest)
        return list(value) if value is not None else []

    def _inline(self) -> list[Any]:
        """Code in the last line that has any which is an answer."""
        for line in reversed(self._lines[-MAX_PLACES:]):
            found = self._of(_INLINE.findall(line))
            if found:
                return found
        return []


def _parameters(signature: ast.arguments | None) -> int:
    return len(signature.posonlyargs) + len(signature.args) if signature is not None else 0


def _statements(read: Text, body: str) -> str:
    """The lines of a block that are no definitions: a call within a program states nothing."""
    program = read.program(body)
    lines = body.split("\n")
    if program is None:
        return "\n".join(line for line in lines if not line[:1].isspace())
    defined = {
        number
        for node in program.tree.body
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.If | ast.For | ast.While)
        for number in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    return "\n".join(line for number, line in enumerate(lines, start=1) if number not in defined)


def _equations(pieces: Iterable[str], signature: ast.arguments | None) -> Iterator[_Equation]:
    """The calls of ``f`` with literals, with their results where they are stated; those in doubt are left out."""
    left = MAX_PLACES
    for text in pieces:
        for call in _CALL.finditer(text):
            left -= 1
            if left < 0:
                return
            inner = enclosed(text, call.end())
            end = call.end() + len(inner) + 1
            try:
                given = arguments(inner, signature)
            except ValueSyntaxError:
                continue
            before = text[text.rfind("\n", 0, call.start()) + 1 : call.start()]
            equated, result, after = _result(text, end, console=">>>" in before)
            if not _is_doubted(_SENTENCE.split(before)[-1], text[after : after + 200].partition("\n")[0]):
                yield _Equation(given, equated, result)


def _is_doubted(before: str, after: str) -> bool:
    """True if what stands around an equation asks, denies or supposes it."""
    asked = re.match(r"[`*)\s]*\?", after)
    return bool(asked or _DENIED.search(before) or _SUPPOSED.match(before) or _REFUTED.match(after))


def _result(text: str, at: int, console: bool) -> tuple[bool, tuple[Any] | None, int]:
    """True if a result is said behind a call, its value, alone, the last one of a chain, and the place behind it."""
    said = _EQUALS.match(text, at)
    below = (
        _BELOW.match(text, said.end() if said is not None else at) if said is not None or console else None
    )
    if below is not None and (said is None or said[0].rstrip().endswith("==")):
        # A value on the next line has the line for itself; words that follow an echoed question are none.
        line = text[below.end() :].partition("\n")[0].rstrip("` \t")
        try:
            return True, (literal(line),), below.end() + len(line)
        except ValueSyntaxError:
            return said is not None, None, at
    if said is None:
        return False, None, at
    rest = text[said.end() :]
    value = _prefix(rest)
    if value is not None:
        return True, value, said.end() + _parsed_prefix(rest)[1]
    line = rest[:MAX_LINE].partition("\n")[0]
    chained = _CHAINED.search(line)
    # An equation of something else, or a condition, says nothing of this call.
    if chained is None or "f(" in line or line[: chained.start()].endswith(("!", "<", ">", "=")):
        return True, None, at
    if any(mark in line[: chained.start()] for mark in "`#;,$"):
        return True, None, at
    return True, _prefix(line[chained.end() :]), said.end() + len(line)


def _prefix(text: str) -> tuple[Any] | None:
    """The value that a text begins with, alone; None if there is none, or if more of the expression follows."""
    try:
        value, end = _parsed_prefix(text)
    except ValueSyntaxError:
        return None
    before = text[:end].rstrip()
    rest = text[len(before) :]
    if rest[:1].isalnum() or rest[:1] == "_":  # 5th
        return None
    # A value ends with its line.
    return (value,) if rest.lstrip(" \t")[:1] == "\n" or _ENDED.match(rest.lstrip()) else None


def _parsed_prefix(text: str) -> tuple[Any, int]:
    """The value that a text begins with, and the place behind it.

    Raises:
        ValueSyntaxError: it begins with none.
    """
    number = _STOPPED.match(text)
    return (parse_literal(number[1]), number.end(1)) if number is not None else parse_prefix(text)


def _without_latex(text: str) -> str:
    r"""A formula as code: ``\{1\}`` is ``{1}``, ``\text{a}`` is ``a``."""
    text = re.sub(r"\\(?:text|texttt|mathrm|mathtt)\{([^{}]*)\}", r"\1", text)
    return re.sub(r"\\([{}_%&#$ ])", r"\1", text).strip()


def _answers(body: str, kind: str, signature: ast.arguments | None) -> list[Any]:
    """The answers that a block or a line holds."""
    body = body.strip().removeprefix("\ufeff")
    labelled = _LABELS[kind].match(body.rpartition("\n")[2])
    tried = (body, body.strip("`*. "), labelled["value"].strip("`*. ") if labelled is not None else body)
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
