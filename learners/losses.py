"""Per-token losses: clipped policy gradient, and divergence from the start model.

Each returns a (rows, tokens) tensor that is zero outside the mask. The caller sums it and divides
by the number of tokens in the whole optimizer step (the token mean of DAPO, arXiv 2503.14476), so
that cutting a step into micro-batches changes nothing. Values under a false mask, NaN
included, are never read.

On the three estimators of KL(pi || start), writing ``d = log pi - log start``: the gradient of
``k1 = d`` placed in the *reward* is exact; so is that of ``k2 = d^2 / 2`` as a *loss*, and that of
``k3 = exp(-d) - 1 + d`` as a loss *when multiplied by the importance ratio*. Without the ratio, k3 as a
loss follows the gradient of the forward divergence KL(start || pi) instead. The tests check all of
this on a categorical where the expectation is a sum (after arXiv 2512.21852).
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import torch
from torch import Tensor

KL = Literal["none", "k1_reward", "k2_loss", "k3_loss"]

#: Log-ratios beyond this are clamped before they are exponentiated, as verl and OpenRLHF do.
MAX_LOG_RATIO = 20.0


class PolicyLoss(NamedTuple):
    """Clipped surrogate. All (rows, tokens): the loss, the importance ratio, and where clipping decided."""

    loss: Tensor
    ratio: Tensor
    clipped: Tensor


def policy_loss(
    logprobs: Tensor,
    behaviour: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.28,
    dual_clip: float | None = 3.0,
) -> PolicyLoss:
    """PPO's clipped surrogate (arXiv 1707.06347, eq. 7) with separate sides and the dual clip.

    Args:
        logprobs: (rows, tokens), differentiable.
        behaviour: log-probabilities under the policy that sampled.
        advantages: constant.
        mask: True on the tokens that train.
        clip_low: a bad answer gains nothing from a ratio below ``1 - clip_low``.
        clip_high: a good answer gains nothing from a ratio above ``1 + clip_high``; a wider upper
            side keeps rare tokens alive (DAPO).
        dual_clip: where the advantage is negative the loss is at most ``-dual_clip`` times it
            (arXiv 1912.09729); None for plain PPO.
    """
    advantages = torch.where(mask, advantages, 0.0)
    ratio = _ratio(logprobs, behaviour, mask)
    plain = ratio * advantages
    bounded = ratio.clamp(1 - clip_low, 1 + clip_high) * advantages
    surrogate = torch.minimum(plain, bounded)
    clipped = bounded < plain
    if dual_clip is not None:
        least = dual_clip * advantages
        dual = (advantages < 0) & (least > surrogate)
        surrogate = torch.where(dual, least, surrogate)
        clipped = clipped | dual
    return PolicyLoss(torch.where(mask, -surrogate, 0.0), ratio, clipped & mask)


def kl_loss(logprobs: Tensor, reference: Tensor, behaviour: Tensor, mask: Tensor, kind: KL) -> Tensor:
    """Divergence from the start model as a loss; see the module's docstring.

    Args:
        logprobs: (rows, tokens), differentiable.
        reference: log-probabilities under the start model.
        behaviour: log-probabilities under the policy that sampled (for the ratio of ``k3_loss``).
        mask: True on the tokens that train.
        kind: ``k2_loss`` or ``k3_loss``.
    """
    difference = _difference(logprobs, reference, mask)
    if kind == "k2_loss":
        return 0.5 * difference.square()
    if kind == "k3_loss":
        return _ratio(logprobs, behaviour, mask) * k3(difference)
    raise ValueError(f"expected kind to be 'k2_loss' or 'k3_loss', got {kind!r}")


def k3(difference: Tensor) -> Tensor:
    """The estimator ``exp(-d) - 1 + d`` of KL: never negative, and unbiased on samples of the first policy."""
    return torch.expm1(-difference) + difference


def truncated_weights(trained: Tensor, sampled: Tensor, mask: Tensor, cap: float) -> Tensor:
    """Weights of tokens for the gap between two engines: truncated importance sampling.

    An engine that samples in another precision, or with other kernels, draws from another distribution than the one
    that is differentiated. The weight of a token is ``min(trained / sampled, cap)``, a constant; both are probabilities
    under the same weights (Yao et al., "Your efficient RL framework secretly brings you off-policy RL training", 2025).

    Args:
        trained: log-probabilities of the engine that trains.
        sampled: those of the engine that sampled.
        mask: True on the tokens that train; the weight of others is 0.
        cap: largest weight, at least 1.
    """
    return torch.where(mask, _ratio(trained.detach(), sampled, mask).clamp(max=cap), 0.0)


def _difference(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    return torch.where(mask, torch.where(mask, a, 0.0) - torch.where(mask, b, 0.0), 0.0).clamp(
        -MAX_LOG_RATIO, MAX_LOG_RATIO
    )


def _ratio(a: Tensor, b: Tensor, mask: Tensor) -> Tensor:
    return _difference(a, b, mask).exp()
