"""GASP-Code-v0 as an environment of GEM (extra ``gem``): text in, text out.

    import gem
    import gasp_env.adapters.gem

    env = gem.make("gasp:Code-v0", attempts=4)
    prompt, info = env.reset(seed=0)
    prompt, reward, terminated, truncated, info = env.step("...")

GEM takes one text a step, so a turn that asks for n texts is n steps with one prompt; ``info["samples"]`` says how many
are still due. The reward is the scalar of the Gymnasium environment; learners use ``info["credits"]``, which address
the texts that earned them, and ``info["scored"]``. Envs that are made with equal options share one library and one
sandbox (`gasp_env.envs.sessions.Sessions`), also those of ``gem.make_vec``, which resets an episode in the step that
ends it: that step's credits are in ``info["final_info"]``. A reward that compares many episodes is refused, as nothing
here would ask for it. Tried with GEM 0.1.
"""

from __future__ import annotations

import json
import os
import threading
from typing import Any

import gem  # type: ignore[import-not-found, unused-ignore]

from gasp_env.envs.env import step_info, turn_info
from gasp_env.envs.sessions import Session, Sessions

ID = "gasp:Code-v0"

_shared: dict[str, Sessions] = {}
_lock = threading.Lock()


class GaspGem(gem.Env):  # type: ignore[misc, unused-ignore]
    """An episode at a time.

    Args:
        seed: of the first reset that is given none; ``gem.make_vec`` gives every env one.
        sessions: that it plays; by default those that all envs of these options share.
        options: see `gasp_env.options.Options`, and the options of the curriculum.

    Raises:
        TypeError, ValueError: an argument is not as expected; the message states the expected value.
    """

    def __init__(self, seed: int | None = None, *, sessions: Sessions | None = None, **options: Any) -> None:
        super().__init__()
        if sessions is not None and options:
            raise ValueError(
                f"expected no options beside sessions, which have theirs, got {', '.join(options)}"
            )
        self._seed, self._options = seed, options
        self._sessions = _of(options) if sessions is None else sessions
        if self._sessions.driver.setup.deferred:
            raise ValueError(
                "expected a teacher reward that is known within an episode, got one that compares many"
            )
        self._session: Session | None = None
        self._last: dict[str, Any] = {}

    def reset(self, seed: int | None = None) -> tuple[str, dict[str, Any]]:
        """Begin an episode. The seed is the episode's; the process's own generators are left alone."""
        seed = self._sessions._checked(self._seed if seed is None else seed, None)
        self._leave()
        self._seed, self._session = None, self._sessions.begin(seed=seed)
        prompt, info = self._seen(self._session)
        last, self._last = self._last, {}
        return prompt, info | ({"final_info": last} if last else {})

    def step(self, action: str) -> tuple[str, float, bool, bool, dict[str, Any]]:
        """Give the open turn a text.

        Raises:
            RuntimeError: there is no episode, or it is over.
        """
        if self._session is None:
            raise RuntimeError("reset before the first step")
        stepped = self._session.step(action)
        prompt, info = self._seen(self._session)
        reward, info = float(sum(stepped.rewards.values())), info | step_info(stepped)
        self._last = info if stepped.terminated or stepped.truncated else {}
        return prompt, reward, stepped.terminated, stepped.truncated, info

    def sample_random_action(self) -> str:
        """A text that is no answer."""
        return "I do not know."

    def spawn(self, same_state: bool = False, **options: Any) -> GaspGem:
        """Another env of these options, with others in their place if there are any.

        Args:
            same_state: it is at the same point of the same episode, which needs the same options.
            options: of the other env.

        Raises:
            ValueError: other options for the same state.
            RuntimeError: the same state of an episode that is over or has not begun.
        """
        if not same_state:
            seed = options.pop("seed", None)
            twin = (
                GaspGem(seed, **(self._options | options))
                if options
                else GaspGem(seed, sessions=self._sessions)
            )
            twin._options = self._options | options
            return twin
        if options:
            raise ValueError(f"expected no other options for the same state, got {', '.join(options)}")
        if self._session is None:
            raise RuntimeError(
                "expected an episode in progress, of which the other env is a copy; reset first"
            )
        twin = GaspGem(sessions=self._sessions)
        twin._options = self._options
        twin._session = self._session.clone()
        return twin

    def close(self) -> None:
        """Give the episode up."""
        self._leave()

    def _leave(self) -> None:
        session, self._session = self._session, None
        if session is not None and session.turn is not None:
            session.close()

    def _seen(self, session: Session) -> tuple[str, dict[str, Any]]:
        turn = session.turn
        if turn is None:
            return "", {"samples": 0}
        return turn.prompt, {**turn_info(turn), "samples": turn.samples}


def _of(options: dict[str, Any]) -> Sessions:
    """The sessions of envs with these options."""
    try:
        key = json.dumps(options, sort_keys=True)
    except TypeError:  # objects of this process, which are not compared
        return Sessions(**options)
    with _lock:
        if key not in _shared:
            _shared[key] = Sessions(**options)
        return _shared[key]


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()
    _shared.clear()  # their threads are the parent's


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
gem.register(ID, GaspGem)
