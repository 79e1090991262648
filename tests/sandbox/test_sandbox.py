"""The docker sandbox: what it returns for honest programs, and what it does when its parts die."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import docker
import pytest

from gasp_env import values
from gasp_env.sandbox import HASH_SEEDS, Limits, Run, Sandbox, SandboxError, Status, shared
from gasp_env.sandbox.dispatch import worker_pool
from gasp_env.sandbox.tiers import image, orphans, unix_socket
from gasp_env.sandbox.tiers.docker import container_options
from gasp_env.values import Unserializable

pytestmark = pytest.mark.docker

ADD = Run("def f(a, b=1):\n    return a + b", ((1, 2), (3,)))


@pytest.fixture
def own(sandbox: Sandbox) -> Iterator[Sandbox]:
    """A sandbox of one test's own, to be broken."""
    with Sandbox("docker", workers=1) as opened:
        yield opened


def _container(sandbox: Sandbox) -> docker.models.containers.Container:
    sandbox.open()
    return sandbox._workers()[0]._container  # type: ignore[attr-defined]


def _threads(sandbox: Sandbox) -> int:
    """Threads in the container, those of the supervisor and the zygotes included."""
    table = _container(sandbox).top(ps_args="-eo pid,nlwp")
    return sum(int(row[1]) for row in table["Processes"])


def _processes(sandbox: Sandbox) -> dict[int, str]:
    """Host process ids in the container, and their command lines."""
    table = _container(sandbox).top(ps_args="-eo pid,args")
    return {int(row[0]): row[1] for row in table["Processes"]}


def test_values_come_back_exactly(sandbox: Sandbox) -> None:
    given = (
        None,
        True,
        1,
        1.0,
        -0.0,
        "\ud800",
        b"\0",
        [1, (2,)],
        {"b": 1, "a": {2}},
        frozenset({3}),
        10**4000,
    )
    [result] = sandbox.run_many([Run("def f(*a): return a", (given,))])
    assert result.status is Status.OK
    assert values.equal(result.calls[0].value, given)
    assert list(result.calls[0].value[8]) == ["b", "a"], "a dict keeps its order"
    assert result.tier == "docker"
    assert result.output_bytes > 1600
    assert result.wall_seconds > 0
    assert result.cpu_seconds > 0


def test_results_are_in_order_and_equal_runs_execute_once(sandbox: Sandbox) -> None:
    runs = [Run(f"def f(x): return x * {i % 5}", ((i % 5,),)) for i in range(40)]
    done, asked = sandbox.runs, sandbox.requested
    results = sandbox.run_many(runs)
    assert [result.calls[0].value for result in results] == [(i % 5) ** 2 for i in range(40)]
    assert sandbox.runs - done == 5
    assert sandbox.requested - asked == 40


def test_runs_that_differ_only_in_type_are_not_equal(sandbox: Sandbox) -> None:
    program = "def f(x): return type(x).__name__"
    results = sandbox.run_many([Run(program, ((x,),)) for x in (1, True, 1.0)])
    assert [result.calls[0].value for result in results] == ["int", "bool", "float"]


def test_nothing_asked_nothing_answered(sandbox: Sandbox) -> None:
    assert sandbox.run_many([]) == []
    [result] = sandbox.run_many([Run("def f(): return 1", ())])
    assert result.status is Status.OK
    assert result.calls == ()


def test_calls_go_on_after_an_exception_and_share_the_module(sandbox: Sandbox) -> None:
    program = "seen = []\ndef f(x):\n    seen.append(x)\n    return 10 // x, len(seen)"
    [result] = sandbox.run_many([Run(program, ((5,), (0,), (2,)))])
    assert result.status is Status.EXCEPTION
    assert [call.status for call in result.calls] == [Status.OK, Status.EXCEPTION, Status.OK]
    assert result.calls[2].value == (5, 3)
    assert result.error.startswith("ZeroDivisionError")


def test_arguments_are_fresh_for_every_call(sandbox: Sandbox) -> None:
    shared_list = [1]
    [result] = sandbox.run_many(
        [Run("def f(x):\n    x.append(2)\n    return x", ((shared_list,), (shared_list,)))]
    )
    assert [call.value for call in result.calls] == [[1, 2], [1, 2]]
    assert shared_list == [1]


