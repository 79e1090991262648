"""Checks that a teacher's message does not leak the answer to the solver. They are filters, not proofs."""

from __future__ import annotations

import re

from gasp_env.domains.python.triplet import Triplet
from gasp_env.values import render_known

#: Length of the prefix of a value that is searched for in a message, in characters.
_QUOTED = 200
#: Lines of a program, without spaces, that a person would write as well: a word, or a value that is returned or set.
_SAYS_LITTLE = re.compile(
    r"\w+:?|(?:return|yield|[a-z_]\w*=)?(?:[-+]?\d[\d.]*|True|False|None|''|\"\"|\[\]|\{\}|\(\))", re.ASCII
)
#: Length of a quotation in characters, without spaces and case. A shared stretch this long is no coincidence.
_QUOTATION = 48


def quotes_program(message: str, program: str) -> bool:
    """True if a message contains a line of the program, in any spacing. Lines of a single word and lines of a mere
    value, such as ``return -1``, do not count."""
    said = "".join(message.split())
    if "deff(" in said or "f=lambda" in said:
        return True
    lines = ("".join(line.split()) for line in program.splitlines())
    return any(len(line) >= 6 and not _SAYS_LITTLE.fullmatch(line) and line in said for line in lines)


def quotes_pairs(message: str, task: Triplet) -> bool:
    """True if a message pairs hidden inputs with their outputs, or lists the hidden outputs.

    A leak is two inputs, each closely followed by its output; or all hidden outputs that no shown pair
    has, if there are at least three. A paraphrased answer is not recognised.
    """
    squeezed = "".join(message.split())

    def spaced(text: str) -> str:
        return r"\s*".join(re.escape(token) for token in re.findall(r"\w+|[^\w\s]", text[:_QUOTED]))

    def says(pattern: str) -> bool:
        return re.search(rf"(?<![\w-])(?<!\d\.){pattern}(?!\w|\.\d)", message) is not None

    def quotes(text: str) -> bool:
        # Most values do not occur in the message at all, so the pattern is built only for the rest.
        return "".join(text[:_QUOTED].split()) in squeezed and says(spaced(text))

    outputs = [render_known(output) for output in task.outputs[task.shown :]]
    quoted = list(map(quotes, outputs))
    if sum(quoted) < 2:
        return False
    new = set(outputs) - {render_known(output) for output in task.outputs[: task.shown]}
    if len(new) >= 3 and all(said for said, output in zip(quoted, outputs, strict=True) if output in new):
        return True
    # Input and output must each occur before the slower search for the two in sequence.
    inputs = (", ".join(map(render_known, arguments)) for arguments in task.inputs[task.shown :])
    pairs = zip(inputs, outputs, quoted, strict=True)
    near = ((arguments, output) for arguments, output, said in pairs if said and quotes(arguments))
    return sum(says(rf"{spaced(a)}(?!\w)[\s\S]{{0,16}}?(?<![\w-]){spaced(o)}") for a, o in near) >= 2


def quotes_statement(message: str, statement: str) -> bool:
    """True if a message quotes the goalpost's statement at length, which a lift of the task may not see."""
    texts = ("".join(text.split()).casefold() for text in (message, statement))
    # The relation is symmetric, and the shorter text has fewer stretches.
    short, long = sorted(texts, key=len)
    # Every stretch contains one of these half-length blocks, and a text without a quotation rarely has one.
    half = _QUOTATION // 2
    if not any(short[i : i + half] in long for i in range(0, len(short) - half + 1, half)):
        return False
    return any(short[i : i + _QUOTATION] in long for i in range(len(short) - _QUOTATION + 1))
