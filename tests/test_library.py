from __future__ import annotations

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.library import Entry, Library
from gasp_env.tasks import Task


def task(number: int, parent: str | None = None, inputs: int = 6) -> Task:
    values = tuple((i, (i,), {"k": {i}}, float("nan")) for i in range(inputs))
    return Task(
        f"def f(x, y, z, w): return {number}",
        values,
        tuple(range(inputs)),
        3,
        "é\n",
        str(number),
        "lift",
        "io",
        "g",
        parent,
    )


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


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), max_size=40), st.integers(0, 40))
def test_view_does_not_change(entries: list[tuple[int, bool]], cut: int) -> None:
    library = Library(Entry(task(n), 1, 8, accepted) for n, accepted in entries[:cut])
    view = library.view()

    def seen() -> tuple[list[bool], list[Task]]:
        tasks = [view.entry("accepted", i).task for i in range(view.size("accepted"))]
        return [str(n) in view for n in range(21)], tasks

    before = seen()
    library.commit(Entry(task(n), 1, 8, accepted) for n, accepted in entries[cut:])
    assert seen() == before
    with pytest.raises(IndexError, match="expected an index"):
        view.entry("accepted", view.size("accepted"))


def test_state_goes_through_json() -> None:
    library = Library([Entry(task(1), 4, 8, True), Entry(task(2, parent="1"), 0, 8, False)])
    again = Library.from_state(json.loads(json.dumps(library.state())))
    # NaN is not equal to itself in a dataclass, so compare what is written.
    assert again.state() == library.state()
    assert dataclasses.replace(again.entries[0].task, inputs=()) == dataclasses.replace(task(1), inputs=())
