"""The Gymnasium view, on the real sandbox. `tests/envs/test_vector.py` has the batched one."""

from __future__ import annotations

import dataclasses
import json
import warnings
from collections.abc import Iterator
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.wrappers import RecordEpisodeStatistics
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gasp_env.envs.env import GaspCodeEnv
from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.episode.turns import Credit, Lost
from gasp_env.policies import PolicyError
from gasp_env.sandbox import Result, Run, Sandbox, SandboxError, Status
from tests.episode.test_machine import GOALPOSTS
from tests.fuzz import examples
from tests.players import PROGRAMS, REFUSED, answer, goalpost_of, proposal, right_answer

pytestmark = pytest.mark.docker
OPTIONS: dict[str, Any] = {"goalposts": GOALPOSTS, "axis": "f"}
IDS = ("GASP-Code-v0", "AZR-Code-v0", "RLVR-Code-v0")


def play(env: GaspCodeEnv, lemma: str = PROGRAMS[0], lift: str = PROGRAMS[2]) -> list[Any]:
    """One scripted episode: a lemma in its band, a lift in its band, a right solve."""
    log: list[Any] = []
    plan = {"lemma": [proposal(lemma)], "lift": [proposal(lift)]}
    done = False
    while not done:
        turn = env.driver.turns[0]
        assert turn is not None
        texts = plan.get(turn.stage)
        if texts is None:
            question = env.driver.episodes[0].ask.question
            right = {"attempt": 4 if turn.index == 1 else 1, "solve": 1, "goalpost": 4}[turn.stage]
            texts = [right_answer(question)] * right + [answer("python", PROGRAMS[1])] * (
                turn.samples - right
            )
        observation, reward, terminated, truncated, info = env.step(tuple(texts))
        log.append((observation, reward, terminated, truncated, info))
        done = terminated or truncated
    return log


def test_check_env(sandbox: Sandbox) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for name in IDS:
            check_env(gym.make(f"gasp_env:{name}").unwrapped)


@pytest.mark.parametrize("name", IDS)
def test_make_and_spec_round_trip(name: str) -> None:
    env = gym.make(name, attempts=4, teacher_reward="azr_paper", role="solver", partner="silent")
    assert env.spec is not None
    spec = EnvSpec.from_json(env.spec.to_json())
    again = gym.make(spec)
    assert spec.kwargs == env.spec.kwargs
    assert again.unwrapped.driver.options == env.unwrapped.driver.options


def test_the_ids_are_three_curricula(sandbox: Sandbox) -> None:
    begun = {}
    for name in IDS:
        observation, begun[name] = gym.make(name).reset(seed=1)
        assert observation["prompt"]
    assert [info["stage"] for info in begun.values()] == ["lemma", "propose", "goalpost"]
    assert begun["RLVR-Code-v0"]["agent"] == "solver_0"


