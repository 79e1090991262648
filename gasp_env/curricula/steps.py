"""Parts of games: a proposal and the attempts at it, a solve turn, a goalpost turn.

Each part is a generator, used with ``yield from``. It settles outcomes as they become known. It also ends the
episode after a failure of the infrastructure, so that games need not handle one.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from functools import partial
from typing import Any

from gasp_env.curricula.base import stage_of
from gasp_env.domains.base import Request
from gasp_env.episode.machine import Context, Truncated
from gasp_env.episode.outcome import Outcome, in_band
from gasp_env.episode.turns import Ask, Judged, Pending, Settled, Verdict
from gasp_env.episode.view import SolverData, matches
from gasp_env.sandbox.runs import Status
from gasp_env.tasks import AXES, Axis, Entry, Goalpost, Task

Answers = tuple[Judged, ...]


def deal(context: Context, axes: str = "both") -> tuple[bool, int, Axis]:
    """Draw an episode's parameters: True for a goalpost turn, the index of the goalpost, and an axis.

    All draws precede the use of options, so that pinning one parameter does not change the others.
    """
    real = context.rng.random() < context.options.goalpost_rate
    drawn = int(context.rng.integers(max(1, len(context.goalposts))))
    axis = AXES[int(context.rng.integers(len(AXES)))]
    index = drawn if context.pinned is None else context.pinned
    return real, index, axis if axes == "both" else axes  # type: ignore[return-value]  # an Axis, checked as an option


def propose(
    context: Context,
    stage: str,
    prompt: str,
    *,
    kind: str | None = None,
    axis: Axis | None = None,
    goalpost: Goalpost | None = None,
    parent: Entry | None = None,
    given: Task | None = None,
    drafted: bool = False,
) -> Generator[Ask, Answers, Entry | None]:
    """A proposal, the attempts at it, and its outcome.

    Args:
        context: the game's world.
        stage: the stage of the proposal.
        prompt: the text that the proposing agent reads.
        kind: the requested task kind; None for the domain's first.
        axis: the axis along which a variant differs from its original.
        goalpost: the goalpost of the proposal.
        parent: the entry that a lift is made from.
        given: the task that the proposal builds on.
        drafted: make it in two turns: ``prompt`` asks for a draft, in the stage `draft_of` this one, and the domain's
            style for what completes it. Both texts earn the reward. A draft that cannot be completed is the proposal.

    Returns:
        Its library entry; None if the proposal is invalid or its difficulty is unknown.
    """
    options, domain = context.options, context.domain
    asked = kind or domain.kinds[0]
    request = Request(
        stage=stage,
        kind=asked,
        view=context.view,
        own=frozenset(entry.task.fingerprint for entry in context.entries if entry.accepted),
        axis=axis,
        goalpost=goalpost,
        parent=parent.task if parent else None,
        given=given,
    )
    role = stage_of(options.stages, stage).role
    drafts: tuple[int, ...] = ()
    if drafted:
        reads = partial(domain.read_draft, request=request)
        (proposed,) = yield Ask(role, draft_of(stage), prompt, reads, kind=kind, axis=axis, proposal=True)
        if proposed.draft is not None:
            drafts, prompt = (context.turn,), domain.style.complete(proposed.draft)
            request = replace(request, draft=proposed.draft)
    if not drafted or drafts:
        read = partial(_read_proposal, context, request)
        (proposed,) = yield Ask(role, stage, prompt, read, kind=kind, axis=axis, proposal=True)
    turn, task = context.turn, proposed.task
    answers: Answers = ()
    if task is not None:
        question = domain.question(task, asked, 0)
        attempt = stage_of(options.stages, "attempt")
        answers = yield Ask(
            attempt.role,
            "attempt",
            question.prompt,
            partial(domain.read_answer, question),
            options.attempts,
            asked,
            axis,
            question=question,
        )
    verdicts = [one.verdict for one in answers]
    scored = proposed.verdict.scored and all(verdict.scored for verdict in verdicts)
    correct = sum(verdict.correct for verdict in verdicts)
    accepted = scored and task is not None and in_band(correct, len(verdicts), options.band(stage))
    entry = None
    # An unscored attempt has no known answer, so c is unknown too. n is never reduced to the scored ones.
    if task is not None and scored:
        entry = Entry(task, correct, len(verdicts), accepted)
        context.entries.append(entry)
    origin = parent.task.goalpost if parent else goalpost.id if goalpost else None
    settle(
        context,
        turn,
        role,
        Outcome(
            stage=stage,
            axis=axis,
            goalpost=origin,
            reason=proposed.verdict.reason,
            correct=correct,
            samples=len(verdicts),
            attempts=tuple(verdict.reason for verdict in verdicts),
            answers=tuple(verdict.answer for verdict in verdicts),
            accepted=accepted,
            scored=scored,
            kind=asked,
            task=task,
            parent=parent,
            problem=goalpost,
            relevance=proposed.relevance,
            library=context.view,
        ),
        drafts=drafts,
    )
    end_if_unscored(context, scored)
    return entry


def draft_of(stage: str) -> str:
    """The stage of the first turn of a proposal in two."""
    return f"{stage}_draft"


def solve(context: Context) -> Generator[Ask, Answers, None]:
    """Ask the solver a task of this episode or of the library, as one of its kinds; skip if there is none."""
    options, domain = context.options, context.domain
    own = [entry for entry in context.entries if matches(entry, options.solver_data)]
    if own and options.solving == "same_step":
        entry: Entry | None = own[int(context.rng.integers(len(own)))]
    else:
        entry = draw(context, options.solver_data)
    if entry is None:
        return
    task = entry.task
    kinds = domain.asked_as(task)
    kind = kinds[int(context.rng.integers(len(kinds)))]
    kind = kind if options.convert else task.kind
    index = int(context.rng.integers(domain.pairs(task)))
    yield from answer(context, "solve", domain.question(task, kind, index), 1)


def real_problem(context: Context, goalpost: Goalpost) -> Generator[Ask, Answers, Answers]:
    """Ask for the goalpost itself, n times."""
    return (
        yield from answer(context, "goalpost", context.domain.problem(goalpost), context.options.attempts)
    )


def answer(
    context: Context, stage: str, question: Any, samples: int, *, prompt: str | None = None
) -> Generator[Ask, Answers, Answers]:
    """Request a turn whose texts answer a question; ``prompt`` replaces the question's own prompt."""
    role = stage_of(context.options.stages, stage).role
    read = partial(context.domain.read_answer, question)
    shown = question.prompt if prompt is None else prompt
    answers = yield Ask(role, stage, shown, read, samples, question.kind, question=question)
    end_if_unscored(context, all(one.verdict.scored for one in answers))
    return answers


