"""Which Python the workers outside containers run on, and the two packages that it is shown.

A program should find the standard library and, in its profile, numpy: not what else happens to be
installed on this machine, and not our own source beside the worker's.
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
    """A Python that works for whoever is to run it.

    Attributes:
        executable: its file, with no link left in the path.
        version: such as ``"3.11.2"``.
        prefix: the folder it is installed in.
        library: the folder of its standard library.
        numpy: the folder of a numpy it can import, or None.
        numpy_version: that numpy's, or empty.
        folder: what to put on its import path so that it finds worker and numpy; empty if not asked for.
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
        """What it needs of what is not its own: name on the import path, and where that is."""
        return {"sandbox_image": str(CONTEXT)} | _numpy_packages(self.numpy)


def find(user: int | None = None, *, bound: bool = False) -> Interpreter:
    """An interpreter of at least `OLDEST`: the one we run on if it can be used, else the system's.

    Args:
        user: who will run it; by default whoever we are. Our own is often in a home that is closed to others.
        bound: files will be mounted where that user reaches them, so that only we must.

    Raises:
        SandboxError: there is none.
    """
    user = None if bound else user
    key = (os.getpid(), user is None, bound)  # whoever is not us is let in or refused alike
    with _found_lock:
        found = _found.get(key)
        if found is None or (found.folder and not os.path.isdir(found.folder)):  # something tidied up /tmp
            found = _found[key] = _find(user, bound)
        return found


_found: dict[tuple[int, bool, bool], Interpreter] = {}
_found_lock = threading.Lock()


def _find(user: int | None, bound: bool) -> Interpreter:
    refused = []
    for executable in _candidates():
        said = _describe(executable, user)
        if isinstance(said, str):
            refused.append(f"{executable}: {said}")
            continue
        if tuple(said["version"]) < OLDEST:
            refused.append(f"{executable}: Python {'.'.join(map(str, said['version']))}")
            continue
        found = Interpreter(executable, ".".join(map(str, said["version"])), said["prefix"], said["library"])
        if bound:
            return _with_numpy(found, said, user)
        why = ""
        # A link first, so that the compiled code beside our source is used.
        for copied in (False, True):
            folder = _worker_folder(copied)
            why = _fails(executable, _IMPORT_WORKER, user, folder)
            if not why:
                return _with_numpy(replace(found, folder=folder), said, user)
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


def _with_numpy(found: Interpreter, said: dict[str, Any], user: int | None) -> Interpreter:
    """Add our own numpy if it is made for this interpreter, else its own, if either can be imported."""
    origins = [said["numpy"]]
    ours = importlib.util.find_spec("numpy")
    if ours is not None and said["cache"] == sys.implementation.cache_tag:
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
    """Numpy's folder and that of the libraries a wheel of it brings."""
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


def _fails(executable: str, code: str, user: int | None, folder: str) -> str:
    """Why an interpreter cannot run a line of ours; empty if it can."""
    done = _run(executable, code, user, folder)
    if isinstance(done, str):
        return done
    return "" if done.returncode == 0 else _last_line(done.stderr)


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[-1][:200]


def _run(
    executable: str, code: str, user: int | None, folder: str = ""
) -> subprocess.CompletedProcess[str] | str:
    """Run a line of ours, as this user; a text if it could not even be started."""
    whom: dict[str, Any] = {} if user is None else {"user": user, "group": user, "extra_groups": ()}
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
            **whom,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)


def environment(folder: str) -> dict[str, str]:
    """All that a worker gets to see of our environment: nothing."""
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
    """A folder with the worker's package, or a link to it, and nothing else, for as long as this process lives."""
    key = (os.getpid(), copied)
    with _folders_lock:
        if not os.path.isdir(_folders.get(key, "")):
            tempdirs.sweep(_FOLDER)
            folder = tempdirs.make(_FOLDER)
            os.chmod(folder, 0o755)  # ours to change, everyone's to read
            atexit.register(_remove, folder, os.getpid())
            package = Path(folder, "sandbox_image")
            if copied:
                shutil.copytree(CONTEXT, package, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                package.symlink_to(CONTEXT)
            _folders[key] = folder
        return _folders[key]


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # a fork runs our exit handlers too
        shutil.rmtree(folder, ignore_errors=True)
