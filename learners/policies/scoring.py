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
    module: Any,
    groups: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]],
    temperature: float,
    one_pass: bool = False,
) -> Scores:
    """See `learners.policies.base.TrainablePolicy.score`.

    Where the architecture is known (`learners.policies.architectures`), a beginning that sequences have in common, such
    as the prompt of a group or the instructions of a stage, is computed once, gradient included: the sequences of a
    pass are a tree of tokens, each of which attends to those on its path. The head is applied to completion tokens
    only, in chunks whose logits are computed again in the backward pass. Elsewhere sequences of like length share a
    batch, padded on the right, and the logits of all its positions exist at once.

    Args:
        module: of the ``transformers`` library.
        groups: see there.
        temperature: see there.
        one_pass: call the module itself, and once: for modules whose processes have to stay together. The logits of all
            completion tokens exist at once.
    """
    device, dtype = next(module.parameters()).device, module.get_input_embeddings().weight.dtype
    sequences = [(list(prompt), list(ids)) for prompt, completions in groups for ids in completions]
    longest = max((len(ids) for _, ids in sequences), default=0)
    shape = (len(sequences), longest)
    rows = [row for row, (_, ids) in enumerate(sequences) if ids]
    known = architectures.unknown(module) is None
    whole = [prompt + ids for prompt, ids in sequences]
    values: list[Tensor] = []
    slots: list[int] = []
    cut = everything if one_pass else trees if known else padded
    for batch in cut([whole[row] for row in rows]):
        batch = [rows[index] for index in batch]
        inputs, places = (_tree if known else _padded)([whole[row] for row in batch], dtype)
        inputs = {name: value.to(device) for name, value in inputs.items()}
        where: list[int] = []
        targets: list[int] = []
        for path, row in zip(places, batch, strict=True):
            prompt, completion = sequences[row]
            where += path[len(prompt) - 1 : -1]  # a token is predicted at the place before it
            targets += completion
            slots += range(row * longest, row * longest + len(completion))
        index, target = (torch.tensor(one, dtype=torch.long, device=device) for one in (where, targets))
        head: Any = None
        if not known:
            hidden = module(**inputs, use_cache=False).logits.flatten(0, 1)[index]
        elif one_pass:
            hidden = module(**inputs, use_cache=False, logits_to_keep=index).logits[0]
        else:
            hidden, head = module.model(**inputs, use_cache=False).last_hidden_state[0, index], module.lm_head
        values += [
            checkpoint(_values, head, part, wanted, temperature, use_reentrant=False)
            for part, wanted in zip(hidden.split(_POSITIONS), target.split(_POSITIONS), strict=True)
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


def everything(sequences: Sequence[list[int]]) -> list[list[int]]:
    """All sequences in one."""
    return [list(range(len(sequences)))]


def _tree(
    sequences: Sequence[Sequence[int]], dtype: torch.dtype
) -> tuple[dict[str, Tensor], list[list[int]]]:
    """What the module is given for a tree of tokens, and the place of each sequence's tokens."""
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
    bias = torch.zeros(seen.shape, dtype=dtype).masked_fill_(~seen, -torch.inf)
    inputs = {
        "input_ids": torch.tensor([tokens]),
        "attention_mask": bias[None, None],
        "position_ids": torch.tensor([depths]),
    }
    return inputs, paths


def padded(sequences: Sequence[Sequence[int]]) -> list[list[int]]:
    """Cut sequences, shortest first, into batches of a bounded number of padded tokens."""
    batches: list[list[int]] = []
    for index in sorted(range(len(sequences)), key=lambda index: len(sequences[index])):
        if not batches or (len(batches[-1]) + 1) * len(sequences[index]) > _TOKENS:
            batches.append([])
        batches[-1].append(index)
    return batches


def _padded(
    sequences: Sequence[Sequence[int]], dtype: torch.dtype
) -> tuple[dict[str, Tensor], list[list[int]]]:
    """What the module is given for a batch of rows, and the place of each one's tokens, row after row."""
    width = max(map(len, sequences))
    ids = torch.zeros(len(sequences), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for line, sequence in enumerate(sequences):
        ids[line, : len(sequence)], mask[line, : len(sequence)] = torch.tensor(sequence), 1
    places = [list(range(line * width, line * width + len(one))) for line, one in enumerate(sequences)]
    return {"input_ids": ids, "attention_mask": mask}, places


def _values(head: Any, hidden: Tensor, target: Tensor, temperature: float) -> Tensor:
    """Log-probability and entropy, (2, positions)."""
    logits = hidden if head is None else head(hidden)
    logprobs = torch.log_softmax(logits.float() / temperature, dim=-1)
    entropy = -(logprobs.exp() * logprobs).sum(dim=-1)
    return torch.stack([logprobs.gather(1, target[:, None])[:, 0], entropy])
