"""The PettingZoo view, on the real sandbox."""

from __future__ import annotations

import warnings
from typing import Any

import pettingzoo
import pytest
from pettingzoo.test import api_test, parallel_api_test, seed_test
from pettingzoo.utils.conversions import turn_based_aec_to_parallel

from gasp_env.envs import aec
from gasp_env.envs.env import GaspCodeEnv
from gasp_env.episode.turns import Credit
from gasp_env.policies.scripted import GOALPOST, scripted
from gasp_env.sandbox import Result, Run, Sandbox, Status
from tests.envs.test_env import OPTIONS, FailingSandbox, containers
from tests.players import AGENTS, PROGRAMS, answer, proposal

CURRICULA = ("gasp", "azr", "rlvr")
#: PettingZoo was made for arrays. Text is none, and no environment of texts passes without these.
UNAVOIDABLE = [
    "Observation is not a NumPy array",
    "Observation space for each agent probably should be gymnasium.spaces.box or gymnasium.spaces.discrete",
    "Action space for each agent probably should be gymnasium.spaces.box or gymnasium.spaces.discrete",
]


@pytest.mark.docker
@pytest.mark.parametrize("curriculum", CURRICULA)
def test_pettingzoos_own_tests(sandbox: Sandbox, curriculum: str, capsys: pytest.CaptureFixture[str]) -> None:
    def make() -> Any:
        return aec.env(curriculum=curriculum, attempts=2)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        api_test(make(), num_cycles=20)
        seed_test(make, num_cycles=20)
        parallel_api_test(turn_based_aec_to_parallel(make()), num_cycles=20)
    assert {str(warning.message) for warning in caught} == set(UNAVOIDABLE)
    assert capsys.readouterr().out.count("Passed") == 2


def play(env: Any) -> list[tuple[str, float, dict[str, Any]]]:
    """The scripted player for both agents; returns what each `last` said."""
    said = []
    for agent in env.agent_iter():
        observation, reward, terminated, truncated, info = env.last()
        assert observation in env.observation_space(agent)
        said.append((agent, reward, info))
        texts = None
        if not (terminated or truncated):
            assert (info["agent"], bool(observation["prompt"])) == (agent, True)
            (texts,) = scripted([observation["prompt"]], [observation["samples"]])
        env.step(texts)
    return said


@pytest.mark.docker
@pytest.mark.parametrize("seed", range(4))
def test_rewards_reach_each_agent_at_its_next_last(sandbox: Sandbox, seed: int) -> None:
    env = aec.env()
    env.reset(seed=seed, options={"goalpost": GOALPOST})
    said = play(env)
    assert [agent for agent, _, _ in said] == [
        "teacher_0", "solver_0", "teacher_0", "solver_0", "solver_0", "teacher_0", "solver_0",
    ]  # fmt: skip
    # The lemma's reward when the lift is due, the lift's at the end: it was known before the last solve turn.
    assert [reward for agent, reward, _ in said if agent == "teacher_0"] == [
        0.0,
        1.0,
        pytest.approx(0.97, abs=1e-3),
    ]
    credits: dict[str, list[Credit]] = {agent: [] for agent in AGENTS}
    for agent, reward, info in said:
        assert reward == pytest.approx(sum(credit.reward for credit in info["credits"]))
        credits[agent] += info["credits"]
    record = env.unwrapped.transcript
    for turn in record["turns"]:
        found = [credit for credit in credits[turn["agent"]] if credit.turn == turn["index"]]
        assert [credit.reward for credit in found] == [sample["reward"] for sample in turn["samples"]]
        assert [dict(credit.terms) for credit in found] == [sample["terms"] for sample in turn["samples"]]
    # The same game as the Gymnasium view's.
    single = GaspCodeEnv()
    observation, _ = single.reset(seed=seed, options={"goalpost": GOALPOST})
    total, over = 0.0, False
    while not over:
        (texts,) = scripted([observation["prompt"]], [observation["samples"]])
        observation, reward, over, *_ = single.step(texts)
        total += float(reward)
    assert record == single.transcript
    assert sum(reward for _, reward, _ in said) == pytest.approx(total)


@pytest.mark.docker
def test_a_reward_that_ends_the_episode_reaches_the_teacher(sandbox: Sandbox) -> None:
    env = aec.env(attempts=2, **OPTIONS)
    env.reset(seed=0)
    env.step(proposal(PROGRAMS[0]))
    assert env.agent_selection == "solver_0"
    env.step(answer("python", PROGRAMS[1]))
    assert env.last()[1] == -0.5
    # Nothing is accepted, so nothing is left to solve: the last attempt closes the proposal and the episode.
    env.step("no idea")
    ends = {}
    for agent in env.agent_iter():
        _, reward, terminated, truncated, info = env.last()
        assert (terminated, truncated) == (True, False)
        ends[agent] = (reward, [credit.turn for credit in info["credits"]], info["verdicts"])
        env.step(None)
    assert ends == {"teacher_0": (-0.5, [0], ["valid"]), "solver_0": (-1.0, [1], ["malformed"])}
    assert env.agents == []


