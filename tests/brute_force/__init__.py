"""A second opinion on every goalpost of ours: a solution by another, slower road, and a source of inputs.

Each function in here solves the problem its name says from the statement alone, by enumeration, by
stepping time or by painting cells, and shares nothing with the reference program. Each ``draw_*``
makes the arguments of one small random instance. `tests/goalposts/test_files.py` compares the three.
"""

from collections.abc import Callable
from random import Random
from typing import Any

from tests.brute_force import first_twenty, second_twenty

#: goalpost id -> (brute force, source of random arguments)
SECOND_OPINIONS: dict[str, tuple[Callable[..., Any], Callable[[Random], tuple]]] = {
    **first_twenty.SECOND_OPINIONS,
    **second_twenty.SECOND_OPINIONS,
}
