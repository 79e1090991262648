"""Goalposts in files: JSON lines, one problem a line, values written as Python literals.

A record::

    {"id": "merge-bookings",                    unique in the file
     "statement": "Given ...",                  the problem in words
     "signature": "def f(spans: list) -> list", one line that defines the entry
     "tests": [{"input": "[(1, 3)]",            the arguments, as between the parentheses of a call
                "output": "[(1, 3)]"}, ...],    the right value
     "shown": 2,                                tests a solver may see, from the first; default 0
     "reference": "def f(spans): ...",          passes every test; default null
     "evidence": [{"model": "m", "samples": 100, "correct": 0}, ...],   of hardness; default []
     "tags": ["intervals"],                     default []
     "difficulty": "medium",                    easy, medium (default) or hard
     "entry": "f",                              the function to call, see below; default f
     "rule": "exact",                           comparison of outputs: exact (default) or livecodebench
     "prelude": "import math"}                  stands before every answer when it runs; default nothing

Literals rather than JSON values, because a tuple is not a list and ``1`` is not ``1.0`` (`gasp_env.values`).

The entry is a function, or a method such as ``Solution.merge``: then the signature is the starter code, several lines
that define the class and the header of the method, or empty. Or it is empty: the whole program is the answer, reads
standard input and prints; then the signature is empty too, and a test's ``input`` and ``output`` are those texts
themselves, not literals.

Under the rule ``livecodebench`` (`gasp_env.goalposts.answers`) types matter less and inputs are large, so that
functions' tests hold JSON values: ``input`` is the list of arguments, ``output`` the value.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from gasp_env import values
from gasp_env.goalposts.schema import OPTIONAL, GoalpostError, GoalpostRecord
from gasp_env.records import shorten
from gasp_env.tasks import Arguments, Evidence, Goalpost

__all__ = ["GoalpostError", "builtin_goalposts", "dump", "from_record", "load", "to_record", "with_evidence"]

#: Fields that are not written where they hold the default.
_OMITTED = ("entry", "rule", "prelude")


def load(path: str | Path) -> tuple[Goalpost, ...]:
    """Read a goalpost file.

    Raises:
        GoalpostError: a record is not as described above; the first one is named.
        OSError: the file cannot be read.
    """
    return _read(Path(path).read_bytes(), str(path))


@cache
def builtin_goalposts() -> tuple[Goalpost, ...]:
    """The forty goalposts that ship with gasp_env; ``gasp_env/data/README.md`` tells their origin."""
    file = resources.files("gasp_env") / "data" / "goalposts.jsonl"
    return _read(file.read_bytes(), "gasp_env/data/goalposts.jsonl")


def dump(goalposts: Iterable[Goalpost], path: str | Path) -> None:
    """Write a file that `load` reads back to equal goalposts. Nothing is written when one of them is refused.

    Raises:
        GoalpostError: `load` would refuse the file.
    """
    lines = [json.dumps(to_record(goalpost)) + "\n" for goalpost in goalposts]
    text = "".join(lines)
    _read(text.encode(), str(path))
    Path(path).write_text(text, encoding="utf-8")


def with_evidence(
    goalposts: Iterable[Goalpost], evidence: Mapping[str, Iterable[Evidence]]
) -> tuple[Goalpost, ...]:
    """Add evidence of hardness to goalposts.

    Args:
        goalposts: the set.
        evidence: for each id of a measured goalpost, its new evidence.

    Raises:
        GoalpostError: there is evidence of a goalpost that is not among them.
    """
    known = tuple(goalposts)
    strangers = sorted(evidence.keys() - {goalpost.id for goalpost in known})
    if strangers:
        raise GoalpostError(
            f"evidence: expected ids of these {len(known)} goalposts, came {shorten(strangers)}; load the set it is of"
        )
    return tuple(
        replace(goalpost, evidence=(*goalpost.evidence, *evidence.get(goalpost.id, ()))) for goalpost in known
    )


def to_record(goalpost: Goalpost) -> dict[str, Any]:
    """The record of one goalpost, as JSON-able values.

    Raises:
        GoalpostError: it has more inputs than outputs or fewer, or a test that its kind of record cannot hold.
    """
    if len(goalpost.inputs) != len(goalpost.outputs):
        raise GoalpostError(
            f"goalpost {goalpost.id!r}: expected as many outputs as inputs, came {len(goalpost.inputs)} inputs and "
            f"{len(goalpost.outputs)} outputs"
        )
    written = {
        "id": goalpost.id,
        "statement": goalpost.statement,
        "signature": goalpost.signature,
        "tests": [
            _written_test(goalpost, number, arguments, output)
            for number, (arguments, output) in enumerate(zip(goalpost.inputs, goalpost.outputs, strict=True))
        ],
        "shown": goalpost.shown,
        "reference": goalpost.reference,
        "evidence": [
            {"model": item.model, "samples": item.samples, "correct": item.correct}
            for item in goalpost.evidence
        ],
        "tags": list(goalpost.tags),
        "difficulty": goalpost.difficulty,
        "entry": goalpost.entry,
        "rule": goalpost.rule,
        "prelude": goalpost.prelude,
    }
    return {name: value for name, value in written.items() if name not in _OMITTED or value != OPTIONAL[name]}


def _written_test(goalpost: Goalpost, number: int, arguments: Arguments, output: Any) -> dict[str, Any]:
    place = f"goalpost {goalpost.id!r}, test {number}"
    if not goalpost.entry:
        if len(arguments) != 1 or not all(type(text) is str for text in (*arguments, output)):
            raise GoalpostError(
                f"{place}: expected one text in and one out, as a whole program takes, came "
                f"{shorten(arguments)} and {shorten(output)}"
            )
        return {"input": arguments[0], "output": output}
    if goalpost.rule == "exact":
        return {"input": values.render_arguments(arguments), "output": values.render(output)}
    try:
        fits = _is_json([list(arguments), output])
    except RecursionError:
        fits = False
    if not fits:
        raise GoalpostError(
            f"{place}: expected JSON values under the rule {goalpost.rule}, came {shorten(arguments)} and "
            f"{shorten(output)}"
        )
    return {"input": list(arguments), "output": output}


def _is_json(value: Any) -> bool:
    """True if JSON text could have been parsed to this value."""
    kind = type(value)
    if kind is list:
        return all(map(_is_json, value))
    if kind is dict:
        return all(type(key) is str for key in value) and all(map(_is_json, value.values()))
    return value is None or kind in (bool, int, float, str)


def from_record(record: Any, where: str) -> Goalpost:
    """The goalpost of a record; messages call the place it was read from ``where``.

    Raises:
        GoalpostError: the record is not as described above.
    """
    return GoalpostRecord(where).goalpost(record)


def _read(data: bytes, name: str) -> tuple[Goalpost, ...]:
    found: dict[str, tuple[int, Goalpost]] = {}
    for number, raw in enumerate(data.split(b"\n"), start=1):
        if not raw.strip():
            continue
        reader = GoalpostRecord(f"{name}, line {number}")
        goalpost = reader.goalpost(reader.json(raw))
        if goalpost.id in found:
            raise GoalpostError(
                f"{name}, line {number}, field 'id': expected an id of its own, came {goalpost.id!r}, which line "
                f"{found[goalpost.id][0]} has already; rename one of the two"
            )
        found[goalpost.id] = (number, goalpost)
    return tuple(goalpost for _, goalpost in found.values())
