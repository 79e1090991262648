"""Helpers of tests that train a tiny language model; its fixtures are in ``conftest``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file


def with_policy(options: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**options, "policy_options": {"": {**options["policy_options"][""], **more}}}


def rewards(run: Path, name: str) -> list[float]:
    return [json.loads(line)[name] for line in (run / "metrics.jsonl").read_text().splitlines()]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: one for file in folder.glob("*.safetensors") for name, one in load_file(file).items()}
