"""Copies within one step of a vector env are refused where that is asked for, and replay."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.episode.turns import CutOff
from gasp_env.sandbox import Sandbox
from gasp_env.transcripts import replay
from tests.envs.test_driver import KNOWN, NEW, WRONG, play
from tests.envs.test_env import OPTIONS
from tests.players import INPUTS, PROGRAMS, proposal, right_answer

pytestmark = pytest.mark.docker


def made(count: int = 4, **options: Any) -> GaspCodeVectorEnv:
    envs = GaspCodeVectorEnv(num_envs=count, **{**OPTIONS, "batch_duplicates": True, **options})
    envs.reset(seed=5)
    return envs


def reasons(envs: GaspCodeVectorEnv, actions: list[Any]) -> list[str | None]:
    """Verdict on the first text of each env."""
    infos = envs.step(actions)[4]
    return [
        None if action is None else said[0] for action, said in zip(actions, infos["verdicts"], strict=True)
    ]


def lemma_accepted(envs: GaspCodeVectorEnv, slot: int) -> None:
    """Play one env until its lift is asked for."""
    envs.step([proposal(PROGRAMS[0]) if n == slot else None for n in range(envs.num_envs)])
    episode = envs.driver.episodes[slot]
    assert episode is not None
    assert episode.ask is not None
    answers = (right_answer(episode.ask.question),) * 4 + (WRONG,) * 4
    envs.step([answers if n == slot else None for n in range(envs.num_envs)])


def agree(envs: GaspCodeVectorEnv, sandbox: Sandbox) -> None:
    """Check that every episode plays again."""
    for record in envs.transcripts:
        assert record is not None
        assert replay.replay(record, sandbox) == []


def test_the_first_copy_is_kept_and_the_others_are_duplicates(sandbox: Sandbox) -> None:
    envs = made(5)
    renamed = proposal(PROGRAMS[0].replace("x", "number"), INPUTS[::-1], "other words")
    actions = [CutOff(proposal(PROGRAMS[0])), proposal(PROGRAMS[0]), proposal(PROGRAMS[3]), renamed, "no"]
    said = ["cut_off", "valid", "valid", "duplicate", "no_program"]
    credits = envs.step(actions)[4]["credits"]
    assert [envs.transcripts[n]["turns"][0]["samples"][0]["verdict"] for n in range(5)] == said  # type: ignore[index]
    assert [[credit.reward for credit in own] for own in credits] == [[-1.0], [], [], [-1.0], [-1.0]]
    for record, is_copy in zip(envs.transcripts, [False, False, False, True, False], strict=True):
        assert record is not None
        assert record["batch_duplicates"] is True
        assert ("repeats" in record["turns"][0]["samples"][0]) == is_copy
    agree(envs, sandbox)


def test_clones_are_paid_once(sandbox: Sandbox) -> None:
    envs = made(4)
    for target in (1, 2, 3):
        envs.driver.clone(0, target)
    play(envs, {0: KNOWN, 1: KNOWN, 2: NEW, 3: NEW})
    records = [record for record in envs.transcripts if record is not None]
    assert [record["outcomes"][0]["reason"] for record in records] == [
        "valid",
        "duplicate",
        "valid",
        "duplicate",
    ]
    assert len(envs.library) == 3  # two lemmas and a lift
    agree(envs, sandbox)


def test_lifts_that_differ_in_their_inputs_alone_are_told_apart(sandbox: Sandbox) -> None:
    envs = made(4)
    lemma_accepted(envs, 0)
    for target in (1, 2, 3):
        envs.driver.clone(0, target)
    other, third = [str(n) for n in range(20, 30)], [str(n) for n in range(40, 50)]
    actions = [proposal(PROGRAMS[0], inputs) for inputs in (other, third, other, INPUTS)]
    assert reasons(envs, actions) == ["valid", "valid", "duplicate", "duplicate"]
    assert ["repeats" in record["turns"][2]["samples"][0] for record in envs.transcripts if record] == [
        False,
        False,
        True,
        False,  # the gate's own: its lemma again
    ]
    agree(envs, sandbox)


def test_a_copy_in_a_later_step_or_in_a_skipped_env_is_none_of_the_batch(sandbox: Sandbox) -> None:
    envs = made(2)
    assert reasons(envs, [None, proposal(PROGRAMS[0])]) == [None, "valid"]
    assert reasons(envs, [proposal(PROGRAMS[0]), None]) == ["valid", None]
    agree(envs, sandbox)


@pytest.mark.parametrize("options", [{"batch_duplicates": False}, {"novelty": "off"}])
def test_copies_are_paid_where_they_may_be(sandbox: Sandbox, options: dict[str, Any]) -> None:
    envs = made(2, **options)
    assert reasons(envs, [proposal(PROGRAMS[0])] * 2) == ["valid"] * 2
    assert ["batch_duplicates" in record for record in envs.transcripts if record] == [
        "novelty" in options
    ] * 2
    agree(envs, sandbox)


def test_an_episode_alone_plays_as_without(sandbox: Sandbox) -> None:
    plain, told = made(1, batch_duplicates=False), made(1)
    for envs in (plain, told):
        play(envs, {0: NEW})
    (first,), (second,) = plain.transcripts, told.transcripts
    assert first is not None
    assert second == {**first, "batch_duplicates": True}


@pytest.mark.parametrize(
    "change",
    [{"repeats": None}, {"repeats": "0" * 64}, {"text": proposal(PROGRAMS[3])}],
    ids=["not told", "told of another", "another text"],
)
def test_a_replay_finds_a_copy_that_is_none(sandbox: Sandbox, change: dict[str, Any]) -> None:
    envs = made(2, novelty="exact")
    reasons(envs, [proposal(PROGRAMS[0])] * 2)
    record = copy.deepcopy(envs.transcripts[1])
    assert record is not None
    record["turns"][0]["samples"][0].update(change)
    places = [difference.where for difference in replay.replay(record, sandbox)]
    assert "turns[0].samples[0].verdict" in places
    record = copy.deepcopy(envs.transcripts[1])
    assert record is not None
    del record["batch_duplicates"]
    assert "turns[0].samples[0].verdict" in [found.where for found in replay.replay(record, sandbox)]
