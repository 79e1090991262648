"""The real GEM; `make test-adapters` installs it."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gasp_env import policies
from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.policies import Sampling
from gasp_env.sandbox import Sandbox

pytest.importorskip("gem")

import gem  # type: ignore[import-not-found, unused-ignore]

from gasp_env.adapters.gem import ID, GaspGem

EPISODES = 32


def scripted(prompt: str, samples: int) -> tuple[str, ...]:
    (group,) = policies.get("scripted").generate([prompt], [samples], Sampling())
    return tuple(one.text for one in group)


def test_episodes_at_once_earn_what_a_vector_env_pays(sandbox: Sandbox) -> None:
    envs = GaspCodeVectorEnv(EPISODES, sandbox=sandbox, attempts=2)
    envs.reset(seed=0)
    expected: list[list[Any]] = [[] for _ in range(EPISODES)]
    while any(envs.turns):
        texts = [None if turn is None else scripted(turn.prompt, turn.samples)[:1] for turn in envs.turns]
        *_, infos = envs.step(texts)
        for number, credits in enumerate(infos["credits"]):
            expected[number] += credits
    many = gem.make_vec([ID] * EPISODES, async_mode=True, seed=0, attempts=2)
    made = many.envs
    assert len({id(env._sessions) for env in made}) == 1
    begun = [env.reset() for env in made]

    def play(number: int) -> list[Any]:
        (prompt, info), earned, over = begun[number], [], False
        while not over:
            prompt, _, terminated, truncated, info = made[number].step(scripted(prompt, info["samples"])[0])
            earned += info["credits"]
            over = terminated or truncated
        return earned

    with ThreadPoolExecutor(EPISODES) as threads:
        assert list(threads.map(play, range(EPISODES))) == expected


def test_seeds_copies_and_ends(sandbox: Sandbox) -> None:
    env, other = gem.make(ID, seed=5, curriculum="rlvr"), gem.make(ID, curriculum="rlvr")
    random.seed(1)
    drawn = random.random()
    random.seed(1)
    first, info = env.reset()
    assert random.random() == drawn, "the process's own generators are left alone"
    assert first == other.reset(seed=5)[0]
    assert info["samples"] == 8
    twin = env.spawn(same_state=True)
    env.step("nothing")
    assert twin._session.turn.samples == 8
    _, reward, *_, info = twin.step(env.sample_random_action())
    assert reward == -1
    assert info["samples"] == 7
    assert env.spawn()._sessions is env._sessions
    assert env.spawn(seed=5).reset()[0] == first
    with pytest.raises(ValueError, match="expected no options beside sessions"):
        GaspGem(sessions=env._sessions, attempts=3)
    with pytest.raises(ValueError, match="expected a teacher reward that is known within an episode"):
        gem.make(ID, teacher_reward="shuffled:gasp")
    alone = gem.make(ID, most=1)
    alone.reset()
    alone.reset()
    assert env.spawn(attempts=3)._sessions is not env._sessions
    with pytest.raises(ValueError, match="expected no other options for the same state, got attempts"):
        env.spawn(same_state=True, attempts=3)
    with pytest.raises(RuntimeError, match="reset"):
        env.spawn().step("x")
    with pytest.raises(RuntimeError, match="reset first"):
        env.spawn().spawn(same_state=True)
    env.close()
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        gem.make(ID, colour=1)


def test_the_last_credits_of_a_vector_env_are_kept(sandbox: Sandbox) -> None:
    several = gem.make_vec([ID] * 2, seed=0)
    several.reset()
    _, rewards, _, _, infos = several.step(["nothing"] * 2)
    assert list(rewards) == [-1, -1]
    ended = infos["final_info"] if isinstance(infos, dict) else [one["final_info"] for one in infos]
    assert [one["credits"][0].reward for one in ended] == [-1, -1]
