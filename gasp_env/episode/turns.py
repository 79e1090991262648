"""Types shared by an episode and its driver: turns, verdicts, credits, and the results of a step."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gasp_env.sandbox.runs import Result, Run, Status
from gasp_env.tasks import Goalpost, Task

if TYPE_CHECKING:
    from gasp_env.episode.outcome import Outcome

#: Longest prompt, in characters.
MAX_PROMPT = 131_072


class CutOff(str):
    """A text whose end is missing, because generation reached its token limit.

    Its class distinguishes it from a complete text. It counts as failed, even if the existing part happens to
    be right. Its verdict is ``cut_off`` and earns the reward of a malformed text.
    """

    __slots__ = ()


class Lost(str):
    """The place of a text that could not be generated: the call of the policy failed, so there is nothing to judge.

    It is an empty text of its own class. Its verdict is ``infra_error``: the turn is unscored, as after a run that
    could not be executed, and never the score of an empty answer.

    Attributes:
        reason: why, in one line for people.
    """

    reason: str

    def __new__(cls, reason: str = "") -> Lost:
        """Make it of its reason."""
        made = super().__new__(cls)
        made.reason = reason or "the policy gave no text"
        return made


@dataclass(frozen=True)
class Verdict:
    """The decision on one text.

    Attributes:
        reason: for an answer, ``correct``, ``wrong``, ``malformed`` or the status of its failed execution;
            for a proposal, ``valid`` or the code of the check that refused it; for either, ``cut_off``, or
            ``infra_error`` when nothing was decided.
        detail: one line for people; its wording may change.
        answer: a text that is equal for equal answers, right or wrong. For a program, a digest of the values
            that it returned or printed on the hidden inputs, or of its failure status; else a digest of the
            value or the arguments. Empty without an answer: a malformed text, a proposal, a failure of the
            infrastructure.
    """

    reason: str
    detail: str = ""
    answer: str = ""

    @property
    def correct(self) -> bool:
        """True if an answer is right."""
        return self.reason == "correct"

    @property
    def scored(self) -> bool:
        """True unless the infrastructure failed: a verdict of ``infra_error`` is never a score."""
        return self.reason != Status.INFRA_ERROR


@dataclass(frozen=True)
class Judged:
    """A judged text.

    Attributes:
        verdict: the decision.
        task: the task that a valid proposal became.
        draft: the first part of a proposal in two steps, which the second one completes.
        relevance: relevance of a proposal to its goalpost, in [0, 1]; None if it was not measured.
        repeats: key of the task of the same batch that a proposal repeats, which makes it a duplicate; None if there
            is none (`gasp_env.episode.batch`).
    """

    verdict: Verdict
    task: Task | None = None
    relevance: float | None = None
    repeats: str | None = None
    draft: Any = None


@dataclass(frozen=True)
class Pending:
    """A text that needs execution to be judged.

    Attributes:
        runs: the executions it needs, possibly none.
        decide: function of their results, in order, and of the relevance if one was requested; returns the
            decision.
        proposal: the parsed proposal, so that its relevance can be measured; None for any other text.
        measure: the proposal and the goalpost whose relevance is requested; None requests none.
    """

    runs: Sequence[Run]
    decide: Callable[[Sequence[Result], float | None], Judged]
    proposal: Any = None
    measure: tuple[Any, Goalpost] | None = None


@dataclass(frozen=True)
class Ask:
    """A turn that a game requests.

    Attributes:
        role: the role that acts; the driver seats an agent in it.
        stage: a stage of the curriculum.
        prompt: the text the agent reads.
        read: function of one text; returns the decision, or the runs needed for one.
        samples: number of texts the turn takes.
        kind: task kind, None where the stage has none.
        axis: axis of a variant and of the attempts at it.
        proposal: True if a later outcome gives the texts their reward; False if their verdicts do, at once.
        question: the question that an answer is judged by, for scripted players and tests. Never shown to an
            agent.
    """

    role: str
    stage: str
    prompt: str
    read: Callable[[str], Judged | Pending]
    samples: int = 1
    kind: str | None = None
    axis: str | None = None
    proposal: bool = False
    question: Any = None


@dataclass(frozen=True)
class Turn:
    """The open turn of an episode.

    Attributes:
        index: number of the turn in its episode; credits are addressed to it.
        role: the role that acts, such as ``teacher``.
        agent: the agent that sits in it, such as ``teacher_0``.
        stage: the kind of turn.
        kind: task kind of a solver's turn, and of an unguided proposal. None for ``lemma`` and ``lift``,
            whose teacher writes induction tasks.
        axis: axis of a variant, and of the attempts at it; None otherwise.
        prompt: the text the agent reads.
        samples: texts still due.
        proposal: True if a later outcome gives the texts their reward; False if their verdicts do, at once.
    """

    index: int
    role: str
    agent: str
    stage: str
    kind: str | None
    axis: str | None
    prompt: str
    samples: int
    proposal: bool = False


@dataclass(frozen=True)
class Credit:
    """A reward that became known.

    Attributes:
        turn, sample: the text that earned it.
        agent: the agent that wrote it.
        reward: the sum of ``terms``; None if it is unscored, or deferred.
        terms: its named parts.
        deferred: True if the reward needs the outcomes of later steps too. This is no failure:
            `gasp_env.envs.driver.Driver.score_deferred` returns the number.
    """

    turn: int
    sample: int
    agent: str
    reward: float | None
    terms: Mapping[str, float]
    deferred: bool = False


@dataclass(frozen=True)
class Settled:
    """An outcome that became known, and the texts that earn its reward.

    Attributes:
        turn, sample: the proposal's text.
        agent: who wrote it.
        outcome: what is known of it.
        drafts: earlier turns of the same agent, whose texts are parts of the proposal and earn the same reward.
    """

    turn: int
    agent: str
    outcome: Outcome
    sample: int = 0
    drafts: tuple[int, ...] = ()


@dataclass(frozen=True)
class Resolution:
    """The results of one step.

    Attributes:
        turn: the turn that the texts answered.
        first: sample number of the first of them.
        verdicts: one per text.
        settled: outcomes that became known.
        relevance: relevance of each text, None where it was not measured.
        repeats: for each text the key of the task of the same batch that it repeats, None where there is none.
    """

    turn: Turn
    first: int
    verdicts: tuple[Verdict, ...]
    settled: tuple[Settled, ...] = ()
    relevance: tuple[float | None, ...] = ()
    repeats: tuple[str | None, ...] = ()
