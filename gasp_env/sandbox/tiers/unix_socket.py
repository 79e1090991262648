"""A Unix socket through the wall of a container, instead of its standard streams.

What goes over a container's standard streams is copied by the daemon and by the container's shim,
which costs a short run a good part of what it takes to execute it. A socket in a folder that the
container sees read-only costs next to nothing. It takes a daemon on the same machine, so the
streams remain for all others.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
from pathlib import Path

from docker.types import Mount

from gasp_env.sandbox.errors import WorkerLost
from gasp_env.sandbox.tiers import tempdirs

#: Where the container finds it.
INSIDE = "/run/gasp_env"
NAME = "worker"
_FOLDER = "gasp-env-door"


class UnixSocket:
    """A socket that one container may connect to, once.

    Nobody else can: its folder is inside one that only we may enter. After the connection it is gone.
    """

    def __init__(self) -> None:
        """Open it.

        Raises:
            OSError: no such socket can be made here.
        """
        tempdirs.sweep(_FOLDER)
        self._folder = Path(tempdirs.make(_FOLDER))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            inner = self._folder / "door"
            inner.mkdir()
            inner.chmod(0o711)
            self._listener.bind(str(inner / NAME))
            (inner / NAME).chmod(0o666)  # the container's user is none of ours
            self._listener.listen(1)
        except OSError:
            self.close()
            raise
        self.mount = Mount(INSIDE, str(inner), type="bind", read_only=True)

    def fileno(self) -> int:
        """For polling: readable when the container has connected."""
        return self._listener.fileno()

    def accept(self, seconds: float) -> socket.socket:
        """The connection of the container, after which nobody else gets one.

        Raises:
            WorkerLost: there was none in time.
        """
        self._listener.settimeout(max(0.01, seconds))
        try:
            connection, _ = self._listener.accept()
        except OSError as error:
            raise WorkerLost(f"it did not connect ({error})") from error
        finally:
            self.close()
        return connection

    def close(self) -> None:
        """Take it away."""
        self._listener.close()
        with contextlib.suppress(OSError):
            shutil.rmtree(self._folder)


def usable(address: str) -> bool:
    """Whether the daemon at this address may well see this machine's files."""
    return os.name == "posix" and address.startswith("unix://")
