"""The doctor: tries every tier on this machine and reports its protections, with the fix for each that is off.

The report is about the tier that a sandbox would use. It is unhealthy if that is not the tier asked for, or if
the tier breaks a promise.
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
from gasp_env.sandbox.tiers.protections import PROTECTIONS, WALLS
from gasp_env.sandbox.tiers.selftest import find_breaches, promised_protections
from gasp_env.sandbox.tiers.worker import Settings, Worker

_WIDTH = 108


@dataclass
class ProtectionReport:
    """One protection in one tier.

    Attributes:
        on: True if it holds.
        promised: True if the tier promises it.
        against: actions it keeps a program from.
        got_through: the attempts that were not refused.
        fix: how to get it, empty if it is on.
    """

    on: bool
    promised: bool
    against: str
    got_through: list[str] = field(default_factory=list)
    fix: str = ""


@dataclass
class TierReport:
    """One tier on this machine.

    Attributes:
        usable: True if it opens and keeps its promises.
        why: the reason if it is not usable, with the fix.
        seconds: time to open a worker.
        hello: its worker's first message.
        protections: by name.
    """

    usable: bool
    why: str = ""
    seconds: float = 0.0
    hello: dict[str, Any] = field(default_factory=dict)
    protections: dict[str, ProtectionReport] = field(default_factory=dict)


@dataclass
class Report:
    """All findings of `examine`.

    Attributes:
        asked: tier asked for.
        chosen: tier that a sandbox would use, empty if there is none.
        machine: facts about the machine, by name.
        tiers: every tier, by name.
    """

    asked: str
    chosen: str
    machine: dict[str, str]
    tiers: dict[str, TierReport]

    @property
    def healthy(self) -> bool:
        """True if a sandbox would use the tier asked for."""
        return bool(self.chosen) and self.asked in ("auto", self.chosen)

    def as_dict(self) -> dict[str, Any]:
        """Return the report as values for JSON."""
        return {"healthy": self.healthy, **dataclasses.asdict(self)}


def examine(asked: str = "auto", settings: Settings | None = None) -> Report:
    """Try every tier.

    Args:
        asked: tier asked for, or ``"auto"``.
        settings: as for a sandbox.
    """
    settings = settings or Settings()
    machine = _describe_machine(settings)
    found = {}
    for name, tier in TIERS.items():
        if tier.auto or name == asked:
            found[name] = _try_tier(tier, settings)
        else:
            found[name] = TierReport(False, f"{tier.summary}, and never chosen unless asked for by name")
    candidates = (asked,) if asked in TIERS else ()
    chosen = next((name for name in (*candidates, *AUTO) if found[name].usable), "")
    return Report(asked, chosen, machine, found)


def _try_tier(tier: type[Worker], settings: Settings) -> TierReport:
    started = time.monotonic()
    try:
        worker = tier(settings)
    except SandboxError as error:
        return TierReport(False, str(error))
    seconds = time.monotonic() - started
    try:
        breaches = find_breaches(worker)
    except SandboxError as error:
        return TierReport(False, str(error), seconds, worker.hello)
    finally:
        worker.close()
    protections = _report_protections(worker, breaches)
    failed = [name for name, protection in protections.items() if protection.promised and not protection.on]
    why = f"lacks what it promises: {', '.join(failed)}" if failed else ""
    return TierReport(not failed, why, seconds, worker.hello, protections)


def _report_protections(worker: Worker, breaches: dict[str, list[str]]) -> dict[str, ProtectionReport]:
    promised = promised_protections(worker)
    found = {}
    for name, protection in PROTECTIONS.items():
        passed = breaches[name]
        fix = worker.fixes.get(name, protection.fix) if passed else ""
        found[name] = ProtectionReport(not passed, name in promised, protection.against, passed, fix)
    for name, wall in WALLS.items():
        on = name in worker.walls
        found[name] = ProtectionReport(on, False, wall.against, [], "" if on else _wall_fix(name))
    return found


def _wall_fix(name: str) -> str:
    """Name the tiers that have a wall, and their requirements for it."""
    tiers = " or ".join(tier for tier, worker in TIERS.items() if name in worker.walls)
    return ", ".join(filter(None, (f"the tier {tiers}" if tiers else "", WALLS[name].fix)))


def _describe_machine(settings: Settings) -> dict[str, str]:
    """Collect facts about this machine."""
    facts = {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "user": "root" if hasattr(os, "getuid") and os.getuid() == 0 else "an ordinary user",
        "landlock": _landlock(),
        "cgroup": _cgroup(),
        "bubblewrap": _bubblewrap(),
    }
    try:
        client = connect()
    except SandboxError:  # the tier's report gives the reason
        return facts | {"docker": "none to be used"}
    try:
        version, info = client.version(), client.info()
        facts["docker"] = f"{version.get('Version')} (API {version.get('ApiVersion')})"
        facts["runtimes"] = ", ".join(sorted(info.get("Runtimes") or {}))
        facts["image"] = settings.image or image.image_name(os.environ.get("GASP_SANDBOX_BASE") or None)
        facts["image"] += " (there)" if image.is_present(client, facts["image"]) else " (not built yet)"
    except (DockerException, OSError) as error:
        facts["docker"] = f"answers, but: {error}"
    finally:
        client.close()
    return facts


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
        done = subprocess.run(["bwrap", "--version"], capture_output=True, text=True, timeout=10, check=False)
        return done.stdout.strip().removeprefix("bubblewrap ") or "does not start"
    return "does not start"


def render(report: Report) -> str:
    """Lay out the report for a person, on one screen."""
    facts = "; ".join(f"{name}: {value}" for name, value in report.machine.items())
    lines = [*textwrap.wrap(facts, _WIDTH, break_on_hyphens=False), ""]
    for name, tier in report.tiers.items():
        sign = "->" if name == report.chosen else "  "
        if tier.usable:
            hello = tier.hello
            text = (
                f"works, {tier.seconds:.1f} s to open. Python {hello['python']}, "
                f"profiles {', '.join(hello['profiles'])}"
            )
        else:
            text = f"no: {tier.why}"
        lines += _hang(f"{sign} {name:<18}", text)
    lines.append("")
    shown = report.chosen or (report.asked if report.asked in TIERS else "")
    if shown and report.tiers[shown].protections:
        lines.append(f"In {shown} a program is kept from")
        for name, protection in report.tiers[shown].protections.items():
            text = protection.against
            if not protection.on:
                passed = f" [{', '.join(protection.got_through)}]" if protection.got_through else ""
                text = f"{text}{passed}. Fix: {protection.fix}"
            lines += _hang(f"   {'on ' if protection.on else 'OFF'} {name:<14}", text)
        lines.append("")
    if report.healthy:
        lines.append(f"Asked for {report.asked}, and it is {report.chosen}.")
    elif report.chosen:
        lines += _hang("", f"Asked for {report.asked}, which does not work here; {report.chosen} would.")
    else:
        lines.append("No tier works here; no program will be executed.")
    return "\n".join(lines)


def _hang(head: str, text: str) -> list[str]:
    """Wrap a paragraph whose first line starts with ``head``; the other lines are indented to it."""
    return textwrap.wrap(
        " ".join(text.split()),
        _WIDTH,
        initial_indent=head,
        subsequent_indent=" " * len(head),
        break_on_hyphens=False,
    )
