"""What can be chosen, and what is said when it cannot."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from gasp_env import domain
from gasp_env.driver import Driver
from gasp_env.library import Entry, Library
from gasp_env.options import DEFAULTS, Options
from gasp_env.schedule import ADMIT
from tests.test_curriculum import GOALPOSTS, known_task

PYTHON = domain.get("python")


def test_defaults_are_the_published_settings() -> None:
    gasp, azr, rlvr = (Options(curriculum=name).schedule(PYTHON) for name in DEFAULTS)
    assert (gasp.goalpost_rate, gasp.solver_data, gasp.convert, gasp.novelty) == (
        0,
        "accepted",
        True,
        "hashing",
    )
    assert (gasp.attempts, gasp.lifts, gasp.lift_from, gasp.lift_sees_goalpost) == (8, 1, "accepted", False)
    assert (azr.goalpost_rate, azr.solver_data, azr.convert, azr.novelty) == (0, "all", False, "exact")
    assert azr.references == 6
    assert rlvr.goalpost_rate == 1
    assert dict(gasp.admit) == {"lemma": (3, 7), "lift": (1, 5), "propose": (0, 10)}


def test_what_is_chosen_is_what_is_played() -> None:
    chosen = Options(
        curriculum="azr",
        goalpost_rate=0.5,
        novelty="off",
        convert=True,
        solver_data="non_extremes",
        admit={"lift": [2, 4]},
        relevance="operations",
        relevance_mode="score",
        relevance_weight=2.0,
    ).schedule(PYTHON)
    assert (chosen.goalpost_rate, chosen.novelty, chosen.convert) == (0.5, "off", True)
    assert dict(chosen.admit) == {**ADMIT, "lift": (2, 4)}
    assert chosen.relevance is not None
    assert (chosen.relevance.mode, chosen.relevance.weight) == ("score", 2.0)


def test_every_option_is_a_plain_value() -> None:
    defaults = {field.name: getattr(Options(), field.name) for field in dataclasses.fields(Options)}
    assert json.loads(json.dumps(defaults)) == defaults


def test_every_option_is_documented() -> None:
    assert Options.__doc__ is not None
    for field in dataclasses.fields(Options):
        assert field.name in Options.__doc__


def test_no_such_option() -> None:
    with pytest.raises(TypeError, match="there is no option lift;.*lifts"):
        Options.of({"lift": 2})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"curriculum": "grpo"}, "expected a curriculum among gasp, azr, rlvr, got 'grpo'"),
        ({"curriculum": "rlvr", "goalpost_rate": 0.5}, "goalpost_rate 1"),
        ({"admit": {"solve": (1, 2)}}, "expected a band for each of"),
        ({"admit": {"lemma": "37"}}, "lemma band in tenths"),
        ({"style": "prose"}, "expected a style among"),
        ({"style": "gasp_env.domain:get"}, "it lacks"),
        ({"novelty": "bags"}, "embedder"),
        ({"relevance": "taste"}, "taste"),
        ({"relevance": "operations", "relevance_mode": "halve"}, "relevance mode"),
        ({"curriculum": "azr", "relevance": "operations"}, "has neither"),
        ({"curriculum": "azr", "teacher_reward": "gasp"}, "propose"),
        ({"curriculum": "azr", "domain": "learners.miniature:domain"}, "no seed tasks"),
        ({"teacher_reward": "soar"}, "soar"),
        ({"library": "absent.jsonl"}, "absent.jsonl"),
        ({"library_capacity": 0}, "capacity"),
        ({"library_eviction": "worst"}, "worst"),
        ({"goalposts": ()}, "at least one goalpost"),
        ({"curriculum": "azr", "goalposts": (), "goalpost_rate": 0.1}, "at least one goalpost"),
    ],
)
def test_what_cannot_be_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, OSError), match=message):
        Driver(1, Options(**options))


def test_unguided_needs_no_goalposts() -> None:
    assert Driver(1, Options(curriculum="azr", goalposts=())).goalposts == ()


def test_a_reward_of_batches_needs_a_batch() -> None:
    with pytest.raises(ValueError, match="rzero_paper"):
        Driver(1, Options(teacher_reward="rzero_paper"))
    Driver(2, Options(teacher_reward="rzero_paper"))


def test_a_reward_of_embeddings_needs_an_embedder() -> None:
    with pytest.raises(ValueError, match="opensir"):
        Driver(1, Options(teacher_reward="opensir", novelty="exact"))
    Driver(1, Options(teacher_reward="opensir"))


def test_the_library_an_env_begins_with(tmp_path: Path) -> None:
    path = tmp_path / "library.jsonl"
    Library([Entry(known_task(), 4, 8, True)]).save(path)
    driver = Driver(1, Options(goalposts=GOALPOSTS, library=str(path), library_capacity=5))
    assert [entry.task for entry in driver.library.entries] == [known_task()]
    driver.library.commit([Entry(dataclasses.replace(known_task(), fingerprint="other"), 1, 8, True)])
    state = driver.library.state()
    assert len(driver.library) == 2
    driver.restore_library()
    assert [entry.task for entry in driver.library.entries] == [known_task()]
    driver.restore_library(state)
    assert len(driver.library) == 2
    # It goes on under the same options.
    many = [Entry(dataclasses.replace(known_task(), fingerprint=str(n)), 1, 8, True) for n in range(9)]
    driver.library.commit(many)
    assert len(driver.library) == 5
    assert driver.library.view().nearest("anything") > -1
