"""A domain bundles prompts, gate and goalposts behind the names the curriculum takes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gasp_env import embedders, goalposts, plugins, seeds
from gasp_env.gate import Gate, GateRules
from gasp_env.prompts import FencedStyle, PromptStyle, Sees
from gasp_env.relevance import RelevanceRule
from gasp_env.sandbox.runs import Limits
from gasp_env.tasks import Arguments, Goalpost, Task


def _none() -> tuple[Task, ...]:
    return ()


@dataclass(frozen=True)
class Domain:
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
        novelty: ``off``, ``exact`` or an embedder, unless the env says otherwise (`gasp_env.schedule.Schedule`).
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


#: Prompt styles by name.
STYLES: dict[str, Callable[[], PromptStyle]] = {"fenced": FencedStyle}


def get(name: str, style: str | None = None) -> Domain:
    """The domain ``"python"``, or one of your own as ``"module:name"`` or ``"file.py:name"``.

    Args:
        name: of the domain.
        style: ``"fenced"``, or one of your own likewise; None for the domain's.

    Raises:
        ValueError: there is no such domain or style.
    """
    if name == "python":
        found = Domain("python", FencedStyle(), goalposts.ours, seeds=seeds.ours, novelty="hashing")
    elif ":" not in name:
        raise ValueError(f"expected the domain 'python', 'module:name' or 'file.py:name', got {name!r}")
    else:
        found = plugins.load(name, "domain")
    if not isinstance(found, Domain):
        raise ValueError(f"expected {name!r} to be a gasp_env.domain.Domain, got {type(found).__name__}")
    return found if style is None else replace(found, style=_style(style))


def _style(name: str) -> PromptStyle:
    if name in STYLES:
        return STYLES[name]()
    if ":" not in name:
        raise ValueError(f"expected a style among {sorted(STYLES)}, or 'module:name', got {name!r}")
    found = plugins.load(name, "prompt style")
    style: PromptStyle = found() if isinstance(found, type) else found
    asked = [method for method in vars(PromptStyle) if not method.startswith("_")]
    lacking = [method for method in asked if not callable(getattr(style, method, None))]
    if lacking:
        raise ValueError(
            f"prompt style {name!r}: expected methods {', '.join(asked)}; it lacks {', '.join(lacking)}"
        )
    return style