def draw(context: Context, data: SolverData) -> Entry | None:
    """Draw an entry of that sort from the library; None if it has none."""
    size = context.view.size(data, None)
    return context.view.entry(data, int(context.rng.integers(size)), None) if size else None


def settle(
    context: Context, turn: int, role: str, outcome: Outcome, sample: int = 0, drafts: tuple[int, ...] = ()
) -> None:
    """Record an outcome. It rewards a text of an earlier turn of that role, and its drafts in the turns before."""
    context.settled.append(Settled(turn, context.agent(role), outcome, sample, drafts))


def end_if_unscored(context: Context, scored: bool) -> None:
    """End the episode after a failure of the infrastructure, unless the env's options continue it.

    Raises:
        Truncated: the episode ends here. No game handles it.
    """
    if not scored and context.on_infra_error == "truncate":
        raise Truncated


def _read_proposal(context: Context, request: Request, text: str) -> Judged | Pending:
    """Have the domain read a proposal, and request its relevance if the options use one."""
    item = context.domain.read_proposal(text, request)
    rule, goalpost = context.relevance, request.goalpost
    if rule is None or goalpost is None or isinstance(item, Judged):
        return item
    if request.parent is not None and request.parent.goalpost != goalpost.id:
        # A lift inherits its parent's goalpost.
        known = (one for one in context.goalposts if one.id == request.parent.goalpost)
        goalpost = next(known, goalpost)

    def decide(results: Any, relevance: float | None) -> Judged:
        judged = replace(item.decide(results, None), relevance=relevance)
        if judged.task is None:
            return judged
        if relevance is None:
            said = Verdict(str(Status.INFRA_ERROR), "the relevance could not be measured")
            return Judged(said, relevance=relevance)
        if not rule.passes(relevance):
            said = Verdict("irrelevant", f"relevance {relevance:.3f}, expected at least {rule.threshold}")
            return Judged(said, relevance=relevance)
        return judged

    return replace(item, decide=decide, measure=(item.proposal, goalpost))
