"""Log-probabilities of given completions."""

from __future__ import annotations

import pytest
import torch

from learners.policies import scoring
from learners.policies.transformers import TransformersPolicy

GROUPS = [((3, 4, 5), [(6,), (7, 8, 9, 10)]), ((11,), []), ((12, 13), [(14, 15), (), (16, 17, 18)])]


def expected(policy: TransformersPolicy, temperature: float) -> list[tuple[torch.Tensor, torch.Tensor]]:
    values = []
    for prompt, completions in GROUPS:
        for ids in completions:
            logits = policy.module(torch.tensor([[*prompt, *ids]])).logits[0]
            logprobs = torch.log_softmax(logits / temperature, -1)[
                len(prompt) - 1 : len(prompt) - 1 + len(ids)
            ]
            chosen = logprobs[torch.arange(len(ids)), torch.tensor(ids, dtype=torch.long)]
            values.append((chosen, -(logprobs.exp() * logprobs).sum(-1)))
    return values


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_scores_and_gradients_are_those_of_single_sequences(
    tiny: TransformersPolicy, monkeypatch: pytest.MonkeyPatch, temperature: float, known: bool
) -> None:
    monkeypatch.setattr(scoring, "_TOKENS", 9)
    monkeypatch.setattr(scoring, "_POSITIONS", 3)
    if not known:
        monkeypatch.setattr("learners.policies.architectures.unknown", lambda module: "unknown")
    scores = tiny.score(GROUPS, temperature)
    assert scores.logprobs.shape == scores.entropy.shape == scores.mask.shape == (5, 4)
    assert scores.mask.sum(1).tolist() == [1, 4, 2, 0, 3]
    wanted = expected(tiny, temperature)
    for row, (logprobs, entropy) in enumerate(wanted):
        assert torch.allclose(scores.logprobs[row, : len(logprobs)], logprobs, atol=1e-5)
        assert torch.allclose(scores.entropy[row, : len(logprobs)], entropy, atol=1e-5)
        assert not scores.logprobs[row, len(logprobs) :].any()
        assert not scores.entropy[row, len(logprobs) :].any()
    parameters = [
        parameter
        for name, parameter in tiny.module.named_parameters()
        if "embed" in name or "up_proj" in name
    ]
    ours = torch.autograd.grad((scores.logprobs.sum() + scores.entropy.sum()), parameters)
    theirs = torch.autograd.grad(sum(one.sum() + other.sum() for one, other in wanted), parameters)
    for one, other in zip(ours, theirs, strict=True):
        assert torch.allclose(one, other, atol=1e-4, rtol=1e-4)


def test_nothing_to_score(tiny: TransformersPolicy) -> None:
    assert tiny.score([]).mask.shape == (0, 0)
    assert tiny.score([((1,), [()])]).logprobs.shape == (1, 0)
