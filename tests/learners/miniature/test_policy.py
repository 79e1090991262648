"""The policy: sampling, scoring alone and scoring packed agree; weights come back; draws are reproducible."""

from __future__ import annotations

import random

import pytest
import torch
from safetensors.torch import load_file

from gasp_env.policies import Sampling
from learners import miniature
from learners.miniature import style, world
from learners.miniature.miniature_policy import WEIGHTS, MiniaturePolicy
from learners.miniature.model import Shape
from learners.miniature.tokenizer import Tokenizer
from learners.policies import TrainablePolicy


@pytest.fixture(scope="module")
def policy() -> TrainablePolicy:
    """Untrained, with weights that make every part of the model matter."""
    torch.manual_seed(0)
    fresh = MiniaturePolicy.fresh(Shape(width=32, layers=2, heads=2, hidden=64), Tokenizer())
    with torch.no_grad():
        for parameter in fresh.module.parameters():
            if parameter.ndim == 2:
                parameter.normal_(std=0.1)
    return fresh


@pytest.fixture(scope="module")
def prompts() -> list[str]:
    rng, found = random.Random(0), []
    for program in rng.sample(sorted(world.programs()), 12):
        inputs = world.USUAL.draw(program, 4, rng) or [[1, 2, 3]] * 4
        outputs = [world.apply(program, x) for x in inputs]
        found += [
            style.induction_prompt(inputs, outputs),
            style.lemma_prompt(world.text(program), "f"),
            style.deduction_prompt(world.text(program), inputs[0]),
        ]
    return found


def draw(policy, prompts, samples, seed=0, **sampling):
    return policy.generate(prompts, samples, Sampling(seed=seed, **sampling))


@pytest.mark.parametrize("temperature", [1.0, 0.7])
def test_sampling_and_both_ways_of_scoring_agree(policy, prompts, temperature):
    samples = [1 + (7 * i) % 20 for i in range(len(prompts))]
    drawn = draw(policy, prompts, samples, temperature=temperature, max_tokens=18)
    assert [len(group) for group in drawn] == samples
    groups = [(group[0].prompt_ids, [c.ids for c in group]) for group in drawn]
    alone = [(prompt, [ids]) for prompt, completions in groups for ids in completions]
    packed, unpacked = policy.score(groups, temperature), policy.score(alone, temperature)

    flat = [completion for group in drawn for completion in group]
    assert {c.stop for c in flat} == {"stop", "length"}
    assert packed.logprobs.shape == packed.mask.shape == (len(flat), max(len(c.ids) for c in flat))
    torch.testing.assert_close(packed.logprobs, unpacked.logprobs, atol=1e-4, rtol=0)
    torch.testing.assert_close(packed.entropy, unpacked.entropy, atol=1e-4, rtol=0)
    for row, completion in enumerate(flat):
        length = len(completion.ids)
        sampled = torch.tensor(completion.logprobs)
        torch.testing.assert_close(packed.logprobs[row, :length].detach(), sampled, atol=1e-4, rtol=0)
        assert packed.mask[row].tolist() == [1.0] * length + [0.0] * (packed.mask.shape[1] - length)
        assert packed.logprobs[row, length:].abs().sum() == 0


def test_scores_are_what_one_plain_forward_pass_says(policy, prompts):
    prompt = policy.tokenizer.encode(prompts[0])
    completion = [*policy.tokenizer.encode(world.text((0, 3))), policy.tokenizer.end]
    ids = torch.tensor([prompt + completion])
    segment, offset = policy.module.places(ids)
    bias = torch.full((ids.shape[1], ids.shape[1]), -torch.inf).triu(1)
    logits = policy.module.logits(policy.module(ids, segment, offset, bias))[0, len(prompt) - 1 : -1]
    expected = torch.log_softmax(logits, -1)[torch.arange(len(completion)), torch.tensor(completion)]
    torch.testing.assert_close(
        policy.score([(prompt, [completion])]).logprobs[0], expected, atol=1e-5, rtol=0
    )


def test_entropy_and_logprobs_carry_gradients_to_every_weight(policy, prompts):
    encode = policy.tokenizer.encode
    groups = [(encode(prompts[0]), [encode(world.text((0,))), encode(world.text((1, 2)))])]
    policy.module.zero_grad()
    scores = policy.score(groups)
    (scores.logprobs.sum() + scores.entropy.sum()).backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in policy.module.parameters())
    policy.module.zero_grad()


