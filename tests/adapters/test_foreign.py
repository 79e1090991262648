"""Libraries that the project does not depend on: `make test-adapters` installs them and runs these."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from gasp_env.envs import aec
from gasp_env.sandbox import Sandbox

ID = "gasp_env:GASP-Code-v0"


def test_torchrl(sandbox: Sandbox) -> None:
    envs: Any = pytest.importorskip("torchrl.envs")
    env = envs.GymEnv(ID, categorical_action_encoding=True)
    tensors = env.reset(seed=0)
    assert "goalpost" in tensors["prompt"] or len(tensors["prompt"]) > 100
    tensors["action"] = "nothing"
    assert float(env.step(tensors)["next", "reward"]) == -1
    envs.check_env_specs(env)
    several = envs.GymWrapper(gym.make_vec(ID, num_envs=2), categorical_action_encoding=True)
    for actions in (["a", "b"], [("a",), ("b",)]):
        tensors = several.reset()
        tensors["action"] = actions
        assert several.step(tensors)["next", "reward"].flatten().tolist() == [-1, -1]


def test_tianshou(sandbox: Sandbox) -> None:
    tianshou: Any = pytest.importorskip("tianshou.env")
    envs = tianshou.DummyVectorEnv([lambda: gym.make(ID, sandbox=sandbox) for _ in range(2)])
    envs.reset(seed=0)
    actions = np.empty(2, dtype=object)
    actions[:] = [("a",), "b"]
    _, rewards, _, _, infos = envs.step(actions)
    assert rewards.tolist() == [-1, -1]
    assert infos[0]["verdicts"] == ["no_program"]
    env = tianshou.PettingZooEnv(aec.env(sandbox=sandbox))
    seen, _ = env.reset()
    assert seen["agent_id"] == "teacher_0"
    assert env.step("nothing")[1] == [-1, 0]
