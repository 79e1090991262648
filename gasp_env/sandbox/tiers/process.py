"""The tiers without a container: the supervisor is a process of this machine.

``bwrap`` gives it namespaces of its own, ``landlock`` only rules that it imposes on itself, and
``unsafe-subprocess`` nothing. The worker code, which decides what a program may do, is the same as in a
container; this module decides its surroundings.
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
from typing import Any

from gasp_env.sandbox.errors import SandboxError, WorkerLost
from gasp_env.sandbox.tiers import image, interpreters
from gasp_env.sandbox.tiers.interpreters import Interpreter
from gasp_env.sandbox.tiers.protections import PROTECTIONS
from gasp_env.sandbox.tiers.stream_worker import StreamWorker
from gasp_env.sandbox.tiers.worker import USER_IDS, Settings

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
    """A supervisor started on this machine, and the socket that is its standard input and output.

    The socket is also its dead-man switch. Asking the kernel to kill it with its parent does not work:
    the parent is the thread that started it, and workers are started from threads that end.
    """

    fixes = {
        "numpy": "install numpy for the Python its workers run on (`python -m gasp_env.sandbox doctor` names it)"
    }

    def __init__(self, settings: Settings) -> None:
        """Start a supervisor and wait until its first zygote is ready.

        Raises:
            SandboxError: the tier does not work here; the message names the fix.
        """
        super().__init__(settings)
        if sys.platform != "linux":
            raise SandboxError(
                f"the tier {self.tier} needs Linux; elsewhere use Docker Desktop and the tier docker"
            )
        self._check_requirements()
        user = choose_user_id()
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
                start_new_session=True,  # so that Ctrl-C interrupts this process alone
            )
        except OSError as error:
            self.close()
            raise SandboxError(f"{self.tier}: {error}") from error
        finally:
            theirs.close()
        self._raise_oom_score()
        assert self._process.stderr is not None
        os.set_blocking(self._process.stderr.fileno(), False)
        self._socket.setblocking(False)
        try:
            self._await_hello()
        except WorkerLost as lost:
            self.close()
            raise SandboxError(
                f"the tier {self.tier} does not work here: {lost} {self._suggest_fix(str(lost))}".strip()
            ) from lost
        except BaseException:
            self.close()
            raise
        self._identify(f"{image.code_digest()} {interpreter.version} numpy {interpreter.numpy_version}")

    def diagnostics(self) -> str:
        """Return the end of the supervisor's and zygotes' standard error."""
        stream = self._process.stderr
        if stream is not None and not stream.closed:
            with contextlib.suppress(OSError):
                while written := os.read(stream.fileno(), 2**16):
                    self._keep_diagnostics(written)
        return super().diagnostics()

    def close(self) -> None:
        """End the worker with everything in it. Errors are ignored."""
        # Only if it has not ended already: its process id may be another process's by now.
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

    def _check_requirements(self) -> None:
        """Refuse early if a requirement of the tier is missing.

        Raises:
            SandboxError: one is; the message names the fix.
        """

    def _interpreter(self, user: int | None) -> Interpreter:
        return interpreters.find(user)

    def _command(self, interpreter: Interpreter, user: int | None) -> list[str]:
        return _supervisor_command(interpreter, self._options(user))

    def _options(self, user: int | None) -> dict[str, Any]:
        """Return the supervisor's options."""
        raise NotImplementedError

    def _suggest_fix(self, message: str) -> str:
        """Return advice for a failure to start; may be empty."""
        return ""

    def _raise_oom_score(self) -> None:
        """If the machine runs out of memory, let the kernel kill a worker rather than this process."""
        with contextlib.suppress(OSError):
            Path(f"/proc/{self._process.pid}/oom_score_adj").write_text("500")


