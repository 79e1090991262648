"""List the rewards that can be chosen, and the published ones that cannot be computed here.

    python -m gasp_env.rewards                       a table
    python -m gasp_env.rewards --json                a list of objects: id, kind, source, formula, needs, available, ...
    python -m gasp_env.rewards my_rewards.py         with those that a file or a module registers

Exit status: 0; 2 when a file cannot be imported.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from gasp_env import registry
from gasp_env.rewards.needs import NEEDS, explain
from gasp_env.rewards.registry import solver_specs, specs
from gasp_env.rewards.spec import SolverSpec, TeacherReward


def records() -> list[dict[str, Any]]:
    """Every reward as JSON-able values, teachers' first, by name.

    Keys: ``id``; ``kind`` (teacher or solver); ``source``; ``tag`` (paper, code or ours); ``formula``; ``needs``;
    ``available`` (whether an environment here can compute it); ``stages``; ``deviation`` from the source.
    """
    known: list[tuple[str, TeacherReward | SolverSpec]] = [
        *(("teacher", spec) for spec in sorted(specs(), key=lambda spec: spec.name)),
        *(("solver", spec) for spec in sorted(solver_specs(), key=lambda spec: spec.name)),
    ]
    return [
        {
            "id": spec.name,
            "kind": kind,
            "source": spec.source,
            "tag": spec.tag,
            "formula": spec.formula,
            "needs": sorted(spec.needs),
            "available": spec.available,
            "stages": list(spec.stages) or ["any"],
            "deviation": spec.deviation,
        }
        for kind, spec in known
    ]


def table(rewards: Sequence[dict[str, Any]]) -> str:
    """Text table of rewards: name, formula, source, deviation from the source, and needs."""
    lines = []
    for title, chosen in (
        ("Teacher rewards", [r for r in rewards if r["kind"] == "teacher" and r["available"]]),
        ("Teacher rewards that cannot be computed here", [r for r in rewards if not r["available"]]),
        ("Solver rewards", [r for r in rewards if r["kind"] == "solver"]),
    ):
        width = max(len(reward["id"]) for reward in chosen)
        lines.append(f"{title} ({len(chosen)})")
        for reward in chosen:
            lines.append(f"  {reward['id'].ljust(width)}  {reward['formula']}")
            needs = f"; needs {', '.join(reward['needs'])}" if reward["needs"] else ""
            lines.append(f"  {' ' * width}    {reward['source']} [{reward['tag']}]{needs}")
            if reward["deviation"]:
                lines.append(f"  {' ' * width}    {reward['deviation']}")
        lines.append("")
    lines.append("Needs")
    lines += [f"  {explain(need)}" for need in NEEDS]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m gasp_env.rewards",
        description="Lists teacher and solver rewards: formula, source, what they need.",
    )
    parser.add_argument(
        "own", nargs="*", metavar="FILE_OR_MODULE", help="imported first: rewards of your own"
    )
    parser.add_argument("--json", action="store_true", help="one JSON list instead of a table")
    options = parser.parse_args(arguments)
    try:
        for source in options.own:
            registry.import_source(source, "rewards")
    except ValueError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    try:
        print(json.dumps(records(), indent=1, ensure_ascii=False) if options.json else table(records()))
        sys.stdout.flush()
    except BrokenPipeError:  # as from `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
