"""Drawing tokens from logits: one uniform number a token, turned into a token by the inverse of the distribution.

Every completion has a random stream of its own, derived from the seed, the prompt's text and the sample's number. So
its draws do not depend on the other prompts of a call, on their order, or on the rows that happen to share a batch.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

#: Tokens whose weights are summed together first, so that no sum over a vocabulary is done in sequence.
_BLOCK = 128
#: Rows drawn at once on a processor: their logits stay in its cache.
_CHUNK = 4
_AHEAD = 64


@dataclass
class Row:
    """One completion in the making.

    Attributes:
        prompt: index of its prompt.
        stream: its random stream.
        ids, logprobs: tokens drawn so far, and their log-probabilities.
        ended: True once an end token was drawn.
    """

    prompt: int
    stream: np.random.Generator
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    ended: bool = False
    _uniforms: list[float] = field(default_factory=list, repr=False)

    def uniform(self) -> float:
        """The next number of its stream, in [0, 1)."""
        if not self._uniforms:
            self._uniforms = self.stream.random(_AHEAD).tolist()[::-1]
        return self._uniforms.pop()


def rows(seed: int, prompts: Sequence[str], samples: Sequence[int]) -> list[Row]:
    """A row for every sample, prompt by prompt. Samples of equal prompts are numbered through."""
    made: list[Row] = []
    drawn: Counter[str] = Counter()
    for number, (prompt, count) in enumerate(zip(prompts, samples, strict=True)):
        digest = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).digest()
        key = int.from_bytes(digest[:16], "little")
        for sample in range(drawn[prompt], drawn[prompt] + count):
            stream = np.random.Generator(np.random.Philox(np.random.SeedSequence((seed, key, sample))))
            made.append(Row(number, stream))
        drawn[prompt] += count
    return made


@dataclass(frozen=True)
class Draw:
    """A rule for choosing the next token of every row.

    Attributes:
        temperature: 0 takes the likeliest token; its log-probability is then that at temperature 1.
        top_p: share of the probability that is drawn from; the log-probabilities are those of the distribution cut
            to it.
    """

    temperature: float = 1.0
    top_p: float = 1.0

    def __call__(self, logits: Tensor, rows: Sequence[Row]) -> tuple[list[int], list[float]]:
        """Tokens and their log-probabilities. ``logits``: shape (rows, vocabulary), of any dtype."""
        uniform = torch.tensor([row.uniform() for row in rows], dtype=torch.double, device=logits.device)
        chunk = _CHUNK if logits.device.type == "cpu" else len(rows)
        tokens: list[int] = []
        logprobs: list[float] = []
        for part, numbers in zip(logits.split(chunk), uniform.split(chunk), strict=True):
            weights = part.float()
            if self.temperature not in (0, 1):
                weights = weights / self.temperature
            weights = (weights - weights.amax(dim=1, keepdim=True)).exp_()
            if not self.temperature:
                token, total = part.argmax(dim=1), weights.sum(dim=1, dtype=torch.double)
            elif self.top_p < 1:
                token, total = _nucleus(weights, numbers, self.top_p)
            else:
                token, total = _inverse(weights, numbers)
            chosen = weights.gather(1, token[:, None])[:, 0].double()
            tokens += token.tolist()
            logprobs += (chosen.log() - total.log()).tolist()
        return tokens, logprobs


def _inverse(weights: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """The token at a share ``uniform`` of the sum of each row's weights, and that sum."""
    blocks = F.pad(weights, (0, -weights.shape[1] % _BLOCK)).unflatten(1, (-1, _BLOCK))
    shares = blocks.sum(dim=2).double().cumsum(dim=1)
    total = shares[:, -1]
    target = _below(uniform * total, total)
    block = torch.searchsorted(shares, target[:, None], right=True)
    rest = target[:, None] - F.pad(shares, (1, 0)).gather(1, block)
    within = blocks.gather(1, block[:, :, None].expand(-1, -1, _BLOCK))[:, 0].double().cumsum(dim=1)
    rest = _below(rest, within[:, -1:])
    return (block * _BLOCK + torch.searchsorted(within, rest, right=True))[:, 0], total


def _nucleus(weights: Tensor, uniform: Tensor, top_p: float) -> tuple[Tensor, Tensor]:
    """The same among the likeliest tokens, the fewest that make up ``top_p`` of the sum."""
    total = weights.sum(dim=1, keepdim=True, dtype=torch.double)
    count, size = 64, weights.shape[1]
    while True:
        best, token = weights.topk(min(count, size), dim=1)
        shares = best.double().cumsum(dim=1)
        if count >= size or bool((shares[:, -1:] >= top_p * total).all()):
            break
        count *= 8
    before = F.pad(shares, (1, 0))[:, :-1]
    kept = before < top_p * total
    total = shares.gather(1, kept.sum(dim=1, keepdim=True) - 1)
    index = torch.searchsorted(shares, _below(uniform[:, None] * total, total), right=True)
    return token.gather(1, index)[:, 0], total[:, 0]


def _below(values: Tensor, limits: Tensor) -> Tensor:
    """Values, rounded down where rounding took them to their limit: a search then ends on a weight above zero."""
    return torch.minimum(values, torch.nextafter(limits, torch.zeros_like(limits)))
