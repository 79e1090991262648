"""GASP-Code-v0: guided asymmetric self-play on code, as a Gymnasium environment.

Two roles share one stream of turns. Each observation names the acting agent and holds its prompt; the
action is their text. AZR-Code-v0 and RLVR-Code-v0 are the same environment under other curricula.

| | |
|---|---|
| roles, agents | `teacher` and `solver`, played by `teacher_0` and `solver_0` |
| stages | `lemma`, `lift`, `propose` (teacher); `attempt`, `solve`, `goalpost` (solver) |
| observation | `{"agent": text, "stage": text, "prompt": text, "samples": Discrete}` |
| action | a text of any length, or a tuple of 1 to `samples` texts; k texts in one step equal k steps of one |
| scalar reward | sum over `info["rewards"]`; bookkeeping, learners use `info["credits"]` |

Roles and stages belong to the curriculum, so that another game changes no space; `agents={"teacher": 3}` makes a
population, in which an agent is drawn for each role and episode.

`info["credits"]` lists the rewards that became known in the step as `Credit(turn, sample, agent, reward, terms)`.
The teacher's credit appears in the step that closes the attempts at its proposal. A `reward` of None
is unscored: the infrastructure failed, `info["scored"]` is False, the scalar counts 0 for it. A reward that
compares the proposals of a whole update is deferred, which is no failure:
`env.unwrapped.driver.score_deferred()` returns it. `info["verdicts"]` holds the verdict on each text of the
step; `info["agent"]`, `"role"`, `"stage"`, `"kind"`, `"axis"` and `"turn"` describe the open turn, and are
missing when the episode is over.

| reward | valid proposal | otherwise |
|---|---|---|
| teacher, lemma | `[4p(1-p)]^5` for 0.3 <= p <= 0.7, else -0.5 | -1 |
| teacher, lift | `10p((1-p)/0.9)^9` for 0.1 <= p <= 0.5, else -0.5 | -1 |
| teacher, propose | `1-p` for 0 < p < 1, else 0 | -1 |
| solver | 1 right, -0.5 wrong | -1 unreadable |

p is the share of the solver's attempts that were right. See `gasp_env.curricula` for the games, the order of stages and
their options, and `gasp_env.options.Options` for the options of any env. With ``role`` one role is left to the caller
and a ``partner`` plays the others (`gasp_env.envs.single_role`): a decision process of one agent.

``copy.deepcopy(env)`` is an independent copy with the same sandbox, for a group of answers to one prompt;
`gasp_env.envs.vector.GaspCodeVectorEnv.clone` does the same within a vector env. A time limit of a wrapper
(``max_episode_steps``) cuts an episode off before its end: its teacher is not paid for what was still open, and its
tasks do not reach the library.

Version history: v0, not released yet.
"""

from __future__ import annotations

from itertools import takewhile
from typing import Any, SupportsFloat

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from gasp_env.envs.driver import Action, Driver, Stepped
from gasp_env.envs.setup import Setup
from gasp_env.envs.single_role import SingleRole
from gasp_env.envs.spaces import MAX_ACTION, TextAction, UnicodeText
from gasp_env.episode.turns import MAX_PROMPT, Turn
from gasp_env.records import shorten
from gasp_env.transcripts.render import render_transcript

Observation = dict[str, Any]

#: Longest name of an agent or a stage, in characters.
MAX_NAME = 100


def observation_space(samples: int) -> spaces.Dict:
    """The space of one env's observations; ``samples`` is the most texts that a turn may ask for."""
    return spaces.Dict(
        {
            "agent": UnicodeText(MAX_NAME),
            "stage": UnicodeText(MAX_NAME),
            "prompt": UnicodeText(MAX_PROMPT),
            "samples": spaces.Discrete(samples + 1),
        }
    )


def observe(turn: Turn | None, last: Turn | None = None) -> Observation:
    """The observation of a turn. After the episode's end, the last turn's with an empty prompt and no
    samples."""
    if turn is None:
        agent, stage = ("", "") if last is None else (last.agent, last.stage)
        return {"agent": agent, "stage": stage, "prompt": "", "samples": 0}
    return {"agent": turn.agent, "stage": turn.stage, "prompt": turn.prompt, "samples": turn.samples}


