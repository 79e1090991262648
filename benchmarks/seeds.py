"""Runs of a learner that differ in one option, over several seeds: means, spread, and what the option changed.

python -m benchmarks.seeds --arm both runs/both-* --arm solve runs/solve-*
python -m benchmarks.seeds --arm both runs/both-* --json out.json

A run is its directory, or its ``summary.json`` beside its manifests; a seed is a run's ``--seed``. Runs of an arm have
equal options, but for those that change no result, such as ``--threads``. Two arms are compared on the seeds that
both have, by the paired difference with its 95 % t interval over seeds; the first arm is compared with each of the
others, and the options in which they differ are printed.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.teacher_rewards.intervals import t_interval
from learners import config

Summary = Mapping[str, Any]

#: Options that change no result, or not by intention. How much was sampled in measurements, and for how long, is none.
_FREE = {*config.FREE, "seed"} - {"tokens", "eval_samples", "goalpost_samples"}
#: What a manifest says of how a run was made, with what older ones mean.
_RAN = {"learner": "reinforcepp", "processes": 1}

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
        found = compare(arms)
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    except (OSError, ValueError) as error:
        print(f"benchmarks.seeds: {error}", file=sys.stderr)
        return 1
    print(report(found))
    return 0


@dataclass(frozen=True)
class Arm:
    """Runs of equal options.

    Attributes:
        options: that may change a result.
        seeds: the measures of each run, by its seed.
    """

    options: dict[str, Any]
    seeds: dict[int, dict[str, float]]


def read(runs: Sequence[Path]) -> Arm:
    """An arm of runs that were made.

    Raises:
        ValueError: there is none, one has not ended or is no run, two have one seed; options, or measures, differ.
    """
    found: dict[int, dict[str, float]] = {}
    first: dict[str, Any] = {}
    if not runs:
        raise ValueError("--arm: expected runs behind the name")
    for run in runs:
        folder = run.parent if run.name == "summary.json" else run
        try:
            newest = max(folder.glob("manifest-*.json"), default=folder / "manifest.json")
            manifest = json.loads(newest.read_text(encoding="utf-8"))
            summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
            seed = int(manifest["args"]["seed"])
            own = {name: value for name, value in manifest["args"].items() if name not in _FREE}
            own |= {name: manifest.get(name, default) for name, default in _RAN.items()}
            if (
                own.get("tokens") is None
            ):  # else the budget is equal, and the updates that it takes need not be
                own["updates"] = summary["updates"]
            values = {name: measure(summary) for name, measure in MEASURES.items()}
        except FileNotFoundError as error:
            raise ValueError(f"{run}: expected a run that has ended, there is no {error.filename}") from None
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{run}: expected files that a learner wrote: {error!r}") from None
        if seed in found:
            raise ValueError(f"{run}: expected one run a seed, got another of seed {seed}")
        first = first or own
        if changed := differing(first, own):
            raise ValueError(f"{run}: expected the options of {runs[0]}, {', '.join(changed)} differ")
        found[seed] = {name: float(value) for name, value in values.items() if value is not None}
        if found[seed].keys() != next(iter(found.values())).keys():
            raise ValueError(f"{run}: expected what was measured in {runs[0]}, something else was")
    return Arm(first, found)


def differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[str]:
    """Names of options that differ."""
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def compare(arms: Mapping[str, Arm]) -> dict[str, Any]:
    """Means and standard deviations by arm, and differences of the first arm from the others."""
    names = list(arms)
    found: dict[str, Any] = {"arms": {}, "differences": {}}
    for name, arm in arms.items():
        runs = [arm.seeds[seed] for seed in sorted(arm.seeds)]
        found["arms"][name] = {
            "seeds": sorted(arm.seeds),
            **{
                measure: _spread([run[measure] for run in runs]) for measure in MEASURES if measure in runs[0]
            },
        }
    for other in names[1:]:
        ours, theirs = arms[names[0]], arms[other]
        both = sorted({*ours.seeds} & {*theirs.seeds})
        differences = {}
        for measure in MEASURES:
            if both and all(measure in arm.seeds[both[0]] for arm in (ours, theirs)):
                changes = [ours.seeds[seed][measure] - theirs.seeds[seed][measure] for seed in both]
                differences[measure] = _spread(changes) | {"interval": t_interval(changes)}
        found["differences"][f"{names[0]} - {other}"] = {
            "seeds": both,
            "options": differing(ours.options, theirs.options),
            **differences,
        }
    return found


def _spread(values: Sequence[float]) -> dict[str, Any]:
    sd = statistics.stdev(values) if len(values) > 1 else None
    return {"mean": statistics.mean(values), "sd": sd, "values": list(values)}


def report(found: Mapping[str, Any]) -> str:
    """The figures as text."""
    lines = []
    for kind in ("arms", "differences"):
        for name, one in found[kind].items():
            seeds = ", ".join(map(str, one["seeds"])) or "none in common"
            differ = f"; differ in {', '.join(one['options']) or 'nothing'}" if "options" in one else ""
            lines.append(f"{name}: seeds {seeds}{differ}")
            for measure, values in one.items():
                if measure in ("seeds", "options"):
                    continue
                sd = "" if values["sd"] is None else f" ± {values['sd']:.3f}"
                interval = values.get("interval")
                between = f"  [{interval[0]:+.3f}, {interval[1]:+.3f}]" if interval else ""
                sign = "+" if kind == "differences" else ""
                lines.append(f"  {measure:20}{values['mean']:{sign}9.3f}{sd}{between}")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