def test_nothing_survives_from_run_to_run(sandbox: Sandbox) -> None:
    write = "import builtins, sys\ndef f():\n    builtins.mark = sys.mark = 1\n    return 0"
    read = "import builtins, sys\ndef f(): return hasattr(builtins, 'mark') or hasattr(sys, 'mark')"
    results = sandbox.run_many([Run(write, ((),)), *(Run(f"{read}\n#{i}", ((),)) for i in range(8))])
    assert [result.calls[0].value for result in results] == [0] + [False] * 8


def test_hash_seeds_differ_and_are_kept(sandbox: Sandbox) -> None:
    program = "def f(): return hash('a'), [c for c in set('gasping')]"
    for _ in range(2):
        results = sandbox.run_many([Run(program, ((),), hash_seed=seed) for seed in HASH_SEEDS])
        assert len({result.calls[0].value[0] for result in results}) == len(HASH_SEEDS)
    again = sandbox.run_many([Run(program + f"\n#{i}", ((),)) for i in range(8)])
    assert {result.calls[0].value[0] for result in again} == {results[0].calls[0].value[0]}


def test_output_is_captured_and_capped(sandbox: Sandbox) -> None:
    program = "import sys\nprint('module')\ndef f(n):\n    print('é' * n)\n    print('no', file=sys.stderr)"
    [small] = sandbox.run_many([Run(program, ((2,),))])
    assert (small.stdout, small.stderr) == ("module\néé\n", "no\n")
    [large] = sandbox.run_many([Run(program, ((10**6,),))])
    assert large.status is Status.OK
    assert len(large.stdout.encode()) <= Limits().stdout_bytes + 2


def test_memory_is_measured_beyond_the_interpreter(sandbox: Sandbox) -> None:
    small, large = sandbox.run_many(
        [Run("def f(): return 1", ((),)), Run("def f(): return len(b'x' * (50 << 20))", ((),))]
    )
    assert small.memory_bytes < 2 * 2**20
    assert 49 * 2**20 < large.memory_bytes < 60 * 2**20


def test_limits_are_the_runs_own(sandbox: Sandbox) -> None:
    program = "def f(): return len(b'x' * (50 << 20))"
    tight, wide = sandbox.run_many(
        [Run(program, ((),), limits=Limits(memory_bytes=32 * 2**20)), Run(program, ((),))]
    )
    assert (tight.status, wide.status) == (Status.MEMORY_LIMIT, Status.OK)


def test_large_values_go_in_and_out(sandbox: Sandbox) -> None:
    text = "x" * 10**6
    [result] = sandbox.run_many(
        [Run("def f(s): return s", ((text,),), limits=Limits(output_bytes=2 * 10**6))]
    )
    assert result.calls[0].value == text


def test_a_slow_program_does_not_hold_up_the_others(sandbox: Sandbox) -> None:
    slow = Run("import time\ndef f(): time.sleep(0.4)", ((),), limits=Limits(wall_seconds=5))
    results = sandbox.run_many([slow, *(Run(f"def f(): return {i}", ((),)) for i in range(20))])
    assert {result.status for result in results} == {Status.OK}
    assert 0.4 <= results[0].wall_seconds < 5


def test_a_caller_s_mistake_is_an_exception(sandbox: Sandbox) -> None:
    with pytest.raises(Unserializable, match="object"):
        sandbox.run_many([Run("def f(x): return 1", ((object(),),))])
    with pytest.raises(ValueError, match="hash_seed must be one of"):
        sandbox.run_many([Run("def f(): return 1", ((),), hash_seed=99)])
    for limits in (Limits(cpu_seconds=0), Limits(wall_seconds=float("nan")), Limits(output_bytes=2**30)):
        with pytest.raises(ValueError, match="_seconds must be|output_bytes must be"):
            sandbox.run_many([Run("def f(): return 1", ((),), limits=limits)])
    with pytest.raises(ValueError, match="tier must be"):
        Sandbox("no-such-tier")


