from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gasp_env import domains
from gasp_env.domains.python.triplet import Proposal
from gasp_env.episode.view import SolverData, matches
from gasp_env.library.embedders import HashingEmbedder
from gasp_env.library.entries import LibraryError, task_of_record, task_record
from gasp_env.library.library import Library
from gasp_env.library.view import LibraryView, sample
from gasp_env.tasks import TASK_KINDS, Entry, Task, TaskKind
from gasp_env.values import encode, render, render_arguments
from tests.fuzz import examples
from tests.players import python_task, task_with

DATA: tuple[SolverData, ...] = ("accepted", "all", "non_extremes")
KINDS: tuple[TaskKind | None, ...] = (None, *TASK_KINDS)


def task(number: int, parent: str | None = None, inputs: int = 6, kind: TaskKind = "induction") -> Task:
    values = tuple((i, (i,), {"k": {i}}, float("nan")) for i in range(inputs))
    return python_task(
        f"def f(x, y, z, w): return {number}",
        values,
        tuple(range(inputs)),
        min(3, inputs - 1),
        "é\n",
        str(number),
        "lift",
        "io",
        "g",
        parent,
        kind,
    )


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    number, samples = draw(st.integers(0, 20)), draw(st.integers(1, 8))
    parent = draw(st.sampled_from([None, *map(str, range(21))]))
    made = task(number, parent, draw(st.integers(1, 3)), draw(st.sampled_from(TASK_KINDS)))
    return Entry(made, draw(st.integers(0, samples)), samples, draw(st.booleans()), draw(st.integers(0, 3)))


batches = st.lists(st.lists(entries(), max_size=8), max_size=8)
policies = st.sampled_from(["oldest", "newest", "easiest", "unaccepted"])


def seen(view: LibraryView) -> dict[str, Any]:
    """All that can be asked of a view, but for similarities."""
    asked: dict[str, Any] = {"known": [str(n) in view for n in range(21)]}
    for data in DATA:
        for kind in KINDS:
            asked[f"{data} {kind}"] = [view.entry(data, i, kind).id for i in range(view.size(data, kind))]
    return asked


# What is committed


def test_commit_drops_what_is_known() -> None:
    library = Library([Entry(task(1), 4, 8, True)])
    assert (
        library.commit([Entry(task(1), 3, 8, True), Entry(task(2), 0, 8, False), Entry(task(2), 1, 8, False)])
        == 1
    )
    assert (len(library), library.accepted) == (2, 1)


def test_what_was_too_hard_may_come_again() -> None:
    library = Library([Entry(task(1), 0, 8, False)])
    assert "1" not in library.view()
    assert library.commit([Entry(task(1), 0, 8, False)]) == 0
    assert library.commit([Entry(task(1), 4, 8, True)]) == 1
    assert "1" in library.view()
    assert library.commit([Entry(task(1), 8, 8, False)]) == 0


def test_lift_that_changed_only_the_inputs_is_kept() -> None:
    library = Library([Entry(task(1), 4, 8, True)])
    lift = Entry(task(1, parent="1", inputs=8), 1, 8, True)
    assert [library.commit([lift]) for _ in range(3)] == [1, 0, 0]
    assert library.commit([Entry(task(1, parent="1", inputs=7), 1, 8, True)]) == 1


def test_an_entry_without_a_step_is_committed_with_the_librarys() -> None:
    library = Library([Entry(task(1), 4, 8, True)])
    library.step = 7
    library.commit([Entry(task(2), 4, 8, True), Entry(task(3), 4, 8, True, step=5)])
    assert [entry.step for entry in library.entries] == [0, 7, 5]


@given(batches)
def test_ids_rise_and_parents_come_before_their_lifts(made: list[list[Entry]]) -> None:
    library = Library()
    for batch in made:
        library.commit(batch)
    assert [entry.id for entry in library.entries] == list(range(1, len(library) + 1))
    by_id = {entry.id: entry for entry in library.entries}
    for entry in library.entries:
        older = [e.id for e in library.entries if e.id < entry.id and e.task.fingerprint == entry.task.parent]
        assert entry.parent == (older[-1] if older else 0)
        assert not entry.parent or by_id[entry.parent].task.fingerprint == entry.task.parent


# Views


