"""One goalpost turn of ``RLVR-Code-v0`` for each problem, and the groups of its verdicts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np

from gasp_env.policies import Completion, CutOff
from gasp_env.sandbox import Status
from gasp_env.tasks import Goalpost

#: Problems asked at once.
BATCH = 32
#: Groups of verdicts, in the order of the report.
GROUPS = ("right", "fault", "form", "unscored")

#: Answers problems, given their prompts, with one completion each.
Answers = Callable[[Sequence[Goalpost], Sequence[str]], list[Completion]]


@dataclass(frozen=True)
class Played:
    """An answer and its verdict.

    Attributes:
        goalpost: the problem.
        text: the answer; a `CutOff` if it was cut off.
        tokens: sampled; 0 if the policy does not tell.
        verdict, detail: of the environment.
    """

    goalpost: Goalpost
    text: str
    tokens: int
    verdict: str
    detail: str

    @property
    def cut_off(self) -> bool:
        """True if the text ended at the token limit."""
        return isinstance(self.text, CutOff)

    @property
    def group(self) -> str:
        """``right``; ``fault``: a program was read and failed; ``form``: no program could be read, or the text was
        cut off; ``unscored``: the infrastructure failed."""
        if self.verdict == "correct":
            return "right"
        if self.verdict == Status.INFRA_ERROR:
            return "unscored"
        return "fault" if self.verdict == "wrong" or self.verdict in set(Status) else "form"


def play(
    goalposts: Sequence[Goalpost], answers: Answers, sandbox: Any, note: Callable[[int], object]
) -> list[Played]:
    """Have every problem answered once, and judged.

    Args:
        goalposts: the problems.
        answers: called for `BATCH` problems at a time.
        sandbox: of the env.
        note: called with the number of problems that are done.
    """
    played: list[Played] = []
    for first in range(0, len(goalposts), BATCH):
        chunk = tuple(goalposts[first : first + BATCH])
        made = gym.make_vec(
            "gasp_env:RLVR-Code-v0", num_envs=len(chunk), goalposts=chunk, attempts=1, sandbox=sandbox
        )
        envs: Any = made.unwrapped
        envs.reset(seed=0)  # draws nothing that is used: every goalpost is pinned
        for env, goalpost in enumerate(chunk):
            envs.reset(options={"reset_mask": np.arange(len(chunk)) == env, "goalpost": goalpost.id})
        given = answers(chunk, [turn.prompt for turn in envs.turns])
        envs.step([one.submission for one in given])
        for goalpost, one, record in zip(chunk, given, envs.transcripts, strict=True):
            sample = record["turns"][0]["samples"][0]
            played.append(Played(goalpost, one.submission, len(one.ids), sample["verdict"], sample["detail"]))
        envs.close()
        note(len(played))
    return played
