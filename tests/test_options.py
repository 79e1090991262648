"""What can be chosen, and what is said when it cannot."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gasp_env.curricula import Curriculum, Stage
from gasp_env.curricula.azr import Azr
from gasp_env.curricula.gasp import Gasp
from gasp_env.curricula.rlvr import Rlvr
from gasp_env.envs.driver import Driver
from gasp_env.envs.env import GaspCodeEnv
from gasp_env.envs.setup import Setup
from gasp_env.library.library import Library
from gasp_env.options import Options, describe
from gasp_env.sandbox import Sandbox
from gasp_env.tasks import Entry
from tests.episode.test_machine import GOALPOSTS, known_task
from tests.players import PROGRAMS, proposal, task_with


def test_defaults_are_the_published_settings() -> None:
    gasp, azr, rlvr = (Setup({"curriculum": name}) for name in ("gasp", "azr", "rlvr"))
    game = gasp.curriculum
    assert (game.goalpost_rate, game.solver_data, game.convert) == (0, "accepted", True)
    assert (game.attempts, game.lifts, game.lift_from, game.lift_sees_goalpost) == (8, 1, "accepted", False)
    assert {stage: game.band(stage) for stage in game.proposes} == {"lemma": (3, 7), "lift": (1, 5)}
    assert (gasp.domain.novelty, gasp.teacher_reward) == ("hashing", "gasp")
    game = azr.curriculum
    assert (game.goalpost_rate, game.solver_data, game.convert, game.references) == (0, "all", False, 6)
    assert game.band("propose") == (0, 10)
    assert (azr.domain.novelty, azr.teacher_reward) == ("exact", "azr_paper")
    assert rlvr.curriculum.goalpost_rate == 1


def test_what_is_chosen_is_what_is_played() -> None:
    chosen = Setup(
        {
            "curriculum": "azr",
            "goalpost_rate": 0.5,
            "novelty": "off",
            "convert": True,
            "solver_data": "non_extremes",
            "admit": {"propose": [2, 4]},
        }
    )
    game = chosen.curriculum
    assert (game.goalpost_rate, chosen.domain.novelty, game.convert) == (0.5, "off", True)
    assert game.band("propose") == (2, 4)
    chosen = Setup({"relevance": "operations", "relevance_mode": "score", "relevance_weight": 2.0})
    assert chosen.rule is not None
    assert (chosen.rule.mode, chosen.rule.weight) == ("score", 2.0)


def test_none_is_the_curriculums_own_choice() -> None:
    chosen = Setup({"curriculum": "azr", "goalpost_rate": None, "convert": None, "admit": None})
    assert (chosen.curriculum.goalpost_rate, chosen.curriculum.convert) == (0.0, False)


def options_of(*classes: Any) -> list[dict[str, Any]]:
    return [option for one in classes for option in describe(one)]


def test_every_option_is_a_plain_value() -> None:
    defaults = {option["name"]: option["default"] for option in options_of(Options, Gasp, Azr, Rlvr)}
    assert json.loads(json.dumps(defaults)) == defaults


def test_every_option_is_documented() -> None:
    for option in options_of(Options, Gasp, Azr, Rlvr):
        assert len(option["meaning"]) > 10, option
        assert option["takes"]


def test_no_such_option() -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'lift';.*lifts"):
        Setup({"lift": 2})
    with pytest.raises(TypeError, match=r"argument 'lifts';.*lifts is an option of curriculum gasp"):
        Setup({"curriculum": "azr", "lifts": 2})
    with pytest.raises(ValueError, match="there is no option lift;.*lifts"):
        Gasp(lift=2)
    with pytest.raises(ValueError, match="there is no option '.*'; there are"):
        Gasp(**{"\ud800": 1})


class Stray(Curriculum):
    stages = (Stage("propose", "critic", proposal=True),)

    def play(self, context: Any) -> Any:
        yield


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"curriculum": "grpo"}, "curriculum: expected one of .*'azr', 'gasp', 'rlvr'.*got 'grpo'"),
        ({"curriculum": "rlvr", "goalpost_rate": 0.5}, "goalpost_rate 1"),
        ({"admit": {"solve": (1, 2)}}, "expected admit to have a band for some of"),
        ({"admit": {"lemma": "37"}}, "bands in tenths"),
        ({"admit": {"lemma": (7, 3)}}, "lemma band in tenths"),
        ({"style": "prose"}, r"prompt style: expected one of \['base', 'exercises'\]"),
        ({"style": "gasp_env.domains:get"}, "expected a gasp_env.domains.python.prompts.PromptStyle"),
        ({"novelty": "bags"}, "embedder"),
        ({"relevance": "taste"}, "taste"),
        ({"relevance": "operations", "relevance_mode": "halve"}, "relevance_mode"),
        ({"curriculum": "azr", "relevance": "operations"}, "has neither"),
        ({"curriculum": "azr", "teacher_reward": "gasp"}, "propose"),
        ({"curriculum": "azr", "domain": "learners.miniature:domain"}, "lack propose"),
        ({"teacher_reward": "soar"}, "soar"),
        (
            {"teacher_reward": {"lemma": "azr_paper", "lift": "azr_paper", "lfit": "azr_paper"}},
            "stages lemma, lift, got one for 'lfit'",
        ),
        ({"library": "absent.jsonl"}, "library to be a file that can be read, got 'absent.jsonl'"),
        ({"library": "/"}, "library to be a file that can be read, got '/': Is a directory"),
        ({"goalposts": "absent.jsonl"}, "goalposts to be a file that can be read, got 'absent.jsonl'"),
        ({"library_capacity": 0}, "capacity"),
        ({"agents": {"teacher": 10**9}}, "agents from 1 to 10000"),
        ({"curriculum": Curriculum}, "expected a method play and stages"),
        ({"curriculum": Stray}, "role of stage 'propose' to be one of teacher, solver, got 'critic'"),
        ({"library_eviction": "worst"}, "worst"),
        ({"goalposts": ()}, "at least one goalpost"),
        ({"curriculum": "azr", "goalposts": (), "goalpost_rate": 0.1}, "at least one goalpost"),
    ],
)
def test_what_cannot_be_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, OSError), match=message):
        Driver(1, Setup(options))


#: Of types or sizes that an option cannot have, and that some other may.
WRONG: dict[str, list[Any]] = {
    "curriculum": [[], None, 5],
    "domain": [5, None, ["python"]],
    "style": [5, ["base"], {}],
    "goalposts": [["a"], 5, {"a": 1}, GOALPOSTS[0], b"path", [GOALPOSTS[0], None]],
    "attempts": [10**400, 10**5000, 10_001, 0, -1, 8.0, "8", True],
    "goalpost_rate": [10**400, float("nan"), float("inf"), "0.5", True, [0.5], 1.5, -0.1],
    "lifts": [101, -1, 1.0, True],
    "lift_from": [5, [], "nowhere"],
    "lift_sees_goalpost": [1, "yes"],
    "two_steps": [1, "yes"],
    "axis": [5, ["f"], "g"],
    "admit": [5, 0, "", [], "lemma", {"lemma": 5}, {5: (1, 2)}, {"lemma": None}, {"lemma": ("1", 2)}],
    "sees": [5, ["statement"], "all"],
    "convert": [1, "no", []],
    "solver_data": [5, ["all"], "none"],
    "solving": [5, []],
    "references": [1001, -1, 2.5],
    "novelty": [5, [], b"exact"],
    "batch_duplicates": [1, "yes", None],
    "teacher_reward": [5, [], ["gasp"], {"lemma": 5}, {5: "gasp_lift"}, {"lemma": "gasp_lift", 5: "a"}],
    "solver_reward": [None, 5, []],
    "relevance": [5, [], {}],
    "relevance_mode": ["nonsense", 5, None, []],
    "relevance_threshold": ["0.3", None, 2, -1, float("nan"), True, 10**400],
    "relevance_weight": ["0.5", None, -1, float("inf"), True, 10**400],
    "library": [{}, 5, []],
    "library_capacity": ["5", 2.5, True, 0],
    "library_eviction": [None, 5, []],
    "agents": [5, [], {"teacher": 0}, {"teacher": True}, {5: 1}],
    "matchmaker": [5, [], None],
    "sandbox": [5, None, object(), [], str],
    "workers": [0, -1, 2.0, "2", True, 10**400],
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
    curriculum = {"curriculum": "azr"} if name == "references" else {}
    # A library's capacity is named by that word.
    words = name.removeprefix("library_").replace("_", "[_ ]")
    with pytest.raises(ValueError, match=rf"(?s){words}.*got") as caught:
        GaspCodeEnv(**{"goalposts": GOALPOSTS, **curriculum, name: wrong})
    assert len(str(caught.value)) < 600


def test_every_option_is_tried_with_a_wrong_type() -> None:
    assert set(WRONG) == {option["name"] for option in options_of(Options, Gasp, Azr, Rlvr)}


def test_unguided_needs_no_goalposts() -> None:
    assert Driver(1, Setup({"curriculum": "azr", "goalposts": ()})).goalposts == ()


def test_a_reward_of_batches_is_deferred() -> None:
    assert Setup({"teacher_reward": "rzero_paper"}).deferred
    assert not Setup({"teacher_reward": "gasp"}).deferred
    assert not Setup({"teacher_reward": "rzero_paper", "curriculum": "rlvr"}).deferred


def test_a_reward_of_embeddings_needs_an_embedder() -> None:
    with pytest.raises(ValueError, match="opensir"):
        Driver(1, Setup({"teacher_reward": "opensir", "novelty": "exact"}))
    Driver(1, Setup({"teacher_reward": "opensir"}))


def test_the_library_an_env_begins_with(tmp_path: Path) -> None:
    path = tmp_path / "library.jsonl"
    Library([Entry(known_task(), 4, 8, True)]).save(path)
    driver = Driver(1, Setup({"goalposts": GOALPOSTS, "library": str(path), "library_capacity": 5}))
    assert [entry.task for entry in driver.library.entries] == [known_task()]
    driver.library.commit([Entry(task_with(known_task(), fingerprint="other"), 1, 8, True)])
    state = driver.library.state()
    assert len(driver.library) == 2
    driver.restore_library()
    assert [entry.task for entry in driver.library.entries] == [known_task()]
    driver.restore_library(state)
    assert len(driver.library) == 2
    # It goes on under the same options.
    many = [Entry(task_with(known_task(), fingerprint=str(n)), 1, 8, True) for n in range(9)]
    driver.library.commit(many)
    assert len(driver.library) == 5
    assert driver.library.view().nearest("anything") > -1


def test_the_step_a_trainer_set_outlives_a_restored_library() -> None:
    driver = Driver(1, Setup({"goalposts": GOALPOSTS}))
    driver.library.step = 7
    driver.restore_library()
    assert driver.library.step == 7


def test_relevance_is_there_for_a_reward_unless_it_is_in_the_reward_already() -> None:
    chosen = {"relevance": "operations", "teacher_reward": "sgs_relevance"}
    Driver(2, Setup(dict(**chosen, relevance_mode="gate")))
    with pytest.raises(ValueError, match="sgs_relevance.*relevance"):
        Driver(2, Setup(dict(**chosen, relevance_mode="scale")))
    with pytest.raises(ValueError, match="sgs_relevance.*relevance"):
        Driver(2, Setup({"teacher_reward": "sgs_relevance"}))


@pytest.mark.docker
def test_an_eviction_policy_that_raises_ends_its_episodes(sandbox: Sandbox, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def broken(entries):\n    raise KeyError('boom')\n")
    driver = Driver(
        1,
        Setup(
            {
                "goalposts": GOALPOSTS,
                "lifts": 0,
                "library_capacity": 1,
                "library_eviction": f"{tmp_path}/mine.py:broken",
                "solver_data": "all",
                "solving": "previous_step",
            }
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
