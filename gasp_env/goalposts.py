"""Goalposts in files: JSON lines, one problem a line, values written as Python literals.

A record::

    {"id": "merge-bookings",                    unique in the file
     "statement": "Given ...",                  what a person would be asked
     "signature": "def f(spans: list) -> list", one line that defines f
     "tests": [{"input": "[(1, 3)]",            the arguments, as between the parentheses of a call
                "output": "[(1, 3)]"}, ...],    the right value
     "shown": 2,                                tests a solver may see, from the first; default 0
     "reference": "def f(spans): ...",          passes every test; default null
     "evidence": [{"model": "m", "samples": 100, "correct": 0}, ...],   of hardness; default []
     "tags": ["intervals"],                     default []
     "difficulty": "medium"}                    easy, medium (default) or hard

Literals rather than JSON values, because a tuple is not a list and ``1`` is not ``1.0`` (`gasp_env.values`).
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn

from gasp_env import values
from gasp_env.tasks import Arguments, Evidence, Goalpost

DIFFICULTIES = ("easy", "medium", "hard")

_REQUIRED = ("id", "statement", "signature", "tests")
_OPTIONAL: dict[str, Any] = {
    "shown": 0,
    "reference": None,
    "evidence": [],
    "tags": [],
    "difficulty": "medium",
}
_SHOWN_CHARS = 80


class GoalpostError(ValueError):
    """A goalpost file that does not hold what it should; the message names the line, the field and the fix."""


def load(path: str | Path) -> tuple[Goalpost, ...]:
    """Read a goalpost file.

    Raises:
        GoalpostError: at the first record that is not as described above.
        OSError: when the file cannot be read.
    """
    return _read(Path(path).read_bytes(), str(path))


@cache
def ours() -> tuple[Goalpost, ...]:
    """The goalposts that ship with gasp_env (``gasp_env/data/README.md`` says how they were made)."""
    file = resources.files("gasp_env") / "data" / "goalposts.jsonl"
    return _read(file.read_bytes(), "gasp_env/data/goalposts.jsonl")


def dump(goalposts: Iterable[Goalpost], path: str | Path) -> None:
    """Write a file that `load` reads back to equal goalposts. Nothing is written when one of them is refused.

    Raises:
        GoalpostError: when `load` would refuse the file.
    """
    lines = [json.dumps(record(goalpost)) + "\n" for goalpost in goalposts]
    text = "".join(lines)
    _read(text.encode(), str(path))
    Path(path).write_text(text, encoding="utf-8")


def record(goalpost: Goalpost) -> dict[str, Any]:
    """The record of one goalpost, as JSON-able values.

    Raises:
        GoalpostError: when it has not as many outputs as inputs.
    """
    if len(goalpost.inputs) != len(goalpost.outputs):
        raise GoalpostError(
            f"goalpost {goalpost.id!r}: expected as many outputs as inputs, came {len(goalpost.inputs)} inputs and "
            f"{len(goalpost.outputs)} outputs"
        )
    return {
        "id": goalpost.id,
        "statement": goalpost.statement,
        "signature": goalpost.signature,
        "tests": [
            {"input": values.render_arguments(arguments), "output": values.render(output)}
            for arguments, output in zip(goalpost.inputs, goalpost.outputs, strict=True)
        ],
        "shown": goalpost.shown,
        "reference": goalpost.reference,
        "evidence": [
            {"model": item.model, "samples": item.samples, "correct": item.correct}
            for item in goalpost.evidence
        ],
        "tags": list(goalpost.tags),
        "difficulty": goalpost.difficulty,
    }


def of_record(record: Any, where: str) -> Goalpost:
    """The goalpost a record describes. ``where`` is what messages call the place it came from.

    Raises:
        GoalpostError: the record is not as described above.
    """
    return _Record(where).goalpost(record)


def _read(data: bytes, name: str) -> tuple[Goalpost, ...]:
    found: dict[str, tuple[int, Goalpost]] = {}
    for number, raw in enumerate(data.split(b"\n"), start=1):
        if not raw.strip():
            continue
        reader = _Record(f"{name}, line {number}")
        goalpost = reader.goalpost(reader.json(raw))
        if goalpost.id in found:
            raise GoalpostError(
                f"{name}, line {number}, field 'id': expected an id of its own, came {goalpost.id!r}, which line "
                f"{found[goalpost.id][0]} has already; rename one of the two"
            )
        found[goalpost.id] = (number, goalpost)
    return tuple(goalpost for _, goalpost in found.values())


class _Record:
    """Checks one record. Every complaint goes through `_refuse`, so that all of them read alike."""

    def __init__(self, where: str) -> None:
        self._where = where

    def goalpost(self, value: Any) -> Goalpost:
        record = self._object(value, "", _REQUIRED, _OPTIONAL)
        signature = self._text(record["signature"], "signature")
        arity = self._arity(signature)
        tests = self._list(record["tests"], "tests")
        if not tests:
            self._refuse(
                "tests", "at least one test", tests, "add one: an expected value is what judges an answer"
            )
        pairs = [self._test(test, f"tests[{index}]", arity) for index, test in enumerate(tests)]
        reference = record["reference"]
        difficulty = self._text(record["difficulty"], "difficulty")
        if difficulty not in DIFFICULTIES:
            self._refuse("difficulty", "one of " + ", ".join(DIFFICULTIES), difficulty, "choose the nearest")
        return Goalpost(
            id=self._text(record["id"], "id"),
            statement=self._text(record["statement"], "statement"),
            signature=signature,
            inputs=tuple(arguments for arguments, _ in pairs),
            outputs=tuple(output for _, output in pairs),
            shown=self._integer(record["shown"], "shown", 0, len(pairs)),
            reference=None if reference is None else self._text(reference, "reference"),
            evidence=tuple(
                self._evidence(item, f"evidence[{index}]")
                for index, item in enumerate(self._list(record["evidence"], "evidence"))
            ),
            tags=tuple(
                self._text(tag, f"tags[{index}]")
                for index, tag in enumerate(self._list(record["tags"], "tags"))
            ),
            difficulty=difficulty,
        )

    def _test(self, test: Any, field: str, arity: tuple[int, float]) -> tuple[Arguments, Any]:
        record = self._object(test, field, ("input", "output"), {})
        arguments = self._literal(record["input"], f"{field}.input", values.parse_arguments)
        least, most = arity
        if not least <= len(arguments) <= most:
            wanted = (
                str(least)
                if least == most
                else f"{least} to {most}"
                if most != _UNBOUNDED
                else f"{least} or more"
            )
            self._refuse(
                f"{field}.input",
                f"{wanted} argument(s), as the signature takes",
                record["input"],
                "write the arguments as between the parentheses of a call; a list alone is one argument: '[1, 2]'",
            )
        return arguments, self._literal(record["output"], f"{field}.output", values.parse_literal)

    def _evidence(self, item: Any, field: str) -> Evidence:
        record = self._object(item, field, ("model", "samples", "correct"), {})
        samples = self._integer(record["samples"], f"{field}.samples", 1, None)
        correct = self._integer(record["correct"], f"{field}.correct", 0, samples)
        return Evidence(self._text(record["model"], f"{field}.model"), samples, correct)

    def _arity(self, signature: str) -> tuple[int, float]:
        """Least and most positional arguments of ``f``."""
        fix = "write one line such as 'def f(nums: list[int]) -> int'"
        try:
            (function,) = ast.parse(signature.rstrip().removesuffix(":") + ": pass").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            self._refuse("signature", "a function header", signature, fix)
        if not isinstance(function, ast.FunctionDef) or function.name != "f" or "\n" in signature:
            self._refuse("signature", "one line that defines f", signature, fix)
        takes = function.args
        if takes.kwonlyargs:
            self._refuse("signature", "positional parameters only", signature, fix)
        most = len(takes.posonlyargs) + len(takes.args)
        return most - len(takes.defaults), _UNBOUNDED if takes.vararg else most

    def json(self, raw: bytes) -> Any:
        try:
            return json.loads(raw.decode("utf-8"), object_pairs_hook=self._once)
        except GoalpostError:
            raise
        except (ValueError, RecursionError) as error:
            raise GoalpostError(
                f"{self._where}: expected one JSON object in UTF-8, came {_shorten(raw)} ({error}); "
                "write every goalpost on a line of its own, as json.dumps does"
            ) from None

    def _once(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record = dict(pairs)
        if len(record) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            self._refuse(twice, "the field once", names, "keep one of them")
        return record

    def _object(
        self, value: Any, field: str, required: tuple[str, ...], optional: dict[str, Any]
    ) -> dict[str, Any]:
        known = (*required, *optional)
        if type(value) is not dict:
            self._refuse(field, "an object with " + ", ".join(known), value, "write it as {...}")
        prefix = f"{field}." if field else ""
        for name in value:
            if name not in known:
                self._refuse(prefix + name, "one of " + ", ".join(known), name, "rename or remove the field")
        for name in required:
            if name not in value:
                self._refuse(prefix + name, "the field", _ABSENT, "add it")
        return {**optional, **value}

    def _list(self, value: Any, field: str) -> list[Any]:
        if type(value) is not list:
            self._refuse(field, "a list", value, "write it as [...], empty if there is nothing to say")
        return list(value)

    def _text(self, value: Any, field: str) -> str:
        if type(value) is not str or not value.strip():
            self._refuse(field, "a text that is not empty", value, "write it in quotes")
        return str(value)

    def _integer(self, value: Any, field: str, least: int, most: int | None) -> int:
        if type(value) is not int or value < least or (most is not None and value > most):
            wanted = f"an integer from {least}" + ("" if most is None else f" to {most}")
            self._refuse(field, wanted, value, "write a plain number in that range")
        return int(value)

    def _literal(self, value: Any, field: str, parse: Callable[[str], Any]) -> Any:
        text = self._text(value, field)
        try:
            return parse(text)
        except values.ValueSyntaxError as error:
            raise GoalpostError(
                f"{self._where}, field {field!r}: expected Python literals of built-in values, came {_shorten(text)} "
                f"({error}); write values as repr() prints them"
            ) from None

    def _refuse(self, field: str, expected: str, came: Any, fix: str) -> NoReturn:
        place = f"{self._where}, field {field!r}" if field else self._where
        shown = "nothing" if came is _ABSENT else _shorten(came)
        raise GoalpostError(f"{place}: expected {expected}, came {shown}; {fix}")


_ABSENT = object()
_UNBOUNDED = float("inf")


def _shorten(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARS else text[: _SHOWN_CHARS - 3] + "..."
