"""GASP-Code-v0 for PettingZoo: two agents that act one after the other.

    from gasp_env.envs import aec
    env = aec.env()  # or pettingzoo.make("aec", "gasp/Code-v0"), which knows the name after this import
    # the unguided and the real-problems game: env(curriculum="azr"), env(curriculum="rlvr")

| | |
|---|---|
| creation | `aec.env(**options)`, options of `gasp_env.options.Options`; `pettingzoo.make("aec", "gasp/Code-v0")` |
| agents | `["teacher_0", "solver_0"]`; more with the option `agents` |
| actions | a text, or a tuple or list of 1 to `samples` texts (`gasp_env.envs.spaces.TextAction`) |
| observations | `{"agent": text, "stage": text, "prompt": text, "samples": Discrete}` |
| parallel API | `pettingzoo.utils.conversions.turn_based_aec_to_parallel(aec.env())` |
| manual control | `python -m gasp_env.play --human` |

The teacher writes a programming task and the solver attempts it; `gasp_env.curricula` gives the order of the turns. An
agent may act many times, once or never in an episode. `gasp_env.envs.env` documents the rest: the game and its
transcripts are the same.

### Observation space

`agent` and `stage` are the names of the open turn. `prompt` is the
text for the acting agent, and `samples` the number of texts it still owes. A waiting agent sees an
empty prompt and 0 samples. So do all agents when the episode is over.

### Rewards

| agent | earns | known |
|---|---|---|
| `teacher_0` | by its proposal; -1 if that is invalid | with the solver's last attempt at it; at once if invalid |
| `solver_0` | 1 for a right text, -0.5 for a wrong one, -1 for an unreadable one | at once |

`last()` gives an agent the sum of its rewards since its last action. A proposal earns its reward while the
solver acts. The teacher gets it with its next `last()`, at the latest with the one at the episode's end.
`infos[agent]` covers the same span. Its `credits` pair texts with rewards (`Credit`). Its `scored` is False
if one of those rewards is None: the infrastructure failed, the reward counts 0, and no agent should learn
from it. Its `verdicts` are those of the agent's own last texts. For the acting agent it also has `agent`,
`stage`, `kind`, `axis` and `turn`.

### Version history

* v0: first release
"""

from __future__ import annotations

from typing import Any

import pettingzoo
from gymnasium import Space
from pettingzoo import AECEnv
from pettingzoo.utils.wrappers import OrderEnforcingWrapper

from gasp_env.envs.driver import Action, Driver
from gasp_env.envs.env import GaspCodeEnv, Observation, observation_space
from gasp_env.envs.spaces import MAX_ACTION, TextAction
from gasp_env.episode.turns import Credit


def env(**options: Any) -> AECEnv[str, Observation, Action | None]:
    """The environment in PettingZoo's order-enforcing wrapper. Arguments are those of `raw_env`.

    `step` itself reports an invalid action, so PettingZoo's wrapper for that is not used.
    """
    return OrderEnforcingWrapper(raw_env(**options))


