"""Curves of runs of a learner, beside one another: what the teacher and the solver did, by role and stage.

    python -m benchmarks.curves runs/real runs/shuffled --figure curves.svg

From a run's ``metrics.jsonl``: shares of verdicts, mean reward, length, entropy. A panel has one line a run; the table
has the mean of the first and of the last ``--window`` updates.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.figures import plotting

#: First parts of the names of metrics that are drawn, with what they are.
KINDS = {"verdict": "share", "reward": "mean reward", "length": "tokens", "entropy": "entropy, nats a token"}
#: Verdicts rarer than this in every run are left out.
RARE = 0.02

Run = list[dict[str, float]]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curves", description=main.__doc__)
    parser.add_argument("runs", type=Path, nargs="+", help="directories of runs")
    parser.add_argument("--figure", type=Path, metavar="FILE", help="where to draw them (.svg, .png, .pdf)")
    parser.add_argument("--window", type=int, default=3, help="updates of a mean in the table (default 3)")
    options = parser.parse_args(argv)
    if options.window < 1:
        parser.error(f"--window: expected at least 1, got {options.window}")
    try:
        labels = [path.name for path in options.runs]
        labels = labels if len(set(labels)) == len(labels) else [str(path) for path in options.runs]
        runs = dict(zip(labels, map(read, options.runs), strict=True))
        shown = names(runs)
        if not shown:
            raise ValueError(f"expected metrics named {', '.join(KINDS)}/..., got none")
        print(table(runs, shown, options.window))
        if options.figure:
            draw(runs, shown, options.figure)
    except (OSError, ValueError) as error:
        print(f"benchmarks.curves: {error}", file=sys.stderr)
        return 1
    return 0


def read(run: Path) -> Run:
    """The metrics of a run, an update each.

    Raises:
        ValueError: there are none.
    """
    file = run / "metrics.jsonl"
    if not file.is_file():
        raise ValueError(f"expected the directory of a run, there is no {file}")
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):  # a run in progress, or one that was killed
        del lines[-1]
    try:
        found: Run = [json.loads(line) for line in lines]
    except ValueError as error:
        raise ValueError(f"{file}: expected a JSON object on each line: {error}") from None
    if not found:
        raise ValueError(f"{file}: expected at least one update, got none")
    return found


def names(runs: dict[str, Run]) -> list[str]:
    """Metrics worth showing, by role and stage."""
    every = {name for run in runs.values() for update in run for name in update}
    found = [name for name in sorted(every, key=_order) if name.partition("/")[0] in KINDS]
    return [
        name
        for name in found
        if not name.startswith("verdict/")
        or any(sum(values(run, name)) >= RARE * len(run) for run in runs.values())
    ]


def points(run: Run, name: str) -> list[tuple[float, float]]:
    """Updates of a run that have a metric, and its values. A verdict that nobody got has the share 0."""
    stage = "/".join(name.split("/")[1:3])
    missing = 0.0 if name.startswith("verdict/") else None
    found = [
        (update["step"], update.get(name, missing if f"length/{stage}" in update else None)) for update in run
    ]
    return [(step, value) for step, value in found if value is not None] or [(float("nan"), float("nan"))]


def values(run: Run, name: str) -> list[float]:
    """The values of `points`, if there are any."""
    return [value for step, value in points(run, name) if step == step]


def table(runs: dict[str, Run], shown: Sequence[str], window: int) -> str:
    """First and last means of every metric."""
    rows = [["metric", *(word for run in runs for word in (f"{run}, first", "last"))]]
    for name in shown:
        found = [values(run, name) for run in runs.values()]
        parts = [part for one in found for part in (one[:window], one[-window:])]
        rows.append([name, *(f"{sum(part) / len(part):.3f}" if part else "-" for part in parts)])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        f"{row[0]:{widths[0]}}"
        + "".join(f"  {cell:>{width}}" for cell, width in zip(row[1:], widths[1:], strict=True))
        for row in rows
    )


def draw(runs: dict[str, Run], shown: Sequence[str], file: Path) -> None:
    """Draw a panel for each metric.

    Raises:
        ValueError: matplotlib is missing, or cannot write a file of this kind.
    """
    matplotlib, pyplot = plotting()
    across = 4
    down = -(-len(shown) // across)
    with matplotlib.rc_context({"svg.fonttype": "none", "font.size": 7, "svg.hashsalt": "curves"}):
        figure, panels = pyplot.subplots(down, across, figsize=(11, 1.9 * down), squeeze=False)
        for panel, name in zip(panels.flat, shown, strict=False):
            kind, _, rest = name.partition("/")
            panel.set_title(f"{rest}\n{KINDS[kind]}" if kind != "verdict" else f"{rest}, {KINDS[kind]}")
            for label, run in runs.items():
                panel.plot(*zip(*points(run, name), strict=True), marker=".", linewidth=0.8, label=label)
        for panel in panels.flat[len(shown) :]:
            panel.axis("off")
        panels.flat[0].legend()
        figure.tight_layout()
        try:
            figure.savefig(file, metadata={"Date": None} if file.suffix == ".svg" else None)
        except ValueError as error:
            raise ValueError(f"--figure: {error}") from None
        finally:
            pyplot.close(figure)


def _order(name: str) -> tuple[str, int, str]:
    kind, _, rest = name.partition("/")
    return "/".join(rest.split("/")[:2]), list(KINDS).index(kind) if kind in KINDS else len(KINDS), name


if __name__ == "__main__":
    sys.exit(main())
