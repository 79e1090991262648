"""The clipped surrogate by hand, and the gradient of every KL estimator against the exact one."""

from __future__ import annotations

import pytest
import torch

from learners.losses import k3, kl_loss, policy_loss, truncated_weights


def surrogate(ratio: float, advantage: float, **options) -> float:
    logprobs = torch.tensor([[ratio]], dtype=torch.float64).log()
    mask = torch.ones(1, 1, dtype=torch.bool)
    return -policy_loss(logprobs, torch.zeros(1, 1), torch.tensor([[advantage]]), mask, **options).loss.item()


@pytest.mark.parametrize(
    ("ratio", "advantage", "expected"),
    [
        (1.0, 2.0, 2.0),
        (1.1, 2.0, 2.2),
        (1.5, 2.0, 1.28 * 2),  # too likely already: cut at 1 + clip_high
        (0.5, 2.0, 0.5 * 2),  # became unlikely although good: not cut
        (0.5, -2.0, 0.8 * -2),  # unlikely already: cut at 1 - clip_low
        (1.5, -2.0, 1.5 * -2),
        (9.0, -2.0, 3.0 * -2),  # dual clip
    ],
)
def test_clipping_by_hand(ratio, advantage, expected):
    assert surrogate(ratio, advantage) == pytest.approx(expected)


def test_sides_and_dual_clip_are_options():
    assert surrogate(1.5, 2.0, clip_high=0.2) == pytest.approx(2.4)
    assert surrogate(0.5, -2.0, clip_low=0.4) == pytest.approx(-1.2)
    assert surrogate(9.0, -2.0, dual_clip=None) == pytest.approx(-18)
    assert surrogate(1e30, 2.0) == pytest.approx(2.56)  # the log-ratio is clamped, nothing overflows


def test_nothing_is_read_under_the_mask():
    mask = torch.tensor([[True, False], [True, True], [False, False]])
    logprobs = torch.full((3, 2), -1.0, dtype=torch.float64)
    behaviour, advantages = torch.full_like(logprobs, -1.2), torch.ones_like(logprobs)
    nan = torch.tensor(float("nan"), dtype=torch.float64)

    def run(poison: bool):
        args = [torch.where(mask, x, nan) if poison else x for x in (logprobs, behaviour, advantages)]
        leaf = args[0].clone().requires_grad_()
        loss = policy_loss(leaf, args[1], args[2], mask).loss
        kl = kl_loss(leaf, args[1], args[1], mask, "k2_loss") + kl_loss(
            leaf, args[1], args[1], mask, "k3_loss"
        )
        (loss.sum() + kl.sum()).backward()
        return loss.detach(), kl.detach(), leaf.grad

    for clean, dirty in zip(run(False), run(True), strict=True):
        assert torch.equal(clean, dirty)
        assert not dirty[~mask].any()


@pytest.fixture
def categorical():
    """Logits of a policy and log-probabilities of a start model over six actions."""
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(6, generator=generator, dtype=torch.float64).requires_grad_()
    start = torch.randn(6, generator=generator, dtype=torch.float64).log_softmax(0)
    return logits, start


def gradient(value: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    return torch.autograd.grad(value, logits, retain_graph=True)[0]


def expected(per_action: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
    """Gradient of what a learner minimises: actions drawn from the policy, the drawing not differentiated."""
    return gradient((logits.softmax(0).detach() * per_action).sum(), logits)


def test_gradient_of_each_estimator_is_what_the_docstring_says(categorical):
    logits, start = categorical
    logp = logits.log_softmax(0)
    mask = torch.ones(6, 1, dtype=torch.bool)
    column = (logp[:, None], start[:, None], logp.detach()[:, None], mask)
    exact = gradient((logp.exp() * (logp - start)).sum(), logits)
    forward = gradient((start.exp() * (start - logp)).sum(), logits)

    k1_in_reward = expected((logp - start).detach() * logp, logits)
    torch.testing.assert_close(k1_in_reward, exact)
    torch.testing.assert_close(expected(kl_loss(*column, "k2_loss")[:, 0], logits), exact)
    torch.testing.assert_close(expected(kl_loss(*column, "k3_loss")[:, 0], logits), exact)
    torch.testing.assert_close(expected(k3(logp - start), logits), forward)
    torch.testing.assert_close(expected(logp - start, logits), torch.zeros_like(exact), atol=1e-12, rtol=0)
    assert not torch.allclose(exact, forward, atol=1e-2)


def test_k3_estimates_the_divergence(categorical):
    logits, start = categorical
    logp = logits.detach().log_softmax(0)
    exact = (logp.exp() * (logp - start)).sum()
    torch.testing.assert_close((logp.exp() * k3(logp - start)).sum(), exact)


def test_kl_kind_is_checked():
    one = torch.zeros(1, 1)
    with pytest.raises(ValueError, match="k2_loss"):
        kl_loss(one, one, one, one.bool(), "none")


def test_weights_for_the_gap_between_engines():
    trained = torch.tensor([[0.2, 0.9, 0.5, 0.4]], dtype=torch.float64).log().requires_grad_()
    sampled = torch.tensor([[0.4, 0.1, 0.5, float("nan")]], dtype=torch.float64).log()
    mask = torch.tensor([[True, True, True, False]])
    found = truncated_weights(trained, sampled, mask, 2.0)
    torch.testing.assert_close(found, torch.tensor([[0.5, 2.0, 1.0, 0.0]], dtype=torch.float64))
    assert not found.requires_grad
