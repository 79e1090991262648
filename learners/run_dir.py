"""A run's directory and its display: manifest, logs, episode files, progress bar, the table at the end."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Column, Table

from learners.config import Args
from learners.evaluate import Evaluation
from learners.trackers import tracker
from learners.training_state import Training

#: Updates, and seconds, between lines of text where there is no terminal to draw a bar in.
QUIET_EVERY, QUIET_SECONDS = 10, 60
#: Files that a run's directory has from the run's beginning.
_LOCK, _STARTED = ".lock", ".started"
#: The file that says that there is something to go on from.
_MANIFEST = "manifest.json"


def directory(runs: Path, name: str, resume: str) -> Path:
    """Directory of a run's files; `claim` makes it this process's own.

    Raises:
        FileExistsError: a run of that name exists and is not to be resumed.
        FileNotFoundError: the newest run is to be resumed, and has no checkpoint yet.
    """
    if resume not in ("", "auto"):
        path = Path(resume).resolve()
        run = path.parent.parent if path.parent.name == "checkpoints" else path
        if name and run != (runs / name).resolve():
            raise ValueError(f"expected no --name beside --resume {resume}, or that of its run, got {name}")
        return run
    if resume == "auto" and not name:
        newest = max(runs.glob(f"*/{_STARTED}"), key=lambda path: path.stat().st_mtime_ns, default=None)
        if newest is not None and not any((newest.parent / "checkpoints").glob("[0-9]*")):
            raise FileNotFoundError(
                f"the newest run, {newest.parent}, has no checkpoint to go on from: name another one "
                f"(--resume {runs}/NAME), or start anew without --resume"
            )
        if newest is not None:
            return newest.parent
    if not name:
        now = time.strftime("%Y%m%d-%H%M%S")
        names = itertools.chain([now], (f"{now}-{number}" for number in itertools.count(2)))
        return next(run for name in names if not (run := runs / name).exists())
    run = runs / name
    if not resume and (run / _MANIFEST).exists():
        raise FileExistsError(
            f"a run named {name} lies in {run}: add --resume auto to go on, or choose another --name"
        )
    return run


@contextmanager
def own_directory(runs: Path, name: str, resume: str) -> Iterator[Path]:
    """A context in which a run has its `directory` to itself (`claim`).

    Raises:
        FileExistsError, FileNotFoundError: see `directory` and `claim`.
    """
    with contextlib.ExitStack() as held:
        while True:
            run = directory(runs, name, resume)
            try:
                held.enter_context(claim(run))
                break
            except FileExistsError:
                if name or resume or not run.is_dir():
                    raise  # else another run began in the same moment: take the next name
        yield run


@contextmanager
def claim(run: Path) -> Iterator[Path]:
    """A context in which a run's directory is this process's own.

    If it is new, and no manifest is written to it, so that there is nothing to go on from, it is removed.

    Raises:
        FileExistsError: another process writes to it.
    """
    made = [path for path in (run, *run.parents) if not path.exists()]
    run.mkdir(parents=True, exist_ok=True)
    lock = FileLock(run / _LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise FileExistsError(
            f"another process trains in {run}: wait for it, or choose another --name"
        ) from None
    try:
        (run / _STARTED).touch()
        yield run
    finally:
        if run in made and not (run / _MANIFEST).exists():
            with contextlib.suppress(OSError):
                shutil.rmtree(run)
                for path in made[1:]:
                    path.rmdir()  # fails where somebody else's run lies in it now
        lock.release()


class Report:
    """Writes a run's files and shows its progress; a context manager around the training loop.

    Args:
        run: the run's directory.
        step: updates done before; later lines of the log are dropped.
        updates: updates to make.
        track: names of trackers (`learners.trackers`).

    Raises:
        ModuleNotFoundError: a tracker's package is not installed.
    """

    def __init__(self, run: Path, step: int, updates: int, track: Sequence[str] = ("tensorboard",)) -> None:
        self.run, self._updates = run, updates
        self.console = Console(width=None if sys.stdout.isatty() else 110)
        run.mkdir(parents=True, exist_ok=True)
        self._metrics = run / "metrics.jsonl"
        if self._metrics.exists():
            kept = "".join(_lines_until(self._metrics, step))
            draft = self._metrics.with_suffix(".draft")
            draft.write_text(kept)
            draft.replace(self._metrics)
        self._trackers = [tracker(name, run, step) for name in track]
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
            disable=not self.console.is_terminal,
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
        """Write a JSON file of the run."""
        path = self.run / name
        path.write_text(json.dumps(record, indent=2, default=str) + "\n")
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
        print(text, flush=True)
        self._said = time.monotonic()

    def log(self, step: int, metrics: Mapping[str, float], note: str) -> None:
        """One update's numbers, to metrics.jsonl and the trackers; ``note`` goes beside the bar."""
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
        """Store episodes of one update, one JSON object a line."""
        path = self.run / "episodes" / f"{step:06d}.jsonl"
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
