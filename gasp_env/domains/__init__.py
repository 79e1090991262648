"""Domains by name. A domain provides the tasks that a game is played with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gasp_env.domains.base import Domain, Request
from gasp_env.domains.python import seeds
from gasp_env.domains.python.domain import PythonDomain
from gasp_env.domains.python.prompts import PromptStyle
from gasp_env.domains.python.styles import BaseStyle, ExercisesStyle
from gasp_env.goalposts import files as goalposts
from gasp_env.registry import Registry

__all__ = ["DOMAINS", "STYLES", "Domain", "PythonDomain", "Request", "get"]


def _as_domain(name: str, found: Any) -> Domain:
    """The domain; a class is instantiated."""
    made = found() if isinstance(found, type) else found
    if not isinstance(made, Domain):
        raise ValueError(f"domain {name!r}: expected a gasp_env.domains.Domain, got {type(made).__name__}")
    return made


def _as_style(name: str, found: Any) -> PromptStyle:
    """The style; a class is instantiated."""
    style = found() if isinstance(found, type) else found
    if not isinstance(style, PromptStyle):
        raise ValueError(
            f"prompt style {name!r}: expected a gasp_env.domains.python.prompts.PromptStyle, "
            f"got {type(style).__name__}"
        )
    return style


DOMAINS: Registry[Domain] = Registry("domain", check=_as_domain)
STYLES: Registry[PromptStyle] = Registry("prompt style", check=_as_style)

STYLES.register("exercises", ExercisesStyle)
STYLES.register("base", BaseStyle)
DOMAINS.register(
    "python",
    PythonDomain(
        "python",
        ExercisesStyle(),
        goalposts.builtin_goalposts,
        builtin_seeds=seeds.builtin_seeds,
        novelty="hashing",
        version=4,  # 1: fenced blocks by tag, exactly ten inputs; 2: values by their place; 3: series were ambiguous
    ),
)


def get(name: str | Domain, style: str | None = None) -> Domain:
    """Return the domain with this name (`gasp_env.registry.Registry.get`), or the domain itself.

    Args:
        name: the domain's name, such as ``"python"``, or a domain.
        style: name of a prompt style of the Python domain, such as ``"base"``; None for the domain's own.

    Raises:
        ValueError: there is no such domain or style, or a style is given for a domain other than Python's.
    """
    found = name if isinstance(name, Domain) else DOMAINS.get(name)
    if style is None:
        return found
    if not isinstance(found, PythonDomain):
        raise ValueError(f"expected no style with domain {found.name!r}, which has its own, got {style!r}")
    return replace(found, style=STYLES.get(style))
