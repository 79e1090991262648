"""The Python domain, put together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gasp_env.domains.base import Sees
from gasp_env.domains.python.gate import Gate
from gasp_env.domains.python.prompts import PromptStyle
from gasp_env.domains.python.rules import GateRules
from gasp_env.library import embedders
from gasp_env.relevance import RelevanceRule
from gasp_env.sandbox.runs import Limits
from gasp_env.tasks import Arguments, Goalpost, Task


def _none() -> tuple[Task, ...]:
    return ()


@dataclass(frozen=True)
class PythonDomain:
    """What the game is played with.

    Attributes:
        name: for transcripts and manifests: what `get` finds it by.
        style: prompts, and how answers are read.
        goalposts: the domain's own set, loaded when asked for.
        rules: see `GateRules`.
        limits: of every run, of the gate and of the judge.
        probes: if any, two programs count as the same task when they agree on these inputs.
        sees: what of a goalpost the teacher is shown unless the env says otherwise.
        seeds: deduction and abduction tasks that an unguided curriculum starts from; without any there is none.
        novelty: ``off``, ``exact`` or an embedder, unless the env says otherwise (`gasp_env.curricula.base.Schedule`).
    """

    name: str
    style: PromptStyle
    goalposts: Callable[[], tuple[Goalpost, ...]]
    rules: GateRules = field(default_factory=GateRules)
    limits: Limits = field(default_factory=Limits)
    probes: tuple[Arguments, ...] = ()
    sees: Sees = "statement"
    seeds: Callable[[], tuple[Task, ...]] = _none
    novelty: str = "exact"

    def gate(self, novelty: str = "exact", relevance: RelevanceRule | None = None) -> Gate:
        """The gate of this domain, with a curriculum's novelty and relevance."""
        neural = novelty not in ("off", "exact")
        threshold = embedders.get(novelty).threshold if neural else None
        seeds = frozenset(task.fingerprint for task in self.seeds())
        return Gate(self.rules, self.limits, self.probes, novelty != "off", threshold, relevance, seeds)
