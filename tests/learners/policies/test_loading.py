"""Models from folders and GGUF files, and what cannot be read."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import Qwen2Config

from gasp_env import policies
from gasp_env.policies import Sampling
from learners.policies import loading, transformers
from tests.learners.policies import tiny_gguf


@pytest.fixture(scope="session")
def gguf_file(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gguf.write(tiny_folder, tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def test_a_gguf_file_is_dequantised_and_its_embeddings_are_tied_again(
    tiny_folder: Path, gguf_file: Path, tmp_path: Path
) -> None:
    policy = transformers.load(gguf_file, threads=1, dtype="float32")
    module, original = policy.module, transformers.load(tiny_folder, threads=1, dtype="float32").module
    assert module.config.tie_word_embeddings
    assert module.get_input_embeddings().weight is module.get_output_embeddings().weight
    assert module.num_parameters() == original.num_parameters()
    # The head is kept: eight bits, where the embedding has five.
    error = (module.lm_head.weight - original.lm_head.weight).norm() / original.lm_head.weight.norm()
    assert 0 < error < 0.01
    assert all(parameter.dtype == torch.float32 for parameter in module.parameters())
    (group,) = policy.generate(["Write f(x)."], [2], Sampling(max_tokens=5, seed=0))
    assert policy.score([(group[0].prompt_ids, [group[0].ids])]).logprobs.requires_grad
    policy.save(tmp_path)  # packed weights cannot be
    again = transformers.load(tmp_path, threads=1, dtype="float32")
    assert again.generate(["Write f(x)."], [2], Sampling(max_tokens=5, seed=0)) == [group]


def test_the_tokenizer_of_a_gguf_file_is_that_of_the_folder(tiny_folder: Path, gguf_file: Path) -> None:
    theirs = transformers.load(gguf_file, threads=1)
    ours = transformers.load(tiny_folder, threads=1)
    text = "Write f(x): <|im_end|><think> return x + 1"
    assert theirs.chat.prompt_ids(text) == ours.chat.prompt_ids(text)
    assert theirs.chat.ends == ours.chat.ends


def test_a_head_of_its_own_is_left_alone(tiny_folder: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(0).normal(size=(512, 64)).astype(np.float32)
    policy = transformers.load(tiny_gguf.write(tiny_folder, tmp_path / "own.gguf", random), threads=1)
    assert not policy.module.config.tie_word_embeddings
    assert policy.module.get_input_embeddings().weight is not policy.module.get_output_embeddings().weight


def test_a_dequantised_file_is_kept_and_found_again(
    gguf_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sampling = Sampling(max_tokens=5, seed=0)
    first = transformers.load(gguf_file, threads=1, cache=tmp_path / "cache").generate(["x"], [2], sampling)
    (kept,) = (tmp_path / "cache").iterdir()
    assert kept.name.endswith(str(loading.best_dtype("cpu")).removeprefix("torch."))
    monkeypatch.setattr(loading, "_dequantise", None)  # is not needed any more
    again = transformers.load(gguf_file, threads=1, cache=tmp_path / "cache").generate(["x"], [2], sampling)
    assert again == first


@pytest.mark.parametrize("package", ["gguf", "accelerate"])
def test_a_package_that_gguf_needs_is_named(
    gguf_file: Path, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(ValueError, match=rf"needs the package '{package}'.*pip install \"gasp-env\[llm\]\""):
        policies.get("transformers", model=gguf_file)


def test_what_is_no_model_is_told_in_one_line(tiny_folder: Path, gguf_file: Path, tmp_path: Path) -> None:
    empty, with_gguf, broken = (tmp_path / name for name in ("empty", "with_gguf", "broken"))
    for folder in (empty, with_gguf):
        folder.mkdir()
    shutil.copy(gguf_file, with_gguf)
    shutil.copytree(tiny_folder, broken)
    (broken / "model.safetensors").write_bytes(b"none")
    for model, message in (
        (tmp_path / "nowhere", "there is no '.*nowhere'"),
        (tmp_path / "nowhere.gguf", "there is no '.*nowhere.gguf'"),
        ("model.gguf", "there is no 'model.gguf'"),
        (empty, "expected a model's folder to have a config.json, '.*empty' has none$"),
        (with_gguf, "has none; there is tiny.gguf: name that file"),
        (tiny_folder / "model.safetensors", "got the file '.*', which is none; .*name the folder"),
        (broken, "cannot be read: "),
    ):
        with pytest.raises(ValueError, match=message) as raised:
            transformers.load(model, threads=1)
        assert "\n" not in str(raised.value)


def test_a_model_that_is_no_language_model_is_refused(tiny_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_folder, tmp_path / "other")
    (tmp_path / "other" / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(ValueError, match="cannot be read: "):
        transformers.load(tmp_path / "other", threads=1)


def test_code_of_a_repository_does_not_run_unasked(tiny_folder: Path, tmp_path: Path) -> None:
    folder = tmp_path / "custom"
    shutil.copytree(tiny_folder, folder)
    Qwen2Config(
        auto_map={"AutoConfig": "custom.Config", "AutoModelForCausalLM": "custom.Model"}
    ).save_pretrained(folder)
    described = (folder / "config.json").read_text().replace('"qwen2"', '"unheard_of"')
    (folder / "config.json").write_text(described)
    (folder / "custom.py").write_text(
        f"open({str(tmp_path / 'ran')!r}, 'w')\nclass Config: pass\nclass Model: pass\n"
    )
    with pytest.raises(ValueError, match="has Python code of its own, .*--trust-remote-code"):
        transformers.load(folder, threads=1)
    assert not (tmp_path / "ran").exists()


def test_weights_that_are_pickled_code_do_not_run(tiny_folder: Path, tmp_path: Path) -> None:
    class Hostile:
        def __reduce__(self) -> Any:
            return (open, (str(tmp_path / "ran"), "w"))

    folder = tmp_path / "pickled"
    shutil.copytree(tiny_folder, folder)
    (folder / "model.safetensors").unlink()
    torch.save({"model.norm.weight": Hostile()}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="cannot be read: "):
        transformers.load(folder, threads=1)
    assert not (tmp_path / "ran").exists()


def test_bfloat16_where_the_processor_multiplies_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for capabilities, expected in (
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"amx_bf16": True, "avx512_bf16": False}, torch.bfloat16),
        ({"avx2": True}, torch.float32),
    ):
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found, raising=False)
        assert loading.best_dtype("cpu") is expected


def test_cores_are_those_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)
    assert loading.cores() == 3
