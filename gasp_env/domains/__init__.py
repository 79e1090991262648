"""Domains by name: what a game is played with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from gasp_env import registry
from gasp_env.domains.base import Domain, Request
from gasp_env.domains.python import seeds
from gasp_env.domains.python.domain import PythonDomain
from gasp_env.domains.python.prompts import FencedStyle, PromptStyle
from gasp_env.goalposts import files as goalposts

__all__ = ["Domain", "PythonDomain", "Request", "STYLES", "get"]

#: Prompt styles of the Python domain by name.
STYLES: dict[str, Callable[[], PromptStyle]] = {"fenced": FencedStyle}


def get(name: str, style: str | None = None) -> Domain:
    """The domain ``"python"``, or one of your own as ``"module:name"`` or ``"file.py:name"``.

    Args:
        name: of the domain.
        style: of the Python domain's prompts: ``"fenced"``, or one of your own likewise; None for the domain's.

    Raises:
        ValueError: there is no such domain or style.
    """
    if name == "python":
        found: Any = PythonDomain(
            "python", FencedStyle(), goalposts.ours, builtin_seeds=seeds.ours, novelty="hashing"
        )
    elif ":" not in name:
        raise ValueError(f"expected the domain 'python', 'module:name' or 'file.py:name', got {name!r}")
    else:
        found = registry.load(name, "domain")
        found = found() if isinstance(found, type) else found
    if not isinstance(found, Domain):
        raise ValueError(f"domain {name!r}: expected a gasp_env.domains.Domain, got {type(found).__name__}")
    if style is None:
        return found
    if not isinstance(found, PythonDomain):
        raise ValueError(
            f"expected no style with domain {name!r}, which has prompts of its own, got {style!r}"
        )
    return replace(found, style=_style(style))


def _style(name: str) -> PromptStyle:
    if name in STYLES:
        return STYLES[name]()
    if ":" not in name:
        raise ValueError(f"expected a style among {sorted(STYLES)}, or 'module:name', got {name!r}")
    found = registry.load(name, "prompt style")
    style = found() if isinstance(found, type) else found
    if not isinstance(style, PromptStyle):
        raise ValueError(
            f"prompt style {name!r}: expected a gasp_env.domains.python.prompts.PromptStyle, "
            f"got {type(style).__name__}"
        )
    return style
