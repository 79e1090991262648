"""Rewards that compare the proposals of a step with each other.

The batch is the valid proposals of one stage that one step settled; a batch of one is compared with no other. An
invalid proposal is not attempted, so it is settled a step before the valid ones made beside it. Nothing is known of
those yet: it belongs to no batch, and its reward does not depend on the rest of the step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from gasp_env.episode.outcome import Outcome
from gasp_env.rewards.parts import INVALID, agreement, rate
from gasp_env.rewards.registry import teacher_reward
from gasp_env.rewards.spec import RewardFunction, Terms
from gasp_env.rewards.texts import bleu_clusters, shares, template, text_of
from gasp_env.rewards.zoo.chae import peak

RZERO = "R-Zero, arXiv 2508.05004"
VOTED = "p is c/n against executed outputs, there the share that agrees with the majority (see rzero_vote)"
BATCH = "a batch is the valid proposals of a stage that one step settled, there those of an update"


def among_valid(invalid: float) -> Callable[[RewardFunction], RewardFunction]:
    """The reward that compares valid proposals with each other, and pays ``invalid`` for any other."""

    def decorate(compared: RewardFunction) -> RewardFunction:
        @functools.wraps(compared)
        def reward(outcomes: Sequence[Outcome]) -> list[Terms]:
            paid = iter(compared([outcome for outcome in outcomes if outcome.valid]))
            return [next(paid) if outcome.valid else {"invalid": invalid} for outcome in outcomes]

        return reward

    return decorate


def repetition(outcomes: Sequence[Outcome]) -> list[float]:
    """Share that each proposal's cluster of like texts, by BLEU, has of the batch."""
    return shares(bleu_clusters([text_of(outcome) for outcome in outcomes]))


def gated(value: float, share: float) -> Terms:
    """``value`` less a penalty for repetition, but not below 0."""
    return {"uncertainty": value, "repetition": -min(value, share)}


@teacher_reward("rzero_paper", needs=["batch"], source=RZERO, tag="paper", deviation=f"{VOTED}; {BATCH}")
@among_valid(invalid=0.0)
def rzero_paper(outcomes: Sequence[Outcome]) -> list[Terms]:
    """max(0, 1 - 2|p - 1/2| - |C|/B); 0 if invalid.

    Source: R-Zero's challenger, with lambda = 1; C is the proposal's cluster by BLEU distance below 0.5, B the batch.
    There p is the share of m = 10 answers that agree with the majority; here the outputs are known. Range [0, 1).
    Solver data there: |p - 1/2| <= 0.25.
    """
    return [
        gated(peak(rate(outcome)), share)
        for outcome, share in zip(outcomes, repetition(outcomes), strict=True)
    ]


@teacher_reward("rzero_vote", needs=["batch"], source=RZERO, tag="paper", deviation=BATCH)
@among_valid(invalid=0.0)
def rzero_vote(outcomes: Sequence[Outcome]) -> list[Terms]:
    """max(0, 1 - 2|m - 1/2| - |C|/B), m the share of attempts that agree with the majority; 0 if invalid.

    Source: R-Zero's challenger as published, where the right answer is unknown: see `rzero_paper`. A task without a
    right attempt pays as long as the wrong answers differ. Range [0, 1).
    """
    return [
        gated(peak(agreement(outcome) / outcome.samples), share)
        for outcome, share in zip(outcomes, repetition(outcomes), strict=True)
    ]


@teacher_reward(
    "rzero_code",
    needs=["batch"],
    source="R-Zero's code, github.com/Chengsong-Huang/R-Zero",
    tag="code",
    deviation="invalid: -1, there -1 - 1/B, but here nobody knows B yet when one is settled; invalid ones are not in B "
    f"either; {BATCH}; {VOTED}",
)
@among_valid(invalid=INVALID)
def rzero_code(outcomes: Sequence[Outcome]) -> list[Terms]:
    """min(p, 1-p) - |C|/B; -1 if invalid.

    Source: the challenger's reward in R-Zero's code (caller_penalty.py): half the slope of the paper's, and not cut
    at 0. An invalid proposal has no text there and is a cluster of its own: -1 - 1/B, which is -1.016 for its batches
    of 64. Here B would be the number that one step rejected, so that term is left out. Range [-1, 0.5).
    Solver data there: 0.3 <= p <= 0.8.
    """
    return [
        {"uncertainty": min(rate(outcome), 1 - rate(outcome)), "repetition": -share}
        for outcome, share in zip(outcomes, repetition(outcomes), strict=True)
    ]


