"""Writer of transcripts: one episode as one JSON object.

A transcript holds the inputs of the episode (seed, goalposts, texts, and the library's answers to its queries) and all
decisions (verdicts, outcomes, rewards). `gasp_env.transcripts.replay` plays it again.
"""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gasp_env.curricula.base import Curriculum
from gasp_env.domains.base import Domain
from gasp_env.episode.machine import Context, Episode
from gasp_env.episode.turns import Credit, CutOff, Lost, Resolution
from gasp_env.options import Options

FORMAT = 3


class Transcript:
    """The transcript of an episode in progress; `record` gives it as one JSON-able object."""

    def __init__(self, head: Mapping[str, Any], context: Context) -> None:
        self._head = dict(head)
        self._context = context
        self._tier = ""
        self._turns: list[dict[str, Any]] = []
        self._outcomes: list[dict[str, Any]] = []
        self._end: dict[str, Any] = {"done": False, "truncated": False}

    def add(
        self,
        resolution: Resolution,
        texts: Sequence[str],
        credits: Sequence[Credit],
        episode: Episode,
        tier: str,
    ) -> None:
        """Append one step: its texts, verdicts and credits, judged in a sandbox of this tier."""
        self._tier = tier
        turn = resolution.turn
        if turn.index == len(self._turns):
            self._turns.append(
                {
                    "index": turn.index,
                    "role": turn.role,
                    "agent": turn.agent,
                    "stage": turn.stage,
                    "kind": turn.kind,
                    "axis": turn.axis,
                    "prompt": turn.prompt,
                    "samples": [],
                }
            )
        measured = resolution.relevance or (None,) * len(texts)
        repeated = resolution.repeats or (None,) * len(texts)
        for text, verdict, relevance, repeats in zip(
            texts, resolution.verdicts, measured, repeated, strict=True
        ):
            self._turns[turn.index]["samples"].append(
                {
                    "text": str(text),
                    **({"cut_off": True} if isinstance(text, CutOff) else {}),
                    **({"lost": text.reason} if isinstance(text, Lost) else {}),
                    "verdict": verdict.reason,
                    "detail": verdict.detail,
                    "reward": None,
                    "terms": {},
                    **({"relevance": relevance} if turn.proposal else {}),
                    **({"repeats": repeats} if repeats is not None else {}),
                }
            )
        for credit in credits:
            self.pay(credit)
        for one in resolution.settled:
            outcome = one.outcome
            self._outcomes.append(
                {
                    "turn": one.turn,
                    "stage": outcome.stage,
                    "kind": outcome.kind,
                    "reason": outcome.reason,
                    "correct": outcome.correct,
                    "samples": outcome.samples,
                    "accepted": outcome.accepted,
                    "scored": outcome.scored,
                }
            )
        self._end = {"done": episode.done, "truncated": episode.truncated}

    def pay(self, credit: Credit) -> None:
        """Write a reward to the text that earned it."""
        sample = self._turns[credit.turn]["samples"][credit.sample]
        sample["reward"], sample["terms"] = credit.reward, dict(credit.terms)

    def copy(self, context: Context) -> Transcript:
        """The transcript so far, to go on apart from this one; ``context`` is the world of its episode."""
        twin = Transcript(self._head, context)
        twin._tier = self._tier
        twin._turns, twin._outcomes = copy.deepcopy(self._turns), copy.deepcopy(self._outcomes)
        twin._end = dict(self._end)
        return twin

    def _goalposts(self) -> dict[str, Any]:
        """The goalposts that the episode looked at, by index, and how many there were."""
        goalposts, domain = self._context.goalposts, self._context.domain
        played = getattr(goalposts, "played", {})
        records = {str(i): domain.goalpost_record(goalpost) for i, goalpost in sorted(played.items())}
        return {"count": len(goalposts), "played": records}

    def record(self) -> dict[str, Any]:
        """The transcript so far, as JSON-able values of its own."""
        body = {
            **self._head,
            "tier": self._tier,
            "goalposts": self._goalposts(),
            "view": self._context.view.record(),  # type: ignore[attr-defined]
            "turns": self._turns,
            "outcomes": self._outcomes,
            **self._end,
        }
        copied: dict[str, Any] = json.loads(json.dumps(body))
        return copied


class Parts(Protocol):
    """The parts of an env that a transcript names (`gasp_env.envs.setup.Setup`)."""

    options: Options
    curriculum: Curriculum
    domain: Domain
    teacher_reward: str | Mapping[str, str]


def head(setup: Parts, context: Context) -> dict[str, Any]:
    """Everything needed to begin the episode again, as JSON-able values."""
    options, reward = setup.options, setup.teacher_reward
    return {
        "format": FORMAT,
        "rules": setup.domain.version,
        "domain": options.domain if isinstance(options.domain, str) else setup.domain.name,
        "style": options.style,
        "novelty": setup.domain.novelty,
        "relevance": None if context.relevance is None else dataclasses.asdict(context.relevance),
        "curriculum": name_of(options.curriculum),
        "options": options_of(setup.curriculum),
        "on_infra_error": context.on_infra_error,
        **({"batch_duplicates": True} if options.batch_duplicates else {}),
        "agents": dict(context.agents),
        "teacher_reward": reward if isinstance(reward, str) else dict(reward),
        "solver_reward": options.solver_reward,
        "seed": context.seed,
        "pinned": context.pinned,
    }


def name_of(curriculum: Any) -> str:
    """The name that a curriculum is found by again."""
    if isinstance(curriculum, str):
        return curriculum
    game = curriculum if isinstance(curriculum, type) else type(curriculum)
    return f"{game.__module__}:{game.__qualname__}"


def options_of(curriculum: Curriculum) -> dict[str, Any]:
    """The options of a game."""
    return {field.name: getattr(curriculum, field.name) for field in dataclasses.fields(curriculum)}
