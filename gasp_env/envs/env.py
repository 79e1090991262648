"""GASP-Code-v0: guided asymmetric self-play on code, as a Gymnasium environment.

Two roles share one stream of turns. Each observation says whose turn it is and what they read; the
action is their text. AZR-Code-v0 and RLVR-Code-v0 are the same environment under other curricula.

| | |
|---|---|
| agents | `teacher_0`, `solver_0` |
| stages | `lemma`, `lift`, `propose` (teacher); `attempt`, `solve`, `goalpost` (solver) |
| observation | `{"agent": Discrete(2), "stage": Discrete(6), "prompt": text, "samples": Discrete}` |
| action | a text of any length, or a tuple of 1 to `samples` texts; k texts in one step equal k steps of one |
| scalar reward | sum over `info["rewards"]`; bookkeeping, learners use `info["credits"]` |

`info["credits"]` lists what became known in the step as `Credit(turn, sample, agent, reward, terms)`.
The teacher's credit appears in the step that closes the attempts at its proposal. A `reward` of None
is unscored: the infrastructure failed, `info["scored"]` is False, the scalar counts 0 for it.
`info["verdicts"]` says of each text of the step what became of it; `info["agent"]`, `"stage"`, `"kind"`,
`"axis"` and `"turn"` say in words whose turn it is now, and are missing when the episode is over.

| reward | valid proposal | otherwise |
|---|---|---|
| teacher, lemma | `[4p(1-p)]^5` for 0.3 <= p <= 0.7, else -0.5 | -1 |
| teacher, lift | `10p((1-p)/0.9)^9` for 0.1 <= p <= 0.5, else -0.5 | -1 |
| teacher, propose | `1-p` for 0 < p < 1, else 0 | -1 |
| solver | 1 right, -0.5 wrong | -1 unreadable |

p is the share of the solver's attempts that were right. See `gasp_env.episode.machine` for the order of
stages and `gasp_env.options.Options` for everything that can be chosen. With `focal` one role is left to the
caller and a `partner` plays the other (`gasp_env.envs.single_role`): a decision process of one agent.

Version history: v0, first release.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from gasp_env.envs.driver import Action, Driver, Stepped
from gasp_env.envs.single_role import Focal
from gasp_env.envs.spaces import MAX_ACTION, TextAction, UnicodeText
from gasp_env.episode.turns import MAX_PROMPT, Turn
from gasp_env.options import Options
from gasp_env.records import shorten
from gasp_env.tasks import AGENTS, STAGES
from gasp_env.transcripts.render import render_transcript

Observation = dict[str, Any]


def observation_space(attempts: int) -> spaces.Dict:
    """The space of one env's observations."""
    return spaces.Dict(
        {
            "agent": spaces.Discrete(len(AGENTS)),
            "stage": spaces.Discrete(len(STAGES)),
            "prompt": UnicodeText(MAX_PROMPT),
            "samples": spaces.Discrete(attempts + 1),
        }
    )


def observe(turn: Turn | None, last: Turn | None = None) -> Observation:
    """The observation of a turn; when the episode is over, the last turn's with nothing left to do."""
    if turn is None:
        agent, stage = (last.agent, last.stage) if last is not None else (AGENTS[0], STAGES[0])
        return {"agent": AGENTS.index(agent), "stage": STAGES.index(stage), "prompt": "", "samples": 0}
    return {
        "agent": AGENTS.index(turn.agent),
        "stage": STAGES.index(turn.stage),
        "prompt": turn.prompt,
        "samples": turn.samples,
    }


def checked_seed(seed: Any) -> int | None:
    """A seed as Gymnasium wants it: an int of at least 0, of Python or of NumPy, or None.

    Raises:
        ValueError: it is something else.
    """
    if seed is None:
        return None
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"expected a seed to be an integer of at least 0, or None, got {shorten(seed)}")
    return int(seed)


