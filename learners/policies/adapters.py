"""LoRA adapters (arXiv 2106.09685) in a model's linear layers, by `peft`: named sets of weights on one frozen base.

A model may hold several, of which one is active. Their weights are of the base's type, so that nothing is converted on
the way; `learners.optimizers` keeps float32 copies, so that small steps are not lost.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

#: The file of an adapter's weights in its folder, as `peft` names it.
WEIGHTS = "adapter_model.safetensors"
#: What `peft` puts before the names of weights in files.
_PREFIX = "base_model.model."


def add(module: Any, rank: int, name: str) -> None:
    """Add an adapter that changes nothing yet to every linear layer but the head, and make it the active one.

    Its updates are scaled by 2 (alpha is twice the rank). The base's weights no longer train.

    Raises:
        ModuleNotFoundError: `peft` is not installed.
    """
    from peft import LoraConfig

    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    module.requires_grad_(False)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Already found a `peft_config`")  # several are meant
        module.add_adapter(config, adapter_name=name)


def copy(module: Any, source: str, target: str) -> None:
    """Add an adapter that is a copy of another, and make it the active one."""
    add(module, module.peft_config[source].r, target)
    values = weights(module, source).values()
    with torch.no_grad():
        for ours, theirs in zip(weights(module, target).values(), values, strict=True):
            ours.copy_(theirs)


def activate(module: Any, name: str) -> None:
    """Let a model compute with one adapter."""
    if module.active_adapters() != [name]:
        module.set_adapter(name)


def weights(module: Any, name: str) -> dict[str, torch.nn.Parameter]:
    """The weights of an adapter by their names in the model, its own name left out."""
    mark = f".{name}."
    return {
        key.replace(mark, "."): value
        for key, value in module.named_parameters()
        if mark in key and ".lora_" in key
    }


def load(module: Any, name: str, folder: Path) -> None:
    """Replace an adapter's weights by those that ``module.save_pretrained`` wrote.

    Raises:
        ValueError: there are none, or they belong to an adapter of another shape.
    """
    try:
        stored = load_file(folder / WEIGHTS)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{folder / WEIGHTS}: expected the weights of an adapter: {error}") from None
    found = {key.removeprefix(_PREFIX): value for key, value in stored.items()}
    ours = weights(module, name)
    shapes = [{key: value.shape for key, value in each.items()} for each in (ours, found)]
    if shapes[0] != shapes[1]:
        raise ValueError(
            f"expected the weights of an adapter of rank {module.peft_config[name].r} of this model in {folder}, "
            "found others"
        )
    with torch.no_grad():
        for key, value in ours.items():
            value.copy_(found[key])
