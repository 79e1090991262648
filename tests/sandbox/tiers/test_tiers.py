"""Opening a tier: what works in each, who is refused, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, ImageNotFound

from gasp_env.sandbox import (
    HASH_SEEDS,
    Limits,
    Run,
    Sandbox,
    SandboxError,
    Status,
    frames,
    tiers,
)
from gasp_env.sandbox.tiers import AUTO, docker, interpreters, open_worker, process, seccomp
from gasp_env.sandbox.tiers.process import BwrapWorker, LandlockWorker
from gasp_env.sandbox.tiers.protections import PROTECTIONS
from gasp_env.sandbox.tiers.worker import CONSENT_VARIABLE, Settings, Worker
from sandbox_image.worker import confine
from tests.sandbox.opened import TIERS, alive, ask, family, opened

ADD = Run("def f(a, b): return a + b", ((1, 2),))


@pytest.fixture(scope="module", params=TIERS)
def worker(request: pytest.FixtureRequest) -> Iterator[Worker]:
    """One worker of each tier."""
    there = opened(request.param)
    yield there
    there.close()


def test_every_profile_and_hash_seed_works(worker: Worker) -> None:
    for seed in HASH_SEEDS:
        assert ask(worker, Run(ADD.program, ADD.inputs, hash_seed=seed)).calls[0].value == 3
    whole = ask(worker, Run("print(input()[::-1])", profile="stdin", stdin="abc\n"))
    assert (whole.status, whole.stdout, whole.tier) == (Status.OK, "cba\n", worker.tier)
    if "numpy" not in worker.hello["profiles"]:
        pytest.skip("no numpy for this worker's interpreter")
    program = """
import numpy, numpy.linalg
def f(n): return numpy.arange(n).tolist(), float(numpy.linalg.det(numpy.eye(n)))
"""
    assert ask(worker, Run(program, ((3,),), profile="numpy")).calls[0].value == ([0, 1, 2], 1.0)


def test_only_the_standard_library_and_if_asked_numpy_can_be_imported(worker: Worker) -> None:
    program = """
def f(names):
    found = []
    for name in names:
        try: __import__(name)
        except ImportError: continue
        found.append(name)
    return found
"""
    names = [
        "decimal",
        "sqlite3",
        "numpy",
        "gasp_env",
        "docker",
        "requests",
        "pytest",
        "pip",
        "yaml",
        "tests",
    ]
    assert ask(worker, Run(program, ((names,),))).calls[0].value == ["decimal", "sqlite3"]
    if "numpy" in worker.hello["profiles"]:
        found = ask(worker, Run(program, ((names,),), profile="numpy")).calls[0].value
        assert found == ["decimal", "sqlite3", "numpy"]


def test_a_worker_says_what_it_is(worker: Worker) -> None:
    assert worker.hello["seccomp"] is True
    assert len(worker.identity) == 64
    again = opened(worker.tier)
    try:
        assert again.identity == worker.identity
        if os.getuid() == 0:
            assert worker.hello["uid"] != again.hello["uid"], "each has a user of its own"
            assert worker.hello["uid"] >= 2**12, "not root, nor anybody else"
    finally:
        again.close()


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_threads_are_counted_exactly(worker: Worker, threads: int) -> None:
    if worker.tier == "landlock" and os.getuid() != 0 and threads > 1:
        pytest.skip("our user has other processes")
    program = """
import threading
threading.stack_size(65536)
def f():
    end, started = threading.Event(), 1
    try:
        while started < 60:
            threading.Thread(target=end.wait, daemon=True).start()
            started += 1
    except RuntimeError:
        pass
    end.set()
    return started
