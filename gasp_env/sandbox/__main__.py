"""Build the sandbox image, or try a program in it.

    python -m gasp_env.sandbox build [--base IMAGE] [--force]
    python -m gasp_env.sandbox run FILE --input "1, [2]" [--input ...] [--entry f]

``run`` prints what every call returned and ends with status 0 if all of them returned a value.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from gasp_env.sandbox import build, reports
from gasp_env.sandbox.docker import connect
from gasp_env.sandbox.errors import SandboxError
from gasp_env.sandbox.pool import Sandbox
from gasp_env.sandbox.runs import HASH_SEEDS, Limits, Result, Run, Status
from gasp_env.sandbox.tiers import TIERS
from gasp_env.values import parse_arguments, render, render_arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m gasp_env.sandbox", description=(__doc__ or "").split("\n")[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    builder = commands.add_parser("build", help="build the sandbox image unless it is there")
    builder.add_argument("--base", help="image to build on, with Python 3.11 or later")
    builder.add_argument("--force", action="store_true", help="build even if it is there")
    runner = commands.add_parser("run", help="execute a program on arguments")
    runner.add_argument("file", type=Path, help="Python source that defines the entry")
    runner.add_argument("--input", action="append", default=[], help="arguments of one call, as a literal")
    runner.add_argument("--entry", default="f")
    runner.add_argument("--hash-seed", type=int, choices=HASH_SEEDS, default=0)
    runner.add_argument("--wall-seconds", type=float, default=Limits().wall_seconds)
    runner.add_argument("--cpu-seconds", type=int, default=Limits().cpu_seconds)
    runner.add_argument("--tier", choices=["auto", *TIERS], default="auto")
    options = parser.parse_args(argv)
    try:
        if options.command == "build":
            print(build.ensure(connect(), options.base, force=options.force))
            return 0
        return _run(options)
    except (SandboxError, ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run(options: argparse.Namespace) -> int:
    run = Run(
        options.file.read_text("utf-8"),
        tuple(parse_arguments(text) for text in options.input or [""]),
        options.entry,
        options.hash_seed,
        Limits(wall_seconds=options.wall_seconds, cpu_seconds=options.cpu_seconds),
    )
    reports.check(run)  # before a container is started for nothing
    with Sandbox(options.tier, workers=1) as sandbox:
        [result] = sandbox.run_many([run])
    _show(run, result)
    return 0 if result.status is Status.OK else 1


def _show(run: Run, result: Result) -> None:
    for arguments, call in zip(run.inputs, result.calls, strict=False):
        said = render(call.value) if call.status is Status.OK else f"{call.status}: {call.error}"
        print(f"{run.entry}({render_arguments(arguments)}) -> {said}")
    if result.stdout:
        print(f"printed:\n{result.stdout}", end="" if result.stdout.endswith("\n") else "\n")
    print(
        f"{result.status}{f': {result.error}' if result.error else ''}  [{result.tier}: "
        f"{result.wall_seconds * 1000:.1f} ms, {result.cpu_seconds * 1000:.1f} ms CPU, "
        f"{result.memory_bytes / 2**20:.1f} MiB]"
    )


if __name__ == "__main__":
    sys.exit(main())
