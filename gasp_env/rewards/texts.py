"""How alike the texts of proposals are, as the published rewards measure it."""

from __future__ import annotations

import ast
import functools
import math
import re
from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np

from gasp_env.library import task_text
from gasp_env.novelty import normal_form
from gasp_env.rewards.outcome import Outcome

_ORDERS = (1, 2, 3, 4)
_LITTLE = 0.1


def text_of(outcome: Outcome) -> str:
    """Message and program of a proposal; empty for one that is no task."""
    return task_text(outcome.task) if outcome.task is not None else ""


@functools.lru_cache(maxsize=4096)
def _grams(text: str) -> tuple[Counter[tuple[str, ...]], ...]:
    words = text.split()
    return tuple(Counter(zip(*(words[i:] for i in range(order)), strict=False)) for order in _ORDERS)


def bleu(hypothesis: str, reference: str) -> float:
    """Sentence BLEU of words between blanks, orders 1 to 4 weighted alike, in [0, 1].

    An order without a match counts 0.1 matches; if not one word matches, the score is 0. That is what
    R-Zero's code asks of its library: smoothing method 1 of Chen and Cherry (2014).
    """
    own, other = _grams(hypothesis), _grams(reference)
    if not own[0] & other[0]:
        return 0.0
    logarithm = 0.0
    for mine, theirs in zip(own, other, strict=True):
        matched = sum(min(count, theirs[gram]) for gram, count in mine.items())
        logarithm += math.log((matched or _LITTLE) / max(1, mine.total()))
    length, aim = own[0].total(), other[0].total()
    return min(1.0, math.exp(1 - aim / length)) * math.exp(logarithm / len(_ORDERS))


def bleu_clusters(texts: Sequence[str], threshold: float = 0.5) -> list[int]:
    """Cluster of each text, by average linkage of 1 - BLEU below ``threshold``, as in R-Zero.

    An empty text is alone in its cluster. BLEU is the mean of both directions, and texts are merged in their
    alphabetical order, so that the order of the batch does not matter; R-Zero takes the direction that comes first.
    """
    known = sorted({text for text in texts if text})
    distance = np.full((len(known), len(known)), np.inf)
    for i, one in enumerate(known):
        for j in range(i):
            other = known[j]
            distance[i, j] = distance[j, i] = 1 - (bleu(one, other) + bleu(other, one)) / 2
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
    """A program up to formatting, names it binds, and constants: what is left when its literals are masked."""
    tree = ast.parse(program)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant):
            node.value = "" if isinstance(node.value, str) else 0
    return normal_form(tree)


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
