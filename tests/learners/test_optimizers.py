"""AdamW of weights in a lower precision."""

from __future__ import annotations

from pathlib import Path

import torch

from learners.optimizers import MasterAdamW, adamw
from learners.training_state import _flatten, _restore


def weights(dtype: torch.dtype) -> list[torch.nn.Parameter]:
    generator = torch.Generator().manual_seed(0)
    return [torch.nn.Parameter(torch.randn(4, 3, generator=generator).bfloat16().to(dtype)) for _ in range(2)]


def train(parameters: list[torch.nn.Parameter], optimizer: torch.optim.Optimizer, steps: int) -> None:
    generator = torch.Generator().manual_seed(1)
    for _ in range(steps):
        optimizer.zero_grad()
        for one in parameters:
            one.grad = torch.randn(one.shape, generator=generator).bfloat16().to(one.dtype)
        optimizer.step()


def test_float32_weights_need_no_copies() -> None:
    assert type(adamw(weights(torch.float32), 0.1)) is torch.optim.AdamW


def test_steps_are_those_of_float32() -> None:
    exact, rounded = weights(torch.float32), weights(torch.bfloat16)
    train(exact, adamw(exact, 1e-4), 50)
    train(rounded, adamw(rounded, 1e-4), 50)
    for one, other in zip(exact, rounded, strict=True):
        assert other.dtype == torch.bfloat16
        assert torch.equal(one.bfloat16(), other)


def test_small_steps_are_not_lost() -> None:
    plain, kept = weights(torch.bfloat16), weights(torch.bfloat16)
    before = [one.detach().clone() for one in plain]
    for parameters, optimizer in (
        (plain, torch.optim.AdamW(plain, 1e-5, weight_decay=0.0)),
        (kept, adamw(kept, 1e-5)),
    ):
        for _ in range(1000):
            for one in parameters:
                one.grad = torch.ones_like(one)
            optimizer.step()
    large = [one.abs() > 0.5 for one in before]
    assert all(torch.equal(one[of], was[of]) for one, was, of in zip(plain, before, large, strict=True))
    assert all((one[of] < was[of]).all() for one, was, of in zip(kept, before, large, strict=True))


def test_it_goes_on_exactly(tmp_path: Path) -> None:
    whole = weights(torch.bfloat16)
    train(whole, optimizer := adamw(whole, 1e-3), 3)
    tensors, settings = _flatten(optimizer)
    tensors = {name: tensor.clone() for name, tensor in tensors.items()}
    train(whole, optimizer, 3)

    other = [torch.nn.Parameter(torch.zeros_like(one)) for one in whole]
    again = adamw(other, 0.5)
    assert isinstance(again, MasterAdamW)
    _restore(again, tensors, settings)
    train(other, again, 3)
    for one, two in zip(whole, other, strict=True):
        assert torch.equal(one, two)
