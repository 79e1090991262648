"""LiveCodeBench's records (``code_generation_lite``) as goalposts.

A record has ``question_id``, ``question_content``, ``platform``, ``contest_date``, ``difficulty``, ``starter_code``,
``public_test_cases``, ``private_test_cases`` and ``metadata``. Tests are a JSON list of ``input``, ``output`` and
``testtype``; the private ones are usually that list as a text, pickled, compressed and written in base64, which
`gasp_env.loaders.pickled` reads without executing any of it. How many values a text holds is bounded before it is read.

A problem of test type ``functional`` becomes a goalpost with entry ``Solution.NAME``, NAME being the ``func_name`` of
its metadata: a test's input is one JSON value a line, one for each argument. A problem of test type ``stdin`` becomes
one with an empty entry. Both are judged by the rule ``livecodebench`` (`gasp_env.goalposts.answers`). Public tests come
first and are those that may be shown. Platform and date of the contest become tags.
"""

from __future__ import annotations

import importlib
import json
from datetime import date, datetime
from typing import Any

from gasp_env import values
from gasp_env.goalposts.answers import OUTPUT_BYTES
from gasp_env.goalposts.schema import MAX_ARGUMENTS
from gasp_env.loaders import bounded, pickled
from gasp_env.loaders.accounting import Account, Loaded, Reader, Source, readers
from gasp_env.tasks import Goalpost
from sandbox_image.worker import wire

#: Where the records are published; the files are ``test.jsonl``, ``test2.jsonl`` and so on, one for each release.
HUB = "hf://datasets/livecodebench/code_generation_lite"
#: Values that the tests of a method may have together, those inside of others included.
MAX_VALUES = 2**22

Day = str | date | None
Test = tuple[tuple[Any, ...], Any]


def load(
    source: Source, *, dates: tuple[Day, Day] = (None, None), drop_large: bool = False, strict: bool = False
) -> Loaded:
    """Read records.

    Args:
        source: path of a file of JSON lines, or the records themselves.
        dates: first and last day of the contests that are asked for, as ``2023-05-01``, a `datetime.date` or a
            `datetime.datetime`, of which the day counts; None leaves that end open.
        drop_large: leave tests out that are larger than a run may be, instead of skipping the whole problem.
            It is then judged more mildly: large tests are what slow programs fail.
        strict: raise at the first record that cannot be used instead of listing it.

    Raises:
        GoalpostError: a line is no JSON; with ``strict`` at any record that cannot be used.
        ValueError: a date is none.
    """
    first, last = (_day(day) for day in dates)
    account, dropped, outside = Account(strict=strict), dict[str, int](), 0
    for reader in readers(source):
        with account.of(reader):
            account.identify(reader, _name(reader))
            held = _date(reader) if first or last else None
            if held and ((first and held < first) or (last and held > last)):
                outside += 1
                continue
            goalpost, large = _converted(reader, drop_large)
            account.keep(reader, goalpost)
            if large:
                dropped[goalpost.id] = large
    return account.loaded(outside, dropped)


def load_dataset(
    path: str = "json",
    *,
    dates: tuple[Day, Day] = (None, None),
    drop_large: bool = False,
    strict: bool = False,
    **options: Any,
) -> Loaded:
    """Read records through the ``datasets`` library: from the hub, or any file it can read.

    From the hub, ``load_dataset(data_files=f"{HUB}/test*.jsonl")``; the repository's own loading script is not
    needed, and recent versions of the library execute none.

    Args:
        path: what to load, as ``datasets.load_dataset`` takes it.
        dates: see `load`.
        drop_large: see `load`.
        strict: see `load`. A record's line is its place in the split.
        **options: what else ``datasets.load_dataset`` takes; the split is ``train`` unless it is given.

    Raises:
        ImportError: the library is not installed.
        ValueError: the library has loaded no single split.
    """
    try:
        library: Any = importlib.import_module("datasets")
    except ImportError as error:
        raise ImportError(
            "expected the datasets library; install it with pip install 'gasp-env[datasets]', or download the files "
            "and use load"
        ) from error
    rows = library.load_dataset(path, **{"split": "train", **options})
    if isinstance(rows, dict):
        raise ValueError(f"expected one split, came {', '.join(map(str, rows))}; say which: split='train'")
    return load(rows, dates=dates, drop_large=drop_large, strict=strict)


def _name(reader: Reader) -> str:
    name = reader.field("question_id", str)
    if not name.strip():
        reader.refuse(
            "question_id", "a text that is not empty", name, "take the records as they are published"
        )
    return name