"""
    result = ask(worker, Run(program, ((),), limits=Limits(threads=threads)))
    assert result.calls[0].value == threads, result


@pytest.mark.parametrize("tier", TIERS)
def test_workers_open_at_once_from_threads_that_then_end(tier: str) -> None:
    """As the pool does it; what the kernel ties to a parent it ties to the thread."""
    opened(tier).close()
    found: list[Worker] = []
    threads = [threading.Thread(target=lambda: found.append(open_worker(tier, Settings()))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    try:
        assert len(found) == 3
        time.sleep(0.2)
        assert [ask(there, ADD).calls[0].value for there in found] == [3, 3, 3]
    finally:
        for there in found:
            there.close()


@pytest.mark.parametrize("tier", ["bwrap", "landlock"])
def test_close_ends_a_program_that_runs(tier: str) -> None:
    there: Any = opened(tier)
    run = Run("import time\ndef f(): time.sleep(60)", ((),), limits=Limits(wall_seconds=60))
    there.send(memoryview(frames.run_frame(1, run, frames.encode_payload(run))))
    # the supervisor, its zygote and the program; under bwrap one more
    expected = 3 + (tier == "bwrap")
    everybody = _eventually(lambda: family(there._process.pid), lambda pids: len(pids) >= expected)
    there.close()
    assert not _eventually(lambda: [pid for pid in everybody if alive(pid)], lambda left: not left)


@pytest.mark.parametrize("tier", ["bwrap", "landlock"])
@pytest.mark.parametrize("victim", ["owner", "supervisor"])
def test_nothing_outlives_its_owner_or_its_supervisor(tier: str, victim: str) -> None:
    opened(tier).close()
    script = f"""
import sys
from gasp_env.sandbox import Limits, Run
from tests.sandbox.opened import ask, opened
worker = opened({tier!r})
print(worker._process.pid, flush=True)
ask(worker, Run("import time\\ndef f(): time.sleep(60)", ((),), limits=Limits(wall_seconds=60)))
"""
    owner = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    try:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        expected = 3 + (tier == "bwrap")
        everybody = _eventually(lambda: family(pid), lambda pids: len(pids) >= expected)
        inner = everybody[1] if tier == "bwrap" else pid  # bubblewrap itself only waits
        os.kill(owner.pid if victim == "owner" else inner, signal.SIGKILL)
        assert not _eventually(lambda: [pid for pid in everybody if alive(pid)], lambda left: not left)
    finally:
        owner.kill()
        owner.wait()
        if owner.stdout is not None:
            owner.stdout.close()


def _eventually(look: Callable[[], list[int]], enough: Callable[[list[int]], bool]) -> list[int]:
    deadline = time.monotonic() + 20
    while not enough(seen := look()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return seen


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="becomes an ordinary user")
@pytest.mark.parametrize("tier", ["bwrap", "landlock"])
def test_an_ordinary_user_can(tier: str) -> None:
    opened(tier).close()
    user = 12345
    python = interpreters.find(user)
    if python.version.split(".")[:2] != [str(part) for part in sys.version_info[:2]]:
        pytest.skip("the interpreter that others can use is another version than that of our packages")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        root = Path(process.__file__).parents[3]
        for package in ("gasp_env", "sandbox_image", "tests"):
            subprocess.run(["cp", "-r", str(root / package), folder], check=True)
        script = f"""
