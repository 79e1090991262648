"""A Unix socket between the host and a container, used in place of the container's standard streams.

The daemon and the container's shim copy everything on the standard streams, which costs a short run almost as much
as its execution. A socket in a folder that the container sees read-only costs next to nothing. It needs a
daemon on the same machine; with any other daemon the streams are used.
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

#: Folder of the socket inside the container, and the socket's name.
INSIDE = "/run/gasp_env"
NAME = "worker"
_FOLDER = "gasp-env-socket"


class UnixSocket:
    """A listening socket that one container may connect to, once.

    Other users cannot reach it: its folder is inside one that only our user may enter. It is removed when the
    container has connected.
    """

    def __init__(self) -> None:
        """Create the folder and the socket.

        Raises:
            OSError: the machine does not allow it.
        """
        tempdirs.sweep(_FOLDER)
        self._folder = Path(tempdirs.make(_FOLDER))
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            inner = self._folder / "mounted"
            inner.mkdir()
            inner.chmod(0o711)
            self._listener.bind(str(inner / NAME))
            (inner / NAME).chmod(0o666)  # for the container's user, whose id is another
            self._listener.listen(1)
        except OSError:
            self.close()
            raise
        self.mount = Mount(INSIDE, str(inner), type="bind", read_only=True)

    def fileno(self) -> int:
        """Return the descriptor to poll: readable when the container has connected."""
        return self._listener.fileno()

    def accept(self, seconds: float) -> socket.socket:
        """Accept the container's connection and remove the socket.

        Raises:
            WorkerLost: the container did not connect in time.
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
        """Close and remove the socket."""
        self._listener.close()
        with contextlib.suppress(OSError):
            shutil.rmtree(self._folder)


def is_usable(address: str) -> bool:
    """True if the daemon at this address probably sees this machine's files."""
    return os.name == "posix" and address.startswith("unix://")
