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

from gasp_env.curricula.base import Curriculum, SelfPlay, Stage
from gasp_env.registry import Registry

__all__ = ["CURRICULA", "Curriculum", "SelfPlay", "Stage", "get"]


def _as_curriculum(name: str, found: Any) -> type[Curriculum]:
    if not isinstance(found, type) or not issubclass(found, Curriculum):
        raise ValueError(f"curriculum {name!r}: expected a subclass of gasp_env.Curriculum, got {found!r}")
    return found


CURRICULA: Registry[type[Curriculum]] = Registry(
    "curriculum",
    builtin={
        "gasp": "gasp_env.curricula.gasp:Gasp",
        "azr": "gasp_env.curricula.azr:Azr",
        "rlvr": "gasp_env.curricula.rlvr:Rlvr",
    },
    check=_as_curriculum,
)


def get(name: str | type[Curriculum]) -> type[Curriculum]:
    """Return the class of a game by id, registered name, ``module:name`` or ``file.py:name``, or the class
    itself.

    Raises:
        ValueError: there is no such curriculum, or the object is none.
    """
    return CURRICULA.get(name) if isinstance(name, str) else _as_curriculum(str(name), name)
