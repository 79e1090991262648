"""Every part of the docker tier is killed while a thousand runs are in flight; none is lost, none is left over.

The daemon that is restarted is one of our own, beside the one that others on this machine use.
"""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import docker
import pytest

from gasp_env.sandbox import Run, Sandbox, Status
from gasp_env.sandbox.tiers import image

pytestmark = [pytest.mark.docker, pytest.mark.slow]

HANG = 120


class Daemon:
    """A Docker daemon with files, sockets and containers of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.host = f"unix://{folder}/docker.sock"
        self._log = (folder / "log").open("ab")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        deadline = time.monotonic() + HANG
        while not self._answers():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
            if self._process is None or self._process.poll() is not None:
                for file in (self.folder / "pid", self.folder / "exec" / "containerd" / "containerd.pid"):
                    file.unlink(missing_ok=True)
                self._process = subprocess.Popen(
                    [
                        "dockerd", "--host", self.host, "--data-root", str(self.folder / "data"),
                        "--exec-root", str(self.folder / "exec"), "--pidfile", str(self.folder / "pid"),
                        "--bridge=none", "--iptables=false",
                    ],
                    stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True,
                )  # fmt: skip
            time.sleep(0.2)

    def kill(self) -> None:
        """As with kill -9; and its containerd with it, which ends soon but not at once."""
        assert self._process is not None
        containerd = int((self.folder / "exec" / "containerd" / "containerd.pid").read_text())
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.kill(containerd, signal.SIGKILL)

    def stop(self) -> None:
        """For good, with everything it left."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(HANG)
        self._log.close()
        for line in reversed(Path("/proc/self/mounts").read_text().splitlines()):
            if line.split()[1].startswith(f"{self.folder}/"):
                subprocess.run(["umount", "--lazy", line.split()[1]], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def _answers(self) -> bool:
        asked = subprocess.run(
            ["docker", "--host", self.host, "version"], capture_output=True, check=False, timeout=HANG
        )
        return asked.returncode == 0


def _cannot(why: str) -> None:
    if os.environ.get("GASP_REQUIRE_DOCKER") == "1":
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="module")
def daemon(sandbox: Sandbox) -> Iterator[Daemon]:
    """A running one that has our image."""
    if shutil.which("dockerd") is None or os.geteuid() != 0:
        _cannot("needs dockerd, and to be root: a daemon of our own is started and killed")
    client = docker.from_env()
    try:
        name = image.ensure(client)
    finally:
        client.close()
    folder = Path(tempfile.mkdtemp(prefix="gasp-chaos-"))  # short: the path of a socket has 107 characters
    started = Daemon(folder)
    try:
        started.start()
        saving = subprocess.Popen(["docker", "save", name], stdout=subprocess.PIPE)
        subprocess.run(
            ["docker", "--host", started.host, "load"],
            stdin=saving.stdout,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        assert saving.stdout is not None
        saving.stdout.close()
        assert saving.wait() == 0
        yield started
    finally:
        started.stop()


@pytest.fixture
def client(daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> Iterator[docker.DockerClient]:
    """Of our own daemon, which everything in the test uses."""
    monkeypatch.setenv("DOCKER_HOST", daemon.host)
    connected = docker.from_env()
    yield connected
    connected.close()


def runs(count: int, seconds: float = 0.01) -> list[Run]:
    return [
        Run(f"import time\ndef f(x):\n    time.sleep({seconds})\n    return x * {i}", ((i,),))
        for i in range(count)
    ]


def wait_until(condition: Callable[[], object], why: Callable[[], object] = str) -> None:
    deadline = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < deadline, why()
        time.sleep(0.1)


def containers(client: docker.DockerClient) -> set[str]:
    return {container["Id"] for container in client.api.containers(all=True)}


def processes_of(identities: set[str]) -> list[int]:
    """Those of these containers, though the daemon may know of them no more."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdecimal() and any(one in (entry / "cgroup").read_text() for one in identities):
                found.append(int(entry.name))
    return found


class Injuries:
    """Ways to hurt a sandbox."""

    def __init__(self, sandbox: Sandbox, daemon: Daemon) -> None:
        self.sandbox = sandbox
        self.daemon = daemon
        self.seen: set[str] = set()
        self.done: list[str] = []
        self._starting: list[threading.Thread] = []

    def inflict(self, name: str) -> None:
        before = self.sandbox.deaths
        getattr(self, name)()
        self.done.append(name)
        if name != "child":  # which is no worker, and is asked again
            wait_until(lambda: self.sandbox.deaths > before)

    def supervisor(self) -> None:
        self._kill("supervisor")

    def zygote(self) -> None:
        self._kill("zygote")

    def child(self) -> None:
        """The program itself: a process whose parent is a zygote."""
        deadline = time.monotonic() + HANG
        while True:
            assert time.monotonic() < deadline
            table = self._table()
            zygotes = {pid for pid, _, command in table if "zygote" in command}
            for pid, parent, _ in table:
                if parent in zygotes:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        return

    def container(self) -> None:
        self._worker()._container.kill()

    def connection(self) -> None:
        self._worker()._socket.shutdown(socket.SHUT_RDWR)

    def restart(self) -> None:
        """The daemon goes; some seconds later it comes back. Containers die meanwhile, as they may."""
        workers = self.sandbox._workers()
        supervisors = [pid for worker in workers for pid in self._pids(worker, "supervisor")]
        self.daemon.kill()
        for pid in supervisors:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

        def start() -> None:
            time.sleep(3)
            self.daemon.start()

        self._starting.append(threading.Thread(target=start))
        self._starting[-1].start()

    def wait(self) -> None:
        for thread in self._starting:
            thread.join()

    def remember(self) -> None:
        for worker in self.sandbox._workers():
            self.seen.add(worker._container.id)  # type: ignore[attr-defined]

    def _worker(self) -> Any:
        self.remember()
        return self.sandbox._workers()[0]

    def _pids(self, worker: Any, part: str) -> list[int]:
        table = worker._container.top(ps_args="-eo pid,args")["Processes"]
        return [int(row[0]) for row in table if part in row[1]]

    def _table(self) -> list[tuple[int, int, str]]:
        rows = self._worker()._container.top(ps_args="-eo pid,ppid,args")["Processes"]
        return [(int(row[0]), int(row[1]), row[2]) for row in rows]

    def _kill(self, part: str) -> None:
        os.kill(self._pids(self._worker(), part)[0], signal.SIGKILL)


def test_every_part_is_killed_in_turn_and_a_thousand_answers_are_right(
    daemon: Daemon, client: docker.DockerClient
) -> None:
    parts = ["supervisor", "zygote", "child", "container", "connection", "restart"]
    when = {120 * (number + 1): part for number, part in enumerate(parts)}
    answers: dict[int, Any] = {}
    with Sandbox("docker", workers=4) as sandbox:
        injuries = Injuries(sandbox, daemon)
        for position, result in sandbox.as_completed(runs(1000)):
            assert position not in answers, "answered twice"
            answers[position] = result
            if len(answers) in when:
                injuries.inflict(when[len(answers)])
        injuries.wait()
        assert injuries.done == parts
        assert sandbox.deaths >= 4 + 3, "one each, and the restart cost all that were open"
        injuries.remember()
    wrong = {
        position: answers.get(position)
        for position in range(1000)
        if position not in answers
        or answers[position].status is not Status.OK
        or answers[position].calls[0].value != position**2
    }
    assert wrong == {}
    assert sandbox.runs in (1000, 1001), "twice at most the one whose fork was killed"
    wait_until(lambda: not containers(client), lambda: containers(client))
    wait_until(lambda: not processes_of(injuries.seen), lambda: processes_of(injuries.seen))


def _owner(script: str) -> subprocess.Popen[str]:
    """A process that opens a sandbox and then says so, in a line."""
    lines = (
        "import os, sys, threading, time",
        "from gasp_env.sandbox import *",
        "sandbox = Sandbox('docker', workers=3)",
        "busy = [Run(f'import time\\ndef f(): time.sleep(60) #{i}', ((),), limits=Limits(wall_seconds=90)) "
        "for i in range(9)]",
        "sandbox.open()",
        "thread = threading.Thread(target=sandbox.run_many, args=(busy,), daemon=True)",
        "thread.start()",
        script,
        "print(*[worker._container.id for worker in sandbox._workers()], flush=True)",
        "time.sleep(600)",
    )
    return subprocess.Popen([sys.executable, "-c", "\n".join(lines)], stdout=subprocess.PIPE, text=True)


def test_no_container_outlives_its_killed_owner_whatever_was_forked(client: docker.DockerClient) -> None:
    """A child of the owner, a data loader for example, has copies of its descriptors; they must not count."""
    forked: list[int] = []
    script = "child = os.fork()\nif not child: time.sleep(600)\nprint(child, flush=True)"
    owner = _owner(script)
    try:
        assert owner.stdout is not None
        forked.append(int(owner.stdout.readline()))
        mine = set(owner.stdout.readline().split())
        assert len(mine) == 3
        assert mine <= containers(client)
        owner.kill()
        owner.wait()
        os.kill(forked[0], 0)
        wait_until(lambda: not mine & containers(client))
        wait_until(lambda: not processes_of(mine), lambda: processes_of(mine))
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()
        for child in forked:
            os.kill(child, signal.SIGKILL)


def test_two_sandboxes_on_one_daemon_do_not_disturb_each_other(client: docker.DockerClient) -> None:
    with Sandbox("docker", workers=2) as one, Sandbox("docker", workers=2) as another:
        owner = _owner("pass")
        try:
            assert owner.stdout is not None
            assert len(owner.stdout.readline().split()) == 3
            results: dict[str, list[Any]] = {}
            thread = threading.Thread(target=lambda: results.update(another=another.run_many(runs(300))))
            thread.start()
            iterator = one.as_completed(runs(300))
            answers = [next(iterator) for _ in range(50)]
            owner.kill()
            with Sandbox("docker", workers=1) as third:  # sweeps what dead owners left
                third.run_many(runs(1))
            answers += iterator
            thread.join()
        finally:
            owner.kill()
            owner.wait()
            owner.stdout.close()
        assert {position: result.calls[0].value for position, result in answers} == {
            i: i * i for i in range(300)
        }
        assert [result.calls[0].value for result in results["another"]] == [i * i for i in range(300)]
        assert (one.deaths, another.deaths) == (0, 0)
    wait_until(lambda: not containers(client), lambda: containers(client))


@pytest.mark.parametrize("descriptors", [12, 32, 64])
def test_a_limit_on_descriptors_is_an_error_or_fewer_workers(
    client: docker.DockerClient, descriptors: int
) -> None:
    script = (
        "import warnings; warnings.simplefilter('ignore')\n"
        "from gasp_env.sandbox import *\n"
        "sandbox = Sandbox('docker', workers=4)\n"
        "try:\n"
        "    results = sandbox.run_many([Run('def f(x): return x', ((i,),)) for i in range(100)])\n"
        "    print(all(result.calls[0].value == i for i, result in enumerate(results)))\n"
        "except SandboxError as error: print('refused:', error)\n"
        "sandbox.close()\n"
    )

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True, text=True, timeout=HANG, check=False, preexec_fn=limit,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "True\n" or "Too many open files" in done.stdout, done.stdout
    with Sandbox("docker", workers=1):  # what could not even be removed is swept by the next one
        pass
    wait_until(lambda: not containers(client), lambda: containers(client))
