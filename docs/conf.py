"""Configuration of Sphinx: `make docs` builds this folder into docs/_build/html, and a warning is an error."""

from __future__ import annotations

from typing import Any

from gasp_env import __version__
from gasp_env.curricula.__main__ import records as curricula
from gasp_env.options import Options, describe
from gasp_env.rewards.__main__ import records

project = "gasp_env"
author = "The gasp_env authors"
copyright = "The gasp_env authors, Apache-2.0"
version = release = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "gasp_env"

myst_enable_extensions = ["colon_fence", "substitution"]
myst_heading_anchors = 3

# Docstrings are Google's style, and put names of the API between single backticks.
default_role = "py:obj"
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_use_ivar = True


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _rewards(kind: str, *, available: bool = True) -> str:
    """A Markdown table of rewards, from the registry, so that it cannot fall behind the code."""
    lines = ["| name | formula | source | needs |", "|---|---|---|---|"]
    for reward in records():
        if reward["kind"] == kind and reward["available"] == available:
            source, tag = _cell(reward["source"]), reward["tag"]
            needs = ", ".join(f"`{need}`" for need in reward["needs"])
            cells = f"`{reward['id']}`", f"`{_cell(reward['formula'])}`", f"{source} ({tag})", needs
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _options(options: list[dict[str, Any]]) -> str:
    """A Markdown table of options, from their declarations."""
    lines = ["| option | values | default | meaning |", "|---|---|---|---|"]
    for one in options:
        cells = f"`{one['name']}`", _cell(one["takes"]), f"`{one['default']!r}`", _cell(one["meaning"])
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _curricula() -> str:
    """A section for every curriculum: roles, stages and options."""
    parts = []
    for one in curricula():
        stages = ", ".join(f"`{stage['name']}` ({stage['role']})" for stage in one["stages"])
        parts += [f"### {one['id']}", one["summary"], f"Stages: {stages}.", _options(one["options"])]
    return "\n\n".join(parts)


myst_substitutions: dict[str, Any] = {
    "teacher_rewards": _rewards("teacher"),
    "listed_rewards": _rewards("teacher", available=False),
    "solver_rewards": _rewards("solver"),
    "options": _options(describe(Options)),
    "curricula": _curricula(),
}