class GaspCodeEnv(gym.Env[Observation, Action]):
    """One episode at a time.

    Args:
        render_mode: ``"ansi"`` for a `render` that gives the episode as text.
        focal: ``"teacher_0"`` or ``"solver_0"``: observe only that role's turns and be paid only its rewards.
        partner: with ``focal``, what plays the other role, a policy by name or as an object (`gasp_env.policies`).
        options: see `gasp_env.options.Options`.

    Raises:
        ValueError: an argument is not what is expected; the message says what is.
    """

    metadata = {"render_modes": ["ansi"], "render_fps": 1}

    def __init__(
        self,
        *,
        render_mode: str | None = None,
        focal: str | None = None,
        partner: Any = None,
        **options: Any,
    ) -> None:
        if render_mode not in (None, "ansi"):
            raise ValueError(f"expected render_mode None or 'ansi', got {render_mode!r}")
        self.render_mode = render_mode
        self._driver = Driver(1, Options.of(options))
        self._focal = Focal(self._driver, focal, partner)
        attempts = self._driver.schedule.attempts
        self.observation_space = observation_space(attempts)
        self.action_space = TextAction(MAX_ACTION, attempts)

    @property
    def driver(self) -> Driver:
        """What plays the episodes: sandbox, library, goalposts."""
        return self._driver

    @property
    def transcript(self) -> dict[str, Any] | None:
        """What happened so far, as `gasp_env.transcripts.replay` describes; None before the first reset."""
        return self._driver.transcript(0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: an int of at least 0 also restores the library the env was constructed with; None keeps what
                finished episodes committed to it.
            options: ``{"goalpost": id}`` pins a goalpost; in a mixture with ``azr``, that of the episodes that play
                one. Unknown keys are ignored.

        Raises:
            ValueError: the seed is no such int, there is no such goalpost, or no episode of this env plays one.
            RuntimeError: the focal role never gets to act, or its partner failed (see `Focal.begin`).
        """
        self._focal.check(options)
        seed = checked_seed(seed)
        super().reset(seed=seed)
        if seed is not None:
            self._driver.restore_library()
        self._focal.begin({0: self.np_random}, options)
        turn = self._driver.turns[0]
        return observe(turn), turn_info(turn)

    def step(self, action: Action) -> tuple[Observation, SupportsFloat, bool, bool, dict[str, Any]]:
        """Give the acting agent's text, or several. See `gasp_env.envs.single_role.Focal.step` for errors."""
        if action is None:  # to the driver, None means that the episode rests
            raise ValueError("expected a text or a tuple of texts, got None")
        last = self._driver.turns[0]
        stepped = self._focal.step([action])[0]
        assert stepped is not None
        turn = self._driver.turns[0]
        info = turn_info(turn) | step_info(stepped, self._focal.agents)
        reward = sum(info["rewards"].values())
        return observe(turn, last), reward, stepped.terminated, stepped.truncated, info

    def render(self) -> str | None:
        """The episode so far, as a person wants to read it."""
        if self.render_mode != "ansi":
            return None
        transcript = self.transcript
        if transcript is None:
            return ""
        return render_transcript(transcript, waiting=self._driver.turns[0])


def turn_info(turn: Turn | None) -> dict[str, Any]:
    """Whose turn it is, in words; empty when the episode is over."""
    if turn is None:
        return {}
    return {
        "agent": turn.agent,
        "stage": turn.stage,
        "kind": turn.kind,
        "axis": turn.axis,
        "turn": turn.index,
    }


def step_info(stepped: Stepped, agents: Sequence[str] = AGENTS) -> dict[str, Any]:
    """What became known in a step to these agents."""
    return {
        "credits": list(stepped.credits),
        "rewards": {agent: reward for agent, reward in stepped.rewards.items() if agent in agents},
        "scored": stepped.scored,
        "verdicts": [verdict.reason for verdict in stepped.resolution.verdicts],
    }
