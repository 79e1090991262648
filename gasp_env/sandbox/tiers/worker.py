"""What all tiers share: what a worker is, and what those of one sandbox have in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

# Above what is handed out on any machine we know, below Docker's largest; and what fits where the
# daemon maps a container's 65536 user ids to others of the host.
USER_IDS = range(2**16, 2**16 + 2**30)


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
