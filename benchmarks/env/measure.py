"""Envs and the sandbox alone in turn, and figures from their times."""

from __future__ import annotations

import gc
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.env.parts import clocks, shares
from benchmarks.env.plays import Played, play_single, play_vector
from benchmarks.env.record import Answers, Recorder, executions, fewest, same
from benchmarks.sandbox.measure import WrongAnswer, quantile
from gasp_env.domains.python import gate
from gasp_env.sandbox import Sandbox

#: The highest overhead at this many envs that we are content with.
GOAL_ENVS, GOAL = 64, 0.05
#: Fewer rounds get no verdict: with one or two, any other load on the machine decides.
LEAST_ROUNDS = 3


@dataclass(frozen=True)
class Case:
    """A play to be measured.

    Attributes:
        count: envs; 0 stands for a single env of `gymnasium.make`.
        episodes: in each env, one after the other.
        options: of the env.
    """

    count: int
    episodes: int
    options: dict[str, Any] = field(default_factory=dict)

    def play(self, sandbox: Sandbox, seed: int) -> Played:
        """Play it."""
        if self.count == 0:
            return play_single(sandbox, self.episodes, seed, **self.options)
        return play_vector(self.count, sandbox, self.episodes, seed, **self.options)


@dataclass
class Figures:
    """Measurements of a case, an entry a round."""

    env: list[float] = field(default_factory=list)
    sandbox: list[float] = field(default_factory=list)
    env_cpu: list[float] = field(default_factory=list)
    sandbox_cpu: list[float] = field(default_factory=list)
    own: list[float] = field(default_factory=list)
    own_cpu: list[float] = field(default_factory=list)
    host: list[float] = field(default_factory=list)
    sandbox_host: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    plays: list[Played] = field(default_factory=list)
    executed: list[int] = field(default_factory=list)
    parts: dict[str, float] = field(default_factory=dict)


def overhead(env: Sequence[float], sandbox: Sequence[float]) -> float:
    """The median over the rounds of (env - sandbox) / sandbox.

    Args:
        env: seconds of the plays, one a round.
        sandbox: seconds of the same runs given straight to the sandbox, in the same rounds; positive.
    """
    return statistics.median((one - other) / other for one, other in zip(env, sandbox, strict=True))


def is_met(summary: dict[str, Any]) -> bool | None:
    """True if a case reaches the goal; None of fewer than `LEAST_ROUNDS` rounds.

    Other load on the machine may slow either of two plays down, and so make an overhead look small; hence the env's own
    time must be below the goal as well.
    """
    if len(summary["seconds"]["env"]) < LEAST_ROUNDS:
        return None
    return summary["overhead"] < GOAL and summary["own_over_sandbox"] < GOAL


def measure(recorder: Recorder, case: Case, seed: int, figures: Figures) -> None:
    """One round: a play, the same runs given straight to the sandbox, and the play again with recorded answers.

    Raises:
        WrongAnswer: not every run was executed, or one ended otherwise the second time.
    """
    recorder.forget()
    _fresh()
    runs, workers = _counters(recorder), recorder.workers_seconds()
    played = case.play(recorder, seed)
    env_cpu = played.host + recorder.workers_seconds() - workers
    batches, answers = recorder.batches, recorder.answers
    bounds = fewest(batches, answers), executions(batches)
    executed = _demand(recorder, runs, bounds, "the env")
    _reached(played)

    gc.collect()
    runs, workers = _counters(recorder), recorder.workers_seconds()
    host, started = time.process_time(), time.perf_counter()
    again = recorder.straight(batches)
    seconds, host = time.perf_counter() - started, time.process_time() - host
    sandbox_cpu = host + recorder.workers_seconds() - workers
    _demand(recorder, runs, bounds, "the sandbox")
    if not same(answers, again):
        raise WrongAnswer("runs given straight to the sandbox ended otherwise than in the env")

    own, replayed = _own(recorder, case, seed)
    figures.env.append(played.seconds)
    figures.sandbox.append(seconds)
    figures.env_cpu.append(env_cpu)
    figures.sandbox_cpu.append(sandbox_cpu)
    figures.own.append(own)
    figures.own_cpu.append(replayed.host)
    figures.host.append(played.host)
    figures.sandbox_host.append(host)
    figures.steps += played.steps
    figures.plays.append(played)
    figures.executed.append(executed)


def profile(recorder: Recorder, case: Case, seed: int) -> dict[str, float]:
    """Shares of the env's own time by part, in one more play with the answers that were recorded last."""
    with clocks() as running:
        own, _ = _own(recorder, case, seed)
    return shares(running.seconds, own)


def _own(recorder: Recorder, case: Case, seed: int) -> tuple[float, Played]:
    """Seconds of the env if the sandbox takes none, and the play."""
    answers = Answers(recorder)
    _fresh()
    gc.freeze()  # What was recorded is ours: a collection in the env's time must not walk through it.
    try:
        played = case.play(answers, seed)
    finally:
        gc.unfreeze()
    return played.seconds - answers.inside, played


