"""Writes down what happens in an episode, as one JSON object."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from gasp_env.curricula.base import Schedule
from gasp_env.episode.machine import Episode
from gasp_env.episode.turns import Credit, Resolution
from gasp_env.transcripts.library_log import RecordedView

FORMAT = 2


class Transcript:
    """Grows with an episode; `record` gives it as one JSON-able object."""

    def __init__(self, head: Mapping[str, Any], view: RecordedView) -> None:
        self._head = dict(head)
        self._view = view
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
        """Append what one step gave and what became known in it, judged in a sandbox of this tier."""
        self._tier = tier
        turn = resolution.turn
        if turn.index == len(self._turns):
            self._turns.append(
                {
                    "index": turn.index,
                    "agent": turn.agent,
                    "stage": turn.stage,
                    "kind": turn.kind,
                    "axis": turn.axis,
                    "prompt": turn.prompt,
                    "samples": [],
                }
            )
        for text, verdict in zip(texts, resolution.verdicts, strict=True):
            self._turns[turn.index]["samples"].append(
                {
                    "text": text,
                    "verdict": verdict.reason,
                    "detail": verdict.detail,
                    "reward": None,
                    "terms": {},
                }
            )
        if turn.agent == "teacher_0":
            self._turns[turn.index]["samples"][-1]["relevance"] = resolution.relevance
        for credit in credits:
            sample = self._turns[credit.turn]["samples"][credit.sample]
            sample["reward"], sample["terms"] = credit.reward, dict(credit.terms)
        for index, outcome in resolution.outcomes:
            self._outcomes.append(
                {
                    "turn": index,
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

    def copy(self, view: RecordedView) -> Transcript:
        """The transcript so far, to go on apart from this one; ``view`` is what its episode reads."""
        twin = Transcript(self._head, view)
        twin._tier = self._tier
        twin._turns, twin._outcomes = copy.deepcopy(self._turns), copy.deepcopy(self._outcomes)
        twin._end = dict(self._end)
        return twin

    def record(self) -> dict[str, Any]:
        """The transcript so far, as JSON-able values of its own."""
        body = {
            **self._head,
            "tier": self._tier,
            "view": self._view.record(),
            "turns": self._turns,
            "outcomes": self._outcomes,
            **self._end,
        }
        copied: dict[str, Any] = json.loads(json.dumps(body))
        return copied


def head(
    *,
    domain: str,
    style: str | None,
    schedule: Schedule,
    teacher_reward: str | Mapping[str, str],
    solver_reward: str,
    seed: int,
    goalpost: Mapping[str, Any] | None,
    index: int | None,
    count: int,
    axis: str | None,
) -> dict[str, Any]:
    """What a transcript says before the first turn: all that is needed to begin the episode again."""
    return {
        "format": FORMAT,
        "domain": domain,
        "style": style,
        "schedule": asdict(schedule),
        "teacher_reward": teacher_reward if isinstance(teacher_reward, str) else dict(teacher_reward),
        "solver_reward": solver_reward,
        "seed": seed,
        "goalpost": None if goalpost is None else dict(goalpost),
        "goalpost_index": index,
        "goalposts": count,
        "axis": axis,
    }
