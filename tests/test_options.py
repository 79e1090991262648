"""What can be chosen, and what is said when it cannot."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gasp_env import domains
from gasp_env.curricula.base import ADMIT
from gasp_env.envs.driver import Driver
from gasp_env.envs.env import GaspCodeEnv
from gasp_env.library.library import Library
from gasp_env.options import DEFAULTS, TYPES, Options
from gasp_env.sandbox import Sandbox
from gasp_env.tasks import Entry
from tests.episode.test_machine import GOALPOSTS, known_task
from tests.players import PROGRAMS, proposal

PYTHON = domains.get("python")


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
        ({"style": "prose"}, r"prompt style: expected one of \['fenced'\]"),
        ({"style": "gasp_env.domains:get"}, "it lacks"),
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


def test_every_option_has_a_type() -> None:
    assert set(TYPES) == {field.name for field in dataclasses.fields(Options)}


#: Of types or sizes that an option cannot have, and that some other may.
WRONG: dict[str, list[Any]] = {
    "curriculum": [[], None, 5],
    "domain": [5, None, ["python"]],
    "style": [5, ["fenced"], {}],
    "goalposts": [["a"], 5, {"a": 1}, GOALPOSTS[0], b"path", [GOALPOSTS[0], None]],
    "attempts": [10**400, 10**5000, 10_001, 0, -1, 8.0, "8", True, None],
    "goalpost_rate": [10**400, float("nan"), float("inf"), "0.5", True, [0.5], 1.5, -0.1],
    "lifts": [101, -1, 1.0, None, True],
    "lift_from": [5, None, [], "nowhere"],
    "lift_sees_goalpost": [1, "yes", None],
    "axis": [5, None, ["f"], "g"],
    "admit": [5, 0, "", [], "lemma", {"lemma": 5}, {5: (1, 2)}, {"lemma": None}, {"lemma": ("1", 2)}],
    "sees": [5, ["statement"], "all"],
    "convert": [1, "no", []],
    "solver_data": [5, ["all"], "none"],
    "solving": [5, None, []],
    "references": [1001, -1, 2.5, None],
    "novelty": [5, [], b"exact"],
    "teacher_reward": [5, [], ["gasp"], {"lemma": 5}, {5: "gasp_lift"}, {"lemma": "gasp_lift", 5: "a"}],
    "solver_reward": [None, 5, []],
    "relevance": [5, [], {}],
    "relevance_mode": ["nonsense", 5, None, []],
    "relevance_threshold": ["0.3", None, 2, -1, float("nan"), True, 10**400],
    "relevance_weight": ["0.5", None, -1, float("inf"), True, 10**400],
    "library": [{}, 5, []],
    "library_capacity": ["5", 2.5, True, 0],
    "library_eviction": [None, 5, []],
    "sandbox": [5, None, object(), [], str],
    "on_infra_error": [5, None, [], "zero"],
}


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        pytest.param(name, wrong, id=f"{name}-{number}")
        for name, many in WRONG.items()
        for number, wrong in enumerate(many)
    ],
)
def test_an_option_of_the_wrong_type_is_named(name: str, wrong: Any) -> None:
    # The band of a stage is named by the stage, and a library's capacity by that word.
    words = name.removeprefix("library_").replace("_", "[_ ]")
    found = "lemma band" if name == "admit" else words
    with pytest.raises(ValueError, match=rf"(?s)({words}|{found}).*got") as caught:
        GaspCodeEnv(**{"goalposts": GOALPOSTS, name: wrong})
    assert len(str(caught.value)) < 600


def test_every_option_is_tried_with_a_wrong_type() -> None:
    assert set(WRONG) == set(TYPES)


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


def test_the_step_a_trainer_set_outlives_a_restored_library() -> None:
    driver = Driver(1, Options(goalposts=GOALPOSTS))
    driver.library.step = 7
    driver.restore_library()
    assert driver.library.step == 7


def test_relevance_is_there_for_a_reward_unless_it_is_in_the_reward_already() -> None:
    chosen = {"relevance": "operations", "teacher_reward": "sgs_relevance"}
    Driver(2, Options(**chosen, relevance_mode="gate"))
    with pytest.raises(ValueError, match="sgs_relevance.*relevance"):
        Driver(2, Options(**chosen, relevance_mode="scale"))
    with pytest.raises(ValueError, match="sgs_relevance.*relevance"):
        Driver(2, Options(teacher_reward="sgs_relevance"))


@pytest.mark.docker
def test_an_eviction_policy_that_raises_ends_its_episodes(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def broken(entries):\n    raise KeyError('boom')\n")
    driver = Driver(
        1,
        Options(
            goalposts=GOALPOSTS,
            lifts=0,
            library_capacity=1,
            library_eviction=f"{tmp_path}/mine.py:broken",
            solver_data="all",
            solving="previous_step",
        ),
    )
    driver.library.commit([Entry(known_task(), 4, 8, True)])
    driver.begin(0, np.random.default_rng(0))
    driver.step([proposal(PROGRAMS[2])])
    driver.step([("?",) * 8])
    with pytest.raises((KeyError, RuntimeError), match="boom"):
        driver.step(["?"])
    with pytest.raises(RuntimeError, match="over or has not begun"):
        driver.step(["?"])