@given(batches, batches, st.none() | st.integers(1, 10), policies)
def test_view_does_not_change(
    before: list[list[Entry]], after: list[list[Entry]], capacity: int | None, eviction: str
) -> None:
    library = Library(capacity=capacity, eviction=eviction)
    for batch in before:
        library.commit(batch)
    asked, unasked = library.view(), LibraryView(library.entries, None)
    was = seen(asked)
    for batch in after:
        library.commit(batch)
    assert seen(asked) == was
    # Nor if nobody had asked it anything before the library changed.
    assert seen(unasked) == was
    assert seen(copy.deepcopy(asked)) == was


@given(batches)
def test_sizes_and_entries_agree_with_what_the_library_holds(made: list[list[Entry]]) -> None:
    library = Library()
    for batch in made:
        library.commit(batch)
    view = library.view()
    for data in DATA:
        assert view.size(data) == sum(view.size(data, kind) for kind in TASK_KINDS)
        for kind in KINDS:
            held = [e for e in library.entries if matches(e, data) and kind in (None, e.task.kind)]
            assert [view.entry(data, i, kind) for i in range(view.size(data, kind))] == held
            for index in (-1, len(held)):
                with pytest.raises(
                    IndexError, match=rf"expected an index in \[0, {len(held)}\), got {index}"
                ):
                    view.entry(data, index, kind)
    assert {str(n) for n in range(21) if str(n) in view} == {
        entry.task.fingerprint for entry in library.entries if entry.accepted
    }


def test_a_view_is_made_once_per_commit() -> None:
    library = Library([Entry(task(1), 4, 8, True)])
    view = library.view()
    library.commit([Entry(task(1), 4, 8, True)])  # nothing new
    assert library.view() is view
    library.commit([Entry(task(2), 4, 8, True)])
    assert library.view() is not view


def test_what_the_sorts_are() -> None:
    library = Library(
        [
            Entry(task(1), 0, 8, False),
            Entry(task(2), 1, 8, False),
            Entry(task(3), 4, 8, True),
            Entry(task(4), 8, 8, True),
        ]
    )
    view = library.view()
    assert {
        data: [view.entry(data, i).task.fingerprint for i in range(view.size(data))] for data in DATA
    } == {"accepted": ["3", "4"], "all": ["1", "2", "3", "4"], "non_extremes": ["2", "3"]}
    for empty in (Library(), library):
        with pytest.raises(
            ValueError, match="expected data to be one of accepted, all, non_extremes, got 'none'"
        ):
            empty.view().size("none")  # type: ignore[arg-type]


# Draws


@given(batches, st.integers(0, 2**32), st.integers(0, 12), st.sampled_from(DATA), st.booleans())
def test_draws_are_the_generators_and_of_the_sort_asked_for(
    made: list[list[Entry]], seed: int, count: int, data: Any, replacement: bool
) -> None:
    library = Library([entry for batch in made for entry in batch])
    drawn, again = (
        library.sample(np.random.default_rng(seed), count, data, replace=replacement) for _ in range(2)
    )
    assert drawn == again
    assert all(matches(entry, data) for entry in drawn)
    size = library.view().size(data)
    assert len(drawn) == (count if replacement and size else min(count, size))
    if not replacement:
        assert len({entry.id for entry in drawn}) == len(drawn)


def test_every_entry_is_drawn_equally_often() -> None:
    view = Library(Entry(task(n), 4, 8, True) for n in range(5)).view()
    rng = np.random.default_rng(0)
    counts = np.bincount([sample(view, rng, 1)[0].id for _ in range(2000)], minlength=6)[1:]
    assert counts.min() > 330
    assert counts.max() < 470


def test_an_entry_is_a_sample_for_a_solver() -> None:
    """As the module says: prompt, and what answers it, for every kind of task."""
    style = domains.get("python").style
    (entry,) = Library([Entry(task(1), 4, 8, True)]).sample(np.random.default_rng(0), 1, kind="induction")
    answers = {
        "induction": ("python", entry.task.content.program),
        "deduction": ("output", render(entry.task.content.outputs[5])),
        "abduction": ("input", render_arguments(entry.task.content.inputs[5])),
    }
    for kind, (tag, answer) in answers.items():
        prompt = style.solve(entry.task, kind, 5)  # type: ignore[arg-type]
        assert "```python" in prompt
        parsed = style.parse_answer(f"```{tag}\n{answer}\n```", kind)  # type: ignore[arg-type]
        wanted = {
            "induction": entry.task.content.program,
            "deduction": 5,
            "abduction": entry.task.content.inputs[5],
        }[kind]
        assert parsed == wanted if kind == "induction" else encode(parsed) == encode(wanted)


