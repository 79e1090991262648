"""The situations in which a model is asked: fixed by a seed and stored tasks, whatever it wrote before.

Lemmas are asked for goalposts; lifts from the stored lemmas (``lemmas.jsonl``, hand-written, two axes each); attempts
and solves at the stored lemmas and at the domain's seeds; proposals with stored references.
"""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from gasp_env.domains.base import Request
from gasp_env.domains.python.domain import PythonDomain
from gasp_env.domains.python.judge import Question
from gasp_env.domains.python.triplet import Triplet
from gasp_env.episode.turns import Judged, Pending
from gasp_env.library import Library
from gasp_env.tasks import TASK_KINDS, Axis, Goalpost, Task
from gasp_env.values import parse_arguments, parse_literal

STAGES = ("lemma", "lift", "propose", "attempt", "solve", "goalpost")
#: Stages at which a text is a proposal; at the others it is an answer.
PROPOSALS = ("lemma", "lift", "propose")
VARIANTS = ("lemma", "lift")
AXES: tuple[Axis, ...] = ("f", "io")
REFERENCES = 6

Original = TypeVar("Original")


@dataclass(frozen=True)
class Situation:
    """One question to a model.

    Attributes:
        id: equal for the same situation in every run.
        stage, kind: of the turn.
        prompt: the text that the model reads.
        read: function from its text to what is known of it: of a draft, where there is a second question.
        complete: function from a draft to the second question of a proposal in two steps; None for any other situation.
    """

    id: str
    stage: str
    kind: str
    prompt: str
    read: Callable[[str], Judged | Pending]
    complete: Callable[[Any], Situation] | None = None


def stored_lemmas() -> list[Task]:
    """The stored lemmas as tasks."""
    lines = Path(__file__).with_name("lemmas.jsonl").read_text(encoding="utf-8").splitlines()
    return [_task(json.loads(line)) for line in lines]


def situations(
    domain: PythonDomain,
    goalposts: Sequence[Goalpost],
    stage: str,
    count: int,
    seed: int,
    two_steps: bool = False,
) -> list[Situation]:
    """``count`` situations of a stage, the first ones of an endless series that the seed fixes.

    With ``two_steps``, variants are asked for as a game does with that option.
    """
    rng = random.Random(f"{seed} {stage}")
    if stage in VARIANTS:
        series = _VARIANTS[stage](domain, goalposts, rng, two_steps)
    else:
        series = _SERIES[stage](domain, goalposts, rng)
    return list(itertools.islice(series, count))


def asked_again(domain: PythonDomain, task: Task, name: str) -> Situation:
    """A proposed task, as the solver is asked an attempt at it."""
    return _asked(domain, task, "attempt", "induction", 0, name)


def _variants(originals: Sequence[Original], rng: random.Random) -> Iterator[tuple[Original, Axis, int]]:
    """Originals in a random order, over and over, with the axis of the variant and the number of the turn."""
    order = rng.sample(originals, len(originals))
    for number in itertools.count():
        turn, place = divmod(number, len(order))
        yield order[place], AXES[(number + turn) % 2], turn


def _lemmas(
    domain: PythonDomain, goalposts: Sequence[Goalpost], rng: random.Random, two_steps: bool
) -> Iterator[Situation]:
    style = _style(domain).drafting() if two_steps else _style(domain)
    for goalpost, axis, turn in _variants(goalposts, rng):
        request = Request("lemma", Library().view(), axis=axis, goalpost=goalpost)
        prompt = style.lemma(goalpost, domain.sees, axis)
        yield _variant(domain, f"{goalpost.id} {axis} {turn}", request, prompt, two_steps)


def _lifts(
    domain: PythonDomain, goalposts: Sequence[Goalpost], rng: random.Random, two_steps: bool
) -> Iterator[Situation]:
    style = _style(domain).drafting() if two_steps else _style(domain)
    lemmas = stored_lemmas()
    for index, axis, turn in _variants(range(len(lemmas)), rng):
        request = Request("lift", Library().view(), axis=axis, parent=lemmas[index])
        prompt = style.lift(lemmas[index], axis)
        yield _variant(domain, f"lemma {index} {axis} {turn // 2}", request, prompt, two_steps)


