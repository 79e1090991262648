"""Plays whole episodes, as a batch of envs or as a single one, and takes the time of nothing but the env."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import gymnasium as gym

from benchmarks.env.texts import Players
from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.sandbox import Sandbox

SINGLE = "gasp_env:GASP-Code-v0"


@dataclass
class Played:
    """Times and counts of one play.

    Attributes:
        made: seconds that making the env took; in no other figure.
        resets: seconds of each `reset`, of all envs at once.
        steps: seconds of each `step`, of all envs at once.
        host: processor time of this process in those calls, all its threads together.
        episodes: number of episodes played.
        env_steps: envs moved, summed over the steps.
        texts: texts given.
        stages: env steps by stage.
        verdicts: counts by stage and verdict.
    """

    made: float = 0.0
    resets: list[float] = field(default_factory=list)
    steps: list[float] = field(default_factory=list)
    host: float = 0.0
    episodes: int = 0
    env_steps: int = 0
    texts: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def seconds(self) -> float:
        """Seconds of all resets and steps."""
        return sum(self.resets) + sum(self.steps)

    def timed(self, seconds: list[float], call: Callable[[], Any]) -> Any:
        """Call, and add its seconds."""
        host, started = time.process_time(), time.perf_counter()
        found = call()
        seconds.append(time.perf_counter() - started)
        self.host += time.process_time() - host
        return found

    def gave(self, stage: str, texts: tuple[str, ...]) -> None:
        """Note the texts that one env is given."""
        self.env_steps += 1
        self.texts += len(texts)
        self.stages[stage] += 1


def play_vector(count: int, sandbox: Sandbox, episodes: int, seed: int, **options: Any) -> Played:
    """Play ``episodes`` in each of ``count`` envs, step by step together, each to its end.

    Args:
        count: envs.
        sandbox: executes their runs.
        episodes: one after the other in each env; the library grows from one to the next.
        seed: of the texts and of the envs.
        options: more of the env's.
    """
    started = time.perf_counter()
    env = GaspCodeVectorEnv(count, sandbox=sandbox, **options)
    players, played = Players(seed, count), Played(made=time.perf_counter() - started)
    for episode in range(episodes):
        players.begin()
        given = seed if episode == 0 else None
        played.timed(played.resets, lambda given=given: env.reset(seed=given))  # type: ignore[misc]
        while any(turn is not None for turn in env.turns):
            actions: list[tuple[str, ...] | None] = [None] * count
            for number, turn in enumerate(env.turns):
                if turn is not None:
                    texts = players(number, turn.stage, turn.kind, turn.prompt, turn.samples)
                    actions[number] = texts
                    played.gave(turn.stage, texts)
            played.timed(played.steps, lambda actions=actions: env.step(actions))  # type: ignore[misc]
    played.episodes = count * episodes
    played.verdicts = env.driver.reasons
    return played


def play_single(sandbox: Sandbox, episodes: int, seed: int, **options: Any) -> Played:
    """Play the same with one env of `gymnasium.make`."""
    started = time.perf_counter()
    env = gym.make(SINGLE, sandbox=sandbox, **options)
    players, played = Players(seed, 1), Played(made=time.perf_counter() - started)
    for episode in range(episodes):
        players.begin()
        given = seed if episode == 0 else None
        observation, info = played.timed(played.resets, lambda given=given: env.reset(seed=given))  # type: ignore[misc]
        over = False
        while not over:
            stage = observation["stage"]
            texts = players(0, stage, info["kind"], observation["prompt"], int(observation["samples"]))
            played.gave(stage, texts)
            observation, _, terminated, truncated, info = played.timed(
                played.steps,
                lambda texts=texts: env.step(texts),  # type: ignore[misc]
            )
            over = terminated or truncated
    played.episodes = episodes
    played.verdicts = env.unwrapped.driver.reasons  # type: ignore[attr-defined]
    return played
