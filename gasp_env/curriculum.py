"""One episode of the game, as a state machine that does no I/O.

    lemma ──▶ attempt × n ──accepted──▶ lift ──▶ attempt × n ──▶ solve
      │            └── not accepted ───────────────────────────────▲
      └── rejected by the gate ────────────────────────────────────┘

`Episode.turn` says whose turn it is and what they read. `Episode.submit` takes their texts and
answers with the runs it needs; `Episode.resolve` takes the results of those and says what became
known: credits of the solver, outcomes of proposals. Teacher rewards are not computed here: whoever
drives the episode scores all outcomes that one step resolved, in one call.

The teacher writes a *lemma*, an easier variant of the goalpost; if the solver's attempts put it in
the band, the teacher writes a *lift* of it without seeing the goalpost; then the solver is asked an
accepted task as induction, deduction or abduction. With probability ``goalpost_rate`` an episode is
instead one turn of ``attempts`` samples at the real problem.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from gasp_env import judge
from gasp_env.domain import Domain
from gasp_env.gate import Rejected, Unscored
from gasp_env.judge import Question, Verdict
from gasp_env.library import Entry, View
from gasp_env.parsing import ParseError
from gasp_env.prompts import SEES, Sees
from gasp_env.rewards.outcome import Outcome, in_band
from gasp_env.sandbox.runs import Result, Run, Status
from gasp_env.tasks import AXES, TASK_KINDS, Agent, Axis, Goalpost, Proposal, Stage, Task, TaskKind


@dataclass(frozen=True)
class Schedule:
    """The order of stages, in numbers.

    Attributes:
        attempts: n, the solver's tries at a proposal, and at a goalpost.
        goalpost_rate: chance that an episode is a goalpost turn. 0 is GASP, 1 is RL on the real problems.
        axis: what lemmas change: drawn per lemma (``both``), or always the same.
        admit: band of c/n, in tenths, in which a proposal of a stage is accepted. Belongs to the
            curriculum and not to the reward, so that another reward does not train on other tasks.
        sees: what of a goalpost the teacher is shown; None for the domain's own choice.
        solving: draw the solve task from this episode's accepted tasks first, then from the library
            (``same_step``), or from the library only (``previous_step``).
        on_infra_error: after an unscored turn, end the episode truncated, or ``continue``.
    """

    attempts: int = 8
    goalpost_rate: float = 0.0
    axis: Literal["both", "io", "f"] = "both"
    admit: Mapping[str, tuple[int, int]] = field(default_factory=lambda: {"lemma": (3, 7), "lift": (1, 5)})
    sees: Sees | None = None
    solving: Literal["same_step", "previous_step"] = "same_step"
    on_infra_error: Literal["truncate", "continue"] = "truncate"

    def __post_init__(self) -> None:
        if not isinstance(self.attempts, int) or self.attempts < 1:
            raise ValueError(f"expected attempts to be an integer of at least 1, got {self.attempts!r}")
        if not 0 <= self.goalpost_rate <= 1:
            raise ValueError(f"expected a goalpost_rate in [0, 1], got {self.goalpost_rate}")
        if self.axis not in ("both", *AXES):
            raise ValueError(f"expected an axis among 'both', 'io', 'f', got {self.axis!r}")
        if self.sees not in (None, *SEES):
            raise ValueError(f"expected sees among {SEES}, got {self.sees!r}")
        if self.solving not in ("same_step", "previous_step"):
            raise ValueError(f"expected solving 'same_step' or 'previous_step', got {self.solving!r}")
        if set(self.admit) != {"lemma", "lift"}:
            raise ValueError(f"expected bands for 'lemma' and 'lift', got {sorted(self.admit)}")
        for stage, band in self.admit.items():
            whole = len(band) == 2 and all(isinstance(end, int) for end in band)
            if not whole or not 0 <= band[0] <= band[1] <= 10:
                raise ValueError(f"expected the {stage} band in tenths, 0 <= low <= high <= 10, got {band!r}")


@dataclass(frozen=True)
class Turn:
    """Whose turn it is.

    Attributes:
        index: number of the turn in its episode; credits are addressed to it.
        agent: ``teacher_0`` or ``solver_0``.
        stage: what the agent is asked.
        kind: task kind of a solver's turn, None for the teacher (who writes induction tasks).
        axis: of a teacher's turn, and of the attempts at what it wrote.
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
    """

    turn: Turn
    first: int
    verdicts: tuple[Verdict, ...]
    outcomes: tuple[tuple[int, Outcome], ...] = ()


@dataclass
class _Proposed:
    """A valid proposal that is being attempted."""

    turn: int
    task: Task
    reasons: list[str] = field(default_factory=list)


class Episode:
    """One episode. See the module for the game; nothing here reads a clock, a file or a global.

    Args:
        domain: prompts, gate and limits.
        schedule: the order of stages, in numbers.
        goalposts: what the episode's goalpost is drawn from.
        view: the library as it was when the episode began.
        seed: of everything the episode draws.
        goalpost: index of the goalpost to play, instead of a drawn one.

    Attributes:
        goalpost: the goalpost of this episode.
        axis: the axis of its lemma and lift.
        entries: valid tasks so far, for the driver to commit when the episode is over.
        done: whether the episode is over.
        truncated: whether it ended because the infrastructure failed.
    """

    def __init__(
        self,
        domain: Domain,
        schedule: Schedule,
        goalposts: Sequence[Goalpost],
        view: View,
        seed: int,
        goalpost: int | None = None,
    ) -> None:
        self._domain = domain
        self._schedule = schedule
        self._view = view
        self._rng = np.random.default_rng(seed)
        # Everything is drawn before the options are looked at, so that pinning one thing leaves the rest as it was.
        is_goalpost_episode = self._rng.random() < schedule.goalpost_rate
        drawn = int(self._rng.integers(len(goalposts)))
        axis = AXES[int(self._rng.integers(len(AXES)))]
        self.goalpost = goalposts[drawn if goalpost is None else goalpost]
        self.axis: Axis = axis if schedule.axis == "both" else schedule.axis
        self.entries: list[Entry] = []
        self.done = False
        self.truncated = False
        self._turns = 0
        self._turn: Turn | None = None
        self._sample = 0
        self._question: Question | None = None
        self._proposed: _Proposed | None = None
        self._lemma: Task | None = None
        self._unscored = False
        # What each submitted text became, and how many results it takes to resolve them.
        self._pending: list[Proposal | Verdict | Run] | None = None
        self._awaited = 0
        if is_goalpost_episode:
            self._question = Question.of_goalpost(self.goalpost)
            self._open(
                "solver_0", "goalpost", "induction", domain.style.goalpost(self.goalpost), schedule.attempts
            )
        else:
            prompt = domain.style.lemma(self.goalpost, schedule.sees or domain.sees, self.axis, domain.rules)
            self._open("teacher_0", "lemma", None, prompt, 1)

    @property
    def turn(self) -> Turn | None:
        """The open turn, None when the episode is over."""
        return self._turn

    def clone(self) -> Episode:
        """An independent copy at this point: a group of proposals is clones that go on with different texts."""
        twin = copy.copy(self)
        twin._rng = copy.deepcopy(self._rng)
        twin.entries = list(self.entries)
        twin._proposed = copy.deepcopy(self._proposed)
        twin._pending = None if self._pending is None else list(self._pending)
        return twin

    def submit(self, texts: Sequence[str]) -> list[Run]:
        """Take 1 to ``turn.samples`` texts; return the runs whose results `resolve` needs, possibly none.

        Raises:
            RuntimeError: the episode is over, or the previous texts are not resolved.
            ValueError: the number of texts is not one the turn takes.
        """
        turn = self._turn
        if turn is None or self._pending is not None:
            raise RuntimeError("the episode is over" if turn is None else "resolve the submitted texts first")
        if not 1 <= len(texts) <= turn.samples:
            raise ValueError(f"expected 1 to {turn.samples} texts for stage {turn.stage}, got {len(texts)}")
        runs: list[Run] = []
        pending: list[Proposal | Verdict | Run] = []
        if turn.agent == "teacher_0":
            try:
                proposal = self._domain.style.parse_proposal(texts[0])
                runs = self._domain.gate.runs(proposal)
                pending = [proposal]
            except (ParseError, Rejected) as refused:
                pending = [Verdict(refused.reason, str(refused))]
        else:
            assert self._question is not None
            pending = [
                judge.ask(self._question, text, self._domain.style, self._domain.limits) for text in texts
            ]
            runs = [item for item in pending if isinstance(item, Run)]
        self._pending, self._awaited = pending, len(runs)
        return runs

    def resolve(self, results: Sequence[Result]) -> Resolution:
        """Take the results of the runs that `submit` asked for, in order, and move on.

        Raises:
            RuntimeError: nothing was submitted.
            ValueError: the number of results is not that of the runs.
        """
        turn, pending = self._turn, self._pending
        if turn is None or pending is None:
            raise RuntimeError("submit texts first")
        if len(results) != self._awaited:
            raise ValueError(f"expected {self._awaited} results, one per run, got {len(results)}")
        self._pending = None
        if turn.agent == "teacher_0":
            return self._resolve_proposal(turn, pending[0], results)
        return self._resolve_answers(turn, pending, results)

    def _resolve_answers(
        self, turn: Turn, pending: Sequence[Proposal | Verdict | Run], results: Sequence[Result]
    ) -> Resolution:
        assert self._question is not None
        remaining = iter(results)
        verdicts: list[Verdict] = []
        for item in pending:
            assert not isinstance(item, Proposal)
            verdicts.append(judge.decide(self._question, next(remaining)) if isinstance(item, Run) else item)
        first, self._sample = self._sample, self._sample + len(verdicts)
        self._unscored |= not all(verdict.scored for verdict in verdicts)
        if self._proposed is not None:
            self._proposed.reasons += [verdict.reason for verdict in verdicts]
        outcomes: tuple[tuple[int, Outcome], ...] = ()
        if turn.samples > len(verdicts):
            self._turn = replace(turn, samples=turn.samples - len(verdicts))
        elif turn.stage == "attempt":
            outcomes = self._close_attempts()
        else:
            self._end(truncated=self._unscored and self._schedule.on_infra_error == "truncate")
        return Resolution(turn, first, tuple(verdicts), outcomes)

    def _resolve_proposal(
        self, turn: Turn, item: Proposal | Verdict | Run, results: Sequence[Result]
    ) -> Resolution:
        assert turn.axis is not None
        verdict = item
        if isinstance(item, Proposal):
            try:
                task = self._domain.gate.decide(
                    item,
                    results,
                    self._view.__contains__,
                    stage=turn.stage,
                    axis=turn.axis,
                    goalpost=self.goalpost.id,
                    lemma=self._lemma,
                )
            except Rejected as rejected:
                verdict = Verdict(rejected.reason, str(rejected))
            except Unscored as unscored:
                verdict = Verdict(str(Status.INFRA_ERROR), str(unscored))
            else:
                self._proposed = _Proposed(turn.index, task)
                self._question = Question.of_task(task, "induction", 0)
                prompt = self._domain.style.solve(task, "induction", 0)
                self._open("solver_0", "attempt", "induction", prompt, self._schedule.attempts)
                return Resolution(turn, 0, (Verdict("valid"),))
        assert isinstance(verdict, Verdict)
        outcome = Outcome(
            stage=turn.stage,
            axis=turn.axis,
            goalpost=self.goalpost.id,
            reason=verdict.reason,
            scored=verdict.scored,
            library=self._view,
        )
        if not verdict.scored and self._schedule.on_infra_error == "truncate":
            self._end(truncated=True)
        else:
            self._open_solve()
        return Resolution(turn, 0, (verdict,), ((turn.index, outcome),))

    def _close_attempts(self) -> tuple[tuple[int, Outcome], ...]:
        """The difficulty of the proposal is known: admit it or not, and go on."""
        proposed = self._proposed
        assert proposed is not None
        self._proposed = None
        task = proposed.task
        scored, self._unscored = not self._unscored, False
        correct, samples = proposed.reasons.count("correct"), len(proposed.reasons)
        accepted = scored and in_band(correct, samples, self._schedule.admit[task.stage])
        if scored:
            self.entries.append(Entry(task, correct, samples, accepted))
        outcome = Outcome(
            stage=task.stage,
            axis=task.axis,
            goalpost=task.goalpost,
            reason="valid",
            correct=correct,
            samples=samples,
            attempts=tuple(proposed.reasons),
            accepted=accepted,
            scored=scored,
            task=task,
            library=self._view,
        )
        if not scored and self._schedule.on_infra_error == "truncate":
            self._end(truncated=True)
        elif task.stage == "lemma" and accepted:
            self._lemma = task
            self._open(
                "teacher_0", "lift", None, self._domain.style.lift(task, self.axis, self._domain.rules), 1
            )
        else:
            self._open_solve()
        return ((proposed.turn, outcome),)

    def _open_solve(self) -> None:
        """Ask the solver one accepted task, or end the episode if there is none."""
        own = [entry.task for entry in self.entries if entry.accepted]
        if own and self._schedule.solving == "same_step":
            task = own[int(self._rng.integers(len(own)))]
        elif self._view.accepted:
            task = self._view.accepted_task(int(self._rng.integers(self._view.accepted)))
        else:
            self._end(truncated=False)
            return
        kind = TASK_KINDS[int(self._rng.integers(len(TASK_KINDS)))]
        index = int(self._rng.integers(len(task.inputs)))
        self._question = Question.of_task(task, kind, index)
        self._open("solver_0", "solve", kind, self._domain.style.solve(task, kind, index), 1)

    def _open(self, agent: Agent, stage: Stage, kind: TaskKind | None, prompt: str, samples: int) -> None:
        axis = self.axis if stage in ("lemma", "lift", "attempt") else None
        self._turn = Turn(self._turns, agent, stage, kind, axis, prompt, samples)
        self._turns += 1
        self._sample = 0

    def _end(self, *, truncated: bool) -> None:
        self._turn = None
        self.done = True
        self.truncated = truncated
