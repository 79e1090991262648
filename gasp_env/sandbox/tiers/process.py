"""The tiers without a container: a supervisor that is a process of this machine.

``bwrap`` gives it namespaces of its own, ``landlock`` only rules that it imposes on itself, and
``unsafe-subprocess`` nothing. What a program may do is decided by the same worker code as in a
container; what surrounds it is decided here.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gasp_env.sandbox.errors import SandboxError, WorkerLost
from gasp_env.sandbox.tiers import image, interpreters
from gasp_env.sandbox.tiers.interpreters import Interpreter
from gasp_env.sandbox.tiers.stream_worker import StreamWorker
from gasp_env.sandbox.tiers.worker import USER_IDS

if TYPE_CHECKING:
    from gasp_env.sandbox.tiers.worker import Settings

#: The second of the two consents that ``unsafe-subprocess`` asks for, beside ``Settings.allow_unsafe``.
UNSAFE_VARIABLE = "GASP_ENV_ALLOW_UNSAFE"

_STOP_SECONDS = 10.0
_BOUND_PACKAGES = "/opt/gasp_env"
_BOUND_FILES = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    "/usr/share/zoneinfo",
)
_BOUND_DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
_INSTALLED = ("site-packages", "dist-packages")


class ProcessWorker(StreamWorker):
    """A supervisor started here, and the socket that is its standard input and output.

    The socket is its dead-man switch too. Asking the kernel to kill it with its parent will not do:
    that means the thread which started it, and workers are started from threads that end.
    """

    def __init__(self, settings: Settings) -> None:
        """Start a supervisor and wait until its first zygote is ready.

        Raises:
            SandboxError: that does not work here; the message says what to do.
        """
        super().__init__()
        if sys.platform != "linux":
            raise SandboxError(
                f"the tier {self.tier} needs Linux; elsewhere use Docker Desktop and the tier docker"
            )
        self._require(settings)
        user = other_user()
        interpreter = self._interpreter(user)
        self._socket, theirs = socket.socketpair()
        try:
            self._process = subprocess.Popen(
                self._command(interpreter, user),
                env=interpreters.environment(interpreter.folder or _BOUND_PACKAGES),
                cwd="/",
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                stderr=subprocess.PIPE,
                start_new_session=True,  # a Ctrl-C is for us
            )
        except OSError as error:
            self.close()
            raise SandboxError(f"{self.tier}: {error}") from error
        finally:
            theirs.close()
        self._rank_for_killing()
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        self._socket.setblocking(False)
        try:
            self._await_hello()
        except WorkerLost as lost:
            self.close()
            raise SandboxError(
                f"the tier {self.tier} does not work here: {lost} {self._fix(str(lost))}".strip()
            ) from lost
        except BaseException:
            self.close()
            raise
        self._identify(f"{image.code_digest()} {interpreter.version} numpy {interpreter.numpy_version}")

    def diagnostics(self) -> str:
        """The end of what the supervisor and its zygotes wrote to their standard error."""
        stream = self._process.stderr
        if stream is not None and not stream.closed:
            with contextlib.suppress(OSError):
                while said := os.read(stream.fileno(), 2**16):
                    self._remember(said)
        return super().diagnostics()

    def close(self) -> None:
        """End the worker with everything in it; errors are of no interest any more."""
        # Unless it has ended already: its number may be somebody else's by now.
        with contextlib.suppress(AttributeError, OSError):
            if self._process.poll() is None:
                for pid in (self._process.pid, *_descendants(self._process.pid)):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
        super().close()
        with contextlib.suppress(AttributeError, subprocess.TimeoutExpired):
            self._process.wait(_STOP_SECONDS)
        with contextlib.suppress(AttributeError):
            if self._process.stderr is not None:
                self._process.stderr.close()

    def _require(self, settings: Settings) -> None:
        """Refuse what can be known to be impossible, or was not consented to."""

    def _interpreter(self, user: int | None) -> Interpreter:
        return interpreters.find(user)

    def _command(self, interpreter: Interpreter, user: int | None) -> list[str]:
        return _supervisor(interpreter, self._options(user))

    def _options(self, user: int | None) -> dict[str, Any]:
        """What the supervisor is asked for."""
        raise NotImplementedError

    def _fix(self, said: str) -> str:
        """What to do about a failure to start."""
        return ""

    def _rank_for_killing(self) -> None:
        """When the machine runs out of memory, let the kernel end a worker rather than us."""
        with contextlib.suppress(OSError):
            Path(f"/proc/{self._process.pid}/oom_score_adj").write_text("500")


class BwrapWorker(ProcessWorker):
    """Namespaces of its own by bubblewrap: files, processes, network, IPC, host name."""

    tier = "bwrap"

    def _require(self, settings: Settings) -> None:
        if shutil.which("bwrap") is None:
            raise SandboxError(
                "bubblewrap is not installed (Debian and Ubuntu: apt-get install bubblewrap, which `make docker` does)"
            )

    def _interpreter(self, user: int | None) -> Interpreter:
        return interpreters.find(user, bound=True)

    def _options(self, user: int | None) -> dict[str, Any]:
        # Without root there is a user namespace around it, in which the kernel counts our processes apart.
        return {"landlock": "try", "user": user, "own_user": True}

    def _command(self, interpreter: Interpreter, user: int | None) -> list[str]:
        command = [
            "bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try",
            "--as-pid-1", "--new-session", "--hostname", "sandbox", "--cap-drop", "ALL",
        ]  # fmt: skip
        if user is None:
            command += ["--unshare-user"]
            if os.getuid() == 0:  # of a namespace that has no other user to become
                command += ["--uid", "65534", "--gid", "65534"]
        else:  # the supervisor gives these up when it becomes that user
            command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        command += _mounts(interpreter)
        command += ["--proc", "/proc", "--remount-ro", "/", "--chdir", "/", "--"]
        return command + super()._command(interpreter, user)

    def _fix(self, said: str) -> str:
        if "Unknown option" in said or "unknown option" in said:
            return "What to do: install bubblewrap 0.8 or later."
        if any(sign in said for sign in ("uid map", "RTM_NEWADDR", "namespace", "Operation not permitted")):
            return (
                "What to do: allow user namespaces. On Ubuntu 23.10 and later give /usr/bin/bwrap an AppArmor "
                "profile with `userns,` or, as root, `sysctl kernel.apparmor_restrict_unprivileged_userns=0`; "
                "elsewhere `sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000`. "
                "In a container they are usually not to be had: use the tier landlock."
            )
        return ""


class LandlockWorker(ProcessWorker):
    """No namespaces: the worker's own system call filters and Landlock, and as root a user of its own."""

    tier = "landlock"

    def _options(self, user: int | None) -> dict[str, Any]:
        return {"landlock": "require", "user": user, "own_user": user is not None}


