from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gasp_env.library import eviction
from gasp_env.library.library import Library
from gasp_env.tasks import Entry
from tests.library.test_library import task

OWN = """
from gasp_env.library.eviction import policy

@policy("long")
def by_length(entries):
    return [-len(entry.task.content.program) for entry in entries]

def plain(entries):
    return [entry.correct for entry in entries]

def short(entries):
    return [0.0]

def undecided(entries):
    return [float("nan") for entry in entries]

number = 3
"""


@pytest.fixture(autouse=True)
def registry_as_it_was() -> Iterator[None]:
    with eviction.POLICIES.isolated():
        yield


@pytest.fixture
def own(tmp_path: Path) -> str:
    path = tmp_path / "own_policies.py"
    path.write_text(OWN)
    return str(path)


def test_a_policy_in_a_file_of_ones_own(own: str) -> None:
    library = Library(capacity=2, eviction=f"{own}:long")
    library.commit(Entry(task(number), 4, 8, True) for number in (1, 1000, 10))
    assert [entry.task.fingerprint for entry in library.entries] == ["1", "10"]
    assert "long" in eviction.POLICIES
    # One that registers nothing is chosen by the name of the function.
    library = Library(capacity=1, eviction=f"{own}:plain")
    library.commit([Entry(task(1), 5, 8, True), Entry(task(2), 3, 8, True)])
    assert [entry.task.fingerprint for entry in library.entries] == ["1"]


def test_a_policy_that_says_no_number_for_every_entry(own: str) -> None:
    for name in ("short", "undecided"):
        library = Library([Entry(task(1), 4, 8, True)], capacity=1, eviction=f"{own}:{name}")
        with pytest.raises(ValueError, match=rf"{name}': expected a finite number for each of 2 entries"):
            library.commit([Entry(task(2), 4, 8, True)])


def test_names_that_are_none(own: str) -> None:
    with pytest.raises(
        ValueError, match=r"eviction policy: expected one of \['easiest', 'newest', 'oldest', 'unac"
    ):
        Library(eviction="olden")
    with pytest.raises(ValueError, match="neither registers nor defines 'nothing'"):
        Library(eviction=f"{own}:nothing")
    with pytest.raises(ValueError, match="number': expected a function of entries, got int"):
        Library(eviction=f"{own}:number")
    with pytest.raises(ValueError, match="cannot be imported: ModuleNotFoundError"):
        Library(eviction="no_such_module_here:name")
    assert "no_such_module_here" not in sys.modules


def test_a_name_that_is_known_is_replaced() -> None:
    eviction.policy("oldest")(eviction.oldest)
    with pytest.warns(UserWarning, match="eviction policy 'oldest' of .*eviction.py is replaced by that of"):
        eviction.policy("oldest")(lambda entries: [0.0] * len(entries))
    assert eviction.get("oldest") is not eviction.oldest


def test_of_equals_the_oldest_goes() -> None:
    entries = [Entry(task(n), 4, 8, True) for n in range(4)]
    assert eviction.evicted("same", lambda held: [1.0] * len(held), entries, 2) == {0, 1}
