"""What tests of the learners share: settings of hypothesis, and a tiny language model that has been taught answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from benchmarks import tiny_qwen2

# Property tests here call torch, whose first call is slow: no deadline per example.
settings.register_profile("learners", deadline=None)
settings.load_profile("learners")


@pytest.fixture(scope="session")
def llm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen2.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def llm_problems(llm_folder: Path) -> str:
    """A file of goalposts that the first of `tiny_qwen2.ANSWERS` solves."""
    return str(tiny_qwen2.problems(llm_folder / "goalposts.jsonl"))


@pytest.fixture(scope="session")
def llm_taught(llm_folder: Path, llm_problems: str) -> Path:
    """Weights that give each of the answers about as often as the others."""
    return tiny_qwen2.teach(llm_folder, Path(llm_problems), llm_folder / "taught")


@pytest.fixture
def llm_options(llm_folder: Path, llm_problems: str, sandbox: Any, tmp_path: Path) -> dict[str, Any]:
    return {
        "policy": "transformers",
        "policy_options": {"": {"model": llm_folder, "dtype": "float32"}},
        "goalposts": llm_problems,
        "domain": "python",
        "heldout": "",
        "goalpost_samples": 0,
        "goalpost_rate": 1.0,
        "runs": tmp_path,
        "name": "run",
        "sandbox": sandbox.tier,
        "threads": 1,
        "episodes": 3,
        "attempts": 8,
        "updates": 20,
        "max_tokens": 64,
        "minibatches": 1,
        "lr": 1e-3,
        "track": (),
        "checkpoint_every": 20,
    }
