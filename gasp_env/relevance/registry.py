"""Relevances by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any, Protocol

from gasp_env.domains.python import syntax
from gasp_env.domains.python.triplet import Proposal
from gasp_env.registry import Registry
from gasp_env.tasks import Goalpost


class RelevanceFunction(Protocol):
    """Function that measures the share of each proposal in common with its goalpost."""

    def __call__(self, pairs: Sequence[tuple[Proposal, Goalpost]]) -> Sequence[float | None]:
        """One number in [0, 1] per pair, in order; None for one that could not be measured."""
        ...


@dataclass(frozen=True)
class Relevance:
    """A registered relevance.

    Attributes:
        name: by which it is chosen.
        function: see `RelevanceFunction`.
        needs: ``"reference"`` if it reads the goalpost's reference program, which is then there and can be parsed.
    """

    name: str
    function: RelevanceFunction
    needs: frozenset[str] = frozenset()

    def check(self, goalposts: Iterable[Goalpost]) -> None:
        """Refuse a set of goalposts that this relevance cannot work with.

        Raises:
            ValueError: a goalpost lacks a required part; the message names it.
        """
        if "reference" not in self.needs:
            return
        fix = "add one, leave the goalpost out, or choose another relevance, such as 'similarity'"
        for goalpost in goalposts:
            if goalpost.reference is None:
                raise ValueError(
                    f"relevance {self.name!r}: expected a reference program for every goalpost, {goalpost.id!r} has "
                    f"none; {fix}"
                )
            try:
                syntax.parse(goalpost.reference)
            except syntax.ParseError as error:
                raise ValueError(
                    f"relevance {self.name!r}: expected a reference that can be parsed, that of {goalpost.id!r} cannot "
                    f"({error}); {fix}"
                ) from error

    def measure(self, pairs: Sequence[tuple[Proposal, Goalpost]]) -> list[float | None]:
        """Relevance of each proposal to its goalpost, in [0, 1], in order.

        None: it could not be measured, which says nothing about the proposal; it is then unscored.

        Raises:
            RuntimeError: the function raised; its error is the cause.
            ValueError: the function returned something else.
        """
        if not pairs:
            return []
        try:
            got = self.function(pairs)
        except Exception as error:
            raise RuntimeError(f"relevance {self.name!r} raised {type(error).__name__}: {error}") from error
        if not isinstance(got, list | tuple):
            raise ValueError(f"relevance {self.name!r}: expected a list of numbers, got {type(got).__name__}")
        if len(got) != len(pairs):
            raise ValueError(f"relevance {self.name!r}: expected {len(pairs)} numbers, got {len(got)}")
        return [self._number(value) for value in got]

    def _number(self, value: Any) -> float | None:
        if value is None:
            return None
        number: Any = value
        if not isinstance(value, Real) or not 0 <= number <= 1:
            raise ValueError(
                f"relevance {self.name!r}: expected numbers from 0 to 1, or None for what cannot be measured, "
                f"got {value!r}"
            )
        return float(number)


def _as_relevance(name: str, found: Any) -> Relevance:
    if isinstance(found, Relevance):
        return found
    if not callable(found):
        raise ValueError(f"relevance {name!r}: expected a function of pairs, got {type(found).__name__}")
    return Relevance(name, found)


#: By string: these bring an embedder or a policy with them.
RELEVANCES: Registry[Relevance] = Registry(
    "relevance",
    builtin={
        "operations": "gasp_env.relevance.operations:operations",
        "similarity": "gasp_env.relevance.similarity:hashing_similarity",
    },
    families={
        "similarity:EMBEDDER": "gasp_env.relevance.similarity:similarity_relevance",
        "judge:POLICY": "gasp_env.relevance.by_policy:policy_relevance",
    },
    check=_as_relevance,
)
#: The relevance of a name (`gasp_env.registry.Registry.get`).
get = RELEVANCES.get


def relevance(name: str, *, needs: Iterable[str] = ()) -> Callable[[RelevanceFunction], RelevanceFunction]:
    """Register a relevance under ``name``, in place of one that has it; see `Registry.register` for warnings.

    Args:
        name: without a colon.
        needs: ``["reference"]``, or nothing.
    """
    wanted = frozenset((needs,) if isinstance(needs, str) else needs)
    if unknown := sorted(wanted - {"reference"}):
        raise ValueError(f"relevance {name!r} needs {unknown}; what can be had is 'reference'")

    def register(function: RelevanceFunction) -> RelevanceFunction:
        RELEVANCES.register(name, Relevance(name, function, wanted), definition=function)
        return function

    return register


def relevances() -> tuple[str, ...]:
    """Names that can be chosen; EMBEDDER and POLICY stand for names of those."""
    return (*RELEVANCES.names(), *RELEVANCES.families)
