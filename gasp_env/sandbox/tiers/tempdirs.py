"""Temporary folders of this process. If it is killed, the next process that makes such a folder removes them."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path


def prefix(kind: str) -> str:
    """Return the prefix of the names of this process's folders of a kind.

    It names the pid namespace too: process ids are unique only within one, and containers may share a folder for
    temporary files.
    """
    return f"{kind}-{os.getpid()}-{_namespace()}-"


def make(kind: str) -> str:
    """Make a folder that only this user may enter."""
    return tempfile.mkdtemp(prefix=prefix(kind))


def sweep(kind: str) -> None:
    """Remove folders of this kind whose owner, a process of our user and pid namespace, has ended.

    Failures are ignored: another process may sweep at the same time, and the next one tries again.
    """
    for path in Path(tempfile.gettempdir()).glob(f"{kind}-*-*-*"):
        pid, namespace, *_ = path.name.removeprefix(f"{kind}-").split("-")
        if not pid.isdecimal() or namespace != _namespace():
            continue
        with contextlib.suppress(OSError):
            if path.lstat().st_uid == os.getuid() and not path.is_symlink() and not _alive(int(pid)):
                shutil.rmtree(path, ignore_errors=True)


def _namespace() -> str:
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)
    except OSError:
        return "0"


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        return True
    return True