def test_threads_may_share_one(sandbox: Sandbox) -> None:
    answers: dict[int, list[object]] = {}

    def ask(mark: int) -> None:
        results = sandbox.run_many([Run(f"def f(x): return x, {mark}", ((i,),)) for i in range(20)])
        answers[mark] = [result.calls[0].value for result in results]

    threads = [threading.Thread(target=ask, args=(mark,)) for mark in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == {mark: [(i, mark) for i in range(20)] for mark in range(4)}


def test_nobody_waits_for_a_run_that_was_abandoned(own: Sandbox) -> None:
    endless = Run("import time\ndef f(): time.sleep(300)", ((),), limits=Limits(wall_seconds=600))
    own.run_many([ADD])
    answers = own.as_completed([endless, ADD])
    time.sleep(0.3)  # until it is at work on it
    answers.close()
    [result] = own.run_many([ADD])  # hangs if it is not ended
    assert [call.value for call in result.calls] == [3, 4]
    assert own.deaths == 0


def test_shared_is_one_per_options() -> None:
    assert shared("docker", workers=1) is shared("docker", workers=1)
    assert shared("docker", workers=1) is not shared("docker", workers=2)


@pytest.mark.parametrize("victim", ["supervisor", "zygote"])
def test_a_killed_worker_costs_nothing_but_time(own: Sandbox, victim: str) -> None:
    runs = [Run(f"def f(): return sum(range({10**5 + i}))", ((),)) for i in range(300)]

    def kill() -> None:
        time.sleep(0.15)
        pid = next(pid for pid, command in _processes(own).items() if victim in command)
        os.kill(pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    first = _container(own).id
    killer.start()
    results = own.run_many(runs)
    killer.join()
    assert [result.calls[0].value for result in results] == [sum(range(10**5 + i)) for i in range(300)]
    own.run_many([ADD])
    assert _container(own).id != first


def test_a_run_that_kills_every_worker_is_found(own: Sandbox) -> None:
    """No program can; so kill the worker from outside whenever it is at work on one of them."""
    stop = threading.Event()

    def kill() -> None:
        while not stop.is_set():
            for connection in list(own._dispatcher._connections.values()):
                with contextlib.suppress(docker.errors.APIError):
                    if not connection.fresh:  # it is at work on the run
                        connection.worker._container.kill()
            time.sleep(0.05)

    slow = Run("import time\ndef f(): time.sleep(3)", ((),))
    killer = threading.Thread(target=kill)
    killer.start()
    try:
        [result] = own.run_many([slow])
    finally:
        stop.set()
        killer.join()
    assert result.status is Status.WORKER_KILLED
    assert own.deaths == 3
    [after] = own.run_many([ADD])
    assert [call.value for call in after.calls] == [3, 4]


def test_infrastructure_that_stays_down_is_an_infra_error(
    own: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "PATIENCE_SECONDS", 1.0)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    _container(own).kill()
    results = own.run_many([ADD, Run("def f(): return 2", ((),))])
    assert [result.status for result in results] == [Status.INFRA_ERROR] * 2
    assert "/nonexistent/docker.sock" in results[0].error


def test_a_missing_image_says_so(sandbox: Sandbox) -> None:
    with pytest.raises(SandboxError, match="no-such-image"):
        Sandbox(image="gasp-env-no-such-image:1").open()


def test_no_daemon_says_what_to_do() -> None:
    asked = subprocess.run(
        [sys.executable, "-m", "gasp_env.sandbox", "build"],
        env=os.environ | {"DOCKER_HOST": "unix:///nonexistent/docker.sock"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert asked.returncode == 2
    assert "make docker" in asked.stderr
    assert "unix:///nonexistent/docker.sock" in asked.stderr


def test_no_container_outlives_a_killed_owner(sandbox: Sandbox) -> None:
    script = (
        "from gasp_env.sandbox import *; import time; s = Sandbox(workers=1); s.open();"
        "print(s._workers()[0]._container.id, flush=True); time.sleep(60)"
    )
    owner = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    identity = owner.stdout.readline().strip()
    owner.kill()
    owner.wait()
    owner.stdout.close()
    client = docker.from_env()
    try:
        deadline = time.monotonic() + 20
        while identity in {container["Id"] for container in client.api.containers(all=True)}:
            assert time.monotonic() < deadline, "the container is still there"
            time.sleep(0.2)
    finally:
        client.close()


def _created(client: docker.DockerClient, labels: dict[str, str]) -> str:
    name = image.ensure(client)
    return str(client.containers.create(name, ["1"], labels=labels, network_mode="none").id)


def test_what_a_dead_owner_created_and_never_started_is_removed(sandbox: Sandbox) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    mine = orphans.labels()
    machine = mine[orphans.OWNER_LABEL].rpartition(":")[0]
    alive = os.getppid()
    client = docker.from_env()
    made: dict[str, str] = {}
    try:
        for name, owner in {
            "dead": f"{machine}:{dead.pid}",
            "alive": f"{machine}:{alive}",
            "elsewhere": f"another-{machine}:{dead.pid}",
            "strange": "nobody",
        }.items():
            made[name] = _created(client, mine | {orphans.OWNER_LABEL: owner})
        made["mine"] = _created(client, mine)
        made["no sandbox"] = _created(client, {orphans.OWNER_LABEL: f"{machine}:{dead.pid}"})
        with Sandbox(workers=1):
            pass
        left = {container["Id"] for container in client.api.containers(all=True)}
        assert {name for name, identity in made.items() if identity not in left} == {"dead"}
        [result] = sandbox.run_many([ADD])
        assert result.status is Status.OK, "a pool that runs is not disturbed"
    finally:
        for identity in made.values():
            with contextlib.suppress(docker.errors.APIError):
                client.api.remove_container(identity)
        client.close()


def test_the_container_is_shut_in(sandbox: Sandbox) -> None:
    sandbox.open()
    container = _container(sandbox)
    container.reload()
    host, config = container.attrs["HostConfig"], container.attrs["Config"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert not host["Privileged"]
    assert not host["Binds"]
    mounts = container.attrs["Mounts"]
    assert all(mount["Destination"] == unix_socket.INSIDE and mount["RW"] is False for mount in mounts)
    assert [option.split("=")[0] for option in host["SecurityOpt"]] == ["no-new-privileges", "seccomp"]
    assert host["IpcMode"] == "none"
    assert host["PidsLimit"] == container_options()["pids_limit"]
    assert host["Memory"] == host["MemorySwap"] > 0
    assert host["LogConfig"]["Type"] == "none"
    assert host["AutoRemove"] is True
    user, group = map(int, config["User"].split(":"))
    assert user == group >= 2**12, "not root, nor anybody else"
    assert not any("GASP" in variable or "TOKEN" in variable for variable in config["Env"])


def test_threads_in_one_container_are_not_counted_in_another(own: Sandbox, sandbox: Sandbox) -> None:
    hog = """
import threading, time
threading.stack_size(32768)
def f():
    for held in range(240):
        try: threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        except RuntimeError: break
    time.sleep(4)
    return held
"""
    honest = """
import threading
def f(x):
    got = []
    threads = [threading.Thread(target=got.append, args=(x,)) for _ in range(20)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return got
"""
    held: list[object] = []
    hogging = threading.Thread(
        target=lambda: held.extend(
            own.run_many([Run(hog, ((),), limits=Limits(wall_seconds=30, threads=256))])
        )
    )
    hogging.start()
    try:
        deadline = time.monotonic() + 20
        while _threads(own) < 200:
            assert hogging.is_alive(), held
            assert time.monotonic() < deadline
            time.sleep(0.05)
        [result] = sandbox.run_many([Run(honest, ((1,),), limits=Limits(threads=21))])
        assert hogging.is_alive(), "the honest program must run while the threads are held"
    finally:
        hogging.join()
    assert result.status is Status.OK, result.error
    assert result.calls[0].value == [1] * 20


def test_every_container_has_a_user_of_its_own() -> None:
    for options in ({}, {"user_ids": range(2**12, 2**16 - 2)}):
        users = {container_options(**options)["user"] for _ in range(20)}
        assert len(users) > 15
        assert all(int(user.split(":")[0]) >= 2**12 for user in users)


def test_the_image_is_built_once(sandbox: Sandbox) -> None:
    client = docker.from_env()
    try:
        said: list[str] = []
        assert image.ensure(client, say=said.append) == image.image_name(os.environ.get("GASP_SANDBOX_BASE"))
        assert said == []
    finally:
        client.close()


def test_run_from_the_command_line(sandbox: Sandbox, tmp_path: object) -> None:
    file = f"{tmp_path}/program.py"
    with open(file, "w") as program:
        program.write("def f(a, b):\n    print('hello')\n    return {a: b}\n")
    command = [sys.executable, "-m", "gasp_env.sandbox", "run", file, "--input", "1, [2]"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "f(1, [2]) -> {1: [2]}" in done.stdout
    assert "hello" in done.stdout
    failed = subprocess.run([*command[:-1], "[1], 2"], capture_output=True, text=True, check=False)
    assert failed.returncode == 1
    assert "TypeError" in failed.stdout
    wrong = subprocess.run([*command[:-1], "g()"], capture_output=True, text=True, check=False)
    assert wrong.returncode == 2
    assert "expected a literal" in wrong.stderr


def test_hello_names_the_interpreter(sandbox: Sandbox) -> None:
    sandbox.open()
    hello = sandbox._workers()[0].hello
    assert json.loads(json.dumps(hello))["seeds"] == list(HASH_SEEDS)
    assert hello["python"].startswith("3.")
