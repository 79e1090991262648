"""The tiers: what a worker can be shut in, and which of them this machine offers.

A worker is one process tree with a supervisor, its zygotes and at most one program alive. Every
tier runs the same worker code; they differ in the walls around it. A tier is usable if a worker
opens in it and its forbidden actions fail there, never because some file or version is present.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from gasp_env.sandbox import selftest
from gasp_env.sandbox.docker import DockerWorker
from gasp_env.sandbox.errors import SandboxError
from gasp_env.sandbox.process import BwrapWorker, LandlockWorker, UnsafeWorker


class Worker(Protocol):
    """What a tier provides: a started worker and a stream of frames to and from it.

    Attributes:
        tier: its name.
        hello: what the supervisor said of itself when it was ready.
        identity: hash of what decides a run's result: worker code, interpreter, machine.
    """

    tier: str
    hello: dict[str, Any]
    identity: str

    def fileno(self) -> int:
        """What to poll."""

    def send(self, data: memoryview) -> int:
        """Write what can be written without waiting; WorkerLost if nobody reads."""

    def receive(self) -> list[bytes]:
        """The frames that became complete, without waiting; WorkerLost if there will be no more."""

    def close(self) -> None:
        """End the worker and everything in it."""


@dataclass(frozen=True)
class Settings:
    """What all workers of a sandbox have in common.

    Attributes:
        image: docker image, by default the one made from `sandbox_image`.
        runtime: OCI runtime the docker tier asks the daemon for, such as ``runsc``.
        allow_unsafe: one of the two consents that ``unsafe-subprocess`` asks for.
    """

    image: str | None = None
    runtime: str | None = None
    allow_unsafe: bool = False


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
