"""Task-relative REINFORCE++ advantages, as pure functions of tensors.

Notation: row ``i`` is one completion, ``m_it`` is 1 on the tokens the policy chose, ``R_i`` its
reward, ``beta`` a coefficient and ``k1_it = log pi_old(a_it) - log pi_start(a_it)``. With discount 1:

    return      G_it = R_i - beta * sum_{s >= t} m_is k1_is
    advantage   A_it = (G_it - mu) / max(sigma, floor)       mu, sigma over the row's *population*

REINFORCE++ (arXiv 2501.03262, section 3) takes the whole batch as the population; Absolute Zero
(arXiv 2505.03335, "Task-Relative REINFORCE++") takes one per role and task kind; we take one
per role, stage and kind, because a lemma and its lift earn on different scales.

``sigma`` is the population standard deviation. Statistics weigh tokens or sequences alike:
``token`` is the choice of OpenRLHF, verl and Absolute Zero (a long answer counts more often in the
mean), ``sequence`` counts each answer once. One ten-token success beside one thousand-token
failure gives advantages of +10 and -0.1 with the first, of +1 and -1 with the second.

Unscored rows take no part: they neither move the statistics nor receive an advantage. Values
under a false mask, NaN included, are never read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

Norm = Literal["role_stage_kind", "role_kind", "global"]
Baseline = Literal["none", "group"]
Weighting = Literal["token", "sequence"]


class Advantages(NamedTuple):
    """Advantages and the statistics they were normalised with.

    Attributes:
        values: (rows, tokens), zero outside the mask and on unscored rows.
        mean, std: (populations,) statistics before the floor; zero where no row was scored.
    """

    values: Tensor
    mean: Tensor
    std: Tensor


def populations(turns: Sequence[tuple[str, str, str | None]], norm: Norm) -> tuple[Tensor, list[str]]:
    """Number the populations that rows are normalised in.

    Args:
        turns: (role, stage, kind) of each row.
        norm: which of these three tell populations apart.

    Returns:
        The population of each row, shape (rows,), and the name of each population.
    """
    keys = {
        "role_stage_kind": [f"{role}/{stage}/{kind or 'any'}" for role, stage, kind in turns],
        "role_kind": [f"{role}/{kind or 'any'}" for role, _, kind in turns],
        "global": ["all"] * len(turns),
    }
    if norm not in keys:
        raise ValueError(f"expected norm to be one of {', '.join(keys)}, got {norm!r}")
    names = sorted(set(keys[norm]))
    number = {name: i for i, name in enumerate(names)}
    return torch.tensor([number[key] for key in keys[norm]], dtype=torch.long), names


def centre_groups(rewards: Tensor, scored: Tensor, groups: Tensor) -> Tensor:
    """REINFORCE++-baseline: subtract the mean reward of the row's group, itself included.

    A row that is alone in its group keeps its reward, as in verl: there is nothing to compare it
    with, and a zero would silently take it out of training.

    Args:
        rewards: (rows,).
        scored: (rows,) bool.
        groups: (rows,) any integers, equal for rows of one group.

    Returns:
        (rows,) centred rewards, zero on unscored rows.
    """
    _, index = torch.unique(groups, return_inverse=True)
    count = int(index.max()) + 1 if len(index) else 0
    rewards = torch.where(scored, rewards, 0.0)
    size = rewards.new_zeros(count).index_add_(0, index, scored.to(rewards.dtype))
    mean = rewards.new_zeros(count).index_add_(0, index, rewards) / size.clamp(min=1)
    low, high = _extremes(rewards, rewards, scored, index, count)
    mean = torch.where(low == high, low, mean)  # equal rewards differ from their own mean by rounding
    return torch.where(scored & (size[index] > 1), rewards - mean[index], rewards)


def returns(rewards: Tensor, mask: Tensor, k1: Tensor | None = None, beta: float = 0.0) -> Tensor:
    """Reward to go of every token at discount 1, shape (rows, tokens), zero outside the mask.

    Args:
        rewards: (rows,), paid at the last token of the row.
        mask: (rows, tokens), True on tokens the policy chose.
        k1: (rows, tokens) ``log pi_old - log pi_start``, detached; None for no penalty.
        beta: its coefficient.
    """
    total = rewards[:, None].expand(mask.shape)
    if k1 is not None and beta:
        penalty = torch.where(mask, k1.to(rewards.dtype), 0.0)
        total = total - beta * penalty.flip(1).cumsum(1).flip(1)
    return torch.where(mask, total, 0.0)


def normalise(
    values: Tensor,
    mask: Tensor,
    population: Tensor,
    count: int,
    weighting: Weighting = "token",
    floor: float = 1e-3,
) -> Advantages:
    """Standardise token values within populations.

    A population whose values are all equal holds no signal and gets zeros, in spite of rounding;
    the floor keeps one that is nearly so from being blown up.

    Args:
        values: (rows, tokens).
        mask: (rows, tokens) bool.
        population: (rows,) in ``range(count)``.
        count: number of populations.
        weighting: see the module's docstring.
        floor: least standard deviation to divide by, in units of reward.
    """
    if weighting not in ("token", "sequence"):
        raise ValueError(f"expected weighting to be 'token' or 'sequence', got {weighting!r}")
    if not values.numel():
        return Advantages(values, values.new_zeros(count), values.new_zeros(count))
    values = torch.where(mask, values, 0.0)
    weight = mask.to(values.dtype)
    if weighting == "sequence":
        weight = weight / weight.sum(1, keepdim=True).clamp(min=1)

    def per_population(rows: Tensor) -> Tensor:
        return rows.new_zeros(count).index_add_(0, population, rows)

    total = per_population(weight.sum(1))
    divisor = torch.where(total > 0, total, 1.0)
    mean = per_population((weight * values).sum(1)) / divisor
    low, high = _extremes(
        torch.where(mask, values, torch.inf).amin(1),
        torch.where(mask, values, -torch.inf).amax(1),
        mask.any(1),
        population,
        count,
    )
    constant = low >= high
    mean = torch.where(low == high, low, mean)
    deviation = torch.where(mask, values - mean[population, None], 0.0)
    std = (per_population((weight * deviation.square()).sum(1)) / divisor).sqrt()
    std = torch.where(constant, 0.0, std)
    scaled = deviation / std.clamp(min=floor)[population, None]
    return Advantages(torch.where(mask & ~constant[population, None], scaled, 0.0), mean, std)


def task_relative(
    rewards: Tensor,
    scored: Tensor,
    mask: Tensor,
    population: Tensor,
    groups: Tensor,
    *,
    baseline: Baseline = "none",
    weighting: Weighting = "token",
    floor: float = 1e-3,
    cap: float | None = None,
    k1: Tensor | None = None,
    beta: float = 0.0,
) -> Advantages:
    """Advantages of one update's rows; see the module's docstring for the formula.

    Args:
        rewards: (rows,); the values of unscored rows are not read.
        scored: (rows,) bool.
        mask: (rows, tokens) bool.
        population: (rows,) from `populations`.
        groups: (rows,) ids of the prompts answered.
        baseline: ``group`` is REINFORCE++-baseline: `centre_groups`, then normalise as before.
        weighting: see the module's docstring.
        floor: see `normalise`.
        cap: largest ``|A|``, or None. One success in a batch of failures is worth about the
            square root of the batch size, which a small model does not always survive.
        k1: see `returns`.
        beta: see `returns`.
    """
    if baseline not in ("none", "group"):
        raise ValueError(f"expected baseline to be 'none' or 'group', got {baseline!r}")
    live = mask & scored[:, None]
    rewards = torch.where(scored, rewards, 0.0)
    if baseline == "group":
        rewards = centre_groups(rewards, scored, groups)
    count = int(population.max()) + 1 if len(population) else 0
    result = normalise(returns(rewards, live, k1, beta), live, population, count, weighting, floor)
    return result if cap is None else result._replace(values=result.values.clamp(-cap, cap))


def group_relative(
    rewards: Tensor,
    groups: Tensor,
    population: Tensor,
    scale: Literal["group", "batch", "none"] = "group",
    floor: float = 1e-4,
) -> Tensor:
    """GRPO's advantages (arXiv 2402.03300): ``(R_i - mean) / (std + floor)`` over the answers to one prompt.

    The standard deviation is that of a sample, as in TRL. An answer that is alone in its group is compared with its
    population instead; one that is alone there too gets 0.

    Args:
        rewards: (rows,), all of scored rows.
        groups: (rows,) ids of the prompts answered.
        population: (rows,) from `populations`.
        scale: whether to divide by the deviation of the group, of all rows, or not at all (arXiv 2503.20783).
        floor: what is added to the deviation.
    """
    if scale not in ("group", "batch", "none"):
        raise ValueError(f"expected scale to be 'group', 'batch' or 'none', got {scale!r}")
    group = groups.unique(return_inverse=True)[1]
    own = [values[group] for values in _moments(rewards, group)]
    all_alike = [values[population] for values in _moments(rewards, population)]
    mean, std, count = (
        torch.where(own[2] == 1, wide, narrow) for wide, narrow in zip(all_alike, own, strict=True)
    )
    if scale == "batch":
        std = (rewards.std() if len(rewards) > 1 else rewards.new_zeros(())).expand_as(rewards)
    centred = torch.where(count > 1, rewards - mean, 0.0)
    return centred if scale == "none" else centred / (std + floor)


def _moments(values: Tensor, index: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, standard deviation of a sample, and count, by index."""
    size = int(index.max()) + 1
    count = values.new_zeros(size).index_add_(0, index, torch.ones_like(values))
    mean = values.new_zeros(size).index_add_(0, index, values) / count.clamp(min=1)
    squares = values.new_zeros(size).index_add_(0, index, (values - mean[index]).square())
    return mean, (squares / (count - 1).clamp(min=1)).sqrt(), count


def _extremes(low: Tensor, high: Tensor, valid: Tensor, index: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Least and greatest valid value per index; (inf, -inf) where there is none."""
    least = low.new_full((count,), torch.inf).scatter_reduce_(
        0, index, torch.where(valid, low, torch.inf), "amin"
    )
    most = high.new_full((count,), -torch.inf).scatter_reduce_(
        0, index, torch.where(valid, high, -torch.inf), "amax"
    )
    return least, most
