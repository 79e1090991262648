"""Our own corpus of honest programs (`tests/data/corpus`), and what plain CPython makes of them.

A file is a list of programs, each after a line ``=== name``, each followed by lines ``>>> arguments``:
one call of ``f`` each, or for ``whole.txt`` one text on standard input each.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gasp_env.values import parse_arguments
from sandbox_image.worker import codec

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "tests" / "data" / "corpus"
HARNESS = Path(__file__).with_name("plain.py")


@dataclass(frozen=True)
class Program:
    """One program and what it is called with."""

    name: str
    text: str
    inputs: tuple[tuple[Any, ...], ...]


def read(file: Path) -> list[Program]:
    """The programs of one file."""
    programs = []
    for part in re.split(r"^=== ", file.read_text("utf-8"), flags=re.MULTILINE)[1:]:
        name, _, rest = part.partition("\n")
        text, *calls = ("\n" + rest).split("\n>>>")
        inputs = tuple(parse_arguments(call.strip("\n")) for call in calls)
        programs.append(Program(f"{file.stem}-{name.strip()}", text[1:] + "\n", inputs))
    return programs


VALUES = [program for file in sorted(FOLDER.glob("*.txt")) if file.stem != "whole" for program in read(file)]
WHOLE = read(FOLDER / "whole.txt")


def interpreter(version: str) -> str | None:
    """A CPython of this machine with the same minor version; None if there is none."""
    minor = ".".join(version.split(".")[:2])
    if minor == f"{sys.version_info.major}.{sys.version_info.minor}":
        return sys.executable
    return shutil.which(f"python{minor}")


@dataclass(frozen=True)
class Ending:
    """The outcome of one program: a call each as ``(encoding or None, error)``, and what was printed."""

    calls: tuple[tuple[bytes | None, str], ...]
    error: str
    stdout: str


def run_plainly(executable: str, programs: list[Program]) -> dict[str, Ending]:
    """Have a plain interpreter call the programs, each in a fork of its own."""
    asked = [
        {
            "name": program.name,
            "text": program.text,
            "inputs": [codec.encode(arguments, keep_order=True).hex() for arguments in program.inputs],
        }
        for program in programs
    ]
    done = subprocess.run(
        [executable, "-I", HARNESS, ROOT],
        input=json.dumps(asked),
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return {
        said["name"]: Ending(
            tuple((None if value is None else bytes.fromhex(value), error) for value, error in said["calls"]),
            said["error"],
            bytes.fromhex(said["stdout"]).decode(),
        )
        for said in map(json.loads, done.stdout.splitlines())
    }
