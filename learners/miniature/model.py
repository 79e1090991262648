"""A decoder-only transformer small enough for a laptop's processor.

Two things differ from the usual. A token's place is given as (segment, offset in the segment),
counted from the delimiters of the text, so element i of an output meets element i of its input
at the same offset, and rows may be padded or packed without changing any position. And tokens
that are integers carry fixed features of their value beside the learned embedding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SEGMENTS, OFFSETS = 32, 16
_PERIODS = (2, 3, 4, 5, 7, 10, 14, 20, 40, 80, 160, 320)


@dataclass(frozen=True)
class Shape:
    """Sizes of a model."""

    width: int = 128
    layers: int = 5
    heads: int = 4
    hidden: int = 512


def number_features(values: list[int | None]) -> Tensor:
    """Fixed features of each token's integer: scaled value and size, sign, sine and cosine at several
    periods (the shortest tells parity); zeros for other tokens. Shape (vocabulary, features)."""
    rows = []
    for value in values:
        if value is None:
            rows.append([0.0] * (4 + 2 * len(_PERIODS)))
            continue
        angles = [2 * math.pi * value / period for period in _PERIODS]
        sign = float(value > 0) - float(value < 0)
        rows.append([1.0, value / 50, abs(value) / 50, sign, *map(math.sin, angles), *map(math.cos, angles)])
    return torch.tensor(rows)


class Block(nn.Module):
    """Attention and a ReLU layer, each behind a norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.heads = shape.heads
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.merge = nn.Linear(width, width, bias=False)
        self.hidden_norm = nn.LayerNorm(width, bias=False)
        self.up = nn.Linear(width, shape.hidden, bias=False)
        self.down = nn.Linear(shape.hidden, width, bias=False)
        nn.init.zeros_(self.merge.weight)
        nn.init.zeros_(self.down.weight)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries (scaled), keys and values, each (..., tokens, width)."""
        x = self.attention_norm(x)
        scale = (x.shape[-1] // self.heads) ** -0.5
        return self.query(x) * scale, self.key(x), self.value(x)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """The residual stream after attention's result and the hidden layer."""
        x = x + self.merge(attended)
        return x + self.down(F.relu(self.up(self.hidden_norm(x))))

    def split(self, x: Tensor) -> Tensor:
        """(rows, tokens, width) to (rows, heads, tokens, width / heads)."""
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(self, x: Tensor, bias: Tensor) -> Tensor:
        """Apply the block. ``bias`` is added to attention scores: 0 where a token may look, -inf where not."""
        query, key, value = (self.split(part) for part in self.project(x))
        # Plain matrix products: the fused kernel's backward is slower on processors at these lengths.
        weights = torch.softmax(query @ key.transpose(2, 3) + bias, dim=-1)
        return self.finish(x, (weights @ value).transpose(1, 2).flatten(2))


class Transformer(nn.Module):
    """Tokens with their places in, hidden states out; `logits` turns those into scores of next tokens."""

    features: Tensor
    delimiter: Tensor

    def __init__(self, shape: Shape, values: list[int | None], delimiters: tuple[int, ...]) -> None:
        super().__init__()
        self.shape = shape
        vocabulary, width = len(values), shape.width
        features = number_features(values)
        self.register_buffer("features", features, persistent=False)
        is_delimiter = torch.zeros(vocabulary, dtype=torch.bool)
        is_delimiter[list(delimiters)] = True
        self.register_buffer("delimiter", is_delimiter, persistent=False)
        self.tokens = nn.Embedding(vocabulary, width)
        self.numbers = nn.Linear(features.shape[1], width, bias=False)
        self.segments = nn.Embedding(SEGMENTS, width)
        self.offsets = nn.Embedding(OFFSETS, width)
        self.blocks = nn.ModuleList(Block(shape) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(width, bias=False)
        self.head = nn.Linear(width, vocabulary, bias=False)
        self.head_numbers = nn.Linear(width, features.shape[1], bias=False)
        for embedding in (self.tokens, self.segments, self.offsets):
            nn.init.normal_(embedding.weight, std=0.3)
        nn.init.normal_(self.numbers.weight, std=0.1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head_numbers.weight)

    @property
    def layers(self) -> list[Block]:
        """The blocks, first to last."""
        return cast(list[Block], list(self.blocks))

    def places(self, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Segment and offset of every token of rows that begin at their first column."""
        starts = self.delimiter[ids]
        index = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        latest = torch.where(starts, index, 0).cummax(dim=1).values
        return starts.cumsum(dim=1), index - latest

    def embed(self, ids: Tensor, segment: Tensor, offset: Tensor) -> Tensor:
        """Vectors of tokens at their places, shape (..., width)."""
        table = self.tokens.weight + self.numbers(self.features)
        place = self.segments(segment.clamp(max=SEGMENTS - 1)) + self.offsets(offset.clamp(max=OFFSETS - 1))
        return F.embedding(ids, table) + place

    def forward(self, ids: Tensor, segment: Tensor, offset: Tensor, bias: Tensor) -> Tensor:
        """Hidden states, shape (rows, tokens, width)."""
        x = self.embed(ids, segment, offset)
        for block in self.layers:
            x = block(x, bias)
        return self.norm(x)

    def logits(self, hidden: Tensor) -> Tensor:
        """Scores of the next token, shape (..., vocabulary)."""
        return self.head(hidden) + self.head_numbers(hidden) @ self.features.T


def causal_bias(length: int, device: torch.device) -> Tensor:
    """Bias under which every token sees itself and earlier ones; shape (length, length)."""
    return torch.full((length, length), -torch.inf, device=device).triu(1)
