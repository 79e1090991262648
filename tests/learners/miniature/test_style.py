"""Prompts are made of the tokenizer's words; answers are read strictly."""

from __future__ import annotations

import contextlib
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.domains.python.syntax import ParseError
from gasp_env.tasks import Task
from learners import miniature
from learners.miniature import corpus, style, world
from learners.miniature.tokenizer import Tokenizer, UnknownTextError
from tests.players import python_task, task_with

STYLE = style.MiniatureStyle()
RULES = miniature.domain.rules
TOKENIZER = Tokenizer()


def a_task(**changes) -> Task:
    program = (0, 3)
    inputs = world.USUAL.draw(program, 8, random.Random(0))
    fields = {
        "program": world.text(program),
        "inputs": tuple((x,) for x in inputs),
        "outputs": tuple(world.apply(program, x) for x in inputs),
        "shown": 4,
        "message": "",
        "fingerprint": "f",
        "stage": "lemma",
        "axis": "io",
        "goalpost": "g",
    }
    return python_task(**fields | changes)


@pytest.mark.parametrize("kind", ["induction", "deduction", "abduction"])
def test_solver_prompts_are_words_and_short(kind):
    prompt = STYLE.solve(a_task(), kind, 5)
    assert len(TOKENIZER.encode(prompt)) <= 55


def test_an_induction_prompt_shows_the_shown_pairs_and_no_hidden_one():
    task = a_task()
    prompt = STYLE.solve(task, "induction", 0)
    lines = prompt.split("\n")[1:-2]
    assert len(lines) == task.content.shown
    for line, (x,), y in zip(lines, task.content.inputs, task.content.outputs, strict=False):
        left, _, right = line.partition(" ->")
        assert (style.read_ints(left), style.read_ints(right)) == (x, y)


def test_a_goalpost_reads_like_an_induction_task():
    goalpost = miniature.heldout()[0]
    task = a_task(inputs=goalpost.inputs, outputs=goalpost.outputs, shown=goalpost.shown)
    assert STYLE.goalpost(goalpost) == STYLE.solve(task, "induction", 0)


def test_a_lemma_prompt_needs_a_reference_and_says_so():
    goalpost = miniature.heldout()[0]
    prompt = STYLE.lemma(goalpost, "reference", "f")
    assert prompt == f"lemma f\n{goalpost.reference}\nvariant\n"
    with pytest.raises(ValueError, match="sees='reference'"):
        STYLE.lemma(goalpost, "statement", "f")


@pytest.mark.parametrize("axis", ["io", "f"])
def test_a_lift_prompt_depends_on_program_and_axis_only(axis):
    one = STYLE.lift(a_task(goalpost="a"), axis)
    other = STYLE.lift(a_task(goalpost="b", fingerprint="g", message=""), axis)
    assert one == other
    assert TOKENIZER.decode(TOKENIZER.encode(one)) == one


@pytest.mark.parametrize("value", [100, [1, 100], (1, 2), [True], [[1]], ["a"], [1.0], None])
def test_values_without_words_are_shown_as_such(value):
    assert style.ints(value) == " ?"
    assert style.read_ints(" ?") is None


@given(st.lists(st.integers(-99, 99), max_size=12))
def test_lists_survive(value):
    assert style.read_ints(style.ints(value)) == value
    assert TOKENIZER.decode(TOKENIZER.encode(style.ints(value))) == style.ints(value)


def test_a_proposal_is_read():
    proposal = STYLE.parse_proposal(world.text((0, 1)) + "\n 3 -1\n []\n 5")
    assert proposal.program == world.text((0, 1))
    assert proposal.inputs == (([3, -1],), ([],), ([5],))
    assert proposal.message == ""


PROGRAM = world.text((0,))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no_program"),
        (" 3 -1", "no_program"),
        ("def f(x):", "no_program"),
        ("def f(x):\n 3 -1", "no_program"),
        (PROGRAM, "no_inputs"),
        (PROGRAM + "\n 3\n", "bad_input"),
        (PROGRAM + "\n 3\n ?", "bad_input"),
        (PROGRAM + "\n 3 x", "bad_input"),
        (PROGRAM + "\n3", "bad_input"),
        (PROGRAM + "\n \u0663", "bad_input"),
        (PROGRAM + "\n 3" * 9000, "too_long"),
        ("def f(x):\n    x = '\ud800'\n 3", "not_utf8"),
    ],
)
def test_bad_proposals_have_reasons(text, reason):
    with pytest.raises(ParseError) as caught:
        STYLE.parse_proposal(text)
    assert caught.value.reason == reason


def test_answers_are_read():
    assert STYLE.parse_answer(PROGRAM, "induction") == PROGRAM
    assert STYLE.parse_answer(" 3 -1", "deduction") == [3, -1]
    assert STYLE.parse_answer(" []", "abduction") == ([],)


@pytest.mark.parametrize(
    "text", ["", " ", "3", " 3 ", " 3\n", " 3.0", " ?", " 333", " 3 \u0664", "__import__('os')"]
)
@pytest.mark.parametrize("kind", ["induction", "deduction", "abduction"])
def test_other_answers_are_malformed(text, kind):
    with pytest.raises(ParseError) as caught:
        STYLE.parse_answer(text, kind)
    assert caught.value.reason == "malformed"


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    for read in (
        STYLE.parse_proposal,
        *(lambda t, k=k: STYLE.parse_answer(t, k) for k in ("induction", "deduction")),
    ):
        with contextlib.suppress(ParseError):
            read(text)


def test_pretraining_speaks_the_styles_language():
    """What the model is trained to answer is what the style parses, and the gate's counts are the corpus's."""
    stream = corpus.Corpus(TOKENIZER, world.BROAD, world.BROAD, (), random.Random(0))
    seen = set()
    for _ in range(400):
        example = stream.draw()
        text = TOKENIZER.decode(example.ids)
        if text.startswith(("lemma", "lift")):
            proposal = STYLE.parse_proposal(text.partition("\nvariant\n")[2])
            assert len(proposal.inputs) == RULES.input_count[0] == RULES.input_count[1]
            assert world.recognise(proposal.program)
            seen.add(text.partition("\n")[0])
    assert seen == {"lemma f", "lemma io", "lift f", "lift io"}


def test_text_outside_the_vocabulary_reaches_the_tokenizer_unchanged():
    with pytest.raises(UnknownTextError):
        TOKENIZER.encode(STYLE.solve(task_with(a_task(), program="def f(y):\n    return y"), "deduction", 0))
