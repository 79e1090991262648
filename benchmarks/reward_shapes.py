"""Effect of a finite number of attempts on every teacher reward.

    python -m benchmarks.reward_shapes
    python -m benchmarks.reward_shapes --rewards gasp azr_paper my_file.py:mine --n 8 --json out.json --figure out.svg

A teacher reward is written as a function of the success rate p, but is paid on c right answers of n. Everything
here follows from the values r(0), ..., r(n) by the binomial distribution; nothing is sampled, nothing is run.

- **expected reward**: E[r | p, n] = sum over c of C(n, c) p^c (1-p)^(n-c) r(c), and the p where it is greatest
  (a grid of step 0.001). It is where the teacher is driven, and often not where the formula has its peak. Printed as
  ``[from, to]`` where E is as good as flat: within 1e-9 of the greatest, as a share of the range of r, over more than
  two steps. Nothing drives a teacher from one place in there to another, and which is the greatest of all would be
  decided by rounding. Several such places are printed with a ``|`` between them.
- **acceptance**: chance that c/n lies in the band in which the curriculum accepts a lemma, or a lift, at that p;
  ``-`` where that is not one p.
- **noise**: Var[r | p, n], the variance that the draw of n attempts adds to one proposal's reward, averaged over p.
- **signal**: Var over p of E[r | p, n], the variance between proposals of different difficulty.
- **share**: signal / (signal + noise). By the law of total variance the denominator is the variance of rewards over
  valid proposals. A learner that standardises rewards divides by its root, so that scale cancels and this share is
  the part a policy gradient can learn from: of the variance of an advantage, the part that difficulty explains.
  Averages over p need a teacher: p ~ Beta(a, b), uniform unless ``--beta`` says otherwise. Both moments are then
  exact, for E[C(n,c) p^c (1-p)^(n-c)] and the expectation of a product of two such terms are Beta functions.

A reward may look at more than (c, n). It is given a *reference proposal*: valid, its right answers all equal, its wrong
answers all different, relevance 1, a lift's parent solved in half of its attempts, an empty library. One that compares
proposals with each other is given n + 1 that share no words, with c = 0, ..., n, and its row is marked ``*``. So is
that of a reward which pays another set otherwise (proposals that differ by a constant, wrong answers all equal,
relevance 0.5, an easier parent, a library that holds one of them; or the same set a second time): such numbers hold
for the reference proposals only. A reward that cannot be asked at all is listed with its complaint.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.figures import plotting
from benchmarks.teacher_rewards.proposals import bands, proposals
from gasp_env.episode.outcome import Outcome, in_band
from gasp_env.rewards import TeacherRewards, teacher_rewards

SAMPLES = (4, 8, 16, 64)
GRID = np.linspace(0.0, 1.0, 1001)
#: Every twentieth of these is printed and drawn.
COARSE = slice(None, None, 20)
#: A value within this share of the range of r of the greatest E counts as greatest. Far above accumulated rounding, and
#: so small that a peak with any curvature to speak of is a single point of the grid.
FLAT = 1e-9
#: Wider than this, in steps of the grid, and the greatest E is not at one p.
NARROW = 2
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Shape:
    """One reward at one or more stages, evaluated with n attempts.

    Attributes:
        reward: name by which it was chosen.
        stages: those at which it pays the same.
        n: attempts.
        values: r(c) for c = 0 to n.
        invalid: reward of an invalid proposal.
        more: True if it depends on more than (c, n); the numbers are the reference proposal's.
    """

    reward: str
    stages: tuple[str, ...]
    n: int
    values: tuple[float, ...]
    invalid: float
    more: bool


def binomial(n: int, p: Array) -> Array:
    """Chance of every c in 0..n (columns) at every p in [0, 1] (rows)."""
    counts = np.arange(n + 1)
    choose = np.array([float(math.comb(n, c)) for c in counts])
    return choose * p[:, None] ** counts * (1 - p[:, None]) ** (n - counts)


def expected(values: Sequence[float], p: Array) -> Array:
    """E[r | p, n] at every p; ``values`` are r(0), ..., r(n)."""
    return binomial(len(values) - 1, p) @ np.asarray(values)


def noise(values: Sequence[float], p: Array) -> Array:
    """Var[r | p, n] at every p."""
    centred = np.asarray(values)[None, :] - expected(values, p)[:, None]
    return (binomial(len(values) - 1, p) * centred**2).sum(axis=1)


def acceptance(n: int, band: tuple[int, int], p: Array) -> Array:
    """Chance that c of n lies in a band given in tenths, at every p."""
    return expected([float(in_band(c, n, band)) for c in range(n + 1)], p)


def signal_and_noise(values: Sequence[float], beta: tuple[float, float] = (1.0, 1.0)) -> tuple[float, float]:
    """Var of E[r | p, n], and mean of Var[r | p, n], over p ~ Beta(a, b). Their sum is the variance of r."""
    n, r = len(values) - 1, np.asarray(values)
    a, b = beta

    def log_beta(x: float, y: float) -> float:
        return math.lgamma(x) + math.lgamma(y) - math.lgamma(x + y)

    choose = [math.log(math.comb(n, c)) for c in range(n + 1)]
    chance = np.array(
        [math.exp(choose[c] + log_beta(c + a, n - c + b) - log_beta(a, b)) for c in range(n + 1)]
    )
    joint = np.array(
        [
            [
                math.exp(choose[c] + choose[d] + log_beta(c + d + a, 2 * n - c - d + b) - log_beta(a, b))
                for d in range(n + 1)
            ]
            for c in range(n + 1)
        ]
    )
    # Centred first: the difference of two moments would lose a constant reward's zero to rounding.
    r = r - chance @ r
    signal = max(0.0, float(r @ joint @ r))
    return signal, max(0.0, float(chance @ r**2) - signal)


def greatest(mean: Array, tolerance: float) -> list[tuple[int, int]]:
    """Stretches of the grid (first and last place) on which ``mean`` is within ``tolerance`` of its greatest value."""
    high = np.concatenate([[False], mean >= mean.max() - tolerance, [False]])
    starts, ends = np.flatnonzero(high[1:] & ~high[:-1]), np.flatnonzero(high[:-1] & ~high[1:])
    return [(int(start), int(end) - 1) for start, end in zip(starts, ends, strict=True)]


def ask(rewards: TeacherRewards, outcomes: Sequence[Outcome]) -> list[float]:
    """The reward of each outcome: all at once if it compares them, else one at a time."""
    together = "batch" in rewards.needs_of(outcomes[0].stage)
    batches = [list(outcomes)] if together else [[outcome] for outcome in outcomes]
    return [sum((terms or {}).values()) for batch in batches for terms in rewards(batch)]


def shapes(name: str, n: int) -> list[Shape]:
    """The shapes of a reward: one for every group of stages that are paid alike.

    Raises:
        ValueError: there is no such reward, or it cannot be asked about reference proposals.
    """
    rewards = TeacherRewards(name)
    found: dict[tuple[float, ...], Shape] = {}
    for stage in (stage for stage in ("lemma", "lift", "propose") if rewards.reward(stage) is not None):
        reference = proposals(stage, n)
        refused = replace(
            reference[0], reason="unparsable", correct=0, samples=0, attempts=(), answers=(), task=None
        )
        try:
            paid = ask(rewards, reference)
            again = (ask(rewards, reference), ask(rewards, proposals(stage, n, other=True)))
            # In a batch of its peers, for a reward that compares it with them.
            invalid = ask(rewards, [refused, *reference])[0]
        except Exception as error:
            raise ValueError(f"reward {name!r}: {type(error).__name__}: {error}") from error
        key = (*paid, invalid)
        batch = "batch" in rewards.needs_of(stage)
        more = batch or any(values != paid for values in again) or (key in found and found[key].more)
        stages = (*found[key].stages, str(stage)) if key in found else (str(stage),)
        found[key] = Shape(name, stages, n, tuple(paid), invalid, more)
    return list(found.values())


def measure(shape: Shape, beta: tuple[float, float]) -> dict[str, Any]:
    """All figures of a shape, as JSON-able values.

    ``argmax`` and the acceptances at it are None for a reward that is not greatest at one p; ``greatest`` has all
    stretches of p where it is, and is empty for one that does not depend on p.
    """
    mean = expected(shape.values, GRID)
    spread = max(shape.values) - min(shape.values)
    stretches = [] if spread < 1e-12 else greatest(mean, FLAT * spread)
    best = None
    if len(stretches) == 1 and stretches[0][1] - stretches[0][0] <= NARROW:
        best = sum(stretches[0]) // 2
    signal, noisy = signal_and_noise(shape.values, beta)
    return {
        "reward": shape.reward,
        "stages": shape.stages,
        "n": shape.n,
        "depends_on_more": shape.more,
        "r": shape.values,
        "invalid": shape.invalid,
        "expected": mean[COARSE].round(6).tolist(),
        "variance": noise(shape.values, GRID)[COARSE].round(6).tolist(),
        "argmax": None if best is None else float(GRID[best]),
        "greatest": [[float(GRID[first]), float(GRID[last])] for first, last in stretches],
        "maximum": float(mean.max()),
        "accepted_at_argmax": {
            stage: None if best is None else float(acceptance(shape.n, band, GRID[best : best + 1])[0])
            for stage, band in bands().items()
        },
        "signal": signal,
        "noise": noisy,
        "share": signal / (signal + noisy) if signal + noisy > 1e-12 else None,
    }


HEADER = (
    "reward",
    "stage",
    "n",
    "argmax",
    "max E",
    "E(.1)",
    "E(.3)",
    "E(.5)",
    "lemma",
    "lift",
    "signal",
    "noise",
    "share",
)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The figures as text; ``lemma`` and ``lift`` are the chances of acceptance at the argmax, if it is one p."""

    def cells(row: dict[str, Any]) -> list[str]:
        at = dict(zip(GRID[COARSE].round(3).tolist(), row["expected"], strict=True))
        everywhere = set(row["stages"]) >= {"lemma", "lift"}
        numbers = [
            row["maximum"], at[0.1], at[0.3], at[0.5],
            row["accepted_at_argmax"]["lemma"], row["accepted_at_argmax"]["lift"],
            row["signal"], row["noise"], row["share"],
        ]  # fmt: skip
        return [
            row["reward"] + ("*" if row["depends_on_more"] else ""),
            "any" if everywhere else ",".join(row["stages"]),
            str(row["n"]),
            _places(row),
            *("-" if number is None else f"{number:.3f}" for number in numbers),
        ]

    lines = [list(HEADER), *(cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADER))]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column < 2 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def _places(row: dict[str, Any]) -> str:
    """The place where a row's expectation is greatest: one p, or stretches."""
    if row["argmax"] is not None:
        return f"{row['argmax']:.3f}"
    return " | ".join(f"[{low:.3f}, {high:.3f}]" for low, high in row["greatest"]) or "-"


