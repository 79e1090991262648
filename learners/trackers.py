"""Where metrics go beside ``metrics.jsonl``: TensorBoard, Weights & Biases, trackio, each imported when it is named."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

#: Of the runs of this package, for trackers that sort runs by project.
PROJECT = "gasp_env"


class Tracker(Protocol):
    """Takes the metrics of updates."""

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """Take those of one."""
        ...

    def close(self) -> None:
        """Write what is left."""
        ...


class TensorBoard:
    """Files in the run's directory, for ``tensorboard --logdir``."""

    def __init__(self, run: Path, step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._board: Any = SummaryWriter(str(run / "tensorboard"), purge_step=step + 1)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `Tracker`."""
        for name, value in metrics.items():
            self._board.add_scalar(name, value, step)

    def close(self) -> None:
        """See `Tracker`."""
        self._board.close()


class WandB:
    """Weights & Biases; ``WANDB_MODE=offline`` needs no account. A run that goes on is told by its directory's name."""

    def __init__(self, run: Path, step: int) -> None:
        import wandb  # type: ignore[import-not-found, unused-ignore]

        id_ = {"id": run.name, "resume": "allow"} if step else {"id": run.name}
        self._run: Any = wandb.init(project=PROJECT, name=run.name, dir=str(run), **id_)

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._run.log(dict(metrics), step=step)

    def close(self) -> None:
        """See `Tracker`."""
        self._run.finish()


class Trackio:
    """trackio, which keeps runs on this machine: ``trackio show``."""

    def __init__(self, run: Path, step: int) -> None:
        import trackio  # type: ignore[import-not-found, unused-ignore]

        self._run: Any = trackio.init(
            project=PROJECT, name=run.name, resume="allow" if step else "never", embed=False
        )

    def log(self, step: int, metrics: Mapping[str, float]) -> None:
        """See `Tracker`."""
        self._run.log(dict(metrics), step=step)

    def close(self) -> None:
        """See `Tracker`."""
        self._run.finish()


TRACKERS: dict[str, Callable[[Path, int], Tracker]] = {
    "tensorboard": TensorBoard,
    "wandb": WandB,
    "trackio": Trackio,
}


def tracker(name: str, run: Path, step: int) -> Tracker:
    """The tracker of a name, for a run that has made ``step`` updates.

    Raises:
        ModuleNotFoundError: its package is not installed.
    """
    try:
        return TRACKERS[name](run, step)
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{name} needs a package that is not installed: pip install {name}"
        ) from error
