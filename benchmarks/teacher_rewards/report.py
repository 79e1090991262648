"""SIMULATION: from runs to means, intervals over seeds, a table and a figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.figures import plotting
from benchmarks.teacher_rewards.intervals import CONFIDENCE, LEAST_SEEDS, t_interval
from benchmarks.teacher_rewards.loop import PASS_AT, SOLVED, Measured, Plan

NOTICE = (
    "SIMULATION: players and execution are formulas (item-response model); only the game, the rewards and the\n"
    "advantages are real. It says nothing about language models; see the assumptions in benchmarks/teacher_rewards."
)
#: Name: (column, digits, meaning). The last quarter is that of the budget.
METRICS: dict[str, tuple[str, int, str]] = {
    "goal_p": ("goal p", 3, "mean success rate of the student on the goalposts at the end, exact"),
    "goals_solved": ("solved", 1, f"goalposts with a success rate of at least {SOLVED} at the end"),
    "goal_pass": (
        f"pass@{PASS_AT}",
        3,
        f"mean chance on the goalposts that one of {PASS_AT} answers is right",
    ),
    "ability": ("gain", 2, "mean gain of ability over all skills, in logits"),
    "accepted": ("accepted", 2, "share of proposals that the curriculum accepted, last quarter"),
    "invalid": ("invalid", 2, "share of proposals that the gate rejected, but for duplicates, last quarter"),
    "duplicate": ("dupl.", 2, "share of proposals that repeated an accepted task, last quarter"),
    "success": ("c/n", 2, "mean c/n of valid proposals, last quarter"),
    "difficulty": ("difficulty", 1, "mean difficulty of valid proposals, in logits, last quarter"),
    "skills": (
        "skills",
        1,
        "effective number of skills of accepted tasks (e to their entropy), last quarter",
    ),
    "reward_first": (
        "r first",
        2,
        "mean teacher reward in the first quarter; of another scale for every reward",
    ),
    "reward_last": ("r last", 2, "mean teacher reward in the last quarter"),
}
PRIMARY = "goal_p"
INTERVAL = f"{CONFIDENCE:.0%} Student t over seeds, none of fewer than {LEAST_SEEDS}"
CAVEAT = (
    f"Brackets: {CONFIDENCE:.0%} Student t interval of the mean over seeds, taken to be normal; [-] of fewer than "
    f"{LEAST_SEEDS}.\ndifference: to the first row, seed by seed (same world, same streams); several rows are several "
    "chances to see\none by luck."
)


def summarise(runs: Sequence[Measured], names: Sequence[str]) -> list[dict[str, Any]]:
    """Per arm: mean and interval of every metric, and of the differences of the first arm's at the same seed."""
    found = []
    by_arm = {
        name: sorted((run for run in runs if run.reward == name), key=lambda run: run.seed) for name in names
    }
    for name in names:
        own, first = by_arm[name], by_arm[names[0]]
        found.append(
            {
                "reward": name,
                "seeds": [run.seed for run in own],
                "metrics": {metric: estimate([run.metrics[metric] for run in own]) for metric in METRICS},
                "difference": {
                    metric: estimate(
                        [a.metrics[metric] - b.metrics[metric] for a, b in zip(own, first, strict=True)]
                    )
                    for metric in METRICS
                },
            }
        )
    return found


def estimate(values: Sequence[float]) -> dict[str, float | None]:
    """Mean and interval of the values there are; None where there is none, no interval of few."""
    known = [value for value in values if not math.isnan(value)]
    if not known:
        return {"mean": None, "low": None, "high": None}
    low, high = t_interval(known) or (None, None)
    return {"mean": float(np.mean(known)), "low": low, "high": high}


def table(arms: Sequence[dict[str, Any]]) -> str:
    """One row an arm: the primary metric and its difference with intervals, the others' means."""
    header = [
        "reward",
        METRICS[PRIMARY][0],
        "difference",
        *(METRICS[name][0] for name in METRICS if name != PRIMARY),
    ]
    lines = [header]
    for position, arm in enumerate(arms):
        cells = [Path(arm["reward"]).name, interval(arm["metrics"][PRIMARY])]
        cells.append(interval(arm["difference"][PRIMARY], sign="+") if position else "-")
        for name, (_, digits, _) in METRICS.items():
            if name != PRIMARY:
                mean = arm["metrics"][name]["mean"]
                cells.append("-" if mean is None else f"{mean:.{digits}f}")
        lines.append(cells)
    return aligned(lines)


def aligned(lines: Sequence[Sequence[str]]) -> str:
    """Rows of cells as text, in columns: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 1 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    )


def interval(found: dict[str, float | None], sign: str = "", digits: int = 3) -> str:
    """An `estimate` as text: its mean, and its interval in brackets."""
    mean, low, high = found["mean"], found["low"], found["high"]
    if mean is None:
        return "-"
    between = "-" if low is None else f"{low:{sign}.{digits}f}, {high:{sign}.{digits}f}"
    return f"{mean:{sign}.{digits}f} [{between}]"


def curves(
    runs: Sequence[Measured], plan: Plan, points: int = 25
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Samples, and the primary metric of every run there: shapes (points,), (runs, points)."""
    at = np.linspace(0, plan.budget, points)
    known = [np.array(run.curve, dtype=np.float64) for run in runs]
    return at, np.array([np.interp(at, curve[:, 0], curve[:, 1]) for curve in known])


def draw(runs: Sequence[Measured], arms: Sequence[dict[str, Any]], plan: Plan, path: Path) -> None:
    """Learning curves with the range of the seeds, and the differences with their intervals.

    Raises:
        ValueError: matplotlib is missing, or cannot write a file of this kind.
    """
    matplotlib, pyplot = plotting()
    labels = [Path(arm["reward"]).name for arm in arms]
    with matplotlib.rc_context({"svg.fonttype": "none", "font.size": 8, "svg.hashsalt": "teacher_rewards"}):
        figure, (left, right) = pyplot.subplots(
            1, 2, figsize=(10, 3.2 + 0.12 * len(arms)), layout="constrained", width_ratios=(3, 2)
        )
        for number, (arm, label) in enumerate(zip(arms, labels, strict=True)):
            at, values = curves([run for run in runs if run.reward == arm["reward"]], plan)
            colour = f"C{number % 10}"
            style = "-" if number < 10 else "--"
            left.plot(at, values.mean(axis=0), style, color=colour, linewidth=1.2, label=label)
            left.fill_between(
                at, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.08, linewidth=0
            )
            gap = arm["difference"][PRIMARY]
            right.plot(gap["mean"], -number, "o", color=colour, markersize=4)
            if gap["low"] is not None:
                right.plot([gap["low"], gap["high"]], [-number, -number], color=colour, linewidth=1.2)
        left.set(xlabel="samples of both roles", ylabel="mean success rate on the goalposts")
        left.set_title("mean and range over seeds", fontsize=8)
        left.legend(fontsize=6)
        right.axvline(0, color="grey", linewidth=0.8)
        right.set_yticks([-number for number in range(len(arms))], labels)
        right.set_xlabel(f"difference to {labels[0]}")
        right.set_title(f"paired, {INTERVAL}", fontsize=8)
        figure.suptitle(
            f"SIMULATION (item-response model, curriculum {plan.curriculum}): not about language models"
        )
        try:
            figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)
        finally:
            pyplot.close(figure)
