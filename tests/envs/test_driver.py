"""Episodes that are cloned into other slots of a driver, through the batched view, on the real sandbox."""

from __future__ import annotations

from typing import Any

import pytest

from gasp_env.curricula.gasp import Gasp
from gasp_env.envs.driver import Driver
from gasp_env.envs.setup import Setup
from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.episode.machine import Context, Episode
from gasp_env.library.library import Library
from gasp_env.sandbox import Sandbox
from gasp_env.transcripts import replay
from gasp_env.transcripts.library_log import RecordedView
from tests.envs.test_env import OPTIONS
from tests.episode.test_machine import GOALPOSTS, PYTHON
from tests.players import PROGRAMS, answer, proposal, right_answer

WRONG = answer("python", PROGRAMS[1])


def play(envs: GaspCodeVectorEnv, plans: dict[int, dict[str, Any]]) -> None:
    """Play these slots to their end, all in the same steps; a plan has a program, or a number right, per stage."""
    turns = envs.turns
    while any(turns[number] is not None for number in plans):
        actions: list[Any] = [None] * envs.num_envs
        for number, plan in plans.items():
            turn, episode = turns[number], envs.driver.episodes[number]
            if turn is None or episode is None:
                continue
            if turn.agent == "teacher_0":
                actions[number] = proposal(plan[turn.stage])
            else:
                right = min(plan.get(turn.stage, 1), turn.samples)
                actions[number] = (right_answer(episode.ask.question),) * right + (WRONG,) * (
                    turn.samples - right
                )
        envs.step(actions)
        turns = envs.turns


def begun(**options: Any) -> GaspCodeVectorEnv:
    """Three envs at their first turn, with one accepted task in their library."""
    envs = GaspCodeVectorEnv(num_envs=3, **OPTIONS, **options)
    envs.reset(seed=5)
    play(envs, {0: KNOWN})
    assert envs.library.accepted == 1
    envs.reset()
    return envs


KNOWN: dict[str, Any] = {"lemma": PROGRAMS[0], "attempt": 4, "lift": "import os"}
NEW: dict[str, Any] = {"lemma": PROGRAMS[3], "attempt": 4, "lift": PROGRAMS[2]}


@pytest.mark.docker
def test_clones_go_different_ways_and_all_replay(sandbox: Sandbox) -> None:
    envs = begun()
    for target in (1, 2):
        assert envs.driver.clone(0, target) == envs.turns[0] == envs.turns[target]
    play(envs, {0: KNOWN, 1: NEW, 2: {**NEW, "attempt": 0}})
    records = [record for record in envs.transcripts if record is not None]
    assert [[turn["stage"] for turn in record["turns"]] for record in records] == [
        ["lemma", "solve"],
        ["lemma", "attempt", "lift", "attempt", "solve"],
        ["lemma", "attempt", "solve"],
    ]
    assert len({record["seed"] for record in records}) == 1
    # What one asks of the library is no part of what the others asked.
    assert [len(record["view"]["known"]) for record in records] == [1, 0, 0]
    assert [len(record["view"]["drawn"]) for record in records] == [1, 0, 1]
    for record in records:
        assert replay.replay(record, sandbox) == []
    assert envs.library.accepted == 3


@pytest.mark.docker
def test_clones_that_go_on_alike_stay_alike(sandbox: Sandbox) -> None:
    envs = begun()
    envs.step([proposal(NEW["lemma"]), None, None])
    envs.step([(WRONG, WRONG, "no idea"), None, None])
    before = envs.transcripts[0]
    envs.driver.clone(0, 2)
    assert envs.turns[2] is not None
    assert (envs.turns[2].stage, envs.turns[2].samples) == ("attempt", 5)
    # One after the other, so that one sharing anything with the other would show in it.
    play(envs, {2: NEW})
    assert envs.transcripts[0] == before
    play(envs, {0: NEW})
    source, other, twin = envs.transcripts
    assert source == twin
    assert source is not None
    assert len(source["turns"]) == 5
    assert replay.replay(source, sandbox) == []
    assert other is not None
    assert other["turns"] == []


@pytest.mark.docker
def test_a_clone_replaces_what_was_in_its_slot(sandbox: Sandbox) -> None:
    envs = begun()
    play(envs, {1: NEW})
    assert envs.turns[1] is None
    envs.driver.clone(0, 1)
    assert envs.turns[1] == envs.turns[0]
    envs.step([None, "junk", None])
    assert [record["turns"] == [] for record in envs.transcripts if record] == [True, False, True]


def test_only_an_episode_that_goes_on_can_be_cloned() -> None:
    driver = Driver(2, Setup(OPTIONS))
    with pytest.raises(RuntimeError, match="slot 1"):
        driver.clone(1, 0)
    for slots in ((0, 2), (2, 0), (-1, 0), (0, -1)):
        with pytest.raises(ValueError, match="from 0 to 1"):
            driver.clone(*slots)


@pytest.mark.docker
def test_an_episode_that_is_over_cannot_be_cloned(sandbox: Sandbox) -> None:
    envs = begun()
    play(envs, {0: NEW})
    with pytest.raises(RuntimeError, match="slot 0"):
        envs.driver.clone(0, 1)
    assert envs.turns[1] is not None, "what was there is still there"


def test_a_cloned_episode_remembers_for_itself() -> None:
    view = RecordedView(Library().view())
    context = Context(domain=PYTHON, options=Gasp(), goalposts=GOALPOSTS, view=view, seed=0)
    game = Episode(Gasp().play, context)
    twin = game.clone()
    game.context.view.size("accepted")
    again = game.clone()
    game.context.view.size("all")
    sizes = [
        view.record()["sizes"]
        for one in (game, twin, again)
        if isinstance(view := one.context.view, RecordedView)
    ]
    assert sizes == [{"accepted": 0, "all": 0}, {}, {"accepted": 0}]