@pytest.mark.docker
@pytest.mark.parametrize(
    ("curriculum", "stages"), [("azr", ["propose", "attempt", "solve"]), ("rlvr", ["goalpost"])]
)
def test_the_other_curricula(sandbox: Sandbox, curriculum: str, stages: list[str]) -> None:
    env = aec.env(curriculum=curriculum, attempts=2)
    env.reset(seed=0)
    # A proposal of one input is for the kinds that ask about one.
    while curriculum == "azr" and env.last()[4]["kind"] == "induction":
        env.reset()
    rewards = dict.fromkeys(AGENTS, 0.0)
    for agent in env.agent_iter():
        observation, reward, terminated, truncated, _ = env.last()
        rewards[agent] += reward
        texts = ("no idea",) * observation["samples"]
        if agent == "teacher_0":
            texts = (proposal(PROGRAMS[0], ["3"], None),)
        env.step(None if terminated or truncated else texts)
    record = env.unwrapped.transcript
    assert [turn["stage"] for turn in record["turns"]] == stages
    for agent, total in rewards.items():
        own = [turn for turn in record["turns"] if turn["agent"] == agent]
        assert total == sum(sample["reward"] for turn in own for sample in turn["samples"])
    assert rewards["solver_0"] == {"azr": -3.0, "rlvr": -2.0}[curriculum]


class FailsAtAttempts(FailingSandbox):
    """Breaks once the proposal is through the gate."""

    def __init__(self, working: Sandbox) -> None:
        self._working, self._batches = working, 0

    def run_many(self, runs: list[Run]) -> list[Result]:
        """Answers one batch."""
        self._batches += 1
        if self._batches == 1:
            return self._working.run_many(runs)
        return [Result(Status.INFRA_ERROR, error="the daemon is gone") for _ in runs]


@pytest.mark.docker
@pytest.mark.parametrize("length", [20_000, 70_000, 1_000_000])
@pytest.mark.parametrize("several", [tuple, list])
def test_no_text_is_too_long_to_be_given(sandbox: Sandbox, length: int, several: Any) -> None:
    env = aec.env(attempts=2, **OPTIONS)
    env.reset(seed=0)
    env.step(proposal(PROGRAMS[0]))
    texts = several(["x" * length, answer("python", PROGRAMS[0])])
    assert texts in env.action_space("solver_0")
    env.step(texts)
    assert env.infos["solver_0"]["verdicts"] == ["malformed", "correct"]
    env.reset(seed=0)
    env.step("x" * length)
    assert env.infos["teacher_0"]["verdicts"] == ["too_long"]
    assert (env.agent_selection, env.last()[1]) == ("teacher_0", -1.0)


@pytest.mark.docker
def test_what_nobody_judged_is_no_score(sandbox: Sandbox) -> None:
    env = aec.env(attempts=2, sandbox=FailsAtAttempts(sandbox), **OPTIONS)
    env.reset(seed=0)
    env.step(proposal(PROGRAMS[0]))
    env.step(("no idea", answer("python", PROGRAMS[0])))
    ends = {}
    for agent in env.agent_iter():
        _, reward, terminated, truncated, info = env.last()
        assert (terminated, truncated, info["scored"]) == (False, True, False)
        ends[agent] = (reward, [credit.reward for credit in info["credits"]])
        env.step(None)
    assert ends == {"teacher_0": (0.0, [None]), "solver_0": (-1.0, [-1.0, None])}


@pytest.mark.docker
def test_who_waits_sees_nothing_of_the_prompt(sandbox: Sandbox) -> None:
    env = aec.env(render_mode="ansi", **OPTIONS)
    env.reset(seed=0)
    waiting = env.observe("solver_0")
    assert waiting == {"agent": "teacher_0", "stage": "lemma", "prompt": "", "samples": 0}
    assert waiting in env.observation_space("solver_0")
    assert "stage" not in env.infos["solver_0"]
    env.step(proposal(PROGRAMS[0]))
    assert env.observe("teacher_0")["prompt"] == ""
    assert env.observe("solver_0")["samples"] == 8
    assert "lemma" in env.render()
    env.close()


@pytest.mark.docker
def test_infos_stay_as_they_were(sandbox: Sandbox) -> None:
    env = aec.env(attempts=2, **OPTIONS)
    env.reset(seed=0)
    first = env.infos
    env.step(proposal(PROGRAMS[0]))
    second = env.infos
    env.step("no idea")
    kept = [{id(item) for item in containers(infos)} for infos in (first, second, env.infos)]
    assert not kept[0] & kept[1]
    # A credit that its agent has not met yet is told again; its terms are the credit's own.
    assert second["solver_0"]["credits"] == []


@pytest.mark.docker
def test_mistakes_are_errors(sandbox: Sandbox) -> None:
    env = aec.env(**OPTIONS)
    with pytest.raises(AttributeError, match="before reset"):
        _ = env.agents
    env.reset(seed=0, options={"unknown": 1})
    for wrong, message in (
        (None, "expected a text or a tuple of texts of teacher_0, got None"),
        (3, "expected a text or a tuple of texts, got int"),
        (("a",) * 9, "1 to 1 texts for stage lemma, got 9"),
        (["a", 3], "expected a text or a tuple of texts, got list"),
    ):
        with pytest.raises(ValueError, match=message):
            env.step(wrong)
    env.step("no")
    with pytest.raises(ValueError, match="only valid action is None"):
        env.unwrapped.step("late")
    with pytest.raises(ValueError, match="use GaspCodeEnv for one"):
        aec.env(role="teacher", partner="silent")
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        aec.env(colour="red")


@pytest.mark.skipif(not hasattr(pettingzoo, "make"), reason="PettingZoo before 1.27 has no registry")
def test_made_by_name() -> None:
    env = pettingzoo.make("aec", "gasp/Code-v0", attempts=3)
    assert str(env) == "gasp_code_v0"
    assert env.possible_agents == ["teacher_0", "solver_0"]
    assert env.action_space("solver_0").samples == 3
