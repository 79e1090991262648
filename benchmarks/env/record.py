"""A sandbox that records an env's runs, and one that answers from that record."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from typing import Any

from benchmarks.sandbox import accounts
from benchmarks.sandbox.measure import WrongAnswer
from gasp_env.sandbox import Result, Run, Sandbox


def executions(batches: Iterable[Iterable[Run]]) -> int:
    """Most interpreters that these runs take: one each, or one a call where calls must be apart."""
    return sum(max(1, len(run.inputs)) if run.fresh else 1 for batch in batches for run in batch)


def fewest(batches: Sequence[Sequence[Run]], answers: Sequence[Sequence[Result]]) -> int:
    """Fewest interpreters that they take: where calls are apart, those after one that failed may be left out."""
    return sum(
        max(1, len(result.calls)) if run.fresh else 1
        for batch, results in zip(batches, answers, strict=True)
        for run, result in zip(batch, results, strict=True)
    )


class Recorder(Sandbox):
    """Executes like any sandbox, equal runs as often as asked and nothing from a cache, and keeps its runs and answers.

    Attributes:
        batches: the runs of each call of `run_many` since the last `forget`.
        answers: their results.
        inside: seconds spent in those calls.
    """

    def __init__(self, tier: str = "auto", workers: int | None = None) -> None:
        super().__init__(tier, workers, dedupe=False)
        self._accounts = accounts.Workers(self)
        self._children = 0.0
        self.forget()

    def __enter__(self) -> Recorder:
        self.open()
        return self

    def forget(self) -> None:
        """Begin again with nothing recorded."""
        self.batches: list[list[Run]] = []
        self.answers: list[list[Result]] = []
        self.inside = 0.0

    def run_many(self, runs: Iterable[Run]) -> list[Result]:
        """See `Sandbox.run_many`."""
        batch = list(runs)
        started = time.perf_counter()
        results = super().run_many(batch)
        self.inside += time.perf_counter() - started
        self.batches.append(batch)
        self.answers.append(results)
        self._children += sum(result.cpu_seconds for result in results)
        return results

    def straight(self, batches: Sequence[Sequence[Run]]) -> list[list[Result]]:
        """Execute batches, one after the other, and record nothing."""
        answers = [super(Recorder, self).run_many(batch) for batch in batches]
        self._children += sum(result.cpu_seconds for batch in answers for result in batch)
        return answers

    def workers_seconds(self) -> float:
        """Processor time of the workers so far, with all they executed; that of this process is not in it."""
        return sum(self._accounts.by_kind().values()) + self._children


class Answers(Sandbox):
    """Answers the recorded batches as they were answered before. The time of an env with it is the env's own.

    Attributes:
        inside: seconds spent here.
    """

    def __init__(self, recorder: Recorder) -> None:
        """Take the present record; the recorder may forget it."""
        super().__init__(recorder.tier)
        self._batches, self._answers = recorder.batches, recorder.answers
        self._tier_answered = recorder.tier
        self._next = 0
        self.inside = 0.0

    @property
    def tier(self) -> str:
        """The tier that gave the answers."""
        return self._tier_answered

    def open(self) -> None:
        """Nothing is started."""

    def run_many(self, runs: Iterable[Run]) -> list[Result]:
        """Return the recorded results.

        Raises:
            WrongAnswer: the runs are not the recorded ones, so that the figures would mean nothing.
        """
        asked = list(runs)
        started = time.perf_counter()
        number, self._next = self._next, self._next + 1
        if number >= len(self._batches) or asked != self._batches[number]:
            raise WrongAnswer(f"played again, the env asks for other runs in batch {number}")
        results = self._answers[number]
        self.inside += time.perf_counter() - started
        return results


def same(left: Sequence[Sequence[Result]], right: Sequence[Sequence[Result]]) -> bool:
    """True if two executions of the same batches ended alike: statuses and values, not times."""

    def told(answers: Sequence[Sequence[Result]]) -> list[Any]:
        return [[(result.status, result.calls) for result in batch] for batch in answers]

    return told(left) == told(right)
