"""The miniature as a policy: sampling with a shared prompt, scoring of packed groups, weights on disk."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from itertools import islice
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from gasp_env.policies import Completion, Sampling
from learners.miniature.model import Shape, Transformer, causal_bias
from learners.miniature.sampler import Draws, Sampler
from learners.miniature.tokenizer import Tokenizer
from learners.policies.base import Scores

WEIGHTS, CONFIG = "model.safetensors", "config.json"

#: Completions sampled at once, and padded tokens scored at once: enough to keep a processor busy, few enough
#: to stay near its caches.
_SAMPLED_ROWS, _SCORED_TOKENS = 1024, 2048
#: Completions packed behind one copy of their prompt; the mask grows with the square.
_PACKED = 16


class MiniaturePolicy:
    """See `learners.policies.base.TrainablePolicy`. There is no template: the prompt is the text."""

    def __init__(self, module: Transformer, tokenizer: Tokenizer, version: int = 0) -> None:
        self.transformer, self.tokenizer, self.version = module, tokenizer, version
        self.module: torch.nn.Module = module
        self.generator = torch.Generator()

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
        """Device of the weights."""
        return self.transformer.features.device

    def save(self, directory: Path, dtype: torch.dtype = torch.float32) -> None:
        """Write weights and configuration. Half precision halves the size and is used for the shipped weights."""
        directory.mkdir(parents=True, exist_ok=True)
        state = self.transformer.state_dict().items()
        weights = {name: tensor.detach().to("cpu", dtype).contiguous() for name, tensor in state}
        # `save_file` would leave a file that only its owner may read.
        (directory / WEIGHTS).write_bytes(save(weights))
        config = {
            "shape": asdict(self.transformer.shape),
            "vocabulary": self.tokenizer.vocabulary,
            "version": self.version,
        }
        (directory / CONFIG).write_text(json.dumps(config, ensure_ascii=False) + "\n", encoding="utf-8")

    def load(self, directory: Path) -> None:
        """Replace the weights by those `save` wrote; half precision is widened.

        Raises:
            ValueError: they belong to a model of another shape or vocabulary.
        """
        config = json.loads((directory / CONFIG).read_text(encoding="utf-8"))
        ours = {"shape": asdict(self.transformer.shape), "vocabulary": list(self.tokenizer.vocabulary)}
        for name, expected in ours.items():
            if config[name] != expected:
                raise ValueError(
                    f"expected a model with {name} {expected} in {directory}, found {config[name]}; "
                    "use MiniaturePolicy.read to make a policy of the stored shape"
                )
        weights = load_file(directory / WEIGHTS)
        self.transformer.load_state_dict({name: tensor.float() for name, tensor in weights.items()})
        self.version = config["version"]

    def parameters(self) -> list[torch.nn.Parameter]:
        """See `TrainablePolicy.parameters`."""
        return list(self.module.parameters())

    def fork(self, name: str) -> MiniaturePolicy:
        """See `TrainablePolicy.fork`."""
        return copy.deepcopy(self)

    @torch.no_grad()
    def generate(
        self, prompts: Sequence[str], samples: Sequence[int], sampling: Sampling
    ) -> list[list[Completion]]:
        """See `gasp_env.policies.Policy`. The draws depend on the whole call, batching included.

        Raises:
            ValueError: the sampling asks for temperature 0 or a ``top_p`` below 1.
            UnknownTextError: a prompt has text outside the vocabulary.
        """
        if not sampling.temperature or sampling.top_p < 1:
            raise ValueError(f"expected a temperature above 0 and top_p 1 for the miniature, got {sampling}")
        generator = self.generator
        if sampling.seed is not None:
            generator = torch.Generator().manual_seed(sampling.seed)
        drawn: list[list[Completion]] = []
        start = 0
        while start < len(prompts):
            stop = start + 1
            while stop < len(prompts) and sum(samples[start : stop + 1]) <= _SAMPLED_ROWS:
                stop += 1
            ids = [self.tokenizer.encode(prompt) for prompt in prompts[start:stop]]
            sampler = Sampler(self.transformer, ids, self.tokenizer.pad)
            draws = sampler.run(
                samples[start:stop], sampling.max_tokens, sampling.temperature, self.tokenizer.end, generator
            )
            of_row = (
                tuple(row) for row, count in zip(ids, samples[start:stop], strict=True) for _ in range(count)
            )
            completions = self._completions(of_row, draws)
            drawn += [list(islice(completions, count)) for count in samples[start:stop]]
            start = stop
        return drawn

    def _completions(self, prompts: Iterable[tuple[int, ...]], draws: Draws) -> Iterator[Completion]:
        columns = [column.tolist() for column in (draws.ids, draws.logprobs, draws.lengths, draws.ended)]
        for prompt, ids, logprobs, length, ended in zip(prompts, *columns, strict=True):
            yield Completion(
                text=self.tokenizer.decode(ids[:length]),
                prompt_ids=prompt,
                ids=tuple(ids[:length]),
                logprobs=tuple(logprobs[:length]),
                stop="stop" if ended else "length",
            )

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
        slots = [
            row * longest + at for row, length in zip(order, lengths, strict=True) for at in range(length)
        ]
        flat = torch.tensor(slots, dtype=torch.long, device=self.device)
        mask.view(-1)[flat] = 1.0
        empty = torch.zeros(first * longest, device=self.device)
        spread = [
            empty.index_copy(0, flat, torch.cat(parts)).view(first, longest)
            if parts
            else empty.view(first, longest)
            for parts in (logprobs, entropies)
        ]
        return Scores(spread[0], spread[1], mask)

    def _score_packs(
        self, packs: Sequence[tuple[list[int], list[list[int]], int]], temperature: float
    ) -> tuple[Tensor, Tensor]:
        """Log-probability and entropy of every completion token of the packs, one after another."""
        width = max(len(prompt) + sum(len(ids) - 1 for ids in part) for prompt, part, _ in packs)
        ids = torch.full((len(packs), width), self.tokenizer.pad)
        # Owner of each token: 0 the prompt, i its i-th completion, -1 padding.
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
                sources += [
                    row * width + len(prompt) - 1,
                    *range(row * width + at, row * width + at + length),
                ]
                targets += completion
                at += length
        ids, member = ids.to(self.device), member.to(self.device)
        segment, offset = self._packed_places(ids, member)
        same = member[:, :, None] == member[:, None, :]
        visible = (same | (member == 0)[:, None, :]) & (causal_bias(width, self.device) == 0)
        bias = torch.zeros(visible.shape, device=self.device).masked_fill_(~visible, -torch.inf)
        hidden = self.transformer(ids, segment, offset, bias[:, None])
        hidden = hidden.flatten(0, 1).index_select(0, torch.tensor(sources, device=self.device))
        logprobs = torch.log_softmax(self.transformer.logits(hidden) / temperature, dim=-1)
        entropy = -(logprobs.exp() * logprobs).sum(dim=-1)
        return logprobs.gather(1, torch.tensor(targets, device=self.device)[:, None])[:, 0], entropy

    def _packed_places(self, ids: Tensor, member: Tensor) -> tuple[Tensor, Tensor]:
        """Places as if every completion followed its prompt directly."""
        starts = self.transformer.delimiter[ids]
        prompt_length = (member == 0).sum(dim=1, keepdim=True)
        counted = starts.cumsum(dim=1)
        in_prompt = counted.gather(1, prompt_length - 1)
        index = torch.arange(ids.shape[1], device=ids.device).expand_as(ids)
        change = torch.ones_like(starts)
        change[:, 1:] = member[:, 1:] != member[:, :-1]
        # Index of the first token of each token's owner, and delimiters counted before it.
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
