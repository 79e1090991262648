"""Calls that must not know of each other: a run whose every call has an interpreter of its own.

Calls of one run share a process, so what one leaves behind (a global, a cache, a patched module)
the next one finds. `Run.fresh` asks for the answer that each call would give alone. Such a run is
executed as one run a call, and its result put together here. The first call that fails decides it, so those
after it may be left out: a run's parts are a series, see `Run.series`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from gasp_env.sandbox import frames
from gasp_env.sandbox.runs import Result, Run, Status
from sandbox_image.worker import codec


class Parts:
    """Runs taken apart into what is executed, and results put together again.

    Attributes:
        runs: what is executed, the parts of each run next to each other.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        """Take runs apart.

        Raises:
            Unserializable: an input is no exact built-in value.
            ValueError: a run is one that no sandbox could be asked.
        """
        self.runs: list[Run] = []
        self._places: list[range] = []  # of every run's parts in `runs`
        self._owners: list[int] = []
        for number, run in enumerate(runs):
            start = len(self.runs)
            parts = split(run)
            for part in parts:
                frames.check(part)
            if len(parts) > 1 and not run.series:
                name = _name(parts)  # equal runs have equal parts, so that they are executed once
                parts = tuple(replace(part, series=name) for part in parts)
            self.runs += parts
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
    not split, and is the last that shows in ``calls`` and in what was printed: those after it may not have
    been executed. Times are summed over what was, memory is the largest. If the sandbox failed at any
    part, it failed.
    """
    if len(results) == 1:
        return results[0]
    for part in results:
        if part.status is Status.INFRA_ERROR:
            return part
    ends = next((at for at, part in enumerate(results) if part.status is not Status.OK), len(results) - 1)
    told, last = results[: ends + 1], results[ends]
    tiers = {part.tier for part in results if part.tier}
    return Result(
        status=last.status,
        calls=tuple(call for part in told for call in part.calls),
        error=last.error,
        stdout="".join(part.stdout for part in told),
        stderr="".join(part.stderr for part in told),
        cpu_seconds=sum(part.cpu_seconds for part in results),
        wall_seconds=sum(part.wall_seconds for part in results),
        memory_bytes=max(part.memory_bytes for part in results),
        output_bytes=sum(part.output_bytes for part in told),
        tier=tiers.pop() if tiers else "",
    )


def _name(parts: Sequence[Run]) -> str:
    """What is the same for equal runs only. Values that compare equal may differ, their encodings then do too."""
    run = parts[0]
    head = repr((run.program, run.entry, run.hash_seed, run.limits, run.profile))
    digest = hashlib.sha256(head.encode("utf-8", "surrogatepass"))
    for part in parts:
        arguments = codec.encode(tuple(part.inputs[0]), keep_order=True)
        digest.update(len(arguments).to_bytes(8, "big") + arguments)
    return f"calls of {digest.hexdigest()}"
