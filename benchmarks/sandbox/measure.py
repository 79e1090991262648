"""Measure contenders in turn, round after round, and summarise their figures."""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benchmarks.sandbox.programs import TRIVIAL, Job


class Absent(Exception):
    """A contender cannot take part here; the message says why."""


def first_sentence(error: BaseException) -> str:
    """Shorten an error to its first sentence, without the fix."""
    return (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]


class WrongAnswer(Exception):
    """A contender returned a wrong value for a program: its figures would mean nothing."""


class Contender(Protocol):
    """Something that executes programs.

    Attributes:
        name: in the report.
    """

    name: str

    def open(self) -> None:
        """Get ready; `Absent` if that cannot be."""

    def verify(self, jobs: Sequence[Job]) -> int:
        """Execute all and compare their results; return the number of right ones."""

    def times(self, count: int) -> list[float]:
        """Seconds that each of ``count`` executions of `TRIVIAL` takes, one at a time."""

    def spent(self) -> float | None:
        """Seconds of processor time so far of all that it takes, or None if that is not known."""

    def close(self) -> None:
        """End everything that was started."""


class Timed:
    """Base of contenders that measures their latency from the caller's side."""

    name = ""

    def verify(self, jobs: Sequence[Job]) -> int:
        """As in `Contender`."""
        raise NotImplementedError

    def times(self, count: int) -> list[float]:
        """As in `Contender`."""
        seconds = []
        for _ in range(count):
            started = time.perf_counter()
            right = self.verify([TRIVIAL])
            seconds.append(time.perf_counter() - started)
            demand(self.name, right, 1)
        return seconds

    def spent(self) -> float | None:
        """As in `Contender`."""
        return None


@dataclass
class Figures:
    """Measurements of a contender, an entry a round.

    Attributes:
        rates: verified runs per second.
        cpu_ms: processor time a run.
        cpu_of: source of it: the contender's processes and this one, or, where these are not known,
            that of everything that ran on the machine meanwhile.
        seconds: latencies.
    """

    rates: list[float] = field(default_factory=list)
    cpu_ms: list[float] = field(default_factory=list)
    cpu_of: str = "its processes"
    seconds: list[float] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Summarise for the report."""
        found: dict[str, Any] = {}
        if self.rates:
            found |= {
                "runs_per_s": round(statistics.median(self.rates), 1),
                "all": [round(rate, 1) for rate in self.rates],
                "cpu_ms_per_run": round(statistics.median(self.cpu_ms), 3),
                "cpu_of": self.cpu_of,
            }
        if self.seconds:
            found |= {
                "p50_ms": round(1000 * quantile(self.seconds, 0.5), 3),
                "p99_ms": round(1000 * quantile(self.seconds, 0.99), 3),
                "latency_samples": len(self.seconds),
            }
        return found


def demand(name: str, right: int, asked: int) -> None:
    """Check that all answers are right.

    Raises:
        WrongAnswer: there were others.
    """
    if right != asked:
        raise WrongAnswer(f"{name}: {right} of {asked} programs returned the right value")


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that is not exceeded by this share of them."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, max(0, -int(-share * len(ranked) // 1) - 1))]


def busy_seconds() -> float:
    """Processor time that the whole machine has spent since it started; 0 where that is not to be had."""
    try:
        fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    except OSError:
        return 0.0
    user, nice, system, _idle, _wait, irq, softirq = fields[:7]
    return (user + nice + system + irq + softirq) / 100


def throughput(
    contenders: Mapping[str, Contender], jobs: Mapping[str, Sequence[Job]], rounds: int
) -> dict[str, Figures]:
    """Verified runs per second.

    Args:
        contenders: open, by name.
        jobs: for each the programs of a round.
        rounds: in each every contender has one turn; the first one of the next is another.

    Raises:
        WrongAnswer: a value was not the expected one.
    """
    figures = {name: Figures() for name in contenders}
    names = list(contenders)
    for name in names:  # once unmeasured: caches, lazily started interpreters
        for job in jobs[name]:
            assert job.encoded
        warm_up = jobs[name][: max(1, len(jobs[name]) // 4)]
        demand(name, contenders[name].verify(warm_up), len(warm_up))
    for turn in range(rounds):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            busy, own, started = busy_seconds(), contenders[name].spent(), time.perf_counter()
            right = contenders[name].verify(jobs[name])
            seconds, own_after = time.perf_counter() - started, contenders[name].spent()
            demand(name, right, len(jobs[name]))
            if own is None or own_after is None:
                figures[name].cpu_of = "the machine"
                used = busy_seconds() - busy
            else:
                used = own_after - own
            figures[name].rates.append(right / seconds)
            figures[name].cpu_ms.append(1000 * used / right)
    return figures


def latency(
    contenders: Mapping[str, Contender], samples: Mapping[str, int], rounds: int, figures: dict[str, Figures]
) -> None:
    """Seconds from asking to the answer for a trivial program, one at a time; added to ``figures``.

    Raises:
        WrongAnswer: a value was not the expected one.
    """
    for name, contender in contenders.items():
        contender.times(1)
        figures.setdefault(name, Figures())
    for _ in range(rounds):
        for name, contender in contenders.items():
            figures[name].seconds += contender.times(max(1, samples[name] // rounds))


def ratio(figures: Mapping[str, Figures], above: str, below: str) -> float | None:
    """The median of the ratios of two contenders' throughputs in the same round; None if one is absent."""
    if above not in figures or below not in figures:
        return None
    pairs = zip(figures[above].rates, figures[below].rates, strict=True)
    return round(statistics.median(one / other for one, other in pairs), 3)


def ratio_of_cpu(figures: Mapping[str, Figures], above: str, below: str) -> float | None:
    """The same of runs per second of processor time, which a machine busy with other things hardly changes."""
    if above not in figures or below not in figures or figures[above].cpu_of != figures[below].cpu_of:
        return None
    pairs = zip(figures[above].cpu_ms, figures[below].cpu_ms, strict=True)
    return round(statistics.median(other / one for one, other in pairs), 3)


def median(values: Sequence[float]) -> float:
    """Median, rounded for the report."""
    return round(statistics.median(values), 1)
