"""The sections of the report, each measured by itself."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.sandbox import humaneval, memory, verdicts
from benchmarks.sandbox.measure import (
    Absent,
    Contender,
    Figures,
    WrongAnswer,
    first_sentence,
    latency,
    median,
    ratio,
    ratio_of_cpu,
    throughput,
)
from benchmarks.sandbox.ours import Floor, Tier
from benchmarks.sandbox.peers import AzrPool, DockerExec, DockerRun, Subprocess
from benchmarks.sandbox.programs import Job
from gasp_env.sandbox import Sandbox, SandboxError
from gasp_env.sandbox.tiers import AUTO


@dataclass(frozen=True)
class Plan:
    """Amounts of everything.

    Attributes:
        programs: different programs a round, for the contenders that are fast.
        few: programs a round for the others, by name.
        rounds: turns of each contender.
        samples: latencies taken of a fast contender, and of a slow one.
        verdict_rounds: turns of each contender at HumanEval's references.
        wrong: wrong solutions of HumanEval's problems to be judged.
        side_rounds: turns in the sections on workers, batches and the cache.
    """

    programs: int = 600
    few: dict[str, int] | None = None
    rounds: int = 15
    samples: tuple[int, int] = (2000, 60)
    verdict_rounds: int = 3
    wrong: int = 164
    side_rounds: int = 5

    def jobs(self, name: str, jobs: Sequence[Job]) -> Sequence[Job]:
        """Return the programs that this contender executes in a round."""
        slow = {"subprocess": 100, "docker exec": 24, "docker run": 6} | (self.few or {})
        return jobs[: slow.get(name, len(jobs))]


FULL = Plan()
QUICK = Plan(
    programs=128,
    few={"subprocess": 16, "docker exec": 4, "docker run": 2},
    rounds=3,
    samples=(150, 3),
    verdict_rounds=1,
    wrong=20,
    side_rounds=2,
)


def contenders(plan: Plan, jobs: Sequence[Job], workers: int, python: str) -> dict[str, Any]:
    """Throughput and latency of all."""

    def everyone(workers: int) -> list[Contender]:
        return [
            Floor(workers, jobs, python=python),
            *(Tier(name, workers) for name in AUTO),
            AzrPool(workers),
            Subprocess(workers, python),
            DockerExec(workers),
            DockerRun(workers),
        ]

    figures: dict[str, Figures] = {}
    with _Opened(everyone(workers)) as present:
        todo = {name: plan.jobs(name, jobs) for name in present.contenders}
        figures |= throughput(present.contenders, todo, plan.rounds)
        absent = present.absent
    with _Opened(everyone(1)) as present:
        fast, slow = plan.samples
        counts = {
            name: slow if name in ("docker exec", "docker run") else fast for name in present.contenders
        }
        counts["subprocess"] = counts.get("subprocess", 0) // 4
        latency(present.contenders, counts, plan.rounds, figures)
    summaries = {name: one.summary() for name, one in figures.items()}
    ratios = {f"{name}_over_floor": ratio(figures, name, "floor") for name in AUTO if name in figures} or {
        "docker_over_floor": None
    }
    ratios["docker_over_floor_cpu"] = ratio_of_cpu(figures, "docker", "floor")
    for name in figures:
        if name not in (*AUTO, "floor"):
            ratios[f"docker_over_{name.replace(' ', '_')}"] = ratio(figures, "docker", name)
    return {
        "contenders": summaries,
        "absent": absent,
        "ratios": ratios,
        "p99_ms": {name: summary["p99_ms"] for name, summary in summaries.items() if "p99_ms" in summary},
    }


def references(plan: Plan, path: Path | None, workers: int, python: str) -> dict[str, Any]:
    """Verdicts on HumanEval's reference solutions, see `verdicts.compare`."""
    if path is None or not path.is_file():
        raise Absent("no data: --humaneval humaneval.jsonl, or GASP_HUMANEVAL")
    try:
        with Sandbox("docker", workers=workers, dedupe=False) as sandbox:
            problems = humaneval.convert(humaneval.read(path), sandbox)
            return verdicts.compare(
                problems,
                sandbox,
                workers=workers,
                rounds=plan.verdict_rounds,
                wrong=plan.wrong,
                python=python,
            )
    except SandboxError as error:
        raise Absent(first_sentence(error)) from error


