"""Players without a model: `scripted` shows every stage of the game, `silent` knows nothing.

`scripted` reads prompts and nothing else, as any policy does, and answers those it was written for: the lemma and the
lift of one goalpost, on either axis, and the tasks that become of them (``gasp_env/data/scripted.json``). It proposes
the same at any goalpost. Its solver is right as often as is interesting, so that one episode shows every stage.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from gasp_env.domains.python.styles.exercises import COMPLETE, EASIER, HARDER

#: The goalpost that the scripts were written for.
GOALPOST = "calendar-gaps"
#: How the second step of a proposal in two is asked for.
COMPLETED = COMPLETE.partition("\n")[0]
UNSURE = "I am not sure. Perhaps it has to do with sorting?"
UNKNOWN = "I do not know."


@dataclass(frozen=True)
class Script:
    """One task of the teacher, and the solver's answers to it.

    Attributes:
        program, inputs, message: the proposal.
        outputs: the program's return values, as literals.
        answer: the solver's text when it is right.
        mistakes: its texts when it is not.
        right: number of right attempts in eight.
    """

    program: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    message: str
    right: int
    answer: str
    mistakes: tuple[str, ...]


@cache
def scripts() -> Mapping[str, tuple[Script, Script]]:
    """A lemma and its lift for each axis. Programs are stored as lists of lines."""
    file = resources.files("gasp_env") / "data" / "scripted.json"
    stored = json.loads(file.read_text("utf-8"))
    return {axis: (_script(pair["lemma"]), _script(pair["lift"])) for axis, pair in stored.items()}


def silent(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
    """Answer that it does not know: no proposal is valid, no answer right."""
    return [(UNKNOWN,) * count for count in samples]


def scripted(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
    """Answer from the scripts: one text for the teacher, ``samples[i]`` attempts for the solver."""
    return [_answers(prompt, count) for prompt, count in zip(prompts, samples, strict=True)]


def _answers(prompt: str, samples: int) -> tuple[str, ...]:
    for axis, (lemma, lift) in scripts().items():
        if EASIER[axis] in prompt:
            return (_proposal(lemma),)
        if HARDER[axis] in prompt and lemma.program in prompt:
            return (_proposal(lift),)
        for script in (lemma, lift):
            if COMPLETED in prompt and script.program.strip() in prompt:
                return (_proposal(script),)
            if script.message in prompt:
                return _attempts(script, samples)
            if script.program in prompt:
                return (_value(script, prompt),)
    return (UNSURE,) * samples


def _proposal(script: Script) -> str:
    blocks = [_block("python", script.program)]
    blocks += [_block("input", text) for text in script.inputs]
    return "\n".join([*blocks, _block("message", script.message)])


def _attempts(script: Script, samples: int) -> tuple[str, ...]:
    right = max(1, samples * script.right // 8)
    wrong = [*(_block("python", mistake) for mistake in script.mistakes), UNSURE]
    missed = [wrong[number % len(wrong)] for number in range(samples - right)]
    return (_block("python", script.answer),) * right + tuple(missed)


def _value(script: Script, prompt: str) -> str:
    # A deduction prompt shows the call, an abduction prompt the value; a value is never shown as a call.
    for arguments, output in zip(script.inputs, script.outputs, strict=True):
        if f"f({arguments})" in prompt:
            return _block("output", output)
    for arguments, output in zip(script.inputs, script.outputs, strict=True):
        if f"\n{output}\n" in prompt:
            return _block("input", arguments)
    return UNSURE


def _block(tag: str, body: str) -> str:
    return f"```{tag}\n{body.rstrip()}\n```"


def _script(stored: Mapping[str, Any]) -> Script:
    return Script(
        program=_text(stored["program"]),
        inputs=tuple(stored["inputs"]),
        outputs=tuple(stored["outputs"]),
        message=stored["message"],
        right=stored["right"],
        answer=_text(stored["answer"]),
        mistakes=tuple(_text(lines) for lines in stored["mistakes"]),
    )


def _text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)
