"""From runs that were trained to means over seeds, paired differences to the first reward, and a table."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.teacher_rewards.intervals import LEAST_SEEDS
from benchmarks.teacher_rewards.report import aligned, estimate, interval
from benchmarks.teacher_rewards.train import Run

#: Name: (column, digits, meaning).
METRICS: dict[str, tuple[str, int, str]] = {
    "pass_at_1_before": ("pass@1 before", 3, "held-out pass@1 of the start model"),
    "pass_at_1": ("pass@1", 3, "held-out pass@1 of the trained model"),
    "goalposts_before": ("goals before", 1, "goalposts that the start model solves at least once"),
    "goalposts": ("goals", 1, "goalposts that the trained model solves at least once"),
    "valid_lemmas": ("valid lemmas", 2, "share of lemmas that the gate took"),
    "accepted_lemmas": ("acc. lemmas", 2, "share of lemmas that the curriculum accepted"),
    "valid_lifts": ("valid lifts", 2, "share of lifts that the gate took"),
    "accepted_lifts": ("acc. lifts", 2, "share of lifts that the curriculum accepted"),
    "duplicates": ("dupl.", 2, "share of proposals of every stage that repeated a task"),
    "tokens": ("tokens", 0, "sampled in training, by both roles"),
    "tokens_trained": (
        "trained on",
        0,
        "tokens that the loss was computed of, by both roles, once for all epochs",
    ),
    "updates": ("updates", 0, "made"),
    "seconds": ("seconds", 0, "of the whole run, measurements included"),
}
#: Differences that are printed with their intervals; all of them are in the JSON.
COMPARED = ("pass_at_1", "goalposts", "accepted_lemmas", "accepted_lifts")
CAVEAT = (
    "Brackets: 95 % Student t interval over seeds of the difference at the same seed, taken to be normal. Several\n"
    "rewards and columns are several chances to see one that excludes 0 by luck."
)


@dataclass(frozen=True)
class Trained:
    """A run that was made; ``metrics`` are `METRICS`, NaN where a run has none."""

    reward: str
    seed: int
    run: str
    metrics: dict[str, float]

    def record(self) -> dict[str, Any]:
        """JSON-able values; NaN becomes None."""
        known = {name: None if math.isnan(value) else value for name, value in self.metrics.items()}
        return {"reward": self.reward, "seed": self.seed, "run": self.run, "metrics": known}


def read(run: Run) -> Trained:
    """Read a finished run.

    Raises:
        ValueError: its files are not those of a learner.
        OSError: they cannot be read.
    """
    try:
        summary = json.loads((run.folder / "summary.json").read_text(encoding="utf-8"))
        lines = (run.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
        return Trained(
            run.reward, run.args.seed, run.args.name, _metrics(summary, [json.loads(one) for one in lines])
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{run.folder}: expected files that the learner wrote: {error!r}") from None


def _metrics(summary: Mapping[str, Any], updates: Sequence[Mapping[str, float]]) -> dict[str, float]:
    proposals: Mapping[str, Mapping[str, int]] = summary["proposals"]
    everything = [count for counts in proposals.values() for count in counts.items()]
    goals = summary["goalposts_reached"]
    found: dict[str, float | None] = {
        "pass_at_1_before": summary["pass_at_1"]["before"],
        "pass_at_1": summary["pass_at_1"]["after"],
        "goalposts_before": goals["base_resampled"],
        "goalposts": goals["after"],
        "duplicates": _share(
            sum(n for verdict, n in everything if verdict == "duplicate"), [n for _, n in everything]
        ),
        "tokens": summary["tokens"]["total"],
        # Weights of a role's own have a number of their own.
        "tokens_trained": sum(
            value for one in updates for name, value in one.items() if name.endswith("train/tokens")
        ),
        "updates": summary["updates"],
        "seconds": summary["seconds"],
    }
    for stage in ("lemma", "lift"):
        counts = proposals.get(stage, {})
        found[f"valid_{stage}s"] = _share(counts.get("valid", 0), [*counts.values()])
        found[f"accepted_{stage}s"] = _share(summary[f"accepted_{stage}s"], [*counts.values()])
    return {name: math.nan if found[name] is None else float(found[name] or 0) for name in METRICS}


def _share(some: int, of: Sequence[int]) -> float | None:
    return some / sum(of) if sum(of) else None


def summarise(runs: Sequence[Trained], names: Sequence[str]) -> list[dict[str, Any]]:
    """Per reward: mean and interval of every metric, and of its differences to the first reward at the same seed.

    A reward whose runs failed has the seeds that it has; a difference is taken over the seeds that both have.
    """
    by_name = {name: {run.seed: run.metrics for run in runs if run.reward == name} for name in names}
    found, first = [], by_name[names[0]]
    for name, own in by_name.items():
        both = sorted(own.keys() & first.keys())
        found.append(
            {
                "reward": name,
                "seeds": sorted(own),
                "metrics": {key: estimate([own[seed][key] for seed in sorted(own)]) for key in METRICS},
                "paired_seeds": both,
                "difference": {
                    key: estimate([own[seed][key] - first[seed][key] for seed in both]) for key in METRICS
                },
            }
        )
    return found


def table(arms: Sequence[Mapping[str, Any]]) -> str:
    """Means over seeds, differences to the first reward with their intervals, and what they allow to say."""
    known = [key for key in METRICS if any(arm["metrics"][key]["mean"] is not None for arm in arms)]
    lines = [["mean over seeds", "seeds", *(METRICS[key][0] for key in known)]]
    for arm in arms:
        means = [(arm["metrics"][key]["mean"], METRICS[key][1]) for key in known]
        cells = ["-" if mean is None else f"{mean:,.{digits}f}" for mean, digits in means]
        lines.append([_label(arm), str(len(arm["seeds"])), *cells])
    parts = [aligned(lines)]
    if len(arms) > 1:
        shown = [key for key in COMPARED if key in known]
        lines = [[f"difference to {_label(arms[0])}", "seeds", *(METRICS[key][0] for key in shown)]]
        for arm in arms[1:]:
            cells = [interval(arm["difference"][key], "+", max(METRICS[key][1], 2)) for key in shown]
            lines.append([_label(arm), str(len(arm["paired_seeds"])), *cells])
        parts += [aligned(lines), CAVEAT, "\n".join(conclusions(arms))]
    return "\n\n".join(parts)


def conclusions(arms: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each reward after the first, whether held-out pass@1 or goalposts tell it from the first."""
    first = _label(arms[0])
    found = []
    for arm in arms[1:]:
        seeds = len(arm["paired_seeds"])
        if seeds < LEAST_SEEDS:
            few = {0: "no seed in common", 1: "one seed is an anecdote"}.get(
                seeds, f"{seeds} seeds have no interval"
            )
            found.append(f"{_label(arm)}: {few}: nothing can be said of its difference to {first}.")
            continue
        apart = [said for key in ("pass_at_1", "goalposts") if (said := _apart(arm["difference"][key], key))]
        found.append(f"{_label(arm)}: {' and '.join(apart) or 'not told apart'} from {first}.")
    return found


def _apart(difference: Mapping[str, float | None], key: str) -> str:
    """A statement where the interval excludes 0; empty otherwise."""
    low, high = difference["low"], difference["high"]
    # Equal differences have an interval without width, or as wide as rounding, which says nothing of other seeds.
    if low is None or high is None or high - low < 1e-9 or low <= 0 <= high:
        return ""
    return f"{METRICS[key][0]} {'above' if low > 0 else 'below'} (interval excludes 0)"


def _label(arm: Mapping[str, Any]) -> str:
    return ":".join(Path(part).name for part in arm["reward"].split(":"))
