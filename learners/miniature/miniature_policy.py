"""The miniature as a policy: sampling with a shared prompt, scoring of packed groups, weights on disk."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from learners.miniature.model import Shape, Transformer, causal_bias
from learners.miniature.tokenizer import Tokenizer
from learners.policies.base import Completion, Sampling, Scores

WEIGHTS, CONFIG = "model.safetensors", "config.json"

#: Rows of one forward pass when sampling (completions) and scoring (packed groups): small enough to stay
#: in a processor's cache, large enough to fill it.
_SAMPLED_ROWS, _SCORED_TOKENS = 2048, 2048
#: Completions packed behind one copy of their prompt; the mask grows with the square.
_PACKED = 16


class MiniaturePolicy:
    """See `learners.policies.base.TrainablePolicy`. There is no template: the prompt is the text."""

    def __init__(self, module: Transformer, tokenizer: Tokenizer, version: int = 0) -> None:
        self.module, self.tokenizer, self.version = module, tokenizer, version

    @classmethod
    def fresh(cls, shape: Shape, tokenizer: Tokenizer, device: str = "cpu") -> MiniaturePolicy:
        """An untrained policy; its weights come from torch's global generator."""
        module = Transformer(shape, tokenizer.values(), tokenizer.delimiters)
        return cls(module.to(device), tokenizer)

    @classmethod
    def read(cls, directory: Path, device: str = "cpu") -> MiniaturePolicy:
        """The policy that `save` wrote."""
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
        policy = cls.fresh(Shape(**config["shape"]), Tokenizer(config["vocabulary"]), device)
        policy.load(directory)
        return policy

    @property
    def device(self) -> torch.device:
        return self.module.features.device

    def encode(self, prompt: str) -> list[int]:
        """Token ids of a prompt. Raises `UnknownTextError` for text outside the vocabulary."""
        return self.tokenizer.encode(prompt)

    def save(self, directory: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write weights and configuration. Half precision halves the size and is what ships."""
        directory.mkdir(parents=True, exist_ok=True)
        state = self.module.state_dict().items()
        save_file({name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in state}, directory / WEIGHTS)
        config = {"shape": asdict(self.module.shape), "vocabulary": self.tokenizer.vocabulary}
        config["version"] = self.version
        (directory / CONFIG).write_text(json.dumps(config, ensure_ascii=False) + "\n", encoding="utf-8")

    def load(self, directory: Path) -> None:
        """Replace the weights by those `save` wrote; half precision is widened.

        Raises:
            ValueError: they belong to a model of another shape or vocabulary.
        """
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
        ours = {"shape": asdict(self.module.shape), "vocabulary": list(self.tokenizer.vocabulary)}
        for name, expected in ours.items():
            if config[name] != expected:
                raise ValueError(
                    f"expected a model with {name} {expected} in {directory}, found {config[name]}; "
                    "use MiniaturePolicy.read to make a policy of the stored shape"
                )
        weights = load_file(directory / WEIGHTS)
        self.module.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        self.version = config["version"]

    @torch.no_grad()
    def generate(
        self, prompts: Sequence[str], samples: Sequence[int], sampling: Sampling, generator: torch.Generator
    ) -> list[list[Completion]]:
        """See `Policy.generate`. The draws depend on the generator and on the whole call, batching included."""
        drawn: list[list[Completion]] = []
        start = 0
        while start < len(prompts):
            stop, rows = start + 1, samples[start]
            while stop < len(prompts) and rows + samples[stop] <= _SAMPLED_ROWS:
                rows += samples[stop]
                stop += 1
            ids = [self.encode(prompt) for prompt in prompts[start:stop]]
            drawn += _Sampler(self, ids, samples[start:stop], sampling, generator).run()
            start = stop
        return drawn

    def score(
        self, groups: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]], temperature: float = 1.0
    ) -> Scores:
        """See `TrainablePolicy.score`. Groups are packed, prompt once, and passed on in batches of like length."""
        packs: list[tuple[list[int], list[list[int]], int]] = []
        first = 0
        for prompt, completions in groups:
            for at in range(0, len(completions), _PACKED):
                part = [list(ids) for ids in completions[at : at + _PACKED]]
                packs.append((list(prompt), part, first + at))
            first += len(completions)
        longest = max((len(ids) for _, part, _ in packs for ids in part), default=0)
        packs.sort(key=lambda pack: len(pack[0]) + sum(map(len, pack[1])))

        order: list[int] = []
        logprobs: list[Tensor] = []
        entropies: list[Tensor] = []
        lengths: list[int] = []
        for batch in _batches(packs):
            chosen, entropy = self._score_packs(batch, temperature)
            logprobs.append(chosen)
            entropies.append(entropy)
            for _, part, row in batch:
                order += range(row, row + len(part))
                lengths += [len(ids) for ids in part]

        mask = torch.zeros(first, longest, device=self.device)
        slots = [row * longest + at for row, length in zip(order, lengths, strict=True) for at in range(length)]
        flat = torch.tensor(slots, dtype=torch.long, device=self.device)
        mask.view(-1)[flat] = 1.0
        empty = torch.zeros(first * longest, device=self.device)
        spread = [
            empty.index_copy(0, flat, torch.cat(parts)).view(first, longest) if parts else empty.view(first, longest)
            for parts in (logprobs, entropies)
        ]
        return Scores(spread[0], spread[1], mask)

    def _score_packs(
        self, packs: Sequence[tuple[list[int], list[list[int]], int]], temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy of every completion token of the packs, one after another."""
        width = max(len(prompt) + sum(len(ids) - 1 for ids in part) for prompt, part, _ in packs)
        ids = torch.full((len(packs), width), self.tokenizer.pad)
        # What a token belongs to: 0 the prompt, i its i-th completion, -1 padding.
        member = torch.full((len(packs), width), -1)
        sources: list[int] = []
        targets: list[int] = []
        for row, (prompt, part, _) in enumerate(packs):
            ids[row, : len(prompt)] = torch.tensor(prompt)
            member[row, : len(prompt)] = 0
            at = len(prompt)
            for number, completion in enumerate(part, start=1):
                # The last token is only ever a target.
                length = len(completion) - 1
                ids[row, at : at + length] = torch.tensor(completion[:-1], dtype=torch.long)
                member[row, at : at + length] = number
                sources += [row * width + len(prompt) - 1, *range(row * width + at, row * width + at + length)]
                targets += completion
                at += length
        ids, member = ids.to(self.device), member.to(self.device)
        segment, offset = self._packed_places(ids, member)
        same = member[:, :, None] == member[:, None, :]
        visible = (same | (member == 0)[:, None, :]) & (causal_bias(width, self.device) == 0)
        bias = torch.zeros(visible.shape, device=self.device).masked_fill_(~visible, -torch.inf)
        hidden = self.module(ids, segment, offset, bias[:, None])
        hidden = hidden.flatten(0, 1).index_select(0, torch.tensor(sources, device=self.device))
        logprobs = torch.log_softmax(self.module.logits(hidden) / temperature, dim=-1)
        entropy = -(logprobs.exp() * logprobs).sum(dim=-1)
        return logprobs.gather(1, torch.tensor(targets, device=self.device)[:, None])[:, 0], entropy

    def _packed_places(self, ids: Tensor, member: Tensor) -> tuple[Tensor, Tensor]:
        """Places as if every completion followed its prompt directly."""
        starts = self.module.delimiter[ids]
        prompt_length = (member == 0).sum(dim=1, keepdim=True)
        counted = starts.cumsum(dim=1)
        in_prompt = counted.gather(1, prompt_length - 1)
        index = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        change = torch.ones_like(starts)
        change[:, 1:] = member[:, 1:] != member[:, :-1]
        # Index of the first token of what a token belongs to, and delimiters counted before it.
        head = torch.where(change, index, 0).cummax(dim=1).values
        before = (counted - starts.long()).gather(1, head)
        own = member > 0
        segment = torch.where(own, counted - before + in_prompt, counted)
        shift = torch.where(own, head - prompt_length, 0)
        latest = torch.where(starts, index, -1).cummax(dim=1).values
        prompt_latest = latest.gather(1, prompt_length - 1).clamp(min=0)
        latest = torch.where(own & (latest < head), prompt_latest + shift, latest.clamp(min=0))
        return segment, index - latest


def _batches(
    packs: Sequence[tuple[list[int], list[list[int]], int]],
) -> list[list[tuple[list[int], list[list[int]], int]]]:
    """Cut packs, sorted by length, into batches of a bounded number of padded tokens."""
    batches: list[list[tuple[list[int], list[list[int]], int]]] = []
    for pack in packs:
        length = len(pack[0]) + sum(map(len, pack[1]))
        if not batches or (len(batches[-1]) + 1) * length > _SCORED_TOKENS:
            batches.append([])
        batches[-1].append(pack)
    return batches


class _Sampler:
    """One batch of prompts being answered.

    Prompts are prefilled once, padded on the right; their keys and values are shared by all their
    samples. A row is one sample; rows that ended are dropped from the batch.
    """

    def __init__(
        self,
        policy: MiniaturePolicy,
        prompts: Sequence[list[int]],
        samples: Sequence[int],
        sampling: Sampling,
        generator: torch.Generator,
    ) -> None:
        self.module, self.tokenizer, self.device = policy.module, policy.tokenizer, policy.device
        self.sampling, self.generator, self.samples = sampling, generator, samples
        self.heads = self.module.shape.heads
        width = max(map(len, prompts))
        ids = torch.full((len(prompts), width), self.tokenizer.pad)
        for row, prompt in enumerate(prompts):
            ids[row, : len(prompt)] = torch.tensor(prompt)
        self.ids = ids.to(self.device)
        lengths = torch.tensor([len(prompt) for prompt in prompts], device=self.device)
        self.last = lengths - 1
        index = torch.arange(width, device=self.device)
        # Where a prompt ends, shape (prompts, 1, 1, width): 0 on its tokens, -inf on padding.
        self.prompt_bias = torch.where(index < lengths[:, None], 0.0, -torch.inf)[:, None, None]

    def run(self) -> list[list[Completion]]:
        count, limit = len(self.samples), self.sampling.max_tokens
        of_prompt = torch.repeat_interleave(
            torch.arange(count, device=self.device), torch.tensor(self.samples, device=self.device)
        )
        rows = len(of_prompt)
        ids = torch.zeros(rows, limit, dtype=torch.long)
        logprobs = torch.zeros(rows, limit)
        lengths = torch.full((rows,), limit)
        ended = torch.zeros(rows, dtype=torch.bool)

        hidden, segment, offset = self._prefill()
        hidden, segment, offset = hidden[of_prompt], segment[of_prompt], offset[of_prompt]
        live = torch.arange(rows, device=self.device)
        self._place_rows(of_prompt)
        for step in range(limit):
            token, logprob = self._draw(hidden)
            at = live.cpu()
            ids[at, step], logprobs[at, step] = token.cpu(), logprob.cpu()
            over = token == self.tokenizer.end
            lengths[live[over].cpu()] = step + 1
            ended[live[over].cpu()] = True
            if step + 1 == limit or bool(over.all()):
                break
            if bool(over.any()):
                keep = ~over
                live, token, segment, offset = live[keep], token[keep], segment[keep], offset[keep]
                self._keep_rows(keep, of_prompt[live])
            starts = self.module.delimiter[token]
            segment, offset = segment + starts, torch.where(starts, 0, offset + 1)
            hidden = self._extend(token, segment, offset)
        return self._completions(ids.tolist(), logprobs.tolist(), lengths.tolist(), ended.tolist())

    def _completions(
        self, ids: list[list[int]], logprobs: list[list[float]], lengths: list[int], ended: list[bool]
    ) -> list[list[Completion]]:
        rows = [
            Completion(
                text=self.tokenizer.decode(row[:length]),
                ids=tuple(row[:length]),
                logprobs=tuple(row_logprobs[:length]),
                stop="stop" if stopped else "length",
            )
            for row, row_logprobs, length, stopped in zip(ids, logprobs, lengths, ended, strict=True)
        ]
        ends = [sum(self.samples[: i + 1]) for i in range(len(self.samples))]
        return [rows[end - n : end] for end, n in zip(ends, self.samples, strict=True)]

    def _prefill(self) -> tuple[Tensor, Tensor, Tensor]:
        """Hidden state and place of every prompt's last token; keeps the prompts' keys and values."""
        segment, offset = self.module.places(self.ids)
        bias = causal_bias(self.ids.shape[1], self.device)
        x = self.module.embed(self.ids, segment, offset)
        self.prompt_cache: list[tuple[Tensor, Tensor]] = []
        for block in self.module.blocks:
            query, key, value = (block.split(part) for part in block.project(x))
            weights = torch.softmax(query @ key.transpose(2, 3) + bias, dim=-1)
            x = block.finish(x, (weights @ value).transpose(1, 2).flatten(2))
            self.prompt_cache.append((key.transpose(2, 3).contiguous(), value.contiguous()))
        prompts = torch.arange(len(self.ids), device=self.device)
        hidden = self.module.norm(x[prompts, self.last])
        return hidden, segment[prompts, self.last], offset[prompts, self.last]

    def _place_rows(self, of_prompt: Tensor) -> None:
        """Lay rows out on a grid (prompts, most rows a prompt has), so that one product serves a prompt's rows."""
        counts = torch.bincount(of_prompt, minlength=len(self.ids))
        self.grid = (len(self.ids), int(counts.max()))
        firsts = counts.cumsum(0) - counts
        within = torch.arange(len(of_prompt), device=self.device) - firsts[of_prompt]
        self.slot = of_prompt * self.grid[1] + within
        if not hasattr(self, "row_cache"):
            size = self.module.shape.width // self.heads
            shape = (len(of_prompt), self.heads, 0, size)
            none = torch.zeros(shape, device=self.device)
            self.row_cache = [(none, none) for _ in self.module.blocks]

    def _keep_rows(self, keep: Tensor, of_prompt: Tensor) -> None:
        self.row_cache = [(key[keep], value[keep]) for key, value in self.row_cache]
        self._place_rows(of_prompt)

    def _extend(self, token: Tensor, segment: Tensor, offset: Tensor) -> Tensor:
        """Hidden state after one more token in every row."""
        x = self.module.embed(token, segment, offset)
        prompts, most = self.grid
        rows, width = x.shape
        size = width // self.heads
        for layer, block in enumerate(self.module.blocks):
            query, key, value = block.project(x)
            past_key, past_value = self.row_cache[layer]
            keys = torch.cat([past_key, key.view(rows, self.heads, 1, size)], dim=2)
            values = torch.cat([past_value, value.view(rows, self.heads, 1, size)], dim=2)
            self.row_cache[layer] = keys, values

            on_grid = x.new_zeros(prompts * most, width).index_copy(0, self.slot, query)
            on_grid = on_grid.view(prompts, most, self.heads, size).transpose(1, 2)
            prompt_keys, prompt_values = self.prompt_cache[layer]
            to_prompt = on_grid @ prompt_keys + self.prompt_bias
            seen = to_prompt.shape[-1]
            to_prompt = to_prompt.transpose(1, 2).reshape(prompts * most, self.heads, seen)[self.slot]
            to_own = (query.view(rows, self.heads, 1, size) * keys).sum(dim=-1)
            weights = torch.softmax(torch.cat([to_prompt, to_own], dim=-1), dim=-1)

            on_grid = x.new_zeros(prompts * most, self.heads, seen).index_copy(0, self.slot, weights[..., :seen])
            on_grid = on_grid.view(prompts, most, self.heads, seen).transpose(1, 2) @ prompt_values
            attended = on_grid.transpose(1, 2).reshape(prompts * most, width)[self.slot]
            attended = attended + (weights[..., seen:, None] * values).sum(dim=2).flatten(1)
            x = block.finish(x, attended)
        return self.module.norm(x)

    def _draw(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """A token for every row, and its log-probability at the sampling temperature."""
        logprobs = torch.log_softmax(self.module.logits(hidden) / self.sampling.temperature, dim=-1)
        # The race of exponential clocks: the first to ring is a draw from the distribution.
        clocks = torch.empty(logprobs.shape).exponential_(generator=self.generator).to(self.device)
        token = (logprobs - clocks.log()).argmax(dim=-1)
        return token, logprobs.gather(1, token[:, None])[:, 0]
