"""Take one denial out of a filter, and the kernel must answer otherwise: each is needed and each is tested.

Of the container's profile and of the two filters of our own, every named denial is let through again,
alone, and the call is made where nothing else of ours is in front of it. Where it is answered as before,
another layer holds it, which must be in the tables here.
"""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import docker
import pytest
import requests

from gasp_env.sandbox import SandboxError
from gasp_env.sandbox.tiers import image, interpreters, process, seccomp
from gasp_env.sandbox.tiers.docker import connect, container_options
from sandbox_image.worker import confine
from tests.conftest import skip_without

#: Calls that the kernel refuses without this capability, before it looks at anything else. Workers have no
#: capabilities, in any tier.
NEEDS_CAPABILITY = {
    "acct": "CAP_SYS_PACCT",
    "fsmount": "CAP_SYS_ADMIN",
    "fsopen": "CAP_SYS_ADMIN",
    "fspick": "CAP_SYS_ADMIN",
    "move_mount": "CAP_SYS_ADMIN",
    "pivot_root": "CAP_SYS_ADMIN",
    "reboot": "CAP_SYS_BOOT",
    "setdomainname": "CAP_SYS_ADMIN",
    "sethostname": "CAP_SYS_ADMIN",
    "swapoff": "CAP_SYS_ADMIN",
    "swapon": "CAP_SYS_ADMIN",
    "vhangup": "CAP_SYS_TTY_CONFIG",
}
#: Calls that another layer may answer for, which depends on the machine: the kernel's settings, or a container
#: runtime older than the call, whose profile cannot name it, so that it stays denied with ENOSYS.
DEPENDS = {
    "bpf": "kernel.unprivileged_bpf_disabled, on kernels that ask it first",
    "delete_module": "CAP_SYS_MODULE, on kernels with modules",
    "fanotify_init": "CAP_SYS_ADMIN, on kernels before 5.13",
    "finit_module": "CAP_SYS_MODULE, on kernels with modules",
    "init_module": "CAP_SYS_MODULE, on kernels with modules",
    "io_uring_setup": "kernel.io_uring_disabled",
    "ioperm": "CAP_SYS_RAWIO, on kernels with port access",
    "iopl": "CAP_SYS_RAWIO, on kernels with port access",
    "kexec_file_load": "CAP_SYS_BOOT, on kernels with kexec",
    "kexec_load": "CAP_SYS_BOOT, on kernels with kexec",
    "listmount": "the container runtime does not know it",
    "lookup_dcookie": "CAP_SYS_ADMIN, on kernels that have it",
    "open_by_handle_at": "CAP_DAC_READ_SEARCH, on kernels that ask it first",
    "open_tree_attr": "the container runtime does not know it",
    "perf_event_open": "kernel.perf_event_paranoid, where the distribution asks it first",
    "removexattrat": "the container runtime does not know it",
    "setxattrat": "the container runtime does not know it",
    "statmount": "the container runtime does not know it",
    "syslog": "kernel.dmesg_restrict",
}

PROBES = Path(__file__).with_name("probes.py").read_text("utf-8")


def _have(names: tuple[str, ...]) -> list[str]:
    """The names that this machine's architecture has a number for."""
    return [name for name in names if confine.number(name) is not None]


def _judge(name: str, real: int, mutated: int) -> None:
    """Check that two answers are those of the tables."""
    assert real in (errno.EPERM, errno.ENOSYS), "the filter does not deny it at all"
    if name in NEEDS_CAPABILITY:
        assert mutated in (real, errno.ENOSYS), "not held by a capability any more: take it off the table"
    elif name not in DEPENDS:
        assert mutated != real, "the same answer without the denial: which layer gives it?"


def test_the_tables_hold_nothing_stale() -> None:
    denied = {*seccomp.DENIED, *confine.DENIED_BY_ZYGOTE, *confine.DENIED_BY_CHILD}
    assert not NEEDS_CAPABILITY.keys() & DEPENDS.keys()
    assert NEEDS_CAPABILITY.keys() | DEPENDS.keys() <= denied


# Our own filters.

FILTERS = {"zygote": _have(confine.DENIED_BY_ZYGOTE), "child": _have(confine.DENIED_BY_CHILD)}


@pytest.fixture(scope="module")
def filtered() -> dict[str, dict[str, tuple[int, int]]]:
    """Of each filter, the answers with it as it is and with one denial less."""
    interpreter = interpreters.find(process.choose_user_id())
    environment = interpreters.environment(interpreter.folder or str(Path(__file__).parents[2]))
    answers = {}
    for which, names in FILTERS.items():
        command = [interpreter.executable, "-P", "-c", PROBES, which, *names]
        done = subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        answers[which] = json.loads(done.stdout)
    return answers


@pytest.mark.skipif(sys.platform != "linux", reason="seccomp is Linux's")
@pytest.mark.parametrize(("which", "name"), [(which, name) for which in FILTERS for name in FILTERS[which]])
def test_every_denial_of_our_filters_is_needed(
    which: str, name: str, filtered: dict[str, dict[str, tuple[int, int]]]
) -> None:
    _judge(name, *filtered[which][name])


# The container's profile.

Answers = dict[str, list[int]]


class Containers:
    """Containers with a profile each, whose only process makes calls."""

    def __init__(self, client: docker.DockerClient) -> None:
        self._client = client
        self._image = image.ensure(client)
        names = _have(seccomp.DENIED)
        self.real = self.answers(frozenset(), names)
        # Two at once: the daemon takes most of the time.
        self._pool = ThreadPoolExecutor(2)
        self.mutated: dict[str, Future[Answers]] = {
            name: self._pool.submit(self.answers, frozenset({name}), [name]) for name in names
        }

    def answers(self, allow: frozenset[str], names: list[str]) -> Answers:
        """The kernel's answers to these calls under the profile that allows ``allow``.

        A loaded daemon was once silent for a minute on starting one of these containers, which end at once. That says
        nothing about the profile, so it is asked again.
        """
        for _ in range(2):
            try:
                return self._asked(allow, names)
            except requests.Timeout:
                continue
        return self._asked(allow, names)

    def _asked(self, allow: frozenset[str], names: list[str]) -> Answers:
        options = container_options() | {
            "security_opt": ["no-new-privileges", f"seccomp={seccomp.profile(allow)}"],
            "entrypoint": ["python3", "-P", "-c", PROBES, "container", *names],
            "stdin_open": False,
            "auto_remove": False,
            "log_config": docker.types.LogConfig(type="json-file"),
        }
        container = self._client.containers.create(self._image, [], **options)
        try:
            container.start()
            status = container.wait()["StatusCode"]
            said = container.logs(stdout=True, stderr=status != 0).decode()
            assert status == 0, said
            answers: Answers = json.loads(said)
            return answers
        finally:
            container.remove(force=True)

    def close(self) -> None:
        """Take back what was not needed."""
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def containers() -> Iterator[Containers]:
    """At work on all denials."""
    try:
        client = connect()
    except SandboxError as error:
        skip_without("Docker", error)
        raise
    opened = Containers(client)
    yield opened
    opened.close()
    client.close()


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.parametrize("name", _have(seccomp.DENIED))
def test_every_denial_of_the_profile_is_needed(name: str, containers: Containers) -> None:
    [mutated] = containers.mutated[name].result(timeout=300)[name]
    _judge(name, containers.real[name][0], mutated)
