"""Orphans: containers whose owner died before it could start or remove them.

A running container ends when its owner does, and is then removed by Docker. A container that was created
and never started does not notice, so the next process that opens a sandbox on the same machine removes it.
"""

from __future__ import annotations

import contextlib
import os
import socket

import docker
from docker.errors import DockerException

KIND_LABEL, KIND = "gasp_env", "sandbox"
OWNER_LABEL = "gasp_env.owner"


def labels() -> dict[str, str]:
    """Return the labels that mark a container as a sandbox of this process."""
    return {KIND_LABEL: KIND, OWNER_LABEL: f"{_machine()}:{os.getpid()}"}


def sweep(client: docker.DockerClient) -> None:
    """Remove sandboxes that do not run and whose owner, a process of this machine, has ended.

    Running containers stay, and so do those of living processes and of other machines. Failures
    are ignored: another process may sweep at the same time, and the next one tries again.
    """
    with contextlib.suppress(DockerException, OSError):
        filters = {"label": f"{KIND_LABEL}={KIND}", "status": ["created", "exited"]}
        for container in client.api.containers(all=True, filters=filters):
            if _is_orphan(container.get("Labels") or {}):
                with contextlib.suppress(DockerException, OSError):
                    client.api.remove_container(container["Id"], force=False)


def _is_orphan(labelled: dict[str, str]) -> bool:
    machine, _, pid = labelled.get(OWNER_LABEL, "").rpartition(":")
    if machine != _machine() or not pid.isdecimal():
        return False
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:  # alive, and another user's
        return False
    return False


def _machine() -> str:
    """Name the scope of process ids: the host, and on Linux the pid namespace within it.

    Two containers that share one daemon may have the same host name.
    """
    try:
        return f"{socket.gethostname()}:{os.stat('/proc/self/ns/pid').st_ino}"
    except OSError:
        return socket.gethostname()
