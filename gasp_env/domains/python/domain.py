"""The Python domain: programs, executed in the sandbox and judged on the host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from gasp_env.domains.base import Domain, Request, Sees
from gasp_env.domains.python import judge, triplet
from gasp_env.domains.python.gate import Gate, Rejected, Unscored, check_draft, left_out, select_inputs
from gasp_env.domains.python.imports import with_imports
from gasp_env.domains.python.judge import Question
from gasp_env.domains.python.prompts import PromptStyle
from gasp_env.domains.python.rules import GateRules
from gasp_env.domains.python.syntax import ParseError
from gasp_env.domains.python.triplet import Proposal, Triplet
from gasp_env.episode.turns import Judged, Pending, Verdict
from gasp_env.goalposts import files
from gasp_env.library import embedders
from gasp_env.records import Record
from gasp_env.sandbox.runs import Limits, Result, Status
from gasp_env.tasks import TASK_KINDS, Arguments, Goalpost, Task
from gasp_env.values import encode

#: Kinds whose proposals hold a single input. They cannot be asked as induction, which infers from several
#: pairs.
SINGLE = ("deduction", "abduction")


def _none() -> tuple[Any, ...]:
    return ()


@dataclass(frozen=True)
class PythonDomain(Domain):
    """A Python domain.

    Attributes:
        name: for transcripts and manifests.
        style: prompts and parser.
        builtin_goalposts: function that loads the domain's own set.
        rules: see `GateRules`.
        limits: limits of every run of the gate and of the judge.
        probes: inputs for novelty. If there are any, two programs that agree on them count as the same task.
        sees: part of a goalpost that is shown to the teacher, unless the env's options choose another.
        builtin_seeds: function that loads the initial deduction and abduction tasks of an unguided
            curriculum.
        novelty: ``off``, ``exact`` or an embedder.
    """

    name: str
    style: PromptStyle
    builtin_goalposts: Callable[[], tuple[Goalpost, ...]]
    rules: GateRules = field(default_factory=GateRules)
    limits: Limits = field(default_factory=Limits)
    probes: tuple[Arguments, ...] = ()
    sees: Sees = "statement"
    builtin_seeds: Callable[[], tuple[Task, ...]] = _none
    novelty: str = "exact"
    kinds: tuple[str, ...] = TASK_KINDS
    version: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "style", self.style.with_rules(self.rules))

    def with_novelty(self, novelty: str) -> PythonDomain:
        """See `Domain.with_novelty`."""
        return replace(self, novelty=novelty)

    def goalposts(self) -> tuple[Goalpost, ...]:
        """See `Domain.goalposts`."""
        return self.builtin_goalposts()

    def seeds(self) -> tuple[Task, ...]:
        """See `Domain.seeds`."""
        return self.builtin_seeds()

    @cached_property
    def gate(self) -> Gate:
        """The checks that a proposal must pass, with this domain's novelty."""
        neural = self.novelty not in ("off", "exact")
        threshold = embedders.get(self.novelty).threshold if neural else None
        seeds = frozenset(task.fingerprint for task in self.seeds())
        return Gate(
            self.rules, self.limits, self.probes, self.novelty != "off", threshold, seeds, self.style.examples
        )

    def read_proposal(self, text: str, request: Request) -> Judged | Pending:
        """Parse and check a proposal. One that passes the static checks returns the runs that decide it.

        A ``valid`` proposal carries its task. Rejections have the reasons
        `gasp_env.domains.python.gate.REASONS`.
        """
        draft: Proposal | None = request.draft
        try:
            given = request.given.content.program if request.given else None
            proposal = self._parsed(
                self.style.parse_proposal(text, draft.program if draft is not None else given)
            )
            if draft is not None:
                proposal = replace(proposal, message=draft.message)
            proposal = select_inputs(proposal, self.rules, request.kind)
            runs = self.gate.runs(proposal, request.kind)
        except (ParseError, Rejected) as refused:
            return Judged(Verdict(refused.reason, str(refused)))

        def decide(results: Sequence[Result], relevance: float | None) -> Judged:
            try:
                task = self.gate.decide(proposal, results, request)
            except Rejected as rejected:
                return Judged(Verdict(rejected.reason, str(rejected)))
            except Unscored as unscored:
                return Judged(Verdict(str(Status.INFRA_ERROR), str(unscored)))
            return Judged(Verdict("valid", left_out(proposal, task)), task)

        return Pending(runs, decide, proposal)

    def read_draft(self, text: str, request: Request) -> Judged:
        """Parse and check the program and the hint of a proposal, without inputs. See `Domain.read_draft`.

        One that passes the checks that need no inputs is ``drafted``; rejections have the reasons of proposals.
        """
        try:
            draft = self._parsed(self.style.parse_draft(text))
            check_draft(draft, self.rules)
        except (ParseError, Rejected) as refused:
            return Judged(Verdict(refused.reason, str(refused)))
        return Judged(Verdict("drafted"), draft=draft)

    def _parsed(self, proposal: Proposal) -> Proposal:
        return replace(proposal, program=with_imports(proposal.program, self.rules.imports))

    def read_answer(self, question: Question, text: str) -> Judged | Pending:
        """Judge an answer by `gasp_env.domains.python.judge`."""
        asked = judge.ask(question, text, self.style, self.limits)
        if isinstance(asked, Verdict):
            return Judged(asked)
        return Pending(asked, lambda results, _: Judged(judge.decide(question, results, asked)))

    def question(self, task: Task, kind: str, index: int) -> Question:
        """See `Domain.question`: deduction and abduction are about pair ``index``, induction about the hidden ones."""
        return replace(Question.of_task(task, kind, index), prompt=self.style.solve(task, kind, index))

    def problem(self, goalpost: Goalpost) -> Question:
        """See `Domain.problem`: an induction question whose program must pass every test."""
        return replace(Question.of_goalpost(goalpost), prompt=self.style.goalpost(goalpost))

    def asked_as(self, task: Task) -> tuple[str, ...]:
        """See `Domain.asked_as`: a task with a single pair cannot be asked as induction."""
        return TASK_KINDS if task.kind == "induction" else SINGLE

    def builds_on(self, kind: str) -> tuple[str, ...]:
        """See `Domain.builds_on`: an induction proposal adds inputs and a message to another kind's
        program."""
        return SINGLE if kind == "induction" else ()

    def pairs(self, task: Task) -> int:
        """See `Domain.pairs`."""
        return len(task.content.inputs)

    def check_goalposts(self, goalposts: Sequence[Goalpost]) -> tuple[Goalpost, ...]:
        """See `Domain.check_goalposts`: the checks of a goalpost file, so that they can be stored and
        replayed."""
        checked = tuple(
            files.from_record(files.to_record(goalpost), f"goalpost {goalpost.id!r}")
            for goalpost in goalposts
        )
        for goalpost in checked:
            if goalpost.rule == "livecodebench":  # every test is executed alone, and has been checked alone
                continue
            try:
                encode(list(goalpost.inputs))
            except ValueError as error:
                raise ValueError(
                    f"goalpost {goalpost.id!r}: its tests do not fit into one run: {error}"
                ) from error
        return checked

    def read_content(self, record: Mapping[str, Any], kind: str, reader: Record, field: str) -> Triplet:
        """See `Domain.read_content`."""
        return triplet.read(record, kind, reader, field)

    def goalpost_record(self, goalpost: Goalpost) -> dict[str, Any]:
        """See `Domain.goalpost_record`: as in a goalpost file."""
        return files.to_record(goalpost)

    def read_goalpost(self, record: Any, where: str) -> Goalpost:
        """See `Domain.read_goalpost`."""
        return files.from_record(record, where)
