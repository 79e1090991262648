"""The directory of a run's files: which it is, and that it is one run's own."""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from learners.processes import ALONE, Processes

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
        if newest is not None and not _checkpoints(newest.parent):
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


def _checkpoints(run: Path) -> list[Path]:
    """Checkpoints of a run, of whichever learner."""
    return [path for path in (run / "checkpoints").glob("*[0-9]") if not path.name.startswith(".")]


def check_learner(run: Path, learner: str) -> None:
    """Refuse to go on with a run of another learner.

    Raises:
        ValueError: it is.
    """
    try:
        theirs = json.loads((run / _MANIFEST).read_text(encoding="utf-8")).get("learner", learner)
    except (OSError, ValueError, AttributeError):
        return
    if theirs != learner:
        raise ValueError(
            f"{run} is a run of learners.{theirs}: go on with it there, or choose another --name"
        )


@contextmanager
def own_directory(runs: Path, name: str, resume: str, processes: Processes = ALONE) -> Iterator[Path]:
    """A context in which a run has its `directory` to itself (`claim`); the first of its processes claims it.

    Raises:
        FileExistsError, FileNotFoundError: see `directory` and `claim`.
    """
    with contextlib.ExitStack() as held:
        while processes.main:
            run = directory(runs, name, resume)
            try:
                held.enter_context(claim(run))
                break
            except FileExistsError:
                if name or resume or not run.is_dir():
                    raise  # else another run began in the same moment: take the next name
        yield processes.all(run if processes.main else Path())[0]


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
