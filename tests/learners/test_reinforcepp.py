"""Whole runs of the learner, small, on the default domain, in the sandbox."""

from __future__ import annotations

import dataclasses
import json
import signal
from pathlib import Path

import pytest
from safetensors.torch import load_file

from gasp_env.transcripts import replay
from learners import config, training_state
from learners.grpo import GRPOArgs
from learners.reinforcepp import Args, learning_rate, main
from tests.learners.choices import PROMPTS, ChoicePolicy

SUMMARY = {
    *(
        "accepted_lemmas",
        "accepted_lifts",
        "sandbox",
        "pass_at_1",
        "pass_at_8",
        "goalposts_reached",
        "solve_rates",
    ),
    *("rewards", "proposals", "tokens", "groups", "updates", "seconds", "seconds_training", "episodes"),
}


@pytest.fixture
def options(sandbox, tmp_path) -> dict:
    return {
        "policy": "tests.learners.choices:policy",
        "domain": "python",
        "heldout": "",
        "goalpost_samples": 2,
        "runs": tmp_path,
        "sandbox": sandbox.tier,
        "episodes": 6,
        "attempts": 4,
        "updates": 4,
        "lr": 0.1,
        "train_on": "both",
        "kl": "k2_loss",
        "checkpoint_every": 1,
        "episodes_every": 2,
    }


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def timeless(record: dict) -> dict:
    """What two equal runs agree on: not the time, nor how often the sandbox had to try."""
    return {
        k: v
        for k, v in record.items()
        if not k.startswith(("seconds", "speed", "memory"))
        and k not in ("episodes", "sandbox/runs", "sandbox")
    }


def press_ctrl_c(monkeypatch, version: int, number: int = signal.SIGINT) -> None:
    """Press it, or send another signal, once, while a policy of that version samples."""
    generate = ChoicePolicy.generate
    pressed: list[bool] = []

    def interrupted(self, *args):
        if self.version == version and not pressed:
            pressed.append(True)
            signal.raise_signal(number)
        return generate(self, *args)

    monkeypatch.setattr(ChoicePolicy, "generate", interrupted)


def test_a_run_leaves_what_it_promises(options, tmp_path):
    summary = main(Args(name="run", **options))
    run = tmp_path / "run"
    assert set(summary) == SUMMARY
    assert json.loads((run / "summary.json").read_text()) == summary
    assert summary["updates"] == 4
    assert summary["sandbox"]["tier"] == options["sandbox"]
    assert summary["sandbox"]["runs"] > 0
    assert set(summary["rewards"]) >= {"teacher/lemma", "solver/attempt"}
    assert summary["goalposts_reached"]["samples_each"] == 2

    metrics = lines(run / "metrics.jsonl")
    assert [m["step"] for m in metrics] == [1, 2, 3, 4]
    assert {"reward/teacher/lemma", "train/loss", "seconds/generate", "train/kl_to_start"} <= set(metrics[-1])
    manifest = json.loads((run / "manifest.json").read_text())
    assert manifest["sandbox"] == options["sandbox"]
    assert manifest["args"]["updates"] == 4
    assert {"torch", "numpy"} <= set(manifest["packages"])
    assert list((run / "tensorboard").iterdir())
    assert (run / "policy" / "table.safetensors").is_file()
    assert [p.name for p in training_state.steps(run / "checkpoints")] == ["000003", "000004"]
    assert [p.name for p in sorted((run / "episodes").iterdir())] == [
        "000001.jsonl",
        "000002.jsonl",
        "000004.jsonl",
    ]


def test_stored_episodes_replay(options, sandbox):
    summary = main(Args(name="run", **{**options, "updates": 1}))
    episodes = replay.load(summary["episodes"])
    assert len(episodes) == 4
    for episode in episodes:
        assert replay.replay(episode, sandbox) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_goes_on_as_if_it_had_not_been(options, tmp_path, monkeypatch, number):
    whole = main(Args(name="whole", **options))
    press_ctrl_c(monkeypatch, 1, number)  # in the middle of the second update
    assert main(Args(name="cut", **options)) == {}
    assert [p.name for p in training_state.steps(tmp_path / "cut" / "checkpoints")] == ["000001", "000002"]
    assert not (tmp_path / "cut" / "summary.json").exists()

    # What was logged after the checkpoint that is resumed from is written anew.
    with (tmp_path / "cut" / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3}\n')
    resumed = main(Args(name="cut", resume="auto", **options))
    assert timeless(resumed) == timeless(whole)
    paths = [tmp_path / name for name in ("whole", "cut")]
    ours, theirs = (load_file(path / "policy" / "table.safetensors")["table"] for path in paths)
    assert ours.equal(theirs)
    logs = [[timeless(m) for m in lines(path / "metrics.jsonl")] for path in paths]
    assert logs[0] == logs[1]
    states = [
        json.loads((path / "checkpoints" / "000004" / "state.json").read_text())["data"] for path in paths
    ]
    assert states[0]["envs"] == states[1]["envs"]
    assert (tmp_path / "cut" / "manifest-000002.json").is_file()


