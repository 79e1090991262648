"""Proposals to ask a teacher reward about: one of every c, all else the same."""

from __future__ import annotations

import functools
import hashlib
from dataclasses import replace

from gasp_env.curricula.azr import Azr
from gasp_env.curricula.gasp import Gasp
from gasp_env.domains.python.triplet import Triplet
from gasp_env.episode.outcome import Outcome, in_band
from gasp_env.library import embedders
from gasp_env.library.library import Library
from gasp_env.tasks import Entry, Goalpost, Task


def bands() -> dict[str, tuple[int, int]]:
    """The published bands of acceptance, in tenths."""
    return {stage: game.band(stage) for game in (Gasp(), Azr()) for stage in game.proposes}


@functools.cache
def proposals(stage: str, n: int, other: bool = False) -> tuple[Outcome, ...]:
    """The reference proposals c = 0..n of a stage, or another set that differs in all but (c, n)."""
    name = "other" if other else "reference"
    goalpost = Goalpost(name, f"Solve the {name} problem.", "def f(x)", ((1,), (2,)), (2, 3), 1)
    guided = stage != "propose"
    library = Library(embedder=embedders.get("hashing"))
    if other:
        library.commit([Entry(_task("propose", number=0, unlike=False, name=""), 1, 2, True)])
    parent = Entry(_task("lemma", number=0, unlike=False, name=name), n - 1 if other else n // 2, n, True)
    found = []
    for c in range(n + 1):
        task = _task(stage, number=c, unlike=not other, name=name if guided else "")
        found.append(
            Outcome(
                stage=stage,
                axis=task.axis,
                goalpost=task.goalpost,
                reason="valid",
                correct=c,
                samples=n,
                attempts=("correct",) * c + ("wrong",) * (n - c),
                answers=("right",) * c + tuple("wrong" if other else f"wrong {k}" for k in range(n - c)),
                accepted=in_band(c, n, bands()[stage]),
                task=replace(task, parent=parent.task.fingerprint) if stage == "lift" else task,
                parent=parent if stage == "lift" else None,
                problem=goalpost if guided else None,
                relevance=(0.5 if other else 1.0) if guided else None,
                library=library.view(),
            )
        )
    return tuple(found)


def _task(stage: str, number: int, unlike: bool, name: str) -> Task:
    """A task. Two that are ``unlike`` share neither words nor structure; the others differ by a constant."""
    seed = hashlib.sha256(f"{stage} {number}".encode()).hexdigest() if unlike else "abcdef" * 10
    words = [f"w{seed[i : i + 5]}" for i in range(0, 60, 5)]
    value = words[0]
    for bit in f"{number:b}" if unlike else "":
        value = f"-({value} * 3)" if bit == "1" else f"abs({value})"
    program = f"def f({words[0]}):\n    {words[1]} = {value}\n    return {words[1]} + {number}"
    content = Triplet(
        program=program,
        inputs=tuple((i,) for i in range(10)),
        outputs=tuple(range(10)),
        shown=5,
        message=" ".join(words[2:]),
    )
    return Task(
        content=content,
        fingerprint=hashlib.sha256(program.encode()).hexdigest(),
        stage=stage,
        axis="f" if name else None,
        goalpost=name or None,
    )
