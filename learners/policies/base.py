"""Trainable policies: a `gasp_env.policies.Policy` with its weights in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch

from gasp_env.policies import Policy


@dataclass(frozen=True)
class Scores:
    """Log-probabilities of given completions: rows in the order given, shape (rows, longest completion).

    ``mask`` is 1 on real completion tokens; values outside it are zero.
    """

    logprobs: torch.Tensor
    entropy: torch.Tensor
    mask: torch.Tensor


class TrainablePolicy(Policy, Protocol):
    """A policy with its weights in this process.

    Its completions have ``prompt_ids`` and ``ids``, which `score` takes.

    Attributes:
        module: that has the weights; other policies may share it.
        generator: random stream of `generate` where the sampling has no seed. A learner seeds it, and keeps its
            state in checkpoints, so that a resumed run samples as an uninterrupted one.
    """

    module: torch.nn.Module
    generator: torch.Generator

    def parameters(self) -> list[torch.nn.Parameter]:
        """The weights that train."""
        ...

    def fork(self, name: str) -> TrainablePolicy:
        """A policy with a copy of the weights that train, which then goes its own way.

        Args:
            name: tells it from other forks.
        """
        ...

    def score(
        self, groups: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]], temperature: float = 1.0
    ) -> Scores:
        """Differentiable log-probabilities of completions; a group is (prompt ids, its completions' ids)."""
        ...

    def save(self, directory: Path) -> None:
        """Write weights (safetensors) and everything else that ``load`` needs."""
        ...

    def load(self, directory: Path) -> None:
        """Replace this policy's weights by those `save` wrote."""
        ...


def moved(policy: TrainablePolicy) -> None:
    """Count a change of a policy's weights, and `refresh` it; every process has to call this."""
    policy.version += 1
    refresh(policy)


def refresh(policy: TrainablePolicy) -> None:
    """Let a policy that has further copies of its weights make these anew, by a method of this name."""
    own: Callable[[], None] | None = getattr(policy, "refresh", None)
    if own is not None:
        own()
