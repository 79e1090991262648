"""What other code bases do with an env: copy and pickle it, hand it arrays, read what Gymnasium's own envs have."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import pettingzoo
import pytest
from gymnasium.vector import AutoresetMode

from gasp_env import policies
from gasp_env.envs import aec
from gasp_env.envs.env import GaspCodeEnv
from gasp_env.policies import Sampling
from gasp_env.sandbox import Sandbox

ID = "gasp_env:GASP-Code-v0"


def scripted(prompt: str, count: int) -> tuple[str, ...]:
    (group,) = policies.get("scripted").generate([prompt], [count], Sampling())
    return tuple(one.text for one in group)


@pytest.mark.parametrize("name", ["frameskip", "mode", "num_envs"])
def test_an_unknown_argument_is_refused_in_pythons_words(name: str) -> None:
    with pytest.raises(
        TypeError, match=f"got an unexpected keyword argument '{name}'; there are curriculum, "
    ):
        gym.make(ID, **{name: 1})


def test_a_vector_env_says_that_it_does_not_reset_by_itself() -> None:
    envs = gym.make_vec(ID, num_envs=1)
    assert envs.unwrapped.autoreset_mode == envs.metadata["autoreset_mode"] == AutoresetMode.DISABLED


def test_actions_may_be_arrays(sandbox: Sandbox) -> None:
    envs = gym.make_vec(ID, num_envs=2, sandbox=sandbox)
    seen, _ = envs.reset(seed=0)
    seen, *_ = envs.step(np.array([scripted(prompt, 1)[0] for prompt in seen["prompt"]]))
    rows = np.array([scripted(prompt, 8) for prompt in seen["prompt"]], dtype=object)
    assert rows.shape == (2, 8)
    *_, infos = envs.step(rows)
    assert [len(one) for one in infos["verdicts"]] == [8, 8]
    assert np.array(["a", "b"]) in envs.unwrapped.single_action_space
    for wrong in (np.array([["a"]]), np.array([1]), np.array("a"), np.array(["a"] * 99)):
        assert wrong not in envs.unwrapped.single_action_space


def test_credits_have_a_mask_as_every_key_has(sandbox: Sandbox) -> None:
    envs = gym.make_vec(ID, num_envs=3, sandbox=sandbox)
    envs.reset(seed=0)
    *_, infos = envs.step(["x", None, "y"])
    assert infos["_credits"].tolist() == [True, False, True] == infos["_verdicts"].tolist()


@pytest.mark.parametrize("again", [copy.deepcopy, lambda env: pickle.loads(pickle.dumps(env))])  # noqa: S301
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"curriculum": "azr"},
        {"teacher_reward": "shuffled:gasp"},
        {"teacher_reward": {"lemma": "azr_paper", "lift": "gasp_lift"}},
        {"role": "teacher", "partner": "scripted"},
    ],
)
def test_a_copy_goes_on_as_the_original(sandbox: Sandbox, again: Any, options: dict[str, Any]) -> None:
    tier = sandbox.tier
    env = gym.make(ID, sandbox=tier, **options)
    seen, _ = env.reset(seed=3)
    over = False
    while not over:
        twin = again(env)
        texts = scripted(seen["prompt"], int(seen["samples"]))
        if len(texts) > 1:  # half of the turn, before it is copied again
            half = texts[:1]
            assert str(env.step(half)) == str(twin.step(half))
            twin, texts = again(env), texts[1:]
        seen, reward, terminated, truncated, info = env.step(texts)
        assert str(twin.step(texts)) == str((seen, reward, terminated, truncated, info))
        ours, theirs = env.unwrapped, twin.unwrapped
        assert ours.transcript == theirs.transcript
        assert ours.driver.library.state() == theirs.driver.library.state()
        over = terminated or truncated
    assert twin.unwrapped.driver.sandbox is env.unwrapped.driver.sandbox


def test_every_view_is_pickled_and_read_in_another_process(sandbox: Sandbox) -> None:
    made = [gym.make(ID), gym.make_vec(ID, num_envs=2).unwrapped, aec.env()]
    data = pickle.dumps([one for one in made if one.reset(seed=1) or True])
    program = (
        "import pickle, sys\n"
        "single, vector, agents = pickle.loads(sys.stdin.buffer.read())\n"
        "print(single.unwrapped.driver.turns[0].stage, len(vector.turns), agents.agent_selection)"
    )
    read = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True)
    assert read.stdout.split() == [b"lemma", b"2", b"teacher_0"]


def test_a_sandbox_of_ones_own_keeps_the_spec() -> None:
    own = Sandbox("docker", workers=1)
    env = gym.make(ID, sandbox=own)
    assert env.spec is not None
    assert env.unwrapped.driver.sandbox is own


def test_the_number_of_workers_is_a_plain_option() -> None:
    first, other = (gym.make(ID, sandbox="docker", workers=1).unwrapped.driver.sandbox for _ in range(2))
    assert first is other
    assert first is not gym.make(ID, sandbox="docker").unwrapped.driver.sandbox
    assert gym.make(ID, workers=1).spec.to_json()  # type: ignore[union-attr]
    with pytest.raises(ValueError, match="expected workers=None beside a Sandbox of your own"):
        gym.make(ID, sandbox=Sandbox("docker"), workers=2)
    with pytest.raises(ValueError, match="expected workers to be an integer of at least 1 and .* got 0"):
        gym.make(ID, workers=0)


def test_every_env_may_have_a_goalpost_of_its_own() -> None:
    envs = gym.make_vec(ID, num_envs=3).unwrapped
    first, second = (goalpost.id for goalpost in envs.driver.goalposts[:2])
    for given in ([first, None, second], np.array([first, None, second], dtype=object)):
        envs.reset(seed=0, options={"goalpost": given})
        pinned = [transcript["pinned"] for transcript in envs.transcripts]
        assert pinned == [0, None, 1]
    envs.reset(options={"goalpost": [second] * 3, "reset_mask": [True, False, False]})
    assert [transcript["pinned"] for transcript in envs.transcripts] == [1, None, 1]
    for wrong, said in (
        ([first], "a list of 3, one per env"),
        (5, "a list of 3, one per env"),
        ([first, "nobody", None], "got 'nobody'"),
    ):
        with pytest.raises(ValueError, match=said):
            envs.reset(options={"goalpost": wrong})
    with pytest.raises(ValueError, match="expected the id of a goalpost of this env"):
        gym.make(ID).reset(options={"goalpost": [first]})


def test_pettingzoo_has_the_driver() -> None:
    assert len(aec.raw_env().driver.library) == 0


@pytest.mark.skipif(not hasattr(pettingzoo, "register"), reason="names are from PettingZoo 1.27 on")
def test_pettingzoo_has_the_name() -> None:
    program = (
        "import pettingzoo, gasp_env.envs.aec; print(pettingzoo.make('aec', 'gasp/Code-v0').possible_agents)"
    )
    made = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "teacher_0" in made.stdout


def test_a_partner_may_be_an_object_of_this_process() -> None:
    def partner(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
        return [("x",) * count for count in samples]

    env = gym.make(ID, role="teacher", partner=partner)
    _, info = env.reset(seed=0)
    assert info["role"] == "teacher"


def test_human_mode_prints_the_episode_as_it_goes(
    sandbox: Sandbox, capsys: pytest.CaptureFixture[str]
) -> None:
    env = gym.make(ID, render_mode="human", sandbox=sandbox)
    seen, _ = env.reset(seed=0)
    begun = capsys.readouterr().out
    assert "lemma" in begun
    assert "teacher_0 is to write a text" in begun
    env.step(scripted(seen["prompt"], 1))
    later = capsys.readouterr().out
    assert "valid" in later
    assert begun.splitlines()[0] not in later, "what has been printed is not printed again"
    assert env.render() is None
    with pytest.raises(ValueError, match="expected render_mode None, 'ansi' or 'human'"):
        GaspCodeEnv(render_mode="rgb_array")