def _fresh() -> None:
    """Clear the traces of earlier plays: cached texts, and garbage."""
    gate._reference_form.cache_clear()
    gc.collect()


def _counters(sandbox: Sandbox) -> tuple[int, int, int]:
    return sandbox.requested, sandbox.runs, sandbox.deaths + sandbox.retired


def _demand(sandbox: Sandbox, before: tuple[int, int, int], bounds: tuple[int, int], who: str) -> int:
    """The executions since: of every run, and none was answered from memory. A worker's death may cost a second one."""
    least, most = bounds
    requested, runs, troubles = (now - then for now, then in zip(_counters(sandbox), before, strict=True))
    if requested != most or runs < least or (runs > most and not troubles):
        raise WrongAnswer(
            f"{who}: {requested} runs asked for and {runs} executed, expected {most} and at least {least}"
        )
    return runs


def _reached(played: Played) -> None:
    """Check that a play long enough for it went through all stages of the guided curriculum."""
    missing = {"lemma", "lift", "attempt", "solve"} - set(played.stages)
    if missing and played.episodes >= 8:
        raise WrongAnswer(f"no episode of {played.episodes} reached {', '.join(sorted(missing))}")


def rounds(
    recorder: Recorder, cases: dict[str, Case], repeats: dict[str, int], seed: int
) -> dict[str, Figures]:
    """Measure all cases, round after round; the one that begins changes.

    Args:
        recorder: open.
        cases: by name.
        repeats: number of rounds that each takes part in.
        seed: of the first texts; every case has its own in every round.

    Raises:
        WrongAnswer: see `measure`.
    """
    figures = {name: Figures() for name in cases}
    names = list(cases)
    for turn in range(max(repeats.values(), default=0)):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            if turn < repeats[name]:
                own_seed = seed + 1000 * turn + names.index(name)
                measure(recorder, cases[name], own_seed, figures[name])
                if turn == repeats[name] - 1:
                    figures[name].parts = profile(recorder, cases[name], own_seed)
    return figures


def summary(figures: Figures) -> dict[str, Any]:
    """The figures as the report has them."""
    plays, played = figures.plays, figures.plays[0]
    seconds = [sum(one.steps) for one in plays]

    def rate(amounts: Sequence[float], times: Sequence[float]) -> float:
        return round(statistics.median(a / t for a, t in zip(amounts, times, strict=True)), 1)

    def rounded(values: Sequence[float]) -> list[float]:
        return [round(value, 4) for value in values]

    return {
        "overhead": round(overhead(figures.env, figures.sandbox), 4),
        "overhead_cpu": round(overhead(figures.env_cpu, figures.sandbox_cpu), 4),
        "own_over_sandbox": round(
            statistics.median(o / s for o, s in zip(figures.own, figures.sandbox, strict=True)), 4
        ),
        "steps_per_s": rate([one.env_steps for one in plays], seconds),
        "texts_per_s": rate([one.texts for one in plays], seconds),
        "runs_per_s": rate(figures.executed, seconds),
        "sandbox_runs_per_s": rate(figures.executed, figures.sandbox),
        "resets_per_s": rate(
            [one.episodes for one in plays],
            [sum(one.resets) for one in plays],
        ),
        "own_ms_per_step": round(
            1000 * statistics.median(o / one.env_steps for o, one in zip(figures.own, plays, strict=True)), 3
        ),
        "own_cpu_ms_per_step": round(
            1000
            * statistics.median(o / one.env_steps for o, one in zip(figures.own_cpu, plays, strict=True)),
            3,
        ),
        "made_s": round(statistics.median(one.made for one in plays), 3),
        "step_ms": {
            "p50": round(1000 * quantile(figures.steps, 0.5), 2),
            "p99": round(1000 * quantile(figures.steps, 0.99), 2),
            "samples": len(figures.steps),
        },
        "in_a_play": {
            "episodes": played.episodes,
            "env_steps": played.env_steps,
            "texts": played.texts,
            "runs_executed": figures.executed[0],
            "stages": dict(played.stages),
            "verdicts": {f"{stage} {verdict}": n for (stage, verdict), n in sorted(played.verdicts.items())},
        },
        "seconds": {
            "env": rounded(figures.env),
            "sandbox": rounded(figures.sandbox),
            "own": rounded(figures.own),
            "own_cpu": rounded(figures.own_cpu),
            "env_cpu": rounded(figures.env_cpu),
            "sandbox_cpu": rounded(figures.sandbox_cpu),
            "env_host_cpu": rounded(figures.host),
            "sandbox_host_cpu": rounded(figures.sandbox_host),
        },
        "own_by_part": figures.parts,
    }