def scaling(plan: Plan, jobs: Sequence[Job], python: str) -> dict[str, Any]:
    """Verified runs per second of the docker tier and the floor with 1, 2 and 4 workers."""
    contenders: list[Contender] = []
    for workers in (1, 2, 4):
        for one in (Floor(workers, jobs, python=python), Tier("docker", workers)):
            one.name = f"{one.name} {workers}"
            contenders.append(one)
    found = _side(contenders, jobs, plan.side_rounds)
    return {name: {count: found[f"{name} {count}"] for count in (1, 2, 4)} for name in ("floor", "docker")}


def batches(plan: Plan, jobs: Sequence[Job], workers: int) -> dict[str, Any]:
    """Verified runs per second if so many are handed over at once and waited for."""
    sandbox = Sandbox("docker", workers=workers, dedupe=False)
    contenders = [
        _named(Tier("docker", workers, batch=size, sandbox=sandbox), str(size)) for size in (1, 8, 64)
    ]
    return _side(contenders, jobs[: max(64, len(jobs) // 3)], plan.side_rounds)


def cache(plan: Plan, jobs: Sequence[Job], workers: int) -> dict[str, Any]:
    """Verified runs per second without a cache, with one that knows nothing yet, and with one that knows all."""
    found: dict[str, Any] = _side([_named(Tier("docker", workers), "off")], jobs, plan.side_rounds)
    with tempfile.TemporaryDirectory() as folder:
        cold: list[float] = []
        for turn in range(-(-plan.side_rounds // 2)):
            tier = Tier("docker", workers, cache=Path(folder, f"cache-{turn}"))
            with _Opened([_named(tier, "cold")]):
                started = time.perf_counter()
                if tier.verify(jobs) != len(jobs):
                    raise WrongAnswer("a value was not the expected one")
                cold.append(len(jobs) / (time.perf_counter() - started))
        found["cold"] = median(cold)
        warm = Tier("docker", workers, cache=Path(folder, "cache-0"))
        found |= _side([_named(warm, "warm")], jobs, plan.side_rounds)
        found["hits_of_requested"] = [warm.sandbox.hits, warm.sandbox.requested]
    return found


def occupied(jobs: Sequence[Job]) -> dict[str, Any]:
    """Memory of a worker of each tier, see `memory.per_worker`."""
    found: dict[str, Any] = {}
    for tier in AUTO:
        try:
            found[tier] = memory.per_worker(tier, jobs)
        except Absent as absent:
            found[tier] = {"absent": str(absent)}
    return found


def _side(contenders: Sequence[Contender], jobs: Sequence[Job], rounds: int) -> dict[str, Any]:
    with _Opened(contenders) as present:
        if present.absent:
            raise Absent("; ".join(dict.fromkeys(present.absent.values())))
        figures = throughput(present.contenders, dict.fromkeys(present.contenders, jobs), rounds)
    return {name: median(one.rates) for name, one in figures.items()}


def _named(tier: Tier, name: str) -> Tier:
    tier.name = name
    return tier


class _Opened:
    """Contenders that could be opened, by name, and the reason for each of the others; all closed at the end."""

    def __init__(self, contenders: Sequence[Contender]) -> None:
        self._all = contenders
        self.contenders: dict[str, Contender] = {}
        self.absent: dict[str, str] = {}

    def __enter__(self) -> _Opened:
        try:
            for contender in self._all:
                try:
                    contender.open()
                    self.contenders[contender.name] = contender
                except Absent as absent:
                    self.absent[contender.name] = str(absent)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for contender in self._all:
            contender.close()
