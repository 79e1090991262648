"""LoRA adapters: sampled as they are scored, several on one base, stored alone."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from gasp_env.policies import Completion, Sampling
from learners.policies import adapters, transformers
from learners.policies.transformers import TransformersPolicy

PROMPTS = ["Write f(x) that doubles x.", "What does f(3) return?"]
SAMPLING = Sampling(max_tokens=20, seed=1)


@pytest.fixture
def adapted(tiny_folder: Path) -> TransformersPolicy:
    """A policy whose adapter is not zero."""
    policy = transformers.load(tiny_folder, threads=1, dtype="float32", lora=4)
    disturb(policy, 0)
    return policy


def disturb(policy: TransformersPolicy, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in policy.parameters():
            one += 0.1 * torch.randn(one.shape, generator=generator)


def drawn(policy: TransformersPolicy) -> list[Completion]:
    return [one for group in policy.generate(PROMPTS, [2, 2], SAMPLING) for one in group]


def ids(policy: TransformersPolicy) -> list[tuple[int, ...]]:
    return [one.ids for one in drawn(policy)]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_new_adapter_changes_nothing(tiny_folder: Path, dtype: transformers.loading.DType) -> None:
    plain = transformers.load(tiny_folder, threads=1, dtype=dtype)
    fresh = transformers.load(tiny_folder, threads=1, dtype=dtype, lora=2)
    assert ids(fresh) == ids(plain)
    assert fresh._decoder() is not None
    assert {one.dtype for one in fresh.parameters()} == {getattr(torch, dtype)}


def test_log_probabilities_are_those_of_the_adapted_model(
    adapted: TransformersPolicy, tiny: TransformersPolicy
) -> None:
    assert ids(adapted) != ids(tiny)
    for one in drawn(adapted):
        with torch.no_grad():
            logits = adapted.module(torch.tensor([one.prompt_ids + one.ids])).logits[0]
        expected = torch.log_softmax(logits[len(one.prompt_ids) - 1 : -1], dim=-1)
        chosen = expected[torch.arange(len(one.ids)), list(one.ids)]
        assert one.logprobs == pytest.approx(chosen.tolist(), abs=1e-5)
        scores = adapted.score([(one.prompt_ids, [one.ids])])
        assert scores.logprobs[0].tolist() == pytest.approx(chosen.tolist(), abs=1e-5)


def test_only_the_adapter_trains(adapted: TransformersPolicy) -> None:
    names = {id(one): name for name, one in adapted.module.named_parameters()}
    assert all(".lora_" in names[id(one)] for one in adapted.parameters())
    assert len(adapted.parameters()) == 2 * 7 * len(adapted.module.model.layers)
    scores = adapted.score([(adapted.chat.prompt_ids("x"), [[1, 2, 3]])])
    scores.logprobs.sum().backward()  # type: ignore[no-untyped-call]
    assert all(one.grad is not None for one in adapted.parameters())
    trained = {id(one) for one in adapted.parameters()}
    assert all(one.grad is None for one in adapted.module.parameters() if id(one) not in trained)


def test_forks_share_the_base_and_go_their_own_ways(adapted: TransformersPolicy) -> None:
    before = ids(adapted)
    twin = adapted.fork("teacher")
    assert twin.module is adapted.module
    assert ids(twin) == before
    disturb(twin, 1)
    assert ids(twin) != before
    assert ids(adapted) == before
    assert not {id(one) for one in twin.parameters()} & {id(one) for one in adapted.parameters()}
    assert twin._decoder() is adapted._decoder(), "its arrangement of the base's weights is kept"
    scores = adapted.score([(adapted.chat.prompt_ids("x"), [[1, 2, 3]])])
    scores.logprobs.sum().backward()  # type: ignore[no-untyped-call]
    assert all(one.grad is None for one in twin.parameters())


def test_a_fork_without_adapters_is_a_model_of_its_own(tiny: TransformersPolicy) -> None:
    before = ids(tiny)
    twin = tiny.fork("teacher")
    assert ids(twin) == before
    disturb(twin, 1)
    assert ids(twin) != before
    assert ids(tiny) == before


def test_an_adapter_is_stored_alone_and_read_again(adapted: TransformersPolicy, tmp_path: Path) -> None:
    adapted.version = 3
    other = adapted.fork("teacher")
    disturb(other, 1)
    adapted.save(tmp_path / "a")
    stored = load_file(tmp_path / "a" / adapters.WEIGHTS)
    assert sum(one.numel() for one in stored.values()) == sum(one.numel() for one in adapted.parameters())
    again = transformers.load(tmp_path / "a", threads=1, dtype="float32")
    assert again.version == 3
    assert ids(again) == ids(adapted)
    assert ids(other) != ids(adapted)
    other.load(tmp_path / "a")
    assert ids(other) == ids(adapted)
    assert other.version == 3


def test_an_adapter_of_another_rank_is_refused(
    adapted: TransformersPolicy, tiny_folder: Path, tmp_path: Path
) -> None:
    adapted.save(tmp_path)
    other = transformers.load(tiny_folder, threads=1, lora=8)
    with pytest.raises(ValueError, match="adapter of rank 8"):
        other.load(tmp_path)
    with pytest.raises(ValueError, match="rank of the adapter in .*, 4, got 8"):
        transformers.load(tmp_path, threads=1, lora=8)
    with pytest.raises(ValueError, match="rank of the adapter in .*, 4, got 0"):
        transformers.load(tmp_path, threads=1, lora=0)
    with pytest.raises(ValueError, match="at least 1"):
        transformers.load(tiny_folder, lora=-1)


def test_what_is_wrong_with_a_folder_is_said(adapted: TransformersPolicy, tmp_path: Path) -> None:
    adapted.save(tmp_path)
    told = (tmp_path / "policy.json").read_text()
    (tmp_path / "policy.json").write_text(told.replace(str(adapted.base), "/tmp/gone"))
    with pytest.raises(ValueError, match=r"was trained on '/tmp/gone' \(policy.json says so"):
        transformers.load(tmp_path, threads=1)
    (tmp_path / "policy.json").write_text(told[:10])
    with pytest.raises(ValueError, match="policy.json: expected what"):
        transformers.load(tmp_path, threads=1)
    (tmp_path / "policy.json").write_text(told)
    (tmp_path / adapters.WEIGHTS).write_bytes(b"cut")
    with pytest.raises(ValueError, match="adapter_model.safetensors: expected the weights"):
        transformers.load(tmp_path, threads=1)


def test_a_folder_may_be_named_from_home(
    adapted: TransformersPolicy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    adapted.save(tmp_path / "mine")
    assert ids(transformers.load("~/mine", threads=1, dtype="float32")) == ids(adapted)


def test_adapters_of_another_kind_are_left_to_the_library(tiny: TransformersPolicy) -> None:
    from peft import LoraConfig

    tiny.module.add_adapter(LoraConfig(r=2, use_dora=True, target_modules="all-linear"))
    assert tiny._decoder() is None
