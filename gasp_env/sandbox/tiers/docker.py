"""The docker tier: a long-lived container that shares nothing with the host but its kernel.

The Docker SDK creates and removes the container; programs and results travel over a Unix socket of
ours where the daemon is on this machine, else over the container's standard streams. Either is also
a dead-man switch: when this process goes, however it goes, it closes and PID 1 ends the container.
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
from typing import TYPE_CHECKING, Any

import docker
from docker.errors import DockerException, ImageNotFound

from gasp_env.sandbox.errors import SandboxError, WorkerLost
from gasp_env.sandbox.tiers import image as build
from gasp_env.sandbox.tiers import orphans, seccomp, unix_socket
from gasp_env.sandbox.tiers.stream_worker import StreamWorker
from gasp_env.sandbox.tiers.worker import USER_IDS
from sandbox_image.worker import wire

if TYPE_CHECKING:
    from gasp_env.sandbox.tiers.worker import Settings

_API_SECONDS = 60.0
#: In which a started container must have connected; it takes tenths of a second.
_DOORWAY_SECONDS = 30.0
#: Daemons whose containers cannot reach a socket of ours.
_WITHOUT_DOORWAY: set[str] = set()
_STREAM_HEADER = struct.Struct(">BxxxI")  # Docker's: stream number, length
_STDOUT = 1
_QUEUES = "/dev/mqueue"

#: The Engine's API since 20.10, the oldest that can be asked for what we ask for.
OLDEST_API = (1, 41)

#: What a container's processes may hold together. A run is bounded by its own `Limits.memory_bytes`, which
#: the kernel enforces exactly; this is the wall behind it, for what that bound does not see (pipes, page
#: tables), and so it leaves room for runs of far more than the default. A run that is allowed more than this
#: and takes it is killed here, and ends as ``memory_limit`` all the same.
MEMORY_BYTES = 4 * 2**30 + 2**29
#: Processes and threads: at most 9 are ours, the others are a run's threads, which it is held to exactly.
PROCESSES = 512

_MAPPED_USER_IDS = range(2**12, 2**16 - 2)


def connect() -> docker.DockerClient:
    """A client for a daemon that answers and is new enough.

    Raises:
        SandboxError: there is none.
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
    """A running container and the stream to its supervisor."""

    tier = "docker"

    def __init__(self, settings: Settings) -> None:
        """Start a container and wait until its first zygote is ready.

        Raises:
            SandboxError: Docker does not answer, or the image cannot be had or does not work.
        """
        super().__init__()
        self._client = client = connect()
        self._buffer = bytearray()
        self._streams: socket.socket | None = None  # the container's own, where frames have another way
        image = settings.image
        try:
            image = image or build.ensure(client)
            orphans.sweep(client)
            options = container_options(user_ids=_user_ids(client), runtime=settings.runtime)
            self._start(image, options)
        except (DockerException, OSError) as error:
            self.close()
            raise SandboxError(_explain(error, str(image), settings.runtime)) from error
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

    def _start(self, image: str, options: dict[str, Any]) -> None:
        """Start a container, with a socket of ours if its daemon can have one."""
        address = _address()
        if unix_socket.usable(address) and address not in _WITHOUT_DOORWAY:
            with contextlib.suppress(DockerException, WorkerLost, OSError):
                door = unix_socket.UnixSocket()
                try:
                    return self._start_container(image, options, door)
                finally:
                    door.close()
            self._remove()
            self._start_container(image, options, None)
            _WITHOUT_DOORWAY.add(address)  # it is on another machine, or may not see our files
        else:
            self._start_container(image, options, None)

    def _start_container(
        self, image: str, options: dict[str, Any], door: unix_socket.UnixSocket | None
    ) -> None:
        """Start a container and wait for the first words of its supervisor.

        Raises:
            DockerException, OSError: the daemon refused.
            WorkerLost: the container ended, or could not reach us.
        """
        mounts = [door.mount] if door else []
        container = self._container = self._client.containers.create(
            image, [worker_options(through_doorway=door is not None)], mounts=mounts, **options
        )
        places = [mount["Destination"] for mount in container.attrs.get("Mounts", ())]
        foreign = [place for place in places if place not in (unix_socket.INSIDE, _QUEUES)]
        if foreign:
            raise SandboxError(
                f"the image {image} declares volumes ({', '.join(foreign)}), which are writable"
            )
        parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
        self._attached = self._client.api.attach_socket(container.id, params=parameters)
        streams: socket.socket = getattr(self._attached, "_sock", self._attached)
        container.start()
        self._frames, self._buffer = wire.Frames(), bytearray()
        if door is None:
            self._socket, self._streams = streams, None
        else:
            self._streams = streams
            self._socket = self._enter(door, streams)
        self._socket.setblocking(False)
        self._await_hello()

    def _enter(self, door: unix_socket.UnixSocket, streams: socket.socket) -> socket.socket:
        """The container's connection, unless it ends before it makes one."""
        streams.setblocking(False)
        deadline = time.monotonic() + _DOORWAY_SECONDS
        while time.monotonic() < deadline:
            ready = select.select([door.fileno(), streams.fileno()], [], [], 1.0)[0]
            if door.fileno() in ready:
                return door.accept(1.0)
            if streams.fileno() in ready and not self._read_streams():
                break
        raise WorkerLost(f"it did not connect. {self.diagnostics()}")

    def diagnostics(self) -> str:
        """The end of what the supervisor wrote to its standard error."""
        if self._streams is not None:
            self._read_streams()
        return super().diagnostics()

    def _read_streams(self) -> bool:
        """Take what the container wrote to its own streams beside the frames; False if they are closed."""
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
        """End and remove the container; errors are of no interest any more."""
        super().close()
        self._remove()
        self._client.close()

    def _open(self) -> list[Any]:
        streams = getattr(self, "_streams", None)
        return [*super()._open(), *([streams] if streams is not None else [])]

    def _remove(self) -> None:
        with contextlib.suppress(AttributeError, OSError):
            getattr(self._attached, "_sock", self._attached).close()  # what is around it would leave it open
            self._attached.close()
        with contextlib.suppress(AttributeError, DockerException, OSError):
            self._container.remove(force=True)

    def _cut(self, data: bytes) -> list[bytes]:
        """The frames that these bytes complete."""
        return super()._cut(data if self._streams is not None else self._demultiplex(data))

    def _demultiplex(self, data: bytes) -> bytes:
        """Take Docker's streams apart: what is on standard output is returned, standard error remembered."""
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
                self._remember(part)
            at = end
        del self._buffer[:at]
        return b"".join(out)


