"""One role's own decision process, the other played by a partner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from gasp_env import policies, registry
from gasp_env.envs.env import GaspCodeEnv
from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.policies.scripted import GOALPOST, scripted, silent
from gasp_env.sandbox import Result, Run, Sandbox
from tests.envs.test_env import OPTIONS, FailingSandbox
from tests.players import AGENTS, PROGRAMS, goalpost_of, proposal

#: What `tests/envs/test_single_role.py:NAME` names, from wherever the tests run.
HERE = str(Path(__file__).resolve())
PINNED = {"goalpost": GOALPOST}


def scripted_texts(observation: dict[str, Any]) -> list[tuple[str, ...]]:
    """What the scripted player answers to a batch of observations."""
    return scripted(list(observation["prompt"]), [int(count) for count in observation["samples"]])


def play(env: GaspCodeEnv, observation: dict[str, Any]) -> list[tuple[float, bool, dict[str, Any]]]:
    """Give the scripted player's texts until the episode is over."""
    steps, over = [], False
    while not over:
        (texts,) = scripted([observation["prompt"]], [observation["samples"]])
        observation, reward, terminated, truncated, info = env.step(texts)
        assert not truncated
        over = terminated
        steps.append((float(reward), terminated, info))
    return steps


@pytest.mark.docker
@pytest.mark.parametrize("agent", AGENTS)
def test_a_role_of_its_own_is_the_same_game(sandbox: Sandbox, agent: str) -> None:
    both, one = GaspCodeEnv(), GaspCodeEnv(role=agent.partition("_")[0], partner="scripted")
    observation, _ = both.reset(seed=4, options=PINNED)
    credits = [credit for _, _, info in play(both, observation) for credit in info["credits"]]
    observation, info = one.reset(seed=4, options=PINNED)
    assert info["agent"] == agent
    steps = play(one, observation)
    assert one.transcript == both.transcript
    seen = [credit for _, _, told in steps for credit in told["credits"]]
    assert seen == [credit for credit in credits if credit.agent == agent]
    for reward, over, told in steps:
        assert reward == pytest.approx(sum(credit.reward for credit in told["credits"]))
        assert told["rewards"] == {agent: pytest.approx(reward)}
        assert over or told["agent"] == agent


@pytest.mark.docker
def test_a_proposal_is_paid_in_its_own_step(sandbox: Sandbox) -> None:
    env = gym.make("GASP-Code-v0", role="teacher", partner="scripted").unwrapped
    assert isinstance(env, GaspCodeEnv)
    observation, _ = env.reset(seed=3, options=PINNED)
    lemma, lift = play(env, observation)
    assert [credit.turn for credit in lemma[2]["credits"]] == [0]
    assert (lemma[0], lemma[1], lemma[2]["stage"]) == (1.0, False, "lift")
    assert [credit.turn for credit in lift[2]["credits"]] == [2]
    assert lift[:2] == (pytest.approx(0.970, abs=1e-3), True)
    # An invalid one is paid at once, and what the partner does after it is not the teacher's.
    env.reset(options=PINNED)
    observation, reward, terminated, _, info = env.step("no")
    assert (reward, terminated, info["verdicts"], info["rewards"]) == (
        -1.0,
        True,
        ["no_program"],
        {"teacher_0": -1.0},
    )
    assert observation == {"agent": "teacher_0", "stage": "lemma", "prompt": "", "samples": 0}
    record = env.transcript
    assert record is not None
    assert [turn["stage"] for turn in record["turns"]] == ["lemma", "solve"]


class FailsAfter(FailingSandbox):
    """Breaks after as many batches."""

    def __init__(self, working: Sandbox, batches: int) -> None:
        self._working, self._left = working, batches

    def run_many(self, runs: list[Run]) -> list[Result]:
        """Answers those batches."""
        self._left -= 1
        return self._working.run_many(runs) if self._left >= 0 else super().run_many(runs)


