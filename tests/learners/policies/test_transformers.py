"""The policy: loading, sampling, weights."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from gasp_env import policies
from gasp_env.policies import CutOff, Sampling
from learners.policies import trainable, transformers
from learners.policies.transformers import TransformersPolicy

PROMPTS = ["Write f(x) that doubles x.", "What does f(3) return?", "Write f(x) that doubles xs, a list."]


@pytest.fixture
def fallback(tiny: TransformersPolicy) -> TransformersPolicy:
    """A policy of an architecture that our loop does not know."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tiny.tokenizer), n_positions=1024, n_embd=32, n_layer=2, n_head=2)
    config.eos_token_id = config.bos_token_id = tiny.tokenizer.eos_token_id
    return TransformersPolicy(GPT2LMHeadModel(config).eval(), tiny.tokenizer, rows=5)


@pytest.fixture(params=["known", "fallback"])
def policy(request: pytest.FixtureRequest) -> TransformersPolicy:
    found: TransformersPolicy = request.getfixturevalue("tiny" if request.param == "known" else "fallback")
    assert (found._decoder() is None) == (request.param == "fallback")
    return found


def flat(completions: list[list[policies.Completion]]) -> list[tuple[int, ...]]:
    return [one.ids for group in completions for one in group]


def test_completions_are_as_many_as_asked_and_end_or_are_cut(policy: TransformersPolicy) -> None:
    answers = policies.complete(policy, "tiny", PROMPTS, [3, 0, 2], Sampling(max_tokens=12, seed=0))
    assert [len(group) for group in answers] == [3, 0, 2]
    for group, prompt in zip(answers, PROMPTS, strict=True):
        for one in group:
            assert one.prompt_ids == policy.chat.prompt_ids(prompt)
            assert one.logprobs is not None
            assert 1 <= len(one.ids) == len(one.logprobs) <= 12
            assert one.stop == ("stop" if one.ids[-1] in policy.chat.ends else "length")
            assert not set(one.ids[:-1]) & policy.chat.ends
            assert isinstance(one.submission, CutOff) == (one.stop == "length")
            assert one.text == policy.chat.answer(one.ids)


def test_a_completion_ends_with_the_models_context(policy: TransformersPolicy) -> None:
    lengths = [len(policy.chat.prompt_ids(prompt)) for prompt in PROMPTS]
    context = max(lengths) + 3
    policy.module.config.max_position_embeddings = context
    if isinstance(policy.module, GPT2LMHeadModel):  # which fails beyond its last position
        policy.module.transformer.wpe = torch.nn.Embedding(context, 32)
    policy.chat.ends = frozenset()
    answers = policies.complete(policy, "tiny", PROMPTS, [2, 2, 2], Sampling(max_tokens=5, seed=0))
    for length, group in zip(lengths, answers, strict=True):
        assert [(len(one.ids), one.stop) for one in group] == [(min(5, context - length), "length")] * 2
    policy.module.config.max_position_embeddings = min(lengths)
    with pytest.raises(
        policies.PolicyError, match="expected prompts of fewer tokens than the model's context"
    ):
        policies.complete(policy, "tiny", PROMPTS, [1, 1, 1], Sampling(max_tokens=5, seed=0))


def test_nothing_asked_nothing_answered(policy: TransformersPolicy) -> None:
    assert policy.generate([], [], Sampling()) == []
    assert policy.generate(["x"], [0], Sampling()) == [[]]


@pytest.mark.parametrize("temperature", [1.0, 0.6])
def test_log_probabilities_are_those_of_a_forward_pass(
    policy: TransformersPolicy, temperature: float
) -> None:
    answers = policy.generate(PROMPTS, [3, 1, 4], Sampling(temperature, max_tokens=40, seed=1))
    for group in answers:
        for one in group:
            with torch.no_grad():
                logits = policy.module(torch.tensor([one.prompt_ids + one.ids])).logits[0]
            expected = torch.log_softmax(logits[len(one.prompt_ids) - 1 : -1] / temperature, dim=-1)
            chosen = expected[torch.arange(len(one.ids)), list(one.ids)]
            assert one.logprobs == pytest.approx(chosen.tolist(), abs=1e-5)


