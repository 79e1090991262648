"""Play a batch of episodes to their end, one policy for every role or one for each, and record every turn."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.episode.turns import Credit, Turn
from gasp_env.policies import Completion, Policy, Sampling, complete
from learners.processes import Processes
from learners.turn_records import TurnRecord


@dataclass
class Rollout:
    """Turns of whole episodes.

    Attributes:
        records: every completion, in the order of (turn of play, env, sample).
        texts: the submitted texts, row by row.
        episode: the env of each row.
        seconds: spent generating and spent in the environment (which waits for the sandbox).
    """

    records: list[TurnRecord] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    episode: list[int] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=lambda: {"generate": 0.0, "environment": 0.0})

    def pay(self, row: int, credit: Credit) -> None:
        """Write a credit to the completion that earned it."""
        self.records[row] = replace(self.records[row], reward=credit.reward, terms=dict(credit.terms))

    @property
    def tokens(self) -> int:
        """Sampled tokens."""
        return sum(len(record.completion_ids) for record in self.records)


def play(
    envs: GaspCodeVectorEnv,
    policies: Policy | Mapping[str, Policy],
    sampling: Sampling,
    say: Callable[[str], None] = lambda text: None,
) -> Rollout:
    """Play the episodes that `envs` has just been reset to, until all are over.

    All envs with an open turn step together: one call of each policy, one batch of the sandbox. A
    teacher's credit arrives only once its proposal has been attempted, addressed to the turn that
    made it; a row whose credit never arrives (its episode was truncated) stays unscored.

    Args:
        envs: plays the episodes.
        policies: one for every role, or one by role.
        sampling: of every call. A seed is that of the first; the calls after it have seeds derived from it.
        say: is told what is being sampled, for people who wait.

    Raises:
        ValueError: a role acts that has no policy, or a policy gave something else than was asked.
        gasp_env.policies.PolicyError: a policy raised.
    """
    rollout = Rollout()
    rows: dict[tuple[int, int, int], int] = {}  # (env, turn, sample) -> row
    groups: dict[tuple[str, str, str | None, str], int] = {}  # (agent, stage, kind, prompt) -> group id
    calls = 0
    while any(turn is not None for turn in envs.turns):
        turns = {env: turn for env, turn in enumerate(envs.turns) if turn is not None}
        stages = Counter[str]()
        for turn in turns.values():
            stages[turn.stage] += turn.samples
        say("sampling " + ", ".join(f"{count} x {stage}" for stage, count in stages.items()))
        start = time.perf_counter()
        actions: list[tuple[str, ...] | None] = [None] * envs.num_envs
        answers: dict[int, tuple[int, list[Completion]]] = {}  # env -> version of its policy, completions
        for policy, asked in _by_policy(turns, policies):
            given = _ask(policy, [turns[env] for env in asked], sampling.call(calls))
            version = getattr(policy, "version", 0)
            answers |= {env: (version, completions) for env, completions in zip(asked, given, strict=True)}
            calls += 1
        for env, turn in turns.items():
            version, completions = answers[env]
            actions[env] = tuple(completion.submission for completion in completions)
            group = groups.setdefault((turn.agent, turn.stage, turn.kind, turn.prompt), len(groups))
            for sample, completion in enumerate(completions):
                rows[env, turn.index, sample] = len(rollout.records)
                rollout.records.append(_record(turn, completion, group, version))
                rollout.texts.append(completion.submission)
                rollout.episode.append(env)
        middle = time.perf_counter()
        infos = envs.step(actions)[4]
        for env in turns:
            for sample, verdict in enumerate(infos["verdicts"][env]):
                row = rows[env, turns[env].index, sample]
                rollout.records[row] = replace(rollout.records[row], verdict=verdict)
            for credit in infos["credits"][env]:
                rollout.pay(rows[env, credit.turn, credit.sample], credit)
        end = time.perf_counter()
        rollout.seconds["generate"] += middle - start
        rollout.seconds["environment"] += end - middle
    # A reward that compares proposals is paid for those of the whole update.
    for scored in envs.score_deferred():
        rollout.pay(rows[scored.slot, scored.credit.turn, scored.credit.sample], scored.credit)
    return rollout


def exchange(records: Sequence[TurnRecord], processes: Processes) -> list[TurnRecord]:
    """The turns of all processes, by rank, with ids of groups that are all different."""
    found: list[TurnRecord] = []
    for part in processes.all(list(records)):
        first = 1 + max((record.group for record in found), default=-1)
        found += [replace(record, group=first + record.group) for record in part] if first else part
    return found


def _by_policy(
    turns: Mapping[int, Turn], policies: Policy | Mapping[str, Policy]
) -> list[tuple[Policy, list[int]]]:
    """Envs whose turn is a policy's, for each policy that has any; roles that share a policy are asked together."""
    found: dict[int, tuple[Policy, list[int]]] = {}
    for env, turn in turns.items():
        if not isinstance(policies, Mapping):
            policy = policies
        elif turn.role in policies:
            policy = policies[turn.role]
        else:
            raise ValueError(
                f"expected a policy for role {turn.role!r}, got policies for {', '.join(policies) or 'none'}"
            )
        found.setdefault(id(policy), (policy, []))[1].append(env)
    return list(found.values())


def _ask(policy: Policy, turns: Sequence[Turn], sampling: Sampling) -> list[list[Completion]]:
    prompts, samples = [turn.prompt for turn in turns], [turn.samples for turn in turns]
    return complete(policy, type(policy).__name__, prompts, samples, sampling)


def _record(turn: Turn, completion: Completion, group: int, version: int) -> TurnRecord:
    return TurnRecord(
        prompt_ids=completion.prompt_ids,
        completion_ids=completion.ids,
        mask=(True,) * len(completion.ids),
        logprobs=completion.logprobs,
        reward=None,
        agent=turn.agent,
        role=turn.role,
        stage=turn.stage,
        kind=turn.kind,
        axis=turn.axis,
        group=group,
        version=version,
        stop=completion.stop,
    )
