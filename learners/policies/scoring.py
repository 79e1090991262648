"""Log-probabilities of given completions under a causal language model, differentiable."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from learners.policies import architectures
from learners.policies.base import Scores
from learners.policies.prefixes import common

#: Tokens of a forward pass, and positions whose logits exist at once: over a real vocabulary logits are what fills the
#: memory.
_TOKENS, _POSITIONS = 2048, 256


def score(
    module: Any, groups: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]], temperature: float
) -> Scores:
    """See `learners.policies.base.TrainablePolicy.score`.

    Where the architecture is known (`learners.policies.architectures`), a beginning that sequences have in common, such
    as the prompt of a group or the instructions of a stage, is computed once, gradient included: the sequences of a
    pass are a tree of tokens, each of which attends to those on its path. The head is applied to completion tokens
    only, in chunks whose logits are computed again in the backward pass. Elsewhere sequences of like length share a
    batch, padded on the right, and the logits of all its positions exist at once.
    """
    device = next(module.parameters()).device
    sequences = [(list(prompt), list(ids)) for prompt, completions in groups for ids in completions]
    longest = max((len(ids) for _, ids in sequences), default=0)
    shape = (len(sequences), longest)
    rows = [row for row, (_, ids) in enumerate(sequences) if ids]
    known = architectures.unknown(module) is None
    whole = [prompt + ids for prompt, ids in sequences]
    values: list[Tensor] = []
    slots: list[int] = []
    for batch in (trees if known else padded)([whole[row] for row in rows]):
        batch = [rows[index] for index in batch]
        run = _tree if known else _padded
        hidden, head, places = run(module, [whole[row] for row in batch], device)
        where: list[int] = []
        targets: list[int] = []
        for path, row in zip(places, batch, strict=True):
            prompt, completion = sequences[row]
            where += path[len(prompt) - 1 : -1]  # a token is predicted at the place before it
            targets += completion
            slots += range(row * longest, row * longest + len(completion))
        index, target = (torch.tensor(one, dtype=torch.long, device=device) for one in (where, targets))
        values += [
            checkpoint(_values, head, part, wanted, temperature, use_reentrant=False)
            for part, wanted in zip(hidden[index].split(_POSITIONS), target.split(_POSITIONS), strict=True)
        ]
    flat = torch.tensor(slots, dtype=torch.long, device=device)
    spread = torch.zeros(2, shape[0] * shape[1], device=device)
    if values:
        spread = spread.index_copy(1, flat, torch.cat(values, dim=1))
    real = torch.zeros(shape[0] * shape[1], device=device)
    real[flat] = 1.0
    return Scores(spread[0].view(shape), spread[1].view(shape), real.view(shape))


def trees(sequences: Sequence[list[int]]) -> list[list[int]]:
    """Cut sequences into trees of a bounded number of tokens; neighbours have most in common."""
    found: list[list[int]] = []
    size = 0
    for index in sorted(range(len(sequences)), key=lambda index: sequences[index]):
        before = sequences[found[-1][-1]] if found else ()
        added = len(sequences[index]) - common(before, sequences[index])
        if not found or size + added > _TOKENS:
            found.append([])
            size, added = 0, len(sequences[index])
        found[-1].append(index)
        size += added
    return found


def _tree(
    module: Any, sequences: Sequence[Sequence[int]], device: torch.device
) -> tuple[Tensor, Any, list[list[int]]]:
    """Hidden states of the tokens of a tree, (tokens, width), the head, and the place of each sequence's tokens."""
    tokens: list[int] = []
    depths: list[int] = []
    parents: list[int] = []
    paths: list[list[int]] = []
    children: dict[tuple[int, int], int] = {}
    for ids in sequences:
        path: list[int] = []
        place = -1
        for depth, token in enumerate(ids):
            parent, place = place, children.setdefault((place, token), len(tokens))
            if place == len(tokens):
                tokens.append(token)
                depths.append(depth)
                parents.append(parent)
            path.append(place)
        paths.append(path)
    seen = torch.eye(len(tokens), dtype=torch.bool)
    for place, parent in enumerate(parents):
        if parent >= 0:
            seen[place] |= seen[parent]
    like = module.get_input_embeddings().weight
    bias = torch.zeros(seen.shape, dtype=like.dtype).masked_fill_(~seen, -torch.inf)
    hidden = module.model(
        input_ids=torch.tensor([tokens], device=device),
        attention_mask=bias[None, None].to(device),
        position_ids=torch.tensor([depths], device=device),
        use_cache=False,
    ).last_hidden_state[0]
    return hidden, module.lm_head, paths


def padded(sequences: Sequence[Sequence[int]]) -> list[list[int]]:
    """Cut sequences, shortest first, into batches of a bounded number of padded tokens."""
    batches: list[list[int]] = []
    for index in sorted(range(len(sequences)), key=lambda index: len(sequences[index])):
        if not batches or (len(batches[-1]) + 1) * len(sequences[index]) > _TOKENS:
            batches.append([])
        batches[-1].append(index)
    return batches


def _padded(
    module: Any, sequences: Sequence[Sequence[int]], device: torch.device
) -> tuple[Tensor, Any, list[list[int]]]:
    """Logits of the tokens of a batch, (rows x width, vocabulary), no head, and the place of each sequence's tokens."""
    width = max(map(len, sequences))
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for line, sequence in enumerate(sequences):
        ids[line, : len(sequence)], mask[line, : len(sequence)] = torch.tensor(sequence), 1
    logits = module(input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False).logits
    places = [list(range(line * width, line * width + len(one))) for line, one in enumerate(sequences)]
    return logits.flatten(0, 1), None, places


def _values(head: Any, hidden: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Log-probability and entropy, (2, positions)."""
    logits = hidden if head is None else head(hidden)
    logprobs = torch.log_softmax(logits.float() / temperature, dim=-1)
    entropy = -(logprobs.exp() * logprobs).sum(dim=-1)
    return torch.stack([logprobs.gather(1, target[:, None])[:, 0], entropy])
