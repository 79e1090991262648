"""The docker tier: one long-lived container that shares nothing with the host but its kernel.

The Docker SDK creates and removes the container; programs and results travel over the attach
socket to the container's standard streams. The socket is also a dead-man switch: when this
process goes, however it goes, the container's standard input closes and its PID 1 ends it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import select
import socket
import struct
import time
from typing import Any

import docker
from docker.errors import DockerException

from gasp_env.sandbox import build, leftovers
from gasp_env.sandbox.errors import SandboxError, WorkerLost
from gasp_env.sandbox.runs import HASH_SEEDS, Limits
from sandbox_image.worker import wire

_API_SECONDS = 60.0
_HELLO_SECONDS = 60.0
_STREAM_HEADER = struct.Struct(">BxxxI")  # Docker's: stream number, length
_STDOUT = 1
_MAX_DIAGNOSTICS = 8192

# Above what is handed out on any machine we know, below Docker's largest; and what fits where the
# daemon maps a container's 65536 user ids to others of the host.
_USER_IDS = range(2**16, 2**16 + 2**30)
_MAPPED_USER_IDS = range(2**12, 2**16 - 2)


def connect() -> docker.DockerClient:
    """A client for a daemon that answers.

    Raises:
        SandboxError: none does.
    """
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    client = None
    try:
        client = docker.from_env(timeout=_API_SECONDS)
        client.ping()
    except (DockerException, OSError) as error:
        if client is not None:
            client.close()
        raise SandboxError(
            f"Docker does not answer at {address} ({_first_line(error)}). On Debian or Ubuntu, as root: "
            "`make docker` installs and starts it; with Docker Desktop, start it; if it runs, is this user "
            "allowed to use it (group docker)?"
        ) from error
    return client


class DockerWorker:
    """A running container and the stream to its supervisor.

    Attributes:
        tier: ``"docker"``.
        hello: what the supervisor said of itself when it was ready.
        identity: hash of what decides a run's result: worker code, interpreter, machine.
    """

    tier = "docker"

    def __init__(self, workers: int, image: str | None = None) -> None:
        """Start a container and wait until its zygotes are ready.

        Args:
            workers: zygotes that serve the judging hash seed; every other seed has one.
            image: name of an image; by default the one `build.ensure` makes of this package.

        Raises:
            SandboxError: Docker does not answer, or the image cannot be had or does not work.
        """
        self._client = client = connect()
        image = image or build.ensure(client)
        self._frames = wire.Frames()
        self._buffer = bytearray()
        self._diagnostics = bytearray()
        leftovers.sweep(client)
        try:
            options = container_options(workers, user_ids=_user_ids(client))
            self._container = client.containers.create(image, ["{}"], **options)
            parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            self._stream = client.api.attach_socket(self._container.id, params=parameters)
            self._socket: socket.socket = getattr(self._stream, "_sock", self._stream)
            self._container.start()
        except (DockerException, OSError) as error:
            self.close()
            raise SandboxError(f"Docker could not start {image}: {_first_line(error)}") from error
        self._socket.setblocking(False)
        self.hello = self._await_hello()
        self.identity = hashlib.sha256(f"{image} {self.hello}".encode()).hexdigest()

    def fileno(self) -> int:
        """For polling."""
        return self._socket.fileno()

    def send(self, data: memoryview) -> int:
        """Write what the socket takes without waiting.

        Raises:
            WorkerLost: nobody reads any more.
        """
        try:
            return self._socket.send(data)
        except BlockingIOError:
            return 0
        except OSError as error:
            raise WorkerLost(f"{error}. {self.diagnostics()}") from error

    def receive(self) -> list[bytes]:
        """The frames that became complete, without waiting.

        Raises:
            WorkerLost: the container has ended, or what it sends makes no sense.
        """
        try:
            data = self._socket.recv(2**20)
        except BlockingIOError:
            return []
        except OSError as error:
            raise WorkerLost(f"{error}. {self.diagnostics()}") from error
        if not data:
            raise WorkerLost(f"the container ended. {self.diagnostics()}")
        self._buffer += data
        try:
            return [frame for part in self._split() for frame in self._frames.feed(part)]
        except ValueError as error:
            raise WorkerLost(f"{error}. {self.diagnostics()}") from error

    def diagnostics(self) -> str:
        """What the supervisor wrote to its standard error."""
        return self._diagnostics.decode("utf-8", "replace").strip()

    def close(self) -> None:
        """End and remove the container; errors are of no interest any more."""
        for attribute in ("_socket", "_stream"):
            with contextlib.suppress(AttributeError, OSError):
                getattr(self, attribute).close()
        with contextlib.suppress(AttributeError, DockerException, OSError):
            self._container.remove(force=True)
        self._client.close()

    def _split(self) -> list[bytes]:
        """Take Docker's multiplexing apart: standard output is returned, standard error kept."""
        parts, at = [], 0
        while len(self._buffer) - at >= _STREAM_HEADER.size:
            stream, length = _STREAM_HEADER.unpack_from(self._buffer, at)
            end = at + _STREAM_HEADER.size + length
            if end > len(self._buffer):
                break
            part = bytes(self._buffer[at + _STREAM_HEADER.size : end])
            if stream == _STDOUT:
                parts.append(part)
            else:
                self._diagnostics = (self._diagnostics + part)[-_MAX_DIAGNOSTICS:]
            at = end
        del self._buffer[:at]
        return parts

    def _await_hello(self) -> dict[str, Any]:
        deadline = time.monotonic() + _HELLO_SECONDS
        try:
            while time.monotonic() < deadline:
                select.select([self], [], [], 1.0)
                for frame in self.receive():
                    hello: dict[str, Any] = json.loads(frame[1:])
                    return hello
            raise WorkerLost(f"no answer within {_HELLO_SECONDS:g} s. {self.diagnostics()}")
        except WorkerLost as lost:
            self.close()
            raise SandboxError(
                f"the sandbox image does not work: {lost} "
                "Build it again with `python -m gasp_env.sandbox build --force`."
            ) from lost


def container_options(workers: int, *, user_ids: range = _USER_IDS) -> dict[str, Any]:
    """How the container is shut in; `sandbox_image/README.md` says what each is for."""
    memory = (workers + len(HASH_SEEDS)) * Limits().memory_bytes + 2**28
    # The kernel counts threads (RLIMIT_NPROC) by user, over all containers: with one id for all, a program
    # in one could use up what an honest program in another needs.
    user = secrets.choice(user_ids)
    return {
        "network_mode": "none",
        "read_only": True,
        "user": f"{user}:{user}",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "ipc_mode": "none",
        "pids_limit": 512,
        "mem_limit": memory,
        "memswap_limit": memory,
        "oom_score_adj": 500,
        # To the scheduler the container is one; by default all its programs together would get what
        # any other process on the machine gets alone.
        "cpu_shares": 1024 * workers,
        "ulimits": [docker.types.Ulimit(name="core", soft=0, hard=0)],
        "log_config": docker.types.LogConfig(type="none"),
        "hostname": "sandbox",
        "labels": leftovers.labels(),
        "auto_remove": True,
        "init": False,
        "stdin_open": True,
        "tty": False,
    }


def _user_ids(client: docker.DockerClient) -> range:
    """Ids a container's user can have with this daemon.

    A rootless daemon, or one with userns-remap, knows no more than 65536 of them. It also puts them in user
    namespaces of their own.
    """
    mapped = {"name=rootless", "name=userns"}
    said = client.info().get("SecurityOptions") or []
    return _MAPPED_USER_IDS if mapped & set(said) else _USER_IDS


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
