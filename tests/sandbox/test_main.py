"""The command line: its own mistakes, found before anything is started, and what it says of a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gasp_env.sandbox import Sandbox
from gasp_env.sandbox.__main__ import main
from tests.sandbox.opened import TIERS, opened


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--wall-seconds", value) for value in ("0", "-1", "nan", "inf", "-inf")),
        *(("--cpu-seconds", value) for value in ("0", "-1", "99999999999")),
    ],
)
def test_a_limit_out_of_range_is_one_line(
    option: str,
    value: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    file = tmp_path / "program.py"
    file.write_text("def f(): return 1\n")
    assert main(["run", str(file), f"{option}={value}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {option[2:].replace('-', '_')} must be ")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--stdin", "FILE", "--profile", "numpy"],
            "--stdin is for whole programs, which --profile numpy does not run",
        ),
        (["--profile", "stdin", "--input", "1"], "--input is for a function's arguments"),
        (["--tier", "unsafe-subprocess"], "not a sandbox"),
        (["--threads", "0"], "threads must be"),
        (["--input", "g()"], "expected a literal"),
    ],
)
def test_a_contradiction_is_one_line(
    options: list[str],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    file = tmp_path / "program.py"
    file.write_text("def f(): return 1\n")
    assert main(["run", str(file), *[str(file) if option == "FILE" else option for option in options]]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("tier", TIERS)
def test_run_says_what_came_of_it_and_where(
    tier: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    opened(tier).close()
    function = tmp_path / "function.py"
    function.write_text("def f(a, b):\n    print('hello')\n    return {a: b}\n")
    assert main(["run", str(function), "--input", "1, [2]", "--tier", tier]) == 0
    out = capsys.readouterr().out
    assert "f(1, [2]) -> {1: [2]}" in out
    assert "printed:\nhello\n" in out
    assert f"ok  [{tier}: " in out
    assert main(["run", str(function), "--input", "[1], 2", "--tier", tier]) == 1
    assert "TypeError" in capsys.readouterr().out
    program, text = tmp_path / "program.py", tmp_path / "text"
    program.write_text("import sys\nprint(sum(map(int, sys.stdin.read().split())))\n")
    text.write_text("1 2\r\n3")
    assert main(["run", str(program), "--stdin", str(text), "--tier", tier]) == 0
    assert "printed:\n6\n" in capsys.readouterr().out
    program.write_text("print('a' * 100)\n")
    assert main(["run", str(program), "--profile", "stdin", "--output-bytes", "10", "--tier", tier]) == 1
    assert "output_limit" in capsys.readouterr().out


def test_a_program_cannot_act_on_the_terminal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened("landlock").close()
    file = tmp_path / "program.py"
    forged = "\\x1b[2Jok  [landlock: 1.0 ms]"
    file.write_text(f"def f(x):\n    print('{forged}\\r')\n    raise ValueError('{forged}\\nok')\n")
    assert main(["run", str(file), "--input", "1", "--tier", "landlock"]) == 1
    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "\r" not in said
    assert said.count(forged) == 3, "shown, with what acts on a terminal escaped"
    assert len([line for line in said.splitlines() if line.startswith("ok")]) == 0


def test_a_file_that_is_no_text_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "program.bin"
    file.write_bytes(b"\xff\xfe")
    assert main(["run", str(file)]) == 2
    assert f"{file} is not UTF-8" in capsys.readouterr().err


def test_an_output_that_cannot_encode_what_is_said(tmp_path: Path) -> None:
    opened("landlock").close()
    file = tmp_path / "program.py"
    file.write_text("print('\\u00e4\\U0001f600')\n")
    command = [sys.executable, "-m", "gasp_env.sandbox", "run", str(file), "--profile", "stdin"]
    asked = subprocess.run(
        [*command, "--tier", "landlock"],
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (asked.returncode, asked.stderr) == (0, "")
    assert asked.stdout.startswith("printed:\n\\xe4\\U0001f600\nok  [landlock: ")


def test_ctrl_c_ends_with_its_status_and_no_word(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened("landlock").close()

    def interrupted(sandbox: Sandbox, runs: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Sandbox, "run_many", interrupted)
    file = tmp_path / "program.py"
    file.write_text("def f(): return 1\n")
    assert main(["run", str(file), "--tier", "landlock"]) == 130
    assert capsys.readouterr() == ("", "")
