"""Play a batch of episodes to their end with one policy, and record every turn."""

from __future__ import annotations

import time
from dataclasses import dataclass, field, replace
from typing import Any

import torch

from gasp_env.envs.vector import GaspCodeVectorEnv
from learners.policies.base import Completion, Sampling, TrainablePolicy
from learners.turn_records import TurnRecord


@dataclass
class Rollout:
    """What came of it.

    Attributes:
        records: every completion, in the order of (turn of play, env, sample).
        texts: what was submitted, row by row.
        episode: which env each row belongs to.
        seconds: spent generating and spent in the environment (which waits for the sandbox).
    """

    records: list[TurnRecord] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    episode: list[int] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: {"generate": 0.0, "environment": 0.0})

    @property
    def tokens(self) -> int:
        """Sampled tokens."""
        return sum(len(record.completion_ids) for record in self.records)


def play(
    envs: GaspCodeVectorEnv, policy: TrainablePolicy, sampling: Sampling, generator: torch.Generator
) -> Rollout:
    """Play the episodes that `envs` has just been reset to, until all are over.

    All envs with an open turn step together: one call of the policy, one batch of the sandbox. A
    teacher's credit arrives only once its proposal has been attempted, addressed to the turn that
    made it; a row whose credit never arrives (its episode was truncated) stays unscored.
    """
    rollout = Rollout()
    rows: dict[tuple[int, int, int], int] = {}  # (env, turn, sample) -> row
    groups: dict[tuple[str, str, str | None, str], int] = {}  # what was asked -> group id
    while any(turn is not None for turn in envs.turns):
        turns = {env: turn for env, turn in enumerate(envs.turns) if turn is not None}
        start = time.perf_counter()
        answers = policy.generate(
            [turn.prompt for turn in turns.values()],
            [turn.samples for turn in turns.values()],
            sampling,
            generator,
        )
        actions: list[tuple[str, ...] | None] = [None] * envs.num_envs
        for (env, turn), completions in zip(turns.items(), answers, strict=True):
            texts = [_submitted(completion) for completion in completions]
            actions[env] = tuple(texts)
            group = groups.setdefault((turn.agent, turn.stage, turn.kind, turn.prompt), len(groups))
            prompt_ids = tuple(policy.encode(turn.prompt))
            for sample, (completion, text) in enumerate(zip(completions, texts, strict=True)):
                rows[env, turn.index, sample] = len(rollout.records)
                rollout.records.append(_record(turn, prompt_ids, completion, group, policy.version))
                rollout.texts.append(text)
                rollout.episode.append(env)
        middle = time.perf_counter()
        infos = envs.step(actions)[4]
        for env in turns:
            for sample, verdict in enumerate(infos["verdicts"][env]):
                row = rows[env, turns[env].index, sample]
                rollout.records[row] = replace(rollout.records[row], verdict=verdict)
            for credit in infos["credits"][env]:
                row = rows[env, credit.turn, credit.sample]
                rollout.records[row] = replace(
                    rollout.records[row], reward=credit.reward, terms=dict(credit.terms)
                )
        end = time.perf_counter()
        rollout.seconds["generate"] += middle - start
        rollout.seconds["environment"] += end - middle
    return rollout


def _submitted(completion: Completion) -> str:
    """An answer that was cut off has failed, even if what there is of it happens to be right."""
    return completion.text if completion.stop == "stop" else ""


def _record(
    turn: Any, prompt_ids: tuple[int, ...], completion: Completion, group: int, version: int
) -> TurnRecord:
    return TurnRecord(
        prompt_ids=prompt_ids,
        completion_ids=completion.ids,
        mask=(True,) * len(completion.ids),
        logprobs=completion.logprobs,
        reward=None,
        role="teacher" if turn.agent == "teacher_0" else "solver",
        stage=turn.stage,
        kind=turn.kind,
        axis=turn.axis,
        group=group,
        version=version,
        stop=completion.stop,
    )
