"""What protects this machine from a program, and what does not: every tier is tried, not looked up.

The report is about the tier that a sandbox would use. It fails if that is not the tier asked for, or if
something the tier promises does not hold.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import platform
import shutil
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from docker.errors import DockerException

from gasp_env.sandbox.errors import SandboxError
from gasp_env.sandbox.tiers import AUTO, TIERS, image
from gasp_env.sandbox.tiers.docker import connect
from gasp_env.sandbox.tiers.selftest import PROTECTIONS, broken, promised
from gasp_env.sandbox.tiers.worker import Settings, Worker

_WIDTH = 108

_FIX_FILTER = (
    "the worker's own system call filter is not in force: Linux with CONFIG_SECCOMP_FILTER, x86_64 or aarch64"
)
_FIXES = dict.fromkeys(PROTECTIONS, _FIX_FILTER) | {
    "reading": "Linux 5.13 or later with Landlock, enabled at boot (`landlock` among the kernel's lsm=)",
    "writing": "the tier docker or bwrap, or Linux 5.13 or later with Landlock",
    "privileges": "run as another user than root, or in the tier docker",
}

#: Walls that the self-test cannot see from inside: what each is for, which tiers have it, and the fix.
_WALLS: dict[str, tuple[str, tuple[str, ...], str]] = {
    "own processes": (
        "seeing that others run, and their command lines",
        ("docker", "bwrap"),
        "the tier docker or bwrap",
    ),
    "own network": ("sharing the host's network stack", ("docker", "bwrap"), "the tier docker or bwrap"),
    "memory cap": (
        "taking more than its run's limit in ways that the limit does not see",
        ("docker",),
        "the tier docker, with memory limits enabled in the kernel (cgroup v2, or cgroup_enable=memory)",
    ),
    "own kernel": (
        "using a hole in the host's kernel",
        (),
        "the tier docker with a runtime that brings its own kernel: Sandbox(runtime='runsc')",
    ),
}


@dataclass
class Protection:
    """One protection in one tier.

    Attributes:
        on: whether it holds.
        promised: whether the tier promises it.
        against: what it keeps a program from.
        got_through: the attempts that were not refused.
        fix: how to get it, empty if it is on.
    """

    on: bool
    promised: bool
    against: str
    got_through: list[str] = field(default_factory=list)
    fix: str = ""


@dataclass
class Tier:
    """What came of opening a tier.

    Attributes:
        usable: it opens and keeps its promises.
        why: why not, with the fix.
        seconds: how long opening took.
        hello: what its worker said of itself.
        protections: see `Protection`.
    """

    usable: bool
    why: str = ""
    seconds: float = 0.0
    hello: dict[str, Any] = field(default_factory=dict)
    protections: dict[str, Protection] = field(default_factory=dict)


@dataclass
class Report:
    """All that `examine` found out.

    Attributes:
        asked: tier asked for.
        chosen: tier that a sandbox would use, empty if there is none.
        machine: facts about it, by name.
        tiers: every tier.
    """

    asked: str
    chosen: str
    machine: dict[str, str]
    tiers: dict[str, Tier]

    @property
    def healthy(self) -> bool:
        """Whether a sandbox would be what was asked for."""
        return bool(self.chosen) and self.asked in ("auto", self.chosen)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"healthy": self.healthy, **dataclasses.asdict(self)}


def examine(asked: str = "auto", settings: Settings | None = None) -> Report:
    """Try every tier.

    Args:
        asked: tier asked for, or ``"auto"``.
        settings: as for a sandbox.
    """
    settings = settings or Settings()
    machine, capped = _machine(settings)
    found = {}
    for name in TIERS:
        if name in AUTO or name == asked:
            found[name] = _try(name, settings, capped)
        else:
            found[name] = Tier(False, "not a sandbox, and never chosen unless asked for by name")
    chosen = next((name for name in ((asked,) if asked in TIERS else ()) if found[name].usable), "")
    chosen = chosen or next((name for name in AUTO if found[name].usable), "")
    return Report(asked, chosen, machine, found)


def _try(name: str, settings: Settings, capped: bool) -> Tier:
    started = time.monotonic()
    try:
        worker = TIERS[name](settings)
    except SandboxError as error:
        return Tier(False, str(error))
    seconds = time.monotonic() - started
    try:
        got_through = broken(worker)
    except SandboxError as error:
        return Tier(False, str(error), seconds, worker.hello)
    finally:
        worker.close()
    protections = _protections(worker, got_through, settings, capped)
    failed = [what for what, protection in protections.items() if protection.promised and not protection.on]
    return Tier(
        not failed,
        f"lacks what it promises: {', '.join(failed)}" if failed else "",
        seconds,
        worker.hello,
        protections,
    )


def _protections(
    worker: Worker, got_through: dict[str, list[str]], settings: Settings, capped: bool
) -> dict[str, Protection]:
    expected = promised(worker)
    found = {}
    for name, against in PROTECTIONS.items():
        passed = got_through[name]
        fix = "" if not passed else "any other tier" if worker.tier not in AUTO else _FIXES[name]
        if passed and name == "reading" and settings.runtime:
            fix = f"none if the kernel that {settings.runtime} brings has no Landlock; in there is only the image"
        found[name] = Protection(not passed, name in expected, against, passed, fix)
    for name, (against, having, fix) in _WALLS.items():
        on = worker.tier in having and (capped or name != "memory cap")
        if name == "own kernel":
            on = worker.tier == "docker" and settings.runtime in ("runsc", "kata", "kata-runtime")
        found[name] = Protection(on, False, against, [], "" if on else fix)
    return found


def _machine(settings: Settings) -> tuple[dict[str, str], bool]:
    """Facts about this machine, and whether its daemon can cap a container's memory."""
    facts = {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "user": "root" if hasattr(os, "getuid") and os.getuid() == 0 else "an ordinary user",
        "landlock": _landlock(),
        "cgroup": _cgroup(),
        "bubblewrap": _bubblewrap(),
    }
    capped = False
    try:
        client = connect()
    except SandboxError:  # whose reason is that of the tier
        return facts | {"docker": "none to be used"}, capped
    try:
        version, info = client.version(), client.info()
        capped = bool(info.get("MemoryLimit"))
        facts["docker"] = f"{version.get('Version')} (API {version.get('ApiVersion')})"
        facts["runtimes"] = ", ".join(sorted(info.get("Runtimes") or {}))
        facts["image"] = settings.image or image.image_name(os.environ.get("GASP_SANDBOX_BASE") or None)
        facts["image"] += " (there)" if image.present(client, facts["image"]) else " (not built yet)"
    except (DockerException, OSError) as error:
        facts["docker"] = f"answers, but: {error}"
    finally:
        client.close()
    return facts, capped


