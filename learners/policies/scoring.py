"""Log-probabilities of given completions under a causal language model, differentiable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from learners.policies import architectures
from learners.policies.base import Scores

#: Padded tokens of a batch, and positions whose logits exist at once: over a real vocabulary logits are what fills
#: the memory.
_TOKENS, _POSITIONS = 2048, 256


def score(
    module: Any, groups: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]], temperature: float
) -> Scores:
    """See `learners.policies.base.TrainablePolicy.score`.

    Sequences of like length share a batch, padded on the right. The head is applied to completion tokens only, in
    chunks whose logits are computed again in the backward pass.
    """
    device = next(module.parameters()).device
    sequences = [(list(prompt), list(ids)) for prompt, completions in groups for ids in completions]
    longest = max((len(ids) for _, ids in sequences), default=0)
    shape = (len(sequences), longest)
    order = sorted(range(len(sequences)), key=lambda row: sum(map(len, sequences[row])))
    known = architectures.unknown(module) is None
    values: list[Tensor] = []
    slots: list[int] = []
    for batch in _batches(order, [len(prompt) + len(ids) for prompt, ids in sequences]):
        width = max(len(prompt) + len(ids) for prompt, ids in (sequences[row] for row in batch))
        ids = torch.zeros(len(batch), width, dtype=torch.long)
        mask = torch.zeros_like(ids)
        places: list[int] = []
        targets: list[int] = []
        for line, row in enumerate(batch):
            prompt, completion = sequences[row]
            length = len(prompt) + len(completion)
            ids[line, :length], mask[line, :length] = torch.tensor(prompt + completion), 1
            # A token is predicted at the place before it.
            places += range(line * width + len(prompt) - 1, line * width + length - 1)
            targets += completion
            slots += range(row * longest, row * longest + len(completion))
        where, wanted = (torch.tensor(one, dtype=torch.long, device=device) for one in (places, targets))
        ids, mask = ids.to(device), mask.to(device)
        if known:
            hidden = module.model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
            hidden, head = hidden.flatten(0, 1)[where], module.lm_head
        else:
            logits = module(input_ids=ids, attention_mask=mask, use_cache=False).logits
            hidden, head = logits.flatten(0, 1)[where], None
        values += [
            checkpoint(_values, head, part, target, temperature, use_reentrant=False)
            for part, target in zip(hidden.split(_POSITIONS), wanted.split(_POSITIONS), strict=True)
        ]
    flat = torch.tensor(slots, dtype=torch.long, device=device)
    spread = torch.zeros(2, shape[0] * shape[1], device=device)
    if values:
        spread = spread.index_copy(1, flat, torch.cat(values, dim=1))
    real = torch.zeros(shape[0] * shape[1], device=device)
    real[flat] = 1.0
    return Scores(spread[0].view(shape), spread[1].view(shape), real.view(shape))


def _values(head: Any, hidden: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Log-probability and entropy, (2, positions)."""
    logits = hidden if head is None else head(hidden)
    logprobs = torch.log_softmax(logits.float() / temperature, dim=-1)
    entropy = -(logprobs.exp() * logprobs).sum(dim=-1)
    return torch.stack([logprobs.gather(1, target[:, None])[:, 0], entropy])


def _batches(order: Sequence[int], lengths: Sequence[int]) -> list[list[int]]:
    """Cut rows, shortest first, into batches of a bounded number of padded tokens."""
    batches: list[list[int]] = []
    for row in order:
        if not batches or (len(batches[-1]) + 1) * lengths[row] > _TOKENS:
            batches.append([])
        batches[-1].append(row)
    return batches
