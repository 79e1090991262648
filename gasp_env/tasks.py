"""The nouns of the game: goalposts, proposals and tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Protocol

Axis = Literal["io", "f", "none"]
TaskKind = Literal["induction", "deduction", "abduction"]

#: Axes that are drawn from; ``none`` (no constraint on the variant) has to be asked for.
AXES: tuple[Axis, ...] = ("io", "f")
TASK_KINDS: tuple[TaskKind, ...] = ("induction", "deduction", "abduction")

#: How answers to a problem are compared: see `gasp_env.domains.python.judge`.
Rule = Literal["exact", "livecodebench"]
RULES: tuple[Rule, ...] = ("exact", "livecodebench")

Arguments = tuple[Any, ...]


@dataclass(frozen=True)
class Evidence:
    """Evidence that a goalpost is hard: ``model`` solved it ``correct`` times in ``samples`` tries."""

    model: str
    samples: int
    correct: int


@dataclass(frozen=True)
class Goalpost:
    """A real problem.

    Attributes:
        id: unique within its set.
        statement: the problem as posed to a person.
        signature: the line the program must define, such as ``def f(nums: list[int]) -> int``.
        inputs: argument tuples of the tests.
        outputs: the right value for each.
        shown: how many of the tests, from the first, a solver may be shown.
        reference: a program that passes every test, or None.
        evidence: measurements of its hardness.
        tags, difficulty: for filtering; difficulty is one of easy, medium, hard.
        entry: the function to call: ``f``, another function, a method as ``Solution.name``, or empty: then the
            whole program runs, and a test's input is one text on standard input, its output the printed text.
        rule: how answers are compared.
        prelude: lines that stand before every answer when it runs, such as imports and helpers; empty for none. An
            answer may repeat them. Prompts do not show it: the statement says what of it a solver has to know.
    """

    id: str
    statement: str
    signature: str = ""
    inputs: tuple[Arguments, ...] = ()
    outputs: tuple[Any, ...] = ()
    shown: int = 0
    reference: str | None = None
    evidence: tuple[Evidence, ...] = ()
    tags: tuple[str, ...] = ()
    difficulty: str = "medium"
    entry: str = "f"
    rule: Rule = "exact"
    prelude: str = ""


class Content(Protocol):
    """The content of a task; it belongs to the task's domain."""

    @property
    def text(self) -> str:
        """The text that embedders read."""
        ...

    @property
    def variant(self) -> str:
        """A text that tells tasks of one fingerprint apart, such as a lift that changed only the inputs."""
        ...

    def record(self) -> dict[str, Any]:
        """JSON-able values, from which the domain reads the content back. No field of `Task` is among them."""
        ...


@dataclass(frozen=True)
class Task:
    """A verified task: its content and where it came from.

    Attributes:
        content: the domain's, for Python a program with inputs, outputs and a message.
        fingerprint: compared for novelty: equal for tasks that count as the same.
        stage, axis, goalpost: of the proposal (``goalpost`` is an id; axis and goalpost are None for an
            unguided one).
        parent: fingerprint of the task a lift was made from, else None.
        kind: task kind it was proposed as. The teacher of a guided curriculum writes induction tasks.
    """

    content: Any
    fingerprint: str
    stage: str
    axis: Axis | None = None
    goalpost: str | None = None
    parent: str | None = None
    kind: str = "induction"

    @property
    def key(self) -> str:
        """A text that is equal for tasks of which a library, or a batch, keeps one.

        It is the fingerprint. A lift that changed only the inputs of its lemma has the lemma's; its variant tells it
        apart.
        """
        if self.fingerprint != self.parent:
            return self.fingerprint
        return f"{self.fingerprint} {self.content.variant}"


@dataclass(frozen=True)
class Entry:
    """A task of a library, with its measured difficulty.

    Attributes:
        task: the verified task; it carries its teacher's program and says where it came from.
        correct, samples: its difficulty: ``correct`` of ``samples`` attempts were right.
        accepted: True if that lies within the band of its stage.
        step: training step it was made in; 0 if unknown.
        id: given by the library that holds it: from 1, in order; 0 outside of one. Fingerprints are not
            unique: a task may first be too hard and later be accepted, and a lift that changed only the
            inputs of its lemma has the lemma's.
        parent: ``id`` of the entry its task was lifted from, which may have been evicted since; 0 if it is
            no lift, or one of a task that this library never held.
    """

    task: Task
    correct: int
    samples: int
    accepted: bool
    step: int = 0
    id: int = 0
    parent: int = 0
