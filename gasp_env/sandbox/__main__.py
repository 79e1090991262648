"""Build the sandbox image, try a program, or check the isolation on this machine.

    python -m gasp_env.sandbox build [--base IMAGE] [--force]
    python -m gasp_env.sandbox run FILE --input "1, [2]" [--input ...] [--entry f]
    python -m gasp_env.sandbox run FILE --stdin TEXT_FILE
    python -m gasp_env.sandbox doctor [--tier docker] [--json]

``run`` prints the value of every call, or the program's output, and the tier it ran in. Its exit status is
0 if all calls went well. Control characters in a program's output are shown escaped.
The exit status of ``doctor`` is 1 if a sandbox would not use the tier asked for.
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

from gasp_env.sandbox import doctor, frames
from gasp_env.sandbox.errors import SandboxError
from gasp_env.sandbox.runs import HASH_SEEDS, PROFILES, Limits, Result, Run, Status
from gasp_env.sandbox.sandbox import Sandbox
from gasp_env.sandbox.tiers import CHOICES, HELP, TIERS, image
from gasp_env.sandbox.tiers.docker import connect
from gasp_env.sandbox.tiers.worker import CONSENT_VARIABLE, Settings
from gasp_env.values import parse_arguments, render, render_arguments


def main(argv: list[str] | None = None) -> int:
    """Run the command line; return the exit status."""
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
        print(f"error: {_escape(str(error))}", file=sys.stderr)
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
        "--stdin", type=Path, metavar="FILE", help="input of a whole program; implies --profile stdin"
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
    checker = commands.add_parser("doctor", help="try every tier and report its protections")
    checker.add_argument("--json", action="store_true", help="the same for machines")
    risky = ", ".join(name for name, tier in TIERS.items() if tier.risk)
    for command in (runner, checker):
        command.add_argument("--tier", choices=CHOICES, default="auto", help=HELP)
        command.add_argument(
            "--image", help=f"container image, by default the one that build makes {_takers('image')}"
        )
        command.add_argument("--runtime", help=f"OCI runtime, such as runsc {_takers('runtime')}")
        command.add_argument(
            "--allow-unsafe",
            action="store_true",
            help=f"one of the two consents of the tier {risky} (the other: {CONSENT_VARIABLE}=1)",
        )
    return parser


def _takers(setting: str) -> str:
    """Name the tiers that accept a setting, in parentheses."""
    return f"({', '.join(name for name, tier in TIERS.items() if setting in tier.accepts)})"


def _run(options: argparse.Namespace) -> int:
    run = _make_run(options)
    frames.check_run(run)  # before a worker is started in vain
    settings: dict[str, Any] = {"image": options.image, "runtime": options.runtime}
    with Sandbox(options.tier, workers=1, allow_unsafe=options.allow_unsafe, **settings) as sandbox:
        [result] = sandbox.run_many([run])
    _show(run, result)
    return 0 if result.status is Status.OK else 1


def _make_run(options: argparse.Namespace) -> Run:
    """Make the run that the command line asks for.

    Raises:
        ValueError: the options contradict each other.
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
    """Read a text file; newlines are left as they are if ``newline`` is empty.

    Raises:
        ValueError: the file is not UTF-8.
    """
    try:
        with path.open(encoding="utf-8", newline=newline) as file:
            return file.read()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8: {error}") from error


def _show(run: Run, result: Result) -> None:
    for arguments, call in zip(run.inputs, result.calls, strict=False):
        outcome = render(call.value) if call.status is Status.OK else f"{call.status}: {call.error}"
        print(_escape(f"{run.entry}({render_arguments(arguments)}) -> {outcome}", keep=""))
    for name, text in (("printed", result.stdout), ("standard error", result.stderr)):
        if text:
            print(f"{name}:\n{_escape(text)}", end="" if text.endswith("\n") else "\n")
    error = f": {_escape(result.error, keep='')}" if result.error else ""
    print(
        f"{result.status}{error}  [{result.tier or 'not executed'}: "
        f"{result.wall_seconds * 1000:.1f} ms, {result.cpu_seconds * 1000:.1f} ms CPU, "
        f"{result.memory_bytes / 2**20:.1f} MiB]"
    )


def _escape(text: str, keep: str = "\n\t") -> str:
    """Escape the characters of a program's text that would control a terminal, or forge a line of our own."""
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
