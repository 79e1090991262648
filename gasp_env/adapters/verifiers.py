"""GASP-Code-v0 for verifiers, with two seats (extra ``verifiers``; the plugin is named ``gasp_code``).

    config = GaspEnvConfig.model_validate({"taskset": {"id": "gasp_code", "options": {"attempts": 4}}})

Every text of an episode is an agent's run of its own, with its own trace: its reward is that of its credit, by the
names of the terms. ``teacher`` and ``solver`` may be different models; ``train_teacher`` and ``train_solver`` say whose
traces train. All episodes of an environment share one library and one sandbox (`gasp_env.envs.sessions.Sessions`).

A failure is no score: if a model call fails, or a text is unscored, the episode raises, which verifiers may retry. An
answer that ended at the token limit is judged as such. verifiers runs one agent at a time unless
``max_concurrent_agents`` allows more; a turn of eight attempts is eight runs.

Tried with verifiers 0.4, whose v1 classes these are; it wants ``openai < 3``.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from typing import Any

import httpx  # type: ignore[import-not-found, unused-ignore]
import verifiers.v1 as vf  # type: ignore[import-not-found, unused-ignore]

from gasp_env.envs.driver import Stepped
from gasp_env.envs.sessions import Sessions
from gasp_env.policies import CutOff

__all__ = ["ChatHarness", "GaspEnv", "GaspTaskset"]

#: Name of the plugin, which verifiers imports as a module.
PLUGIN = "gasp_code"
#: Sessions at once; verifiers bounds its episodes itself.
MOST = 2**16


class GaspData(vf.TaskData):  # type: ignore[misc, unused-ignore]
    """An episode: its seed, and the goalpost that it plays, or None for one that the game draws."""

    seed: int = 0
    goalpost: str | None = None


GaspTask = vf.Task[GaspData, vf.State, vf.TaskConfig]


class GaspConfig(vf.TasksetConfig):  # type: ignore[misc, unused-ignore]
    """What is played: options of the env and of its curriculum; goalposts by id, each in turn, rather than drawn."""

    options: dict[str, Any] = {}
    goalposts: list[str] = []
    first_seed: int = 0


class GaspTaskset(vf.Taskset[GaspTask, GaspConfig]):  # type: ignore[misc, unused-ignore]
    """Episodes without end, one a seed."""

    INFINITE = True

    def load(self) -> Iterator[Any]:
        """See `verifiers.v1.Taskset`."""
        for number in itertools.count():
            goalposts = self.config.goalposts
            pinned = goalposts[number % len(goalposts)] if goalposts else None
            yield GaspTask(GaspData(seed=self.config.first_seed + number, goalpost=pinned), self.config.task)


class ChatHarness(vf.Harness[vf.HarnessConfig]):  # type: ignore[misc, unused-ignore]
    """Asks the model once, from this process: verifiers' own harnesses start an interpreter for every text."""

    APPENDS_SYSTEM_PROMPT, NEEDS_CONTAINER, EXECUTES_CODE = True, False, False

    async def launch(
        self, ctx: Any, trace: Any, runtime: Any, endpoint: str, secret: str, mcp_urls: Any, data: Any
    ) -> Any:
        """See `verifiers.v1.Harness`."""
        messages = [{"role": "user", "content": data.prompt}]
        if data.system_prompt:
            messages.insert(0, {"role": "system", "content": data.system_prompt})
        async with httpx.AsyncClient(timeout=None, headers={"Authorization": f"Bearer {secret}"}) as client:
            answer = await client.post(
                f"{endpoint}/chat/completions", json={"model": ctx.model, "messages": messages}
            )
        return vf.ProgramResult(0 if answer.is_success else 1, "", answer.text)


class GaspEnvConfig(vf.EnvConfig):  # type: ignore[misc, unused-ignore]
    """The seats, and whose traces train. Runs happen in this process, which executes none of a model's code."""

    teacher: vf.AgentConfig = vf.AgentConfig(runtime=vf.SubprocessConfig())
    solver: vf.AgentConfig = vf.AgentConfig(runtime=vf.SubprocessConfig())
    train_teacher: bool = True
    train_solver: bool = True


class GaspEnv(vf.Env[GaspEnvConfig]):  # type: ignore[misc, unused-ignore]
    """Plays episodes.

    Attributes:
        sessions: while it serves.
    """

    sessions: Sessions | None = None

    async def start(self) -> None:
        """Open the sandbox.

        Raises:
            TypeError, ValueError: an option is wrong, or a reward is known only with a whole update.
            gasp_env.sandbox.SandboxError: no sandbox can be opened.
        """
        self.sessions = Sessions(most=MOST, **self.taskset.config.options)
        if self.sessions.driver.setup.deferred:
            raise ValueError(
                "expected a teacher reward that is known within an episode, got one that compares many"
            )
        await asyncio.to_thread(self.sessions.sandbox.open)

    async def stop(self) -> None:
        """End what is in progress."""
        sessions, self.sessions = self.sessions, None
        if sessions is not None:
            await asyncio.to_thread(sessions.close)

    async def setup(self, agents: Any) -> None:
        """Say whose traces train."""
        agents.teacher.trainable = self.config.train_teacher
        agents.solver.trainable = self.config.train_solver

    async def run(self, task: Any, agents: Any) -> None:
        """Play an episode.

        Raises:
            RuntimeError: a model call failed, or a text is unscored, which is no score.
        """
        if self.sessions is None:
            raise RuntimeError("expected an environment that serves: async with env.serving()")
        session = await self.sessions.begin_async(seed=task.data.seed, goalpost=task.data.goalpost)
        traces: dict[tuple[int, int], Any] = {}
        try:
            while (turn := session.turn) is not None:
                seat = getattr(agents, turn.role)
                asked = [task.with_data(prompt=turn.prompt)] * turn.samples
                given = await asyncio.gather(*map(seat.run, asked))
                traces |= {(turn.index, number): trace for number, trace in enumerate(given)}
                if not all(trace.ok for trace in given):
                    raise RuntimeError(f"a model call of {turn.agent} failed in stage {turn.stage}")
                texts = [
                    CutOff(trace.last_reply) if trace.is_truncated else trace.last_reply for trace in given
                ]
                _pay(await session.step_async(texts), traces)
        finally:
            if session.turn is not None:
                session.close()


def _pay(stepped: Stepped, traces: dict[tuple[int, int], Any]) -> None:
    """Write what became known to the traces of the texts that earned it.

    Raises:
        RuntimeError: a credit is unscored.
    """
    if not stepped.scored:
        raise RuntimeError("the sandbox could not judge a text")
    resolution = stepped.resolution
    for number, verdict in enumerate(resolution.verdicts, start=resolution.first):
        name, good = ("valid", "valid") if resolution.turn.proposal else ("right", "correct")
        traces[resolution.turn.index, number].record_metric(name, float(verdict.reason == good))
    for credit in stepped.credits:
        trace = traces[credit.turn, credit.sample]
        for name, value in credit.terms.items():
            trace.record_reward(name, value)
