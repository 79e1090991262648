"""Similarity of texts, as the published rewards measure it."""

from __future__ import annotations

import ast
import functools
import re
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from gasp_env.episode.outcome import Outcome
from gasp_env.registry import load

_ORDERS = (1, 2, 3, 4)
_LITTLE = 0.1


def text_of(outcome: Outcome) -> str:
    """Message and program of a proposal; empty for one that is no task."""
    return str(outcome.task.content.text) if outcome.task is not None else ""


def bleu(texts: Sequence[str]) -> NDArray[np.float64]:
    """Sentence BLEU of every text (rows, the hypotheses) against every other (columns, the references).

    Words between blanks, orders 1 to 4 weighted alike. An order without a match counts 0.1 matches; if not one
    word matches, the score is 0. R-Zero's code asks its library for the same: smoothing method 1 of Chen and
    Cherry (2014).

    Returns:
        (texts, texts) scores in [0, 1].
    """
    size = len(texts)
    split = [text.split() for text in texts]
    logarithm, shared = np.zeros((size, size)), np.zeros((size, size))
    for order in _ORDERS:
        # Texts that hold a run of words, with counts: matches are counted run by run, for most texts share none.
        holders: dict[tuple[str, ...], list[tuple[int, int]]] = {}
        for place, words_of in enumerate(split):
            grams = Counter(zip(*(words_of[i:] for i in range(order)), strict=False))
            for gram, count in grams.items():
                holders.setdefault(gram, []).append((place, count))
        matched = np.zeros((size, size))
        for held in holders.values():
            places, counts = np.array(held).T
            matched[np.ix_(places, places)] += np.minimum.outer(counts, counts)
        totals = np.array([max(1, len(words_of) - order + 1) for words_of in split])
        logarithm += np.log(np.where(matched > 0, matched, _LITTLE) / totals[:, None])
        shared = matched if order == 1 else shared
    lengths = np.array([max(1, len(words_of)) for words_of in split])
    brevity = np.minimum(1.0, np.exp(1 - lengths[None, :] / lengths[:, None]))
    return np.where(shared > 0, brevity * np.exp(logarithm / len(_ORDERS)), 0.0)


def bleu_clusters(texts: Sequence[str], threshold: float = 0.5) -> list[int]:
    """Cluster of each text, by average linkage of 1 - BLEU below ``threshold``, as in R-Zero.

    An empty text is alone in its cluster. BLEU is the mean of both directions, and texts are merged in their
    alphabetical order, so that the order of the batch does not matter; R-Zero takes the direction that comes first.
    """
    known = sorted({text for text in texts if text})
    alike = bleu(known)
    distance = 1 - (alike + alike.T) / 2
    np.fill_diagonal(distance, np.inf)
    sizes = Counter(texts)
    weight = np.array([float(sizes[text]) for text in known])
    cluster = list(range(len(known)))
    while len(known) > 1:
        i, j = divmod(int(distance.argmin()), len(known))
        if not distance[i, j] < threshold:
            break
        # The mean distance of all pairs between the merged cluster and any other.
        merged = (weight[i] * distance[i] + weight[j] * distance[j]) / (weight[i] + weight[j])
        distance[i], distance[:, i] = merged, merged
        distance[j], distance[:, j], distance[i, i] = np.inf, np.inf, np.inf
        weight[i] += weight[j]
        cluster = [i if own == j else own for own in cluster]
    of_text = dict(zip(known, cluster, strict=True))
    return [of_text[text] if text else len(known) + place for place, text in enumerate(texts)]


def shares(clusters: Sequence[Hashable]) -> list[float]:
    """|C| / B for every member of a batch of B: the share that its cluster has of it."""
    sizes = Counter(clusters)
    return [sizes[cluster] / len(clusters) for cluster in clusters]


@functools.lru_cache(maxsize=4096)
def template(program: str) -> str:
    """A program with its literals masked, up to formatting and the names it binds.

    A text that is no Python is its own template: another domain's programs need not be.
    """
    try:
        tree = ast.parse(program)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return program
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            node.value = "" if isinstance(node.value, str) else 0
    # Python's own rule for equal programs; domains lie above rewards.
    nodes = load("gasp_env.domains.python.syntax:nodes", "nodes")(tree)
    return str(load("gasp_env.domains.python.novelty:normal_form", "normal form")(nodes))


@functools.lru_cache(maxsize=4096)
def words(text: str) -> frozenset[str]:
    """The set of a text's words and signs."""
    return frozenset(re.findall(r"\w+|[^\w\s]", text))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """Size of the intersection over that of the union, in [0, 1]; 1 for two empty sets."""
    return len(one & other) / len(one | other) if one or other else 1.0


def copy_ratio(text: str, source: str, length: int = 6) -> float:
    """Share of a text's runs of ``length`` letters that occur in ``source``, in [0, 1], as in DARC.

    Case, blanks and punctuation do not count. 1 for a text that occurs in whole; for one that is shorter than
    a run, the share of its words; 0 for an empty one.
    """
    own, other = (re.sub(r"[\W_]+", " ", part.lower()).strip() for part in (text, source))
    if not own or own in other:
        return float(bool(own))
    letters, theirs = own.replace(" ", ""), other.replace(" ", "")
    runs = [letters[i : i + length] for i in range(len(letters) - length + 1)]
    if not runs:
        known = set(other.split())
        return sum(word in known for word in own.split()) / len(own.split())
    of_source = {theirs[i : i + length] for i in range(len(theirs) - length + 1)}
    return sum(run in of_source for run in runs) / len(runs)
