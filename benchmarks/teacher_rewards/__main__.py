"""The command line of `benchmarks.teacher_rewards`."""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import torch

import benchmarks.teacher_rewards as package
from benchmarks.teacher_rewards import report, rescore
from benchmarks.teacher_rewards.loop import FROZEN, SHUFFLED, Arm, Measured, Plan, TrainOn
from gasp_env.sandbox import Sandbox, SandboxError
from gasp_env.sandbox.tiers import CHOICES, HELP

NOT_YET = (
    "the measured comparison, which trains the miniature through `learners` once per reward and seed, is not in this "
    "command yet; pass --simulate for the simulated one (item-response model), or --rescore RUN"
)
DEFAULT = {"gasp": "gasp", "azr": "azr_paper"}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    plan = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.teacher_rewards",
        description="Which teacher reward does more for the student? By SIMULATION, without a language model; or what "
        "would each have paid for in a run that was made?",
    )
    parser.add_argument("--simulate", action="store_true", help="compare by training simulated students")
    parser.add_argument(
        "--rescore",
        type=Path,
        metavar="RUN",
        help="compute --rewards on the proposals of a run's stored episodes: its directory, or a file of episodes",
    )
    parser.add_argument("--sandbox", choices=CHOICES, default="auto", help=f"for --rescore; {HELP}")
    parser.add_argument(
        "--trust", action="store_true", help="for --rescore: import code of its own that the run names"
    )
    parser.add_argument(
        "--rewards",
        nargs="+",
        metavar="NAME",
        help=f"names, file.py:name, {FROZEN} (the teacher never learns), {SHUFFLED}:NAME (its rewards are dealt out at "
        "random); the first is what the others are compared with",
    )
    parser.add_argument(
        "--controls", action="store_true", help=f"add {FROZEN}, {SHUFFLED}:FIRST, const_valid and random"
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--curriculum", choices=tuple(DEFAULT), default="gasp")
    parser.add_argument(
        "--updates", type=int, default=plan.updates, help="of full episodes (default: %(default)s)"
    )
    parser.add_argument(
        "--episodes", type=int, default=plan.episodes, help="an update (default: %(default)s)"
    )
    parser.add_argument("--attempts", type=int, default=plan.attempts, help="n (default: %(default)s)")
    parser.add_argument("--train-on", choices=get_args(TrainOn), default=plan.train_on)
    parser.add_argument("--student-rate", type=float, default=plan.student_rate)
    parser.add_argument("--teacher-rate", type=float, default=plan.teacher_rate)
    parser.add_argument(
        "--start",
        type=float,
        default=plan.start,
        help="mean offset of lemmas from goalposts at first, in logits: -7 is easy for the student, -3 hard "
        "(default: %(default)s)",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="where to write everything")
    parser.add_argument("--figure", type=Path, metavar="OUT", help=".svg, .png or .pdf to draw")
    options = parser.parse_args(arguments)
    for name, least in (("seeds", 1), ("first_seed", 0), ("updates", 1), ("episodes", 2), ("attempts", 1)):
        if getattr(options, name) < least:
            parser.error(
                f"expected --{name.replace('_', '-')} of at least {least}, got {getattr(options, name)}"
            )
    for name in ("student_rate", "teacher_rate"):
        if not 0 <= getattr(options, name) < 100:
            parser.error(f"expected --{name.replace('_', '-')} in [0, 100), got {getattr(options, name)}")
    if not -50 <= options.start <= 50:
        parser.error(f"expected --start in [-50, 50], got {options.start}")
    chosen = options.rewards or [DEFAULT[options.curriculum]]
    if chosen[0] == FROZEN or chosen[0].startswith(SHUFFLED):
        parser.error(f"expected the first of --rewards to be a reward, got {chosen[0]!r}, which is a control")
    if options.controls:
        chosen = [*chosen, FROZEN, f"{SHUFFLED}:{chosen[0]}", "const_valid", "random"]
    options.rewards = list(dict.fromkeys(chosen))
    return options


def compare(options: argparse.Namespace, plan: Plan) -> list[Measured]:
    """Play every reward at every seed.

    Raises:
        ValueError: a reward is unknown, has needs that are not met here, or failed.
    """
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    # All are looked up before the first is played: a misspelt last name should not cost a minute.
    for name in options.rewards:
        Arm(name, plan, 0, options.rewards[0])
    runs = []
    for name in options.rewards:
        for seed in seeds:
            started = time.monotonic()
            runs.append(Arm(name, plan, seed, options.rewards[0]).run())
            goal = runs[-1].metrics[report.PRIMARY]
            seconds = time.monotonic() - started
            print(f"{name} seed {seed}: goal p {goal:.3f}, {seconds:.1f} s", file=sys.stderr, flush=True)
    return runs


def rescored(options: argparse.Namespace) -> int:
    """Run the command line's ``--rescore``; returns the exit status."""
    try:
        with Sandbox(options.sandbox) as sandbox:
            updates, own = rescore.read(options.rescore, sandbox, trust=options.trust)
        # The default of --rewards is no choice.
        rows = rescore.rescore(updates, [own, *(name for name in options.rewards if name != own)])
    except (ValueError, OSError, SandboxError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    print(rescore.table(rows, updates))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps({"rewards": rows}, indent=1) + "\n", encoding="utf-8")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = parse(arguments)
    if options.rescore is not None:
        return rescored(options)
    if not options.simulate:
        print(f"error: {NOT_YET}", file=sys.stderr)
        return 2
    plan = Plan(
        options.curriculum, options.updates, options.episodes, options.attempts, options.train_on,
        options.student_rate, options.teacher_rate, options.start,
    )  # fmt: skip
    started = time.monotonic()
    try:
        runs = compare(options, plan)
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    arms = report.summarise(runs, options.rewards)
    seconds = time.monotonic() - started
    print(report.NOTICE + "\n")
    print(report.table(arms) + "\n")
    print(report.CAVEAT)
    print(
        f"{options.seeds} seeds, curriculum {plan.curriculum}, {plan.budget} samples each (teacher and student "
        f"together), {seconds:.0f} s"
    )
    try:
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            found = _record(arguments, plan, runs, arms, seconds)
            options.json.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        if options.figure:
            options.figure.parent.mkdir(parents=True, exist_ok=True)
            report.draw(runs, arms, plan, options.figure)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _record(
    arguments: Sequence[str],
    plan: Plan,
    runs: Sequence[Measured],
    arms: Sequence[dict[str, Any]],
    seconds: float,
) -> dict[str, Any]:
    """All of it, as JSON-able values, with files by their names alone."""
    return {
        "simulation": True,
        "notice": report.NOTICE,
        "assumptions": package.__doc__,
        "command": " ".join(
            ["python -m benchmarks.teacher_rewards", *(Path(part).name for part in arguments)]
        ),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "seconds": round(seconds, 1),
        "plan": {**asdict(plan), "budget": plan.budget},
        "metrics": {name: text for name, (_, _, text) in report.METRICS.items()},
        "interval": report.INTERVAL,
        "arms": arms,
        "runs": [run.record() for run in runs],
    }


if __name__ == "__main__":
    # The tensors are tiny: threads would only wait for each other.
    torch.set_num_threads(1)
    sys.exit(main())
