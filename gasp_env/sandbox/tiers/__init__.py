"""The tiers: kinds of isolation for a worker. `TIERS` registers them.

A worker is one process tree: a supervisor, its zygotes, and at most one program at a time. Every
tier runs the same worker code; tiers differ in the isolation around it. A tier is usable if a worker
opens and passes the self-test, which tries forbidden actions. The presence of a file or a version proves nothing.

To add a tier, write a subclass of `Worker` in a file of its own (`StreamWorker`, `ProcessWorker` and `DockerWorker`
do most of the work), state its facts as class attributes, and add the class to `TIERS`. The sandbox, the self-test,
the doctor and the ``--tier`` options read the facts from the class.
"""

from __future__ import annotations

from collections.abc import Callable

from gasp_env.sandbox.errors import SandboxError
from gasp_env.sandbox.tiers import selftest
from gasp_env.sandbox.tiers.docker import DockerWorker
from gasp_env.sandbox.tiers.process import BwrapWorker, LandlockWorker, UnsafeWorker
from gasp_env.sandbox.tiers.worker import SPECIFIC, Settings, Worker

#: Tiers by name, safest first.
TIERS: dict[str, type[Worker]] = {
    worker.tier: worker
    for worker in (
        DockerWorker,
        BwrapWorker,
        LandlockWorker,
        UnsafeWorker,
    )
}
#: Tiers that ``auto`` tries, in this order.
AUTO = tuple(name for name, worker in TIERS.items() if worker.auto)
#: Names that can be asked for.
CHOICES = ("auto", *TIERS)
#: Text for the ``--help`` of options that take a tier.
HELP = "isolation: auto (default) is the first of {} and {} that works".format(", ".join(AUTO[:-1]), AUTO[-1])


def resolve(tier: str, settings: Settings) -> str:
    """Check a request, and return the tier that it means.

    ``auto`` with a setting that only some tiers accept means the first of `AUTO` that accepts it.

    Raises:
        ValueError: there is no such tier, or it does not accept the settings.
    """
    _check_name(tier)
    if not settings.specific:
        return tier
    accepting = [name for name, worker in TIERS.items() if settings.specific <= worker.accepts]
    matching = [name for name in accepting if tier == name or (tier == "auto" and name in AUTO)]
    if not matching:
        given = " and ".join(SPECIFIC[name] for name in sorted(settings.specific))
        raise ValueError(f"only the tier {' or '.join(accepting)} takes {given}, not {tier}")
    return matching[0]


def open_worker(tier: str, settings: Settings, warn: Callable[[str], None] = lambda text: None) -> Worker:
    """Open a worker of a tier, or of the first of `AUTO` in which one opens, and check that it keeps its promises.

    Safe to call from several threads at once.

    Args:
        tier: its name, or ``auto``.
        settings: of the worker.
        warn: is told why tiers before the one that ``auto`` has come to did not open.

    Raises:
        SandboxError: no worker opens here; the message names the fix.
        ValueError: there is no such tier.
    """
    _check_name(tier)
    if tier != "auto":
        return _open(tier, settings)
    reasons = []
    for name in AUTO:
        try:
            worker = _open(name, settings)
        except SandboxError as error:
            reasons.append(f"  {name}: {error}")
            continue
        if reasons:
            warn(
                f"programs run in the {name} sandbox, because safer ones cannot be opened here (sandbox={name!r} "
                "chooses it without this warning):\n" + "\n".join(reasons)
            )
        return worker
    raise SandboxError(
        "no sandbox can be opened on this machine, and no program is executed without one. Any of these would do:\n"
        + "\n".join(reasons)
    )


def _open(tier: str, settings: Settings) -> Worker:
    worker = TIERS[tier](settings)
    try:
        selftest.check_promises(worker)
    except BaseException:
        worker.close()
        raise
    return worker


def _check_name(tier: str) -> None:
    if tier != "auto" and tier not in TIERS:
        raise ValueError(f"tier must be auto or one of {', '.join(TIERS)}, not {tier!r}")
