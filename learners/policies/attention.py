"""Attention in parts: over some keys, with what is needed to join it to attention over others."""

from __future__ import annotations

import torch
from torch import Tensor

_FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def attend(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor | None, scale: float
) -> tuple[Tensor, Tensor]:
    """Attention, and the logarithm of the sum of its exponentiated scores.

    Args:
        query: (batch, heads, queries, size).
        key: (batch, heads, tokens, size).
        value: like ``key``.
        bias: added to the scores, such as (batch, 1, 1, tokens).
        scale: of the scores.

    Returns:
        The attended values, like ``query``, and the logarithms, (batch, heads, queries).
    """
    if _has_kernel(query):
        # The kernel behind `scaled_dot_product_attention`, which does not give the logarithms.
        attended: tuple[Tensor, Tensor] = _FLASH(query, key, value, attn_mask=bias, scale=scale)
        return attended
    scores = (query @ key.transpose(2, 3)).float() * scale
    if bias is not None:
        scores = scores + bias
    logsumexp = scores.logsumexp(dim=3)
    return (scores - logsumexp[..., None]).exp().to(value.dtype) @ value, logsumexp


def _has_kernel(query: Tensor) -> bool:
    return query.device.type == "cpu"


def attend_causal(query: Tensor, key: Tensor, value: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """`attend` for queries at the keys' places, each of which sees what is before it. Keys may have fewer heads."""
    groups = query.shape[1] // key.shape[1]
    key, value = key.repeat_interleave(groups, dim=1), value.repeat_interleave(groups, dim=1)
    if _has_kernel(query):
        attended: tuple[Tensor, Tensor] = _FLASH(query, key, value, is_causal=True, scale=scale)
        return attended
    hidden = query.new_full((query.shape[2], key.shape[2]), -torch.inf).triu(1)
    return attend(query, key, value, hidden, scale)


def merge(left: Tensor, left_lse: Tensor, right: Tensor, right_lse: Tensor) -> Tensor:
    """Attention over two sets of keys from the attention over each (Milakov and Gimelshein, arXiv:1805.02867)."""
    share = torch.sigmoid(right_lse.float() - left_lse.float())[..., None]
    return torch.lerp(left.float(), right.float(), share).to(left.dtype)
