"""Decoding of many completions at once: a prompt is read once for all its samples, rows that end make room.

`decode` runs the models that `learners.policies.architectures` knows, `decode_generate` any other, by the library's own
``generate``. Both choose tokens with the same function, so that they sample alike.

Theory of operation of `decode`: rows wait in a queue, longest prompts first. A row is admitted when fewer rows live
than may; its prompt is read when the first of its rows is. Every step appends one token to every live row. When a row
ends, the last row takes its place; likewise with prompts that have no row left. So the tensors of a step hold live
rows only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from learners.policies.architectures import Network, unknown
from learners.policies.drawing import Row
from learners.policies.places import Places
from learners.policies.prefixes import common

#: Tokens of prompts read at once, and least tokens that prompts have in common for these to be read once.
_PREFILL, _SHARED = 2048, 32


class Choose(Protocol):
    """Choice of the next token of every row, such as `learners.policies.drawing.Draw`."""

    def __call__(self, logits: Tensor, rows: Sequence[Row]) -> tuple[list[int], list[float]]:
        """Tokens and their log-probabilities; ``logits`` has shape (rows, vocabulary)."""
        ...


@dataclass
class _Shown:
    """A prompt that has been read: rows that live or wait, and the hidden state of its last token."""

    prompt: int
    length: int
    rows: int
    hidden: Tensor


@torch.no_grad()
def decode(
    network: Network,
    prompts: Sequence[Sequence[int]],
    rows: Sequence[Row],
    choose: Choose,
    ends: Collection[int],
    limits: Sequence[int],
    most: int,
) -> None:
    """Complete rows; their ``ids``, ``logprobs`` and ``ended`` are filled in.

    Args:
        network: the model.
        prompts: token ids of every prompt.
        rows: to complete; ``row.prompt`` is an index into ``prompts``.
        choose: the rule of sampling.
        ends: end tokens.
        limits: most tokens of each prompt's rows.
        most: rows that live at once.
    """
    _Batch(network, prompts, rows, ends, limits, most).run(choose)


class _Batch:
    """The state of one call."""

    def __init__(
        self,
        network: Network,
        prompts: Sequence[Sequence[int]],
        rows: Sequence[Row],
        ends: Collection[int],
        limits: Sequence[int],
        most: int,
    ) -> None:
        self.network, self.prompts, self.ends, self.limits, self.most = network, prompts, ends, limits, most
        self.own, self.shown, self.common = network.store(), network.store(), network.store()
        self.beginnings = beginnings(prompts)
        # Beginnings that have been read, with their rows of `common`.
        self.begun: dict[tuple[int, ...], int] = {}
        self.own.reserve(min(most, len(rows)), 0)
        self.waiting = deque(sorted(rows, key=lambda row: (-len(prompts[row.prompt]), row.prompt)))
        self.counts = [0] * len(prompts)
        for row in rows:
            self.counts[row.prompt] += 1
        # Live rows with their prompts' places in `seen`; the i-th live row is row i of `own`.
        self.live: list[Row] = []
        self.of: list[int] = []
        self.seen: list[_Shown] = []

    def run(self, choose: Choose) -> None:
        """Complete all rows."""
        network = self.network
        hidden = network.model.embed_tokens.weight.new_zeros(0, network.model.embed_tokens.weight.shape[1])
        while True:
            # Few rows are not worth reading prompts for, unless they are all that is left.
            room = self.most - len(self.live)
            if self.waiting and room >= min(max(1, self.most // 8), len(self.waiting)):
                hidden = torch.cat([hidden, *self._admit(room)])
            if not self.live:
                return
            tokens, logprobs = choose(network.logits(hidden), self.live)
            for row, token, logprob in zip(self.live, tokens, logprobs, strict=True):
                row.ids.append(token)
                row.logprobs.append(logprob)
                row.ended = token in self.ends
            self._drop()
            if self.live:
                lengths = [len(row.ids) - 1 for row in self.live]
                places = Places(lengths, self.of, [one.length for one in self.seen], hidden.device)
                self.own.reserve(len(self.live), places.own_room)
                hidden = network.step([row.ids[-1] for row in self.live], self.own, self.shown, places)
            else:
                hidden = hidden[:0]

    def _admit(self, room: int) -> list[Tensor]:
        """Take rows from the queue; their first hidden states, which are those of their prompts."""
        admitted = [self.waiting.popleft() for _ in range(min(room, len(self.waiting)))]
        places = {one.prompt: place for place, one in enumerate(self.seen)}
        new = [prompt for prompt in dict.fromkeys(row.prompt for row in admitted) if prompt not in places]
        if new:
            longest = max(len(self.prompts[prompt]) for prompt in new)
            self.shown.reserve(len(self.seen) + len(new), longest)
        for beginning, group in self._groups(new):
            start = len(self.seen)
            if beginning:
                self._begin(beginning, range(start, start + len(group)))
            hidden = self.network.prefill(
                [self.prompts[prompt] for prompt in group],
                self.shown,
                range(start, start + len(group)),
                len(beginning),
            )
            for prompt, state in zip(group, hidden, strict=True):
                places[prompt] = len(self.seen)
                self.seen.append(_Shown(prompt, len(self.prompts[prompt]), self.counts[prompt], state))
        self.live += admitted
        self.of += [places[row.prompt] for row in admitted]
        return [self.seen[place].hidden[None] for place in self.of[len(self.of) - len(admitted) :]]

    def _groups(self, prompts: Sequence[int]) -> list[tuple[tuple[int, ...], list[int]]]:
        """Prompts to be read together: with one beginning, and a bounded number of tokens beyond it."""
        groups: list[tuple[tuple[int, ...], list[int]]] = []
        total = 0
        for prompt in sorted(prompts, key=lambda prompt: self.beginnings[prompt]):
            beginning = self.beginnings[prompt]
            size = len(self.prompts[prompt]) - len(beginning)
            if not groups or groups[-1][0] != beginning or total + size > _PREFILL:
                groups.append((beginning, []))
                total = 0
            groups[-1][1].append(prompt)
            total += size
        return groups

    def _begin(self, beginning: tuple[int, ...], rows: Sequence[int]) -> None:
        """Put a beginning, which is read once, into rows of prompts to come."""
        if beginning not in self.begun:
            place = len(self.begun)
            self.begun[beginning] = place
            self.common.reserve(place + 1, len(beginning))
            self.network.prefill([beginning], self.common, [place])
        for row in rows:
            self.shown.copy(self.common, self.begun[beginning], row, len(beginning))

    def _drop(self) -> None:
        """Take out the rows that have ended, and the prompts that have no row left."""
        for index in reversed(range(len(self.live))):
            row = self.live[index]
            if not row.ended and len(row.ids) < self.limits[row.prompt]:
                continue
            self.seen[self.of[index]].rows -= 1
            last, last_of = self.live.pop(), self.of.pop()
            if index < len(self.live):
                self.own.move(len(self.live), index, len(last.ids) - 1)
                self.live[index], self.of[index] = last, last_of
        for index in reversed(range(len(self.seen))):
            if self.seen[index].rows:
                continue
            last_seen = self.seen.pop()
            if index < len(self.seen):
                self.shown.move(len(self.seen), index, last_seen.length)
                self.seen[index] = last_seen
                self.of = [index if place == len(self.seen) else place for place in self.of]


def beginnings(prompts: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """For each prompt the beginning that it shares with others, such as fixed instructions; empty if there is none.

    At least one token of a prompt is not in it. Beginnings of fewer than `_SHARED` tokens do not pay.
    """
    order = sorted(range(len(prompts)), key=lambda number: tuple(prompts[number]))
    found: list[tuple[int, ...]] = [()] * len(prompts)
    family: list[int] = []
    length = 0

    def close() -> None:
        if len(family) > 1:
            for number in family:
                found[number] = tuple(prompts[number][:length])

    for number in order:
        prompt = prompts[number]
        # Sorted, so that the first and the last of a family have least in common.
        shared = common(prompts[family[0]][:length], prompt[:length]) if family else 0
        shared = min(shared, len(prompt) - 1)
        if family and shared >= max(_SHARED, length // 4):
            length = shared
            family.append(number)
        else:
            close()
            family, length = [number], len(prompt) - 1
    close()
    return found


@torch.no_grad()
def decode_generate(
    module: Any,
    prompts: Sequence[Sequence[int]],
    rows: Sequence[Row],
    choose: Choose,
    ends: Collection[int],
    limits: Sequence[int],
    most: int,
) -> None:
    """As `decode`, for any causal language model: the library's ``generate``, on batches padded on the left."""
    device = next(module.parameters()).device
    # One limit a batch: a row that is over goes on with its batch, and must not leave the model's context.
    order = sorted(rows, key=lambda row: (limits[row.prompt], len(prompts[row.prompt])))
    batches = [
        batch[start : start + most]
        for _, same in groupby(order, key=lambda row: limits[row.prompt])
        for batch in [list(same)]
        for start in range(0, len(batch), most)
    ]
    training, configuration = module.training, module.generation_config
    module.eval()
    try:
        for batch in batches:
            # Else a model's own settings apply, such as a penalty for repetition.
            module.generation_config = type(configuration)(
                do_sample=False,
                eos_token_id=sorted(ends) or None,
                pad_token_id=0,
                max_new_tokens=limits[batch[0].prompt],
            )
            width = max(len(prompts[row.prompt]) for row in batch)
            ids = torch.zeros(len(batch), width, dtype=torch.long)
            for line, row in enumerate(batch):
                ids[line, width - len(prompts[row.prompt]) :] = torch.tensor(prompts[row.prompt])
            mask = torch.zeros_like(ids)
            for line, row in enumerate(batch):
                mask[line, width - len(prompts[row.prompt]) :] = 1
            module.generate(
                ids.to(device),
                attention_mask=mask.to(device),
                logits_processor=[_Chooser(choose, batch, ends)],
            )
    finally:
        module.generation_config = configuration
        module.train(training)


class _Chooser:
    """A processor of logits that leaves one token: the one chosen."""

    def __init__(self, choose: Choose, rows: Sequence[Row], ends: Collection[int]) -> None:
        self.choose, self.rows, self.ends = choose, rows, ends

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        going = [line for line, row in enumerate(self.rows) if not row.ended]
        index = torch.tensor(going, device=scores.device)
        tokens, logprobs = self.choose(scores[index], [self.rows[line] for line in going])
        chosen = torch.full_like(scores, -torch.inf)
        chosen[index, torch.tensor(tokens, device=scores.device)] = 0.0
        for line, token, logprob in zip(going, tokens, logprobs, strict=True):
            row = self.rows[line]
            row.ids.append(token)
            row.logprobs.append(logprob)
            row.ended = token in self.ends
        return chosen


def network(module: nn.Module) -> Network | None:
    """The model for `decode`, or None where its architecture is not known."""
    return None if unknown(module) else Network(module)
