"""Recipes: what ships can be read, what is wrong in one is said."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from gasp_env.policies.factories import options_of
from learners import config, recipes
from learners.command_line import parse
from learners.config import ROLES, Args


@pytest.mark.parametrize("name", recipes.names())
def test_recipes_that_ship_are_complete(name: str) -> None:
    recipe = recipes.read(name)
    assert recipe.about.endswith(".")
    assert set(recipe.policy_options[""]) <= set(options_of(recipe.args.policy))
    config.check(recipe.args)
    assert f"{name}: {recipe.about}" in recipes.describe()


def test_the_default_is_the_miniatures() -> None:
    assert recipes.read("miniature").args == Args()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("episodes = 'many'", "episodes: Input should be a valid integer, got 'many'"),
        ("episodes = true", "episodes: .*integer, got True"),
        ("two_steps = 1", "two_steps: .*boolean, got 1"),
        ("lr = '1e-3'", "lr: .*number, got '1e-3'"),
        ("temperature = true", "temperature: .*number, got True"),
        ("policy = 'transformers'\n[policy_options]\nlora = '16'", "lora: .*integer, got '16'"),
        ("policy = 'transformers'\n[policy_options]\nrank = 16", "there is no 'rank'"),
        ("norm = 'none'", "norm: Input should be '"),
        ("episode = 8", "there is no 'episode'"),
        ("name = 'x'", "there is no 'name'"),
        ("policy_options = 3", "expected about to be text, and policy_options to be a table"),
        ("episodes = ", "expected a TOML file"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "my.toml"
    file.write_text(text)
    with pytest.raises(ValueError, match=said):
        recipes.read(str(file))


def test_there_is_no_such_recipe(tmp_path: Path) -> None:
    for name in ("nope", "../config", str(tmp_path / "no.toml")):
        with pytest.raises(ValueError, match="expected one of .*miniature"):
            recipes.read(name)


def parsed(monkeypatch: pytest.MonkeyPatch, *words: str) -> Args:
    monkeypatch.setattr("sys.argv", ["learners.reinforcepp", *words])
    return parse(Args, "learners.reinforcepp", "", ROLES, recipes)


def test_the_policy_picks_its_recipe_and_flags_win(monkeypatch: pytest.MonkeyPatch) -> None:
    found = parsed(monkeypatch, "--policy", "transformers", "--model", "x", "--episodes", "3")
    recipe = recipes.read("transformers")
    assert found.domain == "python"
    assert (found.episodes, found.max_tokens) == (3, recipe.args.max_tokens)
    assert found.policy_options == {"": {**recipe.policy_options[""], "model": Path("x")}}
    assert parsed(monkeypatch) == Args()


def test_a_recipe_names_its_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    found = parsed(monkeypatch, "--recipe", "laptop", "--model", "x", "--lora", "2")
    assert found.policy == "transformers"
    assert found.policy_options == {"": {"model": Path("x"), "lora": 2}}
    # Another policy has other options.
    found = parsed(monkeypatch, "--recipe", "laptop", "--policy", "miniature")
    assert found.policy_options == {}


def test_a_file_of_ones_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "my.toml"
    file.write_text('about = "Mine."\nepisodes = 2\ntrack = []\nadvantage_cap = 3\ngoalposts = "my.jsonl"\n')
    found = parsed(monkeypatch, "--recipe", str(file))
    assert (found.episodes, found.track, found.advantage_cap, found.goalposts) == (2, (), 3.0, "my.jsonl")


def test_a_wrong_recipe_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parsed(monkeypatch, "--recipe", "nope")
    assert "--recipe nope: expected one of" in capsys.readouterr().err
    with pytest.raises(SystemExit) as end:
        parsed(monkeypatch, "--recipes")
    assert end.value.code == 0
    assert "laptop: " in capsys.readouterr().out


def test_a_run_that_goes_on_has_its_options(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = tmp_path / "runs" / "a"
    (run / "checkpoints" / "000001").mkdir(parents=True)
    words = [
        "--recipe",
        "laptop",
        "--model",
        "x",
        "--lora",
        "2",
        "--lr",
        "0.5",
        "--runs",
        str(tmp_path / "runs"),
    ]
    began = parsed(monkeypatch, *words, "--teacher-policy", "silent", "--checkpointing")
    (run / "manifest.json").write_text(json.dumps({"args": asdict(began)}, default=str))
    for resume in ("auto", str(run), str(run / "checkpoints" / "000001")):
        name = ["--name", "a"] if resume == "auto" else []
        went_on = parsed(
            monkeypatch, "--resume", resume, *name, "--runs", str(tmp_path / "runs"), "--updates", "40"
        )
        assert went_on.updates == 40
        assert config.fixed(went_on) == config.fixed(began)
        assert went_on.policy_options == began.policy_options
    # Where there is none, a new run begins.
    assert (
        parsed(monkeypatch, "--resume", "auto", "--name", "b", "--runs", str(tmp_path)).domain
        == Args().domain
    )


def test_help_shows_the_recipes_options_of_a_policy(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["x", "--recipe", "laptop", "--help"])
    with pytest.raises(SystemExit):
        parse(Args, "x", "", ROLES, recipes)
    printed = " ".join(capsys.readouterr().out.split())
    assert "[--lora 16]" in printed
    assert "default: 400" in printed