class BwrapWorker(ProcessWorker):
    """Namespaces of its own by bubblewrap: files, processes, network, IPC, host name."""

    tier = "bwrap"
    summary = "namespaces: shared kernel, no cap on memory beyond the run's own"
    promises = frozenset(PROTECTIONS) - {"reading"}
    walls = frozenset({"own processes", "own network"})

    def _check_requirements(self) -> None:
        if shutil.which("bwrap") is None:
            raise SandboxError(
                "bubblewrap is not installed (Debian and Ubuntu: apt-get install bubblewrap, which `make docker` does)"
            )

    def _interpreter(self, user: int | None) -> Interpreter:
        return interpreters.find(user, mounted=True)

    def _options(self, user: int | None) -> dict[str, Any]:
        # Without root it is in a user namespace, where the kernel counts its processes separately.
        return {"landlock": "try", "user": user, "own_user": True}

    def _command(self, interpreter: Interpreter, user: int | None) -> list[str]:
        command = [
            "bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try",
            "--as-pid-1", "--new-session", "--hostname", "sandbox", "--cap-drop", "ALL",
        ]  # fmt: skip
        if user is None:
            command += ["--unshare-user"]
            if os.getuid() == 0:  # root in a namespace that maps no other user
                command += ["--uid", "65534", "--gid", "65534"]
        else:  # the supervisor needs these to become that user, and drops them with it
            command += ["--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
        command += _mount_options(interpreter)
        command += ["--proc", "/proc", "--remount-ro", "/", "--chdir", "/", "--"]
        return command + super()._command(interpreter, user)

    def _suggest_fix(self, message: str) -> str:
        if "Unknown option" in message or "unknown option" in message:
            return "What to do: install bubblewrap 0.8 or later."
        if any(
            sign in message for sign in ("uid map", "RTM_NEWADDR", "namespace", "Operation not permitted")
        ):
            return (
                "What to do: allow user namespaces. On Ubuntu 23.10 and later give /usr/bin/bwrap an AppArmor "
                "profile with `userns,` or, as root, `sysctl kernel.apparmor_restrict_unprivileged_userns=0`; "
                "elsewhere `sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=10000`. "
                "In a container they are usually not to be had: use the tier landlock."
            )
        return ""


class LandlockWorker(ProcessWorker):
    """No namespaces: the worker's own system call filters and Landlock, and as root a user id of its own."""

    tier = "landlock"
    summary = "process hardening, no namespaces"
    promises = frozenset(PROTECTIONS)

    def _options(self, user: int | None) -> dict[str, Any]:
        return {"landlock": "require", "user": user, "own_user": user is not None}


class UnsafeWorker(ProcessWorker):
    """Limits on processor time, memory and output, and nothing else: not a sandbox."""

    tier = "unsafe-subprocess"
    summary = "not a sandbox"
    promises = frozenset()
    fixes = {**ProcessWorker.fixes, **dict.fromkeys(PROTECTIONS, "any other tier")}
    auto = False
    risk = "programs can do whatever you can"

    def _interpreter(self, user: int | None) -> Interpreter:
        return interpreters.find()

    def _options(self, user: int | None) -> dict[str, Any]:
        return {"unsafe": True, "own_user": False}


def choose_user_id() -> int | None:
    """Choose a random user id, far from those in use. None unless we are root, for only root can change its id."""
    if os.getuid() != 0:
        return None
    mapped = _mapped_ids()
    free = range(max(USER_IDS.start, mapped.start), min(USER_IDS.stop, mapped.stop))
    if not free:  # a namespace with few ids: take the upper end, where they are rarely in use
        free = range(max(mapped.start, mapped.stop - 2**12, 1000), mapped.stop - 2)
    return secrets.choice(free) if free else None


def _mapped_ids() -> range:
    """Return the largest range of user ids that exist in this namespace."""
    ranges = []
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/uid_map").read_text().splitlines():
            start, _, length = map(int, line.split())
            ranges.append(range(start, start + length))
    return max(ranges, key=len, default=range(2**32))


def _supervisor_command(interpreter: Interpreter, options: dict[str, Any]) -> list[str]:
    return [interpreter.executable, "-P", "-m", "sandbox_image.worker.supervisor", json.dumps(options)]


def _mount_options(interpreter: Interpreter) -> list[str]:
    """Options that mount the interpreter, its library, what they link to, the worker's packages and four devices.

    Packages installed beside the library are hidden, so that every tier offers the same modules.
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
    # bubblewrap would make the folders above a mount accessible to root alone.
    above = {str(parent) for path in (*bound, *_BOUND_DEVICES) for parent in Path(path).parents}
    for folder in sorted(above - {"/"}):
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
    """Return the processes below this one, at every level."""
    found: list[int] = []
    with contextlib.suppress(OSError, ValueError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += [int(child), *_descendants(int(child))]
    return found
