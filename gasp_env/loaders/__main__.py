"""Turn other people's problems into a file of goalposts, and report those that cannot be converted.

    python -m gasp_env.loaders livecodebench FILE --out GOALPOSTS [--from 2023-05-01] [--to 2024-08-31] [--drop-large]
    python -m gasp_env.loaders humaneval FILE --out GOALPOSTS [--tier docker]
    python -m gasp_env.loaders mbpp FILE --out GOALPOSTS [--tier docker]

FILE holds JSON lines, as they are published. ``--json REPORT`` writes the account as JSON, ``--strict`` ends with
status 2 at the first record that cannot be used. HumanEval's and MBPP's code is executed, in the sandbox.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from pathlib import Path
from typing import Any

from gasp_env import goalposts
from gasp_env.loaders import humaneval_mbpp, livecodebench
from gasp_env.loaders.accounting import Loaded
from gasp_env.sandbox import Sandbox, SandboxError
from gasp_env.sandbox.tiers import CHOICES, HELP

_HARNESSES = {"humaneval": humaneval_mbpp.load_humaneval, "mbpp": humaneval_mbpp.load_mbpp}


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    options = _parser().parse_args(argv)
    try:
        loaded, tier = _load(options)
        goalposts.dump(loaded.goalposts, options.out)
        report = _report(options, loaded, tier)
        if options.json:
            options.json.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    except (SandboxError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    _say(report, loaded)
    return 0


def _load(options: argparse.Namespace) -> tuple[Loaded, str]:
    """Load the file; return the result and the tier that executed its code, empty if none did."""
    if options.set == "livecodebench":
        dates = (options.first, options.last)
        loaded = livecodebench.load(
            options.file, dates=dates, drop_large=options.drop_large, strict=options.strict
        )
        return loaded, ""
    with Sandbox(options.tier) as sandbox:
        return _HARNESSES[options.set](options.file, sandbox, strict=options.strict), sandbox.tier


def _report(options: argparse.Namespace, loaded: Loaded, tier: str) -> dict[str, Any]:
    return {
        "set": options.set,
        "sha256": hashlib.sha256(options.file.read_bytes()).hexdigest(),
        "tier": tier,
        "records": len(loaded.goalposts) + len(loaded.skipped) + loaded.outside,
        "outside": loaded.outside,
        "goalposts": len(loaded.goalposts),
        "tests": sum(len(goalpost.inputs) for goalpost in loaded.goalposts),
        "tests_dropped": sum(loaded.dropped.values()),
        "reasons": loaded.reasons(),
        "skipped": [vars(skipped) for skipped in loaded.skipped],
    }


def _say(report: dict[str, Any], loaded: Loaded) -> None:
    print(
        f"{report['goalposts']} of {report['records']} records became goalposts, with {report['tests']} tests"
    )
    if report["outside"]:
        print(f"{report['outside']} are of other days")
    if report["tests_dropped"]:
        print(f"{report['tests_dropped']} tests were too large and left out")
    for why, count in report["reasons"].items():
        print(f"{count:5}  {why}")
        for skipped in loaded.skipped:
            if skipped.why == why:
                print(f"       line {skipped.line}, {skipped.id}: {skipped.reason.partition(', came ')[2]}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gasp_env.loaders", description=(__doc__ or "").split("\n")[0]
    )
    sets = parser.add_subparsers(dest="set", required=True)
    for name in ("livecodebench", *_HARNESSES):
        one = sets.add_parser(name)
        one.add_argument("file", type=Path, metavar="FILE", help="JSON lines, as they are published")
        one.add_argument("--out", type=Path, required=True, metavar="GOALPOSTS", help="where goalposts go")
        one.add_argument("--json", type=Path, metavar="REPORT", help="where the account goes")
        one.add_argument("--strict", action="store_true", help="refuse the file if one record cannot be used")
        if name == "livecodebench":
            one.add_argument(
                "--from", dest="first", metavar="DAY", help="first day of the contests, 2023-05-01"
            )
            one.add_argument("--to", dest="last", metavar="DAY", help="last day of the contests")
            one.add_argument(
                "--drop-large", action="store_true", help="leave out tests that are too large, not problems"
            )
        else:
            one.add_argument("--tier", choices=CHOICES, default="auto", help=HELP)
    return parser


if __name__ == "__main__":
    sys.exit(main())
