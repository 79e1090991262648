"""The real verifiers with a model's server that plays as the scripted policy; `make test-adapters` installs it."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from gasp_env import policies
from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.policies import Sampling
from gasp_env.sandbox import Sandbox

pytest.importorskip("verifiers")

import verifiers.v1 as vf  # type: ignore[import-not-found, unused-ignore]

from gasp_env.adapters.verifiers import PLUGIN, GaspEnv, GaspEnvConfig

EPISODES = 32
#: Without the check for copies, what an episode sees of the library, and so when it begins, changes nothing.
OPTIONS = {"attempts": 2, "novelty": "off"}


def scripted(prompt: str) -> str:
    ((answer,),) = policies.get("scripted").generate([prompt], [1], Sampling())
    return answer.text


class Model(BaseHTTPRequestHandler):
    """An OpenAI-compatible server; it fails for prompts with the word `broken`."""

    broken = ""
    length = False

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = asked["messages"][-1]["content"]
        fails = bool(self.broken) and self.broken in prompt
        reason = "length" if self.length else "stop"
        message = {"role": "assistant", "content": scripted(prompt)}
        body = json.dumps(
            {
                "id": "x",
                "object": "chat.completion",
                "created": 0,
                "model": "scripted",
                "choices": [{"index": 0, "finish_reason": reason, "message": message}],
            }
        ).encode()
        self.send_response(400 if fails else 200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b"{}" if fails else body)

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setattr(ThreadingHTTPServer, "request_queue_size", 1000)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Model)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    thread.join()
    server.server_close()


async def episodes(url: str, count: int, **config: Any) -> list[Any]:
    taskset = {"id": PLUGIN, "options": OPTIONS, **config.pop("taskset", {})}
    env = GaspEnv(GaspEnvConfig.model_validate({"taskset": taskset, "max_concurrent_agents": 8, **config}))
    client = vf.EvalClientConfig(base_url=url, api_key_var="NONE")
    async with env.serving():
        tasks = itertools.islice(env.taskset, count)
        return await asyncio.gather(*(env.run_episode(t, vf.ModelContext("scripted", client)) for t in tasks))


def test_episodes_at_once_earn_what_a_vector_env_pays(model: str, sandbox: Sandbox) -> None:
    envs = GaspCodeVectorEnv(EPISODES, sandbox=sandbox, **OPTIONS)
    envs.reset(seed=0)
    expected: list[Counter[tuple[str, float]]] = [Counter() for _ in range(EPISODES)]
    while any(envs.turns):
        texts = [None if t is None else (scripted(t.prompt),) * t.samples for t in envs.turns]
        *_, infos = envs.step(texts)
        for number, credits in enumerate(infos["credits"]):
            expected[number].update((one.agent.split("_")[0], round(one.reward, 6)) for one in credits)
    played = asyncio.run(episodes(model, EPISODES))
    assert all(one.ok for one in played), [one.errors for one in played]
    assert [Counter((t.agent.name, round(t.reward, 6)) for t in one.traces) for one in played] == expected
    assert all(set(trace.metrics) & {"valid", "right"} for one in played for trace in one.traces)


def test_a_failed_call_is_no_score(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Model, "broken", "returns these results")
    (episode,) = asyncio.run(episodes(model, 1))
    assert not episode.ok
    assert "a model call of solver_0 failed in stage attempt" in str(episode.errors[-1])
    (lemma,) = [trace for trace in episode.traces if trace.agent.name == "teacher"]
    assert not lemma.rewards


def test_an_answer_that_was_cut_off_is_judged_as_such(model: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Model, "length", True)
    (episode,) = asyncio.run(episodes(model, 1, train_teacher=False))
    (trace,) = episode.traces
    assert trace.reward == -1
    assert trace.metrics["valid"] == 0
    assert not trace.agent.trainable


def test_goalposts_are_played_in_turn(model: str, sandbox: Sandbox) -> None:
    names = [goalpost.id for goalpost in GaspCodeVectorEnv(1, sandbox=sandbox).driver.goalposts[4:6]]
    env = GaspEnv(
        GaspEnvConfig.model_validate({"taskset": {"id": PLUGIN, "goalposts": names, "first_seed": 7}})
    )
    tasks = [task.data for task in itertools.islice(env.taskset, 3)]
    assert [(one.seed, one.goalpost) for one in tasks] == [(7, names[0]), (8, names[1]), (9, names[0])]


def test_a_reward_of_many_episodes_is_refused(model: str) -> None:
    with pytest.raises(ValueError, match="expected a teacher reward that is known within an episode"):
        asyncio.run(episodes(model, 1, taskset={"options": {"teacher_reward": "shuffled:gasp"}}))
