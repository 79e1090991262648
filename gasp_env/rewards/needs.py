"""Needs that a teacher reward may declare beyond outcomes, and the options that meet them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Need:
    """Something a reward needs.

    Attributes:
        what: the need in words.
        how: the option that meets it; empty if no environment here does.
    """

    what: str
    how: str = ""


NEEDS = {
    "batch": Need(
        "the other proposals of an update, which it compares with each other",
        "its credits come deferred; `score_deferred()` of the driver, or of the vector env, scores all at once",
    ),
    "embedding": Need(
        "the nearest task of the library", "give the env an embedder with its option `novelty`"
    ),
    "relevance": Need(
        "how much a proposal shares with its goalpost, which it pays for itself",
        "choose a measure with the env's option `relevance`, and leave `relevance_mode` at 'gate', where threshold 0 "
        "rejects nothing: 'scale' and 'score' would pay for it a second time",
    ),
    "hint_rollouts": Need("attempts at the same task with a hint, or with a misleading context"),
    "second_solver": Need("attempts of a second solver, or of a population"),
    "inner_training": Need("a student trained on the proposals before they are scored, and set back after"),
    "judge": Need("a score of the text's quality by a language model"),
    "likelihoods": Need("log-probabilities of answers under the solver"),
    "step_counts": Need("how many steps teacher and solver took in an interactive task"),
    "test_results": Need("how many of the tests each attempt passed, where an attempt is right or not"),
}

#: Needs that an environment of ours meets when it is set up for them.
OFFERED = frozenset(name for name, need in NEEDS.items() if need.how)


def explain(name: str) -> str:
    """A need in words, with the option that meets it."""
    need = NEEDS[name]
    return f"{name!r}: {need.what} ({need.how or 'no environment here offers that'})"
