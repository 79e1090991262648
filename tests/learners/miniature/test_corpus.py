"""Pretraining examples: right, and free of what tasks are made from."""

from __future__ import annotations

import random

import pytest

from learners.miniature import corpus, pools, style, world
from learners.miniature.tokenizer import Tokenizer

TOKENIZER = Tokenizer()


@pytest.fixture(scope="module")
def texts() -> list[str]:
    stream = corpus.Corpus(TOKENIZER, world.BROAD, world.BROAD, pools.reserved(), random.Random(5))
    return [TOKENIZER.decode(stream.draw().ids) for _ in range(3000)]


def programs_in(text: str) -> list[str]:
    """Every program a text holds."""
    found = []
    for piece in text.split(world.HEAD)[1:]:
        body, tail, _ = piece.partition(world.TAIL)
        found.append(world.HEAD + body + tail)
    return found


def test_no_reserved_behaviour_is_ever_shown(texts):
    reserved = pools.reserved()
    for text in texts:
        for source in programs_in(text):
            assert world.programs()[world.recognise(source)] not in reserved


def test_answers_are_right(texts):
    checked = set()
    for text in texts:
        if text.startswith("examples"):
            shown, _, source = text.partition(style.PROGRAM)
            program = world.recognise(source)
            for line in shown.split("\n")[1:]:
                left, _, right = line.partition(" ->")
                assert world.apply(program, style.read_ints(left)) == style.read_ints(right)
            checked.add("induction")
        elif text.startswith("def"):
            source, first, rest = text.partition(
                "\ninput" if "\noutput" in text.partition("\ninput")[2] else "\noutput"
            )
            middle = "\noutput" if first == "\ninput" else "\ninput"
            one, _, two = rest.partition(middle)
            x, y = (one, two) if first == "\ninput" else (two, one)
            assert world.apply(world.recognise(source), style.read_ints(x)) == style.read_ints(y)
            checked.add("deduction" if first == "\ninput" else "abduction")
    assert checked == {"induction", "deduction", "abduction"}


def test_variants_change_what_their_axis_says(texts):
    for text in texts:
        if not text.startswith(("lemma", "lift")):
            continue
        given, answer = map(world.recognise, programs_in(text))
        if text.partition("\n")[0].endswith("io"):
            assert answer == given
        elif text.startswith("lemma"):
            assert len(answer) <= len(given)
        else:
            assert len(answer) == min(len(given) + 1, world.MAX_DEPTH)


def test_only_answers_weigh_fully():
    stream = corpus.Corpus(TOKENIZER, world.BROAD, world.BROAD, (), random.Random(6))
    for _ in range(300):
        example = stream.draw()
        assert len(example.ids) == len(example.weights)
        assert example.ids[-1] == TOKENIZER.end
        assert example.weights[0] == 0
        full = [i for i, weight in enumerate(example.weights) if weight == corpus.PROGRAM]
        text = TOKENIZER.decode(example.ids)
        if text.startswith("examples"):
            assert TOKENIZER.decode([example.ids[i] for i in full]) == text.partition(style.PROGRAM)[2]


def test_a_seed_fixes_the_stream():
    one, again, other = (
        corpus.Corpus(TOKENIZER, world.BROAD, world.BROAD, (), random.Random(seed)) for seed in (1, 1, 2)
    )
    first = [one.draw() for _ in range(20)]
    assert first == [again.draw() for _ in range(20)]
    assert first != [other.draw() for _ in range(20)]
