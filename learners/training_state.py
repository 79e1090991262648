"""A run in progress, and its checkpoints: tensors in safetensors, everything else in JSON, no pickle.

    runs/NAME/checkpoints/000120/policy/...            written by the policy's ``save``
                                 optimizer.safetensors moments
                                 random.safetensors    states of torch generators
                                 state.json            step, configuration hash, environment, counters

Weights of a role's own lie in ``policy-teacher``, their moments in ``optimizer-teacher.safetensors``. A directory is
renamed to its final name when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from learners.config import fixed
from learners.metrics import Ledger
from learners.optimizers import MasterAdamW
from learners.players import Player
from learners.processes import ALONE, LostProcess, Processes, is_lost, joint, parted
from learners.setting import Setting


class CheckpointError(RuntimeError):
    """A checkpoint is missing, or was made by a run with other settings."""


@dataclass
class State:
    """Everything but weights and moments.

    Attributes:
        step: updates done.
        config: hash of the settings that must not change on resume (`config_hash`).
        data: JSON-able: environment, counters, numpy random state, elapsed seconds.
        generators: torch random states by name, uint8.
    """

    step: int
    config: str
    data: dict[str, Any]
    generators: dict[str, torch.Tensor]


def config_hash(settings: Mapping[str, Any]) -> str:
    """Twelve hexadecimal digits that change when a setting does."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode()).hexdigest()[:12]


def save(
    directory: Path, players: Sequence[Player], state: State, keep: int = 2, processes: Processes = ALONE
) -> Path:
    """Write checkpoint ``directory/STEP`` and delete all but the newest ``keep``; returns its path.

    Every process has to call it; the first writes.

    One of this step that is there already is the same, and stays.
    """
    final = directory / f"{state.step:06d}"
    moments = {player.name: _flatten(player.optimizer, processes.main) for player in players}
    if not processes.main or _is_whole(final):
        return final
    for old in directory.glob(".[0-9]*"):  # drafts of processes that were killed
        shutil.rmtree(old)
    draft = directory / f".{final.name}.{os.getpid()}"
    settings = {}
    for player in players:
        weights, file = _places(draft, player)
        weights.mkdir(parents=True)
        player.policy.save(weights)
        tensors, settings[player.name] = moments[player.name]
        save_file(tensors, file)
    save_file(state.generators, draft / "random.safetensors")
    record = {"step": state.step, "config": state.config, "optimizers": settings, "data": state.data}
    (draft / "state.json").write_text(json.dumps(record))
    shutil.rmtree(final, ignore_errors=True)  # a broken one
    draft.rename(final)
    for old in steps(directory)[:-keep]:
        shutil.rmtree(old)
    return final


def load(path: Path, players: Sequence[Player], config: str) -> State:
    """Restore weights and moments in place and return the rest.

    Raises:
        CheckpointError: when ``path`` is no checkpoint or its settings differ from ``config``.
    """
    if not (path / "state.json").is_file():
        raise CheckpointError(f"expected a checkpoint (a directory with state.json) at {path}, found none")
    if not _is_whole(path):
        raise CheckpointError(
            f"expected a whole checkpoint at {path}, found one with a file that is cut or missing"
        )
    record = json.loads((path / "state.json").read_text())
    if record["config"] != config:
        raise CheckpointError(
            f"checkpoint {path} was made with other settings (hash {record['config']}, these have {config}): "
            "repeat the options in its run's manifest.json, or start a new run under another --name"
        )
    for player in players:
        weights, moments = _places(path, player)
        player.policy.load(weights)
        tensors = load_file(moments)
        if isinstance(player.optimizer, MasterAdamW) != any(name.endswith(".master") for name in tensors):
            raise CheckpointError(
                f"checkpoint {path} was made with weights of another type than these, "
                f"{next(iter(player.policy.parameters())).dtype}: give the --dtype of its run"
            )
        _restore(player.optimizer, tensors, record["optimizers"][player.name])
    return State(record["step"], config, record["data"], load_file(path / "random.safetensors"))


def _places(checkpoint: Path, player: Player) -> tuple[Path, Path]:
    """The folder of a player's weights, and the file of its optimizer."""
    own = _own(player.name)
    return checkpoint / f"policy{own}", checkpoint / f"optimizer{own}.safetensors"


def _own(name: str) -> str:
    """What tells the files of a player from those of ``--policy``."""
    return f"-{name}" if name else ""


