"""Decoding over known architectures against their own forward passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from transformers import (
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from learners.policies import attention, decoding, drawing
from learners.policies.architectures import Network, unknown
from learners.policies.decoding import beginnings

END = 1
SHAPE: dict[str, Any] = {
    "vocab_size": 150,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "pad_token_id": 0,
    "initializer_range": 0.3,
}


def qwen2(**changes: Any) -> Qwen2ForCausalLM:
    return _seeded(Qwen2ForCausalLM, Qwen2Config(**{**SHAPE, **changes}))


def llama3_rope() -> LlamaForCausalLM:
    rope = {
        "rope_type": "llama3",
        "rope_theta": 10000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 64,
    }
    return _seeded(LlamaForCausalLM, LlamaConfig(**SHAPE, rope_parameters=rope, attention_bias=True))


MODELS = {
    "qwen2": qwen2,
    "qwen2 tied": lambda: qwen2(tie_word_embeddings=True),
    "qwen2, a key for each query": lambda: qwen2(num_key_value_heads=4),
    "qwen3": lambda: _seeded(Qwen3ForCausalLM, Qwen3Config(**SHAPE, head_dim=16)),
    "llama": lambda: _seeded(LlamaForCausalLM, LlamaConfig(**SHAPE)),
    "llama 3": llama3_rope,
    "mistral": lambda: _seeded(MistralForCausalLM, MistralConfig(**SHAPE, sliding_window=None)),
}


def _seeded(kind: Any, config: Any) -> Any:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = kind(config)
        for name, parameter in module.named_parameters():
            if name.endswith("bias") or "norm" in name:
                torch.nn.init.normal_(parameter, mean=float("norm" in name), std=0.3)
    return module.eval()


def sample(
    module: Any,
    prompts: Sequence[Sequence[int]],
    samples: Sequence[int],
    limit: int,
    most: int,
    seed: int = 0,
) -> list[drawing.Row]:
    rows = drawing.rows(seed, [str(list(prompt)) for prompt in prompts], samples)
    decoding.decode(Network(module), prompts, rows, drawing.Draw(), {END}, [limit] * len(prompts), most)
    return rows


def check(module: Any, prompts: Sequence[Sequence[int]], rows: Sequence[drawing.Row], limit: int) -> None:
    """Every row ends as it must, and its log-probabilities are those of the module's forward pass."""
    for row in rows:
        assert 1 <= len(row.ids) <= limit
        assert END not in row.ids[:-1]
        assert row.ended == (row.ids[-1] == END)
        assert row.ended or len(row.ids) == limit
        prompt = list(prompts[row.prompt])
        with torch.no_grad():
            logits = module(torch.tensor([prompt + row.ids])).logits[0, len(prompt) - 1 : -1]
        expected = logits.log_softmax(-1)[torch.arange(len(row.ids)), row.ids]
        assert row.logprobs == pytest.approx(expected.tolist(), abs=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_every_known_architecture_decodes_as_it_computes(name: str) -> None:
    module = MODELS[name]()
    assert unknown(module) is None
    shared = list(range(5, 60))
    prompts = [[2, 3], [7], [*shared, 9], [*shared, 4, 4, 4], list(range(2, 40))]
    rows = sample(module, prompts, [3, 1, 2, 4, 0], 30, 6)
    check(module, prompts, rows, 30)


prompt_ids = st.lists(st.integers(2, 149), min_size=1, max_size=12)


@settings(max_examples=25)
@given(
    head=st.lists(st.integers(2, 149), min_size=0, max_size=70),
    tails=st.lists(prompt_ids, min_size=1, max_size=5),
    alone=st.lists(prompt_ids, max_size=3),
    samples=st.lists(st.integers(0, 4), min_size=8, max_size=8),
    most=st.integers(1, 9),
    limit=st.integers(1, 90),
)
def test_rows_come_and_go_without_a_trace(
    head: list[int],
    tails: list[list[int]],
    alone: list[list[int]],
    samples: list[int],
    most: int,
    limit: int,
) -> None:
    prompts = [*alone, *(head + tail for tail in tails)]
    rows = sample(SMALL, prompts, samples[: len(prompts)], limit, most)
    check(SMALL, prompts, rows, limit)


SMALL = qwen2(hidden_size=16, intermediate_size=16, vocab_size=150, initializer_range=0.2)


def test_every_row_is_chosen_once_a_step_and_no_row_after_its_end() -> None:
    prompts = [[2, 3, 4], [5, 6]]
    rows = drawing.rows(0, ["a", "b"], [3, 3])
    lengths = {id(row): length for row, length in zip(rows, [1, 5, 2, 4, 1, 3], strict=True)}
    live: list[int] = []

    def choose(logits: Tensor, given: Sequence[drawing.Row]) -> tuple[list[int], list[float]]:
        assert logits.shape == (len(given), 150)
        live.append(len(given))
        return [END if len(row.ids) + 1 == lengths[id(row)] else 9 for row in given], [0.0] * len(given)

    decoding.decode(Network(SMALL), prompts, rows, choose, {END}, [10, 10], 2)
    assert [len(row.ids) for row in rows] == [1, 5, 2, 4, 1, 3]
    assert max(live) == 2
    assert sum(live) == 16


def test_attention_on_other_devices_is_that_of_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no GPU to test on: the products that stand in for the processor's kernel are tried on the processor."""
    random = torch.Generator().manual_seed(0)
    query, key = torch.randn(3, 4, 5, 8, generator=random), torch.randn(3, 4, 7, 8, generator=random)
    value = torch.randn(3, 4, 7, 8, generator=random)
    bias = torch.zeros(3, 1, 1, 7)
    bias[1, ..., 4:] = -torch.inf
    kernel = attention.attend(query, key, value, bias, 0.4)
    grouped = attention.attend_causal(query, key[:, :2, :5], value[:, :2, :5], 0.4)
    monkeypatch.setattr(attention, "_has_kernel", lambda query: False)
    for ours, theirs in (
        (attention.attend(query, key, value, bias, 0.4), kernel),
        (attention.attend_causal(query, key[:, :2, :5], value[:, :2, :5], 0.4), grouped),
    ):
        assert torch.allclose(ours[0], theirs[0], atol=1e-5)
        assert torch.allclose(ours[1], theirs[1], atol=1e-5)
    prompts = [[2] * 40 + [3], [2] * 40 + [4, 5]]
    check(SMALL, prompts, sample(SMALL, prompts, [2, 2], 20, 3), 20)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (lambda: GPT2LMHeadModel(GPT2Config(n_embd=8, n_layer=1, n_head=1)), "GPT2LMHeadModel is not among"),
        (lambda: qwen2(use_sliding_window=True, sliding_window=8, max_window_layers=1), "sliding-window"),
        (
            lambda: MistralForCausalLM(MistralConfig(**SHAPE, sliding_window=8)),
            "sliding-window",
        ),
        (
            lambda: qwen2(rope_parameters={"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}),
            "rotary embedding is scaled by 'dynamic'",
        ),
        (lambda: _with_adapter(qwen2()), "not plain linear layers"),
        (lambda: _mixed(qwen2()), "several types"),
    ],
)
def test_what_the_loop_does_not_know_is_left_to_the_library(module: Any, reason: str) -> None:
    made = module()
    assert reason in str(unknown(made))
    assert decoding.network(made) is None
    with pytest.raises(ValueError, match=reason):
        Network(made)


def _with_adapter(module: Any) -> Any:
    class Adapted(torch.nn.Linear):
        pass

    module.model.layers[1].self_attn.v_proj = Adapted(32, 16)
    return module


def _mixed(module: Any) -> Any:
    module.model.layers[1].mlp.double()
    return module


def test_the_parameters_are_views_and_a_new_one_is_noticed() -> None:
    module = qwen2()
    expected = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    network = Network(module)
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, expected[name])
    assert network.current
    module.load_state_dict(expected)
    assert network.current
    attention = module.model.layers[1].self_attn
    attention.k_proj.bias = torch.nn.Parameter(attention.k_proj.bias.detach().clone())
    assert not network.current
    assert Network(module).current
    module.model.layers[0].mlp.up_proj.weight.data = torch.zeros(48, 32)
    assert not Network.current.fget(network)  # type: ignore[attr-defined]


@given(
    st.lists(st.lists(st.integers(0, 2), min_size=1, max_size=90), max_size=6), st.lists(st.integers(0, 2))
)
def test_beginnings_are_shared(tails: list[list[int]], head: list[int]) -> None:
    prompts = [head * 8 + tail for tail in tails]
    found = beginnings(prompts)
    assert len(found) == len(prompts)
    for prompt, beginning in zip(prompts, found, strict=True):
        assert len(beginning) < len(prompt)
        assert tuple(prompt[: len(beginning)]) == beginning
        assert not beginning or len(beginning) >= 32
        assert not beginning or found.count(beginning) > 1


def test_instructions_in_common_are_found_and_families_are_apart() -> None:
    lemma, attempt = list(range(300)), list(range(20)) + list(range(1000, 1200))
    prompts = [[*lemma, 5], [*attempt, 1], [*lemma, 6, 7], [*attempt, 2], [*lemma, 6, 8], [9] * 50]
    lengths = [len(one) for one in beginnings(prompts)]
    assert lengths == [300, 220, 300, 220, 300, 0]
