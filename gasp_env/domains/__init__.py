"""Domains: what a game is played with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gasp_env import registry
from gasp_env.domains.python import seeds
from gasp_env.domains.python.domain import PythonDomain
from gasp_env.domains.python.prompts import FencedStyle, PromptStyle
from gasp_env.goalposts import files as goalposts

#: Prompt styles by name.
STYLES: dict[str, Callable[[], PromptStyle]] = {"fenced": FencedStyle}


def get(name: str, style: str | None = None) -> PythonDomain:
    """The domain ``"python"``, or one of your own as ``"module:name"`` or ``"file.py:name"``.

    Args:
        name: of the domain.
        style: ``"fenced"``, or one of your own likewise; None for the domain's.

    Raises:
        ValueError: there is no such domain or style.
    """
    if name == "python":
        found = PythonDomain("python", FencedStyle(), goalposts.ours, seeds=seeds.ours, novelty="hashing")
    elif ":" not in name:
        raise ValueError(f"expected the domain 'python', 'module:name' or 'file.py:name', got {name!r}")
    else:
        found = registry.load(name, "domain")
    if not isinstance(found, PythonDomain):
        raise ValueError(
            f"expected {name!r} to be a gasp_env.domains.python.domain.PythonDomain, got {type(found).__name__}"
        )
    return found if style is None else replace(found, style=_style(style))


def _style(name: str) -> PromptStyle:
    if name in STYLES:
        return STYLES[name]()
    if ":" not in name:
        raise ValueError(f"expected a style among {sorted(STYLES)}, or 'module:name', got {name!r}")
    found = registry.load(name, "prompt style")
    style: PromptStyle = found() if isinstance(found, type) else found
    asked = [method for method in vars(PromptStyle) if not method.startswith("_")]
    lacking = [method for method in asked if not callable(getattr(style, method, None))]
    if lacking:
        raise ValueError(
            f"prompt style {name!r}: expected methods {', '.join(asked)}; it lacks {', '.join(lacking)}"
        )
    return style
