"""Credit assignment: from everything that steps made known to rewards, each addressed to the text that earned it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from gasp_env.episode.outcome import Outcome
from gasp_env.episode.turns import Credit, Resolution, Settled
from gasp_env.rewards.registry import SolverReward, TeacherRewards, Terms


class RelevanceTerm(Protocol):
    """The part of a relevance rule that changes a reward (`gasp_env.relevance.RelevanceRule`)."""

    def apply(self, terms: Terms, relevance: float) -> Terms:
        """Terms with the relevance in them."""
        ...


def score(
    resolutions: Sequence[Resolution],
    teacher: TeacherRewards,
    solver: SolverReward,
    relevance: RelevanceTerm | None = None,
    *,
    defer: bool = False,
) -> list[list[Credit]]:
    """Credits per resolution: for its answers, then for proposals that were settled in it.

    The credit of a proposal is addressed to the turn that made it, which is an earlier one. All outcomes are scored
    in one call; with ``defer`` none is, and their credits say so (`score_settled` has the numbers later).
    """
    settled = [one for resolution in resolutions for one in resolution.settled]
    paid = iter([_deferred(one) for one in settled] if defer else score_settled(settled, teacher, relevance))
    credits: list[list[Credit]] = []
    for resolution in resolutions:
        own: list[Credit] = []
        turn = resolution.turn
        if not turn.proposal:
            for sample, verdict in enumerate(resolution.verdicts, start=resolution.first):
                terms = solver(verdict.reason) if verdict.scored else None
                own.append(_credit(turn.index, sample, turn.agent, terms))
        own += [credit for one in resolution.settled for credit in each_text(one, next(paid))]
        credits.append(own)
    return credits


def each_text(settled: Settled, credit: Credit) -> list[Credit]:
    """The credits of a proposal's texts, of which there are several where it was made in steps: all earn the same."""
    return [*(replace(credit, turn=turn, sample=0) for turn in settled.drafts), credit]


def score_settled(
    settled: Sequence[Settled], teacher: TeacherRewards, relevance: RelevanceTerm | None = None
) -> list[Credit]:
    """A credit for each proposal, in order; all outcomes are given to the reward in one call, as one batch a stage.

    Whoever has what a reward needs may call it: the env with the outcomes of a step, a learner with those of an
    update. Relevance changes the reward of a valid variant, if its rule says so.
    """
    terms = teacher([one.outcome for one in settled])
    return [
        _credit(one.turn, one.sample, one.agent, _with_relevance(own, one.outcome, relevance))
        for one, own in zip(settled, terms, strict=True)
    ]


def _with_relevance(terms: Terms | None, outcome: Outcome, rule: RelevanceTerm | None) -> Terms | None:
    if terms is None or rule is None or outcome.relevance is None or not outcome.valid:
        return terms
    return rule.apply(terms, outcome.relevance)


def _credit(turn: int, sample: int, agent: str, terms: Terms | None) -> Credit:
    reward = None if terms is None else float(sum(terms.values()))
    return Credit(turn, sample, agent, reward, terms or {})


def _deferred(one: Settled) -> Credit:
    # An outcome that nobody could score is unscored, now and later.
    return Credit(one.turn, one.sample, one.agent, None, {}, deferred=one.outcome.scored)
