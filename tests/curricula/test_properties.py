"""What every game promises: told the same, it asks the same; and what it takes to add one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gasp_env import curricula
from gasp_env.curricula.__main__ import main, records
from gasp_env.curricula.base import Curriculum
from gasp_env.domains import Domain
from gasp_env.envs.env import GaspCodeEnv
from gasp_env.episode.machine import Context, Episode
from gasp_env.library.library import Library
from gasp_env.options import names
from gasp_env.registry import load
from gasp_env.sandbox.runs import Result, Run, Status
from gasp_env.tasks import Entry
from tests.episode.test_machine import GOALPOSTS, known_task
from tests.episode.test_machine import PYTHON as HASHING
from tests.fuzz import examples
from tests.players import AGENTS, PROGRAMS, REFUSED, answer, execute, proposal, right_answer

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
ARITHMETIC = load(f"{EXAMPLES / 'my_domain.py'}:Arithmetic", "domain")()
PYTHON = HASHING.with_novelty("exact")
#: Every game that is registered, and the one of the examples.
GAMES = (*curricula.CURRICULA.names(), f"{EXAMPLES / 'my_curriculum.py'}:Mislead")


def begin(game: type[Curriculum], domain: Domain, seed: int) -> Episode:
    more = {"two_steps": bool(seed % 2)} if "two_steps" in names(game) and domain is PYTHON else {}
    chosen = game(attempts=3, **more)  # type: ignore[call-arg]
    goalposts = GOALPOSTS if domain is PYTHON else domain.goalposts()
    known = [Entry(known_task(), 1, 3, True)] if domain is PYTHON else []
    context = Context(domain, chosen, goalposts, Library(known).view(), seed, on_infra_error="continue")
    return Episode(chosen.play, context)


def texts(episode: Episode, draw: np.random.Generator) -> list[str]:
    turn, ask = episode.turn, episode.ask
    assert turn is not None
    assert ask is not None
    if turn.proposal:
        written = [
            proposal(PROGRAMS[int(draw.integers(4))]),
            REFUSED["no_entry"],
            f"One. :: 1 + {draw.integers(9)}",
        ]
        return [written[int(draw.integers(len(written)))]]
    right = "2"
    if episode.context.domain is PYTHON:
        right = right_answer(ask.question)
    count = int(draw.integers(1, turn.samples + 1))
    return [right if draw.random() < 0.5 else answer("python", PROGRAMS[1]) for _ in range(count)]


def result(run: Run, fails: bool) -> Result:
    return Result(Status.INFRA_ERROR, error="gone") if fails else execute(run)


@pytest.mark.parametrize("name", GAMES)
@pytest.mark.parametrize("domain", [PYTHON, ARITHMETIC], ids=["python", "arithmetic"])
@settings(max_examples=examples(60), deadline=None)
@given(seed=st.integers(0, 2**32))
def test_told_the_same_it_asks_the_same(name: str, domain: Domain, seed: int) -> None:
    game, draw = curricula.get(name), np.random.default_rng(seed)
    episode, twin = begin(game, domain, seed), begin(game, domain, seed)
    steps = 0
    while episode.turn is not None:
        assert twin.turn == episode.turn
        assert episode.turn.stage in [stage.name for stage in game.stages]
        assert episode.turn.role in game.roles
        copied = episode.clone()
        given_texts, fails = texts(episode, draw), draw.random() < 0.1
        resolutions = []
        for one in (episode, twin, copied):
            runs = one.submit(given_texts)
            resolutions.append(one.resolve([result(run, fails) for run in runs]))
        assert resolutions[0] == resolutions[1] == resolutions[2]
        assert episode.turn == twin.turn == copied.turn
        assert episode.entries == twin.entries == copied.entries
        # Going on with the copy is going on with the episode.
        episode, steps = copied, steps + 1
        assert steps < 200
    assert (episode.done, twin.done) == (True, True)


def test_the_listing_says_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", GAMES[-1]]) == 0
    found = {one["id"]: one for one in json.loads(capsys.readouterr().out)}
    assert list(found) == list(GAMES)
    assert found["gasp"]["source"] == "gasp_env.curricula.gasp:Gasp"
    assert [stage["name"] for stage in found["azr"]["stages"]] == ["propose", "attempt", "solve", "goalpost"]
    lifts = next(option for option in found["gasp"]["options"] if option["name"] == "lifts")
    assert (lifts["default"], lifts["takes"]) == (1, "an integer of at least 0 and at most 100")
    assert main([]) == 0
    printed = capsys.readouterr().out
    assert all(f"{name}  (" in printed for name in curricula.CURRICULA.names())
    assert main(["nowhere:game"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
    with pytest.raises(ValueError, match="subclass of gasp_env.Curriculum"):
        records(["gasp_env.play:main"])


BRIDGE = '''
from gasp_env.curricula.base import Stage
from gasp_env.curricula.gasp import Gasp
from gasp_env.curricula.steps import deal, propose, solve
from gasp_env.options import options


@options
class Bridged(Gasp):
    """A third proposer stage between lemma and lift."""

    stages = (*Gasp.stages, Stage("bridge", "teacher", proposal=True, band=(2, 6)))

    def play(self, context):
        style, (_, index, axis) = context.domain.style, deal(context, self.axis)
        goalpost = context.goalposts[index]
        prompt = style.lemma(goalpost, "statement", axis)
        parent = yield from propose(context, "lemma", prompt, axis=axis, goalpost=goalpost)
        for stage in ("bridge", "lift"):
            if parent is not None and parent.accepted:
                parent = yield from propose(context, stage, style.lift(parent.task, axis), axis=axis,
                                            goalpost=goalpost, parent=parent)
        yield from solve(context)
'''


@pytest.mark.docker
def test_a_third_proposer_stage_is_one_file_and_no_new_version(sandbox: Any, tmp_path: Path) -> None:
    path = tmp_path / "bridged.py"
    path.write_text(BRIDGE)
    plain = gym.make("gasp_env:GASP-Code-v0", goalposts=GOALPOSTS, attempts=4)
    env = gym.make(
        "gasp_env:GASP-Code-v0",
        curriculum=f"{path}:Bridged",
        goalposts=GOALPOSTS,
        attempts=4,
        novelty="exact",
        axis="f",
        admit={"lift": (0, 10)},
        teacher_reward="azr_paper",
    )
    assert env.observation_space == plain.observation_space
    assert env.action_space == plain.action_space
    observation, info = env.reset(seed=0)
    written, stages, over = iter(PROGRAMS[i] for i in (0, 2, 3)), [], False
    while not over:
        assert observation in env.observation_space
        stages.append(info["stage"])
        if info["role"] == "teacher":
            texts_given: Any = proposal(next(written))
        else:
            right = right_answer(env.unwrapped.driver.episodes[0].ask.question)
            texts_given = (right,) * (observation["samples"] // 2) + ("?",) * (
                -(-observation["samples"] // 2)
            )
        observation, _, terminated, truncated, info = env.step(texts_given)
        over = terminated or truncated
    assert stages == ["lemma", "attempt", "bridge", "attempt", "lift", "attempt", "solve"]
    # A reward per stage has to know the new one, and says so.
    with pytest.raises(ValueError, match="stage 'bridge'"):
        GaspCodeEnv(curriculum=f"{path}:Bridged")
    assert env.unwrapped.driver.agents == AGENTS
