"""The docker tier: a long-lived container that shares nothing with the host but its kernel.

The Docker SDK creates and removes the container; programs and results travel over the attach
socket to the container's standard streams. The socket is also a dead-man switch: when this
process goes, however it goes, the container's standard input closes and its PID 1 ends it.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import struct
from typing import TYPE_CHECKING, Any

import docker
from docker.errors import DockerException, ImageNotFound

from gasp_env.sandbox import build, leftovers, seccomp
from gasp_env.sandbox.errors import SandboxError, WorkerLost
from gasp_env.sandbox.streams import StreamWorker

if TYPE_CHECKING:
    from gasp_env.sandbox.tiers import Settings

_API_SECONDS = 60.0
_STREAM_HEADER = struct.Struct(">BxxxI")  # Docker's: stream number, length
_STDOUT = 1

#: The Engine's API since 20.10, the oldest that can be asked for what we ask for.
OLDEST_API = (1, 41)

#: What a container's processes may hold together. A run is bounded by its own `Limits.memory_bytes`, which
#: the kernel enforces exactly; this is the wall behind it, for what that bound does not see (pipes, page
#: tables), and so it leaves room for runs of far more than the default. A run that is allowed more than this
#: and takes it is killed here, and ends as ``memory_limit`` all the same.
MEMORY_BYTES = 4 * 2**30 + 2**29
#: Processes and threads: at most 9 are ours, the others are a run's threads, which it is held to exactly.
PROCESSES = 512

# Above what is handed out on any machine we know, below Docker's largest; and what fits where the
# daemon maps a container's 65536 user ids to others of the host.
USER_IDS = range(2**16, 2**16 + 2**30)
_MAPPED_USER_IDS = range(2**12, 2**16 - 2)


def connect() -> docker.DockerClient:
    """A client for a daemon that answers and is new enough.

    Raises:
        SandboxError: there is none.
    """
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
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
        image = settings.image
        try:
            image = image or build.ensure(client)
            leftovers.sweep(client)
            options = container_options(user_ids=_user_ids(client), runtime=settings.runtime)
            self._container = client.containers.create(image, [worker_options()], **options)
            mounts = [mount["Destination"] for mount in self._container.attrs.get("Mounts", ())]
            if mounts:
                raise SandboxError(
                    f"the image {image} declares volumes ({', '.join(mounts)}), which are writable"
                )
            parameters = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            self._stream = client.api.attach_socket(self._container.id, params=parameters)
            self._socket = getattr(self._stream, "_sock", self._stream)
            self._container.start()
            self._socket.setblocking(False)
            self._await_hello()
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

    def close(self) -> None:
        """End and remove the container; errors are of no interest any more."""
        super().close()
        with contextlib.suppress(AttributeError, OSError):
            self._stream.close()
        with contextlib.suppress(AttributeError, DockerException, OSError):
            self._container.remove(force=True)
        self._client.close()

    def _cut(self, data: bytes) -> list[bytes]:
        """Take Docker's multiplexing apart: frames are on standard output, diagnostics on standard error."""
        self._buffer += data
        frames, at = [], 0
        while len(self._buffer) - at >= _STREAM_HEADER.size:
            stream, length = _STREAM_HEADER.unpack_from(self._buffer, at)
            end = at + _STREAM_HEADER.size + length
            if end > len(self._buffer):
                break
            part = bytes(self._buffer[at + _STREAM_HEADER.size : end])
            if stream == _STDOUT:
                frames += self._frames.feed(part)
            else:
                self._remember(part)
            at = end
        del self._buffer[:at]
        return frames


def worker_options() -> str:
    """What the container's supervisor is started with: nobody else has its user, Landlock where there is one."""
    return json.dumps({"landlock": "try", "own_user": True})


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
        "pids_limit": PROCESSES,
        "mem_limit": MEMORY_BYTES,
        "memswap_limit": MEMORY_BYTES,
        "oom_score_adj": 500,
        "ulimits": [docker.types.Ulimit(name="core", soft=0, hard=0)],
        "log_config": docker.types.LogConfig(type="none"),
        "hostname": "sandbox",
        "labels": leftovers.labels(),
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
    elif runtime and "runtime" in said.lower():
        fix = f"install the runtime {runtime} and name it in the daemon's configuration (/etc/docker/daemon.json)"
    elif "seccomp" in said:
        fix = (
            "its runtime refuses our system call filter: install Docker Engine 20.10 or later, "
            "with runc 1.0 and libseccomp 2.5 or later"
        )
    else:
        fix = ""
    return f"Docker could not start {image}: {said}{f'. What to do: {fix}' if fix else ''}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