@pytest.mark.docker
@pytest.mark.parametrize("on_infra_error", ["truncate", "continue"])
@pytest.mark.parametrize("agent", AGENTS)
def test_a_partners_unscored_turn_shows(sandbox: Sandbox, agent: str, on_infra_error: str) -> None:
    # The lemma and the attempts at it are judged; the lift, or for the teacher the attempts at the lift, is not.
    options: dict[str, Any] = {
        "role": agent.partition("_")[0],
        "partner": "scripted",
        "on_infra_error": on_infra_error,
    }
    batches = {"solver_0": 2, "teacher_0": 3}[agent]
    env = GaspCodeEnv(sandbox=FailsAfter(sandbox, batches), **options)
    envs = GaspCodeVectorEnv(num_envs=1, sandbox=FailsAfter(sandbox, batches), **options)
    observation, _ = env.reset(seed=3, options=PINNED)
    envs.reset(seed=3, options=PINNED)
    for step in range(batches - 1 if agent == "solver_0" else 2):
        (texts,) = scripted([observation["prompt"]], [observation["samples"]])
        observation, _, terminated, truncated, info = env.step(texts)
        *_, infos = envs.step([texts])
        if agent == "teacher_0" and step == 0:
            assert info["scored"] is True
    assert (truncated, info["scored"]) == (on_infra_error == "truncate", False)
    assert not (terminated and truncated)
    assert infos["scored"].tolist() == [False]
    record = env.transcript
    assert record is not None
    assert [outcome["scored"] for outcome in record["outcomes"]] == [True, False]
    # The partner's own credits stay its own.
    assert {credit.agent for credit in info["credits"]} == {agent}
    if agent == "solver_0":
        assert None not in [credit.reward for credit in info["credits"]]


