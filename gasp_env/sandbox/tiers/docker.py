"""The docker tier: a long-lived container that shares only the kernel with the host.

The Docker SDK creates and removes the container. Programs and results travel over a Unix socket
where the daemon is on this machine, else over the container's standard streams. Either is also
a dead-man switch: when this process ends, however it ends, the stream closes and PID 1 ends the container.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import select
import socket
import struct
import time
from typing import Any

import docker
from docker.errors import DockerException, ImageNotFound

from gasp_env.sandbox.errors import SandboxError, WorkerLost
from gasp_env.sandbox.tiers import image, orphans, seccomp, unix_socket
from gasp_env.sandbox.tiers.protections import PROTECTIONS
from gasp_env.sandbox.tiers.stream_worker import StreamWorker
from gasp_env.sandbox.tiers.unix_socket import UnixSocket
from gasp_env.sandbox.tiers.worker import USER_IDS, Settings
from sandbox_image.worker import wire

_API_SECONDS = 60.0
#: Time for a started container to connect; it takes tenths of a second.
_CONNECT_SECONDS = 30.0
#: Addresses of daemons whose containers cannot reach a socket of ours, and use the standard streams.
_STREAMS_ONLY: set[str] = set()
_STREAM_HEADER = struct.Struct(">BxxxI")  # Docker's: stream number, length
_STDOUT = 1
_QUEUES = "/dev/mqueue"

#: Version of the Engine's API (20.10), the oldest that knows all options we use.
OLDEST_API = (1, 41)
#: Runtimes that bring a kernel of their own.
OWN_KERNEL_RUNTIMES = ("runsc", "kata", "kata-runtime")

#: Memory of all processes of a container. A run is bounded by its own `Limits.memory_bytes`, which
#: the kernel enforces exactly. This second bound covers memory that the first does not count (pipes, page
#: tables), so it leaves room for runs far above the default. A run that is allowed more than this
#: and takes it is killed here, and ends as ``memory_limit`` all the same.
MEMORY_BYTES = 4 * 2**30 + 2**29
#: Processes and threads of a container: at most 9 are the worker's, the others are a run's threads, whose number
#: is enforced exactly.
PROCESSES = 512

_MAPPED_USER_IDS = range(2**12, 2**16 - 2)


def connect() -> docker.DockerClient:
    """Return a client of a daemon that answers and is new enough.

    Raises:
        SandboxError: there is no such daemon; the message names the fix.
    """
    address = _address()
    client = None
    try:
        client = docker.from_env(timeout=_API_SECONDS)
        version = client.version()
    except (DockerException, OSError) as error:
        if client is not None:
            client.close()
        raise SandboxError(
            f"Docker does not answer at {address} ({_first_line(error)}). On Debian or Ubuntu, as root: "
            "`make docker` installs and starts it; with Docker Desktop, start it; if it runs, is this user "
            "allowed to use it (group docker)?"
        ) from error
    if tuple(map(int, str(version["ApiVersion"]).split("."))) < OLDEST_API:
        client.close()
        raise SandboxError(
            f"the Docker daemon at {address} is too old ({version.get('Version')}, API {version['ApiVersion']}): "
            "install Docker Engine 20.10 or later"
        )
    return client


class DockerWorker(StreamWorker):
    """A running container and the stream to its supervisor.

    Attributes:
        runtime: OCI runtime of the tier, unless `Settings.runtime` names another; None for the daemon's default.
    """

    tier = "docker"
    summary = "a container: shared kernel"
    promises = frozenset(PROTECTIONS) - {"reading"}
    walls = frozenset({"own processes", "own network", "memory cap"})
    fixes = {
        "numpy": "build the image where pip reaches a registry, or on a base that has numpy "
        "(`python -m gasp_env.sandbox build --force [--base IMAGE]`)"
    }
    accepts = frozenset({"image", "runtime"})
    runtime: str | None = None

    def __init__(self, settings: Settings) -> None:
        """Start a container and wait until its first zygote is ready.

        Raises:
            SandboxError: Docker does not answer, or the image cannot be had or does not work.
        """
        super().__init__(settings)
        self.runtime = settings.runtime or self.runtime
        self._client = client = connect()
        self._buffer = bytearray()
        self._streams: socket.socket | None = (
            None  # the container's own streams, if frames go through a socket
        )
        name = settings.image
        try:
            name = name or image.ensure(client)
            orphans.sweep(client)
            info = client.info()
            self._describe(info)
            options = container_options(user_ids=_user_ids(info), runtime=self.runtime)
            self._start(name, options)
        except (DockerException, OSError) as error:
            self.close()
            raise SandboxError(_explain(error, str(name), self.runtime)) from error
        except WorkerLost as lost:
            self.close()
            raise SandboxError(
                f"the sandbox image does not work: {lost} "
                "Build it again with `python -m gasp_env.sandbox build --force`."
            ) from lost
        except BaseException:
            self.close()
            raise
        self._identify(str(self._container.attrs["Image"]))

    def _describe(self, info: dict[str, Any]) -> None:
        """Correct the tier's facts to this daemon and this runtime.

        Args:
            info: the daemon's description of itself.
        """
        if not info.get("MemoryLimit"):
            self.walls = self.walls - {"memory cap"}
        if self.runtime in OWN_KERNEL_RUNTIMES:
            self.walls = self.walls | {"own kernel"}
        if self.runtime:
            fix = f"none if the kernel that {self.runtime} brings has no Landlock; in there is only the image"
            self.fixes = {**self.fixes, "reading": fix}

    def _start(self, name: str, options: dict[str, Any]) -> None:
        """Start a container, with a Unix socket if its daemon supports that."""
        address = _address()
        if unix_socket.is_usable(address) and address not in _STREAMS_ONLY:
            with contextlib.suppress(DockerException, WorkerLost, OSError):
                listener = UnixSocket()
                try:
                    return self._start_container(name, options, listener)
                finally:
                    listener.close()
            self._remove()
            self._start_container(name, options, None)
            _STREAMS_ONLY.add(address)  # the daemon is on another machine, or may not see our files
        else:
            self._start_container(name, options, None)

    def _start_container(self, name: str, options: dict[str, Any], listener: UnixSocket | None) -> None:
        """Start a container and wait for its supervisor's first message.

        Raises:
            DockerException, OSError: the daemon refused.
            WorkerLost: the container ended, or could not connect.
        """
        mounts = [listener.mount] if listener else []
        container = self._container = self._client.containers.create(
            name, [worker_options(through_socket=listener is not None)], mounts=mounts, **options
        )
        places = [mount["Destination"] for mount in container.attrs.get("Mounts", ())]
        foreign = [place for place in places if place not in (unix_socket.INSIDE, _QUEUES)]
        if foreign:
            raise SandboxError(
                f"the image {name} declares volumes ({', '.join(foreign)}), which are writable"
            )
        parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        self._attached = self._client.api.attach_socket(container.id, params=parameters)
        streams: socket.socket = getattr(self._attached, "_sock", self._attached)
        container.start()
        self._frames, self._buffer = wire.Frames(), bytearray()
        if listener is None:
            self._socket, self._streams = streams, None
        else:
            self._streams = streams
            self._socket = self._accept(listener, streams)
        self._socket.setblocking(False)
        self._await_hello()

    def _accept(self, listener: UnixSocket, streams: socket.socket) -> socket.socket:
        """Accept the container's connection, unless the container ends first."""
        streams.setblocking(False)
        deadline = time.monotonic() + _CONNECT_SECONDS
        while time.monotonic() < deadline:
            ready = select.select([listener.fileno(), streams.fileno()], [], [], 1.0)[0]
            if listener.fileno() in ready:
                return listener.accept(1.0)
            if streams.fileno() in ready and not self._read_streams():
                break
        raise WorkerLost(f"it did not connect. {self.diagnostics()}")

    def diagnostics(self) -> str:
        """Return the end of the supervisor's standard error."""
        if self._streams is not None:
            self._read_streams()
        return super().diagnostics()

    def _read_streams(self) -> bool:
        """Read the container's own streams, which carry no frames; False if they are closed."""
        assert self._streams is not None
        try:
            while data := self._streams.recv(2**16):
                self._demultiplex(data)
            return False
        except BlockingIOError:
            return True
        except OSError:
            return False

    def close(self) -> None:
        """End and remove the container. Errors are ignored."""
        super().close()
        self._remove()
        self._client.close()

    def _open_streams(self) -> list[Any]:
        streams = getattr(self, "_streams", None)
        return [*super()._open_streams(), *([streams] if streams is not None else [])]

    def _remove(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            getattr(
                self._attached, "_sock", self._attached
            ).close()  # closing the wrapper would leave it open
            self._attached.close()
        with contextlib.suppress(AttributeError, DockerException, OSError):
            self._container.remove(force=True)

    def _split_frames(self, data: bytes) -> list[bytes]:
        """Return the frames that these bytes complete."""
        return super()._split_frames(data if self._streams is not None else self._demultiplex(data))

    def _demultiplex(self, data: bytes) -> bytes:
        """Split Docker's multiplexed stream: return standard output, keep standard error as diagnostics."""
        self._buffer += data
        out, at = [], 0
        while len(self._buffer) - at >= _STREAM_HEADER.size:
            stream, length = _STREAM_HEADER.unpack_from(self._buffer, at)
            end = at + _STREAM_HEADER.size + length
            if end > len(self._buffer):
                break
            part = bytes(self._buffer[at + _STREAM_HEADER.size : end])
            if stream == _STDOUT:
                out.append(part)
            else:
                self._keep_diagnostics(part)
            at = end
        del self._buffer[:at]
        return b"".join(out)


def worker_options(*, through_socket: bool = False) -> str:
    """Return the supervisor's options: a user id of its own, and Landlock where the kernel has it."""
    address = {"socket": f"{unix_socket.INSIDE}/{unix_socket.NAME}"} if through_socket else {}
    return json.dumps({"landlock": "try", "own_user": True} | address)


def container_options(*, user_ids: range = USER_IDS, runtime: str | None = None) -> dict[str, Any]:
    """Return the options that isolate a container; `sandbox_image/README.md` gives the reason for each."""
    # The kernel counts threads (RLIMIT_NPROC) by user, over all containers. If all had one id, a program
    # in one container could use up the threads of a program in another.
    user = secrets.choice(user_ids)
    return {
        "network_mode": "none",
        "read_only": True,
        "user": f"{user}:{user}",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges", f"seccomp={seccomp.profile()}"],
        "ipc_mode": "none",
        # Docker mounts it writable, even if the root is read-only.
        "tmpfs": {_QUEUES: "ro,size=4k,mode=555"},
        "pids_limit": PROCESSES,
        "mem_limit": MEMORY_BYTES,
        "memswap_limit": MEMORY_BYTES,
        "oom_score_adj": 500,
        "ulimits": [docker.types.Ulimit(name="core", soft=0, hard=0)],
        "log_config": docker.types.LogConfig(type="none"),
        "hostname": "sandbox",
        "labels": orphans.labels(),
        "auto_remove": True,
        "init": False,
        "stdin_open": True,
        "tty": False,
        # Additions of an image or of the user's own Docker settings.
        "healthcheck": {"test": ["NONE"]},
        "use_config_proxy": False,
        **({"runtime": runtime} if runtime else {}),
    }


def _user_ids(info: dict[str, Any]) -> range:
    """Return the user ids that a container can have with this daemon.

    A rootless daemon, or one with userns-remap, knows no more than 65536 of them, and puts its containers in user
    namespaces of their own.

    Args:
        info: the daemon's description of itself.

    Raises:
        SandboxError: this daemon cannot filter system calls.
    """
    options = set(info.get("SecurityOptions") or [])
    if not any(option.startswith("name=seccomp") for option in options):
        raise SandboxError(
            "this Docker daemon cannot filter system calls: it needs a kernel with CONFIG_SECCOMP_FILTER, and "
            "a daemon and a runtime built with libseccomp (the packages of Docker and of all distributions are)"
        )
    return _MAPPED_USER_IDS if {"name=rootless", "name=userns"} & options else USER_IDS


def _explain(error: Exception, name: str, runtime: str | None) -> str:
    """Describe a failure to start a container, and its fix."""
    message = _first_line(error)
    if isinstance(error, ImageNotFound):
        fix = (
            f"no such image. `docker pull {name}` or `docker load` may bring it; without a name ours is built"
        )
    elif "no space left" in message:
        fix = "the disk with Docker's files is full: `docker system df` shows them, `docker system prune` makes room"
    elif runtime and "runtime" in message.lower() and "unknown" in message.lower():
        fix = f"install the runtime {runtime} and name it in the daemon's configuration (/etc/docker/daemon.json)"
    elif "seccomp" in message:
        fix = (
            "its runtime refuses our system call filter: install Docker Engine 20.10 or later, "
            "with runc 1.0 and libseccomp 2.5 or later"
        )
    else:
        fix = ""
    return f"Docker could not start {name}: {message}{f'. What to do: {fix}' if fix else ''}"


def _address() -> str:
    return os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
