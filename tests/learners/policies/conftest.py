"""A tiny Qwen2, saved once a session, and a policy of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

pytest.importorskip("transformers")

from benchmarks import tiny_qwen2
from learners.policies import transformers
from learners.policies.transformers import TransformersPolicy


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen2.build(tmp_path_factory.mktemp("tiny-qwen2"))


@pytest.fixture
def tiny(tiny_folder: Path) -> TransformersPolicy:
    return transformers.load(tiny_folder, threads=1, dtype="float32")