def _proposals(
    domain: PythonDomain, goalposts: Sequence[Goalpost], rng: random.Random
) -> Iterator[Situation]:
    seeds = domain.seeds()
    for number in itertools.count():
        kind = TASK_KINDS[number % len(TASK_KINDS)]
        sources = domain.builds_on(kind)
        given = rng.choice([task for task in seeds if task.kind in sources]) if sources else None
        own = [task for task in seeds if task.kind == kind]
        references = [] if sources else rng.sample(own, min(REFERENCES, len(own)))
        request = Request("propose", Library().view(), kind=kind, given=given)
        prompt = _style(domain).propose(kind, references, given)
        yield _proposal(domain, f"{kind} {number // len(TASK_KINDS)}", request, prompt)


def _attempts(domain: PythonDomain, goalposts: Sequence[Goalpost], rng: random.Random) -> Iterator[Situation]:
    lemmas = stored_lemmas()
    order = rng.sample(range(len(lemmas)), len(lemmas))
    for number in itertools.count():
        index = order[number % len(order)]
        name = f"lemma {index} {number // len(order)}"
        yield _asked(domain, lemmas[index], "attempt", "induction", 0, name)


def _solves(domain: PythonDomain, goalposts: Sequence[Goalpost], rng: random.Random) -> Iterator[Situation]:
    lemmas, seeds = stored_lemmas(), domain.seeds()
    singles = [(f"lemma {index}", task) for index, task in enumerate(lemmas)]
    singles += [(f"seed {index}", task) for index, task in enumerate(seeds)]
    asked = {
        "deduction": rng.sample(singles, len(singles)),
        "abduction": rng.sample(singles, len(singles)),
        "induction": rng.sample(singles[: len(lemmas)], len(lemmas)),
    }
    for number in itertools.count():
        kind = ("deduction", "abduction", "induction")[number % 3]
        turn, place = divmod(number // 3, len(asked[kind]))
        name, task = asked[kind][place]
        index = turn % domain.pairs(task)
        yield _asked(domain, task, "solve", kind, index, f"{kind} {name} {turn}")


def _goalposts(
    domain: PythonDomain, goalposts: Sequence[Goalpost], rng: random.Random
) -> Iterator[Situation]:
    order = rng.sample(goalposts, len(goalposts))
    for number in itertools.count():
        goalpost = order[number % len(order)]
        yield _question(
            domain, domain.problem(goalpost), "goalpost", "induction", f"{goalpost.id} {number // len(order)}"
        )


_VARIANTS = {"lemma": _lemmas, "lift": _lifts}
_SERIES = {
    "propose": _proposals,
    "attempt": _attempts,
    "solve": _solves,
    "goalpost": _goalposts,
}


def _variant(domain: PythonDomain, name: str, request: Request, prompt: str, two_steps: bool) -> Situation:
    whole = _proposal(domain, name, request, prompt)
    if not two_steps:
        return whole

    def complete(draft: Any) -> Situation:
        return _proposal(domain, name, replace(request, draft=draft), _style(domain).complete(draft))

    return replace(whole, read=lambda text: domain.read_draft(text, request), complete=complete)


def _proposal(domain: PythonDomain, name: str, request: Request, prompt: str) -> Situation:
    return Situation(
        f"{request.stage} {name}",
        request.stage,
        request.kind,
        prompt,
        lambda text: domain.read_proposal(text, request),
    )


def _asked(domain: PythonDomain, task: Task, stage: str, kind: str, index: int, name: str) -> Situation:
    return _question(domain, domain.question(task, kind, index), stage, kind, name)


def _question(domain: PythonDomain, question: Question, stage: str, kind: str, name: str) -> Situation:
    return Situation(
        f"{stage} {name}", stage, kind, question.prompt, lambda text: domain.read_answer(question, text)
    )


def _style(domain: PythonDomain) -> Any:
    """The prompts, of which a game needs some and a style has any."""
    return domain.style


def _task(record: dict[str, Any]) -> Task:
    content = Triplet(
        record["program"],
        tuple(map(parse_arguments, record["inputs"])),
        tuple(map(parse_literal, record["outputs"])),
        record["shown"],
        record["message"],
    )
    return Task(content, record["id"], "lemma", record["axis"], record["goalpost"])
