"""Make the miniature's files from a pretraining run: shipped models, task sets, and the card that says what they are.

    python -m learners.miniature.make_tasks --models runs/miniature --out learners/miniature/data

Held-out tasks are as drawn. Goalposts are selected from the candidate pool: the buried model solved
them 0 times in ``--samples`` (the evidence each carries) and the broad model it came from solved them
at least once in ``--broad-samples`` (so they are in reach of what was buried). Solvable tasks are the eight
candidates whose measured rate is nearest to ``SOLVABLE``. Answers are judged in the sandbox.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import tyro

from gasp_env import goalposts as files
from gasp_env.policies import Sampling
from gasp_env.tasks import Evidence, Goalpost
from learners.evaluate import Evaluation, evaluate
from learners.metrics import pass_at_k
from learners.miniature import corpus, pools, world
from learners.miniature.miniature_policy import MiniaturePolicy
from learners.miniature.world import Program

TESTS = 12
#: Solvable tasks are sought around this pass@1.
SOLVABLE = 0.3
STATEMENT = "Write the program that turns each of these lists of small integers into the list beside it."
SIGNATURE = "def f(x: list) -> list"
_THEME = {index for index, step in enumerate(world.STEPS) if step.op.theme}


@dataclass(frozen=True)
class Settings:
    """Options.

    Attributes:
        models: directory of the pretraining run, with ``broad`` and ``buried``.
        out: where the files go.
        samples: answers of the buried model to each candidate.
        broad_samples: answers of the broad model to each candidate the buried one did not solve.
        heldout_samples: answers of both to each held-out task, for the card.
        goalposts: at most so many.
        seed: of tests and sampling.
        unselected: only write the pools, every candidate a goalpost; needs no sandbox. For a first look.
    """

    models: Path = Path("runs/miniature")
    out: Path = Path(__file__).parent / "data"
    samples: int = 100
    broad_samples: int = 400
    heldout_samples: int = 100
    goalposts: int = 80
    seed: int = 7
    unselected: bool = False


def goalpost(program: Program, name: str, rng: random.Random) -> Goalpost:
    """The program as a real problem: its first tests are shown, all of them judge."""
    inputs = None
    while inputs is None:
        inputs = world.USUAL.draw(program, TESTS, rng)
    themed = ("theme",) if _THEME.intersection(program) else ()
    return Goalpost(
        id=name,
        statement=STATEMENT,
        signature=SIGNATURE,
        inputs=tuple((x,) for x in inputs),
        outputs=tuple(world.apply(program, x) for x in inputs),
        shown=corpus.SHOWN,
        reference=world.text(program),
        tags=(f"depth-{len(program)}", *themed),
        difficulty="medium" if len(program) < world.MAX_DEPTH else "hard",
    )


def task_set(pool: str, seed: int) -> tuple[Goalpost, ...]:
    """A pool of programs as goalposts with tests, without evidence."""
    rng = random.Random(f"{seed} {pool}")
    return tuple(
        goalpost(program, f"{pool}-{number:03d}", rng)
        for number, program in enumerate(pools.pools()[pool], start=1)
    )


def fresh(mix: world.Mix, depth: int, count: int, seed: int) -> tuple[Goalpost, ...]:
    """Tasks of one depth from a distribution, to measure a model on; never reserved ones."""
    rng = random.Random(f"{seed} {mix} {depth}")
    depths = (float(depth == 1), float(depth == 2), float(depth == 3))
    mix, reserved = replace(mix, depths=depths), pools.reserved()
    found: dict[Program, Goalpost] = {}
    while len(found) < count:
        program = mix.draw(rng)
        if world.programs()[program] not in reserved or depth == 1:
            found.setdefault(program, goalpost(program, f"fresh-{len(found)}", rng))
        if depth == 1 and len(found) == len(world.STEPS):
            break
    return tuple(found.values())


def measure(policy: MiniaturePolicy, tasks: Sequence[Goalpost], samples: int, seed: int) -> Evaluation:
    """Answers to every task, judged in the sandbox."""
    return evaluate(
        policy,
        tasks,
        samples=samples,
        sampling=Sampling(max_tokens=40, seed=seed),
        domain="learners.miniature:domain",
    )


def by_depth(tasks: Sequence[Goalpost], counts: Mapping[str, Sequence[int]]) -> dict[str, dict[str, float]]:
    """Mean pass@1, @8 and @100 for each depth and over all."""
    table = {}
    for name in ("depth-1", "depth-2", "depth-3", "all"):
        rows = [counts[task.id] for task in tasks if name == "all" or name in task.tags]
        if rows:
            table[name] = {"tasks": float(len(rows))} | {
                f"pass@{k}": round(sum(pass_at_k(n, c, k) for n, c in rows) / len(rows), 4)
                for k in (1, 8, 100)
                if k <= rows[0][0]
            }
    return table


def main(settings: Settings) -> None:
    """Write models, task sets and card."""
    out = settings.out
    out.mkdir(parents=True, exist_ok=True)
    candidates, heldout = task_set("candidates", settings.seed), task_set("heldout", settings.seed)
    files.dump(heldout, out / "heldout.jsonl")
    if settings.unselected:
        files.dump(candidates[:80], out / "goalposts.jsonl")
        files.dump(candidates[:8], out / "solvable.jsonl")
        return

    models = {}
    for name in ("broad", "buried"):
        MiniaturePolicy.read(settings.models / name).save(out / name, torch.float16)
        # Everything below is about the weights as shipped, rounded to half precision.
        models[name] = MiniaturePolicy.read(out / name)

    buried = measure(models["buried"], candidates, settings.samples, settings.seed).counts
    unsolved = [task for task in candidates if buried[task.id][1] == 0]
    broad = measure(models["broad"], unsolved, settings.broad_samples, settings.seed).counts
    reachable = [task for task in unsolved if broad[task.id][1] > 0][: settings.goalposts]
    selected = [
        replace(
            task,
            id=task.id.replace("candidates", "goalpost"),
            evidence=(
                Evidence("learners.miniature buried", *buried[task.id]),
                Evidence("learners.miniature broad", *broad[task.id]),
            ),
        )
        for task in reachable
    ]
    files.dump(selected, out / "goalposts.jsonl")
    rates = {task.id: buried[task.id][1] / buried[task.id][0] for task in candidates}
    near = sorted(candidates, key=lambda task: abs(rates[task.id] - SOLVABLE))[:8]
    files.dump(
        [
            replace(
                task,
                id=task.id.replace("candidates", "solvable"),
                evidence=(Evidence("learners.miniature buried", *buried[task.id]),),
            )
            for task in near
        ],
        out / "solvable.jsonl",
    )

    card = {
        "pretraining": json.loads((settings.models / "pretrain.json").read_text(encoding="utf-8")),
        "tasks_seed": settings.seed,
        "pools_seed": pools.SEED,
        "selection": {
            "candidates": len(candidates),
            "unsolved_by_buried": len(unsolved),
            "of_those_solved_by_broad": sum(broad[task.id][1] > 0 for task in unsolved),
            "goalposts": len(selected),
            "solvable_pass@1": round(sum(rates[task.id] for task in near) / len(near), 4),
        },
        "heldout": {},
        "fresh": {},
    }
    for name, model in models.items():
        found = measure(model, heldout, settings.heldout_samples, settings.seed + 1)
        card["heldout"][name] = by_depth(heldout, found.counts)
        for mix in ("BROAD", "TARGET"):
            for depth in (1, 2, 3):
                tasks = fresh(getattr(world, mix), depth, 40, settings.seed)
                found = measure(model, tasks, 40, settings.seed + 2)
                card["fresh"][f"{name}, {mix.lower()} ops, depth {depth}"] = by_depth(tasks, found.counts)[
                    "all"
                ]
    (out / "card.json").write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    print(json.dumps({name: card[name] for name in ("selection", "heldout", "fresh")}, indent=1))


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
