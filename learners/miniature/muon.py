"""Muon for many small matrices on a processor without bfloat16 units.

`torch.optim.Muon` orthogonalises one matrix at a time in bfloat16, which such processors emulate: it
took a fifth of an update here. Stacking matrices of one shape and staying in float32 makes it a
twentieth. The method is Jordan et al., "Muon: an optimizer for hidden layers" (2024); the update is
scaled to the size of AdamW's as in Liu et al., "Muon is scalable for LLM training" (2025).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor, steps: int = 5) -> Tensor:
    """Singular values pushed towards 1; shape (matrices, rows, columns)."""
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.transpose(1, 2) if tall else matrices
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    a, b, c = _COEFFICIENTS
    for _ in range(steps):
        gram = x @ x.transpose(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.transpose(1, 2) if tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose every step is orthogonalised; for matrices only."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.01,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """One update of every matrix that has a gradient."""
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape[parameter.shape].append(parameter)
            for shape, parameters in by_shape.items():
                looks_ahead = []
                for parameter in parameters:
                    gradient = cast(Tensor, parameter.grad)
                    momentum = self.state[parameter].setdefault("momentum", torch.zeros_like(parameter))
                    momentum.lerp_(gradient, 1 - group["momentum"])
                    looks_ahead.append(gradient.lerp(momentum, group["momentum"]))
                scale = group["lr"] * 0.2 * max(shape) ** 0.5
                for parameter, direction in zip(
                    parameters, orthogonalise(torch.stack(looks_ahead)), strict=True
                ):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"]).sub_(direction, alpha=scale)
