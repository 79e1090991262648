"""The forward pass of Llama-like language models, for decoding: the modules' own weights, arranged for speed.

Covers Qwen2, Qwen3, Llama and Mistral with full attention. The projections of one input are done as one product: their
weights are moved into one tensor, and the modules' parameters become views of it, so that an optimizer's updates
are seen here and nothing is stored twice. Queries that share a key are given as further query positions, so that keys
and values are never repeated.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_KNOWN = ("Qwen2ForCausalLM", "Qwen3ForCausalLM", "LlamaForCausalLM", "MistralForCausalLM")
#: Scalings of the rotary embedding that do not depend on a sequence's length.
_STATIC_ROPE = ("default", "linear", "llama3", "yarn")
_ROOM = 64
_FLASH = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def unknown(module: nn.Module) -> str | None:
    """Why a model cannot be decoded by `Network`; None if it can."""
    name = type(module).__name__
    if name not in _KNOWN:
        return f"{name} is not among {', '.join(_KNOWN)}"
    model: Any = module
    config = model.config
    kinds = set(getattr(config, "layer_types", None) or ["full_attention"])
    sliding = getattr(config, "sliding_window", None) if name == "MistralForCausalLM" else None
    if kinds != {"full_attention"} or sliding:
        return "it has sliding-window attention"
    if (rope := getattr(model.model.rotary_emb, "rope_type", None)) not in _STATIC_ROPE:
        return f"its rotary embedding is scaled by {rope!r}"
    for layer in model.model.layers:
        attention, mlp = layer.self_attn, layer.mlp
        linear = [attention.q_proj, attention.k_proj, attention.v_proj, attention.o_proj]
        linear += [mlp.gate_proj, mlp.up_proj, mlp.down_proj]
        if any(type(one) is not nn.Linear for one in linear):
            return "its projections are not plain linear layers"
        if len({one.weight.dtype for one in linear} | {model.lm_head.weight.dtype}) > 1:
            return "its weights have several types"
    if type(model.lm_head) is not nn.Linear or model.lm_head.bias is not None:
        return "its head is not a plain linear layer"
    return None


class Store:
    """Keys and values of every layer: tensors (2, rows, key heads, tokens, head size), with room to grow.

    Unused places hold finite numbers, which a mask then leaves out.
    """

    def __init__(self, layers: int, heads: int, size: int, like: Tensor) -> None:
        self._shape, self._like = (heads, size), like
        self.layers = [self._new(0, 0) for _ in range(layers)]
        self.rows = self.room = 0

    def reserve(self, rows: int, room: int) -> None:
        """Make room for so many rows of so many tokens."""
        if rows <= self.rows and room <= self.room:
            return
        if rows > self.rows:
            rows = max(rows, self.rows * 3 // 2)
        if room > self.room:
            room = max(-(-room // _ROOM) * _ROOM, self.room * 5 // 4)
        rows, room = max(rows, self.rows), max(room, self.room)
        for index, old in enumerate(self.layers):
            new = self._new(rows, room)
            new[:, : self.rows, :, : self.room] = old
            self.layers[index] = new
        self.rows, self.room = rows, room

    def copy(self, source: Store, row: int, target: int, length: int) -> None:
        """Copy the first ``length`` tokens of a row of another store to a row of this one."""
        for ours, theirs in zip(self.layers, source.layers, strict=True):
            ours[:, target, :, :length] = theirs[:, row, :, :length]

    def _new(self, rows: int, room: int) -> Tensor:
        heads, size = self._shape
        return self._like.new_zeros(2, rows, heads, room, size)

    def move(self, source: int, target: int, length: int) -> None:
        """Copy the first ``length`` tokens of a row to another."""
        self.copy(self, source, target, length)


class _Layer:
    """One decoder layer with its projections fused."""

    def __init__(self, layer: Any) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        self.norm_in, self.norm_out = layer.input_layernorm, layer.post_attention_layernorm
        self.q_norm, self.k_norm = getattr(attention, "q_norm", None), getattr(attention, "k_norm", None)
        self.qkv = _Fused((attention.q_proj, attention.k_proj, attention.v_proj))
        self.gate_up = _Fused((mlp.gate_proj, mlp.up_proj))
        self.out, self.down, self.act = attention.o_proj, mlp.down_proj, mlp.act_fn
        self.scale = float(attention.scaling)

    def finish(self, x: Tensor, attended: Tensor) -> Tensor:
        """The rest of the layer, from the attention's output (tokens, width)."""
        x = x + self.out(attended)
        gate, up = self.gate_up(self.norm_out(x)).chunk(2, dim=-1)
        return x + self.down(self.act(gate) * up)


