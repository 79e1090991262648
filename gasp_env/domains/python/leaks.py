"""Whether a teacher's message gives away what the solver is to find out. Filters, not proofs."""

from __future__ import annotations

import re

from gasp_env.domains.python.triplet import Triplet
from gasp_env.values import render_known

#: Characters of a value that are looked for in a message.
_QUOTED = 200
#: Characters in a row, spaces apart and case aside, that nobody shares with a statement by accident.
_QUOTATION = 48


def quotes_program(message: str, program: str) -> bool:
    """Whether a message holds a line of the program, however it is spaced. Lines of mere words do not count."""
    said = "".join(message.split())
    if "deff(" in said or "f=lambda" in said:
        return True
    lines = ("".join(line.split()) for line in program.splitlines())
    return any(len(line) >= 6 and not re.fullmatch(r"\w+:?", line) and line in said for line in lines)


def quotes_pairs(message: str, task: Triplet) -> bool:
    """Whether a message says what hidden inputs give, or lists the hidden outputs.

    Two inputs, each closely followed by its output, are a table; so are all the hidden outputs that no
    shown pair has, if they are three or more. Answers in other words are not recognised: no rule on
    text could.
    """
    squeezed = "".join(message.split())

    def spaced(text: str) -> str:
        return r"\s*".join(re.escape(token) for token in re.findall(r"\w+|[^\w\s]", text[:_QUOTED]))

    def says(pattern: str) -> bool:
        return re.search(rf"(?<![\w-])(?<!\d\.){pattern}(?!\w|\.\d)", message) is not None

    def quotes(text: str) -> bool:
        # Most are nowhere in the message, however they are spaced, and need no pattern made for them.
        return "".join(text[:_QUOTED].split()) in squeezed and says(spaced(text))

    outputs = [render_known(output) for output in task.outputs[task.shown :]]
    quoted = list(map(quotes, outputs))
    if sum(quoted) < 2:
        return False
    new = set(outputs) - {render_known(output) for output in task.outputs[: task.shown]}
    if len(new) >= 3 and all(said for said, output in zip(quoted, outputs, strict=True) if output in new):
        return True
    # Both must be there at all before the dearer search for one after the other.
    inputs = (", ".join(map(render_known, arguments)) for arguments in task.inputs[task.shown :])
    pairs = zip(inputs, outputs, quoted, strict=True)
    near = ((arguments, output) for arguments, output, said in pairs if said and quotes(arguments))
    return sum(says(rf"{spaced(a)}(?!\w)[\s\S]{{0,16}}?(?<![\w-]){spaced(o)}") for a, o in near) >= 2


def quotes_statement(message: str, statement: str) -> bool:
    """Whether a message holds a long stretch of a goalpost's statement: the lift that reads it is to be blind."""
    texts = ("".join(text.split()).casefold() for text in (message, statement))
    # A stretch of one that is in the other: the shorter has fewer.
    short, long = sorted(texts, key=len)
    # Every stretch has one of these within it, and hardly ever is one of them there.
    half = _QUOTATION // 2
    if not any(short[i : i + half] in long for i in range(0, len(short) - half + 1, half)):
        return False
    return any(short[i : i + _QUOTATION] in long for i in range(len(short) - _QUOTATION + 1))
