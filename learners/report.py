"""What a run writes and shows: manifest, logs, episode files, progress bar, the table at the end."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table

from learners.config import Args
from learners.evaluate import Evaluation
from learners.processes import ALONE, Processes
from learners.trackers import tracker
from learners.training_state import Training

#: Updates, and seconds, between lines of text where there is no terminal to draw a bar in.
QUIET_EVERY, QUIET_SECONDS = 10, 60


class Report:
    """Writes a run's files and shows its progress; a context manager around the training loop.

    Args:
        run: the run's directory.
        step: updates done before; later lines of the log are dropped.
        updates: updates to make.
        track: names of trackers (`learners.trackers`).
        processes: of the run; the first writes and speaks, the others are silent.

    Raises:
        ModuleNotFoundError: a tracker's package is not installed.
    """

    def __init__(
        self,
        run: Path,
        step: int,
        updates: int,
        track: Sequence[str] = ("tensorboard",),
        processes: Processes = ALONE,
    ) -> None:
        self.run, self._updates, self._processes = run, updates, processes
        self.console = Console(width=None if sys.stdout.isatty() else 110, quiet=not processes.main)
        run.mkdir(parents=True, exist_ok=True)
        self._metrics = run / "metrics.jsonl"
        if self._metrics.exists() and processes.main:
            kept = "".join(_lines_until(self._metrics, step))
            draft = self._metrics.with_suffix(".draft")
            draft.write_text(kept)
            draft.replace(self._metrics)
        self._trackers = [tracker(name, run, step) for name in track if processes.main]
        self._said = time.monotonic()
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}", table_column=Column(no_wrap=True, ratio=1)),
            console=self.console,
            expand=True,
            disable=not self.console.is_terminal or not processes.main,
        )
        self._bar = self._progress.add_task("training", total=updates, completed=step, note="")

    def __enter__(self) -> Report:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()
        self.close()

    def close(self) -> None:
        """Close the trackers."""
        for one in self._trackers:
            one.close()

    def write(self, name: str, record: Mapping[str, Any]) -> Path:
        """Write a JSON file of the run; it is there for all processes when this returns."""
        path = self.run / name
        if self._processes.main:
            path.write_text(json.dumps(record, indent=2, default=str) + "\n")
        self._processes.all(None)
        return path

    def read(self, name: str) -> Any:
        """A JSON file of the run."""
        return json.loads((self.run / name).read_text())

    def during(self, text: str) -> None:
        """What an update is at, for people who wait: beside the bar, or a line once in a while."""
        self._progress.update(self._bar, note=text)
        if not self.console.is_terminal and time.monotonic() - self._said > QUIET_SECONDS:
            self._print(f"  {text}")

    def _print(self, text: str) -> None:
        if self._processes.main:
            print(text, flush=True)
        self._said = time.monotonic()

    def log(self, step: int, metrics: Mapping[str, float], note: str) -> None:
        """One update's numbers, to metrics.jsonl and the trackers; ``note`` goes beside the bar."""
        if self._processes.main:
            with self._metrics.open("a") as file:
                file.write(json.dumps({"step": step, **metrics}) + "\n")
        for one in self._trackers:
            one.log(step, metrics)
        self._progress.update(self._bar, completed=step, note=note)
        due = step % QUIET_EVERY == 0 or time.monotonic() - self._said > QUIET_SECONDS
        if not self.console.is_terminal and (due or step in (1, self._updates)):
            self._print(f"update {step:4d}  {note}")

    def say(self, text: str) -> None:
        """A line for a person."""
        self.console.print(text, highlight=False, soft_wrap=True)

    def episodes(self, step: int, transcripts: Iterable[Mapping[str, Any] | None]) -> Path:
        """Store episodes of one update, one JSON object a line; those of the first process."""
        path = self.run / "episodes" / f"{step:06d}.jsonl"
        if not self._processes.main:
            return path
        path.parent.mkdir(exist_ok=True)
        path.write_text("".join(json.dumps(transcript) + "\n" for transcript in transcripts))
        return path


def _lines_until(log: Path, step: int) -> list[str]:
    """The lines of a log up to an update; one that a full disk or a kill has torn ends it."""
    kept: list[str] = []
    for line in log.read_text().splitlines(keepends=True):
        try:
            if not line.endswith("\n"):
                break
            if json.loads(line)["step"] <= step:
                kept.append(line)
        except (ValueError, KeyError, TypeError):
            break
    return kept