def draw(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """One panel per reward and stage: E[r | p, n] for every n.

    Raises:
        ValueError: matplotlib is missing, or cannot write a file of this kind.
    """
    matplotlib, pyplot = plotting()
    panels: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        label = "" if set(row["stages"]) >= {"lemma", "lift"} else ", ".join(row["stages"])
        panels.setdefault((row["reward"], label), []).append(row)
    columns = min(5, len(panels))
    count = math.ceil(len(panels) / columns)
    with matplotlib.rc_context({"svg.fonttype": "none", "font.size": 7, "svg.hashsalt": "reward_shapes"}):
        figure, axes = pyplot.subplots(
            count,
            columns,
            figsize=(2.3 * columns, 1.7 * count + 0.6),
            sharex=True,
            squeeze=False,
            layout="constrained",
        )
        for axis, ((name, label), own) in zip(axes.flat, panels.items(), strict=False):
            for row in own:
                axis.plot(GRID[COARSE], row["expected"], linewidth=1, label=f"n = {row['n']}")
            axis.set_title(Path(name).name + (f" ({label})" if label else ""), fontsize=7)
            axis.locator_params(nbins=3)
            axis.tick_params(left=False, bottom=False)
        for axis in list(axes.flat)[len(panels) :]:
            axis.set_axis_off()
        axes.flat[0].legend(fontsize=6)
        figure.supxlabel("true success rate p of the proposal")
        figure.supylabel("expected teacher reward given p and n")
        try:
            figure.savefig(path, metadata={"Date": None} if path.suffix == ".svg" else None, dpi=110)
        finally:
            pyplot.close(figure)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.reward_shapes",
        description="What a finite number of attempts makes of every teacher reward.",
    )
    parser.add_argument("--rewards", nargs="+", metavar="NAME", help="names, or file.py:name (default: all)")
    parser.add_argument(
        "--n", nargs="+", type=int, default=list(SAMPLES), help="attempts (default: %(default)s)"
    )
    parser.add_argument(
        "--beta", nargs=2, type=float, default=[1.0, 1.0], metavar=("A", "B"), help="of p (default: uniform)"
    )
    parser.add_argument("--json", type=Path, metavar="OUT", help="where to write the figures")
    parser.add_argument("--figure", type=Path, metavar="OUT", help=".svg, .png or .pdf to draw")
    options = parser.parse_args(arguments)
    if min(options.n) < 1 or max(options.n) > 256:
        parser.error(f"expected --n between 1 and 256, got {options.n}")
    if not all(0 < value < math.inf for value in options.beta):
        parser.error(f"expected --beta to be two positive numbers, got {options.beta}")
    rows, refused = [], {}
    for name in dict.fromkeys(options.rewards or teacher_rewards()):
        try:
            found = [shape for n in dict.fromkeys(options.n) for shape in shapes(name, n)]
        except ValueError as error:
            if options.rewards:
                print(f"error: {error}", file=sys.stderr)
                return 2
            refused[name] = str(error)
            continue
        rows += [
            measure(shape, tuple(options.beta)) for shape in sorted(found, key=lambda shape: shape.stages)
        ]
    print(table(rows))
    print(
        "\nFrom the binomial, no draws; nothing was run. max E is the greatest expected reward, argmax the p where it\n"
        "is, or [from, to] where it is as good as flat; lemma and lift are the chances that the curriculum accepts a\n"
        "proposal of that p; signal, noise and share are defined in the module's text."
    )
    if any(row["depends_on_more"] for row in rows):
        print("* depends on more than (c, n): the numbers are those of the reference proposals.")
    for complaint in refused.values():
        print(f"not determined: {complaint}")
    report = {
        "command": " ".join(["python -m benchmarks.reward_shapes", *(Path(part).name for part in arguments)]),
        "beta": options.beta,
        "bands": bands(),
        "p": GRID[COARSE].round(3).tolist(),
        "rows": rows,
        "not_determined": refused,
    }
    try:
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(
                json.dumps(report).replace('{"reward"', '\n{"reward"') + "\n", encoding="utf-8"
            )
        if options.figure:
            options.figure.parent.mkdir(parents=True, exist_ok=True)
            draw(rows, options.figure)
    except (OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