def checked_seed(seed: Any) -> int | None:
    """Validate a seed as Gymnasium does: an int of at least 0, of Python or of NumPy, or None.

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
        render_mode: ``"ansi"`` for a `render` that gives the episode as text; ``"human"`` prints it as it goes.
        role: such as ``"teacher"``: observe only that role's turns and be paid only its rewards.
        partner: with ``role``, the policy that plays the other roles: a name or an object (`gasp_env.policies`).
        options: see `gasp_env.options.Options`, and the options of the curriculum.

    Raises:
        ValueError: an argument is not as expected; the message states the expected value.
    """

    metadata = {"render_modes": ["ansi", "human"], "render_fps": 1}

    def __init__(
        self,
        *,
        render_mode: str | None = None,
        role: str | None = None,
        partner: Any = None,
        **options: Any,
    ) -> None:
        if render_mode not in (None, "ansi", "human"):
            raise ValueError(f"expected render_mode None, 'ansi' or 'human', got {render_mode!r}")
        self.render_mode = render_mode
        self._printed: list[str] = []
        self._driver = Driver(1, Setup(options))
        self._roles = SingleRole(self._driver, role, partner)
        samples = self._driver.curriculum.samples
        self.observation_space = observation_space(samples)
        self.action_space = TextAction(MAX_ACTION, samples)

    @property
    def driver(self) -> Driver:
        """The driver, which plays the episodes: sandbox, library, goalposts."""
        return self._driver

    @property
    def transcript(self) -> dict[str, Any] | None:
        """The episode so far, as `gasp_env.transcripts.replay` describes; None before the first reset."""
        return self._driver.transcript(0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: an int of at least 0 also restores the library the env was constructed with; None keeps the tasks that
                finished episodes committed to it.
            options: ``{"goalpost": id}`` pins a goalpost. In a mixture with ``azr`` it applies to the
                episodes that play a goalpost. Unknown keys are ignored.

        Raises:
            ValueError: the seed is invalid, there is no such goalpost, or no episode of this env plays one.
            RuntimeError: the role never gets to act, or its partner failed (see `SingleRole.begin`).
        """
        self._roles.check(options)
        seed = checked_seed(seed)
        super().reset(seed=seed)
        if seed is not None:
            self._driver.restore_library()
        self._roles.begin({0: self.np_random}, options)
        turn = self._driver.turns[0]
        self._printed = []
        self._print()
        return observe(turn), turn_info(turn)

    def step(self, action: Action) -> tuple[Observation, SupportsFloat, bool, bool, dict[str, Any]]:
        """Give the acting agent's text, or several. See `gasp_env.envs.single_role.SingleRole.step` for errors."""
        if action is None:  # the driver would take None as "skip this episode"
            raise ValueError("expected a text or a tuple of texts, got None")
        last = self._driver.turns[0]
        stepped = self._roles.step([action])[0]
        assert stepped is not None
        turn = self._driver.turns[0]
        info = turn_info(turn) | step_info(stepped)
        reward = sum(info["rewards"].values())
        self._print()
        return observe(turn, last), reward, stepped.terminated, stepped.truncated, info

    def render(self) -> str | None:
        """The episode so far, as text for people; None if that is printed, or not asked for."""
        return self._text() if self.render_mode == "ansi" else None

    def _text(self) -> str:
        transcript = self.transcript
        return "" if transcript is None else render_transcript(transcript, waiting=self._driver.turns[0])

    def _print(self) -> None:
        """Print the lines that have become other ones since the last."""
        if self.render_mode != "human":
            return
        lines = self._text().splitlines()
        same = sum(
            1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(self._printed, lines, strict=False))
        )
        print("\n".join(lines[same:]), flush=True)
        self._printed = lines


def turn_info(turn: Turn | None) -> dict[str, Any]:
    """The names and numbers of the open turn; empty when the episode is over."""
    if turn is None:
        return {}
    return {
        "agent": turn.agent,
        "role": turn.role,
        "stage": turn.stage,
        "kind": turn.kind,
        "axis": turn.axis,
        "turn": turn.index,
    }


def step_info(stepped: Stepped) -> dict[str, Any]:
    """The info fields that hold a step's results."""
    return {
        "credits": list(stepped.credits),
        "rewards": stepped.rewards,
        "scored": stepped.scored,
        "verdicts": [verdict.reason for verdict in stepped.resolution.verdicts],
    }