# Eviction


@given(batches, st.integers(1, 10), policies)
def test_capacity_is_never_exceeded_and_order_is_kept(
    made: list[list[Entry]], capacity: int, eviction: str
) -> None:
    library = Library(capacity=capacity, eviction=eviction)
    for batch in made:
        had = {entry.id for entry in library.entries}
        kept = library.commit(batch)
        ids = [entry.id for entry in library.entries]
        assert len(library) <= capacity
        assert ids == sorted(set(ids))
        assert kept == len(set(ids) - had)


@pytest.mark.parametrize(
    ("eviction", "kept"),
    [("oldest", [3, 4, 5]), ("newest", [1, 2, 3]), ("easiest", [2, 4, 5]), ("unaccepted", [1, 3, 5])],
)
def test_what_goes_first(eviction: str, kept: list[int]) -> None:
    library = Library(capacity=3, eviction=eviction)
    for n, correct, accepted in ((1, 7, True), (2, 0, False), (3, 4, True), (4, 1, False), (5, 3, True)):
        library.commit([Entry(task(n), correct, 8, accepted)])
    assert [entry.id for entry in library.entries] == kept
    assert ["1" in library.view(), "3" in library.view()] == [1 in kept, 3 in kept]


def test_what_was_evicted_is_new_again_with_another_id() -> None:
    library = Library(capacity=1)
    for number in (1, 2, 1):
        assert library.commit([Entry(task(number), 4, 8, True)]) == 1
    assert [(entry.id, entry.task.fingerprint) for entry in library.entries] == [(3, "1")]


@pytest.mark.parametrize("capacity", [0, -1, 2.5, True])
def test_a_capacity_that_is_none(capacity: Any) -> None:
    with pytest.raises(ValueError, match="expected a capacity of at least 1, or None"):
        Library(capacity=capacity)


def test_copies_go_their_own_ways() -> None:
    library = Library([Entry(task(n), 4, 8, True) for n in (1, 2)], capacity=2, embedder=HashingEmbedder())
    library.step = 3
    twin = library.copy()
    assert (twin.state(), twin.step) == (library.state(), 3)
    twin.commit([Entry(task(3), 4, 8, True)])
    library.commit([Entry(task(4), 4, 8, True)])
    assert [[entry.task.fingerprint for entry in lib.entries] for lib in (library, twin)] == [
        ["2", "4"],
        ["2", "3"],
    ]
    assert library.view().nearest(task(3).content.text) < 0.999 < twin.view().nearest(task(3).content.text)


# Files


@given(batches, st.none() | st.integers(1, 10), policies)
@settings(max_examples=examples(50))
def test_a_file_holds_all_of_it(
    tmp_path_factory: pytest.TempPathFactory, made: list[list[Entry]], capacity: int | None, eviction: str
) -> None:
    library = Library(capacity=capacity, eviction=eviction)
    for batch in made:
        library.commit(batch)
    path = tmp_path_factory.mktemp("library") / "library.jsonl"
    library.save(path)
    again = Library.load(path, capacity=capacity, eviction=eviction)
    # NaN is not equal to itself in a dataclass, so compare what is written.
    assert again.state() == library.state()
    assert seen(again.view()) == seen(library.view())
    # Both go on alike.
    fresh = [Entry(task(50 + n, parent="3"), 4, 8, True, 1) for n in range(3)]
    assert library.commit(fresh) == again.commit(fresh)
    assert again.state() == library.state()


def values() -> st.SearchStrategy[Any]:
    atoms = (
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats()
        | st.text(st.characters(exclude_categories=()))
        | st.binary()
    )
    return st.recursive(
        atoms,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.lists(inner, max_size=3).map(tuple)
            | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
            | st.frozensets(st.integers() | st.text(max_size=2), max_size=3)
        ),
        max_leaves=8,
    )


@given(
    st.lists(st.tuples(st.lists(values(), max_size=3).map(tuple), values()), min_size=1, max_size=4),
    st.text(st.characters(exclude_categories=()), min_size=1),
)
def test_values_and_texts_go_through_json_exactly(pairs: Sequence[tuple[Any, Any]], text: str) -> None:
    made = task_with(
        task(1),
        inputs=tuple(arguments for arguments, _ in pairs),
        outputs=tuple(output for _, output in pairs),
        shown=0,
        program=text,
        message=text,
    )
    again = task_of_record(json.loads(json.dumps(task_record(made))))
    assert [encode(value) for value in again.content.inputs + again.content.outputs] == [
        encode(value) for value in made.content.inputs + made.content.outputs
    ]
    assert task_with(again, inputs=(), outputs=()) == task_with(made, inputs=(), outputs=())


