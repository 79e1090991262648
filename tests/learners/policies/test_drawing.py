"""Tokens drawn by the inverse of a distribution."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from learners.policies.drawing import Draw, Row, rows


class Fixed(Row):
    def __init__(self, number: float) -> None:
        super().__init__(0, np.random.default_rng(0))
        self.number = number

    def uniform(self) -> float:
        return self.number


def draw(rule: Draw, logits: torch.Tensor, numbers: list[float]) -> tuple[list[int], list[float]]:
    return rule(logits, [Fixed(number) for number in numbers])


@pytest.mark.parametrize("size", [1, 5, 128, 129, 1000])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7])
def test_a_grid_of_uniforms_gives_the_distribution(size: int, temperature: float) -> None:
    logits = torch.randn(1, size, generator=torch.Generator().manual_seed(size)) * 2
    count = 2000
    numbers = [(index + 0.5) / count for index in range(count)]
    tokens, logprobs = draw(Draw(temperature), logits.expand(count, -1), numbers)
    expected = torch.softmax(logits[0].double() / temperature, dim=0)
    found = torch.bincount(torch.tensor(tokens), minlength=size) / count
    assert (found - expected).abs().max() < 2 / count
    assert torch.allclose(torch.tensor(logprobs).double(), expected.log()[tokens], atol=1e-6)


def test_temperature_0_takes_the_likeliest_and_tells_its_log_probability() -> None:
    logits = torch.tensor([[0.0, 2.0, 1.0], [3.0, 3.0, 0.0]])
    tokens, logprobs = draw(Draw(0.0), logits, [0.9, 0.9])
    assert tokens == [1, 0]
    assert logprobs == pytest.approx(logits.log_softmax(1)[[0, 1], [1, 0]].tolist(), abs=1e-6)


def test_top_p_draws_from_the_fewest_tokens_that_make_up_the_share() -> None:
    logits = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()[None]
    numbers = [index / 100 for index in range(100)]
    tokens, logprobs = draw(Draw(top_p=0.6), logits.expand(100, -1), numbers)
    assert set(tokens) == {0, 1}
    assert logprobs[tokens.index(0)] == pytest.approx(np.log(0.5 / 0.8), abs=1e-6)
    assert set(draw(Draw(top_p=0.4), logits.expand(100, -1), numbers)[0]) == {0}


def test_top_p_of_a_flat_distribution_needs_many_tokens() -> None:
    logits = torch.zeros(50, 3000)
    tokens, logprobs = draw(Draw(top_p=0.5), logits, [index / 50 for index in range(50)])
    assert len(set(tokens)) == 50
    assert logprobs == pytest.approx([-np.log(1500)] * 50, abs=1e-3)


@given(
    logits=st.lists(st.floats(-200, 200), min_size=1, max_size=300),
    number=st.floats(0, 1, exclude_max=True),
    top_p=st.sampled_from([1.0, 0.9, 0.3]),
    half=st.booleans(),
)
def test_a_drawn_token_has_a_probability(
    logits: list[float], number: float, top_p: float, half: bool
) -> None:
    scores = torch.tensor([logits], dtype=torch.bfloat16 if half else torch.float32)
    (token,), (logprob,) = draw(Draw(top_p=top_p), scores, [number])
    assert 0 <= token < len(logits)
    assert -104 < logprob <= 1e-6  # float32's smallest number is above exp(-104)


def test_the_last_uniform_below_1_draws_no_impossible_token() -> None:
    logits = torch.full((1, 300), -torch.inf)
    logits[0, [3, 130]] = 0.0
    below = float(np.nextafter(1.0, 0.0))
    assert draw(Draw(), logits, [below])[0] == [130]
    assert draw(Draw(top_p=0.99), logits, [below])[0] in ([3], [130])


def test_a_stream_depends_on_seed_prompt_and_number_only() -> None:
    alone = rows(1, ["b"], [2])
    among = rows(1, ["a", "b", "c"], [3, 2, 1])
    assert [row.uniform() for row in alone] == [row.uniform() for row in among if row.prompt == 1]
    assert rows(2, ["b"], [1])[0].uniform() != rows(1, ["b"], [1])[0].uniform()


def test_samples_of_equal_prompts_differ() -> None:
    drawn = [row.uniform() for row in rows(1, ["a", "a"], [2, 2])]
    assert len(set(drawn)) == 4


def test_a_stream_goes_on_beyond_what_is_drawn_ahead() -> None:
    row, again = rows(1, ["a", "a"], [1, 1])[0], rows(1, ["a"], [1])[0]
    numbers = [row.uniform() for _ in range(200)]
    assert len(set(numbers)) == 200
    assert numbers == again.stream.random(200).tolist()
