"""Weights that are shared out over processes train as whole ones do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from learners.policies import transformers
from tests.learners.language_models import weights
from tests.learners.test_processes import finished, launched


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        ("float32", {}),
        ("float32", {"minibatches": 3, "epochs": 2, "micro_tokens": 20, "kl": "k3_loss"}),
        ("bfloat16", {"correction": "truncate"}),
        # In one part, which `constants` passes through without a gradient.
        ("float32", {"correction": "truncate", "minibatches": 3, "micro_tokens": 20, "layers": 0}),
    ],
)
def test_updates_are_those_of_whole_weights(llm_folder: Path, dtype: str, options: dict[str, Any]) -> None:
    words = ("-m", "tests.learners.sharded", str(llm_folder), dtype, json.dumps(options))
    for told in json.loads(finished(launched(*words)).splitlines()[-1]):
        own, all_of_them = told["kept"]
        assert own < 0.6 * all_of_them
        assert told["moved"] > 1e-2
        assert told["norms"][0] == pytest.approx(told["norms"][1], rel=1e-3 if dtype == "float32" else 0.05)
        # AdamW takes the sign of gradients that are rounding alone.
        assert told["apart"] < (1e-3 if dtype == "float32" else 0.3)
        assert (told["saved"], told["read"], told["went on"]) == (0, 0, 0)
        assert told["sampled"][0] == told["sampled"][1]
        assert told["parted"]
        assert told["empty"] == [[2, 0], [2, 0]]


def test_a_run_goes_on_and_its_policy_is_an_ordinary_one(
    llm_folder: Path, llm_problems: str, sandbox: Any, tmp_path: Path
) -> None:
    words = [
        *("--policy", "transformers", "--model", str(llm_folder), "--dtype", "float32", "--lora", "0"),
        *("--shard", "--threads", "1", "--runs", str(tmp_path), "--sandbox", sandbox.tier, "--heldout", ""),
        *("--domain", "python", "--goalposts", llm_problems, "--goalpost-samples", "1", "--episodes", "5"),
        *("--goalpost-rate", "0.5", "--attempts", "2", "--lifts", "0", "--max-tokens", "16", "--lr", "1e-3"),
        *("--train-on", "both", "--entropy-coef", "0.1", "--kl", "k3_loss", "--correction", "truncate"),
        *("--weights", "by_role", "--checkpoint-every", "1"),
    ]
    run = ("-m", "learners.reinforcepp", *words)
    finished(launched(*run, "--updates", "3", "--name", "through"))
    finished(launched(*run, "--updates", "2", "--name", "cut"))
    finished(launched(*run, "--updates", "3", "--name", "cut", "--resume", "auto"))
    for folder in ("policy", "policy-teacher"):
        one, other = (weights(tmp_path / name / folder) for name in ("through", "cut"))
        assert one.keys() == other.keys() == weights(llm_folder).keys()
        assert all((one[name] == other[name]).all() for name in one)
        assert not all((one[name] == start).all() for name, start in weights(llm_folder).items())
    assert transformers.load(tmp_path / "through" / "policy", threads=1).version == 3
    words[words.index("by_role")] = "shared"
    launcher = launched("-m", "learners.grpo", *words, "--updates", "1", "--name", "other")
    _, said = launcher.communicate(timeout=120)
    assert "--shard: expected learners.reinforcepp" in said


def test_one_process_and_an_adapter_are_refused(llm_folder: Path) -> None:
    with pytest.raises(ValueError, match="expected shard in several processes of learners.reinforcepp"):
        transformers.load(llm_folder, shard=True)
    with pytest.raises(ValueError, match="expected lora to be 0 with shard"):
        transformers.load(llm_folder, lora=4, shard=True)