def wrong_teacher(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
    """Proposes something valid for one goalpost only."""
    return [(proposal(PROGRAMS[0]) if "Multiply" in prompt else "no",) for prompt in prompts]


@pytest.mark.docker
def test_episodes_without_a_turn_are_played_and_followed_by_another(sandbox: Sandbox) -> None:
    options = {**OPTIONS, "role": "solver", "partner": f"{HERE}:wrong_teacher"}
    envs = GaspCodeVectorEnv(num_envs=6, **options)
    observations, infos = envs.reset(seed=0)
    assert infos["stage"].tolist() == ["attempt"] * 6
    assert all(observations["prompt"])
    plain = GaspCodeVectorEnv(num_envs=6, **OPTIONS)
    plain.reset(seed=0)
    first = [goalpost_of(record)["id"] for record in plain.transcripts if record]
    assert "one" in first, "no episode had to be passed over"
    assert [goalpost_of(record)["id"] for record in envs.transcripts if record] == ["three"] * 6
    for number, record in enumerate(envs.transcripts):
        env = GaspCodeEnv(**options)
        env.reset(seed=number)
        assert env.transcript == record
    with pytest.raises(RuntimeError, match="100 without; .* stage 'lemma' with verdict 'no_program'"):
        envs.reset(seed=0, options={"goalpost": "one"})


@pytest.mark.docker
@pytest.mark.parametrize("agent", AGENTS)
def test_a_vector_env_equals_single_ones(sandbox: Sandbox, agent: str) -> None:
    options: dict[str, Any] = {"role": agent.partition("_")[0], "partner": "scripted", "attempts": 8}
    envs = GaspCodeVectorEnv(num_envs=3, **options)
    observations, _ = envs.reset(seed=20, options=PINNED)
    while any(envs.turns):
        texts = scripted_texts(observations)
        observations, rewards, _, _, infos = envs.step(
            [text if turn else None for text, turn in zip(texts, envs.turns, strict=True)]
        )
        assert rewards.tolist() == pytest.approx(infos["rewards"][agent].tolist())
        assert set(infos["rewards"]) == {agent, f"_{agent}"}
    for number, record in enumerate(envs.transcripts):
        env = GaspCodeEnv(**options)
        observation, _ = env.reset(seed=20 + number, options=PINNED)
        play(env, observation)
        assert env.transcript == record


ASKED: list[list[int]] = []


def counted(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
    """Remembers for how many prompts it was asked, and how many texts of each."""
    ASKED.append(list(samples))
    return silent(prompts, samples)


@pytest.mark.docker
def test_a_partner_is_asked_for_all_episodes_at_once(sandbox: Sandbox) -> None:
    envs = GaspCodeVectorEnv(num_envs=5, role="teacher", partner=f"{HERE}:counted", **OPTIONS)
    envs.reset(seed=0)
    _, _, terminated, _, _ = envs.step([proposal(PROGRAMS[0])] * 4 + ["no"])
    assert terminated.tolist() == [True] * 5
    assert registry.load(f"{HERE}:ASKED", "test") == [[8] * 4]


@pytest.mark.docker
def test_an_idle_env_is_not_played(sandbox: Sandbox) -> None:
    envs = GaspCodeVectorEnv(num_envs=2, role="teacher", partner="silent", **OPTIONS)
    envs.reset(seed=0)
    before = envs.transcripts[1]
    _, _, terminated, _, infos = envs.step([proposal(PROGRAMS[0]), None])
    assert terminated.tolist() == [True, False]
    assert [len(credits) for credits in infos["credits"]] == [1, 0]
    assert envs.transcripts[1] == before
    envs.reset(options={"reset_mask": np.array([True, False])})
    assert envs.transcripts[1] == before


def raises(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
    """Has a bug."""
    raise KeyError("a bug of somebody's")


def too_few(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
    """Forgets the last prompt."""
    return [("x",) * count for count in samples][:-1]


def one_text(prompts: Sequence[str], samples: Sequence[int]) -> list[str]:
    """Gives a text where a tuple is expected."""
    return ["x" * count for count in samples]


def too_many(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[str, ...]]:
    """Gives one more than was asked for."""
    return [("x",) * (count + 1) for count in samples]


def numbers(prompts: Sequence[str], samples: Sequence[int]) -> list[tuple[int, ...]]:
    """Gives no texts."""
    return [(1,) * count for count in samples]


NOT_CALLABLE = 3


@pytest.mark.docker
@pytest.mark.parametrize(
    ("name", "kind", "complaint"),
    [
        ("raises", RuntimeError, "failed at 1 prompts: KeyError: .a bug"),
        ("too_few", ValueError, "expected 1 answers, one per prompt, got 0"),
        ("one_text", ValueError, "expected a tuple of texts for prompt 0, got 'xxxxxxxx'"),
        ("too_many", ValueError, "expected 8 texts for prompt 0, got 9"),
        ("numbers", ValueError, r"expected a tuple of texts for prompt 0, got \[1, 1"),
    ],
)
def test_what_a_partner_does_wrong_is_said(
    sandbox: Sandbox, name: str, kind: type[Exception], complaint: str
) -> None:
    envs = GaspCodeVectorEnv(num_envs=2, role="teacher", partner=f"{HERE}:{name}", **OPTIONS)
    envs.reset(seed=0)
    with pytest.raises(kind, match=f"policy '.*:{name}'.*{complaint}"):
        envs.step([proposal(PROGRAMS[0]), None])
    assert [turn is None for turn in envs.turns] == [True, False]
    with pytest.raises(RuntimeError, match="reset"):
        envs.step(["junk", None])
    envs.reset()
    assert all(envs.turns)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"role": "teacher_0"}, "expected role to be None or one of teacher, solver, got 'teacher_0'"),
        ({"role": ["teacher"]}, r"expected role to be None or one of .* got \['teacher'\]"),
        ({"role": "solver", "partner": ["x"]}, r"expected a policy .* got \['x'\]"),
        ({"role": "solver", "partner": 5}, "expected a policy .* got 5"),
        ({"role": "teacher"}, "expected the partner that plays solver"),
        ({"partner": "silent"}, "expected a role for partner 'silent'"),
        ({"role": "solver", "partner": "gpt"}, "expected a policy among scripted, silent, .* got 'gpt'"),
        ({"role": "solver", "partner": "nowhere:policy"}, "policy: 'nowhere' cannot be imported"),
        ({"role": "solver", "partner": f"{HERE}:nothing"}, "has no 'nothing'"),
        ({"role": "solver", "partner": f"{HERE}:NOT_CALLABLE"}, "expected a policy .* a callable .* got 3"),
        ({"role": "teacher", "partner": "silent", "goalpost_rate": 1.0}, "expected role='solver'"),
        ({"role": "teacher", "partner": "silent", "curriculum": "rlvr"}, "expected role='solver'"),
    ],
)
def test_arguments_say_what_is_expected(options: dict[str, Any], complaint: str) -> None:
    for make in (GaspCodeEnv, GaspCodeVectorEnv):
        with pytest.raises(ValueError, match=complaint):
            make(**options)


class Cut:
    """A policy whose answers are right, and cut off."""

    version = 0

    def generate(
        self, prompts: Sequence[str], samples: Sequence[int], sampling: policies.Sampling
    ) -> list[list[policies.Completion]]:
        return [
            [policies.Completion(text, stop="length") for text in texts]
            for texts in scripted(prompts, samples)
        ]


@pytest.mark.docker
@pytest.mark.parametrize("partner", [scripted, policies.get("scripted")])
def test_a_partner_may_be_an_object(sandbox: Sandbox, partner: object) -> None:
    named = GaspCodeEnv(role="teacher", partner="scripted")
    given = gym.make("GASP-Code-v0", role="teacher", partner=partner).unwrapped
    assert isinstance(given, GaspCodeEnv)
    for env in (named, given):
        observation, _ = env.reset(seed=3, options=PINNED)
        play(env, observation)
    assert given.transcript == named.transcript


@pytest.mark.docker
def test_a_partners_answers_that_were_cut_off_have_failed(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(role="teacher", partner=Cut())
    observation, _ = env.reset(seed=3, options=PINNED)
    play(env, observation)
    record = env.transcript
    assert record is not None
    assert [outcome["correct"] for outcome in record["outcomes"]] == [0]