def test_what_is_scored_together_does_not_matter(policy, prompts):
    drawn = draw(policy, prompts, [3] * len(prompts), max_tokens=12)
    groups = [(group[0].prompt_ids, [c.ids for c in group]) for group in drawn]
    whole, width = policy.score(groups).logprobs, 0
    for at, group in enumerate(groups):
        part = policy.score([group]).logprobs
        width = part.shape[1]
        torch.testing.assert_close(part, whole[3 * at : 3 * at + 3, :width], atol=1e-4, rtol=0)


def test_without_a_seed_the_policys_own_stream_goes_on(policy, prompts):
    def stream(between=lambda: None):
        policy.generator.manual_seed(3)
        first = draw(policy, prompts[:5], [4] * 5, seed=None, max_tokens=12)
        between()
        return first, draw(policy, prompts[:5], [4] * 5, seed=None, max_tokens=12)

    first, second = stream()
    assert first != second
    assert stream(lambda: draw(policy, prompts[:5], [4] * 5, seed=9)) == (first, second)
    assert draw(policy, prompts[:5], [4] * 5, seed=3, max_tokens=12) == first


@pytest.mark.parametrize("sampling", [{"temperature": 0.0}, {"top_p": 0.9}])
def test_sampling_it_cannot_do_is_refused(policy, prompts, sampling):
    with pytest.raises(ValueError, match="expected a temperature above 0 and top_p 1"):
        draw(policy, prompts[:1], [1], **sampling)


def test_the_generator_decides_the_draws(policy, prompts):
    one, again, other = (draw(policy, prompts[:5], [4] * 5, seed=seed, max_tokens=12) for seed in (1, 1, 2))
    assert one == again
    assert one != other


def test_draws_follow_the_distribution(policy, prompts):
    """First tokens of many samples come as often as the model says."""
    drawn = draw(policy, prompts[:1], [4000], max_tokens=1)[0]
    assert all(c.stop == "stop" if c.ids[0] == policy.tokenizer.end else c.stop == "length" for c in drawn)
    vocabulary = range(len(policy.tokenizer))
    with torch.no_grad():
        scores = policy.score([(policy.tokenizer.encode(prompts[0]), [[token] for token in vocabulary])])
    expected = scores.logprobs[:, 0].exp()
    assert float(expected.sum()) == pytest.approx(1, abs=1e-4)
    counts = torch.bincount(torch.tensor([c.ids[0] for c in drawn]), minlength=len(vocabulary)) / 4000
    assert float((counts - expected).abs().max()) < 0.03


def test_text_has_no_end_token_and_matches_the_ids(policy, prompts):
    for group in draw(policy, prompts, [2] * len(prompts), max_tokens=20):
        for completion in group:
            assert completion.text == policy.tokenizer.decode(completion.ids)
            assert (completion.ids[-1] == policy.tokenizer.end) == (completion.stop == "stop")


def test_more_rows_than_one_batch_holds(policy, prompts):
    drawn = draw(policy, prompts[:3], [1500, 1500, 10], max_tokens=2)
    assert [len(group) for group in drawn] == [1500, 1500, 10]


def test_nothing_to_sample_or_score(policy):
    assert draw(policy, [], []) == []
    assert policy.score([]).logprobs.shape == (0, 0)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 0.0), (torch.float16, 1e-3)])
def test_weights_come_back(policy, tmp_path, dtype, tolerance):
    policy.version = 7
    policy.save(tmp_path, dtype)
    assert {tensor.dtype for tensor in load_file(tmp_path / WEIGHTS).values()} == {dtype}
    back = MiniaturePolicy.read(tmp_path)
    assert back.version == 7
    for ours, theirs in zip(policy.module.parameters(), back.module.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, atol=tolerance, rtol=1e-3 if tolerance else 0)


def test_weights_of_another_shape_are_refused(policy, tmp_path):
    policy.save(tmp_path)
    other = MiniaturePolicy.fresh(Shape(width=16, layers=1, heads=2, hidden=32), Tokenizer())
    with pytest.raises(ValueError, match="expected a model with shape"):
        other.load(tmp_path)


def test_the_shipped_policy_loads_and_writes_programs():
    shipped = miniature.policy()
    assert 1_000_000 <= sum(p.numel() for p in shipped.module.parameters()) <= 2_000_000
    prompt = miniature.domain.style.goalpost(miniature.heldout()[0])
    [group] = draw(shipped, [prompt], [8], max_tokens=40)
    assert sum(world.recognise(c.text) is not None for c in group) >= 6