def note(metrics: Mapping[str, float], training: Training) -> str:
    """One update in a line: mean rewards, tasks accepted so far, speed."""
    rewards = [f"{name[7:]} {value:+.2f}" for name, value in metrics.items() if name.startswith("reward/")]
    accepted, speed = training.accepted(), training.trained / training.step
    counts = [f"lemmas {accepted['lemma']}", f"lifts {accepted['lift']}"]
    return "  ".join([*rewards, *counts, f"{speed:.1f} s/update"])


def summarise(
    run: Path,
    args: Args,
    training: Training,
    goalposts: int,
    before: Mapping[str, Evaluation],
    after: Mapping[str, Evaluation],
) -> dict[str, Any]:
    """A run in numbers: the contents of summary.json, shown by `table`.

    Args:
        run: the run's directory.
        args: its options.
        training: as it ended.
        goalposts: their number.
        before: measurements of ``heldout`` and ``goalposts`` with the start model.
        after: the same with the trained one.
    """
    spent, accepted, ledger = training.spent(), training.accepted(), training.ledger
    sets = ("heldout", "goalposts")
    (heldout, aims), (heldout_after, aims_after) = (
        [found[name] for name in sets] for found in (before, after)
    )
    return {
        "accepted_lemmas": accepted["lemma"],
        "accepted_lifts": accepted["lift"],
        "sandbox": {"tier": training.envs.sandbox.tier, "runs": spent["runs"]},
        "pass_at_1": {"before": heldout.pass_at(1), "after": heldout_after.pass_at(1)},
        "pass_at_8": {"before": heldout.pass_at(8), "after": heldout_after.pass_at(8)},
        "goalposts_reached": {
            "base_resampled": aims.reached,
            "after": aims_after.reached,
            "samples_each": args.goalpost_samples,
            "of": goalposts,
        },
        "solve_rates": ledger.solve_rates(),
        "proposals": ledger.proposed,
        "rewards": ledger.quarters(),
        "tokens": {"total": sum(ledger.tokens.values()), "solver": ledger.tokens["solver"]},
        "groups": ledger.groups,
        "updates": training.step,
        "seconds": spent["seconds"],
        "seconds_training": training.trained,
        "episodes": str(max((run / "episodes").glob("*.jsonl"))),
    }


def table(summary: Mapping[str, Any]) -> Table:
    """A run's summary as a table for people."""
    out = Table(title="self-play", title_justify="left")
    for name, justify in (("", "left"), ("before", "right"), ("after", "right")):
        out.add_column(name, justify=justify)  # type: ignore[arg-type]

    def text(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}" if isinstance(value, float) else str(value)

    for k in (1, 8):
        pair = summary[f"pass_at_{k}"]
        out.add_row(f"held-out pass@{k}", text(pair["before"]), text(pair["after"]))
    reached = summary["goalposts_reached"]
    label = f"goalposts reached, of {reached['of']} with {reached['samples_each']} samples each"
    out.add_row(label, text(reached["base_resampled"]), text(reached["after"]))
    out.add_section()
    out.add_row("mean reward", "first quarter", "last quarter")
    for name, pair in summary["rewards"].items():
        out.add_row(f"  {name}", text(pair["first_quarter"]), text(pair["last_quarter"]))
    out.add_section()
    out.add_row("solved", "", "share")
    for name, rate in summary["solve_rates"].items():
        out.add_row(f"  {name}", "", text(rate))
    out.add_section()
    for stage, counts in summary["proposals"].items():
        common = sorted(counts.items(), key=lambda item: -item[1])[:2]
        share = ", ".join(f"{verdict} {count / sum(counts.values()):.0%}" for verdict, count in common)
        out.add_row(f"proposed {stage}s: {share}", "", str(sum(counts.values())))
    tokens, groups, sandbox = summary["tokens"], summary["groups"], summary["sandbox"]
    for name, value in (
        ("accepted lemmas", summary["accepted_lemmas"]),
        ("accepted lifts", summary["accepted_lifts"]),
        (f"sandbox runs ({sandbox['tier']})", f"{sandbox['runs']:,}"),
        ("sampled tokens, of these the solver's", f"{tokens['total']:,}, {tokens['solver']:,}"),
        ("solver groups, of these with gradient", f"{groups['all']:,}, {groups['with_gradient']:,}"),
        ("seconds, of these training", f"{summary['seconds']:.0f}, {summary['seconds_training']:.0f}"),
    ):
        out.add_row(name, "", str(value))
    return out