def steps(directory: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(p for p in directory.glob("[0-9]*") if p.is_dir()) if directory.is_dir() else []


def _is_whole(checkpoint: Path) -> bool:
    """True unless it is not there, or a full disk or the like has cut one of its files."""
    try:
        record = json.loads((checkpoint / "state.json").read_text())
        tensors = {checkpoint / "random.safetensors", *checkpoint.glob("policy*/*.safetensors")}
        tensors |= {checkpoint / f"optimizer{_own(name)}.safetensors" for name in record["optimizers"]}
        for file in tensors:
            with safe_open(file, "pt"):  # compares the size with what the header says
                pass
    except (OSError, ValueError, KeyError, TypeError, AttributeError, SafetensorError):
        return False
    return all((checkpoint / f"policy{_own(name)}").is_dir() for name in record["optimizers"])


def forget_after(directory: Path, step: int, processes: Processes = ALONE) -> None:
    """Delete checkpoints of later steps than the one that a run goes on from: they are of another branch of it."""
    for checkpoint in steps(directory) if processes.main else ():
        if int(checkpoint.name) > step:
            shutil.rmtree(checkpoint)


def find(resume: str, run: Path) -> Path | None:
    """The checkpoint that ``--resume`` means: a path to one (or to a run), ``auto`` for the newest of ``run``, if any.

    Of a run, the newest whole one is meant.

    Raises:
        CheckpointError: when a path holds no checkpoint.
    """
    path = run if resume == "auto" else Path(resume)
    if (path / "state.json").is_file():
        return path.resolve()
    every = steps(path / "checkpoints")
    whole = [checkpoint for checkpoint in every if _is_whole(checkpoint)]
    if every and not whole:
        raise CheckpointError(
            f"expected a whole checkpoint in {path}, found none: the record of each is cut or missing"
        )
    if not whole and resume != "auto":
        raise CheckpointError(f"expected --resume to name a run or a checkpoint, found neither at {path}")
    return whole[-1] if whole else None


class Training:
    """A run in progress: everything that changes during it, saved and restored together.

    Args:
        players: the weights that train, and their optimizers.
        setting: that they play in.
        rng: of minibatches, the same in all processes.
        streams: torch generators by name, such as the policies', of this process.
        began: `time.perf_counter` when the program began.

    Attributes:
        config: see `State`.
        step: updates done.
        trained: seconds they took.
        ledger: counts over the run.
    """

    def __init__(
        self,
        players: Sequence[Player],
        setting: Setting,
        rng: np.random.Generator,
        streams: Mapping[str, torch.Generator],
        began: float,
    ) -> None:
        self.players, self.envs, self.rng = players, setting.envs, rng
        self.config = config_hash(fixed(setting.args))
        self._setting, self._processes = setting, setting.processes
        self.step, self.trained, self.ledger = 0, 0.0, Ledger()
        self._streams = streams
        self._began, self._runs_before = began, self.envs.sandbox.runs
        self._earlier: dict[str, Any] = {"seconds": 0.0, "runs": 0}

    def spent(self) -> dict[str, Any]:
        """Seconds since the program began and runs of the sandboxes, those before a resume included."""
        seconds = self._earlier["seconds"] + time.perf_counter() - self._began
        runs = sum(self._processes.all(self.envs.sandbox.runs - self._runs_before))
        return {"seconds": seconds, "runs": self._earlier["runs"] + runs}

    def progress(self) -> float:
        """Share of the run that is over: the largest of its updates, its training time and its sampled tokens.

        The run ends with the update after which this is at least 1. It is the same in all processes, whose turns the
        ledger counts together.
        """
        args = self._setting.args
        spent = (
            (self.step, args.updates),
            (self.trained, args.seconds),
            (sum(self.ledger.tokens.values()), args.tokens),
        )
        return max(done / bound for done, bound in spent if bound is not None)

    def accepted(self) -> Counter[str]:
        """Accepted tasks in the library, by stage."""
        return Counter(entry.task.stage for entry in self.envs.library.entries if entry.accepted)

    def totals(self) -> dict[str, float]:
        """The library, tokens and runs so far, for the logs."""
        accepted = self.accepted()
        return {
            **{f"library/accepted_{stage}s": float(accepted[stage]) for stage in ("lemma", "lift")},
            "library/valid": float(len(self.envs.library)),
            "tokens/total": float(sum(self.ledger.tokens.values())),
            "sandbox/runs": float(self.spent()["runs"]),
        }

    def save(self, directory: Path, keep: int) -> Path:
        """Write a checkpoint (see `save`); returns its path, where it is for all processes."""
        state = self.state()
        path = save(directory, self.players, state, keep, self._processes)
        self._processes.all(None)
        return path

    def state(self) -> State:
        """Everything but weights and moments, of all processes.

        Raises:
            RuntimeError: the weights of the processes have come to differ.
        """
        if self._processes.count > 1:
            # Of weights that are shared out, the copy in one piece.
            policies = [getattr(player.policy, "whole", player.policy) for player in self.players]
            weights = [one for policy in policies for one in policy.parameters()]
            sums = torch.stack([one.detach().double().sum() for one in weights]).tolist()
            if any(other != sums for other in self._processes.all(sums)):
                raise RuntimeError(
                    f"after update {self.step} the weights of the processes are no longer equal"
                )
        envs = self.envs.state()
        generators = {name: generator.get_state() for name, generator in self._streams.items()}
        generators["torch"] = torch.get_rng_state()
        parts = self._processes.all((envs["rngs"], generators))
        data = {
            "trained": self.trained,
            "spent": self.spent(),
            "versions": {player.name: player.policy.version for player in self.players},
            "ledger": self.ledger.state(),
            "envs": {**envs, "rngs": [one for rngs, _ in parts for one in rngs]},
            "numpy": self.rng.bit_generator.state,
            "processes": len(parts),
        }
        named = {
            _of_rank(name, rank): state
            for rank, (_, states) in enumerate(parts)
            for name, state in states.items()
        }
        return State(self.step, self.config, data, named)

    @contextmanager
    def without(self, directory: Path) -> Iterator[None]:
        """A context that ends, where another process has, with a line that says where to go on from.

        Raises:
            SystemExit: another process has ended.
        """
        try:
            yield
        except Exception as error:
            if not is_lost(error):
                raise
            newest = max(
                (path for path in directory.glob("*[0-9]") if path.name[0] != "."), key=_age, default=None
            )
            way = f"go on with --resume {newest}" if newest else "there is no checkpoint yet"
            said = " ".join(str(error).split())[:300]
            if not isinstance(error, LostProcess):  # met by an exchange of torch's or TRL's own
                said = f"another process of this run has ended ({said})"
            raise SystemExit(f"{said}; {way}") from None

    def restore(self, path: Path) -> None:
        """Go on where `save` was called.

        Raises:
            CheckpointError: see `load`; or it is of another number of processes.
        """
        self.set_state(load(path, self.players, self.config), path)

    def set_state(self, state: State, path: Path) -> None:
        """Restore everything but weights and moments.

        Args:
            state: of a checkpoint.
            path: of it, for messages.

        Raises:
            CheckpointError: it is of another number of processes.
        """
        ranks, processes = state.data.get("processes", 1), self._processes
        if ranks != processes.count:
            raise CheckpointError(
                f"checkpoint {path} was made by {ranks} processes, these are {processes.count}: start as many"
            )
        self.step, self.trained, self._earlier = state.step, state.data["trained"], state.data["spent"]
        for player in self.players:
            player.policy.version = state.data["versions"][player.name]
        self.ledger = Ledger.restore(state.data["ledger"])
        envs = state.data["envs"]
        own = processes.share(len(envs["rngs"]))
        self.envs.set_state({**envs, "rngs": [envs["rngs"][number] for number in own]})
        self.rng.bit_generator.state = state.data["numpy"]
        for name, generator in self._streams.items():
            generator.set_state(state.generators[_of_rank(name, processes.rank)])
        torch.set_rng_state(state.generators[_of_rank("torch", processes.rank)])


def _age(path: Path) -> float:
    return path.stat().st_mtime


def _of_rank(name: str, rank: int) -> str:
    """The name of a random stream of a process."""
    return f"{name}.{rank}" if rank else name


def _flatten(
    optimizer: torch.optim.Optimizer, kept: bool = True
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """An optimizer's state as named tensors and JSON; without the tensors, in a process that does not keep them."""
    state = optimizer.state_dict()
    tensors, scalars = {}, {}
    for index, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                whole = joint(value.detach())
                if kept:
                    tensors[f"{index}.{name}"] = whole.cpu().contiguous()
            else:
                scalars[f"{index}.{name}"] = value
    return tensors, {"groups": state["param_groups"], "scalars": scalars}


def _restore(
    optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], settings: dict[str, Any]
) -> None:
    state: dict[int, dict[str, Any]] = {}
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    for key, value in sorted({**settings["scalars"], **tensors}.items()):  # parts are dealt out in one order
        index, name = key.split(".", 1)
        own = parameters[int(index)]
        moment = isinstance(value, torch.Tensor) and value.shape == own.shape
        state.setdefault(int(index), {})[name] = parted(value, own) if moment else value
    optimizer.load_state_dict({"state": state, "param_groups": settings["groups"]})