def worker_options(*, through_doorway: bool = False) -> str:
    """What the container's supervisor is started with: nobody else has its user, Landlock where there is one."""
    way = {"socket": f"{unix_socket.INSIDE}/{unix_socket.NAME}"} if through_doorway else {}
    return json.dumps({"landlock": "try", "own_user": True} | way)


def container_options(*, user_ids: range = USER_IDS, runtime: str | None = None) -> dict[str, Any]:
    """How the container is shut in; `sandbox_image/README.md` says what each is for."""
    # The kernel counts threads (RLIMIT_NPROC) by user, over all containers: with one id for all, a program
    # in one could use up what an honest program in another needs.
    user = secrets.choice(user_ids)
    return {
        "network_mode": "none",
        "read_only": True,
        "user": f"{user}:{user}",
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges", f"seccomp={seccomp.profile()}"],
        "ipc_mode": "none",
        # Docker mounts it writable, whatever is said of the rest.
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
        # What an image or the user's own Docker settings might add.
        "healthcheck": {"test": ["NONE"]},
        "use_config_proxy": False,
        **({"runtime": runtime} if runtime else {}),
    }


def _user_ids(client: docker.DockerClient) -> range:
    """Ids a container's user can have with this daemon.

    A rootless daemon, or one with userns-remap, knows no more than 65536 of them. It also puts them in user
    namespaces of their own.

    Raises:
        SandboxError: this daemon cannot filter system calls.
    """
    said = set(client.info().get("SecurityOptions") or [])
    if not any(option.startswith("name=seccomp") for option in said):
        raise SandboxError(
            "this Docker daemon cannot filter system calls: it needs a kernel with CONFIG_SECCOMP_FILTER, and "
            "a daemon and a runtime built with libseccomp (the packages of Docker and of all distributions are)"
        )
    return _MAPPED_USER_IDS if {"name=rootless", "name=userns"} & said else USER_IDS


def _explain(error: Exception, image: str, runtime: str | None) -> str:
    """What went wrong with a container, and what to do about it."""
    said = _first_line(error)
    if isinstance(error, ImageNotFound):
        fix = f"no such image. `docker pull {image}` or `docker load` may bring it; without a name ours is built"
    elif "no space left" in said:
        fix = "the disk with Docker's files is full: `docker system df` shows them, `docker system prune` makes room"
    elif runtime and "runtime" in said.lower() and "unknown" in said.lower():
        fix = f"install the runtime {runtime} and name it in the daemon's configuration (/etc/docker/daemon.json)"
    elif "seccomp" in said:
        fix = (
            "its runtime refuses our system call filter: install Docker Engine 20.10 or later, "
            "with runc 1.0 and libseccomp 2.5 or later"
        )
    else:
        fix = ""
    return f"Docker could not start {image}: {said}{f'. What to do: {fix}' if fix else ''}"


def _address() -> str:
    return os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
