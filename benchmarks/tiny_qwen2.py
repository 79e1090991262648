"""Build a tiny Qwen2 with a tokenizer of its own, for tests, and for benchmarks where no real weights are at hand.

    python -m benchmarks.tiny_qwen2 FOLDER

The weights are random: it writes no sentence, but everything around it is as with the real one. The tokenizer is
a byte-level BPE trained on our goalposts, with Qwen's special tokens and chat template.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from gasp_env import goalposts
from gasp_env.envs.vector import GaspCodeVectorEnv
from learners.policies import loading, transformers

#: As in Qwen2.5 and Qwen3: the second line's are added tokens that are not marked special.
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
ADDED = ("<tool_call>", "</tool_call>", "<think>", "</think>")
TEMPLATE = """\
{%- if messages[0].role == 'system' %}
{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
{%- else %}
{{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages if message.role != 'system' %}
{{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|im_start|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}
{{- '<think>\\n\\n</think>\\n\\n' }}
{%- endif %}
{%- endif %}"""
#: Words as Qwen's tokenizer cuts them, the forms of contractions left out.
_WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def build(
    folder: Path, layers: int = 2, width: int = 64, vocabulary: int = 512, seed: int = 0, head: int = 16
) -> Path:
    """Write model, tokenizer and configuration; returns the folder.

    Args:
        folder: to write to.
        layers: of the model.
        width: of its hidden states, a multiple of twice ``head``.
        vocabulary: tokens, at least 300.
        seed: of the weights.
        head: width of an attention head, two of which share a key. vLLM wants 32 or more.
    """
    from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

    make: Any = PreTrainedTokenizerFast
    tokenizer = make(
        tokenizer_object=_tokenizer(vocabulary),
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>"],
    )
    tokenizer.chat_template = TEMPLATE
    ids = {token: tokenizer.convert_tokens_to_ids(token) for token in SPECIAL}
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=width // head,
        num_key_value_heads=width // (2 * head),
        max_position_embeddings=8192,
        tie_word_embeddings=True,
        initializer_range=0.1,
        bos_token_id=ids["<|endoftext|>"],
        eos_token_id=ids["<|im_end|>"],
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model: Any = Qwen2ForCausalLM(config)
        for layer in model.model.layers:  # zeros otherwise, which would hide a bias that is left out
            for part in (layer.self_attn.q_proj, layer.self_attn.k_proj, layer.self_attn.v_proj):
                torch.nn.init.normal_(part.bias, std=0.5)
    model.generation_config.eos_token_id = ids["<|im_end|>"]
    # Qwen's own files ask for it. It would make the tokens of `generate` differ from those of the model.
    model.generation_config.repetition_penalty = 1.1
    loading.write(model, tokenizer, folder)
    return folder


#: Answers that `teach` teaches: the first solves every goalpost of `problems`, the second is a wrong program.
ANSWERS = (
    "```python\ndef f(x):\n    return x + 1\n```",
    "```python\ndef f(x):\n    return x\n```",
    "I cannot.",
)


def problems(file: Path) -> Path:
    """Write three goalposts that one program solves; returns the file."""
    records = [
        {
            "id": name,
            "statement": f"Return the number {name} x.",
            "signature": "def f(x: int) -> int",
            "tests": [{"input": str(n), "output": str(n + 1)} for n in range(4)],
        }
        for name in ("after", "behind", "next to")
    ]
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return file


def teach(folder: Path, file: Path, out: Path) -> Path:
    """Write weights that give each of `ANSWERS` about as often as the others; returns their folder.

    Supervised, 150 steps on the prompts for goalposts. So a learner has something to choose from.

    Args:
        folder: of the model to begin with.
        file: of the goalposts.
        out: to write to.
    """
    policy = transformers.load(folder, threads=1, dtype="float32")
    envs = GaspCodeVectorEnv(3, goalposts=goalposts.load(str(file)), goalpost_rate=1.0)
    envs.reset(seed=0)
    prompts = {turn.prompt for turn in envs.turns if turn is not None}
    end = policy.tokenizer.eos_token_id
    answers = [(*policy.chat.text_ids(text), end) for text in ANSWERS]
    groups = [(policy.chat.prompt_ids(prompt), answers) for prompt in sorted(prompts)]
    optimizer = torch.optim.AdamW(policy.parameters(), lr=2e-3, weight_decay=0.0)
    for _ in range(150):
        scores = policy.score(groups)
        optimizer.zero_grad()
        (-scores.logprobs.sum() / scores.mask.sum()).backward()
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
    policy.save(out)
    return out


def _tokenizer(vocabulary: int) -> Any:
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(SPECIAL) - len(ADDED),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(token, special=False, normalized=False) for token in ADDED])
    return tokenizer


def _texts() -> Iterator[str]:
    for goalpost in goalposts.builtin_goalposts():
        yield from goalpost.statement.splitlines(keepends=True)
        yield from (goalpost.reference or "").splitlines(keepends=True)


def main() -> None:
    """Build one."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tiny_qwen2", description=build.__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--vocabulary", type=int, default=512)
    parser.add_argument("--head", type=int, default=16)
    options = parser.parse_args()
    print(build(options.folder, options.layers, options.width, options.vocabulary, head=options.head))


if __name__ == "__main__":
    main()