@pytest.mark.parametrize("space", [" ", "\x85", "\u2003", "\x1c", "\n"])
def test_a_text_of_white_space_alone_is_kept_as_it_was(space: str) -> None:
    made = task_with(task(1), inputs=((1,), (2,)), outputs=(1, 2), shown=1)
    made = task_with(made, program=space, message=space, fingerprint=space, goalpost=space)
    assert task_of_record(json.loads(json.dumps(task_record(made)))) == made


def test_records_of_earlier_checkpoints_are_read() -> None:
    record = Library([Entry(task(1), 4, 8, True), Entry(task(2, parent="1"), 0, 8, False)]).state()
    for entry in record:
        for name in ("id", "parent", "step"):
            del entry[name]
        del entry["task"]["kind"]
    again = Library.from_state(json.loads(json.dumps(record)))
    assert [(e.id, e.parent, e.step, e.task.kind) for e in again.entries] == [
        (1, 0, 0, "induction"),
        (2, 1, 0, "induction"),
    ]


def test_a_restored_library_is_cut_to_its_capacity() -> None:
    state = Library(Entry(task(n), 4, 8, True, step=n) for n in range(5)).state()
    again = Library.from_state(state, capacity=2, eviction="newest")
    assert ([entry.id for entry in again.entries], again.step) == ([1, 2], 4)


def test_a_save_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "library.jsonl"
    library = Library([Entry(task(1), 4, 8, True)])
    library.save(path)
    before = path.read_bytes()
    long = task_with(task(2), outputs=("a" * 2**16,) + tuple(range(5)))
    library.commit([Entry(long, 4, 8, True)])
    with pytest.raises(LibraryError, match=r"entry 2, field 'task.outputs\[0\]': expected Python literals"):
        library.save(path)
    assert path.read_bytes() == before
    (tmp_path / "folder").mkdir()
    short = Library([Entry(task(1), 4, 8, True)])
    with pytest.raises(OSError):
        short.save(tmp_path / "nowhere" / "library.jsonl")
    with pytest.raises(OSError):
        short.save(tmp_path / "folder")
    assert sorted(found.name for found in tmp_path.iterdir()) == ["folder", "library.jsonl"]


BROKEN = [
    ({"correct": 9}, r"field 'correct': expected an integer from 0 to 8, came 9"),
    ({"correct": True}, r"field 'correct': expected an integer from 0 to 8, came True"),
    ({"accepted": 1}, r"field 'accepted': expected true or false, came 1"),
    ({"accepted": ...}, r"field 'accepted': expected the field, came nothing; add it"),
    ({"colour": "red"}, r"field 'colour': expected one of task, correct, .* came 'colour'; rename or remove"),
    ({"id": -1}, r"field 'id': expected an integer from 0, came -1"),
    ({"task": []}, r"field 'task': expected an object, came \[\]"),
    ({"task.inputs": "1"}, r"field 'task.inputs': expected a list, came '1'"),
    (
        {"task.inputs": ["f(1)"] * 6},
        r"field 'task.inputs\[0\]': expected Python literals of built-in values \(.*\), came 'f\(1\)'",
    ),
    (
        {"task.outputs": ["1"]},
        r"field 'task.outputs': expected 6, one for each input, came 1",
    ),
    ({"task.shown": "3"}, r"field 'task.shown': expected an integer from 0 to 5, came '3'"),
    (
        {"task.program": ""},
        r"field 'task.program': expected a text that is not empty, came ''",
    ),
    ({"task.message": None}, r"field 'task.message': expected a text, came None"),
    ({"task.stage": ""}, r"field 'task.stage': expected a text that is not empty, came ''"),
    ({"task.axis": []}, r"field 'task.axis': expected one of io, f, none, null, came \[\]"),
    ({"task.goalpost": 3}, r"field 'task.goalpost': expected a text that is not empty, came 3"),
    ({"samples": 0, "correct": 0}, r"field 'samples': expected an integer from 1"),
    (
        {"task.inputs": [], "task.outputs": []},
        r"field 'task.inputs': expected at least one",
    ),
    ({"task.shown": 6}, r"field 'task.shown': expected an integer from 0 to 5, came 6"),
    ({"task.message": "m" * 70_000}, r"field 'task': expected a task of at most 65536 characters"),
    ({"task.kind": None}, r"field 'task.kind': expected a text that is not empty, came None"),
]