class UnsafeWorker(ProcessWorker):
    """Limits on processor time, memory and output, and nothing else: not a sandbox."""

    tier = "unsafe-subprocess"

    def _require(self, settings: Settings) -> None:
        if not settings.allow_unsafe or os.environ.get(UNSAFE_VARIABLE) != "1":
            raise SandboxError(
                "the tier unsafe-subprocess is not a sandbox: programs can do whatever you can. If that is what you "
                f"want, say so twice: allow_unsafe=True (--allow-unsafe) and {UNSAFE_VARIABLE}=1 in the environment"
            )

    def _interpreter(self, user: int | None) -> Interpreter:
        return interpreters.find()

    def _options(self, user: int | None) -> dict[str, Any]:
        return {"unsafe": True, "own_user": False}


def other_user() -> int | None:
    """As root, an id that nobody else has; as anybody else None, for there is no becoming another."""
    if os.getuid() != 0:
        return None
    mapped = _mapped_ids()
    free = range(max(USER_IDS.start, mapped.start), min(USER_IDS.stop, mapped.stop))
    if not free:  # in a namespace with few users: the upper end, where they are rarely handed out
        free = range(max(mapped.start, mapped.stop - 2**12, 1000), mapped.stop - 2)
    return secrets.choice(free) if free else None


def _mapped_ids() -> range:
    """The largest range of user ids that exist here."""
    ranges = []
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/uid_map").read_text().splitlines():
            start, _, length = map(int, line.split())
            ranges.append(range(start, start + length))
    return max(ranges, key=len, default=range(2**32))


def _supervisor(interpreter: Interpreter, options: dict[str, Any]) -> list[str]:
    return [interpreter.executable, "-P", "-m", "sandbox_image.worker.supervisor", json.dumps(options)]


def _mounts(interpreter: Interpreter) -> list[str]:
    """What is to be seen: the interpreter, its library, what they link to, our packages, four devices.

    Without what others installed beside the library, so that every tier offers the same modules.
    """
    links = {path: os.readlink(path) for path in _BOUND_FILES if os.path.islink(path)}
    bound = {path: path for path in _BOUND_FILES if path not in links and os.path.exists(path)}
    if interpreter.prefix not in ("/usr", "/usr/local"):
        bound[interpreter.prefix] = interpreter.prefix
    for path in (interpreter.executable, interpreter.library):
        if not any(Path(path).is_relative_to(shown) for shown in bound):
            bound[path] = path
    bound |= {f"{_BOUND_PACKAGES}/{name}": path for name, path in interpreter.packages.items()}
    command = []
    # Folders on the way to a mount would be made for root alone.
    way = {str(parent) for path in (*bound, *_BOUND_DEVICES) for parent in Path(path).parents}
    for folder in sorted(way - {"/"}):
        if not any(Path(folder).is_relative_to(shown) for shown in (*bound, *links)):
            command += ["--dir", folder]
    for path, target in links.items():
        command += ["--symlink", target, path]
    for path, source in bound.items():
        command += ["--ro-bind", source, path]
    for device in _BOUND_DEVICES:
        command += ["--dev-bind", device, device]
    for folder in (interpreter.library, os.path.join(os.path.dirname(interpreter.library), "python3")):
        for name in _INSTALLED:
            hidden = os.path.join(folder, name)
            if os.path.isdir(hidden) and not os.path.islink(hidden):
                command += ["--tmpfs", hidden, "--remount-ro", hidden]
    return command


def _descendants(pid: int) -> list[int]:
    """Processes that this one made, and that those made."""
    found: list[int] = []
    with contextlib.suppress(OSError, ValueError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found
