"""Sessions at once: how many a second, how long the event loop waits, and how many containers they take.

    python -m benchmarks.sessions --json benchmarks/results/sessions/sessions.json

Each session is an episode of GASP-Code-v0 that the scripted policy plays, in a coroutine of its own: everything but a
model. Several processes share the sessions out, each with a sandbox of its own, as ranks of a launcher do
(``LOCAL_WORLD_SIZE``). A gap is the time by which a coroutine that wants to run every millisecond is late; the vector
env beside it plays as many episodes in step, in one process.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.sandbox import machine
from gasp_env import policies
from gasp_env.envs.sessions import Sessions
from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.episode.turns import Turn
from gasp_env.policies import Sampling

TICK = 0.001


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sessions",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--sessions", type=int, nargs="+", default=[1, 64, 1000])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2, 8])
    parser.add_argument("--sandbox", default="auto")
    parser.add_argument("--json", type=Path, metavar="OUT", help="where to write the figures")
    parser.add_argument("--child", nargs=2, type=int, metavar=("COUNT", "FIRST"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    for name in ("sessions", "processes"):
        if (given := min(getattr(options, name))) < 1:
            parser.error(f"--{name}: expected numbers of at least 1, got {given}")
    if options.child:
        print(json.dumps(asyncio.run(play(options.child[0], options.child[1], options.sandbox))))
        return 0
    found: dict[str, Any] = {**machine.head("benchmarks.sessions", arguments), "rows": []}
    print("| sessions | processes | sessions/s | largest gap, ms | containers | vector env, episodes/s |")
    print("|---|---|---|---|---|---|")
    for count in options.sessions:
        beside = round(count / vector(count, options.sandbox), 1)
        for processes in (number for number in options.processes if number <= count):
            row = together(count, processes, options.sandbox) | {"vector_per_second": beside}
            found["rows"].append(row)
            print(
                f"| {count} | {processes} | {row['per_second']:.1f} | {1000 * row['gap_seconds']:.0f} "
                f"| {row['workers']} | {beside:.1f} |",
                flush=True,
            )
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def together(count: int, processes: int, sandbox: str) -> dict[str, Any]:
    """Sessions in processes at once."""
    parts = [range(count)[number::processes] for number in range(processes)]
    children = []
    for number, part in enumerate(parts):
        words = [
            "-m",
            "benchmarks.sessions",
            "--sandbox",
            sandbox,
            "--child",
            str(len(part)),
            str(number * count),
        ]
        children.append(
            subprocess.Popen(
                [sys.executable, *words],
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "LOCAL_WORLD_SIZE": str(processes)},
            )
        )
    answers = [child.communicate()[0] for child in children]
    if any(child.returncode for child in children):
        raise SystemExit("a process of the benchmark failed; see above")
    told = [json.loads(answer) for answer in answers]
    return {
        "sessions": count,
        "processes": processes,
        # The slowest process ends it. Opening the sandbox is not counted.
        "per_second": count / max(one["seconds"] for one in told),
        "gap_seconds": max(one["gap_seconds"] for one in told),
        "workers": sum(one["workers"] for one in told),
        "tier": told[0]["tier"],
        "steps": sum(one["steps"] for one in told),
    }


async def play(count: int, first: int, sandbox: str) -> dict[str, Any]:
    """Play sessions at once in this process."""
    steps = 0
    async with Sessions(sandbox=sandbox, most=max(count, 1)) as sessions:
        await asyncio.to_thread(sessions.sandbox.open)

        async def one(seed: int) -> None:
            nonlocal steps
            session = await sessions.begin_async(seed=seed)
            while session.turn is not None:
                await session.step_async(scripted(session.turn))
                steps += 1

        longest, over = 0.0, False

        async def watch() -> None:
            nonlocal longest
            while not over:
                before = time.perf_counter()
                await asyncio.sleep(TICK)
                longest = max(longest, time.perf_counter() - before - TICK)

        watching = asyncio.create_task(watch())
        started = time.perf_counter()
        await asyncio.gather(*(one(seed) for seed in range(first, first + count)))
        seconds = time.perf_counter() - started
        over = True
        await watching
        workers, tier = len(sessions.sandbox._workers()), sessions.sandbox.tier
    return {"seconds": seconds, "gap_seconds": longest, "workers": workers, "tier": tier, "steps": steps}


def vector(count: int, sandbox: str) -> float:
    """Seconds in which a vector env plays as many episodes."""
    envs = GaspCodeVectorEnv(count, sandbox=sandbox)
    envs.sandbox.open()
    started = time.perf_counter()
    envs.reset(seed=0)
    while any(envs.turns):
        envs.step([None if turn is None else scripted(turn) for turn in envs.turns])
    return time.perf_counter() - started


def scripted(turn: Turn) -> tuple[str, ...]:
    """The scripted policy's texts."""
    (group,) = policies.get("scripted").generate([turn.prompt], [turn.samples], Sampling())
    return tuple(one.text for one in group)


if __name__ == "__main__":
    sys.exit(main())
