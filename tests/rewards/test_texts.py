"""The measures of likeness, against values worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.rewards import texts
from gasp_env.rewards.texts import bleu_clusters, copy_ratio, jaccard, shares, template, words


def bleu(hypothesis: str, reference: str) -> float:
    return float(texts.bleu([hypothesis, reference])[0, 1])


def test_bleu_by_hand() -> None:
    # Words 5 of 6, pairs 3 of 5, triples 1 of 4, fours 0 of 3, which counts 0.1; as long as the reference.
    expected = (5 / 6 * 3 / 5 * 1 / 4 * 0.1 / 3) ** 0.25
    assert bleu("the cat sat on the mat", "the cat is on the mat") == pytest.approx(expected)


def test_bleu_punishes_brevity_and_not_length() -> None:
    assert bleu("a b c d", "a b c d e f g h") == pytest.approx(math.exp(1 - 8 / 4))
    longer = (4 / 8 * 3 / 7 * 2 / 6 * 1 / 5) ** 0.25
    assert bleu("a b c d e f g h", "a b c d") == pytest.approx(longer)


def test_bleu_at_the_ends() -> None:
    assert bleu("a b c d", "a b c d") == 1.0
    assert bleu("a b c d", "e f g h") == 0.0
    assert bleu("", "a b") == 0.0
    # A word that is repeated matches as often as the reference has it: 1 of 4.
    assert bleu("a a a a", "a b c d") == pytest.approx((1 / 4 * 0.1 / 3 * 0.1 / 2 * 0.1 / 1) ** 0.25)


@given(
    st.lists(st.sampled_from(["", "a", "a b c d e", "a b c d f", "a b c d", "v w x y z"]), max_size=8),
    st.data(),
)
def test_clusters_do_not_depend_on_the_order(some: list[str], data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(len(some))))
    straight = shares(bleu_clusters(some))
    assert shares(bleu_clusters([some[i] for i in order])) == [straight[i] for i in order]


@given(st.lists(st.lists(st.sampled_from("abc"), max_size=6).map(" ".join), min_size=1, max_size=6))
def test_bleu_of_many_is_bleu_of_each_pair(some: list[str]) -> None:
    scores = texts.bleu(some)
    assert scores.shape == (len(some), len(some))
    assert np.all((scores >= 0) & (scores <= 1 + 1e-12))
    pairs = [[bleu(one, other) for other in some] for one in some]
    np.testing.assert_allclose(scores, pairs)


def test_clusters_are_of_like_texts() -> None:
    base = "def f ( x ) : return x + 1 if x > 2 else x"
    near = "def f ( x ) : return x + 1 if x > 3 else x"
    far = "class Point : pass"
    clusters = bleu_clusters([base, far, near, "", "", base])
    assert clusters[0] == clusters[2] == clusters[5]
    assert len({clusters[0], clusters[1], clusters[3], clusters[4]}) == 4
    assert shares(clusters) == pytest.approx([1 / 2, 1 / 6, 1 / 2, 1 / 6, 1 / 6, 1 / 2])
    assert bleu_clusters([]) == []


def alike(one: str, other: str) -> float:
    return (bleu(one, other) + bleu(other, one)) / 2


def test_linkage_is_the_average() -> None:
    words_of_a = [str(number) for number in range(24)]
    words_of_b = [*words_of_a[:20], *"wxyz"]
    a, b = " ".join(words_of_a), " ".join(words_of_b)
    c = " ".join([*"ABCDEFGHIJ", *words_of_b[10:]])
    # A chain: a is like b, b like c; but once a and b are one, c is unlike them on average.
    assert alike(a, b) > alike(b, c) > 0.5 > (alike(a, c) + alike(b, c)) / 2
    clusters = bleu_clusters([a, b, c])
    assert clusters[0] == clusters[1] != clusters[2]
    # The more texts there are like b, the more they count: equal texts weigh as many.
    copies = bleu_clusters([a, b, b, b, b, b, b, b, c])
    assert len(set(copies)) == 1
    assert (alike(a, c) + 7 * alike(b, c)) / 8 > 0.5


def test_template_masks_literals_and_names() -> None:
    assert template("def f(x):\n    return x + 1") == template(
        "def f(y):\n    '''Add.'''\n    return y + 20  # more"
    )
    assert template("def f(x):\n    return x + 1") != template("def f(x):\n    return x - 1")
    assert template("(define (f x) x") == "(define (f x) x"
    assert template("def f(x):\n    return x + 'a'") == template("def f(x):\n    return x + 'b'")


def test_jaccard() -> None:
    assert words("x = f(x, 2)") == {"x", "=", "f", "(", ",", "2", ")"}
    assert jaccard(words("a b c"), words("b c d")) == 0.5
    assert jaccard(words(""), words("")) == 1.0
    assert jaccard(words("a"), words("")) == 0.0


@pytest.mark.parametrize(
    ("text", "source", "expected"),
    [
        ("", "anything", 0.0),
        ("Count the letters!", "First, count the LETTERS; then stop.", 1.0),
        # Of the 3 runs of 6 in "abcdefgh", abcdef and bcdefg are in the source.
        ("abcdefgh", "xabcdefgx", 2 / 3),
        ("to do", "do it", 0.5),
        ("qqqqqqqq", "zzzzzzzz", 0.0),
        ("word", "", 0.0),
        ("...", "...", 0.0),
    ],
)
def test_copy_ratio(text: str, source: str, expected: float) -> None:
    assert copy_ratio(text, source) == pytest.approx(expected)
