"""From turns to tensors: padding, and log-probabilities of rows that share prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from learners.policies import Scores, TrainablePolicy
from learners.policies.prefixes import common
from learners.processes import ALONE, Processes, is_parted
from learners.turn_records import TurnRecord, packs

#: Answers to one prompt that stay together, and most rows scored at once. Neither changes a result but for rounding.
PACK, MICRO_ROWS = 16, 256
#: Most tokens that a policy is given at once where it computes them in one pass.
PASS_TOKENS = 4096


def padded(rows: Sequence[tuple[Any, ...]], dtype: torch.dtype) -> Tensor:
    """Rows of different length as one tensor, zero beyond each row's end."""
    return pad_sequence([torch.tensor(row, dtype=dtype) for row in rows], batch_first=True)


def score(
    policy: TrainablePolicy, records: Sequence[TurnRecord], temperature: float
) -> tuple[Tensor, Scores]:
    """Log-probabilities of rows, every prompt computed once per pack.

    Returns:
        The order in which the rows come, (rows,), and their scores.
    """
    order = packs(records, PACK)
    groups = [(records[pack[0]].prompt_ids, [records[row].completion_ids for row in pack]) for pack in order]
    rows = [row for pack in order for row in pack]
    return torch.tensor(rows, dtype=torch.long), policy.score(groups, temperature)


def micro_batches(records: Sequence[TurnRecord], part: Sequence[int], tokens: int) -> list[list[int]]:
    """Cut rows into runs of at most `MICRO_ROWS` rows and, but for single rows, at most ``tokens`` tokens.

    What a row's prompt has in common with the prompt before it is counted once, as a policy may compute it once.
    """
    found: list[list[int]] = []
    size = 0
    before: tuple[int, ...] = ()
    for row in part:
        prompt, length = records[row].prompt_ids, len(records[row].completion_ids)
        added = len(prompt) - common(before, prompt) + length
        if not found or len(found[-1]) == MICRO_ROWS or size + added > tokens:
            found.append([])
            size, added = 0, len(prompt) + length
        found[-1].append(row)
        size, before = size + added, prompt
    return found


def shares(
    records: Sequence[TurnRecord],
    part: Sequence[int],
    tokens: int,
    processes: Processes = ALONE,
    in_step: bool = False,
) -> list[list[int]]:
    """This process's share of `micro_batches`, which are so small that every process has one, if there are rows.

    Args:
        records: the rows of an update.
        part: numbers of those to take.
        tokens: most of a micro-batch.
        processes: that share them.
        in_step: all processes have as many, one of no rows if need be, and of at most `PASS_TOKENS`: for weights of
            which each has a part.
    """
    tokens = min(tokens, PASS_TOKENS) if in_step else tokens
    found = micro_batches(records, part, tokens)
    while len(found) < min(processes.count, len(part)) and tokens > 1:
        tokens //= 2
        found = micro_batches(records, part, tokens)
    own = found[processes.rank :: processes.count]
    return own + [[]] * (-(-len(found) // processes.count) - len(own)) if in_step else own


def constants(
    policy: TrainablePolicy,
    records: Sequence[TurnRecord],
    temperature: float,
    tokens: int = 2**16,
    processes: Processes = ALONE,
) -> Tensor:
    """Log-probabilities as plain numbers in the records' order, (rows, longest completion); each process computes its
    share of them."""
    own = processes.share(len(records))
    out = torch.zeros(len(own), max(len(record.completion_ids) for record in records))
    with torch.no_grad():
        in_step = is_parted(policy.parameters())
        parts = micro_batches(records, own, min(tokens, PASS_TOKENS) if in_step else tokens)
        if in_step:
            parts += [[]] * (max(processes.all(len(parts))) - len(parts))
        for part in parts:
            order, scores = score(policy, [records[row] for row in part], temperature)
            rows = torch.tensor(part, dtype=torch.long)[order] - own.start
            out[rows, : scores.logprobs.shape[1]] = scores.logprobs.float().cpu()
    return torch.cat(processes.all(out))


def minibatches(records: Sequence[TurnRecord], count: int, rng: Any) -> list[list[int]]:
    """Rows in ``count`` parts of about as many prompts, drawn without replacement.

    Answers to one prompt stay together, so that the prompt is computed once; rows inside a part
    are ordered by length, so that little is padded.

    Args:
        records: the rows of an update.
        count: parts; fewer if there are fewer prompts.
        rng: ``numpy.random.Generator``.
    """
    order = packs(records, PACK)
    shuffled = [order[i] for i in rng.permutation(len(order))]
    parts = [shuffled[i::count] for i in range(min(count, len(shuffled)))]

    def size(pack: list[int]) -> int:
        return len(records[pack[0]].prompt_ids) + sum(len(records[row].completion_ids) for row in pack)

    return [[row for pack in sorted(part, key=size) for row in pack] for part in parts]
