"""Find the Python that workers outside containers run on, and give it two packages: the worker and numpy.

A program should find the standard library and, in its profile, numpy. It should find neither the other
packages installed on this machine nor gasp_env's source.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gasp_env.sandbox.errors import SandboxError
from gasp_env.sandbox.tiers import tempdirs
from sandbox_image import CONTEXT

OLDEST = (3, 11)
_PROBE_SECONDS = 60.0
_FOLDER = "gasp-env-import"

_DESCRIBE = """
import importlib.util, json, os, sys, sysconfig
numpy = importlib.util.find_spec("numpy")
print(json.dumps({
    "version": sys.version_info[:3], "cache": sys.implementation.cache_tag, "prefix": sys.base_prefix,
    "library": sysconfig.get_path("stdlib"), "numpy": numpy and numpy.origin,
}))
"""
_IMPORT_WORKER = "import sandbox_image.worker.supervisor"
_IMPORT_NUMPY = "import numpy; print(numpy.__version__)"


@dataclass(frozen=True)
class Interpreter:
    """A Python that works for the user who will run it.

    Attributes:
        executable: its file, with all links resolved.
        version: such as ``"3.11.2"``.
        prefix: the folder it is installed in.
        library: the folder of its standard library.
        numpy: the folder of a numpy it can import, or None.
        numpy_version: version of that numpy, or empty.
        folder: the folder to put on its import path, which holds worker and numpy; empty if files will be mounted.
    """

    executable: str
    version: str
    prefix: str
    library: str
    numpy: str | None = None
    numpy_version: str = ""
    folder: str = ""

    @property
    def packages(self) -> dict[str, str]:
        """The packages to put on its import path: name and folder."""
        return {"sandbox_image": str(CONTEXT)} | _numpy_packages(self.numpy)


def find(user: int | None = None, *, mounted: bool = False) -> Interpreter:
    """Find an interpreter of at least version `OLDEST`: the current one if it can be used, else the system's.

    Args:
        user: id of the user who will run it; by default the current user. The current interpreter is often in a
            home folder that is closed to other users.
        mounted: files will be mounted where that user reaches them, so that only the current user must.

    Raises:
        SandboxError: there is no such interpreter; the message names the fix.
    """
    user = None if mounted else user
    key = (os.getpid(), user is None, mounted)  # all other users have the same access
    with _found_lock:
        found = _found.get(key)
        if found is None or (found.folder and not os.path.isdir(found.folder)):  # /tmp was cleaned up
            found = _found[key] = _find(user, mounted)
        return found


_found: dict[tuple[int, bool, bool], Interpreter] = {}
_found_lock = threading.Lock()


def _find(user: int | None, mounted: bool) -> Interpreter:
    refused = []
    for executable in _candidates():
        facts = _describe(executable, user)
        if isinstance(facts, str):
            refused.append(f"{executable}: {facts}")
            continue
        if tuple(facts["version"]) < OLDEST:
            refused.append(f"{executable}: Python {'.'.join(map(str, facts['version']))}")
            continue
        found = Interpreter(
            executable, ".".join(map(str, facts["version"])), facts["prefix"], facts["library"]
        )
        if mounted:
            return _with_numpy(found, facts, user)
        why = ""
        # Try a link before a copy, so that the compiled code beside our source is used.
        for copied in (False, True):
            folder = _worker_folder(copied)
            why = _find_failure(executable, _IMPORT_WORKER, user, folder)
            if not why:
                return _with_numpy(replace(found, folder=folder), facts, user)
        refused.append(f"{executable}: {why}")
    whom = "" if user is None else " for a user of its own"
    raise SandboxError(
        f"no Python {OLDEST[0]}.{OLDEST[1]} or later that a worker could run on{whom} ({'; '.join(refused)}). Install "
        "one for all users (Debian and Ubuntu: apt-get install python3), or make ours readable to them."
    )


def _candidates() -> list[str]:
    ours = getattr(sys, "_base_executable", None) or sys.executable
    paths = [ours, "/usr/local/bin/python3", "/usr/bin/python3"]
    return list(dict.fromkeys(os.path.realpath(path) for path in paths if path and os.path.exists(path)))


def _with_numpy(found: Interpreter, facts: dict[str, Any], user: int | None) -> Interpreter:
    """Add the current interpreter's numpy if it fits this one, else this one's own, if either can be imported."""
    origins = [facts["numpy"]]
    ours = importlib.util.find_spec("numpy")
    if ours is not None and facts["cache"] == sys.implementation.cache_tag:
        origins.insert(0, ours.origin)
    for origin in origins:
        if not origin:
            continue
        numpy = os.path.dirname(os.path.realpath(origin))
        with tempfile.TemporaryDirectory(prefix=tempdirs.prefix(_FOLDER)) as folder:
            os.chmod(folder, 0o755)
            for name, path in _numpy_packages(numpy).items():
                os.symlink(path, os.path.join(folder, name))
            done = _run(found.executable, _IMPORT_NUMPY, user, folder)
        if isinstance(done, str) or done.returncode != 0:
            continue
        if found.folder:
            for name, path in _numpy_packages(numpy).items():
                with contextlib.suppress(FileExistsError):
                    os.symlink(path, os.path.join(found.folder, name))
        return replace(found, numpy=numpy, numpy_version=done.stdout.strip())
    return found


def _numpy_packages(numpy: str | None) -> dict[str, str]:
    """Return numpy's folder and that of the libraries in its wheel, by name."""
    if numpy is None:
        return {}
    return {"numpy": numpy} | ({"numpy.libs": f"{numpy}.libs"} if os.path.isdir(f"{numpy}.libs") else {})


