"""Language models play whole episodes: a tiny one that knows nothing, and a real one where it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.policies import Sampling
from gasp_env.sandbox import Sandbox
from learners.policies.transformers import TransformersPolicy, load
from learners.rollout import play

#: A folder or a GGUF file of a real coder model, such as Qwen2.5-Coder-0.5B-Instruct.
LLM = os.environ.get("GASP_LLM", "")
GAMES = {"GASP-Code-v0": {}, "AZR-Code-v0": {"curriculum": "azr"}, "RLVR-Code-v0": {"goalpost_rate": 1.0}}


@pytest.mark.docker
@pytest.mark.parametrize("game", GAMES)
def test_a_tiny_model_plays(game: str, tiny: TransformersPolicy, sandbox: Sandbox) -> None:
    envs = GaspCodeVectorEnv(num_envs=3, attempts=2, sandbox=sandbox, **GAMES[game])  # type: ignore[arg-type]
    envs.reset(seed=0)
    rollout = play(envs, tiny, Sampling(max_tokens=12, seed=0))
    envs.close()
    assert {record.verdict for record in rollout.records} <= {"cut_off", "malformed", "no_program"}
    assert all(record.completion_ids and record.logprobs for record in rollout.records)
    assert all(record.reward is not None for record in rollout.records)


@pytest.mark.docker
def test_a_tiny_model_is_watched(tiny_folder: Path, sandbox: Sandbox) -> None:
    words = ["--policy", "transformers", "--model", str(tiny_folder), "--max-tokens", "8", "--seed", "1"]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "gasp_env.play", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "── turn 0 · teacher_0 · lemma" in done.stdout


@pytest.mark.docker
@pytest.mark.skipif(not LLM, reason="GASP_LLM names no model")
def test_a_real_model_plays(sandbox: Sandbox) -> None:
    """Two episodes of the guided game and two problems; most of the texts can be read."""
    policy = load(LLM)
    envs = GaspCodeVectorEnv(num_envs=2, attempts=2, sandbox=sandbox)
    envs.reset(seed=0)
    rollout = play(envs, policy, Sampling(max_tokens=320, seed=0))
    envs.close()
    assert all(record.reward is not None for record in rollout.records)
    assert any(len(record.completion_ids) > 20 for record in rollout.records)
    envs = GaspCodeVectorEnv(num_envs=2, attempts=1, goalpost_rate=1.0, sandbox=sandbox)
    envs.reset(seed=0)
    rollout = play(envs, policy, Sampling(temperature=0.0, max_tokens=320, seed=0))
    envs.close()
    assert not any(record.verdict == "malformed" for record in rollout.records)