class raw_env(AECEnv[str, Observation, Action | None]):
    """The environment itself.

    Args:
        render_mode: ``"ansi"`` for a `render` that gives the episode as text; ``"human"`` prints it as it goes.
        options: see `gasp_env.options.Options`.

    Raises:
        ValueError: an argument is not as expected; the message states the expected value.
    """

    metadata = {
        "name": "gasp_code_v0",
        "render_modes": ["ansi", "human"],
        "render_fps": 1,
        "is_parallelizable": False,
    }

    def __init__(self, *, render_mode: str | None = None, **options: Any) -> None:
        super().__init__()
        if options.keys() & {"role", "partner"}:
            raise ValueError("expected no role, since PettingZoo is there for both; use GaspCodeEnv for one")
        self._env = GaspCodeEnv(render_mode=render_mode, **options)
        self.render_mode = render_mode
        self.possible_agents: list[str] = list(self._env.driver.agents)
        samples = self._env.driver.curriculum.samples
        self._observation_spaces = {agent: observation_space(samples) for agent in self.possible_agents}
        self._action_spaces = {agent: TextAction(MAX_ACTION, samples) for agent in self.possible_agents}
        self.agents: list[str] = []

    @property
    def driver(self) -> Driver:
        """The driver, which plays the episodes: sandbox, library, goalposts."""
        return self._env.driver

    @property
    def transcript(self) -> dict[str, Any] | None:
        """The episode so far, as `gasp_env.transcripts.replay` describes; None before the first reset."""
        return self._env.transcript

    def observation_space(self, agent: str) -> Space[Any]:
        """The observation space of an agent. All agents' spaces are equal, each with its own random
        generator."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> Space[Any]:
        """The action space of an agent: a text, or several."""
        return self._action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> None:
        """Begin an episode; see `gasp_env.envs.env.GaspCodeEnv.reset`."""
        self._seen, info = self._env.reset(seed=seed, options=options)
        self.agents = list(self.possible_agents)
        self.rewards = dict.fromkeys(self.agents, 0.0)
        self._cumulative_rewards = dict.fromkeys(self.agents, 0.0)
        self.terminations = dict.fromkeys(self.agents, False)
        self.truncations = dict.fromkeys(self.agents, False)
        self._credits: dict[str, list[Credit]] = {agent: [] for agent in self.agents}
        self._verdicts: dict[str, list[str]] = {agent: [] for agent in self.agents}
        self._skip_agent_selection = None
        self.agent_selection = info["agent"]
        self._tell(info)

    def observe(self, agent: str) -> Observation:
        """The observation of an agent; only the acting agent's has the prompt."""
        seen = dict(self._seen)
        if seen["agent"] != agent:
            seen |= {"prompt": "", "samples": 0}
        return seen

    def step(self, action: Action | None) -> None:
        """Give the acting agent's text, or several; None for an agent whose episode is over.

        Raises:
            ValueError: the action is neither a text nor a tuple of as many as the turn takes.
            gasp_env.sandbox.SandboxError: no sandbox can be opened.
        """
        agent = self.agent_selection
        if self.terminations[agent] or self.truncations[agent]:
            self._was_dead_step(action)
            return
        if action is None:
            raise ValueError(f"expected a text or a tuple of texts of {agent}, got None")
        self._seen, _, terminated, truncated, info = self._env.step(action)
        self._cumulative_rewards[agent] = 0.0
        self._credits[agent] = []
        self._verdicts[agent] = info["verdicts"]
        for credit in info["credits"]:
            self._credits[credit.agent].append(credit)
        self.rewards = dict(info["rewards"])
        self._accumulate_rewards()
        self.terminations = dict.fromkeys(self.agents, terminated)
        self.truncations = dict.fromkeys(self.agents, truncated)
        self.agent_selection = info.get("agent", self.agents[0])
        self._tell(info)

    def render(self) -> str | None:
        """See `gasp_env.envs.env.GaspCodeEnv.render`."""
        return self._env.render()

    def close(self) -> None:
        """Do nothing: the sandbox belongs to the process."""
        self._env.close()

    def _tell(self, info: dict[str, Any]) -> None:
        """Make new dictionaries in every step, so that earlier ones do not change."""
        turn = {key: info[key] for key in ("agent", "role", "stage", "kind", "axis", "turn") if key in info}
        self.infos = {
            agent: {
                "credits": list(self._credits[agent]),
                "scored": all(
                    credit.reward is not None or credit.deferred for credit in self._credits[agent]
                ),
                "verdicts": list(self._verdicts[agent]),
                **(turn if turn.get("agent") == agent else {}),
            }
            for agent in self.agents
        }


if hasattr(pettingzoo, "register"):  # from 1.27 on
    pettingzoo.register("aec", "gasp/Code-v0", "gasp_env.envs.aec:env")
