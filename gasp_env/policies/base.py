"""The protocol of a policy: prompts go in, completions come out. Free of torch and of any client library.

A scripted player, a model behind a server and the model in training differ only behind `Policy.generate`.
Training asks for more: see `learners.policies.base.TrainablePolicy`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, runtime_checkable

import numpy as np

from gasp_env.episode.turns import CutOff, Lost

__all__ = ["Completion", "CutOff", "Lost", "Policy", "PolicyError", "Sampling"]


class PolicyError(RuntimeError):
    """A policy raised instead of answering; its error is the cause, where there is one."""


@dataclass(frozen=True)
class Sampling:
    """Parameters of sampling.

    Attributes:
        temperature: 0 asks for the likeliest token each time, of policies that can.
        top_p: share of the probability that is drawn from, likeliest tokens first; 1 is all of it.
        max_tokens: most tokens of a completion, end token included.
        seed: makes the call reproducible by itself: with equal prompts and samples it draws the same, independent of
            earlier draws. None: the policy goes on with its own random stream.

    Raises:
        ValueError: a value is out of its range.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    max_tokens: int = 1024
    seed: int | None = None

    def __post_init__(self) -> None:
        for fits, name, range_ in (
            (self.temperature >= 0, "temperature", "a number of at least 0"),
            (0 < self.top_p <= 1, "top_p", "a share above 0 and up to 1"),
            (self.max_tokens >= 1, "max_tokens", "an integer of at least 1"),
            (self.seed is None or self.seed >= 0, "seed", "an integer of at least 0, or None"),
        ):
            if not fits:
                raise ValueError(f"expected {name} to be {range_}, got {getattr(self, name)!r}")

    def call(self, number: int) -> Sampling:
        """The sampling of the ``number``-th of several calls, from 0: the seed differs from call to call."""
        if self.seed is None or number == 0:
            return self
        derived = np.random.SeedSequence((self.seed, number)).generate_state(1)
        return replace(self, seed=int(derived[0]))


@dataclass(frozen=True)
class Completion:
    """One sampled answer.

    Attributes:
        text: the text for the environment: template, system prompt, reasoning and end token are stripped.
        prompt_ids: token ids the policy was conditioned on, its template included; empty where an engine cannot tell.
        ids: sampled token ids, end token included; empty likewise.
        logprobs: log-probability of each id under the policy that sampled it, at the sampling temperature; None
            where an engine cannot tell.
        stop: ``"stop"`` when the answer ended by itself, ``"length"`` when ``max_tokens`` cut it off, ``"lost"`` when
            nothing was generated because the call failed; the text is then a `Lost` with the reason.
    """

    text: str
    prompt_ids: tuple[int, ...] = ()
    ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] | None = None
    stop: Literal["stop", "length", "lost"] = "stop"

    @property
    def submission(self) -> str:
        """The text to submit: a `CutOff` if the answer was cut off, a `Lost` if there is none."""
        if self.stop == "lost":
            return self.text if isinstance(self.text, Lost) else Lost()
        return CutOff(self.text) if self.stop == "length" else self.text


@runtime_checkable
class Policy(Protocol):
    """A player: completes prompts.

    Attributes:
        version: number of the weights' updates so far; 0 for a policy that never changes.
    """

    version: int

    def generate(
        self, prompts: Sequence[str], samples: Sequence[int], sampling: Sampling
    ) -> list[list[Completion]]:
        """Draw ``samples[i]`` completions of ``prompts[i]``, in order."""
        ...
