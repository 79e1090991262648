"""What an episode says: whose turn it is, what a step made known, what it earned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gasp_env.episode.outcome import Outcome
from gasp_env.sandbox.runs import Status
from gasp_env.tasks import Agent, Axis, Stage, TaskKind

#: Longest prompt, in characters.
MAX_PROMPT = 131_072


@dataclass(frozen=True)
class Verdict:
    """What was decided of one text.

    Attributes:
        reason: of an answer, one of `ANSWER_REASONS`; of a proposal, ``valid`` or one of
            `gasp_env.domains.python.gate.REASONS`; ``infra_error`` when nothing was decided.
        detail: one line for a person. Not part of any promise.
        answer: what was answered, right or wrong: equal texts for equal behaviour. Of a program what it returned
            or printed on the hidden inputs, or the status it failed with; else the value or the arguments. Empty
            when there is no answer: a malformed text, a proposal, a failure of the infrastructure.
    """

    reason: str
    detail: str = ""
    answer: str = ""

    @property
    def correct(self) -> bool:
        """Whether an answer is right."""
        return self.reason == "correct"

    @property
    def scored(self) -> bool:
        """False when the infrastructure failed: such a verdict is never a score."""
        return self.reason != Status.INFRA_ERROR


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
