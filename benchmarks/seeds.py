"""Runs of a learner that differ in one option, over several seeds: means, spread, and what the option changed.

python -m benchmarks.seeds --arm both runs/both-* --arm solve runs/solve-*
python -m benchmarks.seeds --arm both runs/both-* --json out.json

A run is its directory, or its ``summary.json`` beside a ``manifest.json``; a seed is a run's ``--seed``. Two arms are
compared on the seeds that both have, by the paired difference with its 95 % t interval over seeds; the first arm is
compared with each of the others.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.teacher_rewards.intervals import t_interval

Summary = Mapping[str, Any]

#: What is read of a run's summary, by name.
MEASURES: dict[str, Callable[[Summary], float | None]] = {
    "pass@1 before": lambda one: one["pass_at_1"]["before"],
    "pass@1": lambda one: one["pass_at_1"]["after"],
    "pass@8 before": lambda one: one["pass_at_8"]["before"],
    "pass@8": lambda one: one["pass_at_8"]["after"],
    "goalposts reached": lambda one: one["goalposts_reached"]["after"],
    "accepted lemmas": lambda one: one["accepted_lemmas"],
    "accepted lifts": lambda one: one["accepted_lifts"],
    "thousand tokens": lambda one: one["tokens"]["total"] / 1000,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.seeds",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--arm",
        nargs="+",
        action="append",
        required=True,
        metavar=("NAME", "RUN"),
        help="a name, and runs of equal options but for the seed",
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="where to write the figures")
    options = parser.parse_args(argv)
    try:
        arms = {name: read([Path(run) for run in runs]) for name, *runs in options.arm}
        if len(arms) < len(options.arm):
            raise ValueError("--arm: expected arms of different names")
    except (OSError, ValueError) as error:
        print(f"benchmarks.seeds: {error}", file=sys.stderr)
        return 1
    found = compare(arms)
    print(report(found))
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


def read(runs: Sequence[Path]) -> dict[int, dict[str, float]]:
    """The measures of runs that were made, by seed.

    Raises:
        ValueError: there is none, one has not ended or is no run, two have one seed, or options differ.
    """
    found: dict[int, dict[str, float]] = {}
    first: dict[str, Any] = {}
    if not runs:
        raise ValueError("--arm: expected runs behind the name")
    for run in runs:
        folder = run.parent if run.name == "summary.json" else run
        try:
            args = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["args"]
            summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
            seed = int(args["seed"])
            values = {name: measure(summary) for name, measure in MEASURES.items()}
        except FileNotFoundError as error:
            raise ValueError(f"{run}: expected a run that has ended, there is no {error.filename}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{run}: expected files that a learner wrote: {error!r}") from None
        if seed in found:
            raise ValueError(f"{run}: expected one run a seed, got another of seed {seed}")
        first = first or args
        differ = sorted(
            name for name in {*first, *args} - {"name", "seed", "runs"} if first.get(name) != args.get(name)
        )
        if differ:
            raise ValueError(f"{run}: expected the options of {runs[0]}, {', '.join(differ)} differ")
        found[seed] = {name: float(value) for name, value in values.items() if value is not None}
    return found


def compare(arms: Mapping[str, Mapping[int, Mapping[str, float]]]) -> dict[str, Any]:
    """Means and standard deviations by arm, and differences of the first arm from the others."""
    names = list(arms)
    found: dict[str, Any] = {"arms": {}, "differences": {}}
    for name, runs in arms.items():
        measured = [measure for measure in MEASURES if all(measure in values for values in runs.values())]
        found["arms"][name] = {
            "seeds": sorted(runs),
            **{measure: _spread([runs[seed][measure] for seed in sorted(runs)]) for measure in measured},
        }
    for other in names[1:]:
        both = sorted({*arms[names[0]]} & {*arms[other]})
        differences = {}
        for measure in MEASURES:
            ours, theirs = ([arms[arm][seed].get(measure) for seed in both] for arm in (names[0], other))
            pairs = [
                (one, two)
                for one, two in zip(ours, theirs, strict=True)
                if one is not None and two is not None
            ]
            if pairs and len(pairs) == len(both):
                changes = [one - two for one, two in pairs]
                differences[measure] = _spread(changes) | {"interval": t_interval(changes)}
        found["differences"][f"{names[0]} - {other}"] = {"seeds": both, **differences}
    return found


def _spread(values: Sequence[float]) -> dict[str, Any]:
    sd = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.mean(values), "sd": sd, "values": list(values)}


def report(found: Mapping[str, Any]) -> str:
    """The figures as text."""
    lines = []
    for kind in ("arms", "differences"):
        for name, one in found[kind].items():
            lines.append(f"{name}: seeds {', '.join(map(str, one['seeds'])) or 'none in common'}")
            for measure, values in one.items():
                if measure == "seeds":
                    continue
                sd = "" if values["sd"] is None else f" ± {values['sd']:.3f}"
                interval = values.get("interval")
                between = f"  [{interval[0]:+.3f}, {interval[1]:+.3f}]" if interval else ""
                sign = "+" if kind == "differences" else ""
                lines.append(f"  {measure:20}{values['mean']:{sign}9.3f}{sd}{between}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
