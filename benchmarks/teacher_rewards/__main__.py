"""The command line of `benchmarks.teacher_rewards`."""

from __future__ import annotations

import argparse
import json
import platform
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import torch

import benchmarks.teacher_rewards as package
from benchmarks.sandbox import machine
from benchmarks.teacher_rewards import report, rescore, train, trained
from benchmarks.teacher_rewards.loop import FROZEN, SHUFFLED, Arm, Measured, Plan, TrainOn
from gasp_env.sandbox import Sandbox, SandboxError
from gasp_env.sandbox.tiers import CHOICES, HELP
from learners.command_line import INTERRUPTED

CHOOSE = (
    "choose one of --policy POLICY (train it with each reward), --simulate (train formulas with each reward) and "
    "--rescore RUN (compute each reward on a run that was made)"
)
#: Options of one of the three questions that the others do not have.
SIMULATED = (
    "--curriculum", "--updates", "--episodes", "--attempts", "--train-on", "--student-rate", "--teacher-rate",
    "--start", "--figure",
)  # fmt: skip
TRAINED = ("--tokens", "--runs", "--jobs")
DEFAULT = {"gasp": "gasp", "azr": "azr_paper"}


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    plan = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.teacher_rewards",
        description="Which teacher reward does more for the student? By training a policy with each; by SIMULATION, "
        "without a model; or what would each have paid for in a run that was made?",
        epilog="With --policy, options that are not listed here are the learner's and its policy's (python -m "
        "learners.reinforcepp --help); all behind a -- are, whatever their names: --policy transformers --model PATH "
        "--tokens 2000000 --rewards gasp frozen -- --episodes 32 --curriculum gasp",
        allow_abbrev=False,
    )
    question = parser.add_mutually_exclusive_group()
    question.add_argument(
        "--policy",
        metavar="POLICY",
        help="compare by self-play of this policy (miniature, transformers, ...): one run of the learner for each "
        "reward and seed",
    )
    question.add_argument("--simulate", action="store_true", help="compare by training simulated students")
    question.add_argument(
        "--rescore",
        type=Path,
        metavar="RUN",
        help="compute --rewards on the proposals of a run's stored episodes: its directory, or a file of episodes",
    )
    parser.add_argument(
        "--tokens",
        type=int,
        metavar="N",
        help="for --policy: budget of every run in sampled tokens, those of both roles and every stage; a run ends "
        "after the update that reaches it",
    )
    parser.add_argument(
        "--runs",
        type=Path,
        default=Path("runs/teacher_rewards"),
        metavar="FOLDER",
        help="for --policy: where the runs lie (default: %(default)s); finished ones are not made again, unfinished "
        "ones go on",
    )
    parser.add_argument(
        "--jobs",
        type=int,
        default=1,
        help="for --policy: runs at once, of one thread each (default: %(default)s)",
    )
    parser.add_argument(
        "--sandbox", choices=CHOICES, default="auto", help=f"for --policy and --rescore; {HELP}"
    )
    parser.add_argument(
        "--trust", action="store_true", help="for --rescore: import code of its own that the run names"
    )
    parser.add_argument(
        "--rewards",
        nargs="+",
        metavar="NAME",
        help=f"names, file.py:name, {FROZEN} (the teacher never learns), {SHUFFLED}:NAME (its rewards are dealt out at "
        "random); the first is what the others are compared with. A file that has been changed makes no other runs of "
        "those that were made: choose another --runs. With --policy both roles train one set of weights, "
        f"but in {FROZEN}, whose teacher keeps those of the start; -- --weights by_role gives each its own in all",
    )
    parser.add_argument(
        "--controls", action="store_true", help=f"add {FROZEN}, {SHUFFLED}:FIRST, const_valid and random"
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds (default: %(default)s)")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument(
        "--curriculum", choices=tuple(DEFAULT), default="gasp", help="this and the next are for --simulate"
    )
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
    words, learner = list(arguments), list[str]()
    if "--" in words:
        at = words.index("--")
        words, learner = words[:at], words[at + 1 :]
    options, unknown = parser.parse_known_args(words)
    options.learner = [*unknown, *learner]
    given = {word.partition("=")[0] for word in words}
    if options.policy is None and options.learner:
        parser.error(f"unrecognized arguments: {' '.join(options.learner)}")
    for name in SIMULATED if options.policy is not None else TRAINED:
        if name in given and options.policy is not None:
            parser.error(f"{name} is an option of --simulate; one of the learner has its place behind a --")
        if name in given:
            parser.error(f"{name} is an option of --policy")
    if options.policy is not None and options.tokens is None:
        parser.error("expected --tokens N with --policy, the budget of every run")
    for name, least in (
        ("seeds", 1), ("first_seed", 0), ("updates", 1), ("episodes", 2), ("attempts", 1), ("tokens", 1), ("jobs", 1),
    ):  # fmt: skip
        if getattr(options, name) is not None and getattr(options, name) < least:
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
    if not all(chosen):
        parser.error("expected names in --rewards, got an empty one")
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


def compared(options: argparse.Namespace, arguments: Sequence[str]) -> int:
    """Run the command line's ``--policy``; returns the exit status: 1 if a run failed, after those that did not."""
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    found = {
        **machine.head("benchmarks.teacher_rewards", arguments, "torch"),
        "policy": options.policy,
        "tokens": options.tokens,
        "metrics": {name: text for name, (_, _, text) in trained.METRICS.items()},
        "interval": report.INTERVAL,
    }
    started = time.monotonic()
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        runs = train.plan(
            options.rewards, seeds, policy=options.policy, tokens=options.tokens, runs=options.runs,
            sandbox=options.sandbox, learner=options.learner,
        )  # fmt: skip
        if options.json:  # before the hours rather than after them
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.open("a").close()
        failed = train.train(runs, options.jobs, lambda text: print(text, file=sys.stderr, flush=True))
        made = []
        for run in runs:
            if run.args.name not in failed:
                try:
                    made.append(trained.read(run))
                except (ValueError, OSError) as error:
                    failed[run.args.name] = str(error)
        arms = trained.summarise(made, options.rewards)
        found |= {"seconds": round(time.monotonic() - started, 1), "arms": arms}
        found |= {"runs": [one.record() for one in made], "failed": failed}
        if options.json:
            text = json.dumps(found, indent=1, allow_nan=False) + "\n"
            options.json.write_text(text, encoding="utf-8")
    except (ValueError, OSError, SystemExit) as error:
        if isinstance(error, SystemExit) and not isinstance(error.code, str):
            raise  # the line was printed already
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("interrupted; the same command goes on", file=sys.stderr)
        return INTERRUPTED
    finally:
        signal.signal(signal.SIGTERM, before)
    named = ", ".join(map(str, seeds))
    print(
        f"policy {options.policy}, {options.tokens:,} sampled tokens a run (measurements not counted), seeds {named}\n"
    )
    print(trained.table(arms))
    for name, line in failed.items():
        print(f"error: {name} failed: {line}", file=sys.stderr)
    return 1 if failed else 0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = parse(arguments)
    if options.rescore is not None:
        return rescored(options)
    if options.policy is not None:
        return compared(options, arguments)
    if not options.simulate:
        print(f"error: {CHOOSE}", file=sys.stderr)
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