from gasp_env.sandbox import Run
from gasp_env.sandbox.tiers.worker import Settings
from gasp_env.sandbox.tiers import open_worker
from tests.sandbox.opened import ask
worker = open_worker({tier!r}, Settings())
print(worker.hello["uid"], ask(worker, Run("def f(): return 42", ((),))).calls[0].value)
worker.close()
"""
        done = subprocess.run(
            [python.executable, "-c", script],
            env={"PATH": "/usr/bin:/bin", "PYTHONPATH": f"{folder}:{sysconfig.get_path('purelib')}"},
            cwd="/",
            user=user,
            group=user,
            extra_groups=(),
            capture_output=True,
            text=True,
            check=False,
        )
    if "ModuleNotFoundError" in done.stderr:
        pytest.skip("our packages are where others cannot read them")
    assert done.stdout.split() == [str(user), "42"], done.stderr


def test_unsafe_asks_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    for flag, variable in ((False, None), (True, None), (False, "1"), (True, "yes"), (True, "0")):
        monkeypatch.delenv(CONSENT_VARIABLE, raising=False)
        if variable is not None:
            monkeypatch.setenv(CONSENT_VARIABLE, variable)
        with pytest.raises(SandboxError, match="not a sandbox.*allow_unsafe=True.*GASP_ENV_ALLOW_UNSAFE=1"):
            open_worker("unsafe-subprocess", Settings(allow_unsafe=flag))
    monkeypatch.setenv(CONSENT_VARIABLE, "1")
    there = open_worker("unsafe-subprocess", Settings(allow_unsafe=True))
    try:
        result = ask(there, ADD)
        assert (result.calls[0].value, result.tier) == (3, "unsafe-subprocess")
    finally:
        there.close()


def _refuse(why: str) -> Callable[[Settings], Worker]:
    def refuse(settings: Settings) -> Worker:
        raise SandboxError(why)

    return refuse


def test_auto_goes_down_the_list_and_never_to_unsafe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONSENT_VARIABLE, "1")
    for name in AUTO:
        monkeypatch.setitem(tiers.TIERS, name, _refuse(f"install {name}"))
    with pytest.raises(
        SandboxError, match="docker: install docker\n.*bwrap: install bwrap\n.*landlock: install landlock"
    ):
        open_worker("auto", Settings(allow_unsafe=True))
    with pytest.raises(ValueError, match="tier must be auto or one of docker, bwrap"):
        open_worker("nsjail", Settings())


class _Leaky:
    """A worker that is well, but lets programs do one thing too many."""

    tier = "docker"
    promises = docker.DockerWorker.promises
    hello: dict[str, Any] = {"landlock": 0}
    closed = False

    def close(self) -> None:
        self.closed = True


def test_a_tier_that_breaks_its_promise_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    leaky = _Leaky()
    monkeypatch.setitem(tiers.TIERS, "docker", lambda settings: leaky)
    for name in AUTO[1:]:
        monkeypatch.setitem(tiers.TIERS, name, _refuse("absent"))
    breaches: dict[str, list[str]] = {name: [] for name in PROTECTIONS} | {
        "network": ["a socket of family AF_INET"]
    }
    monkeypatch.setattr(tiers.selftest, "find_breaches", lambda worker: breaches)
    with pytest.raises(
        SandboxError, match="docker.*network: a socket of family AF_INET.*Nothing is executed"
    ):
        open_worker("auto", Settings())
    assert leaky.closed


# --- what goes wrong, and what one is told


def _bwrap_that_says(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text(f"#!/bin/sh\necho '{text}' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("bwrap: setting up uid map: Permission denied", "apparmor_restrict_unprivileged_userns"),
        (
            "bwrap: loopback: Failed RTM_NEWADDR: Operation not permitted",
            "apparmor_restrict_unprivileged_userns",
        ),
        ("bwrap: No permissions to create new namespace, likely because", "unprivileged_userns_clone"),
        ("bwrap: Unknown option --as-pid-1", "install bubblewrap"),
        ("bwrap: execvp: something else", "something else"),
    ],
)
def test_bwrap_that_fails_names_the_fix(
    said: str, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bwrap_that_says(said, tmp_path, monkeypatch)
    monkeypatch.setattr(BwrapWorker, "_command", lambda self, interpreter, user: [str(tmp_path / "bwrap")])
    with pytest.raises(SandboxError, match=told) as error:
        open_worker("bwrap", Settings())
    assert said in str(error.value)


def test_no_bwrap_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(SandboxError, match="apt-get install bubblewrap"):
        open_worker("bwrap", Settings())


def test_a_kernel_without_landlock_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its supervisor says so; here one is put in its place that does."""
    monkeypatch.setattr(
        LandlockWorker,
        "_command",
        lambda self, interpreter, user: [
            "/bin/sh", "-c", "echo supervisor: this kernel has no Landlock >&2; exit 1",
        ],
    )  # fmt: skip
    with pytest.raises(
        SandboxError, match="the tier landlock does not work here.*this kernel has no Landlock"
    ):
        open_worker("landlock", Settings())


def test_no_interpreter_for_others_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "_found", {})
    monkeypatch.setattr(interpreters, "_candidates", lambda: ["/nonexistent/python3"])
    with pytest.raises(SandboxError, match="no Python 3.11 or later.*apt-get install python3"):
        open_worker("landlock", Settings())


def test_an_old_interpreter_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interpreters, "_found", {})
    monkeypatch.setattr(interpreters, "_candidates", lambda: ["/opt/python3.10"])
    monkeypatch.setattr(interpreters, "_describe", lambda executable, user: {"version": [3, 10, 13]})
    with pytest.raises(SandboxError, match=r"\(/opt/python3.10: Python 3.10.13\)"):
        interpreters.find()


