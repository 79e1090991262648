"""List the curricula with their roles, stages and options.

    python -m gasp_env.curricula                    a table
    python -m gasp_env.curricula --json             a list of objects: id, source, roles, stages, options, summary
    python -m gasp_env.curricula my_game.py:Duel    with one of your own

Exit status: 0; 2 when one cannot be found.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Sequence
from typing import Any

from gasp_env import curricula
from gasp_env.options import describe


def records(own: Sequence[str] = ()) -> list[dict[str, Any]]:
    """All registered curricula and those named in ``own``, as JSON-able values.

    Raises:
        ValueError: one of ``own`` is no curriculum.
    """
    return [_record(name) for name in (*curricula.CURRICULA.names(), *own)]


def _record(name: str) -> dict[str, Any]:
    game = curricula.get(name)
    return {
        "id": name,
        "source": f"{game.__module__}:{game.__qualname__}",
        "summary": (inspect.getdoc(game) or "").partition("\n")[0],
        "roles": list(game.roles),
        "stages": [
            {"name": stage.name, "role": stage.role, "proposal": stage.proposal, "band": stage.band}
            for stage in game.stages
        ],
        "options": describe(game),
        "teacher_reward": game.teacher_reward,
        "novelty": game.novelty,
    }


def table(found: Sequence[dict[str, Any]]) -> str:
    """Format curricula as text."""
    lines = []
    for one in found:
        lines += [
            f"{one['id']}  ({one['source']})",
            f"  {one['summary']}",
            f"  roles: {', '.join(one['roles'])}",
        ]
        lines.append("  stages:")
        for stage in one["stages"]:
            band = (
                ""
                if stage["band"] is None
                else f", accepted from {stage['band'][0]} to {stage['band'][1]} tenths"
            )
            lines.append(f"    {stage['name']} ({stage['role']}{', a proposal' * stage['proposal']}{band})")
        lines.append("  options:")
        for option in one["options"]:
            lines.append(f"    {option['name']} = {option['default']!r}: {option['takes']}")
            lines.append(f"      {option['meaning']}")
        lines.append("")
    return "\n".join(lines).rstrip()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m gasp_env.curricula", description="List the curricula: the games that an env can play."
    )
    parser.add_argument("own", nargs="*", metavar="SOURCE:NAME", help="curricula of your own to list as well")
    parser.add_argument("--json", action="store_true", help="as a list of objects")
    options = parser.parse_args(arguments)
    try:
        found = records(options.own)
    except ValueError as error:
        print(f"gasp_env.curricula: {error}", file=sys.stderr)
        return 2
    print(json.dumps(found, indent=2) if options.json else table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
