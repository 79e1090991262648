"""Checkpoints: complete, exact, refused when settings differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from learners import training_state
from learners.optimizers import adamw
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

    def parameters(self) -> list[torch.nn.Parameter]:
        return list(self.module.parameters())

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
    newest = tmp_path / "checkpoints" / "000002"
    for name in ("state.json", "optimizer.safetensors", "policy/weights.safetensors", "random.safetensors"):
        whole = (newest / name).read_bytes()
        (newest / name).write_bytes(whole[:10])
        assert training_state.find("auto", tmp_path) == tmp_path / "checkpoints" / "000001"
        with pytest.raises(CheckpointError, match="000002, found one with a file that is cut"):
            training_state.load(newest, [player(policy, optimizer)], "")
        (newest / name).write_bytes(whole)
    assert training_state.find("auto", tmp_path) == newest
    (newest / "optimizer.safetensors").unlink()
    (tmp_path / "checkpoints" / "000001" / "state.json").unlink()
    with pytest.raises(CheckpointError, match="whole checkpoint"):
        training_state.find("auto", tmp_path)


def test_a_step_that_is_saved_already_is_not_written_again(tmp_path):
    policy = Weights(0)
    optimizer = torch.optim.AdamW(policy.module.parameters())
    state = State(1, "", {}, {"g": torch.zeros(1)})
    path = training_state.save(tmp_path, [player(policy, optimizer)], state)
    before = (path / "state.json").stat().st_ino
    (tmp_path / ".000099.123").mkdir()  # of a process that was killed
    assert training_state.save(tmp_path, [player(policy, optimizer)], state) == path
    assert (path / "state.json").stat().st_ino == before
    (path / "optimizer.safetensors").write_bytes(b"")
    training_state.save(tmp_path, [player(policy, optimizer)], state)
    assert training_state.find(str(path), tmp_path) == path
    assert [one.name for one in tmp_path.iterdir()] == ["000001"]


def test_what_came_after_is_forgotten_where_a_run_goes_on_earlier(tmp_path):
    policy = Weights(0)
    optimizer = torch.optim.AdamW(policy.module.parameters())
    for step in (4, 5, 6):
        training_state.save(
            tmp_path, [player(policy, optimizer)], State(step, "", {}, {"g": torch.zeros(1)}), keep=3
        )
    training_state.forget_after(tmp_path, 4)
    assert [one.name for one in training_state.steps(tmp_path)] == ["000004"]


def test_moments_of_weights_of_another_type_are_refused(tmp_path):
    policy = Weights(0)
    optimizer = torch.optim.AdamW(policy.module.parameters())
    half = Weights(0)
    half.module.bfloat16()
    half_optimizer = adamw(list(half.module.parameters()), 0.1)
    for name, (saved, other) in {
        "a": ((policy, optimizer), (half, half_optimizer)),
        "b": ((half, half_optimizer), (policy, optimizer)),
    }.items():
        path = training_state.save(tmp_path / name, [player(*saved)], State(1, "", {}, {"g": torch.zeros(1)}))
        with pytest.raises(CheckpointError, match="--dtype"):
            training_state.load(path, [player(*other)], "")
