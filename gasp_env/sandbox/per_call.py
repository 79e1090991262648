"""Runs whose calls must not influence each other: every call gets an interpreter of its own.

Calls of one run share a process, so the next call finds what an earlier one leaves behind: a global, a cache,
a patched module. `Run.fresh` asks for the answer that each call would give alone. Such a run is split into
one run a call, and the results are merged here. The first call that fails decides the result, so
the calls after it may be skipped: the parts of a run form a series, see `Run.series`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

from gasp_env.sandbox import frames
from gasp_env.sandbox.runs import Result, Run, Status
from sandbox_image.worker import codec


class SplitRuns:
    """Runs split into the parts that are executed; merges the parts' results again.

    Attributes:
        parts: the runs to execute, the parts of each original run next to each other.
    """

    def __init__(self, runs: Iterable[Run]) -> None:
        """Check the runs and split them.

        Raises:
            Unserializable: an input is not made of exact built-in values.
            ValueError: no sandbox can execute a run, see `frames.check_run`.
        """
        self.parts: list[Run] = []
        self._ranges: list[range] = []  # positions in `parts`, by original run
        self._owners: list[int] = []  # original run, by position in `parts`
        for number, run in enumerate(runs):
            start = len(self.parts)
            parts = split(run)
            for part in parts:
                frames.check_run(part)
            if len(parts) > 1 and not run.series:
                # Equal runs get the same name, so that their parts are equal and executed once.
                name = _series_name(parts)
                parts = tuple(replace(part, series=name) for part in parts)
            self.parts += parts
            self._ranges.append(range(start, len(self.parts)))
            self._owners += [number] * (len(self.parts) - start)
        self._received: dict[int, dict[int, Result]] = {}

    def merge_all(self, results: Sequence[Result]) -> list[Result]:
        """Return the results of the original runs, given those of all parts."""
        return [merge(results[positions.start : positions.stop]) for positions in self._ranges]

    def add_result(self, position: int, result: Result) -> tuple[int, Result] | None:
        """Record the result of one part; if it was the last of its run, return that run's number and result."""
        owner = self._owners[position]
        received = self._received.setdefault(owner, {})
        received[position] = result
        positions = self._ranges[owner]
        if len(received) < len(positions):
            return None
        del self._received[owner]
        return owner, merge([received[part] for part in positions])


def split(run: Run) -> tuple[Run, ...]:
    """Return the runs to execute for this one: itself, or one a call if it is ``fresh``."""
    if not run.fresh or len(run.inputs) <= 1:
        return (run,)
    return tuple(replace(run, inputs=(arguments,)) for arguments in run.inputs)


def merge(results: Sequence[Result]) -> Result:
    """Merge the results of a run's parts, in order.

    The first part that failed decides the status, as the first failing call does in a run that is
    not split. It is the last part shown in ``calls`` and in the printed text, because later parts may have been
    skipped. Times are summed over all executed parts, memory is the largest. If the sandbox failed at any
    part, the run is an ``infra_error``.
    """
    if len(results) == 1:
        return results[0]
    for part in results:
        if part.status is Status.INFRA_ERROR:
            return part
    last_at = next((at for at, part in enumerate(results) if part.status is not Status.OK), len(results) - 1)
    shown, last = results[: last_at + 1], results[last_at]
    tiers = {part.tier for part in results if part.tier}
    return Result(
        status=last.status,
        calls=tuple(call for part in shown for call in part.calls),
        error=last.error,
        stdout="".join(part.stdout for part in shown),
        stderr="".join(part.stderr for part in shown),
        cpu_seconds=sum(part.cpu_seconds for part in results),
        wall_seconds=sum(part.wall_seconds for part in results),
        memory_bytes=max(part.memory_bytes for part in results),
        output_bytes=sum(part.output_bytes for part in shown),
        tier=tiers.pop() if tiers else "",
    )


def _series_name(parts: Sequence[Run]) -> str:
    """Name that only equal runs share. Inputs count by their encodings, because ``True == 1``."""
    run = parts[0]
    head = repr((run.program, run.entry, run.hash_seed, run.limits, run.profile))
    digest = hashlib.sha256(head.encode("utf-8", "surrogatepass"))
    for part in parts:
        arguments = codec.encode(tuple(part.inputs[0]), keep_order=True)
        digest.update(len(arguments).to_bytes(8, "big") + arguments)
    return f"calls of {digest.hexdigest()}"
