"""A domain bundles prompts, gate and goalposts behind the names the curriculum takes."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass, field

from gasp_env import goalposts
from gasp_env.gate import Gate, GateRules
from gasp_env.prompts import FencedStyle, PromptStyle, Sees
from gasp_env.sandbox.runs import Limits
from gasp_env.tasks import Arguments, Goalpost


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
    """

    name: str
    style: PromptStyle
    goalposts: Callable[[], tuple[Goalpost, ...]]
    rules: GateRules = field(default_factory=GateRules)
    limits: Limits = field(default_factory=Limits)
    probes: tuple[Arguments, ...] = ()
    sees: Sees = "statement"

    @property
    def gate(self) -> Gate:
        """The gate of this domain."""
        return Gate(self.rules, self.limits, self.probes)


def get(name: str) -> Domain:
    """The domain ``"python"``, or one of your own as ``"module:name"``.

    Raises:
        ValueError: there is no such domain.
    """
    if name == "python":
        return Domain("python", FencedStyle(), goalposts.ours)
    module, colon, attribute = name.partition(":")
    if not colon:
        raise ValueError(f"expected the domain 'python' or 'module:name', got {name!r}")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise ValueError(f"domain {name!r} cannot be loaded: {error}") from error
    if not isinstance(found, Domain):
        raise ValueError(f"expected {name!r} to be a gasp_env.domain.Domain, got {type(found).__name__}")
    return found
