"""A transcript as text."""

from __future__ import annotations

import gymnasium as gym
import pytest

from gasp_env.env import GaspCodeEnv
from gasp_env.sandbox import Sandbox
from tests.test_env import OPTIONS


@pytest.mark.docker
def test_render(sandbox: Sandbox) -> None:
    env = gym.make("GASP-Code-v0", render_mode="ansi", **OPTIONS).unwrapped
    assert isinstance(env, GaspCodeEnv)
    env.reset(seed=0)
    env.step("\x1b[2Jnothing")
    shown = env.render()
    assert shown is not None
    assert "no_program" in shown
    assert "reward -1.000" in shown
    assert "\x1b" not in shown
