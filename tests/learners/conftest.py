"""What tests of the learners share: settings of hypothesis, and a tiny language model that has been taught answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings

from benchmarks import tiny_qwen2
from gasp_env import goalposts
from gasp_env.envs.vector import GaspCodeVectorEnv
from learners.policies import transformers
from tests.learners.language_models import ANSWERS

# Property tests here call torch, whose first call is slow: no deadline per example.
settings.register_profile("learners", deadline=None)
settings.load_profile("learners")


@pytest.fixture(scope="session")
def llm_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_qwen2.build(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def llm_problems(llm_folder: Path) -> str:
    """A file of goalposts that the first of `ANSWERS` solves."""
    file = llm_folder / "goalposts.jsonl"
    records = [
        {
            "id": name,
            "statement": f"Return the number {name} x.",
            "signature": "def f(x: int) -> int",
            "tests": [{"input": str(n), "output": str(n + 1)} for n in range(4)],
        }
        for name in ("after", "behind", "next to")
    ]
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    return str(file)


@pytest.fixture(scope="session")
def llm_taught(llm_folder: Path, llm_problems: str) -> Path:
    """Weights that give each of the answers about as often as the others."""
    policy = transformers.load(llm_folder, threads=1, dtype="float32")
    envs = GaspCodeVectorEnv(3, goalposts=goalposts.load(llm_problems), goalpost_rate=1.0)
    envs.reset(seed=0)
    prompts = {turn.prompt for turn in envs.turns if turn is not None}
    end = policy.tokenizer.eos_token_id
    answers = [(*policy.chat.text_ids(text), end) for text in ANSWERS]
    groups = [(policy.chat.prompt_ids(prompt), answers) for prompt in sorted(prompts)]
    optimizer = torch.optim.AdamW(policy.parameters(), lr=2e-3, weight_decay=0.0)
    for _ in range(150):
        scores = policy.score(groups)
        optimizer.zero_grad()
        (-scores.logprobs.sum() / scores.mask.sum()).backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()
    policy.save(llm_folder / "taught")
    return llm_folder / "taught"


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
