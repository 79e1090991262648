"""What an episode says: whose turn it is, what a step made known, what it earned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gasp_env.judge import Verdict
from gasp_env.rewards.outcome import Outcome
from gasp_env.tasks import Agent, Axis, Stage, TaskKind


@dataclass(frozen=True)
class Turn:
    """Whose turn it is.

    Attributes:
        index: number of the turn in its episode; credits are addressed to it.
        agent: ``teacher_0`` or ``solver_0``.
        stage: what the agent is asked.
        kind: task kind of a solver's turn, and of an unguided proposal. None for ``lemma`` and ``lift``,
            whose teacher writes induction tasks.
        axis: of a variant, and of the attempts at it; None for the rest.
        prompt: what the agent reads.
        samples: texts still due: 1 for the teacher.
    """

    index: int
    agent: Agent
    stage: Stage
    kind: TaskKind | None
    axis: Axis | None
    prompt: str
    samples: int


@dataclass(frozen=True)
class Credit:
    """A reward that became known.

    ``turn`` and ``sample`` say which text earned it. ``reward`` is the sum of ``terms``, or None if unscored.
    """

    turn: int
    sample: int
    agent: Agent
    reward: float | None
    terms: Mapping[str, float]


@dataclass(frozen=True)
class Resolution:
    """What one step made known.

    Attributes:
        turn: the turn the texts answered.
        first: sample number of the first of them.
        verdicts: one per text: of an answer, or of a proposal (``valid`` or why not).
        outcomes: proposals whose fate is settled, with the index of the turn that made them.
        relevance: of the proposal, if it was measured.
    """

    turn: Turn
    first: int
    verdicts: tuple[Verdict, ...]
    outcomes: tuple[tuple[int, Outcome], ...] = ()
    relevance: float | None = None
