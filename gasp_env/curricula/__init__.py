"""The games by name. ``python -m gasp_env.curricula`` lists them.

| id | game |
|---|---|
| `gasp` | lemma, lift, solve, guided by goalposts (`gasp_env.curricula.gasp`) |
| `azr` | unguided proposals (`gasp_env.curricula.azr`) |
| `rlvr` | real problems only (`gasp_env.curricula.rlvr`) |
| `module:name`, `file.py:name` | a `Curriculum` of your own |
"""

from __future__ import annotations

from typing import Any

from gasp_env import registry
from gasp_env.curricula.base import Curriculum, SelfPlay, Stage

__all__ = ["Curriculum", "SelfPlay", "Stage", "get", "names"]

_BUILTIN = {
    "gasp": "gasp_env.curricula.gasp:Gasp",
    "azr": "gasp_env.curricula.azr:Azr",
    "rlvr": "gasp_env.curricula.rlvr:Rlvr",
}


def names() -> tuple[str, ...]:
    """Names of the games that come with this package."""
    return tuple(_BUILTIN)


def get(name: str | type[Curriculum]) -> type[Curriculum]:
    """The class of a game, by its id, ``module:name`` or ``file.py:name``.

    Raises:
        ValueError: there is none, or it is no curriculum.
    """
    found: Any = name
    if isinstance(name, str):
        if name not in _BUILTIN and ":" not in name:
            raise ValueError(
                f"expected a curriculum among {', '.join(_BUILTIN)}, module:name, file.py:name, got {name!r}"
            )
        found = registry.load(_BUILTIN.get(name, name), "curriculum")
    if not isinstance(found, type) or not issubclass(found, Curriculum):
        raise ValueError(
            f"curriculum {name!r}: expected a subclass of gasp_env.curricula.Curriculum, got {found!r}"
        )
    return found
