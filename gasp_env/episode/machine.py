"""One episode of the game, as a state machine that does no I/O.

    gasp   lemma ──▶ attempt × n ──accepted──▶ lift ──▶ attempt × n ──▶ solve
             │            └── not accepted ───────────────────────────────▲
             └── rejected by the gate ────────────────────────────────────┘
    azr    propose ──▶ attempt × n ──▶ solve
    rlvr   goalpost × n

`Episode.turn` says whose turn it is and what they read. `Episode.submit` takes their texts and
answers with the runs it needs; `Episode.resolve` takes the results of those and says what became
known: credits of the solver, outcomes of proposals. Teacher rewards are not computed here: whoever
drives the episode scores all outcomes that one step resolved, in one call.

In ``gasp`` the teacher writes a *lemma*, an easier variant of the goalpost; if the solver's attempts put it
in the band, the teacher writes a *lift* of it without seeing the goalpost; then the solver is asked an
accepted task as induction, deduction or abduction. In ``azr`` (Absolute Zero, arXiv 2505.03335, Algorithm 1)
the teacher invents a task of a kind drawn uniformly: a program and an input (deduction, abduction), shown K
earlier tasks of that kind, or inputs and a message for an earlier program (induction). With probability
``goalpost_rate`` an episode is instead one turn of ``attempts`` samples at the real problem; in ``rlvr`` all are.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gasp_env.curricula.base import Schedule
from gasp_env.domains.python import judge
from gasp_env.domains.python.domain import PythonDomain
from gasp_env.domains.python.gate import Rejected, Unscored
from gasp_env.domains.python.judge import Question
from gasp_env.domains.python.syntax import ParseError
from gasp_env.episode.outcome import Outcome, in_band
from gasp_env.episode.turns import MAX_PROMPT, Resolution, Turn, Verdict
from gasp_env.episode.view import SolverData, View, matches
from gasp_env.sandbox.runs import Result, Run, Status
from gasp_env.tasks import AXES, TASK_KINDS, Agent, Axis, Entry, Goalpost, Proposal, Stage, Task, TaskKind

#: Proposals of these kinds hold one input, and cannot be asked as induction: there is nothing to infer from.
SINGLE: tuple[TaskKind, ...] = ("deduction", "abduction")


@dataclass
class _Proposed:
    """A valid proposal that is being attempted."""

    turn: int
    task: Task
    parent: Entry | None
    relevance: float | None
    verdicts: list[Verdict] = field(default_factory=list)


class Episode:
    """One episode. See the module for the game; nothing here reads a clock, a file or a global.

    Args:
        domain: prompts, gate and limits.
        schedule: the order of stages, in numbers.
        goalposts: what the episode's goalpost is drawn from; may be empty where none is played.
        view: the library as it was when the episode began.
        seed: of everything the episode draws.
        goalpost: index of the goalpost to play, instead of a drawn one.

    Attributes:
        goalpost: the goalpost of this episode, None if it is unguided.
        axis: the axis of its variants, None if it has none.
        entries: valid tasks so far, for the driver to commit when the episode is over.
        done: whether the episode is over.
        truncated: whether it ended because the infrastructure failed.
    """

    def __init__(
        self,
        domain: PythonDomain,
        schedule: Schedule,
        goalposts: Sequence[Goalpost],
        view: View,
        seed: int,
        goalpost: int | None = None,
    ) -> None:
        self._domain = domain
        self._schedule = schedule
        self._gate = domain.gate(schedule.novelty, schedule.relevance)
        self._view = view
        self._goalposts = goalposts
        self._rng = np.random.default_rng(seed)
        # Everything is drawn before the options are looked at, so that pinning one thing leaves the rest as it was.
        is_goalpost_episode = self._rng.random() < schedule.goalpost_rate
        drawn = int(self._rng.integers(max(1, len(goalposts))))
        axis = AXES[int(self._rng.integers(len(AXES)))]
        guided = is_goalpost_episode or schedule.curriculum != "azr"
        self.goalpost = goalposts[drawn if goalpost is None else goalpost] if guided else None
        is_variant = guided and not is_goalpost_episode
        self.axis: Axis | None = None
        if is_variant:
            self.axis = axis if schedule.axis == "both" else schedule.axis
        self.entries: list[Entry] = []
        self.done = False
        self.truncated = False
        self._turns = 0
        self._turn: Turn | None = None
        self._sample = 0
        self._question: Question | None = None
        self._program: str | None = None
        self._proposed: _Proposed | None = None
        self._parent: Entry | None = None
        self._lifts = 0
        self._unscored = False
        # What each submitted text became, and how many results it takes to resolve them.
        self._pending: list[Proposal | Verdict | list[Run]] | None = None
        self._awaited = 0
        if is_goalpost_episode:
            self._open_goalpost()
        elif guided:
            self._open_lemma()
        else:
            self._open_proposal()

    @property
    def turn(self) -> Turn | None:
        """The open turn, None when the episode is over."""
        return self._turn

    @property
    def variant(self) -> tuple[Proposal, Goalpost] | None:
        """The submitted variant that waits for its results, and its goalpost: what relevance is measured of."""
        goalpost = self.goalpost
        proposal = next((item for item in self._pending or () if isinstance(item, Proposal)), None)
        if proposal is None or goalpost is None:
            return None
        if self._parent is not None and self._parent.task.goalpost != goalpost.id:
            known = (one for one in self._goalposts if one.id == self._parent.task.goalpost)
            goalpost = next(known, goalpost)
        return proposal, goalpost

    @property
    def view(self) -> View:
        """The library as this episode sees it."""
        return self._view

    def clone(self) -> Episode:
        """An independent copy at this point: a group of proposals is clones that go on with different texts."""
        twin = copy.copy(self)
        twin._rng = copy.deepcopy(self._rng)
        # A view does not change, but one that remembers what it was asked has to remember each of the two.
        twin._view = copy.copy(self._view)
        twin.entries = list(self.entries)
        if self._proposed is not None:
            twin._proposed = replace(self._proposed, verdicts=list(self._proposed.verdicts))
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
        pending: list[Proposal | Verdict | list[Run]] = []
        if turn.agent == "teacher_0":
            try:
                proposal = self._domain.style.parse_proposal(texts[0], self._program)
                runs = self._gate.runs(proposal, turn.kind or "induction")
                pending = [proposal]
            except (ParseError, Rejected) as refused:
                pending = [Verdict(refused.reason, str(refused))]
        else:
            assert self._question is not None
            for text in texts:
                asked = judge.ask(self._question, text, self._domain.style, self._domain.limits)
                runs += asked if isinstance(asked, list) else []
                pending.append(asked)
        self._pending, self._awaited = pending, len(runs)
        return runs

    def resolve(self, results: Sequence[Result], relevance: float | None = None) -> Resolution:
        """Take the results of the runs that `submit` asked for, in order, and move on.

        Args:
            results: one per run.
            relevance: of the submitted proposal, where the schedule asks for one; None there means that it
                could not be measured, and the proposal stays unscored.

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
            return self._resolve_proposal(turn, pending[0], results, relevance)
        return self._resolve_answers(turn, pending, results)

    def _resolve_answers(
        self, turn: Turn, pending: Sequence[Proposal | Verdict | list[Run]], results: Sequence[Result]
    ) -> Resolution:
        assert self._question is not None
        remaining = iter(results)
        verdicts: list[Verdict] = []
        for item in pending:
            assert not isinstance(item, Proposal)
            if isinstance(item, list):
                item = judge.decide(self._question, [next(remaining) for _ in item], item)
            verdicts.append(item)
        first, self._sample = self._sample, self._sample + len(verdicts)
        self._unscored |= not all(verdict.scored for verdict in verdicts)
        if self._proposed is not None:
            self._proposed.verdicts += verdicts
        outcomes: tuple[tuple[int, Outcome], ...] = ()
        if turn.samples > len(verdicts):
            self._turn = replace(turn, samples=turn.samples - len(verdicts))
        elif turn.stage == "attempt":
            outcomes = self._close_attempts()
        else:
            self._end(truncated=self._unscored and self._schedule.on_infra_error == "truncate")
        return Resolution(turn, first, tuple(verdicts), outcomes)

    def _resolve_proposal(
        self,
        turn: Turn,
        item: Proposal | Verdict | list[Run],
        results: Sequence[Result],
        relevance: float | None,
    ) -> Resolution:
        verdict = item
        kind = turn.kind or "induction"
        if isinstance(item, Proposal):
            try:
                task = self._gate.decide(
                    item,
                    results,
                    self._view,
                    stage=turn.stage,
                    axis=turn.axis,
                    goalpost=self.goalpost,
                    kind=kind,
                    parent=self._parent.task if self._parent else None,
                    own={entry.task.fingerprint for entry in self.entries if entry.accepted},
                    relevance=relevance,
                )
                if self.goalpost and self._schedule.relevance and relevance is None:
                    raise Unscored("the relevance could not be measured")
            except Rejected as rejected:
                verdict = Verdict(rejected.reason, str(rejected))
            except Unscored as unscored:
                verdict = Verdict(str(Status.INFRA_ERROR), str(unscored))
            else:
                self._proposed = _Proposed(turn.index, task, self._parent, relevance)
                self._question = Question.of_task(task, kind, 0)
                prompt = self._domain.style.solve(task, kind, 0)
                self._open("solver_0", "attempt", kind, prompt, self._schedule.attempts)
                return Resolution(turn, 0, (Verdict("valid"),), relevance=relevance)
        assert isinstance(verdict, Verdict)
        outcome = Outcome(
            stage=turn.stage,
            axis=turn.axis,
            goalpost=self._parent.task.goalpost
            if self._parent
            else self.goalpost.id
            if self.goalpost
            else None,
            reason=verdict.reason,
            scored=verdict.scored,
            kind=kind,
            parent=self._parent,
            problem=self.goalpost,
            relevance=relevance,
            library=self._view,
        )
        if not verdict.scored and self._schedule.on_infra_error == "truncate":
            self._end(truncated=True)
        else:
            self._go_on(turn.stage, None)
        return Resolution(turn, 0, (verdict,), ((turn.index, outcome),), relevance)

    def _close_attempts(self) -> tuple[tuple[int, Outcome], ...]:
        """The difficulty of the proposal is known: admit it or not, and go on."""
        proposed, self._proposed = self._proposed, None
        assert proposed is not None
        task, verdicts = proposed.task, proposed.verdicts
        samples = len(verdicts)
        correct = sum(verdict.correct for verdict in verdicts)
        scored = not self._unscored
        accepted = scored and in_band(correct, samples, self._schedule.admit[task.stage])
        entry = Entry(task, correct, samples, accepted)
        # What an unscored attempt would have been is not known, and neither is c; n is never shrunk.
        if scored:
            self.entries.append(entry)
        outcome = Outcome(
            stage=task.stage,
            axis=task.axis,
            goalpost=task.goalpost,
            reason="valid",
            correct=correct,
            samples=samples,
            attempts=tuple(verdict.reason for verdict in verdicts),
            answers=tuple(verdict.answer for verdict in verdicts),
            accepted=accepted,
            scored=scored,
            kind=task.kind,
            task=task,
            parent=proposed.parent,
            problem=self.goalpost,
            relevance=proposed.relevance,
            library=self._view,
        )
        if not scored and self._schedule.on_infra_error == "truncate":
            self._end(truncated=True)
        else:
            self._unscored = False
            self._go_on(task.stage, entry if scored else None)
        return ((proposed.turn, outcome),)

    def _go_on(self, stage: Stage, entry: Entry | None) -> None:
        """After a proposal is settled: another lift, or the solve turn. ``entry`` is what it became, if anything."""
        parent = None if stage == "propose" else self._to_lift(stage, entry)
        if parent is not None:
            self._open_lift(parent)
        else:
            self._open_solve()

    def _to_lift(self, stage: Stage, entry: Entry | None) -> Entry | None:
        if self._lifts >= self._schedule.lifts:
            return None
        source = self._schedule.lift_from
        if entry is not None and (entry.accepted or source == "valid"):
            return entry
        if source == "library" and stage == "lemma":
            return self._draw_from_view("accepted", None)
        return None

    def _open_lemma(self) -> None:
        assert self.goalpost is not None
        assert self.axis is not None
        domain = self._domain
        sees = self._schedule.sees or domain.sees
        prompt = domain.style.lemma(self.goalpost, sees, self.axis, domain.rules)
        self._open("teacher_0", "lemma", None, prompt, 1)

    def _open_lift(self, parent: Entry) -> None:
        assert self.goalpost is not None
        assert self.axis is not None
        domain, schedule = self._domain, self._schedule
        self._parent = parent
        self._lifts += 1
        self.axis = parent.task.axis or self.axis
        if schedule.lift_sees_goalpost:
            sees = schedule.sees or domain.sees
            prompt = domain.style.sighted_lift(parent.task, self.goalpost, sees, self.axis, domain.rules)
        else:
            prompt = domain.style.lift(parent.task, self.axis, domain.rules)
        self._open("teacher_0", "lift", None, prompt, 1)

    def _open_proposal(self) -> None:
        """Ask for a task of a kind drawn uniformly; its references come from the seeds and from the view."""
        domain = self._domain
        kind = TASK_KINDS[int(self._rng.integers(len(TASK_KINDS)))]
        if kind == "induction":
            source = SINGLE[int(self._rng.integers(len(SINGLE)))]
            self._program = self._references(source, 1)[0].program
            references: list[Task] = []
        else:
            references = self._references(kind, self._schedule.references)
        prompt = domain.style.propose(kind, references, self._program, domain.rules)
        while len(prompt) > MAX_PROMPT and references:
            references.pop()
            prompt = domain.style.propose(kind, references, self._program, domain.rules)
        self._open("teacher_0", "propose", kind, prompt, 1)

    def _references(self, kind: TaskKind, count: int) -> list[Task]:
        seeds = [task for task in self._domain.seeds() if task.kind == kind]
        available = len(seeds) + self._view.size("all", kind)
        drawn = self._rng.choice(available, size=min(count, available), replace=False)
        return [
            seeds[i] if i < len(seeds) else self._view.entry("all", int(i) - len(seeds), kind).task
            for i in drawn
        ]

    def _open_goalpost(self) -> None:
        assert self.goalpost is not None
        self._question = Question.of_goalpost(self.goalpost)
        prompt = self._domain.style.goalpost(self.goalpost)
        self._open("solver_0", "goalpost", "induction", prompt, self._schedule.attempts)

    def _open_solve(self) -> None:
        """Ask the solver one task, or end the episode if there is none."""
        data = self._schedule.solver_data
        own = [entry for entry in self.entries if matches(entry, data)]
        if own and self._schedule.solving == "same_step":
            entry: Entry | None = own[int(self._rng.integers(len(own)))]
        else:
            entry = self._draw_from_view(data, None)
        if entry is None:
            self._end(truncated=False)
            return
        task = entry.task
        kinds = TASK_KINDS if task.kind == "induction" else SINGLE
        kind = kinds[int(self._rng.integers(len(kinds)))]
        if not self._schedule.convert:
            kind = task.kind
        index = int(self._rng.integers(len(task.inputs)))
        self._question = Question.of_task(task, kind, index)
        self._open("solver_0", "solve", kind, self._domain.style.solve(task, kind, index), 1)

    def _draw_from_view(self, data: SolverData, kind: TaskKind | None) -> Entry | None:
        size = self._view.size(data, kind)
        return self._view.entry(data, int(self._rng.integers(size)), kind) if size else None

    def _open(self, agent: Agent, stage: Stage, kind: TaskKind | None, prompt: str, samples: int) -> None:
        if len(prompt) > MAX_PROMPT:
            raise ValueError(
                f"expected prompts of at most {MAX_PROMPT} characters, got {len(prompt)} for stage {stage}: the "
                f"prompt style {self._domain.style.name!r} shows more than fits"
            )
        axis = self.axis if stage in ("lemma", "lift", "attempt") else None
        self._turn = Turn(self._turns, agent, stage, kind, axis, prompt, samples)
        self._turns += 1
        self._sample = 0

    def _end(self, *, truncated: bool) -> None:
        self._turn = None
        self.done = True
        self.truncated = truncated
