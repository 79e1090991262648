"""The real OpenEnv server and client; `make test-adapters` installs it."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from gasp_env import policies
from gasp_env.envs.sessions import Sessions
from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.policies import Sampling
from gasp_env.sandbox import Sandbox

pytest.importorskip("openenv")
pytest.importorskip("uvicorn")

import httpx  # type: ignore[import-not-found, unused-ignore]
import uvicorn  # type: ignore[import-not-found, unused-ignore]

from gasp_env.adapters import openenv

EPISODES = 32


def scripted(prompt: str, samples: int) -> tuple[str, ...]:
    (group,) = policies.get("scripted").generate([prompt], [samples], Sampling())
    return tuple(one.text for one in group)


@pytest.fixture
def sessions(sandbox: Sandbox) -> Iterator[Sessions]:
    with Sessions(sandbox=sandbox, most=2 * EPISODES, attempts=3) as made:
        yield made


@pytest.fixture
def address(sessions: Sessions) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = openenv.app(sessions, EPISODES)
    server = uvicorn.Server(
        uvicorn.Config(app, port=port, log_level="warning", ws_max_size=openenv.MESSAGE_BYTES)
    )
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def test_episodes_at_once_earn_what_a_vector_env_pays(address: str, sandbox: Sandbox) -> None:
    envs = GaspCodeVectorEnv(EPISODES, sandbox=sandbox, attempts=3)
    envs.reset(seed=0)
    expected: list[list[Any]] = [[] for _ in range(EPISODES)]
    while any(envs.turns):
        texts = [None if turn is None else scripted(turn.prompt, turn.samples) for turn in envs.turns]
        *_, infos = envs.step(texts)
        for number, credits in enumerate(infos["credits"]):
            expected[number] += credits

    async def main() -> list[list[Any]]:
        clients = [openenv.GaspClient(base_url=address) for _ in range(EPISODES)]
        # All of them see the empty library, as in one reset of the vector env.
        begun = await asyncio.gather(*(one.reset(seed=seed) for seed, one in enumerate(clients)))

        async def play(client: Any, result: Any) -> list[Any]:
            earned = []
            while not result.done:
                seen = result.observation
                texts = list(scripted(seen.prompt, seen.samples))
                result = await client.step(openenv.GaspAction(texts=texts))
                assert result.reward == pytest.approx(sum(result.observation.rewards.values()))
                earned += result.observation.earned
            assert (await client.state()).step_count > 2
            await client.close()
            return earned

        return await asyncio.gather(*map(play, clients, begun))

    assert asyncio.run(main()) == expected


def test_a_mistake_is_told_and_the_session_goes_on(address: str, sessions: Sessions) -> None:
    async def main() -> None:
        async with openenv.GaspClient(base_url=address) as client:
            with pytest.raises(RuntimeError, match="reset before the first step"):
                await client.step(openenv.GaspAction(texts=["x"]))
            with pytest.raises(RuntimeError, match="expected the id of a goalpost of this env"):
                await client.reset(goalpost="nobody")
            with pytest.raises(RuntimeError, match="expected an index from 0 to"):
                await client.reset(split="goalposts", index=10**6)
            for wrong in ({"colour": 1}, {"split": "goalposts"}, {"index": 1}, {"split": "nope", "index": 1}):
                with pytest.raises(RuntimeError, match="expected"):
                    await client.reset(**wrong)
            with pytest.raises(RuntimeError, match="expected either a goalpost, or a split"):
                await client.reset(split="goalposts", index=1, goalpost="nobody")
            result = await client.reset(split="goalposts", index=2)
            with pytest.raises(RuntimeError, match="expected 1 to 1 texts for stage lemma, got 2"):
                await client.step(openenv.GaspAction(texts=["x", "y"]))
            result = await client.step(openenv.GaspAction(texts=["nothing"]))
            assert (result.reward, result.done, result.observation.verdicts) == (-1, True, ["no_program"])
            with pytest.raises(RuntimeError, match="the session is over"):
                await client.step(openenv.GaspAction(texts=["x"]))
            await client.reset()

    asyncio.run(main())
    until = time.monotonic() + 10
    while sessions._places < 2 * EPISODES and time.monotonic() < until:
        time.sleep(0.05)
    assert sessions._places == 2 * EPISODES, "a client that leaves gives its session back"


def test_a_large_request_is_not_read(address: str) -> None:
    large = httpx.post(f"{address}/step", content=b"x" * (openenv.MESSAGE_BYTES + 1))
    assert large.status_code == 413
    assert httpx.get(f"{address}/health").status_code == 200


def test_a_reward_of_many_episodes_is_refused(sandbox: Sandbox) -> None:
    with (
        Sessions(sandbox=sandbox, teacher_reward="shuffled:gasp") as sessions,
        pytest.raises(ValueError, match="expected a teacher reward that is known within an episode"),
    ):
        openenv.app(sessions, 1)


def test_goalposts_are_tasks_without_their_tests(sessions: Sessions) -> None:
    environment = openenv.GaspEnvironment(sessions)
    assert environment.list_splits() == [openenv.SPLIT]
    tasks = environment.list_tasks(openenv.SPLIT)
    assert [task["id"] for task in tasks] == [goalpost.id for goalpost in sessions.driver.goalposts]
    assert all(task.keys() == {"id", "index", "statement"} for task in tasks)
    with pytest.raises(ValueError, match="expected a split of"):
        environment.num_tasks("test")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--options", "5"], "expected a JSON object"),
        (["--options", "{"], "--options: "),
        (["--options", '{"attempts": 0}'], "--options: expected attempts"),
        (["--options", '{"colour": 1}'], "unexpected keyword argument 'colour'"),
        (["--sessions", "0"], "--sessions: expected a number from 1"),
    ],
)
def test_wrong_options_are_told(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        openenv.main(words)
    assert said in capsys.readouterr().err