@pytest.mark.parametrize(("changes", "message"), BROKEN)
def test_a_line_that_is_no_entry_is_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    first, second = Library([Entry(task(n), 4, 8, True) for n in (1, 2)]).state()
    for name, value in changes.items():
        inside = second["task"] if name.startswith("task.") else second
        key = name.removeprefix("task.")
        if value is ...:
            del inside[key]
        else:
            inside[key] = value
    path = tmp_path / "library.jsonl"
    path.write_text(json.dumps(first) + "\n\n" + json.dumps(second) + "\n")
    with pytest.raises(LibraryError, match=rf"library.jsonl, line 3, {message}"):
        Library.load(path)


@pytest.mark.parametrize("raw", [b"{", b"\xff", b"[" * 100_000])
def test_a_line_that_is_no_json_is_named(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "library.jsonl"
    path.write_bytes(raw)
    with pytest.raises(LibraryError, match=r"library.jsonl, line 1: expected one JSON object in UTF-8"):
        Library.load(path)


def test_ids_out_of_order_are_refused(tmp_path: Path) -> None:
    state = Library(Entry(task(n), 4, 8, True) for n in (1, 2)).state()
    with pytest.raises(LibraryError, match="library, entry with id 1: expected an id above 2"):
        Library.from_state(state[::-1])
    with pytest.raises(LibraryError, match="above its parent's, 2"):
        Library.from_state([{**state[1], "parent": 2}])


# Similarity


def texts(view: LibraryView) -> list[tuple[str, str]]:
    found = [view.entry("accepted", i).task for i in range(view.size("accepted"))]
    return [(made.fingerprint, made.content.text) for made in found]


@given(batches, st.integers(0, 30), st.none() | st.integers(0, 20), st.none() | st.integers(1, 10))
@settings(max_examples=examples(50))
def test_nearest_is_what_brute_force_finds(
    made: list[list[Entry]], number: int, excluded: int | None, capacity: int | None
) -> None:
    embedder = HashingEmbedder(dimensions=64)
    library = Library(capacity=capacity, embedder=embedder)
    views = [library.view()]
    for batch in made:
        library.commit(batch)
        views.append(library.view())
    text = task(number).content.text
    exclude = None if excluded is None else str(excluded)
    for view in views[::-1]:  # whatever was embedded for a later view changes nothing in an earlier one
        kept = [found for fingerprint, found in texts(view) if fingerprint != exclude]
        expected = max((embedder.embed([found])[0] @ embedder.embed([text])[0] for found in kept), default=-1)
        assert view.nearest(text, exclude) == pytest.approx(expected, abs=1e-6)


def test_similarity_depends_on_nothing_but_the_two_texts() -> None:
    embedder = HashingEmbedder()
    alone = Library([Entry(task(1), 4, 8, True)], embedder=embedder)
    among = Library((Entry(task(n), 4, 8, True) for n in range(100, 0, -1)), embedder=embedder)
    text = task(1).content.text + "\nx = 1\n"
    others = {str(n) for n in range(2, 101)}
    near = alone.view().nearest(text)
    for other in sorted(others):
        one = Library([Entry(task(int(other)), 4, 8, True)], embedder=embedder).view().nearest(text)
        near = max(near, one)
    assert among.view().nearest(text) == near


def test_what_was_evicted_is_compared_with_no_more_and_its_embedding_given_up() -> None:
    library = Library(capacity=3, embedder=HashingEmbedder(dimensions=16))
    for number in range(1200):
        library.commit([Entry(task(number), 4, 8, True)])
        if number % 2:
            library.view().nearest("def f(x): return x")
    assert library._table is not None
    assert len(library._table) <= 1100
    view = library.view()
    assert view.nearest(task(1199).content.text) == pytest.approx(1)
    assert view.nearest(task(7).content.text) < 0.999


def test_without_an_embedder_nothing_is_near() -> None:
    with pytest.raises(ValueError, match="expected a library with an embedder"):
        Library([Entry(task(1), 4, 8, True)]).view().nearest("x")


def test_a_proposal_reads_as_the_task_it_becomes() -> None:
    made = task(1)
    assert (
        Proposal(made.content.program + "\n", made.content.inputs, made.content.message).text
        == made.content.text
    )
    assert Proposal("def f(): pass", (), "").text == "def f(): pass\n"
