"""Calls that must not know of each other: a run whose every call has an interpreter of its own.

Calls of one run share a process, so what one leaves behind (a global, a cache, a patched module)
the next one finds. `Run.fresh` asks for the answer that each call would give alone. Such a run is
executed as one run a call, and its result put together here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from gasp_env.sandbox.runs import Result, Run, Status


class Parts:
    """Runs taken apart into what is executed, and results put together again.

    Attributes:
        runs: what is executed, the parts of each run next to each other.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        """Take runs apart."""
        self.runs: list[Run] = []
        self._places: list[range] = []  # of every run's parts in `runs`
        self._owners: list[int] = []
        for number, run in enumerate(runs):
            start = len(self.runs)
            self.runs += split(run)
            self._places.append(range(start, len(self.runs)))
            self._owners += [number] * (len(self.runs) - start)
        self._taken: dict[int, dict[int, Result]] = {}

    def gather(self, results: Sequence[Result]) -> list[Result]:
        """The results of the runs, from those of all parts."""
        return [merge(results[place.start : place.stop]) for place in self._places]

    def take(self, position: int, result: Result) -> tuple[int, Result] | None:
        """Take the result of one part; if it was the last of its run, that run's number and result."""
        owner = self._owners[position]
        taken = self._taken.setdefault(owner, {})
        taken[position] = result
        place = self._places[owner]
        if len(taken) < len(place):
            return None
        del self._taken[owner]
        return owner, merge([taken[part] for part in place])


def split(run: Run) -> tuple[Run, ...]:
    """The runs that answer this one: itself, or if it is to be ``fresh`` one for each call."""
    if not run.fresh or len(run.inputs) <= 1:
        return (run,)
    return tuple(replace(run, inputs=(arguments,)) for arguments in run.inputs)


def merge(results: Sequence[Result]) -> Result:
    """The result of a run from those of its parts, in order.

    The first part that did not end well decides the status, as the first call does in a run that is
    not split; parts after one that has no call to show are left out of ``calls``. Times and output
    are summed, memory is the largest. If any part was not executed, nothing was.
    """
    if len(results) == 1:
        return results[0]
    for part in results:
        if part.status is Status.INFRA_ERROR:
            return part
    failed = next((part for part in results if part.status is not Status.OK), None)
    tiers = {part.tier for part in results if part.tier}
    return Result(
        status=failed.status if failed else Status.OK,
        calls=tuple(part.calls[0] for part in _reached(results)),
        error=failed.error if failed else "",
        stdout="".join(part.stdout for part in results),
        stderr="".join(part.stderr for part in results),
        cpu_seconds=sum(part.cpu_seconds for part in results),
        wall_seconds=sum(part.wall_seconds for part in results),
        memory_bytes=max(part.memory_bytes for part in results),
        output_bytes=sum(part.output_bytes for part in results),
        tier=tiers.pop() if tiers else "",
    )


def _reached(results: Iterable[Result]) -> Iterable[Result]:
    for part in results:
        if not part.calls:
            return
        yield part