def _describe(executable: str, user: int | None) -> dict[str, Any] | str:
    done = _run(executable, _DESCRIBE, user)
    if isinstance(done, str):
        return done
    try:
        return dict(json.loads(done.stdout))
    except ValueError:
        return f"ended with status {done.returncode}: {_last_line(done.stderr)}"


def _find_failure(executable: str, code: str, user: int | None, folder: str) -> str:
    """Run a line of code; return the reason if that fails, else an empty text."""
    done = _run(executable, code, user, folder)
    if isinstance(done, str):
        return done
    return "" if done.returncode == 0 else _last_line(done.stderr)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1][:200]


def _run(
    executable: str, code: str, user: int | None, folder: str = ""
) -> subprocess.CompletedProcess[str] | str:
    """Run a line of code as this user; return a text, the reason, if it did not even start."""
    credentials: dict[str, Any] = {} if user is None else {"user": user, "group": user, "extra_groups": ()}
    try:
        return subprocess.run(
            [executable, "-s", "-c", code],
            env=environment(folder),
            cwd="/",
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PROBE_SECONDS,
            check=False,
            **credentials,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)


def environment(folder: str) -> dict[str, str]:
    """Return a worker's environment variables. None of them is taken from this process."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONPATH": folder,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONNOUSERSITE": "1",
        "PYTHONSAFEPATH": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


_folders: dict[tuple[int, bool], str] = {}
_folders_lock = threading.Lock()


def _worker_folder(copied: bool) -> str:
    """Make a folder with the worker's package, or a link to it, and nothing else. It lasts as long as this process."""
    key = (os.getpid(), copied)
    with _folders_lock:
        if not os.path.isdir(_folders.get(key, "")):
            tempdirs.sweep(_FOLDER)
            folder = tempdirs.make(_FOLDER)
            os.chmod(folder, 0o755)  # writable for us, readable for all
            atexit.register(_remove, folder, os.getpid())
            package = Path(folder, "sandbox_image")
            if copied:
                shutil.copytree(CONTEXT, package, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                package.symlink_to(CONTEXT)
            _folders[key] = folder
        return _folders[key]


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # a forked child runs the same exit handlers
        shutil.rmtree(folder, ignore_errors=True)
