from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given

from gasp_env.library.library import Library
from gasp_env.library.lineage import Lineage
from gasp_env.tasks import Entry
from tests.library.test_library import batches, policies, task
from tests.players import task_with


def entry(fingerprint: int, parent: int | None = None, goalpost: str = "g", inputs: int = 6) -> Entry:
    stage: str = "lemma" if parent is None else "lift"
    made = task(fingerprint, None if parent is None else str(parent), inputs)
    return Entry(
        task_with(made, stage=stage, goalpost=goalpost, message=f"rule {fingerprint}\nmore"),
        fingerprint % 9,
        8,
        fingerprint % 2 == 1,
    )


def ids(entries: list[Entry]) -> list[int]:
    return [found.id for found in entries]


@pytest.fixture
def library() -> Library:
    return Library(
        [
            entry(1),
            entry(2, 1),
            entry(3, 2),  # a lift of a lift
            entry(10, goalpost="h"),
            entry(4, 1),
            entry(11, 10, "h"),
            entry(5, 3),
        ]
    )


def test_the_family_tree_is_queryable(library: Library) -> None:
    lineage = library.lineage()
    assert ids(lineage.roots()) == [1, 4]
    assert ids(lineage.children(1)) == [2, 5]
    assert ids(lineage.ancestors(7)) == [3, 2, 1]
    assert ids(lineage.descendants(1)) == [2, 3, 7, 5]
    assert ids(lineage.family("h")) == [4, 6]
    assert ids(lineage.find("4")) == [5]
    assert lineage.parent(1) is None
    parent = lineage.parent(6)
    assert parent is not None
    assert parent.id == 4
    assert lineage.entry(3).task.fingerprint == "3"
    assert lineage.children(0) == []
    with pytest.raises(KeyError, match="expected the id of one of 7 entries, got 8"):
        lineage.ancestors(8)


def test_the_tree_is_printed(library: Library) -> None:
    library.step = 12
    library.commit([entry(12, 11, "h")])
    assert library.lineage().render() == (
        "#1 lemma io g 1/8 accepted: rule 1\n"
        "├─ #2 lift io g 2/8: rule 2\n"
        "│  └─ #3 lift io g 3/8 accepted: rule 3\n"
        "│     └─ #7 lift io g 5/8 accepted: rule 5\n"
        "└─ #5 lift io g 4/8: rule 4\n"
        "#4 lemma io h 1/8: rule 10\n"
        "└─ #6 lift io h 2/8 accepted: rule 11\n"
        "   └─ #8 lift io h 3/8 step 12: rule 12"
    )
    assert library.lineage().render("h").splitlines()[0] == "#4 lemma io h 1/8: rule 10"
    assert library.lineage().render("nobody") == ""


def test_lifts_that_changed_only_the_inputs_are_no_circle() -> None:
    library = Library([entry(1), entry(1, 1, inputs=7), entry(1, 1, inputs=8), entry(3, 1)])
    lineage = library.lineage()
    assert ids(lineage.find("1")) == [1, 2, 3]
    # Each is taken for a lift of the newest before it with that fingerprint.
    assert [found.parent for found in library.entries] == [0, 1, 2, 3]
    assert ids(lineage.ancestors(4)) == [3, 2, 1]


def test_an_evicted_parent_is_named() -> None:
    library = Library([entry(1), entry(3, 1)], capacity=1)
    lineage = library.lineage()
    assert ids(lineage.roots()) == [2]
    assert lineage.ancestors(2) == []
    assert ids(lineage.children(1)) == [2]
    assert lineage.render() == "#2 lift io g 3/8 accepted from #1, evicted: rule 3"


def test_a_long_chain_is_walked_without_recursion() -> None:
    library = Library([entry(0)] + [entry(n, n - 1) for n in range(1, 3000)])
    lineage = library.lineage()
    assert len(lineage.ancestors(3000)) == len(lineage.descendants(1)) == 2999
    assert len(lineage.render().splitlines()) == 3000


@pytest.mark.parametrize(("id", "parent"), [(0, 0), (1, 1), (1, 2), (2, -1)])
def test_entries_of_no_library_are_refused(id: int, parent: int) -> None:
    with pytest.raises(ValueError, match="expected entries of one library"):
        Lineage([dataclasses.replace(entry(1), id=id, parent=parent)])


@given(batches, policies)
def test_trees_hold_every_entry_once(made: list[list[Entry]], eviction: str) -> None:
    library = Library(capacity=12, eviction=eviction)
    for batch in made:
        library.commit(batch)
    lineage = library.lineage()
    trees = [found for root in lineage.roots() for found in [root, *lineage.descendants(root.id)]]
    assert sorted(ids(trees)) == ids(library.entries)
    for found in library.entries:
        assert all(found.id in ids(lineage.descendants(above.id)) for above in lineage.ancestors(found.id))
    assert len(lineage.render().splitlines()) == len(library)
