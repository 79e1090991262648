"""The command line of `benchmarks.sandbox`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.sandbox import breakdown, report, sections
from benchmarks.sandbox.machine import machine, versions
from benchmarks.sandbox.measure import Absent, WrongAnswer
from benchmarks.sandbox.ours import Tier, interpreter
from benchmarks.sandbox.programs import generate
from gasp_env.sandbox import SandboxError

SECTIONS = ("contenders", "humaneval", "scaling", "batch", "cache", "memory")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = parse(arguments)
    started = time.monotonic()
    plan = sections.QUICK if options.quick else sections.FULL
    found: dict[str, Any] = {
        "command": _command(arguments),
        "machine": machine(),
        "versions": versions(),
        "rounds": plan.rounds,
        "workers": options.workers,
    }
    try:
        measure(found, plan, options)
    except WrongAnswer as wrong:
        print(f"error: {wrong}", file=sys.stderr)
        return 1
    except SandboxError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    found["seconds"] = round(time.monotonic() - started, 1)
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(report.text(found))
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sandbox",
        description="How fast is the sandbox, against the fork it needs and against what others do?",
    )
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--quick", action="store_true", help="fewer of everything: under a minute")
    parser.add_argument(
        "--humaneval",
        type=Path,
        default=os.environ.get("GASP_HUMANEVAL"),
        help="humaneval.jsonl (default: $GASP_HUMANEVAL)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=os.cpu_count() or 1,
        help="of each contender (default: the sandbox's, one per processor)",
    )
    parser.add_argument("--profile", action="store_true", help="also what a run spends its time on")
    parser.add_argument("--only", choices=SECTIONS, action="append", help="leave out the other sections")
    options = parser.parse_args(arguments)
    if options.workers < 1:
        parser.error(f"--workers must be at least 1, not {options.workers}")
    options.only = options.only or list(SECTIONS)
    options.humaneval = Path(options.humaneval) if options.humaneval else None
    return options


def _command(arguments: Sequence[str]) -> str:
    """Return the command line, with files by their names alone."""
    return " ".join(["python -m benchmarks.sandbox", *(Path(part).name for part in arguments)])


def measure(found: dict[str, Any], plan: sections.Plan, options: argparse.Namespace) -> None:
    """Fill in the sections that are asked for.

    Raises:
        WrongAnswer: a contender returned something else than the programs return.
    """
    jobs = generate(plan.programs)
    processors = min(options.workers, os.cpu_count() or 1)
    python, version = _floor_python()
    found["versions"]["floor's python"] = version
    todo: dict[str, Callable[[], dict[str, Any]]] = {
        "contenders": lambda: sections.contenders(plan, jobs, options.workers, python),
        "humaneval": lambda: sections.references(plan, options.humaneval, options.workers, python),
        "scaling": lambda: sections.scaling(plan, jobs, python),
        "batch": lambda: sections.batches(plan, jobs, options.workers),
        "cache": lambda: sections.cache(plan, jobs, options.workers),
        "memory": lambda: sections.occupied(jobs[:50]),
        "profile": lambda: breakdown.profile(
            jobs, tier="docker", workers=processors, rounds=plan.side_rounds, python=python
        ),
    }
    wanted = [*options.only, *(["profile"] if options.profile else [])]
    found |= {"contenders": {}, "absent": {}, "ratios": {}, "p99_ms": {}, "seconds_by_section": {}}
    for name in (name for name in todo if name in wanted):
        print(f"{name} ...", file=sys.stderr, flush=True)
        started = time.monotonic()
        try:
            section = todo[name]()
        except Absent as absent:
            section = {"absent": str(absent)}
        found |= section if name == "contenders" else {name: section}
        found["seconds_by_section"][name] = round(time.monotonic() - started, 1)
    ratios = found.get("humaneval", {}).get("all", {}).get("ratios", {})
    for name in ("docker_over_human_eval", "docker_over_evalplus"):
        found["ratios"][name] = ratios.get(name)


def _floor_python() -> tuple[str, str]:
    """Find an interpreter for the floor, of the version that the docker tier runs."""
    tier = Tier("docker", 1)
    try:
        tier.open()
        return interpreter(str(tier.hello.get("python")))
    except Absent:
        return interpreter(None)
    finally:
        tier.close()


if __name__ == "__main__":
    sys.exit(main())