def _landlock() -> str:
    if sys.platform != "linux":
        return "none: not Linux"
    from sandbox_image.worker import landlock  # it needs Linux to be imported

    version = landlock.version()
    return f"version {version}" if version else "none"


def _cgroup() -> str:
    if Path("/sys/fs/cgroup/cgroup.controllers").exists():
        return "v2"
    return "v1" if Path("/sys/fs/cgroup").exists() else "none"


def _bubblewrap() -> str:
    if shutil.which("bwrap") is None:
        return "not installed"
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, timeout=10, check=False)
        return said.stdout.strip().removeprefix("bubblewrap ") or "does not start"
    return "does not start"


def render(report: Report) -> str:
    """The report for a person, on one screen."""
    facts = "; ".join(f"{name}: {value}" for name, value in report.machine.items())
    lines = [*textwrap.wrap(facts, _WIDTH, break_on_hyphens=False), ""]
    for name, tier in report.tiers.items():
        sign = "->" if name == report.chosen else "  "
        if tier.usable:
            hello = tier.hello
            said = (
                f"works, {tier.seconds:.1f} s to open. Python {hello['python']}, "
                f"profiles {', '.join(hello['profiles'])}"
            )
        else:
            said = f"no: {tier.why}"
        lines += _hang(f"{sign} {name:<18}", said)
    lines.append("")
    shown = report.chosen or (report.asked if report.asked in TIERS else "")
    if shown and report.tiers[shown].protections:
        lines.append(f"In {shown} a program is kept from")
        for name, protection in report.tiers[shown].protections.items():
            said = protection.against
            if not protection.on:
                passed = f" [{', '.join(protection.got_through)}]" if protection.got_through else ""
                said = f"{said}{passed}. Fix: {protection.fix}"
            lines += _hang(f"   {'on ' if protection.on else 'OFF'} {name:<14}", said)
        lines.append("")
    if report.healthy:
        lines.append(f"Asked for {report.asked}, and it is {report.chosen}.")
    elif report.chosen:
        lines += _hang("", f"Asked for {report.asked}, which does not work here; {report.chosen} would.")
    else:
        lines.append("No tier works here; no program will be executed.")
    return "\n".join(lines)


def _hang(head: str, text: str) -> list[str]:
    """A paragraph whose first line starts with ``head`` and whose others are indented to it."""
    return textwrap.wrap(
        " ".join(text.split()),
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_on_hyphens=False,
    )
