"""Build the sandbox image, try a program, or see what protects this machine.

    python -m gasp_env.sandbox build [--base IMAGE] [--force]
    python -m gasp_env.sandbox run FILE --input "1, [2]" [--input ...] [--entry f]
    python -m gasp_env.sandbox run FILE --stdin TEXT_FILE
    python -m gasp_env.sandbox doctor [--tier docker] [--json]

``run`` prints what every call returned, or what the program printed, and the tier it ran in; it ends with
status 0 if all of that went well. What a program wrote is shown with its control characters escaped.
``doctor`` ends with status 1 if a sandbox would not be what was asked for.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import json
import signal
import sys
from pathlib import Path
from typing import Any

from gasp_env.sandbox import frames
from gasp_env.sandbox.errors import SandboxError
from gasp_env.sandbox.runs import HASH_SEEDS, PROFILES, Limits, Result, Run, Status
from gasp_env.sandbox.sandbox import Sandbox
from gasp_env.sandbox.tiers import TIERS, doctor, image
from gasp_env.sandbox.tiers.docker import connect
from gasp_env.sandbox.tiers.worker import Settings
from gasp_env.values import parse_arguments, render, render_arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    options = _parser().parse_args(argv)
    try:
        if options.command == "build":
            print(image.ensure(connect(), options.base, force=options.force))
            return 0
        if options.command == "doctor":
            return _doctor(options)
        return _run(options)
    except (SandboxError, ValueError, OSError) as error:
        print(f"error: {_shown(str(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m gasp_env.sandbox", description=(__doc__ or "").split("\n")[0]
    )
    commands = parser.add_subparsers(dest="command", required=True)
    builder = commands.add_parser("build", help="build the sandbox image unless it is there")
    builder.add_argument("--base", help="image to build on, with Python 3.11 or later")
    builder.add_argument("--force", action="store_true", help="build even if it is there")
    runner = commands.add_parser("run", help="execute a program on arguments, or on a text as standard input")
    runner.add_argument("file", type=Path, help="Python source: defines the entry, or is the whole program")
    runner.add_argument("--input", action="append", default=[], help="arguments of one call, as a literal")
    runner.add_argument("--entry", default="f")
    runner.add_argument(
        "--stdin", type=Path, metavar="FILE", help="what a whole program reads; implies --profile stdin"
    )
    runner.add_argument("--profile", choices=PROFILES, help="by default value, or stdin if that is given")
    runner.add_argument("--hash-seed", type=int, choices=HASH_SEEDS, default=0)
    for limit in dataclasses.fields(Limits):
        runner.add_argument(
            f"--{limit.name.replace('_', '-')}",
            type=type(limit.default),
            default=limit.default,
            metavar="N",
            help=f"default {limit.default}",
        )
    checker = commands.add_parser("doctor", help="try every tier and say what each protects from")
    checker.add_argument("--json", action="store_true", help="the same for machines")
    for command in (runner, checker):
        command.add_argument("--tier", choices=["auto", *TIERS], default="auto")
        command.add_argument("--image", help="docker image, by default the one that build makes")
        command.add_argument("--runtime", help="OCI runtime for the tier docker, such as runsc")
        command.add_argument(
            "--allow-unsafe",
            action="store_true",
            help="one of the two consents of the tier unsafe-subprocess (the other: GASP_ENV_ALLOW_UNSAFE=1)",
        )
    return parser


def _run(options: argparse.Namespace) -> int:
    run = _asked(options)
    frames.check(run)  # before a worker is started for nothing
    settings: dict[str, Any] = {"image": options.image, "runtime": options.runtime}
    with Sandbox(options.tier, workers=1, allow_unsafe=options.allow_unsafe, **settings) as sandbox:
        [result] = sandbox.run_many([run])
    _show(run, result)
    return 0 if result.status is Status.OK else 1


def _asked(options: argparse.Namespace) -> Run:
    """The run that the command line asks for.

    Raises:
        ValueError: it contradicts itself.
    """
    profile = options.profile or ("stdin" if options.stdin else "value")
    whole = profile == "stdin"
    if options.stdin and not whole:
        raise ValueError(f"--stdin is for whole programs, which --profile {profile} does not run")
    if whole and options.input:
        raise ValueError("--input is for a function's arguments; a whole program reads --stdin FILE")
    return Run(
        _read(options.file),
        () if whole else tuple(parse_arguments(text) for text in options.input or [""]),
        options.entry,
        options.hash_seed,
        Limits(**{limit.name: getattr(options, limit.name) for limit in dataclasses.fields(Limits)}),
        profile,
        _read(options.stdin, newline="") if options.stdin else "",
    )


def _read(path: Path, newline: str | None = None) -> str:
    """A text file; newlines are left as they are if ``newline`` is empty.

    Raises:
        ValueError: it is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8", newline=newline) as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}") from error


def _show(run: Run, result: Result) -> None:
    for arguments, call in zip(run.inputs, result.calls, strict=False):
        said = render(call.value) if call.status is Status.OK else f"{call.status}: {call.error}"
        print(_shown(f"{run.entry}({render_arguments(arguments)}) -> {said}", keep=""))
    for what, text in (("printed", result.stdout), ("standard error", result.stderr)):
        if text:
            print(f"{what}:\n{_shown(text)}", end="" if text.endswith("\n") else "\n")
    error = f": {_shown(result.error, keep='')}" if result.error else ""
    print(
        f"{result.status}{error}  [{result.tier or 'not executed'}: "
        f"{result.wall_seconds * 1000:.1f} ms, {result.cpu_seconds * 1000:.1f} ms CPU, "
        f"{result.memory_bytes / 2**20:.1f} MiB]"
    )


def _shown(text: str, keep: str = "\n\t") -> str:
    """A program's text, with escapes for what would act on a terminal or, without newlines, be a line of its own."""
    return "".join(
        char if char in keep or char.isprintable() else char.encode("unicode_escape").decode()
        for char in text
    )


def _doctor(options: argparse.Namespace) -> int:
    settings = Settings(image=options.image, runtime=options.runtime, allow_unsafe=options.allow_unsafe)
    report = doctor.examine(options.tier, settings)
    print(json.dumps(report.as_dict(), indent=2) if options.json else doctor.render(report))
    return 0 if report.healthy else 1


if __name__ == "__main__":
    sys.exit(main())
