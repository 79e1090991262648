"""Ask a policy, judge its texts, and keep a row of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from benchmarks.llm_plays.situations import Situation, asked_again
from gasp_env.curricula.gasp import Gasp
from gasp_env.domains.python.domain import PythonDomain
from gasp_env.domains.python.gate import CHECKS
from gasp_env.episode.turns import CutOff, Judged, Lost, Verdict
from gasp_env.policies import Policy, Sampling, complete
from gasp_env.sandbox import Sandbox
from gasp_env.tasks import Task

#: Reasons of a text that could not be read: no program, no calls, no value, or a choice between several.
UNREADABLE = frozenset({*CHECKS["parsing"], "malformed", "ambiguous", "cut_off"})
#: Reasons of a proposal that copies what its prompt shows.
COPIES = frozenset({"copies_goalpost", "copies_example", "duplicate"})


@dataclass(frozen=True)
class Row:
    """One text, and what became of it.

    Attributes:
        id, stage, kind: of its situation.
        text: as it was submitted; the second one of a proposal in two steps.
        tokens: sampled for it, the draft included; 0 where an engine cannot tell.
        reason, detail: the verdict; a cut off text is ``cut_off`` though it may be readable.
        correct, samples: attempts at the proposed task; 0 of 0 if there were none.
        draft: the first text of a proposal in two steps; empty otherwise.
    """

    id: str
    stage: str
    kind: str
    text: str
    tokens: int
    reason: str
    detail: str = ""
    correct: int = 0
    samples: int = 0
    draft: str = ""

    @property
    def readable(self) -> bool:
        """True unless the text could not be read."""
        return self.reason not in UNREADABLE

    @property
    def scored(self) -> bool:
        """True unless the policy gave no text, or the sandbox failed."""
        return self.reason != "infra_error"

    @property
    def valid(self) -> bool:
        """True for a valid proposal, and for a right answer."""
        return self.reason in ("valid", "correct")

    @property
    def accepted(self) -> bool:
        """True if the attempts put the proposal into the band of its stage."""
        low, high = _BANDS.get(self.stage, (0, 10))
        return self.samples > 0 and low * self.samples <= 10 * self.correct <= high * self.samples

    def record(self) -> dict[str, Any]:
        """JSON-able values."""
        return asdict(self)


_BANDS = {stage: Gasp().band(stage) for stage in ("lemma", "lift")}


CUT_OFF = Judged(Verdict("cut_off", "the text was cut off before its end"))


def ask(
    policy: Policy, name: str, situations: Sequence[Situation], sampling: Sampling
) -> list[tuple[str, int]]:
    """One text for each situation, with the number of its tokens."""
    prompts = [situation.prompt for situation in situations]
    given = complete(policy, name, prompts, [1] * len(prompts), sampling)
    return [(one.submission, len(one.ids)) for (one,) in given]


def judge_drafts(
    situations: Sequence[Situation], texts: Sequence[tuple[str, int]], sandbox: Sandbox
) -> tuple[list[Row], list[Situation]]:
    """A row for each draft, which has no text yet; and the second questions of those that can be completed."""
    decided = decide(situations, [text for text, _ in texts], sandbox)
    rows, _ = judge(situations, texts, sandbox)
    rows = [replace(row, draft=row.text, text="") for row in rows]
    second = [
        situation.complete(one.draft)
        for situation, one in zip(situations, decided, strict=True)
        if situation.complete is not None and one.draft is not None
    ]
    return rows, second


def completed(
    drafts: Sequence[Row], found: Sequence[Row], tasks: Sequence[Task | None]
) -> tuple[list[Row], list[Task | None]]:
    """The rows of proposals in two steps: those of their second texts, and of drafts that had none."""
    second = {row.id: (row, task) for row, task in zip(found, tasks, strict=True)}
    pairs = [second.get(row.id, (row, None)) for row in drafts]
    rows = [
        replace(row, draft=draft.draft, tokens=row.tokens + draft.tokens) if row is not draft else row
        for draft, (row, _) in zip(drafts, pairs, strict=True)
    ]
    return rows, [task for _, task in pairs]


def judge(
    situations: Sequence[Situation], texts: Sequence[tuple[str, int]], sandbox: Sandbox
) -> tuple[list[Row], list[Task | None]]:
    """A row for each text, and the task that it became."""
    decided = decide(situations, [text for text, _ in texts], sandbox)
    rows = [
        Row(
            situation.id,
            situation.stage,
            situation.kind,
            str(text),
            tokens,
            one.verdict.reason,
            one.verdict.detail,
        )
        for situation, (text, tokens), one in zip(situations, texts, decided, strict=True)
    ]
    return rows, [one.task for one in decided]


def decide(situations: Sequence[Situation], texts: Sequence[str], sandbox: Sandbox) -> list[Judged]:
    """The decision on each text; all runs are executed in one batch."""
    read = [
        CUT_OFF
        if isinstance(text, CutOff)
        else Judged(Verdict("infra_error", text.reason))
        if isinstance(text, Lost)
        else situation.read(text)
        for situation, text in zip(situations, texts, strict=True)
    ]
    runs = [run for one in read if not isinstance(one, Judged) for run in one.runs]
    results = iter(sandbox.run_many(runs))
    return [
        one if isinstance(one, Judged) else one.decide([next(results) for _ in one.runs], None)
        for one in read
    ]


def attempt(
    domain: PythonDomain,
    policy: Policy,
    name: str,
    tasks: Mapping[str, Task],
    attempts: int,
    sampling: Sampling,
    sandbox: Sandbox,
) -> dict[str, int]:
    """Number of right attempts at each task; a task of which an attempt was lost by the sandbox is left out."""
    asked = [asked_again(domain, task, key) for key, task in tasks.items()]
    given = complete(policy, name, [one.prompt for one in asked], [attempts] * len(asked), sampling)
    situations = [one for one in asked for _ in range(attempts)]
    texts = [one.submission for completions in given for one in completions]
    decided = iter(decide(situations, texts, sandbox))
    found = {}
    for key in tasks:
        verdicts = [next(decided).verdict for _ in range(attempts)]
        if all(verdict.scored for verdict in verdicts):
            found[key] = sum(verdict.correct for verdict in verdicts)
    return found
