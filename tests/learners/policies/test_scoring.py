"""Log-probabilities of given completions."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learners.policies import scoring
from learners.policies.prefixes import common
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


SEQUENCES = st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=12)


@given(SEQUENCES, st.integers(8, 30))
def test_trees_hold_every_sequence_once_within_their_size(sequences: list[list[int]], limit: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scoring, "_TOKENS", limit)
        found = scoring.trees(sequences)
    assert sorted(index for tree in found for index in tree) == list(range(len(sequences)))
    for tree in found:
        nodes = {
            tuple(sequences[index][:end]) for index in tree for end in range(1, len(sequences[index]) + 1)
        }
        assert len(nodes) <= limit


@given(st.lists(st.integers(0, 2), max_size=12), st.lists(st.integers(0, 2), max_size=12))
def test_what_sequences_have_in_common(one: list[int], other: list[int]) -> None:
    length = common(one, other)
    assert one[:length] == other[:length]
    assert length == min(len(one), len(other)) or one[length] != other[length]
    assert common(tuple(one), other) == length


def test_equal_answers_and_equal_beginnings_have_the_scores_of_single_ones(tiny: TransformersPolicy) -> None:
    groups = [((3, 4, 5), [(6, 7), (6, 7), (6, 8, 9)]), ((3, 4), [(5, 6)]), ((3, 4, 5, 6), [(7,)])]
    scores = tiny.score(groups)
    row = 0
    for prompt, completions in groups:
        for ids in completions:
            alone = tiny.score([(prompt, [ids])])
            assert torch.allclose(scores.logprobs[row, : len(ids)], alone.logprobs[0], atol=1e-5)
            row += 1
