"""Checked calls of rewards, which may be a user's: errors and wrong results are reported with the reward's name."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from numbers import Real
from typing import Any

from gasp_env.episode.outcome import Outcome
from gasp_env.rewards.spec import RewardFunction, SolverReward, Terms


def teacher_terms(name: str, function: RewardFunction, outcomes: Sequence[Outcome]) -> list[Terms]:
    """Terms that the teacher reward ``name`` pays for ``outcomes``, as plain dicts of floats.

    Raises:
        RuntimeError: it raised; its error is the cause.
        ValueError: it returned no list of one dict per outcome, or a value or the sum of a dict is not finite.
    """
    what = f"teacher reward {name!r}"
    got = called(what, function, outcomes)
    if not isinstance(got, list | tuple):
        raise ValueError(f"{what}: expected a list of terms, got {type(got).__name__}")
    if len(got) != len(outcomes):
        raise ValueError(f"{what}: expected {len(outcomes)} dicts of terms, got {len(got)}")
    return [_terms(what, value) for value in got]


def solver_terms(name: str, function: SolverReward, reason: str) -> Terms:
    """Terms that the solver reward ``name`` pays for a verdict, with the same checks."""
    what = f"solver reward {name!r}"
    return _terms(what, called(what, function, reason))


def called(what: str, function: Callable[[Any], Any], argument: Any) -> Any:
    """Call ``function(argument)``.

    Raises:
        RuntimeError: it raised; the message begins with ``what``, and the error is the cause.
    """
    try:
        return function(argument)
    except Exception as error:
        raise RuntimeError(f"{what} raised {type(error).__name__}: {error}") from error


def _terms(what: str, value: Any) -> Terms:
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"{what}: expected finite named terms, got {value!r}")
    terms = {str(term): _number(number) for term, number in value.items()}
    if not all(map(math.isfinite, terms.values())):
        raise ValueError(f"{what}: expected finite named terms, got {value!r}")
    # Added up as `gasp_env.rewards.credits` does.
    if not math.isfinite(sum(terms.values())):
        raise ValueError(f"{what}: expected terms whose sum is finite, got {value!r}")
    return terms


def _number(term: Any) -> float:
    try:
        return float(term) if isinstance(term, Real) else math.nan
    except OverflowError:  # an integer or a fraction beyond all floats
        return math.inf