def test_tokens_end_a_run_after_the_update_that_reaches_them(options, tmp_path, monkeypatch):
    budget = options | {"tokens": 200, "updates": 1000}
    whole = main(Args(name="whole", **budget))
    logged = lines(tmp_path / "whole" / "metrics.jsonl")
    totals = [one["tokens/total"] for one in logged]
    assert whole["tokens"]["total"] == totals[-1] >= 200 > totals[-2]
    assert whole["updates"] == len(totals) > 2
    rates = [0.1 * learning_rate(total / 200) for total in [0, *totals[:-1]]]
    assert [one["train/lr"] for one in logged] == pytest.approx(rates)
    assert rates[-1] < rates[0], "the budget is the length of the run for the learning rate too"

    press_ctrl_c(monkeypatch, 1)
    assert main(Args(name="cut", **budget)) == {}
    assert timeless(main(Args(name="cut", resume="auto", **budget))) == timeless(whole)
    # A run that has spent its budget is only measured again; a larger budget may be given to it.
    assert main(Args(name="cut", resume="auto", **budget))["updates"] == whole["updates"]
    longer = main(Args(name="cut", resume="auto", **budget | {"tokens": totals[-1] + 1}))
    assert longer["updates"] == whole["updates"] + 1


def test_ctrl_c_while_the_start_model_is_measured_leaves_nothing_in_the_way(
    options, tmp_path, monkeypatch, capsys
):
    press_ctrl_c(monkeypatch, version=0)
    assert main(Args(name="run", **options | {"updates": 1})) == {}
    assert "start again" in capsys.readouterr().out
    assert not (tmp_path / "run" / "manifest.json").exists()
    assert main(Args(name="run", **options | {"updates": 1}))["updates"] == 1


def test_ctrl_c_while_the_trained_model_is_measured_loses_no_training(options, monkeypatch, capsys):
    whole = main(Args(name="whole", **options | {"updates": 1}))
    press_ctrl_c(monkeypatch, version=1)
    assert main(Args(name="cut", **options | {"updates": 1})) == {}
    assert "--resume" in capsys.readouterr().out
    assert timeless(main(Args(name="cut", resume="auto", **options | {"updates": 1}))) == timeless(whole)


def test_a_run_is_not_overwritten_nor_resumed_with_other_settings(options):
    small = {**options, "updates": 1, "goalpost_samples": 0}
    main(Args(name="run", **small))
    with pytest.raises(SystemExit, match="--resume auto"):
        main(Args(name="run", **small))
    with pytest.raises(SystemExit, match="other settings"):
        main(Args(name="run", resume="auto", **{**small, "lr": 0.2}))


def test_a_role_with_a_policy_of_its_own_does_not_train(options, tmp_path, monkeypatch):
    # The other policy has a random stream too, which has to go on where it was.
    own = {
        **options,
        "teacher_policy": f"{__name__}:seeded",
        "policy_options": {"teacher": {"seed": 3}},
        "goalpost_samples": 0,
        "train_on": "solve",
        "updates": 3,
        # The scripts have few tasks; without their copies too few episodes come to a solve turn.
        "batch_duplicates": False,
    }
    whole = main(Args(name="whole", **own))
    table = load_file(tmp_path / "whole" / "policy" / "table.safetensors")["table"]
    changed = (table - ChoicePolicy().module["table"]).abs().sum((1, 2)) > 0
    rows = dict(zip(PROMPTS, changed.tolist(), strict=True))
    assert not rows["lemma"]
    assert not rows["lift"]
    assert any(rows.values())
    manifest = json.loads((tmp_path / "whole" / "manifest.json").read_text())
    assert manifest["args"]["policy_options"] == {"teacher": {"seed": 3}}

    press_ctrl_c(monkeypatch, version=1)
    assert main(Args(name="cut", **own)) == {}
    assert timeless(main(Args(name="cut", resume="auto", **own))) == timeless(whole)
    assert table.equal(load_file(tmp_path / "cut" / "policy" / "table.safetensors")["table"])
    with pytest.raises(SystemExit, match="other settings"):
        main(Args(name="cut", resume="auto", **{**own, "policy_options": {}}))


def test_a_policy_without_tokens_may_play_a_role(options):
    summary = main(
        Args(name="run", **{**options, "teacher_policy": "silent", "updates": 1, "goalpost_samples": 0})
    )
    assert summary["proposals"] == {"lemma": {"no_program": 6}}
    assert summary["tokens"]["total"] == summary["tokens"]["solver"]


def test_somebody_has_to_train():
    with pytest.raises(SystemExit, match="--train-roles teacher: expected a role whose weights train"):
        main(Args(train_roles="teacher", teacher_policy="silent"))
    with pytest.raises(SystemExit, match="--train-roles both: expected a role whose weights train"):
        main(Args(solver_policy="silent", teacher_policy="silent"))


def seeded(seed: int = 0) -> ChoicePolicy:
    return ChoicePolicy(seed)


def test_shuffling_refuses_what_it_cannot_shuffle():
    with pytest.raises(SystemExit, match="k1_reward"):
        main(Args(shuffle_advantages=True, kl="k1_reward"))


def test_every_free_setting_is_a_setting():
    assert {field.name for field in dataclasses.fields(GRPOArgs)} >= config.FREE
    assert {field.name for field in dataclasses.fields(Args)} >= config.FREE - {"accumulate"}