@pytest.mark.parametrize(
    ("error", "runtime", "told"),
    [
        (ImageNotFound("404 Client Error: no such image: x:1"), None, "docker pull x:1"),
        (APIError("mkdir /var/lib/docker/overlay2: no space left on device"), None, "docker system prune"),
        (APIError("Unknown runtime specified runsc"), "runsc", "daemon.json"),
        (
            APIError("seccomp is not enabled in your kernel, cannot run a custom seccomp profile"),
            None,
            "libseccomp",
        ),
        (APIError("something else"), None, "something else"),
    ],
)
def test_docker_that_refuses_names_the_fix(error: Exception, runtime: str | None, told: str) -> None:
    assert told in docker._explain(error, "x:1", runtime)


def _client(**answers: Any) -> Any:
    return SimpleNamespace(
        close=lambda: None, **{name: lambda said=said: said for name, said in answers.items()}
    )


def test_an_old_daemon_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    old = _client(version={"Version": "19.03.15", "ApiVersion": "1.40"})
    monkeypatch.setattr(docker.docker, "from_env", lambda **options: old)
    with pytest.raises(
        SandboxError, match=r"too old \(19.03.15, API 1.40\): install Docker Engine 20.10 or later"
    ):
        open_worker("docker", Settings())


def test_a_daemon_that_cannot_filter_system_calls_is_refused() -> None:
    with pytest.raises(SandboxError, match="cannot filter system calls"):
        docker._user_ids({"SecurityOptions": ["name=apparmor"]})
    assert docker._user_ids({"SecurityOptions": ["name=seccomp,profile=default"]}) == docker.USER_IDS
    rootless = docker._user_ids({"SecurityOptions": ["name=seccomp", "name=rootless"]})
    assert rootless.stop <= 2**16


# --- the system call filter of the container


def test_the_profile_allows_nothing_that_it_says_it_denies() -> None:
    always = {
        name
        for rule in json.loads(seccomp.profile())["syscalls"]
        if rule["action"] == "SCMP_ACT_ALLOW" and "args" not in rule
        for name in rule["names"]
    }
    assert {"read", "futex", "execve"} <= always <= seccomp.allowed()
    assert not always & set(seccomp.DENIED)
    assert len(set(seccomp.DENIED)) == len(seccomp.DENIED) > 100
    for name in seccomp.DENIED:
        confine.number(name)  # known, so that a test can try it


def test_a_call_can_be_let_through_again() -> None:
    plain = json.loads(seccomp.profile())
    assert plain["defaultAction"] == "SCMP_ACT_ERRNO"
    assert all("comment" not in rule for rule in plain["syscalls"])
    for name in ("ptrace", "clone3", "socketpair"):
        rules = [
            rule
            for rule in json.loads(seccomp.profile(frozenset({name})))["syscalls"]
            if name in rule["names"]
        ]
        assert rules == [{"names": [name], "action": "SCMP_ACT_ALLOW"}]


_FORKS_WHILE_OPENING = """
import os, sys, time
from gasp_env.sandbox import Run, Sandbox
sandbox = Sandbox("landlock", workers=4)
sandbox.run_many([Run("def f(): return 1", ((),))])  # returns with the first worker; others are being opened
child = os.fork()
if child == 0:
    time.sleep(120)
    os._exit(0)
print(child, flush=True)
time.sleep(120)
"""


def test_a_forked_child_keeps_no_worker_alive_that_was_being_opened() -> None:
    opened("landlock").close()
    owner = subprocess.Popen([sys.executable, "-c", _FORKS_WHILE_OPENING], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    child = int(owner.stdout.readline())
    try:
        workers = set(family(owner.pid)) - {owner.pid, child}
        assert workers
        owner.kill()
        owner.wait()
        deadline = time.monotonic() + 30
        while left := [pid for pid in workers if alive(pid)]:
            assert time.monotonic() < deadline, left
            time.sleep(0.1)
    finally:
        os.kill(child, signal.SIGKILL)
        owner.stdout.close()


def test_only_docker_takes_an_image() -> None:
    for tier in ("bwrap", "landlock"):
        with pytest.raises(ValueError, match="only the tier docker takes an image"):
            Sandbox(tier, image="python:3.11-slim")
