"""The Gymnasium views, on the real sandbox."""

from __future__ import annotations

import dataclasses
import json
import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import gasp_env
from gasp_env.curriculum import Credit
from gasp_env.env import GaspCodeEnv
from gasp_env.sandbox import Result, Run, Sandbox, SandboxError, Status
from gasp_env.spaces import TextAction, UnicodeText
from gasp_env.vector import GaspCodeVectorEnv
from tests.players import PROGRAMS, answer, proposal, right_answer
from tests.test_curriculum import GOALPOSTS

pytestmark = pytest.mark.docker
OPTIONS: dict[str, Any] = {"goalposts": GOALPOSTS, "axis": "f"}


def play(env: GaspCodeEnv, lemma: str = PROGRAMS[0], lift: str = PROGRAMS[2]) -> list[Any]:
    """One scripted episode: a lemma in its band, a lift in its band, a right solve."""
    log: list[Any] = []
    plan = {"lemma": [proposal(lemma)], "lift": [proposal(lift)]}
    done = False
    while not done:
        turn = env.driver.turns[0]
        assert turn is not None
        texts = plan.get(turn.stage)
        if texts is None:
            question = env.driver.episodes[0]._question
            right = {"attempt": 4 if turn.index == 1 else 1, "solve": 1, "goalpost": 4}[turn.stage]
            texts = [right_answer(question)] * right + [answer("python", PROGRAMS[1])] * (
                turn.samples - right
            )
        observation, reward, terminated, truncated, info = env.step(tuple(texts))
        log.append((observation, reward, terminated, truncated, info))
        done = terminated or truncated
    return log


def test_check_env(sandbox: Sandbox) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make("gasp_env:GASP-Code-v0").unwrapped)


def test_make_and_spec_round_trip(sandbox: Sandbox) -> None:
    env = gym.make("GASP-Code-v0", attempts=4, teacher_reward="azr_paper")
    assert env.spec is not None
    spec = gym.envs.registration.EnvSpec.from_json(env.spec.to_json())
    assert gym.make(spec).unwrapped.driver.schedule.attempts == 4
    observation, info = env.reset(seed=1)
    assert env.observation_space.contains(observation)
    assert info["agent"] == "teacher_0"


