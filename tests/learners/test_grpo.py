"""TRL's trainer on the game: the same gradient as a slow reference, learning, going on, and several processes."""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch

from learners import grpo, reinforcepp
from learners.advantages import group_relative
from learners.grpo import GRPOArgs, main
from learners.reinforcepp import Args
from learners.turn_records import TurnRecord
from tests.learners.language_models import rewards, weights, with_policy
from tests.learners.test_processes import finished, launched


def reference(rewards: list[float], groups: list[int], populations: list[int], scale: str) -> list[float]:
    """`group_relative`, row by row."""
    found = []
    for reward, group, population in zip(rewards, groups, populations, strict=True):
        peers = [r for r, g in zip(rewards, groups, strict=True) if g == group]
        if len(peers) == 1:
            peers = [r for r, p in zip(rewards, populations, strict=True) if p == population]
        if len(peers) == 1:
            found.append(0.0)
            continue
        spread = {"group": peers, "batch": rewards, "none": [0.0, 1.0]}[scale]
        std = torch.tensor(spread, dtype=torch.float64).std().item()
        centred = reward - sum(peers) / len(peers)
        found.append(centred if scale == "none" else centred / (std + 1e-4))
    return found


@pytest.mark.parametrize("scale", ["group", "batch", "none"])
@pytest.mark.parametrize("seed", range(4))
def test_advantages_are_relative_to_the_group(scale: Any, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(20, generator=generator, dtype=torch.float64)
    groups = torch.randint(0, 9, (20,), generator=generator) * 3
    populations = torch.randint(0, 3, (20,), generator=generator)
    found = group_relative(values, groups, populations, scale)
    assert found.tolist() == pytest.approx(
        reference(values.tolist(), groups.tolist(), populations.tolist(), scale)
    )


def test_one_row_learns_nothing() -> None:
    one = torch.ones(1, dtype=torch.float64)
    assert group_relative(one, torch.tensor([5]), torch.tensor([0])).tolist() == [0.0]


@pytest.fixture
def options(llm_options: dict[str, Any]) -> dict[str, Any]:
    return llm_options | {"proposals": 1, "accumulate": 2}


class Gradients:
    """Keeps what an optimizer step got, and the rows it came from, and takes no step."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, lost: set[int]) -> None:
        self.found: list[list[torch.Tensor]] = []
        self.rows: list[TurnRecord] = []
        real = grpo.SelfPlayGRPO._rollout

        def rollout(trainer: grpo.SelfPlayGRPO) -> list[TurnRecord]:
            rows = real(trainer)
            self.policy = trainer.policy
            self.rows = [row for number, row in enumerate(rows) if number not in lost]
            return self.rows

        def step(optimizer: Any, *_: Any) -> None:
            groups = optimizer.param_groups
            self.found.append([one.grad.clone() for group in groups for one in group["params"]])

        monkeypatch.setattr(grpo.SelfPlayGRPO, "_rollout", rollout)
        monkeypatch.setattr(torch.optim.AdamW, "step", step)


@pytest.mark.parametrize(
    ("lost", "more"),
    [
        (set(), {}),
        ({0, 3, 4}, {}),
        (set(range(23)), {}),
        (set(), {"kl": "k3_loss", "lora": 4}),
        ({1}, {"correction": "truncate", "lora": 4, "entropy_coef": 0.3}),
        ({1}, {"entropy_coef": 0.3, "freeze": "teacher"}),
    ],
)
def test_the_gradient_is_that_of_a_slow_reference(
    options: dict[str, Any],
    llm_taught: Path,
    monkeypatch: pytest.MonkeyPatch,
    lost: set[int],
    more: dict[str, Any],
) -> None:
    gradients = Gradients(monkeypatch, lost)
    more = dict(more)
    options = with_policy(options, model=llm_taught, lora=more.pop("lora", 0)) | more
    main(GRPOArgs(**options | {"updates": 1, "grad_clip": 1e9, "accumulate": 5}))
    rows, policy = gradients.rows, gradients.policy
    advantages = group_relative(
        torch.tensor([row.reward for row in rows], dtype=torch.float64),
        torch.tensor([row.group for row in rows]),
        torch.zeros(len(rows), dtype=torch.long),
    )
    policy.module.zero_grad()
    total = torch.zeros(())
    for row, advantage in zip(rows, advantages, strict=True):
        scores = policy.score([(row.prompt_ids, [row.completion_ids])])
        total = total - advantage.float() * scores.logprobs.sum()
        total = total - options.get("entropy_coef", 0.0) * scores.entropy.sum()
    (total / sum(len(row.completion_ids) for row in rows)).backward()  # type: ignore[no-untyped-call]
    (found,) = gradients.found
    expected = [one.grad for one in policy.parameters()]
    largest = max(float(one.abs().max()) for one in expected if one is not None)
    assert len(rows) == 24 - len(lost)
    assert (largest > 1e-3) == (len(lost) < 23), "a row that is alone learns nothing"
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5 * max(largest, 1e-6), rtol=1e-3)


def test_an_update_without_a_scored_row_changes_nothing(
    options: dict[str, Any], llm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(grpo, "trains", lambda record, args: False)
    main(GRPOArgs(**options | {"updates": 2}))
    before = weights(llm_folder)
    after = weights(tmp_path / "run" / "policy")
    assert all(torch.equal(one, before[name]) for name, one in after.items())


@pytest.mark.slow
def test_the_reward_rises(options: dict[str, Any], llm_taught: Path, tmp_path: Path) -> None:
    main(GRPOArgs(**with_policy(options, model=llm_taught) | {"lr": 3e-4}))
    values = rewards(tmp_path / "run", "reward/solver/goalpost")
    print(values)
    assert sum(values[-4:]) / 4 > values[0] + 0.5


#: KL, several passes, several optimizer steps a pass: old and reference log-probabilities are used.
HARD = {"kl": "k3_loss", "epochs": 2, "minibatches": 2, "goalpost_rate": 0.0, "lifts": 0, "train_on": "both"}


@pytest.mark.parametrize("lora", [0, 4])
def test_a_run_that_goes_on_is_the_one_that_ran_through(
    options: dict[str, Any], tmp_path: Path, lora: int
) -> None:
    options = with_policy(options, lora=lora) | HARD
    options |= {"attempts": 2, "episodes": 4, "proposals": 2, "checkpoint_every": 1, "entropy_coef": 0.1}
    main(GRPOArgs(**options | {"name": "whole", "updates": 3}))
    main(GRPOArgs(**options | {"name": "cut", "updates": 2}))
    main(GRPOArgs(**options | {"name": "cut", "updates": 3, "resume": "auto"}))
    steps = [
        json.loads(line)["step"] for line in (tmp_path / "cut" / "metrics.jsonl").read_text().splitlines()
    ]
    assert steps == [1, 2, 3]
    ours, theirs = weights(tmp_path / "whole" / "policy"), weights(tmp_path / "cut" / "policy")
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(one, theirs[name]) for name, one in ours.items())


def test_proposals_answer_one_prompt(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    gradients = Gradients(monkeypatch, set())
    main(
        GRPOArgs(
            **options | HARD | {"kl": "none", "episodes": 6, "proposals": 3, "updates": 1, "attempts": 2}
        )
    )
    groups = defaultdict(list)
    for row in gradients.rows:
        if row.stage == "lemma":
            groups[row.group].append(row.prompt_ids)
    assert sorted(map(len, groups.values())) in ([3, 3], [6])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (
            {"proposals": 2, "episodes": 3},
            "--proposals 2: expected a divisor of the episodes of a process, 3",
        ),
        ({"weights": "by_role"}, "--weights by_role: expected shared"),
        ({"kl": "k1_reward"}, "--kl k1_reward: expected none or k3_loss"),
        (
            {"policy": "miniature", "policy_options": {}},
            "--policy miniature: expected one of the transformers library",
        ),
    ],
)
def test_what_it_cannot_do_is_said(options: dict[str, Any], wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(SystemExit, match=said):
        main(GRPOArgs(**options | wrong))


def test_two_processes_end_with_equal_weights(
    options: dict[str, Any], llm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    words = [
        *(
            "-m",
            "learners.grpo",
            "--model",
            str(llm_folder),
            "--lora",
            "0",
            "--dtype",
            "float32",
            "--runs",
            str(tmp_path),
        ),
        *("--name", "two", "--episodes", "4", "--proposals", "2", "--attempts", "2", "--lifts", "0"),
        *("--train-on", "both", "--max-tokens", "24", "--threads", "1", "--entropy-coef", "0.1"),
        *("--kl", "k3_loss", "--epochs", "2", "--minibatches", "2", "--accumulate", "2", "--updates", "3"),
        *("--sandbox", options["sandbox"], "--goalposts", options["goalposts"], "--goalpost-samples", "0"),
    ]
    finished(launched(*words))
    run = tmp_path / "two"
    assert json.loads((run / "manifest.json").read_text())["processes"] == 2
    assert [json.loads(line)["step"] for line in (run / "metrics.jsonl").read_text().splitlines()] == [
        1,
        2,
        3,
    ]
    ours, start = weights(run / "policy"), weights(llm_folder)
    assert not all(torch.equal(one, start[name]) for name, one in ours.items())


def moved(before: dict[str, torch.Tensor], after: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(one, before[name]) for name, one in after.items() if name in before)


def test_a_teacher_alone_trains_its_own_weights(
    options: dict[str, Any], llm_folder: Path, tmp_path: Path
) -> None:
    options |= HARD | {"freeze": "solver", "entropy_coef": 0.1, "attempts": 2, "checkpoint_every": 1}
    main(GRPOArgs(**options | {"updates": 2}))
    run, start = tmp_path / "run", weights(llm_folder)
    assert moved(start, weights(run / "policy-teacher"))
    assert not moved(start, weights(run / "policy"))
    assert moved(start, weights(run / "checkpoints" / "checkpoint-8"))


def logged(run: Path, name: str) -> list[Any]:
    return [json.loads(line)[name] for line in (run / "metrics.jsonl").read_text().splitlines()]


def steps(run: Path) -> list[int]:
    return logged(run, "step")


def test_going_on_from_an_earlier_checkpoint_leaves_the_later_ones_behind(
    options: dict[str, Any], tmp_path: Path
) -> None:
    options |= {"checkpoint_every": 1, "keep_checkpoints": 3, "attempts": 2, "accumulate": 1}
    main(GRPOArgs(**options | {"updates": 3}))
    folder = tmp_path / "run" / "checkpoints"
    assert sorted(one.name for one in folder.glob("*")) == ["checkpoint-1", "checkpoint-2", "checkpoint-3"]
    torn = folder / "checkpoint-3" / "self_play" / "state.json"
    torn.write_text(torn.read_text()[:-9])
    options["name"] = ""
    main(GRPOArgs(**options | {"updates": 4, "resume": str(tmp_path / "run")}))
    assert steps(tmp_path / "run") == [1, 2, 3, 4]
    main(GRPOArgs(**options | {"updates": 3, "resume": str(folder / "checkpoint-2"), "keep_checkpoints": 1}))
    assert steps(tmp_path / "run") == [1, 2, 3]
    assert [one.name for one in folder.glob("*")] == ["checkpoint-3"]


def test_time_ends_a_run_and_a_run_of_another_learner_is_left_alone(
    options: dict[str, Any], tmp_path: Path
) -> None:
    options |= {"attempts": 2, "updates": 5, "seconds": 0.01}
    assert main(GRPOArgs(**options))["updates"] == 1
    assert main(GRPOArgs(**options | {"resume": "auto"}))["updates"] == 1
    theirs = {key: value for key, value in options.items() if key not in ("proposals", "accumulate")}
    with pytest.raises(SystemExit, match="is a run of learners.grpo: go on with it there"):
        reinforcepp.main(Args(**theirs | {"resume": "auto"}))
    reinforcepp.main(Args(**theirs | {"name": "other"}))
    with pytest.raises(SystemExit, match="is a run of learners.reinforcepp"):
        main(GRPOArgs(**options | {"name": "other", "resume": "auto"}))
    assert steps(tmp_path / "other") == [1]


def test_tokens_end_a_run(options: dict[str, Any], tmp_path: Path) -> None:
    options |= {"attempts": 2, "updates": 50, "checkpoint_every": 1}
    made = main(GRPOArgs(**options | {"updates": 1}))["tokens"]["total"]
    summary = main(GRPOArgs(**options | {"tokens": made + 1, "resume": "auto"}))
    assert summary["tokens"]["total"] > made
    assert summary["updates"] == 2
    assert main(GRPOArgs(**options | {"tokens": made + 1, "resume": "auto"}))["updates"] == 2
    assert main(GRPOArgs(**options | {"tokens": 1, "name": "other"}))["updates"] == 1
    assert steps(tmp_path / "other") == [1]


def test_a_frozen_teachers_adapter_keeps_processes_alike(
    options: dict[str, Any], llm_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_USE_CPU", "true")
    words = [
        *("-m", "learners.grpo", "--model", str(llm_folder), "--lora", "4", "--dtype", "float32"),
        *("--runs", str(tmp_path), "--name", "two", "--episodes", "2", "--proposals", "1", "--attempts", "2"),
        *("--goalpost-rate", "0.5", "--freeze", "teacher", "--max-tokens", "24", "--threads", "1"),
        *("--entropy-coef", "0.1", "--correction", "truncate", "--accumulate", "2", "--updates", "3"),
        *("--sandbox", options["sandbox"], "--goalposts", options["goalposts"], "--goalpost-samples", "0"),
    ]
    finished(launched(*words))
    assert steps(tmp_path / "two") == [1, 2, 3]


def test_a_budget_of_tokens_sets_the_same_rate_in_a_run_that_goes_on(
    options: dict[str, Any], tmp_path: Path
) -> None:
    options |= HARD | {"attempts": 2, "entropy_coef": 0.1, "checkpoint_every": 1, "updates": 1000}
    main(GRPOArgs(**options | {"name": "whole", "tokens": 400}))
    rates = logged(tmp_path / "whole", "train/learning_rate")
    assert len(rates) > 2
    assert rates[0] == options["lr"] > rates[-1]
    main(GRPOArgs(**options | {"name": "cut", "updates": 2, "tokens": None}))
    main(GRPOArgs(**options | {"name": "cut", "tokens": 400, "resume": "auto"}))
    ours, theirs = weights(tmp_path / "whole" / "policy"), weights(tmp_path / "cut" / "policy")
    assert steps(tmp_path / "cut") == steps(tmp_path / "whole")
    assert logged(tmp_path / "cut", "train/learning_rate")[-1] == rates[-1]
    assert all(torch.equal(one, theirs[name]) for name, one in ours.items())
