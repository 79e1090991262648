"""The command line of `benchmarks.env`."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.env import report
from benchmarks.env.measure import GOAL, GOAL_ENVS, Case, is_met, rounds, summary
from benchmarks.env.plays import play_vector
from benchmarks.env.record import Recorder
from benchmarks.env.texts import library
from benchmarks.sandbox import machine
from benchmarks.sandbox.measure import WrongAnswer
from gasp_env.sandbox import SandboxError
from gasp_env.sandbox.tiers import AUTO, HELP

ENVS = (1, 8, 64, 256)
#: One round with 256 envs is more than all the others together.
QUICK_ENVS = (1, 8, 64)
#: A single env of `gymnasium.make`, in the report.
SINGLE = "single"
#: The effect of the library is looked at with so many envs.
LIBRARY_ENVS = 16


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = parse(arguments)
    started = time.monotonic()
    found: dict[str, Any] = {
        # Files by their names alone.
        "command": " ".join(["python -m benchmarks.env", *(Path(part).name for part in arguments)]),
        "machine": machine.machine(),
        "versions": versions(),
        "seed": options.seed,
        "quick": options.quick,
    }
    try:
        if options.json:  # before the minutes rather than after them
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.open("a").close()
        measure(found, options)
    except WrongAnswer as wrong:
        print(f"benchmarks.env: {wrong}", file=sys.stderr)
        return 1
    except (SandboxError, OSError) as error:
        print(f"benchmarks.env: {error}", file=sys.stderr)
        return 2
    found["seconds"] = round(time.monotonic() - started, 1)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(report.text(found))
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.env",
        description="How much does the environment cost beyond the runs it asks of the sandbox?",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="where to write the figures")
    parser.add_argument(
        "--quick",
        action="store_true",
        help="fewer rounds and no 256 envs, for a look: under a minute when idle",
    )
    parser.add_argument("--sandbox", choices=("auto", *AUTO), default="auto", metavar="TIER", help=HELP)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="default: one per processor")
    parser.add_argument("--envs", type=int, nargs="+", help="default: 1 8 64 256; with --quick 1 8 64")
    parser.add_argument(
        "--repeats", type=int, help="rounds (default 5; with --quick 2, and 1 from 64 envs on)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of texts and envs (default 0)")
    options = parser.parse_args(arguments)
    options.envs = options.envs or list(QUICK_ENVS if options.quick else ENVS)
    for name, given, least in (
        ("workers", [options.workers], 1),
        ("envs", options.envs, 1),
        ("repeats", [] if options.repeats is None else [options.repeats], 1),
        ("seed", [options.seed], 0),
    ):
        if any(number < least for number in given):
            parser.error(f"--{name}: expected at least {least}, got {min(given)}")
    options.envs = sorted(set(options.envs))
    return options


def plan(options: argparse.Namespace) -> tuple[dict[str, Case], dict[str, int]]:
    """Cases to play, and the number of rounds of each. A play with few envs has several episodes in each."""
    least = 8 if options.quick else 32
    cases = {SINGLE: Case(0, least)}
    cases |= {str(count): Case(count, -(-least // count)) for count in options.envs}
    repeats = options.repeats or (2 if options.quick else 5)
    few = options.quick and options.repeats is None
    return cases, {name: 1 if few and case.count >= GOAL_ENVS else repeats for name, case in cases.items()}


def measure(found: dict[str, Any], options: argparse.Namespace) -> None:
    """Fill in the figures.

    Raises:
        WrongAnswer: the figures would mean nothing.
        gasp_env.sandbox.SandboxError: there is no sandbox.
    """
    cases, repeats = plan(options)
    # Texts of different seeds have no program in common.
    seed = 1 + 1_000_000 * options.seed
    sizes = (0, 1000) if options.quick else (0, 1000, 10_000)
    with contextlib.ExitStack() as stack:
        recorder = stack.enter_context(Recorder(options.sandbox, options.workers))
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        found["sandbox"] = {"tier": recorder.tier, "workers": options.workers, "dedupe": False, "cache": None}
        play_vector(8, recorder, 1, seed - 1)  # unmeasured: imports and compilation at first use
        print("envs ...", file=sys.stderr, flush=True)
        figures = rounds(recorder, cases, repeats, seed)
        print("library ...", file=sys.stderr, flush=True)
        with_library = {}
        for size in sizes:
            path = Path(folder, f"{size}.jsonl")
            library(size, seed - 1).save(path)
            with_library[str(size)] = Case(LIBRARY_ENVS, 1, {"library": path})
        library_repeats = dict.fromkeys(with_library, 1 if options.quick else options.repeats or 3)
        grown = rounds(recorder, with_library, library_repeats, seed + 500_000)
        found["workers_lost"] = recorder.deaths + recorder.retired
    summaries = {name: summary(one) for name, one in figures.items()}
    counts = [str(count) for count in options.envs]
    of_goal = summaries.get(str(GOAL_ENVS))
    found |= {
        "overhead_over_sandbox": {name: summaries[name]["overhead"] for name in counts},
        "rounds": repeats,
        "overhead_over_sandbox_cpu": {name: summaries[name]["overhead_cpu"] for name in counts},
        "own_over_sandbox": {name: summaries[name]["own_over_sandbox"] for name in counts},
        "goal": {
            "envs": GOAL_ENVS,
            "below": GOAL,
            "overhead": of_goal and of_goal["overhead"],
            "own_over_sandbox": of_goal and of_goal["own_over_sandbox"],
            "rounds": repeats.get(str(GOAL_ENVS), 0),
            "met": of_goal and is_met(of_goal),
        },
        "by_envs": summaries,
        "library": {size: summary(one) for size, one in grown.items()},
    }


def versions() -> dict[str, str]:
    """Versions of the interpreter and of the packages that take part."""
    known = machine.versions()
    wanted = ("python", "docker", "docker engine", "bwrap", "numpy")
    packages = {name: metadata.version(name) for name in ("gymnasium", "pettingzoo")}
    return {name: known[name] for name in wanted} | packages


if __name__ == "__main__":
    sys.exit(main())