def test_episode(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(**OPTIONS)
    env.reset(seed=0, options={"goalpost": "one", "unknown": 1})
    log = play(env)
    stages = [entry["stage"] for entry in env.transcript["turns"]]
    assert stages == ["lemma", "attempt", "lift", "attempt", "solve"]
    credits: list[Credit] = [credit for *_, info in log for credit in info["credits"]]
    assert [c.reward for c in credits if c.agent == "teacher_0"] == [1.0, pytest.approx(0.970, abs=1e-3)]
    for _, reward, _, _, info in log:
        assert reward == pytest.approx(sum(info["rewards"].values()))
        assert reward == pytest.approx(sum(c.reward for c in info["credits"]))
    assert len(env.driver.library) == 2
    # A second episode on the same lemma is a duplicate now; a seed restores the empty library.
    env.reset()
    *_, info = env.step(proposal(PROGRAMS[0]))
    assert info["verdicts"] == ["duplicate"]
    env.reset(seed=0)
    *_, info = env.step(proposal(PROGRAMS[0]))
    assert info["verdicts"] == ["valid"]


def test_options_say_what_they_expect() -> None:
    for wrong in (
        {"domain": "rust"},
        {"domain": "gasp_env:nothing"},
        {"teacher_reward": "best"},
        {"solver_reward": "best"},
        {"goalposts": ()},
        {"attempts": 0},
        {"on_infra_error": "zero"},
        {"render_mode": "rgb_array"},
        {"sandbox": "chroot"},
        {"attempts": "8"},
        {"admit": {"lemma": (3,), "lift": (1, 5)}},
        {"goalposts": GOALPOSTS[:1] * 2},
        {"goalposts": (dataclasses.replace(GOALPOSTS[0], signature="def g(x)"),)},
        {"goalposts": (dataclasses.replace(GOALPOSTS[0], statement="x" * 200_000),)},
        {
            "goalposts": (
                dataclasses.replace(GOALPOSTS[0], inputs=(("y" * 60_000,),) * 80, outputs=(1,) * 80),
            )
        },
    ):
        with pytest.raises(ValueError, match="expected|cannot be|has no|must be|do not fit"):
            GaspCodeEnv(**wrong)
    with pytest.raises(ValueError, match="'nowhere'"):
        GaspCodeEnv(**OPTIONS).reset(options={"goalpost": "nowhere"})


def test_actions_are_checked_before_anything_moves(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(**OPTIONS)
    with pytest.raises(RuntimeError, match="reset"):
        env.step("early")
    env.reset(seed=0)
    for wrong in (3, None, ("a", "b"), (), (1,)):
        with pytest.raises((ValueError, AssertionError, RuntimeError)):
            env.step(wrong)
    assert env.driver.turns[0] is not None
    assert env.driver.turns[0].stage == "lemma"
    _, _, terminated, *_ = env.step("no")
    assert terminated
    with pytest.raises(RuntimeError, match="is over .* call reset"):
        env.step("late")


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("length", [70_000, 1_000_000])
def test_no_text_is_too_long_to_be_given(sandbox: Sandbox, name: str, length: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env = gym.make(name, attempts=2)
        observation, _ = env.reset(seed=0)
        text: Any = "x" * length
        assert text in env.action_space
        if name == "RLVR-Code-v0":
            text = [text, text]
            assert text in env.action_space
        _, reward, *_, info = env.step(text)
    verdict = "malformed" if observation["agent"] == "solver_0" else "too_long"
    assert info["verdicts"] == [verdict] * int(observation["samples"])
    assert reward == -float(observation["samples"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"seed": "a"}, "expected a seed to be an integer of at least 0, or None, got 'a'"),
        ({"seed": 2.5}, "expected a seed .* got 2.5"),
        ({"seed": -1}, "expected a seed .* got -1"),
        ({"seed": True}, "expected a seed .* got True"),
        ({"seed": [1]}, r"expected a seed .* got \[1\]"),
        ({"options": 5}, "expected reset options to be a dict or None, got 5"),
        ({"options": ["goalpost"]}, "expected reset options to be a dict or None"),
        (
            {"options": {"goalpost": ["nowhere"]}},
            r"expected the id of a goalpost .*\(one, three\), got \[?'nowhere'",
        ),
        ({"options": {"goalpost": 5}}, "expected the id of a goalpost.* got 5"),
        ({"options": {"goalpost": "nowhere"}}, "expected the id of a goalpost .* got 'nowhere'"),
    ],
)
def test_what_a_reset_cannot_take_is_said_before_anything_changes(
    arguments: dict[str, Any], message: str
) -> None:
    env, envs = GaspCodeEnv(**OPTIONS), GaspCodeVectorEnv(num_envs=1, **OPTIONS)
    env.reset(seed=0)
    envs.reset(seed=0)
    before = (env.driver.turns[0], env.np_random.bit_generator.state, envs.turns[0], envs.state())
    with pytest.raises(ValueError, match=message):
        env.reset(**{"seed": 1, **arguments})
    if arguments != {"seed": [1]}:  # one seed for one env
        with pytest.raises(ValueError, match=message):
            envs.reset(**{"seed": 1, **arguments})
    assert before == (env.driver.turns[0], env.np_random.bit_generator.state, envs.turns[0], envs.state())


def test_an_unguided_game_takes_no_goalpost() -> None:
    env = GaspCodeEnv(curriculum="azr", goalposts=GOALPOSTS)
    with pytest.raises(ValueError, match="expected no goalpost, .* 'azr' with these options .* got 'one'"):
        env.reset(options={"goalpost": "one"})
    env.reset(options={"goalpost": None})
    mixed = GaspCodeEnv(curriculum="azr", goalpost_rate=0.5, goalposts=GOALPOSTS)
    played = set()
    for seed in range(12):
        _, info = mixed.reset(seed=seed, options={"goalpost": "three"})
        record = mixed.transcript
        assert record is not None
        played.add((info["stage"], goalpost_of(record)["id"] if info["stage"] == "goalpost" else None))
    assert played == {("propose", None), ("goalpost", "three")}


def test_a_seed_may_be_numpys() -> None:
    env = GaspCodeEnv(**OPTIONS)
    assert env.reset(seed=np.int64(7))[0] == env.reset(seed=7)[0]


class FailingSandbox:
    """Answers every run with an infrastructure error: what a broken daemon does after all retries."""

    tier = "docker"

    def open(self) -> None:
        """Nothing to open."""

    def run_many(self, runs: list[Run]) -> list[Result]:
        """No result at all."""
        return [Result(Status.INFRA_ERROR, error="the daemon is gone") for _ in runs]


def test_infrastructure_failure_is_no_score() -> None:
    env = GaspCodeEnv(sandbox=FailingSandbox(), **OPTIONS)
    env.reset(seed=0)
    _, reward, terminated, truncated, info = env.step(proposal(PROGRAMS[0]))
    assert (reward, terminated, truncated, info["scored"]) == (0.0, False, True, False)
    assert [credit.reward for credit in info["credits"]] == [None]
    env = GaspCodeEnv(sandbox=FailingSandbox(), on_infra_error="raise", **OPTIONS)
    env.reset(seed=0)
    with pytest.raises(SandboxError, match="daemon is gone"):
        env.step(proposal(PROGRAMS[0]))


def test_a_text_that_a_policy_could_not_give_may_raise(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(on_infra_error="raise", sandbox=sandbox, **OPTIONS)
    env.reset(seed=0)
    with pytest.raises(PolicyError, match="^a policy gave no text: the server is gone$"):
        env.step(Lost("the server is gone"))
    # Nothing has moved: the policy may be asked again.
    *_, info = env.step(proposal(PROGRAMS[0]))
    assert info["verdicts"] == ["valid"]


def test_what_a_step_returns_stays_as_it_is(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(**OPTIONS)
    returned: list[Any] = [env.reset(seed=0)]
    assert env.transcript is not None
    returned += [env.transcript, *play(env), env.transcript, *env.reset(seed=0)]
    copies = json.dumps(returned, default=str)
    seen: set[int] = set()
    for one in returned:
        mutable = {id(item) for item in containers(one)}
        assert not mutable & seen, "an object was handed out twice"
        seen |= mutable
    play(env)
    assert json.dumps(returned, default=str) == copies


def containers(item: Any) -> Iterator[Any]:
    """Everything within that somebody could change."""
    if isinstance(item, Credit):
        yield from containers(item.terms)
    elif isinstance(item, dict):
        yield item
        for value in item.values():
            yield from containers(value)
    elif isinstance(item, list | tuple | np.ndarray):
        if not isinstance(item, tuple):
            yield item
        for value in item if not isinstance(item, np.ndarray) or item.dtype == object else ():
            yield from containers(value)


def test_gymnasium_wrappers(sandbox: Sandbox) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Checks every reset and step, enforces their order, cuts off after four steps.
        env = RecordEpisodeStatistics(gym.make("GASP-Code-v0", max_episode_steps=4, **OPTIONS))
        with pytest.raises(gym.error.ResetNeeded):
            env.step("early")
        env.reset(seed=0)
        paid = []
        for text in (proposal(PROGRAMS[0]), ("a", "b"), "c"):
            _, reward, *_ = env.step(text)
            paid.append(reward)
        _, reward, terminated, truncated, info = env.step("d")
        assert (terminated, truncated) == (False, True)
        assert info["episode"]["r"] == pytest.approx(sum(paid) + reward) == -4.0
        assert info["episode"]["l"] == 4


#: Whatever a model may come up with: any text, texts with our blocks in them, and texts that nearly are proposals.
TEXTS = st.one_of(
    st.text(max_size=400),
    st.text(st.characters(), max_size=40),
    st.builds(answer, st.sampled_from(["python", "input", "output", "", "python\x00"]), st.text(max_size=80)),
    st.sampled_from([*REFUSED.values(), *map(proposal, PROGRAMS), ""]),
    st.builds(
        lambda text, cut, more: text[:cut] + more + text[cut:],
        st.sampled_from([proposal(PROGRAMS[0]), answer("python", PROGRAMS[0]), answer("output", "[1]")]),
        st.integers(0, 120),
        st.text(max_size=12),
    ),
)


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from(IDS), seed=st.integers(0, 99), data=st.data())
def test_no_text_makes_a_step_raise(sandbox: Sandbox, name: str, seed: int, data: st.DataObject) -> None:
    env = gym.make(name, attempts=2).unwrapped
    observation, _ = env.reset(seed=seed)
    over = False
    if data.draw(st.booleans()) and name == "GASP-Code-v0":
        observation, _, over, *_ = env.step(proposal(PROGRAMS[0]))
    while not over:
        texts = data.draw(st.lists(TEXTS, min_size=1, max_size=int(observation["samples"])))
        observation, reward, terminated, truncated, info = env.step(tuple(texts))
        assert observation in env.observation_space
        assert isinstance(reward, float)
        assert info["scored"], info["verdicts"]
        over = terminated or truncated
    json.dumps(env.transcript)
