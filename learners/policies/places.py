"""Keys and values of rows, and where the rows of one step stand in them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

_ROOM = 64


class Store:
    """Keys and values of every layer: tensors (2, rows, key heads, tokens, head size), with room to grow.

    Unused places hold finite numbers, which a mask then leaves out.
    """

    def __init__(self, layers: int, heads: int, size: int, like: Tensor) -> None:
        self._shape, self._like = (heads, size), like
        self.layers = [self._new(0, 0) for _ in range(layers)]
        self.rows = self.room = 0

    def reserve(self, rows: int, room: int) -> None:
        """Make room for so many rows of so many tokens."""
        if rows <= self.rows and room <= self.room:
            return
        if rows > self.rows:
            rows = max(rows, self.rows * 3 // 2)
        if room > self.room:
            room = max(-(-room // _ROOM) * _ROOM, self.room * 5 // 4)
        rows, room = max(rows, self.rows), max(room, self.room)
        for index, old in enumerate(self.layers):
            new = self._new(rows, room)
            new[:, : self.rows, :, : self.room] = old
            self.layers[index] = new
        self.rows, self.room = rows, room

    def copy(self, source: Store, row: int, target: int, length: int) -> None:
        """Copy the first ``length`` tokens of a row of another store to a row of this one."""
        for ours, theirs in zip(self.layers, source.layers, strict=True):
            ours[:, target, :, :length] = theirs[:, row, :, :length]

    def _new(self, rows: int, room: int) -> Tensor:
        heads, size = self._shape
        return self._like.new_zeros(2, rows, heads, room, size)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first ``length`` tokens of a row to another."""
        self.copy(self, source, target, length)


class Places:
    """Where the rows of one step stand.

    Attributes:
        length: tokens each row had before this one, (rows,).
        position: position of the row's new token in its sequence.
        slot: place of each row on the grid (prompts, most).
        prompts, most: shape of the grid.
        own_room, shown_room: tokens of the longest row and of the longest prompt.
        bias_own, bias_shown: 0 on tokens, -inf beyond them; (rows, 1, 1, own_room), (prompts, 1, 1, shown_room).
        longest: bound on positions.
    """

    def __init__(
        self, lengths: Sequence[int], of: Sequence[int], shown: Sequence[int], device: torch.device
    ) -> None:
        counts = [0] * len(shown)
        within: list[int] = []
        for prompt in of:
            within.append(counts[prompt])
            counts[prompt] += 1
        self.prompts, self.most = len(shown), max(counts)
        self.own_room, self.shown_room = max(lengths) + 1, max(shown)
        self.longest = self.own_room + self.shown_room
        slots = [prompt * self.most + place for prompt, place in zip(of, within, strict=True)]
        positions = [shown[prompt] + length for prompt, length in zip(of, lengths, strict=True)]
        table = torch.tensor([list(lengths), positions, slots], device=device)
        self.length, self.position, self.slot = table
        self.bias_own = _bias(self.length + 1, self.own_room)
        self.bias_shown = _bias(torch.tensor(list(shown), device=device), self.shown_room)


def _bias(lengths: Tensor, room: int) -> Tensor:
    index = torch.arange(room, device=lengths.device)
    return torch.where(index < lengths[:, None], 0.0, -torch.inf)[:, None, None]
