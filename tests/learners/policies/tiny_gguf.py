"""Write a model of the tests as a GGUF file, quantised as the published ones are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from gguf.quants import quantize
from transformers import AutoModelForCausalLM, AutoTokenizer

_NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_Type = gguf.GGMLQuantizationType


def write(folder: Path, path: Path, head: np.ndarray | None = None) -> Path:
    """Write the model of a folder: embedding in Q5_0, head and matrices in Q8_0, the rest in float32.

    Args:
        folder: of a Qwen2 with tied embeddings.
        path: of the file.
        head: its weights; by default those of the embedding, so that the file holds two copies.
    """
    model: Any = AutoModelForCausalLM.from_pretrained(folder)
    config = model.config
    writer = gguf.GGUFWriter(path, "qwen2")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    _tokenizer(writer, folder, config)
    tensors = {name: tensor.float().numpy() for name, tensor in model.state_dict().items()}
    embedding = tensors.pop("lm_head.weight")
    tensors["output.weight"] = embedding if head is None else head
    for name, array in tensors.items():
        kind = _Type.F32 if array.ndim == 1 else _Type.Q5_0 if "embed_tokens" in name else _Type.Q8_0
        writer.add_tensor(_name(name), quantize(array, kind), raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def _tokenizer(writer: gguf.GGUFWriter, folder: Path, config: Any) -> None:
    tokenizer: Any = AutoTokenizer.from_pretrained(folder)
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    added = tokenizer.added_tokens_decoder
    kinds = [
        gguf.TokenType.NORMAL
        if id_ not in added
        else gguf.TokenType.CONTROL
        if added[id_].special
        else gguf.TokenType.USER_DEFINED
        for id_ in range(len(tokenizer))
    ]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokenizer.convert_ids_to_tokens(range(len(tokenizer))))
    writer.add_token_types(kinds)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
    writer.add_eos_token_id(config.eos_token_id)
    writer.add_bos_token_id(config.bos_token_id)
    writer.add_pad_token_id(config.bos_token_id)
    writer.add_add_bos_token(False)
    writer.add_chat_template(tokenizer.chat_template)


def _name(name: str) -> str:
    for theirs, ours in _NAMES.items():
        name = name.replace(theirs, ours)
    return name.replace("model.layers.", "blk.")