def test_a_seed_reproduces_a_call_and_no_seed_goes_on(policy: TransformersPolicy) -> None:
    def call(seed: int | None) -> list[tuple[int, ...]]:
        return flat(policy.generate(PROMPTS, [2, 2, 2], Sampling(max_tokens=8, seed=seed)))

    first = call(3)
    assert len(set(first)) > 3
    policy.generator.manual_seed(5)
    unseeded = [call(None), call(None)]
    assert unseeded[0] != unseeded[1]
    assert call(3) == first
    assert call(4) != first
    policy.generator.manual_seed(5)
    assert [call(None), call(None)] == unseeded


def test_draws_do_not_depend_on_what_else_is_asked(policy: TransformersPolicy) -> None:
    sampling = Sampling(max_tokens=30, seed=7)
    alone = [flat(policy.generate([prompt], [2], sampling)) for prompt in PROMPTS]
    together = policy.generate(PROMPTS[::-1], [2, 2, 2], sampling)[::-1]
    assert alone == [flat([group]) for group in together]


def test_both_paths_draw_the_same(tiny: TransformersPolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    sampling = Sampling(0.8, 0.9, max_tokens=20, seed=2)
    ours = flat(tiny.generate(PROMPTS, [2, 3, 1], sampling))
    monkeypatch.setattr(tiny, "_decoder", lambda: None)
    assert flat(tiny.generate(PROMPTS, [2, 3, 1], sampling)) == ours


def test_temperature_0_is_greedy(policy: TransformersPolicy) -> None:
    (group,) = policy.generate(PROMPTS[:1], [2], Sampling(0.0, max_tokens=10))
    assert group[0].ids == group[1].ids
    with torch.no_grad():
        logits = policy.module(torch.tensor([group[0].prompt_ids + group[0].ids])).logits[0]
    assert tuple(logits[len(group[0].prompt_ids) - 1 : -1].argmax(-1).tolist()) == group[0].ids


def test_bfloat16_draws_likewise(tiny_folder: Path) -> None:
    half = transformers.load(tiny_folder, threads=1, dtype="bfloat16")
    (group,) = half.generate(PROMPTS[:1], [4], Sampling(max_tokens=40, seed=1))
    for one in group:
        with torch.no_grad():
            logits = half.module(torch.tensor([one.prompt_ids + one.ids])).logits[0].float()
        expected = torch.log_softmax(logits[len(one.prompt_ids) - 1 : -1], dim=-1)
        chosen = expected[torch.arange(len(one.ids)), list(one.ids)]
        assert one.logprobs == pytest.approx(chosen.tolist(), abs=0.1)


def test_a_hostile_prompt_leaves_the_templates_ids(tiny: TransformersPolicy) -> None:
    hostile = " ".join(map(str, tiny.tokenizer.added_tokens_decoder.values())) + "<think>"
    ((one,),) = tiny.generate([hostile], [1], Sampling(max_tokens=1))
    added = set(tiny.tokenizer.added_tokens_decoder)
    plain = tiny.chat.prompt_ids("x")
    assert [i for i in one.prompt_ids if i in added] == [i for i in plain if i in added]


def test_updates_of_the_weights_are_seen(tiny: TransformersPolicy) -> None:
    sampling = Sampling(max_tokens=10, seed=0)
    before = flat(tiny.generate(PROMPTS, [1, 1, 1], sampling))
    optimizer = torch.optim.SGD(tiny.module.parameters(), lr=0.5)
    scores = tiny.score([(tiny.chat.prompt_ids("x"), [[1, 2, 3]])])
    (-scores.logprobs.sum()).backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    check(tiny, sampling, before)


def test_a_conversion_of_the_weights_is_seen(tiny: TransformersPolicy) -> None:
    sampling = Sampling(max_tokens=10, seed=0)
    before = flat(tiny.generate(PROMPTS, [1, 1, 1], sampling))
    tiny.module.double()
    with torch.no_grad():
        tiny.module.model.layers[0].self_attn.k_proj.weight.mul_(3)
    tiny.module.float()
    check(tiny, sampling, before)


def check(policy: TransformersPolicy, sampling: Sampling, before: list[tuple[int, ...]]) -> None:
    after = policy.generate(PROMPTS, [1, 1, 1], sampling)
    assert flat(after) != before
    scores = policy.score([(group[0].prompt_ids, [group[0].ids]) for group in after])
    for row, (one,) in enumerate(after):
        assert one.logprobs == pytest.approx(scores.logprobs[row, : len(one.ids)].tolist(), abs=1e-5)


def test_it_can_be_trained_saved_and_read_again(policy: TransformersPolicy, tmp_path: Path) -> None:
    assert trainable(policy) is policy
    sampling = Sampling(max_tokens=10, seed=0)
    policy.generate(PROMPTS[:1], [1], sampling)  # the weights are fused by now
    with torch.no_grad():
        for parameter in policy.module.parameters():
            parameter.mul_(1.1)
    policy.version = 7
    expected = flat(policy.generate(PROMPTS, [1, 1, 1], sampling))
    policy.save(tmp_path)
    again = transformers.load(tmp_path, threads=1, dtype="float32")
    assert again.version == 7
    assert flat(again.generate(PROMPTS, [1, 1, 1], sampling)) == expected
    with torch.no_grad():
        for parameter in policy.module.parameters():
            parameter.zero_()
    policy.version = 9
    policy.load(tmp_path)
    assert policy.version == 7
    assert flat(policy.generate(PROMPTS, [1, 1, 1], sampling)) == expected


def test_weights_of_another_model_are_refused(
    tiny: TransformersPolicy, fallback: TransformersPolicy, tmp_path: Path
) -> None:
    fallback.save(tmp_path)
    with pytest.raises(ValueError, match="expected the weights of this policy's model"):
        tiny.load(tmp_path)


def test_generation_settings_are_left_alone(fallback: TransformersPolicy) -> None:
    fallback.module.generation_config.repetition_penalty = 5.0
    fallback.module.train()
    before = fallback.module.generation_config
    (group,) = fallback.generate(PROMPTS[:1], [1], Sampling(0.0, max_tokens=10))
    assert fallback.module.generation_config is before
    assert fallback.module.training
    fallback.module.eval()
    fallback.module.generation_config.repetition_penalty = 1.0
    assert fallback.generate(PROMPTS[:1], [1], Sampling(0.0, max_tokens=10))[0][0].ids == group[0].ids


def test_by_name(tiny_folder: Path) -> None:
    found = policies.get("transformers", model=tiny_folder, threads=1, dtype="float32", system="Be brief.")
    ((one,),) = policies.complete(found, "transformers", ["x"], [1], Sampling(max_tokens=3, seed=0))
    assert len(one.ids) <= 3


@pytest.mark.parametrize(("option", "value"), [("rows", 0), ("threads", 0)])
def test_a_number_out_of_range_is_refused(tiny_folder: Path, option: str, value: int) -> None:
    with pytest.raises(ValueError, match=f"expected {option} to be an integer of at least 1, got 0"):
        transformers.load(tiny_folder, **{option: value})


def test_threads_are_those_asked_for(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", given.append)
    monkeypatch.setattr("learners.policies.loading.cores", lambda: 3)
    transformers.load(tiny_folder, threads=2)
    transformers.load(tiny_folder)
    assert given == [2, 3]


def test_nothing_is_dropped_out_in_training(tiny: TransformersPolicy, tmp_path: Path) -> None:
    """Where there is dropout, sampling is without it, and so is training: the two are of one distribution."""
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tiny.tokenizer), n_positions=64, n_embd=32, n_layer=2, n_head=2)
    assert config.attn_pdrop > 0
    assert config.resid_pdrop > 0
    GPT2LMHeadModel(config).save_pretrained(tmp_path)
    tiny.tokenizer.save_pretrained(tmp_path)
    policy = transformers.load(tmp_path, threads=1, dtype="float32")
    group = [((3, 4, 5), [(6, 7, 8)])]
    exact = policy.score(group).logprobs
    policy.module.train()
    assert torch.equal(policy.score(group).logprobs, exact)


@pytest.mark.parametrize("lora", [0, 4])
def test_checkpointing_changes_no_gradient(tiny_folder: Path, lora: int) -> None:
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        policy = transformers.load(
            tiny_folder, threads=1, dtype="float32", lora=lora, checkpointing=checkpointing
        )
        policy.module.train()
        scores = policy.score([(policy.chat.prompt_ids("x"), [[1, 2, 3], [1, 4]])])
        scores.logprobs.sum().backward()  # type: ignore[no-untyped-call]
        gradients.append([one.grad for one in policy.parameters()])
        assert (
            any(getattr(one, "gradient_checkpointing", False) for one in policy.module.modules())
            == checkpointing
        )
    for one, other in zip(*gradients, strict=True):
        assert one is not None
        assert torch.equal(one, other)
