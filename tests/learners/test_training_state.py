"""Checkpoints: complete, exact, refused when settings differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from learners import training_state
from learners.players import Player
from learners.training_state import CheckpointError, State


def player(policy: Any, optimizer: torch.optim.Optimizer, name: str = "") -> Player:
    return Player(name, policy, optimizer, frozenset({"solver"}))


class Weights:
    """The two verbs a checkpoint needs of a policy."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        self.module = torch.nn.Linear(3, 2)

    def save(self, directory: Path) -> None:
        save_file(self.module.state_dict(), directory / "weights.safetensors")

    def load(self, directory: Path) -> None:
        self.module.load_state_dict(load_file(directory / "weights.safetensors"))


def train(policy: Weights, optimizer: torch.optim.Optimizer, generator: torch.Generator) -> None:
    optimizer.zero_grad()
    policy.module(torch.randn(4, 3, generator=generator)).square().mean().backward()
    optimizer.step()


@pytest.mark.parametrize("make", [torch.optim.AdamW, lambda p, lr: torch.optim.SGD(p, lr, momentum=0.9)])
def test_training_goes_on_exactly(tmp_path, make):
    policy, generator = Weights(0), torch.Generator().manual_seed(5)
    optimizer = make(policy.module.parameters(), lr=0.1)
    for _ in range(3):
        train(policy, optimizer, generator)
    state = State(3, "abc", {"library": ["x"]}, {"sampling": generator.get_state()})
    path = training_state.save(tmp_path, [player(policy, optimizer)], state)
    for _ in range(3):
        train(policy, optimizer, generator)

    other = Weights(1)
    other_optimizer = make(other.module.parameters(), lr=0.7)
    loaded = training_state.load(path, [player(other, other_optimizer)], "abc")
    assert (loaded.step, loaded.data) == (3, {"library": ["x"]})
    generator = torch.Generator()
    generator.set_state(loaded.generators["sampling"])
    for _ in range(3):
        train(other, other_optimizer, generator)
    for ours, theirs in zip(policy.module.parameters(), other.module.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_keeps_the_newest_and_leaves_no_drafts(tmp_path):
    policy = Weights(0)
    optimizer = torch.optim.AdamW(policy.module.parameters())
    for step in (1, 2, 10, 10):
        training_state.save(
            tmp_path / "checkpoints",
            [player(policy, optimizer)],
            State(step, "", {}, {"g": torch.zeros(1)}),
            keep=2,
        )
    assert {p.name for p in (tmp_path / "checkpoints").iterdir()} == {"000002", "000010"}
    newest = training_state.find("auto", tmp_path)
    assert newest == tmp_path / "checkpoints" / "000010"
    assert training_state.find(str(tmp_path), tmp_path / "elsewhere") == newest
    assert training_state.find(str(newest), tmp_path / "elsewhere") == newest
    assert training_state.find("auto", tmp_path / "nothing") is None


def test_refusals_say_what_to_do(tmp_path):
    policy = Weights(0)
    optimizer = torch.optim.AdamW(policy.module.parameters())
    path = training_state.save(
        tmp_path, [player(policy, optimizer)], State(1, "abc", {}, {"g": torch.zeros(1)})
    )
    with pytest.raises(CheckpointError, match=r"manifest\.json"):
        training_state.load(path, [player(policy, optimizer)], "other")
    with pytest.raises(CheckpointError, match="none"):
        training_state.load(tmp_path / "000007", [player(policy, optimizer)], "abc")
    with pytest.raises(CheckpointError, match="neither"):
        training_state.find(str(tmp_path / "nowhere"), tmp_path)


def test_config_hash_changes_with_a_setting():
    assert training_state.config_hash({"a": 1, "b": 2}) == training_state.config_hash({"b": 2, "a": 1})
    assert training_state.config_hash({"a": 1}) != training_state.config_hash({"a": 2})


def test_a_cut_checkpoint_is_passed_over(tmp_path):
    policy = Weights(0)
    optimizer = torch.optim.AdamW(policy.module.parameters())
    for step in (1, 2):
        training_state.save(
            tmp_path / "checkpoints", [player(policy, optimizer)], State(step, "", {}, {"g": torch.zeros(1)})
        )
    record = tmp_path / "checkpoints" / "000002" / "state.json"
    record.write_text(record.read_text()[:10])
    assert training_state.find("auto", tmp_path) == tmp_path / "checkpoints" / "000001"
    (tmp_path / "checkpoints" / "000001" / "state.json").unlink()
    with pytest.raises(CheckpointError, match="whole checkpoint"):
        training_state.find("auto", tmp_path)
