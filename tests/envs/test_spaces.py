"""Spaces of text, and what becomes of them in Gymnasium's own vector environments."""

from __future__ import annotations

import gymnasium as gym
import pytest

from gasp_env.envs.spaces import TextAction, UnicodeText
from gasp_env.policies.scripted import GOALPOST
from tests.envs.test_single_role import scripted_texts


def test_text_spaces() -> None:
    text, action = UnicodeText(5), TextAction(5, 2)
    assert "añ\n本😀" in text
    assert "" in text
    assert "123456" not in text
    assert ("a", "b") in action
    assert () not in action
    assert ("a", "b", "c") not in action
    # What a model wrote is an action, however long it is.
    assert "123456" in action
    assert ("123456" * 1000, "") in action
    assert ["a", "b"] in action
    for wrong in (None, 3, b"a", ("a", 3), (("a",),), {"a"}):
        assert wrong not in action
    assert len(action.sample()) <= 5
    assert text == UnicodeText(5)
    assert text != UnicodeText(6)
    assert action != TextAction(5, 3)
    assert text.sample() in text


def test_memory_shared_between_processes_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shared_memory=False.*make_vec\(id, num_envs\)"):
        gym.make_vec("GASP-Code-v0", num_envs=2, vectorization_mode="async")


@pytest.mark.docker
@pytest.mark.parametrize("mode", ["sync", "async"])
def test_gymnasiums_vector_environments_have_the_right_texts(sandbox: object, mode: str) -> None:
    asked = {"options": {"goalpost": GOALPOST}, "seed": 3}
    ours = gym.make_vec("GASP-Code-v0", num_envs=2)
    settings = {"shared_memory": False} if mode == "async" else {}
    envs = gym.make_vec("GASP-Code-v0", num_envs=2, vectorization_mode=mode, vector_kwargs=settings)
    expected, _ = ours.reset(**asked)
    found, _ = envs.reset(**asked)
    for _ in range(4):
        assert list(found["prompt"]) == list(expected["prompt"])
        texts = scripted_texts(expected)
        expected, paid, *_, told = ours.step(texts)
        found, rewards, *_, infos = envs.step(texts)
        assert rewards.tolist() == paid.tolist()
        assert [list(credits) for credits in infos["credits"]] == [
            list(credits) for credits in told["credits"]
        ]
    envs.close()
