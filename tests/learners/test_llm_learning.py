"""A language model learns: a tiny Qwen2 through the real policy, prompts, environment and sandbox.

It has been taught three answers before, one of which is right, one wrong and one no program, and gives each about as
often. What is learned is which of them is paid.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch

from learners import recipes, reinforcepp
from learners.players import Players, seat
from learners.reinforcepp import Args, main
from tests.learners.language_models import rewards, weights, with_policy


@pytest.mark.slow
@pytest.mark.parametrize("lora", [0, 4])
def test_the_reward_rises_and_not_with_shuffled_advantages(
    llm_options: dict[str, Any], llm_taught: Path, tmp_path: Path, lora: int
) -> None:
    options = with_policy(llm_options, model=llm_taught, lora=lora) | {"lr": 3e-3 if lora else 3e-4}
    found = {}
    for shuffle in (False, True):
        main(Args(**options | {"name": str(shuffle), "shuffle_advantages": shuffle}))
        values = rewards(tmp_path / str(shuffle), "reward/solver/goalpost")
        found[shuffle] = (values[0], sum(values[-4:]) / 4)
    print(found)
    assert found[False][0] == found[True][0]
    assert found[False][1] > found[False][0] + 0.5
    assert found[True][1] < found[True][0] + 0.2


@pytest.mark.parametrize("more", [{"lora": 4}, {"dtype": "bfloat16"}, {"lora": 4, "dtype": "bfloat16"}])
def test_a_run_that_goes_on_is_bit_for_bit_the_one_that_ran_through(
    llm_options: dict[str, Any], tmp_path: Path, more: dict[str, Any]
) -> None:
    options = with_policy(llm_options, **more) | {"weights": "by_role", "goalpost_rate": 0.0, "attempts": 3}
    options |= {
        "correction": "truncate",
        "minibatches": 2,
        "train_on": "both",
        "checkpoint_every": 1,
        "lifts": 0,
        "entropy_coef": 0.1,  # random weights earn the same everywhere: something has to move them
    }
    main(Args(**options | {"name": "whole", "updates": 4}))
    main(Args(**options | {"name": "cut", "updates": 2}))
    main(Args(**options | {"name": "cut", "updates": 4, "resume": "auto"}))
    for folder in ("policy", "policy-teacher"):
        ours, theirs = weights(tmp_path / "whole" / folder), weights(tmp_path / "cut" / folder)
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(one, theirs[name]) for name, one in ours.items())
    assert not all(
        torch.equal(one, ours)
        for one, ours in zip(
            weights(tmp_path / "whole" / "policy").values(),
            weights(tmp_path / "whole" / "policy-teacher").values(),
            strict=True,
        )
    )


@pytest.mark.parametrize(("frozen", "trained"), [("teacher", "solver"), ("solver", "teacher")])
@pytest.mark.parametrize(("weights", "lora"), [("shared", 0), ("by_role", 4)])
def test_frozen_weights_stay_as_they_are(
    llm_options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
    weights: str,
    lora: int,
    frozen: str,
    trained: str,
) -> None:
    kept: list[Players] = []
    start: list[list[bytes]] = []

    def seated(args: Args) -> Players:
        kept.append(seat(args))
        start.append(values(kept[-1], frozen))
        return kept[-1]

    monkeypatch.setattr(reinforcepp, "seat", seated)
    options = with_policy(llm_options, lora=lora) | {"weights": weights, "freeze": frozen, "updates": 2}
    main(Args(**options | {"goalpost_rate": 0.5, "train_on": "both", "attempts": 4, "entropy_coef": 0.1}))
    assert [player.roles for player in kept[0].training] == [frozenset({trained})]
    assert values(kept[0], frozen) == start[0]
    assert values(kept[0], trained) != start[0]
    assert kept[0].policy is kept[0].seats["solver"], "what is measured and saved is the solver"


def values(players: Players, role: str) -> list[bytes]:
    policy: Any = players.seats[role]
    return [one.detach().numpy().tobytes() for one in policy.parameters()]


def test_a_snapshot_takes_everything_back(llm_options: dict[str, Any]) -> None:
    players = seat(Args(**with_policy(llm_options, lora=4)))
    (player,) = players.training
    group = (player.policy.chat.prompt_ids("x"), [(1, 2, 3)])  # type: ignore[attr-defined]

    def step() -> list[bytes]:
        player.optimizer.zero_grad()
        (-player.policy.score([group]).logprobs.sum()).backward()  # type: ignore[no-untyped-call]
        player.optimizer.step()
        player.policy.version += 1
        player.policy.generator.manual_seed(player.policy.version)
        return values(players, "solver")

    step()
    snapshot = player.snapshot()
    ours = [step(), step()]
    player.restore(snapshot)
    assert player.policy.version == 1
    assert [step(), step()] == ours
    assert dataclasses.is_dataclass(snapshot)


@pytest.mark.parametrize("name", [name for name in recipes.names() if name not in ("miniature", "vllm")])
def test_every_recipe_trains_a_tiny_model(llm_options: dict[str, Any], llm_folder: Path, name: str) -> None:
    recipe = recipes.read(name)
    small = {key: llm_options[key] for key in ("runs", "name", "sandbox", "threads", "track")}
    small |= {"episodes": 2, "attempts": 2, "updates": 2, "max_tokens": 24, "micro_tokens": 2048}
    options = {**recipe.policy_options[""], "model": llm_folder}
    summary = main(dataclasses.replace(recipe.args, **small, policy_options={"": options}))
    assert summary["updates"] == 2
    assert summary["tokens"]["total"] > 0
