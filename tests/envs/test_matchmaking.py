"""Populations: who sits in which role, and that everything names them."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from gasp_env.envs import aec, matchmaking
from gasp_env.envs.env import GaspCodeEnv
from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.sandbox import Sandbox
from gasp_env.transcripts.replay import replay
from tests.envs.test_env import OPTIONS
from tests.players import PROGRAMS, proposal

ROLES = ("teacher", "solver")


def test_one_agent_a_role_unless_told() -> None:
    matchmaker = matchmaking.get("uniform", ROLES, None)
    assert matchmaker.agents == ("teacher_0", "solver_0")
    assert matchmaking.seats(matchmaker, ROLES, 7) == {"teacher": "teacher_0", "solver": "solver_0"}


def test_seats_are_drawn_from_the_episodes_seed() -> None:
    matchmaker = matchmaking.get("uniform", ROLES, {"teacher": 3, "solver": 2})
    assert matchmaker.agents == ("teacher_0", "teacher_1", "teacher_2", "solver_0", "solver_1")
    drawn = [matchmaking.seats(matchmaker, ROLES, seed) for seed in range(300)]
    assert drawn == [matchmaking.seats(matchmaker, ROLES, seed) for seed in range(300)]
    pairs = Counter((seats["teacher"], seats["solver"]) for seats in drawn)
    assert len(pairs) == 6
    assert min(pairs.values()) > 25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"agents": {"critic": 2}}, "expected agents for some of the roles teacher, solver, got 'critic'"),
        ({"matchmaker": "tournament"}, "matchmaker: expected one of"),
    ],
)
def test_what_cannot_be_is_said(options: dict[str, object], message: str) -> None:
    with pytest.raises((ValueError, TypeError), match=message):
        GaspCodeEnv(**options)


def test_a_matchmaker_has_to_seat_its_own_agents() -> None:
    class Wrong:
        agents = ("a", "b")

        def seat(self, roles: object, rng: np.random.Generator) -> dict[str, str]:
            return {"teacher": "a", "solver": "c"}

    with pytest.raises(ValueError, match="expected the matchmaker to seat one of a, b as solver, got 'c'"):
        matchmaking.seats(Wrong(), ROLES, 0)


@pytest.mark.docker
def test_turns_credits_and_transcripts_name_agents(sandbox: Sandbox) -> None:
    envs = GaspCodeVectorEnv(num_envs=12, agents={"teacher": 3, "solver": 2}, attempts=2, **OPTIONS)
    observation, infos = envs.reset(seed=0)
    assert set(observation["agent"]) == {"teacher_0", "teacher_1", "teacher_2"}
    assert set(infos["role"]) == {"teacher"}
    assert observation in envs.observation_space
    *_, infos = envs.step([proposal(PROGRAMS[0])] * 12)
    *_, infos = envs.step([("?", "?")] * 12)
    for number, record in enumerate(envs.transcripts):
        assert record is not None
        seats = record["agents"]
        assert [turn["agent"] for turn in record["turns"]] == [seats["teacher"], seats["solver"]]
        paid = [credit.agent for credit in infos["credits"][number]]
        assert paid == [seats["solver"], seats["solver"], seats["teacher"]]
    assert set(infos["rewards"]) >= {"teacher_0", "solver_1"}
    assert replay(json.loads(json.dumps(envs.transcripts[0])), sandbox) == []


@pytest.mark.docker
def test_a_population_leaves_everything_else_as_it_was(sandbox: Sandbox) -> None:
    alone, many = GaspCodeEnv(**OPTIONS), GaspCodeEnv(agents={"teacher": 5}, **OPTIONS)
    for seed in range(5):
        one, other = alone.reset(seed=seed)[0], many.reset(seed=seed)[0]
        assert one["prompt"] == other["prompt"]


@pytest.mark.docker
def test_pettingzoo_lists_all_agents(sandbox: Sandbox) -> None:
    env = aec.env(agents={"teacher": 2}, **OPTIONS)
    assert env.possible_agents == ["teacher_0", "teacher_1", "solver_0"]
    env.reset(seed=1)
    assert env.agent_selection in ("teacher_0", "teacher_1")


@pytest.mark.docker
def test_one_role_of_a_population(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(agents={"teacher": 3}, role="teacher", partner="silent", **OPTIONS)
    seen = set()
    for seed in range(12):
        observation, _ = env.reset(seed=seed)
        *_, info = env.step(proposal(PROGRAMS[0]))
        assert set(info["rewards"]) == {observation["agent"]}
        assert [credit.agent for credit in info["credits"]] == [observation["agent"]]
        seen.add(observation["agent"])
    assert len(seen) == 3


def _seating(path: Path, agents: str, seats: str) -> str:
    path.write_text(
        "class Always:\n"
        "    def __init__(self, roles, counts):\n"
        f"        self.agents = {agents}\n"
        "    def seat(self, roles, rng):\n"
        f"        return {seats}\n"
    )
    return f"{path}:Always"


@pytest.mark.parametrize("agents", ["'anna'", "['anna']", "('anna', 7)", "('a' * 101,)", "('',)"])
def test_agents_are_a_tuple_of_names(tmp_path: Path, agents: str) -> None:
    name = _seating(tmp_path / "seating.py", agents, "{}")
    with pytest.raises(
        ValueError, match="expected agents to be a tuple of names of 1 to 100 characters, got"
    ):
        GaspCodeEnv(matchmaker=name)


def test_a_role_played_alone_has_an_agent_of_its_own(tmp_path: Path) -> None:
    name = _seating(tmp_path / "seating.py", "('anna',)", "dict.fromkeys(roles, 'anna')")
    env = GaspCodeEnv(matchmaker=name, role="teacher", partner="silent", **OPTIONS)
    with pytest.raises(ValueError, match="agent of its own for the role 'teacher'.*'anna' as solver too"):
        env.reset(seed=0)


@pytest.mark.docker
def test_a_matchmaker_of_ones_own(sandbox: Sandbox, tmp_path: Path) -> None:
    name = _seating(tmp_path / "seating.py", "('anna', 'ben')", "{'teacher': 'anna', 'solver': 'ben'}")
    env = GaspCodeEnv(matchmaker=name, **OPTIONS)
    observation, _ = env.reset(seed=0)
    assert observation["agent"] == "anna"
    *_, info = env.step("no")
    assert [credit.agent for credit in info["credits"]] == ["anna"]
