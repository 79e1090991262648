"""What a policy is, to every learner: text in, sampled completions out, and log-probabilities to train on.

A language model served elsewhere, a transformer in this process and a scripted player differ
only behind these names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import torch


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn. ``max_tokens`` counts the end token."""

    temperature: float = 1.0
    max_tokens: int = 96


@dataclass(frozen=True)
class Completion:
    """One sampled answer.

    Attributes:
        text: what the environment is given (template, system prompt and end token stripped).
        ids: sampled token ids, end token included.
        logprobs: log-probability of each id under the policy that sampled it, at the sampling
            temperature; None where the engine cannot tell.
        stop: ``"stop"`` when the end token was sampled, ``"length"`` when ``max_tokens`` cut it off.
    """

    text: str
    ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None
    stop: Literal["stop", "length"]


class Policy(Protocol):
    """Anything that can play."""

    version: int

    def generate(
        self, prompts: Sequence[str], samples: Sequence[int], sampling: Sampling, generator: torch.Generator
    ) -> list[list[Completion]]:
        """Draw ``samples[i]`` completions of ``prompts[i]``; each prompt is prefilled once."""
        ...


@dataclass(frozen=True)
class Scores:
    """Log-probabilities of given completions: rows in the order given, shape (rows, longest completion).

    ``mask`` is 1 on real completion tokens; values outside it are zero.
    """

    logprobs: torch.Tensor
    entropy: torch.Tensor
    mask: torch.Tensor


class TrainablePolicy(Policy, Protocol):
    """A policy whose weights live here."""

    module: torch.nn.Module

    def encode(self, prompt: str) -> list[int]:
        """Token ids of a prompt, with whatever template the policy adds."""
        ...

    def score(
        self, groups: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]], temperature: float = 1.0
    ) -> Scores:
        """Differentiable log-probabilities of completions; a group is (prompt ids, its completions' ids)."""
        ...

    def save(self, directory: Path) -> None:
        """Write weights (safetensors) and whatever ``load`` needs."""
        ...

    def load(self, directory: Path) -> None:
        """Replace this policy's weights by those `save` wrote."""
        ...
