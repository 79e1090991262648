"""A mistake in an option ends the program with one line that names the option, and with nothing written."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import tyro

from learners import evaluate, reinforcepp

ARITHMETIC = f"{Path(__file__).resolve().parents[2] / 'examples' / 'my_domain.py'}:Arithmetic"
PLAYER = ("--policy", "tests.learners.choices:policy", "--domain", "python")
MISTAKES = (
    ("--teacher-reward", "nope"),
    ("--teacher-reward", "nope:nope"),
    ("--solver-reward", "nope"),
    ("--policy", "nope"),
    ("--policy", "nope:nope"),
    ("--domain", "nope"),
    ("--domain", "nope:nope"),
    ("--goalposts", "nofile.jsonl"),
    ("--goalposts", "nofile"),
    ("--goalposts", "learners.miniature:DATA"),
    ("--heldout", "nofile"),
    ("--episodes", "0"),
    ("--attempts", "0"),
    ("--updates", "0"),
    ("--minibatches", "0"),
    ("--checkpoint-every", "0"),
    ("--keep-checkpoints", "0"),
    ("--goalpost-rate", "1.5"),
    ("--temperature", "0"),
    ("--seconds", "0"),
    ("--tokens", "0"),
    ("--lr", "nan"),
    ("--lr", "inf"),
    ("--entropy-coef", "nan"),
    ("--name", ".."),
    ("--name", "a/b"),
    ("--policy", "os:path"),
    ("--policy", "builtins:dict"),
    ("--policy", "silent"),
    ("--policy", "transformers"),
    ("--teacher-policy", "nope"),
    ("--train-roles", "critic"),
    ("--goalposts", "json:dumps"),
    ("--device", "meta"),
    ("--seed", "-1"),
    ("--device", "nope"),
    ("--sandbox", "chroot"),
    ("--resume", "nofile"),
)


def complaint(module, *words: str) -> str:
    """The one line that a program ends with."""
    with pytest.raises(SystemExit) as ended:
        module.main(tyro.cli(module.Args, args=[*PLAYER, *words]))
    assert isinstance(ended.value.code, str), "a text, which Python prints while it exits with status 1"
    assert "\n" not in ended.value.code
    return ended.value.code


@pytest.mark.parametrize(("name", "value"), MISTAKES)
def test_a_wrong_option_of_the_learner(name, value, tmp_path, monkeypatch):
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere.sock")  # nothing has to run to refuse them
    runs = tmp_path / "runs"
    said = complaint(reinforcepp, "--heldout", "", "--runs", str(runs), name, value)
    assert said.startswith(f"{name} {value}: ")
    assert not runs.exists()


def test_few_samples_are_refused_where_something_is_held_out(tmp_path):
    said = complaint(reinforcepp, "--runs", str(tmp_path), "--eval-samples", "4")
    assert said.startswith("--eval-samples 4: expected 8 or more")


@pytest.mark.parametrize(
    ("module", "name"), [(reinforcepp, "--goalposts"), (reinforcepp, "--heldout"), (evaluate, "--goalposts")]
)
def test_goalposts_without_the_references_that_the_domain_needs(module, name, tmp_path):
    file = tmp_path / "my.jsonl"
    test = '{"input": "[1]", "output": "[2]"}'
    file.write_text(
        f'{{"id": "a", "statement": "Add.", "signature": "def f(x)", "tests": [{test}], "shown": 0}}'
    )
    said = complaint(module, "--domain", "learners.miniature:domain", name, str(file))
    assert said.startswith(f"{name} {file}: ")
    assert "reference" in said


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is here")
@pytest.mark.parametrize("module", [reinforcepp, evaluate])
def test_a_device_that_is_not_here(module):
    assert complaint(module, "--device", "cuda").startswith("--device cuda: expected a device")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("--policy", "nope:nope"),
        ("--domain", "nope"),
        ("--goalposts", "nofile.jsonl"),
        ("--goalposts", "nofile"),
        ("--weights", "nowhere"),
        ("--samples", "0"),
        ("--temperature", "-1"),
        ("--max-tokens", "0"),
        ("--sandbox", "chroot"),
    ],
)
def test_a_wrong_option_of_the_evaluation(name, value):
    assert complaint(evaluate, "--goalposts", "learners.miniature:heldout", name, value).startswith(
        f"{name} {value}: "
    )


def command(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", *words],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--policy", "nope"], "expected a policy among scripted, .* got 'nope'"),
        (["--modle", "m"], r"unrecognized: --modle m; policy 'miniature' takes \[--path\]; --help"),
        (
            ["--policy", "tests.learners.choices:sized", "--size", "x"],
            "--size: invalid int value: 'x'; policy",
        ),
    ],
)
@pytest.mark.parametrize("program", ["learners.reinforcepp", "learners.evaluate"])
def test_a_mistake_about_a_policy_is_one_line(program, words, complaint):
    ended = command(program, *words)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"python -m {program}: ")
    assert re.search(complaint, line)


def test_the_options_of_a_factory_reach_it(sandbox):
    ended = command(
        *("learners.evaluate", "--policy", "tests.learners.choices:sized", "--size", "7", "--samples", "2"),
        *("--domain", "python", "--goalposts", "tests.learners.choices:sevens", "--sandbox", sandbox.tier),
    )
    assert ended.returncode == 0, ended.stderr
    assert "1 of 1 problems solved" in ended.stdout


def test_another_domain_is_measured_on_its_own_problems():
    words = ("--policy", "tests.learners.choices:sized", "--size", "7", "--samples", "2")
    ended = command("learners.evaluate", *words, "--domain", ARITHMETIC)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith(f"2 problems: the domain has them; domain {ARITHMETIC}")


def test_a_policy_that_fails_is_one_line(tmp_path):
    ended = command("learners.reinforcepp", "--domain", ARITHMETIC, "--heldout", "", "--runs", str(tmp_path))
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith("policy 'MiniaturePolicy' failed")


@pytest.mark.parametrize("program", ["learners.reinforcepp", "learners.evaluate"])
def test_without_docker_a_program_says_so_on_one_line(program, tmp_path):
    options = {"learners.reinforcepp": ("--runs", str(tmp_path), "--heldout", ""), "learners.evaluate": ()}
    ended = subprocess.run(
        [sys.executable, "-m", program, *PLAYER, "--sandbox", "docker", *options[program]],
        env={**os.environ, "DOCKER_HOST": "unix:///nowhere.sock"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert ended.stdout == ""
    (line,) = ended.stderr.splitlines()
    assert "Docker does not answer at unix:///nowhere.sock" in line
    assert list(tmp_path.iterdir()) == []
