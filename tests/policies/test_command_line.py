"""Policies on a command line: flags of a factory, of one for each role, and mistakes in one line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pytest

from gasp_env.policies.command_line import Parser, PolicyFlags, parse

if TYPE_CHECKING:
    from nowhere import Engine  # type: ignore[import-not-found]

HERE = str(Path(__file__).resolve())
ROLES = ("teacher", "solver")


def load(
    model: str,
    *,
    context: int = 4096,
    share: float | None = None,
    cache: Path | None = None,
    dtype: Literal["bf16", "fp32"] = "bf16",
    trust_remote_code: bool = False,
    max_tokens: int = 7,
    untyped=2.5,
) -> Any:
    raise AssertionError("nothing is made of a command line that is only read")


def unresolved(engine: Engine, size: int | None = None, folder: str | Path = "", on: bool = True) -> Any:
    raise AssertionError("nothing is made")


def read(*words: str, default: str = "scripted") -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    parser = Parser(prog="program")
    parser.add_argument("--max-tokens", type=int, default=96)
    parser.add_argument("--human", action="store_true")
    found, options = parse(parser, words, ROLES, default)
    return vars(found), options


LOAD = f"{HERE}:load"


def test_the_options_of_a_factory_are_flags() -> None:
    words = "--max-tokens 5 --model a/b --context 128 --share .5 --cache x/y --dtype fp32 --trust-remote-code"
    found, options = read("--policy", LOAD, *words.split(), "--untyped", "3", "--human")
    assert found == {
        "policy": LOAD,
        "teacher_policy": None,
        "solver_policy": None,
        "max_tokens": 5,
        "human": True,
    }
    assert options == {
        "": {
            "model": "a/b",
            "context": 128,
            "share": 0.5,
            "cache": Path("x/y"),
            "dtype": "fp32",
            "trust_remote_code": True,
            "untyped": 3.0,
        }
    }


def test_both_ways_of_writing_a_flag() -> None:
    _, options = read(f"--policy={LOAD}", "--model=m", "--no-trust_remote_code")
    assert options == {"": {"model": "m", "trust_remote_code": False}}


def test_each_role_has_flags_of_its_own() -> None:
    found, options = read(
        *("--teacher-policy", LOAD, "--teacher-model", "t", "--teacher-max-tokens", "3"),
        *("--solver-policy", LOAD, "--solver-model", "s", "--solver-context", "9"),
    )
    assert (found["policy"], found["teacher_policy"], found["solver_policy"]) == ("scripted", LOAD, LOAD)
    assert options == {"teacher": {"model": "t", "max_tokens": 3}, "solver": {"model": "s", "context": 9}}


def test_types_are_told_from_annotations_that_cannot_be_evaluated() -> None:
    words = "--engine e --size 3 --folder f --no-on".split()
    _, options = read("--policy", f"{HERE}:unresolved", *words)
    assert options == {"": {"engine": "e", "size": 3, "folder": Path("f"), "on": False}}


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--policy", "gpt"], "expected a policy among scripted, .* got 'gpt'"),
        (["--teacher-policy", "gpt"], "expected a policy among scripted, .* got 'gpt'"),
        (["--policy"], "argument --policy: expected one argument"),
        (["--policy", LOAD], f"required: --model; policy '{LOAD}' takes --model, .--context 4096., "),
        (["--policy", LOAD, "--model"], "argument --model: expected one argument; policy .* takes --model"),
        (["--policy", LOAD, "--model", "m", "--context", "x"], "--context: invalid int value: 'x'; policy"),
        (["--policy", LOAD, "--model", "m", "--dtype", "x"], "--dtype: invalid choice: 'x'"),
        (
            ["--policy", LOAD, "--modle", "m", "--model", "m"],
            "unrecognized: --modle m; policy .* takes --model",
        ),
        (["--policy", LOAD, "--mod", "m"], "required: --model"),
        (["--model", "m"], "unrecognized: --model m; policy 'scripted' takes no options; --help"),
        (["--teacher-model", "m"], "unrecognized: --teacher-model m"),
        (["--hum"], "unrecognized: --hum"),
    ],
)
def test_a_mistake_is_one_line(words: list[str], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint) as refused:
        read(*words)
    assert "\n" not in str(refused.value)


def test_a_mistake_of_another_option_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read("--max-tokens", "x")
    assert ended.value.code == 2
    assert capsys.readouterr().err == "program: argument --max-tokens: invalid int value: 'x'\n"


def test_help_lists_the_flags_of_the_factory(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        read("--policy", LOAD, "--help")
    assert ended.value.code == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "takes --model, [--context 4096], [--share], [--cache], [--dtype bf16]" in printed
    assert "--teacher-policy NAME" in printed


def test_other_words_stay_as_they_are_for_other_parsers() -> None:
    flags = PolicyFlags(ROLES, LOAD, {"seed", "policy", "teacher_policy"})
    words = ["--seed", "-1", "--model", "m", "--name=x", "", "--lr", "1e-3", "--context=2", "--flag"]
    rest, options = flags.separate(words)
    assert rest == ["--seed", "-1", "--name=x", "", "--lr", "1e-3", "--flag"]
    assert options == {"": {"model": "m", "context": 2}}


def test_nothing_is_imported_that_was_not_named() -> None:
    before = set(sys.modules)
    read("--policy", "silent")
    assert set(sys.modules) == before
