"""Domains: what a game is played with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gasp_env.domains.python import seeds
from gasp_env.domains.python.domain import PythonDomain
from gasp_env.domains.python.prompts import FencedStyle, PromptStyle
from gasp_env.goalposts import files as goalposts
from gasp_env.registry import Registry


def _as_domain(name: str, found: Any) -> PythonDomain:
    if not isinstance(found, PythonDomain):
        raise ValueError(
            f"domain {name!r}: expected a gasp_env.domains.python.domain.PythonDomain, got {type(found).__name__}"
        )
    return found


def _as_style(name: str, found: Any) -> PromptStyle:
    """The style, made if it is a class."""
    style: PromptStyle = found() if isinstance(found, type) else found
    asked = [method for method in vars(PromptStyle) if not method.startswith("_")]
    lacking = [method for method in asked if not callable(getattr(style, method, None))]
    if lacking:
        raise ValueError(
            f"prompt style {name!r}: expected methods {', '.join(asked)}; it lacks {', '.join(lacking)}"
        )
    return style


DOMAINS: Registry[PythonDomain] = Registry("domain", check=_as_domain)
STYLES: Registry[PromptStyle] = Registry("prompt style", check=_as_style)

STYLES.register("fenced", FencedStyle)
DOMAINS.register(
    "python",
    PythonDomain(
        "python", FencedStyle(), goalposts.builtin_goalposts, seeds=seeds.builtin_seeds, novelty="hashing"
    ),
)


def get(name: str, style: str | None = None) -> PythonDomain:
    """The domain of a name, such as ``"python"`` (`gasp_env.registry.Registry.get`).

    Args:
        name: of the domain.
        style: name of a prompt style, such as ``"fenced"``; None for the domain's.

    Raises:
        ValueError: there is no such domain or style.
    """
    found = DOMAINS.get(name)
    return found if style is None else replace(found, style=STYLES.get(style))
