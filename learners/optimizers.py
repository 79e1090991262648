"""AdamW, with float32 copies of weights of a lower precision.

A bfloat16 number has 8 significant bits: a step of less than a 500th of a weight is lost in it, which are most steps of
reinforcement learning. So the steps are taken in float32, and the weights are the rounded copies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from learners.processes import joint


def adamw(parameters: Sequence[torch.nn.Parameter], lr: float) -> torch.optim.Optimizer:
    """AdamW without weight decay, of the kind that the weights' precision needs."""
    if all(parameter.dtype == torch.float32 for parameter in parameters):
        return torch.optim.AdamW(parameters, lr=lr, weight_decay=0.0)
    return MasterAdamW(parameters, lr)


def clip(parameters: Sequence[torch.nn.Parameter], most: float) -> float:
    """Shrink gradients to a norm of at most ``most``, over all weights; returns the norm they had."""
    return float(joint(torch.nn.utils.clip_grad_norm_(parameters, most)))


class MasterAdamW(torch.optim.AdamW):
    """AdamW of float32 copies, which are rounded into the weights after each step.

    The copies are part of the state: the rounded weights do not tell them.

    Attributes:
        trained: the weights.
    """

    def __init__(self, parameters: Sequence[torch.nn.Parameter], lr: float) -> None:
        self.trained = list(parameters)
        super().__init__(
            [torch.nn.Parameter(one.detach().float()) for one in parameters], lr, weight_decay=0.0
        )

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of the weights."""
        for one in self.trained:
            one.grad = None

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Take a step with the weights' gradients."""
        if closure is not None:
            raise ValueError("expected no closure: gradients are taken from the weights")
        for copy, one in zip(self._copies(), self.trained, strict=True):
            copy.grad = None if one.grad is None else one.grad.float()
        super().step()
        for copy, one in zip(self._copies(), self.trained, strict=True):
            copy.grad = None
            one.copy_(copy)

    def state_dict(self) -> dict[str, Any]:
        """See `torch.optim.Optimizer.state_dict`; with the copies, as ``master``."""
        found = super().state_dict()
        copies = {number: copy.detach() for number, copy in enumerate(self._copies())}
        state = {
            number: {**found["state"].get(number, {}), "master": copy} for number, copy in copies.items()
        }
        return {**found, "state": state}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """See `torch.optim.Optimizer.load_state_dict`. The weights are set too."""
        rest = {number: dict(values) for number, values in state_dict["state"].items()}
        masters: dict[int, Tensor] = {number: values.pop("master") for number, values in rest.items()}
        super().load_state_dict({**state_dict, "state": {number: one for number, one in rest.items() if one}})
        for number, (copy, one) in enumerate(zip(self._copies(), self.trained, strict=True)):
            copy.copy_(masters[number])
            one.copy_(copy)

    def _copies(self) -> list[Tensor]:
        return [parameter for group in self.param_groups for parameter in group["params"]]
