"""Many episodes of GASP-Code-v0 at once: their runs go to the sandbox as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.utils import seeding
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from gasp_env.envs.driver import Action, Driver, Scored
from gasp_env.envs.env import checked_seed, observation_space, observe, step_info, turn_info
from gasp_env.envs.setup import Setup
from gasp_env.envs.single_role import SingleRole
from gasp_env.envs.spaces import MAX_ACTION, TextAction
from gasp_env.episode.turns import Turn
from gasp_env.library.library import Library
from gasp_env.records import shorten
from gasp_env.sandbox import Sandbox


class GaspCodeVectorEnv(VectorEnv[dict[str, Any], Sequence[Action | None], np.ndarray]):
    """``num_envs`` episodes with one library, one sandbox and no autoreset.

    With equal seeds, library view and texts, the episodes equal those of ``num_envs`` single envs. An action
    of None skips an env, so that episodes of different length can be played to their end.

    Where Gymnasium resets episodes itself (``vectorization_mode="sync"``), autoreset mode ``NEXT_STEP`` asks for an
    action that is not used, at ``samples == 0``; ``SAME_STEP`` puts the credits of an episode's last step, the
    teacher's among them, into ``infos["final_info"]``.

    Args:
        num_envs: number of episodes played side by side.
        render_mode: None; there is nothing to render.
        autoreset_mode: disabled. A finished episode stays finished until it is reset, because a text
            generated for a step that resets would be lost.
        role, partner: see `gasp_env.envs.env.GaspCodeEnv`; the partner is asked for all episodes at once.
        options: see `gasp_env.options.Options`.

    Raises:
        ValueError: an argument is not as expected; the message states the expected value.
    """

    metadata = {"render_modes": [], "autoreset_mode": AutoresetMode.DISABLED}

    def __init__(
        self,
        num_envs: int = 1,
        *,
        render_mode: str | None = None,
        autoreset_mode: AutoresetMode | str = AutoresetMode.DISABLED,
        role: str | None = None,
        partner: Any = None,
        **options: Any,
    ) -> None:
        if isinstance(num_envs, bool) or not isinstance(num_envs, int | np.integer) or num_envs < 1:
            raise ValueError(f"expected num_envs to be an integer of at least 1, got {shorten(num_envs)}")
        num_envs = int(num_envs)
        if render_mode is not None:
            raise ValueError(f"expected render_mode None for the vector env, got {render_mode!r}")
        if autoreset_mode not in (AutoresetMode.DISABLED, AutoresetMode.DISABLED.value):
            raise ValueError(
                f"expected autoreset_mode {AutoresetMode.DISABLED.value!r}, got {autoreset_mode!r}; begin episodes "
                'with reset(options={"reset_mask": terminated | truncated}), or have Gymnasium reset them with '
                "vectorization_mode='sync' and vector_kwargs={'autoreset_mode': ...} of make_vec"
            )
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.autoreset_mode = AutoresetMode.DISABLED  # wrappers of other libraries read it
        self._driver = Driver(num_envs, Setup(options))
        self._roles = SingleRole(self._driver, role, partner)
        samples = self._driver.curriculum.samples
        self.single_observation_space = observation_space(samples)
        self.single_action_space = TextAction(MAX_ACTION, samples)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._rngs: list[np.random.Generator] = []
        self._last: list[Turn | None] = [None] * num_envs
        self._terminated = np.zeros(num_envs, dtype=bool)
        self._truncated = np.zeros(num_envs, dtype=bool)

    @property
    def turns(self) -> list[Turn | None]:
        """The open turn of each env, None where its episode is over."""
        return self._driver.turns

    @property
    def driver(self) -> Driver:
        """The driver, which plays the episodes: goalposts, curriculum, rewards."""
        return self._driver

    @property
    def library(self) -> Library:
        """All valid tasks of finished episodes."""
        return self._driver.library

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox; nothing is started before the first run."""
        return self._driver.sandbox

    @property
    def transcripts(self) -> list[dict[str, Any] | None]:
        """The episode of each env so far (`gasp_env.transcripts.replay`)."""
        return [self._driver.transcript(number) for number in range(self.num_envs)]

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | np.ndarray | None = None,
        options: dict[str, Any] | None = None,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin episodes.

        Args:
            seed: an int seeds env i with ``seed + i``; a sequence gives one seed per env. Both restore the
                initial library. None continues with the current generators and library.
            options: ``{"reset_mask": bool array}`` begins a new episode only where it is True;
                ``{"goalpost": id}`` pins a goalpost for all of them, a list of ids or None one for each env.

        Raises:
            as `gasp_env.envs.env.GaspCodeEnv.reset`.
            ValueError: the number of seeds, bools or goalposts is not ``num_envs``.
        """
        self._roles.check(options, self.num_envs)
        mask = self._mask((options or {}).get("reset_mask"))
        seeds = self._seeds(seed)
        if not self._rngs:
            self._rngs = [seeding.np_random(given)[0] for given in seeds]
        for number in np.flatnonzero(mask):
            if seeds[number] is not None:
                self._rngs[number] = seeding.np_random(seeds[number])[0]
        if any(seeds[number] is not None for number in np.flatnonzero(mask)):
            self._driver.restore_library()
        self._roles.begin({int(number): self._rngs[number] for number in np.flatnonzero(mask)}, options)
        infos: dict[str, Any] = {}
        turns = self.turns
        for number in np.flatnonzero(mask):
            self._last[number] = turns[number]
            self._terminated[number] = self._truncated[number] = False
            infos = self._add_info(infos, turn_info(turns[number]), int(number))
        return self._observe(), infos

    def step(
        self, actions: Sequence[Action | None]
    ) -> tuple[dict[str, Any], np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Give each env a text, several, or None; see `gasp_env.envs.single_role.SingleRole.step` for errors.

        Autoreset is disabled. An episode that is over keeps its terminated or truncated flag in every later step,
        takes no action but None, and earns 0, until `reset` begins another; so a loop may run until
        ``(terminated | truncated).all()``. Gymnasium's `RecordEpisodeStatistics` counts an episode in every step
        that flags it: with it, reset those that are over (``reset_mask``) before the next step.

        Returns:
            Observations, rewards (num_envs,) float64, terminated and truncated (num_envs,) bool, infos.
            ``infos["credits"]`` is an object array of lists, empty for a skipped env; ``infos["_credits"]`` is True for
            the others, as Gymnasium has it for every key.

        Raises:
            ValueError: the number of actions is not ``num_envs``.
        """
        if not isinstance(actions, Sequence | np.ndarray) or isinstance(actions, str | bytes):
            raise ValueError(
                f"expected a list of {self.num_envs} actions, one per env, got {shorten(actions)}"
            )
        if len(actions) != self.num_envs:
            raise ValueError(f"expected {self.num_envs} actions, one per env, got {len(actions)}")
        before = self.turns
        stepped = self._roles.step(actions)
        self._last = [turn or last for turn, last in zip(before, self._last, strict=True)]
        rewards = np.zeros(self.num_envs)
        infos: dict[str, Any] = {}
        after = self.turns
        for number, item in enumerate(stepped):
            if item is None:
                continue
            info = step_info(item)
            rewards[number] = sum(info["rewards"].values())
            self._terminated[number], self._truncated[number] = item.terminated, item.truncated
            infos = self._add_info(infos, turn_info(after[number]) | _without_credits(info), number)
        credits = np.empty(self.num_envs, dtype=object)
        for number, item in enumerate(stepped):
            credits[number] = [] if item is None else list(item.credits)
        infos["credits"] = credits
        infos["_credits"] = np.array([item is not None for item in stepped])
        return self._observe(), rewards, self._terminated.copy(), self._truncated.copy(), infos

    def clone(self, source: int, target: int) -> None:
        """Put an independent copy of the episode of env ``source`` into env ``target``.

        For a group of proposals: all copies have the same prompt, and each goes on with a text of its own. See
        `gasp_env.envs.driver.Driver.clone` for what is copied, and for errors.
        """
        self._last[target] = self._driver.clone(source, target)
        self._terminated[target] = self._truncated[target] = False

    def score_deferred(self) -> list[Scored]:
        """Score all proposals whose reward was deferred: see `gasp_env.envs.driver.Driver.score_deferred`."""
        return self._driver.score_deferred()

    def state(self) -> dict[str, Any]:
        """State on which the next episodes depend: generators and library, JSON-able. Take it between
        episodes."""
        return {"rngs": [rng.bit_generator.state for rng in self._rngs], "library": self.library.state()}

    def set_state(self, state: dict[str, Any]) -> None:
        """Restore a `state`."""
        if len(state["rngs"]) != self.num_envs:
            raise ValueError(f"expected the state of {self.num_envs} envs, got that of {len(state['rngs'])}")
        self._rngs = []
        for saved in state["rngs"]:
            rng, _ = seeding.np_random(0)
            rng.bit_generator.state = saved
            self._rngs.append(rng)
        self._driver.restore_library(state["library"])

    def _mask(self, given: Any) -> np.ndarray:
        if given is None:
            return np.ones(self.num_envs, dtype=bool)
        # A ragged list can only become an array of objects, so convert from that. A list of bools is accepted
        # too.
        mask = given if isinstance(given, np.ndarray) else np.array(given, dtype=object)
        if mask.dtype == object and all(isinstance(one, bool | np.bool_) for one in mask.flat):
            mask = mask.astype(bool)
        if mask.shape != (self.num_envs,) or mask.dtype != np.bool_:
            raise ValueError(
                f"expected a reset_mask of {self.num_envs} bools, one per env, got {shorten(given)}"
            )
        return mask

    def _seeds(self, given: Any) -> list[int | None]:
        if isinstance(given, str | bytes) or not isinstance(given, Sequence | np.ndarray):
            first = checked_seed(given)
            return [None if first is None else first + number for number in range(self.num_envs)]
        if len(given) != self.num_envs:
            raise ValueError(f"expected {self.num_envs} seeds, one per env, got {len(given)}")
        return [checked_seed(seed) for seed in given]

    def _observe(self) -> dict[str, Any]:
        seen = [observe(turn, last) for turn, last in zip(self.turns, self._last, strict=True)]
        return {
            **{name: tuple(one[name] for one in seen) for name in ("agent", "stage", "prompt")},
            "samples": np.array([one["samples"] for one in seen], dtype=np.int64),
        }


def _without_credits(info: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in info.items() if key != "credits"}
