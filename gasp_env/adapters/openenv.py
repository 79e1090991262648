"""GASP-Code-v0 as an OpenEnv environment: a server, and a typed client (extra ``openenv``).

    python -m gasp_env.adapters.openenv --port 8000 --sessions 64 --options '{"attempts": 4}'

    async with GaspClient(base_url="http://127.0.0.1:8000") as env:
        result = await env.reset(seed=0)
        while not result.done:
            seen = result.observation
            result = await env.step(GaspAction(texts=model(seen.prompt, seen.samples)))
            for credit in result.observation.earned:
                learn(credit.agent, credit.turn, credit.sample, credit.reward)

All sessions of a server share one library and one sandbox (`gasp_env.envs.sessions.Sessions`). OpenEnv knows one reward
a step: it is the scalar of the Gymnasium environment, None where a text is unscored; learners use the credits. A client
may choose a goalpost, by ``goalpost=ID`` or as a task, ``split="goalposts", index=N``.

**Whoever reaches the port may play: there is no authentication.** So the server binds 127.0.0.1 unless it is told
otherwise. The number of sessions, the size of a message or of a request and the number of texts are bounded; programs
run in the sandbox as everywhere. A reward that compares many episodes is refused, as no client could ask for it.

Tried with OpenEnv 0.10.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from openenv.core.client_types import StepResult  # type: ignore[import-not-found, unused-ignore]
from openenv.core.env_client import EnvClient  # type: ignore[import-not-found, unused-ignore]
from openenv.core.env_server.http_server import create_fastapi_app  # type: ignore[import-not-found, unused-ignore]
from openenv.core.env_server.interfaces import Environment  # type: ignore[import-not-found, unused-ignore]
from openenv.core.env_server.types import Action, Observation, State  # type: ignore[import-not-found, unused-ignore]
from pydantic import Field

from gasp_env.envs.driver import Stepped
from gasp_env.envs.env import turn_info
from gasp_env.envs.sessions import Session, Sessions
from gasp_env.episode.turns import Credit

#: Name of the one set of tasks: the goalposts.
SPLIT = "goalposts"
#: Largest message or request that the server reads, in bytes: some 250 texts of the size that is judged.
MESSAGE_BYTES = 2**22


class GaspAction(Action):  # type: ignore[misc, unused-ignore]
    """Texts for the open turn, from one to as many as it asks for."""

    texts: list[str] = Field(min_length=1, max_length=10_000)


class GaspObservation(Observation):  # type: ignore[misc, unused-ignore]
    """The open turn, and what became of the last texts. ``agent`` and the like are None when the episode is over."""

    prompt: str = ""
    samples: int = 0
    agent: str | None = None
    role: str | None = None
    stage: str | None = None
    kind: str | None = None
    axis: str | None = None
    turn: int | None = None
    credits: list[dict[str, Any]] = []
    rewards: dict[str, float] = {}
    verdicts: list[str] = []
    truncated: bool = False

    @property
    def earned(self) -> list[Credit]:
        """The credits that became known, as objects."""
        return [Credit(**credit) for credit in self.credits]


class GaspState(State):  # type: ignore[misc, unused-ignore]
    """Of a session; ``number`` is that of its episode, counted over all of the server."""

    number: int | None = None


class GaspEnvironment(Environment):  # type: ignore[misc, unused-ignore]
    """An episode of the server's sessions.

    Args:
        sessions: of the server.
    """

    SUPPORTS_CONCURRENT_SESSIONS = True

    def __init__(self, sessions: Sessions) -> None:
        super().__init__()
        self._sessions = sessions
        self._session: Session | None = None
        self._state = GaspState(episode_id=None, step_count=0)

    async def reset_async(
        self,
        seed: int | None = None,
        episode_id: str | None = None,
        goalpost: str | None = None,
        split: str | None = None,
        index: int | None = None,
        **unknown: Any,
    ) -> GaspObservation:
        """Begin an episode.

        Args:
            seed: of everything random in it.
            episode_id: a name that the caller gives it.
            goalpost: id of the goalpost that is played.
            split: `SPLIT`, with ``index``.
            index: number of the goalpost that is played.
            unknown: anything else, which is refused.

        Raises:
            ValueError: one of them is not as expected.
        """
        if unknown:
            raise ValueError(
                f"expected seed, episode_id, goalpost, split or index, got {', '.join(sorted(unknown))}"
            )
        if (split is None) != (index is None) or (index is not None and goalpost is not None):
            raise ValueError("expected either a goalpost, or a split and an index, or none of them")
        if split is not None and index is not None:
            goalpost = self.get_task(split, index)["id"]
        session = await self._sessions.begin_async(seed=seed, goalpost=goalpost)
        self.close()
        self._session = session
        self._state = GaspState(episode_id=episode_id, step_count=0, number=session.number)
        return self._seen()

    async def step_async(self, action: GaspAction, timeout_s: float | None = None) -> GaspObservation:
        """Give the open turn texts; ``timeout_s`` is not used, since the sandbox bounds every program.

        Raises:
            RuntimeError: there is no episode, or it is over.
            ValueError: they are more than the turn asks for.
        """
        if self._session is None:
            raise RuntimeError("reset before the first step")
        stepped = await self._session.step_async(action.texts)
        self._state.step_count += 1
        return self._seen(stepped)

    def reset(self, *_: Any, **__: Any) -> GaspObservation:
        """Not there: the server calls `reset_async`."""
        raise NotImplementedError("expected reset_async")

    def step(self, *_: Any, **__: Any) -> GaspObservation:
        """Not there: the server calls `step_async`."""
        raise NotImplementedError("expected step_async")

    @property
    def state(self) -> GaspState:
        """The session's state."""
        return self._state

    def close(self) -> None:
        """Give the session up, if it is not over."""
        session, self._session = self._session, None
        if session is not None and session.turn is not None:
            session.close()

    def list_splits(self) -> list[str]:
        """`SPLIT`, if the game plays goalposts."""
        return [SPLIT] if self._sessions.driver.curriculum.plays_goalposts else []

    def num_tasks(self, split: str) -> int:
        """Number of goalposts."""
        self._check(split)
        return len(self._sessions.driver.goalposts)

    def list_tasks(self, split: str) -> list[dict[str, Any]]:
        """All goalposts, without their tests."""
        return [self.get_task(split, index) for index in range(self.num_tasks(split))]

    def get_task(self, split: str, index: int) -> dict[str, Any]:
        """A goalpost, without its tests.

        Raises:
            ValueError: there is no such split or number.
        """
        self._check(split)
        goalposts = self._sessions.driver.goalposts
        if type(index) is not int or not 0 <= index < len(goalposts):
            raise ValueError(f"expected an index from 0 to {len(goalposts) - 1}, got {index}")
        return {"id": goalposts[index].id, "index": index, "statement": goalposts[index].statement}

    def _check(self, split: str) -> None:
        if split not in self.list_splits():
            raise ValueError(f"expected a split of {self.list_splits()}, got {split!r}")

    def _seen(self, stepped: Stepped | None = None) -> GaspObservation:
        turn = None if self._session is None else self._session.turn
        told: dict[str, Any] = dict(turn_info(turn))
        if turn is not None:
            told |= {"prompt": turn.prompt, "samples": turn.samples}
        if stepped is not None:
            told |= {
                "done": stepped.terminated or stepped.truncated,
                "truncated": stepped.truncated,
                "reward": sum(stepped.rewards.values()) if stepped.scored else None,
                "rewards": stepped.rewards,
                "credits": [asdict(credit) for credit in stepped.credits],
                "verdicts": [verdict.reason for verdict in stepped.resolution.verdicts],
            }
        return GaspObservation(**told)