@teacher_reward(
    "agent0",
    needs=["batch"],
    source="Agent0, arXiv 2511.16043",
    tag="paper",
    deviation=f"no tools here, so no reward for their use; weights not given, ours are 1; {VOTED}; {BATCH}",
)
def agent0(outcomes: Sequence[Outcome]) -> list[Terms]:
    """max(0, 1 - 2|p - 1/2| + R_tool - |C|/B), R_tool = 0 here; 0 if invalid.

    Source: Agent0's curriculum agent, Eqs. 2 to 5 of the paper. Its three weights are not given in our sources;
    ours: 1. Solvers here call no tools, so that it comes to `rzero_paper`. Range [0, 1). Solver data there:
    |p - 1/2| <= 0.25.
    """
    return rzero_paper(outcomes)


@teacher_reward(
    "sqlzero",
    needs=["batch"],
    source="SQL-Zero, arXiv 2609.04697",
    tag="paper",
    deviation="templates of Python programs in place of SQL; the format term is 1 for whatever the gate lets pass; "
    + BATCH,
)
@among_valid(invalid=0.0)
def sqlzero(outcomes: Sequence[Outcome]) -> list[Terms]:
    """max(0, f/2 + d - |C|/B), d = (n-c)/(n-1) if 0 < c < n, else 0; f = 1; 0 if invalid.

    Source: SQL-Zero's challenger (n = 5), from notes on the paper; C are the proposals of the batch with the same
    template, a query there and a program here, whose literals are masked. f is its term for format and integrity: 1
    for a program that our gate lets pass. Range [0, 1.5). Solver data there: one pair per template.
    """
    clusters = [
        template(outcome.task.content.program) if outcome.task is not None else place
        for place, outcome in enumerate(outcomes)
    ]
    terms: list[Terms] = []
    for outcome, share in zip(outcomes, shares(clusters), strict=True):
        c, n = outcome.correct, outcome.samples
        difficulty = (n - c) / (n - 1) if 0 < c < n else 0.0
        terms.append({"format": 0.5, "difficulty": difficulty, "repetition": -min(0.5 + difficulty, share)})
    return terms


@teacher_reward(
    "lsp_zero",
    needs=["batch"],
    source="Language Self-Play (LSP-Zero), arXiv 2509.07414",
    tag="paper",
    deviation=f"right or wrong in place of a reward model's score; invalid: ours is -1; {BATCH}",
)
@among_valid(invalid=INVALID)
def lsp_zero(outcomes: Sequence[Outcome]) -> list[Terms]:
    """Mean p of the batch less p; -1 if invalid.

    Source: the challenger of LSP-Zero, which is language self-play without the judge's quality score, from notes on
    the paper: V(q) is the mean reward of a query's answers, here 1 or 0. Invalid proposals are not in our
    sources; ours: -1, and they do not count for the mean. Range [-1, 1); a batch of one earns 0.
    """
    rates = [rate(outcome) for outcome in outcomes]
    return [{"difficulty": sum(rates) / len(rates) - p} for p in rates]


@teacher_reward(
    "sgs_relevance",
    needs=["batch", "relevance"],
    source="SGS, arXiv 2604.20209",
    deviation=f"ours: sgs with the env's relevance in the place of its guide, a language model; {BATCH}",
    stages=("lemma", "lift"),
)
@among_valid(invalid=0.0)
def sgs_relevance(outcomes: Sequence[Outcome]) -> list[Terms]:
    """(0 if p is 0 or among the easiest 30 % of the batch, else 1-p) times relevance; 0 if invalid.

    Source: ours, after SGS's conjecturer, whose second factor is the score of a guide for relevance and
    naturalness; that is a language model, and its stand-in here measures relevance alone. Easiest are, of the
    batch, those with the greatest p, as long as all that tie fit into 30 % (ours: ties are not in our sources).
    Range [0, 1). Solver data there: p <= 1/2.

    Raises:
        ValueError: relevance was not measured.
    """
    rates = [rate(outcome) for outcome in outcomes]
    terms: list[Terms] = []
    for outcome in outcomes:
        if outcome.relevance is None:
            raise ValueError("sgs_relevance: expected outcomes with a relevance; choose one by `relevance`")
        p = rate(outcome)
        easiest = 10 * sum(other >= p for other in rates) <= 3 * len(rates)
        terms.append({"guided": 0.0 if p == 0 or easiest else (1 - p) * outcome.relevance})
    return terms
