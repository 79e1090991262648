"""Pools of programs that are kept from pretraining, because tasks are made from them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from functools import cache

from learners.miniature import world
from learners.miniature.world import Behaviour, Program

SEED = 20260301

#: Programs per depth in each pool.
SIZES: Mapping[str, Mapping[int, int]] = {"heldout": {2: 70, 3: 50}, "candidates": {2: 40, 3: 160}}


@cache
def pools(seed: int = SEED) -> dict[str, tuple[Program, ...]]:
    """Real programs, no two of equal behaviour: ``heldout`` as drawn, and ``candidates`` that goalposts
    and solvable tasks are selected from."""
    rng = random.Random(seed)
    seen: set[Behaviour] = set()
    drawn: dict[str, tuple[Program, ...]] = {}
    for name, sizes in SIZES.items():
        pool: list[Program] = []
        for depth, size in sizes.items():
            taken = 0
            while taken < size:
                program = world.TARGET.draw(rng)
                outputs = world.programs()[program]
                if len(program) == depth and outputs not in seen:
                    seen.add(outputs)
                    pool.append(program)
                    taken += 1
        drawn[name] = tuple(pool)
    return drawn


def reserved(seed: int = SEED) -> frozenset[Behaviour]:
    """The behaviours of all pools."""
    return frozenset(world.programs()[program] for pool in pools(seed).values() for program in pool)
