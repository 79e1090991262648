"""Checkpoints without pickle: tensors in safetensors, everything else in JSON, and a rename to make it true.

    runs/NAME/checkpoints/000120/policy/...            whatever the policy's ``save`` writes
                                 optimizer.safetensors moments
                                 random.safetensors    states of torch generators
                                 state.json            step, configuration hash, environment, counters

A directory appears under its final name only when it is complete.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from learners.policies.base import TrainablePolicy


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
    directory: Path, policy: TrainablePolicy, optimizer: torch.optim.Optimizer, state: State, keep: int = 2
) -> Path:
    """Write checkpoint ``directory/STEP`` and delete all but the newest ``keep``; returns its path."""
    final = directory / f"{state.step:06d}"
    draft = directory / f".{final.name}.{os.getpid()}"
    shutil.rmtree(draft, ignore_errors=True)
    (draft / "policy").mkdir(parents=True)
    policy.save(draft / "policy")
    tensors, settings = _flatten(optimizer)
    save_file(tensors, draft / "optimizer.safetensors")
    save_file(state.generators, draft / "random.safetensors")
    record = {"step": state.step, "config": state.config, "optimizer": settings, "data": state.data}
    (draft / "state.json").write_text(json.dumps(record))
    if final.exists():  # the same step again, after a resume that trained nothing
        shutil.rmtree(final)
    draft.rename(final)
    for old in steps(directory)[:-keep]:
        shutil.rmtree(old)
    return final


def load(path: Path, policy: TrainablePolicy, optimizer: torch.optim.Optimizer, config: str) -> State:
    """Restore policy and optimizer in place and return the rest.

    Raises:
        CheckpointError: when ``path`` is no checkpoint or its settings differ from ``config``.
    """
    if not (path / "state.json").is_file():
        raise CheckpointError(f"expected a checkpoint (a directory with state.json) at {path}, found none")
    record = json.loads((path / "state.json").read_text())
    if record["config"] != config:
        raise CheckpointError(
            f"checkpoint {path} was made with other settings (hash {record['config']}, these have {config}): "
            "repeat the options in its run's manifest.json, or start a new run under another --name"
        )
    policy.load(path / "policy")
    _restore(optimizer, load_file(path / "optimizer.safetensors"), record["optimizer"])
    return State(record["step"], config, record["data"], load_file(path / "random.safetensors"))


def steps(directory: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(p for p in directory.glob("[0-9]*") if p.is_dir()) if directory.is_dir() else []


def find(resume: str, run: Path) -> Path | None:
    """The checkpoint that ``--resume`` means: a path to one (or to a run), ``auto`` for the newest of ``run``, if any.

    Raises:
        CheckpointError: when a path holds no checkpoint.
    """
    if resume == "auto":
        return next(reversed(steps(run / "checkpoints")), None)
    path = Path(resume)
    newest = next(reversed(steps(path / "checkpoints")), path)
    if not (newest / "state.json").is_file():
        raise CheckpointError(f"expected --resume to name a run or a checkpoint, found neither at {path}")
    return newest


def _flatten(optimizer: torch.optim.Optimizer) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """An optimizer's state as named tensors and JSON."""
    state = optimizer.state_dict()
    tensors, scalars = {}, {}
    for index, values in state["state"].items():
        for name, value in values.items():
            if isinstance(value, torch.Tensor):
                tensors[f"{index}.{name}"] = value.detach().cpu().contiguous()
            else:
                scalars[f"{index}.{name}"] = value
    return tensors, {"groups": state["param_groups"], "scalars": scalars}


def _restore(
    optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor], settings: dict[str, Any]
) -> None:
    state: dict[int, dict[str, Any]] = {}
    for key, value in {**settings["scalars"], **tensors}.items():
        index, name = key.split(".", 1)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": settings["groups"]})
