"""Words: lossless on their own text, clear about any other."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from learners.miniature import world
from learners.miniature.tokenizer import END, PAD, VOCABULARY, Tokenizer, UnknownTextError

TOKENIZER = Tokenizer()
WORDS = [word for word in VOCABULARY if word not in (PAD, END)]


@given(st.lists(st.sampled_from(WORDS), max_size=40))
def test_any_text_of_words_survives(words):
    text = "".join(words)
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_the_vocabulary_is_small_and_without_repeats():
    assert len(TOKENIZER) == len(set(VOCABULARY)) <= 320


def test_every_program_is_words_and_short():
    lengths = [len(TOKENIZER.encode(world.text(program))) for program in world.programs()]
    assert max(lengths) <= 24


def test_numbers_are_single_tokens_and_never_halves_of_longer_ones():
    assert len(TOKENIZER.encode(" 12 -99 7")) == 3
    with pytest.raises(UnknownTextError, match="' 123"):
        TOKENIZER.encode(" 1 123")


@pytest.mark.parametrize("text", ["def g(x):", "x = 1", "import os", " 3\r\n", " 100", "é"])
def test_other_text_is_refused_with_its_place(text):
    with pytest.raises(UnknownTextError, match="at character"):
        TOKENIZER.encode(text)


def test_words_can_spell_programs_that_are_malformed():
    rng = random.Random(0)
    text = "def f(x):" + "".join(rng.choice(WORDS) for _ in range(5))
    assert TOKENIZER.decode(TOKENIZER.encode(text)) == text


def test_end_and_pad_spell_nothing_and_values_are_known():
    assert TOKENIZER.decode([TOKENIZER.end, TOKENIZER.pad]) == ""
    values = TOKENIZER.values()
    assert values[TOKENIZER.encode(" -7")[0]] == -7
    assert values[TOKENIZER.end] is None
