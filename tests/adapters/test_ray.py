"""A sandbox on the nodes of a Ray cluster of this machine: right answers, one each, whatever happens to nodes."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import pytest
import ray
from ray.cluster_utils import Cluster

from gasp_env.adapters.ray import RaySandbox
from gasp_env.sandbox import Run, Sandbox, SandboxError, Status
from gasp_env.sandbox.dispatch import worker_pool


@pytest.fixture(scope="module")
def cluster(sandbox: Sandbox) -> Iterator[Any]:
    made = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    made.add_node(num_cpus=1)
    ray.init(address=made.address, logging_level=logging.ERROR, log_to_driver=False)
    yield made
    ray.shutdown()
    made.shutdown()


@pytest.fixture
def spread(cluster: Any, sandbox: Sandbox) -> Iterator[RaySandbox]:
    with RaySandbox(sandbox.tier, workers_per_node=1) as made:
        yield made


def runs(count: int, seconds: float = 0.0) -> list[Run]:
    wait = f"import time; time.sleep({seconds})" if seconds else "pass"
    return [Run(f"def f(x):\n    {wait}\n    return x + {number}", ((1,),)) for number in range(count)]


def check(results: Any, count: int) -> None:
    assert [result.status for result in results] == [Status.OK] * count
    assert [result.calls[0].value for result in results] == [1 + number for number in range(count)]


def test_without_a_cluster_it_says_what_to_do() -> None:
    assert not ray.is_initialized()
    with pytest.raises(SandboxError, match=r'call ray.init\("auto"\) before the first run'):
        RaySandbox().run_many(runs(1))
    with pytest.raises(ValueError, match="workers_per_node must be at least 1, not 0"):
        RaySandbox(workers_per_node=0)


def test_both_nodes_answer_as_one_machine_does(spread: RaySandbox, sandbox: Sandbox) -> None:
    asked = [
        *runs(80, 0.01),
        Run("def f(x): return 1 / x", ((0,),)),
        Run("def f(x:", ((0,),)),
        Run("def f(x):\n    while True: pass", ((0,),)),
    ]
    ours, theirs = spread.run_many(asked), sandbox.run_many(asked)
    check(ours[:80], 80)
    assert [(one.status, one.error) for one in ours] == [(one.status, one.error) for one in theirs]
    assert {one.tier for one in ours} == {sandbox.tier}
    assert sorted(spread.nodes.values()) == [1, 1]
    assert len({worker.hello["uid"] for worker in spread._workers() if "uid" in worker.hello}) in (0, 2)


def test_a_node_that_is_lost_under_load_loses_no_run(cluster: Any, sandbox: Sandbox) -> None:
    node = cluster.add_node(num_cpus=1)
    with RaySandbox(sandbox.tier, workers_per_node=1) as spread:
        assert len(spread.nodes) == 3
        killer = threading.Timer(0.7, cluster.remove_node, [node], {"allow_graceful": False})
        killer.start()
        streamed = dict[int, Any]()
        for position, result in spread.as_completed(runs(90, 0.05)):
            assert position not in streamed
            streamed[position] = result
        killer.join()
        check([streamed[position] for position in range(90)], 90)
        assert spread.deaths >= 1
        until = time.monotonic() + 30
        while len(spread.nodes) != 2 and time.monotonic() < until:  # Ray takes its time to call a node dead
            check(spread.run_many(runs(5)), 5)
        assert len(spread.nodes) == 2


def test_without_a_node_runs_are_unscored(spread: RaySandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "PATIENCE_SECONDS", 0.5)
    monkeypatch.setattr(spread, "_cluster", None)

    def gone(tier: str) -> Any:
        raise SandboxError("no node is left")

    dispatcher: Any = spread._dispatcher
    monkeypatch.setattr(dispatcher._pool, "_open_worker", gone)
    for worker in spread._workers():
        worker.close()
    (result,) = spread.run_many(runs(1))
    assert result.status is Status.INFRA_ERROR


def test_who_does_not_know_the_secret_is_not_let_in(cluster: Any, sandbox: Sandbox) -> None:
    spread = RaySandbox(sandbox.tier, workers_per_node=1)
    spread._cluster.places()
    (node, *_) = spread._cluster._nodes.values()
    opened = ray.get(node.actor.open.remote(sandbox.tier))
    with socket.create_connection(opened["address"]) as stranger:
        stranger.sendall(bytes(32))
        stranger.settimeout(20)
        assert stranger.recv(1) == b""
    with socket.create_connection(opened["address"]) as friend:
        friend.sendall(opened["secret"])
        friend.setblocking(False)
        time.sleep(0.3)
        with pytest.raises(BlockingIOError):  # it waits for a run
            friend.recv(1)


def test_an_environment_takes_it_by_name(cluster: Any) -> None:
    env = gym.make("gasp_env:GASP-Code-v0", sandbox="gasp_env.adapters.ray:RaySandbox")
    env.reset(seed=0)
    text = "```python\ndef f(x):\n    return x * 3\n```\n" + "".join(
        f"```input\n{x}\n```\n" for x in range(10)
    )
    _, _, _, _, info = env.step(text)
    used = env.unwrapped.driver.sandbox  # type: ignore[attr-defined]
    assert isinstance(used, RaySandbox)
    assert used.runs >= 1
    assert info["verdicts"]
    used.close()