class _Fused:
    """Several linear layers of one input as one."""

    def __init__(self, parts: Sequence[nn.Linear]) -> None:
        self.parts = parts
        with torch.no_grad():
            self.weight = _join([part.weight for part in parts])
            biases = [part.bias for part in parts]
            self.bias = None if any(bias is None for bias in biases) else _join(biases)

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    @property
    def current(self) -> bool:
        """Whether the modules' parameters are still views of the fused tensors."""
        biases = [] if self.bias is None else [(part.bias, self.bias) for part in self.parts]
        pairs = [(part.weight, self.weight) for part in self.parts] + biases
        return all(
            part.untyped_storage().data_ptr() == fused.untyped_storage().data_ptr()
            and part.dtype == fused.dtype
            for part, fused in pairs
        )


def _join(parameters: Sequence[Tensor]) -> Tensor:
    fused = torch.cat([parameter.data for parameter in parameters])
    for parameter, view in zip(
        parameters, fused.split([len(parameter) for parameter in parameters]), strict=True
    ):
        parameter.data = view
    return fused


class Network:
    """A model's forward pass over keys and values kept in a `Store`.

    Raises:
        ValueError: its architecture is not a known one (`unknown`).
    """

    def __init__(self, module: Any) -> None:
        if reason := unknown(module):
            raise ValueError(f"expected a model of a known architecture, got one where {reason}")
        self.module, self.model = module, module.model
        attention = self.model.layers[0].self_attn
        self.size = int(attention.head_dim)
        self.heads = attention.q_proj.weight.shape[0] // self.size
        self.key_heads = attention.k_proj.weight.shape[0] // self.size
        self.layers = [_Layer(layer) for layer in self.model.layers]
        self._places: tuple[Tensor, Tensor] | None = None

    @property
    def current(self) -> bool:
        """Whether this still computes with the module's parameters; a conversion of the module makes new ones."""
        return all(layer.qkv.current and layer.gate_up.current for layer in self.layers)

    def store(self) -> Store:
        """An empty store for this model."""
        return Store(len(self.layers), self.key_heads, self.size, self.model.embed_tokens.weight.data)

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits of the next token; ``hidden`` has shape (rows, width)."""
        return F.linear(hidden, self.module.lm_head.weight)

    def prefill(
        self, prompts: Sequence[Sequence[int]], store: Store, rows: Sequence[int], begun: int = 0
    ) -> Tensor:
        """Read whole prompts into the given rows of the store; hidden states of their last tokens.

        Args:
            prompts: token ids.
            store: where their keys and values go.
            rows: of the store, one a prompt.
            begun: tokens that all prompts have in common and that stand in all the rows already.
        """
        device = self.model.embed_tokens.weight.device
        lengths = [len(prompt) - begun for prompt in prompts]
        ids = torch.tensor([token for prompt in prompts for token in prompt[begun:]], device=device)
        places = torch.cat([torch.arange(begun, begun + length, device=device) for length in lengths])
        x = self.model.embed_tokens(ids)
        cos, sin = self._rotary(places, x, begun + max(lengths))
        for layer, kept in zip(self.layers, store.layers, strict=True):
            # (tokens, heads, size) -> (heads, tokens, size)
            query, key, value = (part.transpose(0, 1) for part in self._project(layer, x, cos, sin))
            # The beginning is the same in every row: all tokens read it from the first in one product.
            before = kept[:, rows[0], None, :, :begun]
            parts = []
            start = 0
            for length, row in zip(lengths, rows, strict=True):
                own = slice(start, start + length)
                kept[0, row, :, begun : begun + length] = key[:, own]
                kept[1, row, :, begun : begun + length] = value[:, own]
                parts.append(
                    attend_causal(query[None, :, own], key[None, :, own], value[None, :, own], layer.scale)
                )
                start += length
            said, said_lse = (torch.cat(both, dim=2) for both in zip(*parts, strict=True))
            if begun:
                grid = query[None].unflatten(1, (self.key_heads, -1)).flatten(2, 3)
                read, read_lse = attend(grid, before[0], before[1], None, layer.scale)
                said = merge(said, said_lse, read.reshape_as(said), read_lse.reshape_as(said_lse))
            x = layer.finish(x, said[0].transpose(0, 1).flatten(1))
        last = torch.tensor(lengths, device=device).cumsum(0) - 1
        return self.model.norm(x[last])

    def step(self, tokens: Sequence[int], own: Store, shown: Store, places: Places) -> Tensor:
        """Append a token to every row; hidden states of the rows, shape (rows, width)."""
        device, count = self.model.embed_tokens.weight.device, len(tokens)
        x = self.model.embed_tokens(torch.tensor(tokens, device=device))
        cos, sin = self._rotary(places.position, x, places.longest)
        every = torch.arange(count, device=device)
        groups = self.heads // self.key_heads
        bias_own, bias_shown = places.bias_own.to(x.dtype), places.bias_shown.to(x.dtype)
        prompts, most, length, room = places.prompts, places.most, places.own_room, places.shown_room
        for layer, kept, prompt in zip(self.layers, own.layers, shown.layers, strict=True):
            query, key, value = self._project(layer, x, cos, sin)
            kept[0, every, :, places.length], kept[1, every, :, places.length] = key, value
            query = query.unflatten(1, (self.key_heads, groups))
            said, said_lse = attend(
                query, kept[0, :count, :, :length], kept[1, :count, :, :length], bias_own, layer.scale
            )
            # Rows on a grid (prompts, most rows a prompt has): one product serves all rows of a prompt.
            grid = query.new_zeros(prompts * most, *query.shape[1:]).index_copy_(0, places.slot, query)
            grid = grid.unflatten(0, (prompts, most)).transpose(1, 2).flatten(2, 3)
            read, read_lse = attend(
                grid, prompt[0, :prompts, :, :room], prompt[1, :prompts, :, :room], bias_shown, layer.scale
            )
            read = read.unflatten(2, (most, groups)).transpose(1, 2).flatten(0, 1)[places.slot]
            read_lse = read_lse.unflatten(2, (most, groups)).transpose(1, 2).flatten(0, 1)[places.slot]
            x = layer.finish(x, merge(said, said_lse, read, read_lse).flatten(1))
        return self.model.norm(x)

    def _project(self, layer: _Layer, x: Tensor, cos: Tensor, sin: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values, (tokens, heads, size), turned to their positions."""
        heads = layer.qkv(layer.norm_in(x)).unflatten(1, (-1, self.size))
        turned, value = heads.split([self.heads + self.key_heads, self.key_heads], dim=1)
        if layer.q_norm is not None and layer.k_norm is not None:
            query, key = turned.split([self.heads, self.key_heads], dim=1)
            turned = torch.cat([layer.q_norm(query), layer.k_norm(key)], dim=1)
        half = self.size // 2
        other = torch.cat([-turned[..., half:], turned[..., :half]], dim=-1)
        turned = turned * cos + other * sin
        return turned[:, : self.heads], turned[:, self.heads :], value

    def _rotary(self, places: Tensor, like: Tensor, most: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines of positions, (tokens, 1, size). A table is kept, from the model's own module."""
        table = self._places
        if (
            table is None
            or len(table[0]) < most
            or (table[0].dtype, table[0].device)
            != (
                like.dtype,
                like.device,
            )
        ):
            every = torch.arange(most + 1024, device=like.device)[None]
            cos, sin = self.model.rotary_emb(like, every)
            table = self._places = (cos[0, :, None], sin[0, :, None])
        return table[0][places], table[1][places]


class Places:
    """Where the rows of one step stand.

    Attributes:
        length: tokens each row had before this one, (rows,).
        position: position of the row's new token in its sequence.
        slot: place of each row on the grid (prompts, most).
        prompts, most: shape of the grid.
        own_room, shown_room: tokens of the longest row and of the longest prompt.
        bias_own, bias_shown: 0 on tokens, -inf beyond them; (rows, 1, 1, own_room), (prompts, 1, 1, shown_room).
        longest: bound on positions.
    """

    def __init__(
        self, lengths: Sequence[int], of: Sequence[int], shown: Sequence[int], device: torch.device
    ) -> None:
        counts = [0] * len(shown)
        within: list[int] = []
        for prompt in of:
            within.append(counts[prompt])
            counts[prompt] += 1
        self.prompts, self.most = len(shown), max(counts)
        self.own_room, self.shown_room = max(lengths) + 1, max(shown)
        self.longest = self.own_room + self.shown_room
        slots = [prompt * self.most + place for prompt, place in zip(of, within, strict=True)]
        positions = [shown[prompt] + length for prompt, length in zip(of, lengths, strict=True)]
        table = torch.tensor([list(lengths), positions, slots], device=device)
        self.length, self.position, self.slot = table
        self.bias_own = _bias(self.length + 1, self.own_room)
        self.bias_shown = _bias(torch.tensor(list(shown), device=device), self.shown_room)


def _bias(lengths: Tensor, room: int) -> Tensor:
    index = torch.arange(room, device=lengths.device)
    return torch.where(index < lengths[:, None], 0.0, -torch.inf)[:, None, None]


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