class GaspClient(EnvClient):  # type: ignore[misc, unused-ignore]
    """A client whose observations are `GaspObservation`."""

    def _step_payload(self, action: GaspAction) -> dict[str, Any]:
        payload: dict[str, Any] = action.model_dump()
        return payload

    def _parse_result(self, payload: dict[str, Any]) -> StepResult:
        seen = GaspObservation(
            **payload["observation"], done=payload.get("done", False), reward=payload.get("reward")
        )
        return StepResult(seen, payload.get("reward"), payload.get("done", False), payload.get("metadata"))

    def _parse_state(self, payload: dict[str, Any]) -> GaspState:
        return GaspState(**payload)


def app(sessions: Sessions, most: int) -> Any:
    """The FastAPI application of a server.

    Args:
        sessions: that it plays, with room for twice ``most``: who begins an episode has that before still.
        most: clients at once.

    Raises:
        ValueError: the teacher's reward compares many episodes.
    """
    if sessions.driver.setup.deferred:
        raise ValueError(
            "expected a teacher reward that is known within an episode, got one that compares many"
        )
    make: Callable[[], GaspEnvironment] = lambda: GaspEnvironment(sessions)  # noqa: E731
    made = create_fastapi_app(
        make, GaspAction, GaspObservation, max_concurrent_envs=most, state_cls=GaspState, env_name="gasp_code"
    )
    made.add_middleware(_Bounded)
    return made


class _Bounded:
    """Refuses requests whose body is larger than `MESSAGE_BYTES`, or does not say how large it is."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        headers = dict(scope.get("headers") or ())
        if scope["type"] == "http" and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            told = headers.get(b"content-length", b"")
            if not told.isdigit() or int(told) > MESSAGE_BYTES:
                await send({"type": "http.response.start", "status": 413, "headers": []})
                await send({"type": "http.response.body", "body": b"expected a smaller request"})
                return
        await self._app(scope, receive, send)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    import uvicorn  # type: ignore[import-not-found, unused-ignore]

    parser = argparse.ArgumentParser(
        prog="python -m gasp_env.adapters.openenv",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to bind (default 127.0.0.1: this machine alone)"
    )
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--sessions", type=int, default=64, help="clients at once (default 64)")
    parser.add_argument(
        "--options",
        default="{}",
        metavar="JSON",
        help="options of the env and of its curriculum, as a JSON object",
    )
    chosen = parser.parse_args(argv)
    if not 0 <= chosen.port < 2**16:
        parser.error(f"--port: expected a number from 0 to 65535, got {chosen.port}")
    if not 1 <= chosen.sessions <= 100_000:
        parser.error(f"--sessions: expected a number from 1 to 100000, got {chosen.sessions}")
    try:
        options = json.loads(chosen.options)
        if not isinstance(options, dict) or "most" in options:
            raise ValueError(f"expected a JSON object, without most, got {chosen.options[:80]!r}")
        sessions = Sessions(most=2 * chosen.sessions, **options)
        served = app(sessions, chosen.sessions)
    except (ValueError, TypeError) as error:
        parser.error(f"--options: {error}")
    with sessions:
        sessions.sandbox.open()
        print(f"sandbox: {sessions.sandbox.tier}", file=sys.stderr)
        uvicorn.run(served, host=chosen.host, port=chosen.port, ws_max_size=MESSAGE_BYTES)
    return 0


if __name__ == "__main__":
    sys.exit(main())
