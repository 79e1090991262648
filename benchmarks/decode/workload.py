"""What is decoded: prompts of the env, and the tokens that every contender has to produce."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from gasp_env.envs.vector import GaspCodeVectorEnv


@dataclass(frozen=True)
class Workload:
    """Prompts and scripts.

    Attributes:
        prompts: token ids.
        scripts: for each prompt, the completions' token ids; each ends with an end token.
    """

    prompts: tuple[tuple[int, ...], ...]
    scripts: tuple[tuple[tuple[int, ...], ...], ...]

    @property
    def tokens(self) -> int:
        """Tokens to sample."""
        return sum(len(ids) for group in self.scripts for ids in group)

    @property
    def longest(self) -> int:
        """Tokens of the longest completion."""
        return max(len(ids) for group in self.scripts for ids in group)


@dataclass(frozen=True)
class Size:
    """How much is decoded.

    Attributes:
        prompts: half a teacher's, half a solver's.
        samples: completions of each.
        median: tokens of a completion; their logarithms are normal.
        spread: standard deviation of the logarithms.
        limit: most tokens.
    """

    prompts: int
    samples: int
    median: int
    spread: float = 0.5
    limit: int = 512


def make(policy: Any, size: Size, seed: int) -> Workload:
    """A workload for a policy's tokenizer. Tokens are random: their values do not change the work."""
    rng = np.random.default_rng(seed)
    ends = sorted(policy.chat.ends)
    ordinary = np.setdiff1d(np.arange(policy.module.config.vocab_size), ends)

    def script() -> tuple[int, ...]:
        length = round(size.median * math.exp(size.spread * rng.standard_normal()))
        length = min(max(1, length), size.limit)
        return (*rng.choice(ordinary, length - 1).tolist(), policy.tokenizer.eos_token_id)

    texts = prompts(size.prompts, seed)
    return Workload(
        tuple(policy.chat.prompt_ids(text) for text in texts),
        tuple(tuple(script() for _ in range(size.samples)) for _ in texts),
    )


def prompts(count: int, seed: int) -> list[str]:
    """Prompts of lemmas, and of goalposts to solve, in turn."""
    half = -(-count // 2)
    lemmas = _first_prompts("gasp", half, seed)
    solves = _first_prompts("rlvr", half, seed)
    return [prompt for pair in zip(lemmas, solves, strict=True) for prompt in pair][:count]


def _first_prompts(curriculum: str, count: int, seed: int) -> Sequence[str]:
    envs = GaspCodeVectorEnv(count, curriculum=curriculum)
    try:
        envs.reset(seed=seed)
        return [turn.prompt for turn in envs.turns if turn is not None]
    finally:
        envs.close()
