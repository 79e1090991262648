"""Pretraining runs, in one process and in two, and its optimiser does what it is named for."""

from __future__ import annotations

import json

import pytest
import torch

from learners.miniature import pretrain
from learners.miniature.miniature_policy import MiniaturePolicy
from learners.miniature.muon import Muon, orthogonalise


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_of_seconds_writes_both_models_and_its_record(tmp_path, processes):
    settings = pretrain.Settings(
        out=tmp_path, minutes=0.02, narrow_steps=2, batch=8, micro=4, processes=processes
    )
    pretrain.main(settings)
    record = json.loads((tmp_path / "pretrain.json").read_text())
    assert record["updates"] >= 3
    assert record["parameters"] > 1_000_000
    assert record["tokens"] > 0
    broad, buried = (MiniaturePolicy.read(tmp_path / name) for name in ("broad", "buried"))
    pairs = zip(broad.module.parameters(), buried.module.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


def test_narrowing_can_start_from_a_stored_model(tmp_path):
    pretrain.main(pretrain.Settings(out=tmp_path / "a", minutes=0.01, narrow_steps=0, batch=8, micro=8))
    pretrain.main(
        pretrain.Settings(
            out=tmp_path / "b", start=tmp_path / "a" / "broad", narrow_steps=1, batch=8, micro=8
        )
    )
    one, other = (
        MiniaturePolicy.read(tmp_path / "a" / "broad"),
        MiniaturePolicy.read(tmp_path / "b" / "broad"),
    )
    for a, b in zip(one.module.parameters(), other.module.parameters(), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("shape", [(3, 16, 16), (2, 8, 32), (2, 32, 8)])
def test_orthogonalising_brings_singular_values_near_one(shape):
    torch.manual_seed(0)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
    assert values.shape == (shape[0], 8 if 8 in shape else 16)
    assert float(values.max()) < 1.3
    assert float(values.median()) > 0.6


def test_muon_steps_like_torchs():
    """The same update as `torch.optim.Muon`, which rounds to half precision on the way."""
    torch.manual_seed(0)
    start = torch.randn(12, 20)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    one = Muon([ours], lr=0.01, weight_decay=0.1)
    other = torch.optim.Muon([theirs], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    for _ in range(3):
        gradient = torch.randn(12, 20)
        for parameter, optimiser in ((ours, one), (theirs, other)):
            parameter.grad = gradient.clone()
            optimiser.step()
    torch.testing.assert_close(ours, theirs, atol=3e-3, rtol=0)
    assert float((ours - start).detach().abs().max()) > 0.01
