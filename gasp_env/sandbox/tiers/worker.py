"""The base of all tiers: `Worker`, whose subclasses are the tiers, and the `Settings` of a sandbox.

A tier is a class of workers. It states its facts as class attributes (name, promises, words for the doctor and for
``--help``), and the rest of the sandbox reads them from there, through `tiers.TIERS`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gasp_env.sandbox.errors import SandboxError
from gasp_env.sandbox.tiers.protections import PROTECTIONS

#: User ids for workers: above the ids of any machine we know, below Docker's largest. A range with room for a daemon
#: that maps a container's 65536 user ids to others of the host.
USER_IDS = range(2**16, 2**16 + 2**30)
#: Environment variable that must be "1" for a tier with a risk, beside `Settings.allow_unsafe`.
CONSENT_VARIABLE = "GASP_ENV_ALLOW_UNSAFE"
#: `Settings` that only some tiers accept, as messages name them.
SPECIFIC = {"image": "an image", "runtime": "a runtime"}


@dataclass(frozen=True)
class Settings:
    """Settings that all workers of a sandbox share.

    Attributes:
        image: container image, by default the one built from `sandbox_image`.
        runtime: OCI runtime that the Docker daemon is asked for, such as ``runsc``.
        allow_unsafe: one of the two consents to a tier with a `Worker.risk`.
    """

    image: str | None = None
    runtime: str | None = None
    allow_unsafe: bool = False

    @property
    def specific(self) -> frozenset[str]:
        """Names of the given settings that only some tiers accept, see `Worker.accepts`."""
        return frozenset(name for name in SPECIFIC if getattr(self, name))


class Worker(ABC):
    """A started worker: a process tree with the isolation of one tier, and a stream of frames to and from it.

    Each tier is a subclass. The first attributes are its facts, set on the class; a worker may correct `walls`
    and `fixes` to what it found when it opened.

    Attributes:
        tier: the tier's name.
        summary: the isolation in plain words, a noun phrase.
        promises: names of `protections.PROTECTIONS` that hold in every worker; all, unless a tier says less.
            ``reading`` is promised in addition where Landlock is in force, if anything is promised at all.
        walls: names of `protections.WALLS` that are around it.
        fixes: advice for this tier in place of the general one, by protection or by missing profile.
        auto: True if ``auto`` tries the tier.
        risk: the risk that a user must consent to, twice; empty if the tier needs no consent.
        accepts: names of the `SPECIFIC` settings that it accepts.

        hello: the supervisor's first message, which describes it.
        identity: hash of everything that decides a run's result: worker code, interpreter, machine.
    """

    tier: str = ""
    summary: str = ""
    promises: frozenset[str] = frozenset(PROTECTIONS)
    walls: frozenset[str] = frozenset()
    fixes: Mapping[str, str] = {}
    auto: bool = True
    risk: str = ""
    accepts: frozenset[str] = frozenset()

    hello: dict[str, Any]
    identity: str

    def __init__(self, settings: Settings) -> None:
        """Check the consent to the tier's risk; a subclass then opens the worker.

        Raises:
            SandboxError: the tier does not work on this machine, or lacks consent; the message names the fix.
        """
        if self.risk and not (settings.allow_unsafe and os.environ.get(CONSENT_VARIABLE) == "1"):
            raise SandboxError(
                f"the tier {self.tier} is {self.summary}: {self.risk}. If that is what you want, say so twice: "
                f"allow_unsafe=True (--allow-unsafe) and {CONSENT_VARIABLE}=1 in the environment"
            )
        self.hello = {}
        self.identity = ""

    @abstractmethod
    def fileno(self) -> int:
        """Return the descriptor to poll."""

    @abstractmethod
    def send(self, data: memoryview) -> int:
        """Write without waiting; return the number of bytes written.

        Raises:
            WorkerLost: the worker does not read any more.
        """

    @abstractmethod
    def receive(self) -> list[bytes]:
        """Return the frames that are complete, without waiting.

        Raises:
            WorkerLost: the worker has ended, or what it sent cannot be read.
        """

    @abstractmethod
    def close(self) -> None:
        """End the worker with everything in it."""
