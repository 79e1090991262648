"""Fast sampling of completions: computation that samples share is done once.

Prompts are prefilled together and their keys and values serve all their samples. Samples of one
prompt with equal tokens so far share a row as well; a small model that is fairly sure of itself has
far fewer rows than samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from learners.miniature.model import Transformer, causal_bias

#: Tokens that room is made for at a time.
_ROOM = 16


@dataclass(frozen=True)
class Draws:
    """Samples one after another, prompt by prompt.

    Attributes:
        ids, logprobs: shape (samples, most tokens); columns from ``lengths`` on mean nothing.
        lengths: tokens of each, end token included.
        ended: True where the end token was drawn.
    """

    ids: Tensor
    logprobs: Tensor
    lengths: Tensor
    ended: Tensor


class Sampler:
    """One batch of prompts being answered."""

    def __init__(self, module: Transformer, prompts: Sequence[Sequence[int]], pad: int) -> None:
        self.module, self.device, self.heads = module, module.features.device, module.shape.heads
        lengths = torch.tensor([len(prompt) for prompt in prompts])
        ids = torch.full((len(prompts), int(lengths.max())), pad)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt)] = torch.tensor(prompt)
        ids, lengths = ids.to(self.device), lengths.to(self.device)
        index = torch.arange(ids.shape[1], device=self.device)
        # 0 on a prompt's tokens, -inf on its padding, which is on the right.
        self.prompt_bias = torch.where(index < lengths[:, None], 0.0, -torch.inf)[:, None, None]
        self.prompt_keys: list[Tensor] = []
        self.prompt_values: list[Tensor] = []
        self._prefill(ids, lengths - 1)
        # Keys and values of each row's tokens, one tensor (rows, tokens, 2 * width) a layer, with room to grow.
        self.length = 0
        room = torch.empty(len(prompts), 0, 2 * module.shape.width, device=self.device)
        self.said = [room] * module.shape.layers

    def _prefill(self, ids: Tensor, last: Tensor) -> None:
        module = self.module
        segment, offset = module.places(ids)
        bias = causal_bias(ids.shape[1], self.device)
        x = module.embed(ids, segment, offset)
        for block in module.layers:
            query, key, value = (block.split(part) for part in block.project(x))
            weights = torch.softmax(query @ key.transpose(2, 3) + bias, dim=-1)
            x = block.finish(x, (weights @ value).transpose(1, 2).flatten(2))
            self.prompt_keys.append(key.transpose(2, 3).contiguous())
            self.prompt_values.append(value.contiguous())
        # The state of every row: the prompt it answers, place and hidden state of its last token.
        self.of_prompt = torch.arange(len(ids), device=self.device)
        self.segment, self.offset = segment[self.of_prompt, last], offset[self.of_prompt, last]
        self.hidden = module.norm(x[self.of_prompt, last])

    def run(
        self, samples: Sequence[int], limit: int, temperature: float, end: int, generator: torch.Generator
    ) -> Draws:
        """Draw ``samples[i]`` completions of prompt i, of at most ``limit`` tokens."""
        total = sum(samples)
        ids, logprobs = torch.zeros(total, limit, dtype=torch.long), torch.zeros(total, limit)
        lengths, ended = torch.full((total,), limit), torch.zeros(total, dtype=torch.bool)
        live = torch.arange(total)
        row = torch.repeat_interleave(self.of_prompt, torch.tensor(samples, device=self.device))
        for step in range(limit if total else 0):
            scores = torch.log_softmax(self.module.logits(self.hidden) / temperature, dim=-1)
            token = _draw(scores, row, generator)
            ids[live, step], logprobs[live, step] = token.cpu(), scores[row, token].cpu()
            going = token != end
            over = live[~going.cpu()]
            lengths[over], ended[over] = step + 1, True
            live, token, row = live[going.cpu()], token[going], row[going]
            if not len(live) or step + 1 == limit:
                break
            # Samples on one row that drew one token stay together; sorted, so rows stay in order of prompts.
            said, row = torch.unique(row * scores.shape[1] + token, return_inverse=True)
            self._extend(said // scores.shape[1], said % scores.shape[1])
        return Draws(ids, logprobs, lengths, ended)

    def _extend(self, parent: Tensor, token: Tensor) -> None:
        """Make new rows: each is row ``parent`` followed by ``token``."""
        module, count = self.module, len(token)
        starts = module.delimiter[token]
        self.segment = self.segment[parent] + starts
        self.offset = torch.where(starts, 0, self.offset[parent] + 1)
        self._drop_prompts(self.of_prompt[parent])
        if not torch.equal(parent, torch.arange(len(self.said[0]), device=self.device)):
            self.said = [said[parent] for said in self.said]
        self.length += 1
        if self.length > self.said[0].shape[1]:
            self.said = [F.pad(said, (0, 0, 0, _ROOM)) for said in self.said]

        # Rows on a grid (prompts, most rows a prompt has), so that one product serves all rows of a prompt.
        prompts = len(self.prompt_bias)
        counts = torch.bincount(self.of_prompt, minlength=prompts)
        most = int(counts.max())
        within = torch.arange(count, device=self.device) - (counts.cumsum(0) - counts)[self.of_prompt]
        slot = self.of_prompt * most + within

        x = module.embed(token, self.segment, self.offset)
        for layer, block in enumerate(module.layers):
            query, key, value = block.project(x)
            self.said[layer][:, self.length - 1] = torch.cat([key, value], dim=1)
            said = self.said[layer][:, : self.length].unflatten(2, (2, self.heads, -1))

            on_grid = query.new_zeros(prompts * most, query.shape[1]).index_copy_(0, slot, query)
            on_grid = on_grid.view(prompts, most, self.heads, -1).transpose(1, 2)
            to_prompt = on_grid @ self.prompt_keys[layer] + self.prompt_bias
            to_prompt = to_prompt.transpose(1, 2).flatten(0, 1)[slot]
            to_said = (query.view(count, 1, self.heads, -1) * said[:, :, 0]).sum(dim=3).transpose(1, 2)
            weights = torch.softmax(torch.cat([to_prompt, to_said], dim=2), dim=2)

            shown = to_prompt.shape[2]
            on_grid = weights.new_zeros(prompts * most, self.heads, shown)
            on_grid = on_grid.index_copy_(0, slot, weights[:, :, :shown]).view(
                prompts, most, self.heads, shown
            )
            from_prompt = on_grid.transpose(1, 2) @ self.prompt_values[layer]
            from_prompt = from_prompt.transpose(1, 2).flatten(2).flatten(0, 1)[slot]
            from_said = (weights[:, :, shown:].transpose(1, 2)[..., None] * said[:, :, 1]).sum(dim=1)
            x = block.finish(x, from_prompt + from_said.flatten(1))
        self.hidden = module.norm(x)

    def _drop_prompts(self, of_prompt: Tensor) -> None:
        """Once half of the prompts have no row left, forget those."""
        kept, renumbered = torch.unique(of_prompt, return_inverse=True)
        if 2 * len(kept) > len(self.prompt_bias):
            self.of_prompt = of_prompt
            return
        self.of_prompt = renumbered
        self.prompt_bias = self.prompt_bias[kept]
        self.prompt_keys = [keys[kept] for keys in self.prompt_keys]
        self.prompt_values = [values[kept] for values in self.prompt_values]


def _draw(scores: Tensor, row: Tensor, generator: torch.Generator) -> Tensor:
    """A token for every sample, from its row's distribution. Each token's share of [0, 1) is its probability."""
    shares = scores.double().exp().cumsum(dim=1)[row]
    # A generator of the processor serves every device, so that a seed means the same on all.
    uniform = torch.rand(len(row), 1, generator=generator, dtype=torch.double).to(scores.device)
    token = torch.searchsorted(shares, uniform * shares[:, -1:], right=True)[:, 0]
    return token.clamp(max=scores.shape[1] - 1)
