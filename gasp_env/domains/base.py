"""Domains: problem types. A domain writes the prompts, parses proposals and answers, and stores its tasks.

A game has a text judged through `read_proposal` and `read_answer` only. Each returns a decision, or the runs
that are needed for one. A domain that needs no execution never opens a sandbox. A domain of your own is a
subclass of `Domain` in one file (``examples/my_domain.py``), chosen by ``module:name`` or ``file.py:name``.
"""

from __future__ import annotations

import copy
import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from gasp_env.episode.turns import Judged, Pending
from gasp_env.episode.view import View
from gasp_env.records import Record, RecordError
from gasp_env.tasks import Axis, Goalpost, Task

#: Part of a goalpost that the teacher is shown when it writes a lemma.
Sees = Literal["statement", "tests", "reference"]


@dataclass(frozen=True)
class Request:
    """A request for a proposal.

    Attributes:
        stage: the stage of the proposal.
        kind: the requested task kind.
        view: the library against which novelty is checked.
        own: fingerprints of tasks that were accepted earlier in the same episode.
        axis: the axis along which a variant differs from its original.
        goalpost: the episode's goalpost; None if the episode is unguided.
        parent: the task that a lift is made from. Novelty does not compare a lift with its parent, but an
            identical task is still a duplicate.
        given: the task that the proposal builds on.
        draft: the first part of the proposal, in a game that asks for it in two steps (`Domain.read_draft`).
    """

    stage: str
    view: View
    kind: str = "induction"
    own: frozenset[str] = frozenset()
    axis: Axis | None = None
    goalpost: Goalpost | None = None
    parent: Task | None = None
    given: Task | None = None
    draft: Any = None

    def task(self, content: Any, fingerprint: str) -> Task:
        """The task of a valid proposal, with its provenance."""
        parent, goalpost = self.parent, self.goalpost
        return Task(
            content=content,
            fingerprint=fingerprint,
            stage=self.stage,
            axis=self.axis,
            # A lift inherits its parent's goalpost, even in an episode with another goalpost.
            goalpost=parent.goalpost if parent is not None else goalpost.id if goalpost is not None else None,
            parent=parent.fingerprint if parent is not None else None,
            kind=self.kind,
        )


class Question(Protocol):
    """A question to the solver. A domain adds the fields that its `Domain.read_answer` needs.

    Attributes:
        prompt: the text that the solver reads.
        kind: task kind, None where there are none.
    """

    @property
    def prompt(self) -> str:
        """The text that the solver reads."""
        ...

    @property
    def kind(self) -> str | None:
        """Task kind."""
        ...


class Domain(ABC):
    """A problem type: its prompts, its parser and its judge.

    Attributes:
        name: the domain's name for `gasp_env.domains.get`; transcripts and manifests store it.
        style: the prompts, one method for each stage of the curriculum (``lemma(goalpost, sees, axis)``,
            ``lift(task, axis)``, ``sighted_lift(task, goalpost, sees, axis)``, ``propose(kind, references, given)``);
            for proposals in two steps, ``drafting()`` gives a style that asks for drafts, and ``complete(draft)`` asks
            for the rest of one.
        kinds: task kinds requested from an unguided teacher; the first is the kind of variants.
        executes: False if the domain executes nothing; then no sandbox is opened.
        version: version of the rules (prompts, parser, gate). Stored episodes record it; replay requires an
            equal one.
        novelty: default novelty check, used unless the curriculum or the env chooses one.
        sees: part of a goalpost that is shown to the teacher, unless the env's options choose another.
    """

    name: str
    style: Any
    kinds: tuple[str, ...]
    executes: bool = True
    version: int = 1
    novelty: str = "exact"
    sees: Sees = "statement"

    @abstractmethod
    def read_proposal(self, text: str, request: Request) -> Judged | Pending:
        """Read a proposal. A valid one carries its task, with ``stage``, ``axis`` and the rest as requested.

        A `Pending` holds the parsed proposal, so that its relevance can be measured.
        """

    def read_draft(self, text: str, request: Request) -> Judged | Pending:
        """Read the first part of a proposal in two steps. One that can be completed carries ``draft``."""
        raise NotImplementedError(f"{type(self).__name__}.read_draft")

    @abstractmethod
    def read_answer(self, question: Any, text: str) -> Judged | Pending:
        """Read an answer to a question."""

    @abstractmethod
    def question(self, task: Task, kind: str, index: int) -> Question:
        """Ask a task as the given kind; ``index``, below `pairs`, selects one of its possible questions."""

    @abstractmethod
    def problem(self, goalpost: Goalpost) -> Question:
        """Ask a real problem."""

    @abstractmethod
    def goalposts(self) -> tuple[Goalpost, ...]:
        """The domain's own goalposts."""

    def with_novelty(self, novelty: str) -> Domain:
        """The same domain with another check for new proposals."""
        twin = copy.copy(self)
        twin.novelty = novelty
        return twin

    def seeds(self) -> tuple[Task, ...]:
        """Initial tasks of an unguided curriculum, which needs at least one."""
        return ()

    def asked_as(self, task: Task) -> tuple[str, ...]:
        """Kinds as which a task can be asked."""
        return (task.kind,)

    def builds_on(self, kind: str) -> tuple[str, ...]:
        """Kinds of the earlier task on which an unguided proposal of this kind builds; empty if it needs
        none."""
        return ()

    def pairs(self, task: Task) -> int:
        """Number of questions that can be asked about a task."""
        return 1

    def check_goalposts(self, goalposts: Sequence[Goalpost]) -> tuple[Goalpost, ...]:
        """Refuse goalposts that could not be played or stored.

        Raises:
            ValueError: names the goalpost and the fix.
        """
        return tuple(goalposts)

    def read_content(self, record: Mapping[str, Any], kind: str, reader: Record, field: str) -> Any:
        """Read the content of a task back from ``content.record()``; see `gasp_env.tasks.Content`.

        Args:
            record: its fields.
            kind: task kind of the task.
            reader: raises the errors (`gasp_env.records.Record.refuse`).
            field: name of the record within its file, for messages.

        Raises:
            gasp_env.records.RecordError: the record does not have the expected form.
        """
        raise NotImplementedError(f"{type(self).__name__}.read_content")

    def goalpost_record(self, goalpost: Goalpost) -> dict[str, Any]:
        """A goalpost as JSON-able values, for transcripts."""
        return dataclasses.asdict(goalpost)

    def read_goalpost(self, record: Any, where: str) -> Goalpost:
        """Read a goalpost back from its `goalpost_record`; ``where`` names the place in messages.

        Raises:
            gasp_env.records.RecordError: the record does not have the expected form.
        """
        try:
            return Goalpost(**record)
        except TypeError as error:
            raise RecordError(f"{where}: expected a goalpost of domain {self.name!r} ({error})") from None
