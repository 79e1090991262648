"""The tiers: what a worker can be shut in, and which of them this machine offers.

A worker is one process tree with a supervisor, its zygotes and at most one program alive. Every
tier runs the same worker code; they differ in the walls around it. A tier is usable if a worker
opens in it and its forbidden actions fail there, never because some file or version is present.
"""

from __future__ import annotations

from collections.abc import Callable

from gasp_env.sandbox.errors import SandboxError
from gasp_env.sandbox.tiers import selftest
from gasp_env.sandbox.tiers.docker import DockerWorker
from gasp_env.sandbox.tiers.process import BwrapWorker, LandlockWorker, UnsafeWorker
from gasp_env.sandbox.tiers.worker import Settings, Worker

#: Tiers by name, safest first.
TIERS: dict[str, Callable[[Settings], Worker]] = {
    "docker": DockerWorker,
    "bwrap": BwrapWorker,
    "landlock": LandlockWorker,
    "unsafe-subprocess": UnsafeWorker,
}
#: What ``auto`` tries, in this order.
AUTO = ("docker", "bwrap", "landlock")


def open_worker(tier: str, settings: Settings) -> Worker:
    """Open a worker of a tier, or of the first of `AUTO` in which one opens, and see that it keeps its promises.

    Safe to call from several threads at once.

    Raises:
        SandboxError: there is none here; the message says what to do.
        ValueError: there is no such tier.
    """
    if tier != "auto":
        return _open(tier, settings)
    reasons = []
    for name in AUTO:
        try:
            return _open(name, settings)
        except SandboxError as error:
            reasons.append(f"  {name}: {error}")
    raise SandboxError(
        "no sandbox can be opened on this machine, and no program is executed without one. Any of these would do:\n"
        + "\n".join(reasons)
    )


def _open(tier: str, settings: Settings) -> Worker:
    if tier not in TIERS:
        raise ValueError(f"tier must be auto or one of {', '.join(TIERS)}, not {tier!r}")
    worker = TIERS[tier](settings)
    try:
        selftest.check(worker)
    except BaseException:
        worker.close()
        raise
    return worker