def _converted(reader: Reader, drop_large: bool) -> tuple[Goalpost, int]:
    """The goalpost of a record, and how many tests it had to go without."""
    method = _method(reader)
    public = _tests(reader, "public_test_cases", method, drop_large)
    private = _tests(reader, "private_test_cases", method, drop_large)
    kept = [test for test in (*public, *private) if test is not None]
    goalpost = Goalpost(
        id=reader.name,
        statement=reader.field("question_content", str),
        signature=reader.field("starter_code", str, "") if method else "",
        inputs=tuple(arguments for arguments, _ in kept),
        outputs=tuple(output for _, output in kept),
        shown=sum(test is not None for test in public),
        tags=("livecodebench", reader.field("platform", str), str(_date(reader))),
        difficulty=reader.field("difficulty", str),
        entry=f"Solution.{method}" if method else "",
        rule="livecodebench",
    )
    if not kept:
        reader.refuse("private_test_cases", "at least one test", kept, "leave the record out")
    names = {"signature": "starter_code", "statement": "question_content", "id": "question_id"}
    return reader.checked(goalpost, names), len(public) + len(private) - len(kept)


def _method(reader: Reader) -> str:
    """Name of the method that the tests call; empty for a whole program."""
    metadata: Any = reader.record.get("metadata") or {}
    if type(metadata) is str:
        metadata = _json(reader, "metadata", metadata)
    name = metadata.get("func_name") or "" if type(metadata) is dict else None
    if type(name) is not str:
        reader.refuse(
            "metadata", "an object with a func_name or without", metadata, "take the published records"
        )
    return name


def _tests(reader: Reader, field: str, method: str, drop_large: bool) -> list[Test | None]:
    """The tests of a field, None for one that is too large and may be left out."""
    listed: Any = reader.record.get(field)
    if type(listed) is str:
        listed = _unpacked(reader, field, listed)
    if type(listed) is not list:
        reader.refuse(field, "a list of tests", listed, "take the records as they are published")
    tests: list[Test | None] = []
    held = 0
    for number, test in enumerate(listed):
        place = f"{field}[{number}]"
        for name in ("input", "output", "testtype"):
            if type(test) is not dict or type(test.get(name)) is not str:
                reader.refuse(
                    place, "an object with input, output and testtype, all texts", test, "mend the test"
                )
        expected = "functional" if method else "stdin"
        if test["testtype"] != expected:
            why = f"{expected}, as the metadata {'names' if method else 'does not name'} a func_name"
            reader.refuse(f"{place}.testtype", why, test["testtype"], "mend the record")
        count = bounded.at_most(test["input"]) + bounded.at_most(test["output"]) if method else 0
        if held + count > MAX_VALUES:
            if not drop_large:
                reader.refuse(field, f"at most {MAX_VALUES} values in all", held + count, "drop large tests")
            tests.append(None)
            continue
        tests.append(_test(reader, place, test["input"], test["output"], bool(method), drop_large))
        held += count if tests[-1] else 0
    return tests


def _test(
    reader: Reader, place: str, given: str, output: str, functional: bool, drop_large: bool
) -> Test | None:
    if not functional:
        for name, text, most in (("input", given, wire.MAX_STDIN), ("output", output, OUTPUT_BYTES)):
            size = len(text.encode("utf-8", "surrogatepass"))
            if size > most:
                if drop_large:
                    return None
                reader.refuse(f"{place}.{name}", f"at most {most} bytes", f"{size} bytes", "drop large tests")
        return (given,), output
    found: list[Any] = []
    for name, text, separators, most in (
        ("input", given, ",\n", MAX_ARGUMENTS),
        ("output", output, ",", OUTPUT_BYTES),
    ):
        field = f"{place}.{name}"
        try:
            bounded.check(text, separators=separators)
            lines = text.split("\n") if name == "input" else [text]
            found.append([_json(reader, field, line) for line in lines])
            values.encode(found[-1] if name == "input" else found[-1][0], max_bytes=most)
        except (bounded.TooMany, values.Unserializable) as error:
            if drop_large:
                return None
            reader.refuse(field, f"values within bounds ({error})", text, "drop large tests")
    return tuple(found[0]), found[1][0]


def _unpacked(reader: Reader, field: str, text: str) -> Any:
    """A list of tests that is kept as a text, packed or not."""
    if text.lstrip()[:1] != "[":
        try:
            text = pickled.unpacked(text)
        except ValueError as error:
            expected = f"JSON, or JSON that was pickled, compressed and written in base64 ({error})"
            reader.refuse(field, expected, text, "take the records as they are published")
    return _json(reader, field, text)


def _json(reader: Reader, field: str, text: str) -> Any:
    try:
        bounded.check(text)
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        reader.refuse(field, f"JSON ({error})", text, "take the records as they are published")


def _date(reader: Reader) -> date:
    """Day of the contest. The datasets library may have made a datetime of it, and others a date."""
    value: Any = reader.record.get("contest_date")
    try:
        return _day_of(value[:10] if isinstance(value, str) else value)
    except (TypeError, ValueError):
        reader.refuse(
            "contest_date", "a date such as 2024-01-31T00:00:00", value, "take the published records"
        )


def _day(value: Day) -> date | None:
    try:
        return None if value is None else _day_of(value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"expected a day such as 2024-01-31, got {value!r}: {error}; give it as a text, a date or a datetime"
        ) from None


def _day_of(value: Any) -> date:
    """The day of a text, a date or a datetime, which is a date as well but cannot be compared with one.

    Raises:
        TypeError: it is of another type.
        ValueError: a text that is no day.
    """
    if isinstance(value, datetime):
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(value)
