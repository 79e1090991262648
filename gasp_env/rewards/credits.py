"""Credit assignment: all outcomes that one step resolved are scored in one call."""

from __future__ import annotations

from collections.abc import Sequence

from gasp_env.episode.outcome import Outcome
from gasp_env.episode.turns import Credit, Resolution
from gasp_env.relevance import RelevanceRule
from gasp_env.rewards.registry import TeacherRewards
from gasp_env.rewards.spec import SolverReward, Terms


def score(
    resolutions: Sequence[Resolution],
    teacher: TeacherRewards,
    solver: SolverReward,
    relevance: RelevanceRule | None = None,
) -> list[list[Credit]]:
    """Credits per resolution: the solver's for its texts, then the teacher's for proposals that were settled.

    A teacher's credit is addressed to the turn that made the proposal, which is an earlier one. Relevance
    changes the reward of a valid variant, if its rule says so.
    """
    outcomes: list[Outcome] = [outcome for resolution in resolutions for _, outcome in resolution.outcomes]
    terms_of = iter(
        _with_relevance(terms, outcome, relevance)
        for terms, outcome in zip(teacher(outcomes), outcomes, strict=True)
    )
    credits: list[list[Credit]] = []
    for resolution in resolutions:
        own: list[Credit] = []
        turn = resolution.turn
        if turn.agent == "solver_0":
            for sample, verdict in enumerate(resolution.verdicts, start=resolution.first):
                terms = solver(verdict.reason) if verdict.scored else None
                own.append(_credit(turn.index, sample, "solver_0", terms))
        for index, _ in resolution.outcomes:
            own.append(_credit(index, 0, "teacher_0", next(terms_of)))
        credits.append(own)
    return credits


def _with_relevance(terms: Terms | None, outcome: Outcome, rule: RelevanceRule | None) -> Terms | None:
    if terms is None or rule is None or outcome.relevance is None or not outcome.valid:
        return terms
    return rule.apply(terms, outcome.relevance)


def _credit(turn: int, sample: int, agent: str, terms: dict[str, float] | None) -> Credit:
    reward = None if terms is None else float(sum(terms.values()))
    return Credit(turn, sample, "teacher_0" if agent == "teacher_0" else "solver_0", reward, terms or {})
