"""Eviction policies by name: the tasks that a full library drops first.

A policy gives every entry a worth; the entries worth least go first, of equals the oldest. One of
your own, in a file or module of yours, is chosen by ``file.py:name`` or ``module:name``::

    from gasp_env.library.eviction import policy

    @policy("long")
    def long(entries):
        "Long programs go first."
        return [-len(entry.task.content.program) for entry in entries]
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import TYPE_CHECKING, Any

from gasp_env.registry import Registry

if TYPE_CHECKING:
    from gasp_env.tasks import Entry

#: A finite number for every entry, in the same order; entries come oldest first.
Policy = Callable[[Sequence["Entry"]], Sequence[float]]


def _as_policy(name: str, found: Any) -> Policy:
    if not callable(found):
        raise ValueError(
            f"eviction policy {name!r}: expected a function of entries, got {type(found).__name__}"
        )
    worth: Policy = found
    return worth


POLICIES: Registry[Policy] = Registry("eviction policy", check=_as_policy)
#: Decorator that registers an eviction policy: ``@policy("name")``.
policy = POLICIES.registered
#: The policy of a name (`gasp_env.registry.Registry.get`).
get = POLICIES.get


def evicted(name: str, worth: Policy, entries: Sequence[Entry], count: int) -> set[int]:
    """Positions of the ``count`` entries that are worth least.

    Raises:
        ValueError: the policy does not give a finite number for every entry.
    """
    values = list(worth(entries))
    if len(values) != len(entries) or not all(isinstance(v, Real) and math.isfinite(v) for v in values):
        raise ValueError(
            f"eviction policy {name!r}: expected a finite number for each of {len(entries)} entries, got "
            f"{len(values)}: {values[:5]!r}..."
        )
    return set(sorted(range(len(values)), key=values.__getitem__)[:count])


@policy("oldest")
def oldest(entries: Sequence[Entry]) -> list[float]:
    """First in, first out."""
    return [float(position) for position in range(len(entries))]


@policy("newest")
def newest(entries: Sequence[Entry]) -> list[float]:
    """Drop the newest first: a full library refuses new tasks, as AZR's code does with its buffers."""
    return [-float(position) for position in range(len(entries))]


@policy("easiest")
def easiest(entries: Sequence[Entry]) -> list[float]:
    """Drop the tasks that were solved most often first."""
    return [-entry.correct / entry.samples if entry.samples else 0.0 for entry in entries]


@policy("unaccepted")
def unaccepted(entries: Sequence[Entry]) -> list[float]:
    """Drop tasks outside of their band first, which no solver is given by default."""
    return [float(entry.accepted) for entry in entries]
