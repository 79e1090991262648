"""The forward pass of Llama-like language models, for decoding: the modules' own weights, arranged for speed.

Covers Qwen2, Qwen3, Llama and Mistral with full attention. The projections of one input are done as one product: their
weights are moved into one tensor, and the modules' parameters become views of it, so that an optimizer's updates
are seen here and nothing is stored twice. Queries that share a key are given as further query positions, so that keys
and values are never repeated. LoRA adapters of `peft` in the projections are computed as they are, never merged.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from learners.policies.attention import attend, attend_causal, merge
from learners.policies.places import Places, Store

_KNOWN = ("Qwen2ForCausalLM", "Qwen3ForCausalLM", "LlamaForCausalLM", "MistralForCausalLM")
#: Scalings of the rotary embedding that do not depend on a sequence's length.
_STATIC_ROPE = ("default", "linear", "llama3", "yarn")


def unknown(module: nn.Module) -> str | None:
    """Why a model cannot be decoded by `Network`; None if it can."""
    name = type(module).__name__.removeprefix("FSDP")  # torch's, of the same module shared out
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
        if any(type(base(one)) is not nn.Linear or not _is_plain(one) for one in linear):
            return "its projections are not plain linear layers"
        if len({base(one).weight.dtype for one in linear} | {model.lm_head.weight.dtype}) > 1:
            return "its weights have several types"
    if type(model.lm_head) is not nn.Linear or model.lm_head.bias is not None:
        return "its head is not a plain linear layer"
    return None


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
    """Several linear layers of one input as one. Low-rank adapters of theirs are computed beside it, as they train."""

    def __init__(self, parts: Sequence[nn.Module]) -> None:
        self.parts, self.bases = parts, [base(part) for part in parts]
        self.adapted = any(part is not one for part, one in zip(parts, self.bases, strict=True))
        with torch.no_grad():
            self.weight = _join([one.weight for one in self.bases])
            biases = [one.bias for one in self.bases]
            self.bias = None if any(bias is None for bias in biases) else _join(biases)

    def __call__(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.weight, self.bias)
        if not self.adapted:
            return y
        outputs = y.split([len(one.weight) for one in self.bases], dim=-1)
        return torch.cat(
            [_adapted(part, x, out) for part, out in zip(self.parts, outputs, strict=True)], dim=-1
        )

    @property
    def current(self) -> bool:
        """Whether the modules' parameters are still views of the fused tensors."""
        biases = [] if self.bias is None else [(one.bias, self.bias) for one in self.bases]
        pairs = [(one.weight, self.weight) for one in self.bases] + biases
        return all(
            part.untyped_storage().data_ptr() == fused.untyped_storage().data_ptr()
            and part.dtype == fused.dtype
            for part, fused in pairs
        )


def base(layer: Any) -> Any:
    """The layer itself, or the one that an adapter of `peft` is put around."""
    return getattr(layer, "base_layer", layer)


def _is_plain(layer: Any) -> bool:
    """True for a layer without adapters, and for one whose adapters are LoRA as published, not merged."""
    if type(layer) is nn.Linear:
        return True
    return hasattr(layer, "lora_A") and not layer.lora_variant and not layer.merged


def _adapted(layer: Any, x: Tensor, out: Tensor) -> Tensor:
    """The output of a layer with its active adapters, from that without; as in the layer's own forward pass."""
    if layer is base(layer) or layer.disable_adapters:
        return out
    dtype = out.dtype
    for name in layer.active_adapters:
        if name in layer.lora_A:
            down, up = layer.lora_A[name], layer.lora_B[name]
            out = out + up(down(x.to(down.weight.dtype))) * layer.scaling[name]
    return out.to(dtype)


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
        self.heads = base(attention.q_proj).weight.shape[0] // self.size
        self.key_heads = base(attention.k_proj).weight.shape[0] // self.size
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