def test_episode(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(**OPTIONS)
    env.reset(seed=0, options={"goalpost": "one", "unknown": 1})
    log = play(env)
    stages = [entry["stage"] for entry in env.transcript["turns"]]
    assert stages == ["lemma", "attempt", "lift", "attempt", "solve"]
    credits: list[Credit] = [credit for *_, info in log for credit in info["credits"]]
    assert [c.reward for c in credits if c.agent == "teacher_0"] == [1.0, pytest.approx(0.970, abs=1e-3)]
    for _, reward, _, _, info in log:
        assert reward == pytest.approx(sum(info["rewards"].values()))
        assert reward == pytest.approx(sum(c.reward for c in info["credits"]))
    assert len(env.driver.library) == 2
    # A second episode on the same lemma is a duplicate now; a seed restores the empty library.
    env.reset()
    *_, info = env.step(proposal(PROGRAMS[0]))
    assert info["verdicts"] == ["duplicate"]
    env.reset(seed=0)
    *_, info = env.step(proposal(PROGRAMS[0]))
    assert info["verdicts"] == ["valid"]


def test_options_say_what_they_expect() -> None:
    for wrong in (
        {"domain": "rust"},
        {"domain": "gasp_env:nothing"},
        {"teacher_reward": "best"},
        {"solver_reward": "best"},
        {"goalposts": ()},
        {"attempts": 0},
        {"on_infra_error": "zero"},
        {"render_mode": "human"},
        {"sandbox": "chroot"},
        {"attempts": "8"},
        {"admit": {"lemma": (3,), "lift": (1, 5)}},
        {"goalposts": GOALPOSTS[:1] * 2},
        {"goalposts": (dataclasses.replace(GOALPOSTS[0], signature="def g(x)"),)},
        {"goalposts": (dataclasses.replace(GOALPOSTS[0], statement="x" * 200_000),)},
        {
            "goalposts": (
                dataclasses.replace(GOALPOSTS[0], inputs=(("y" * 60_000,),) * 80, outputs=(1,) * 80),
            )
        },
    ):
        with pytest.raises(ValueError, match="expected|cannot be loaded|must be|do not fit"):
            GaspCodeEnv(**wrong)
    with pytest.raises(ValueError, match="'nowhere'"):
        GaspCodeEnv(**OPTIONS).reset(options={"goalpost": "nowhere"})


def test_actions_are_checked_before_anything_moves(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(**OPTIONS)
    with pytest.raises(RuntimeError, match="reset"):
        env.step("early")
    env.reset(seed=0)
    for wrong in (3, None, ("a", "b"), (), (1,)):
        with pytest.raises((ValueError, AssertionError, RuntimeError)):
            env.step(wrong)
    assert env.driver.turns[0] is not None
    assert env.driver.turns[0].stage == "lemma"


def test_vector_equals_single_envs(sandbox: Sandbox) -> None:
    count = 4
    envs = GaspCodeVectorEnv(num_envs=count, **OPTIONS)
    envs.reset(seed=10)
    singles = []
    for number in range(count):
        env = GaspCodeEnv(**OPTIONS)
        env.reset(seed=10 + number)
        play(env)
        singles.append(env.transcript)
    while any(envs.turns):
        actions: list[Any] = []
        for number, turn in enumerate(envs.turns):
            if turn is None:
                actions.append(None)
                continue
            done = singles[number]["turns"][turn.index]["samples"]
            texts = tuple(sample["text"] for sample in done[len(done) - turn.samples :])
            # Uneven steps: some envs give their attempts one by one, some at once.
            actions.append(texts if number % 2 else texts[:1])
        _, rewards, _, _, infos = envs.step(actions)
        for number, credits in enumerate(infos["credits"]):
            assert rewards[number] == pytest.approx(sum(credit.reward for credit in credits))
    assert envs.transcripts == singles


def test_vector_partial_reset_and_state(sandbox: Sandbox) -> None:
    envs = GaspCodeVectorEnv(num_envs=3, **OPTIONS)
    envs.reset(seed=0)
    junk: list[Any] = ["junk", None, None]
    _, _, terminated, _, infos = envs.step(junk)
    assert terminated.tolist() == [True, False, False]
    assert [len(credits) for credits in infos["credits"]] == [1, 0, 0]
    assert envs.turns[0] is None
    with pytest.raises(RuntimeError, match="episode 0"):
        envs.step(junk)
    observations, _ = envs.reset(options={"reset_mask": np.array([True, False, False])})
    assert observations["prompt"][0]
    assert all(envs.turns)
    state = json.loads(json.dumps(envs.state()))
    envs.reset()
    after = [turn.prompt for turn in envs.turns if turn]
    envs.set_state(state)
    envs.reset()
    assert [turn.prompt for turn in envs.turns if turn] == after


def test_make_vec(sandbox: Sandbox) -> None:
    envs = gym.make_vec("gasp_env:GASP-Code-v0", num_envs=2)
    observations, _ = envs.reset(seed=0)
    assert observations in envs.observation_space
    assert len(observations["prompt"]) == 2


class FailingSandbox:
    """Answers every run with an infrastructure error: what a broken daemon does after all retries."""

    tier = "docker"

    def open(self) -> None:
        """Nothing to open."""

    def run_many(self, runs: list[Run]) -> list[Result]:
        """No result at all."""
        return [Result(Status.INFRA_ERROR, error="the daemon is gone") for _ in runs]


def test_infrastructure_failure_is_no_score() -> None:
    env = GaspCodeEnv(sandbox=FailingSandbox(), **OPTIONS)
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step(proposal(PROGRAMS[0]))
    assert (reward, terminated, truncated, info["scored"]) == (0.0, False, True, False)
    assert [credit.reward for credit in info["credits"]] == [None]
    env = GaspCodeEnv(sandbox=FailingSandbox(), on_infra_error="raise", **OPTIONS)
    env.reset(seed=0)
    with pytest.raises(SandboxError, match="daemon is gone"):
        env.step(proposal(PROGRAMS[0]))


def test_a_reward_that_raises_ends_its_episode_only(sandbox: Sandbox) -> None:
    @gasp_env.teacher_reward("test_raises")
    def raises(outcomes):
        raise KeyError("a bug of somebody's")

    envs = GaspCodeVectorEnv(num_envs=2, teacher_reward="test_raises", **OPTIONS)
    envs.reset(seed=0)
    with pytest.raises(KeyError, match="a bug"):
        envs.step(["junk", None])
    assert [turn is None for turn in envs.turns] == [True, False]
    with pytest.raises(RuntimeError, match="reset"):
        envs.step(["junk", None])
    envs.reset()
    assert all(envs.turns)


def test_commits_are_in_order_of_env_and_the_same_at_any_worker_count() -> None:
    def libraries(workers: int) -> list[Any]:
        with Sandbox(workers=workers) as own:
            envs = GaspCodeVectorEnv(num_envs=5, sandbox=own, **OPTIONS)
            envs.reset(seed=3)
            lemmas = [PROGRAMS[number % 3] for number in range(5)]
            while any(envs.turns):
                actions: list[Any] = []
                for number, turn in enumerate(envs.turns):
                    if turn is None:
                        actions.append(None)
                    elif turn.agent == "teacher_0":
                        actions.append(proposal(lemmas[number]))
                    else:
                        actions.append(tuple([answer("python", lemmas[number])] * turn.samples))
                envs.step(actions)
            return [envs.library.state(), envs.transcripts]

    one = libraries(1)
    assert [entry["task"]["program"] for entry in one[0]] == PROGRAMS[:3]
    assert libraries(3) == one


def test_batch_rewards_need_a_batch() -> None:
    @gasp_env.teacher_reward("test_batch", needs=("batch",))
    def rank(outcomes):
        return [{"rank": float(number)} for number, _ in enumerate(outcomes)]

    with pytest.raises(ValueError, match="vector env"):
        GaspCodeEnv(teacher_reward="test_batch")
    GaspCodeVectorEnv(num_envs=2, teacher_reward="test_batch")


def test_text_spaces() -> None:
    text, action = UnicodeText(5), TextAction(5, 2)
    assert "añ\n本😀" in text
    assert "" in text
    assert "123456" not in text
    assert ("a", "b") in action
    assert () not in action
    assert ("a", "b", "c") not in action
    assert text == UnicodeText(5)
    assert text != UnicodeText(6)
    assert action != TextAction(5, 3)
    assert text.sample() in text


def test_render(sandbox: Sandbox) -> None:
    env = gym.make("GASP-Code-v0", render_mode="ansi", **OPTIONS).unwrapped
    assert isinstance(env, GaspCodeEnv)
    env.reset(seed=0)
    env.step("\x1b[2Jnothing")
    shown = env.render()
    assert shown is not None
    assert "no_program" in shown
    assert "reward -1.000" in shown
    assert "\x1b" not in shown
