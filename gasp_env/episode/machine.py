"""One episode as a machine that does no I/O and knows no game.

    turn ──▶ submit(texts) ──▶ runs, measures ──▶ resolve(results, measured) ──▶ Resolution ──▶ turn ...

A *game* is a generator (`gasp_env.curricula`): it yields an `Ask` and is sent the judged texts of that turn. It
is a pure function of its `Context` and of the texts it was sent. It may draw from ``context.rng`` and ask
``context.view`` and ``context.goalposts``, and nothing else. So a copy of an episode is a new game that is sent
the same texts, and a replay is a new episode that is given the same texts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from gasp_env.episode.batch import Batch
from gasp_env.episode.turns import (
    MAX_PROMPT,
    Ask,
    CutOff,
    Judged,
    Lost,
    Pending,
    Resolution,
    Settled,
    Turn,
    Verdict,
)
from gasp_env.episode.view import View
from gasp_env.sandbox.runs import Result, Run, Status
from gasp_env.tasks import Entry, Goalpost

Game = Generator[Ask, tuple[Judged, ...], None]

_CUT_OFF = Judged(Verdict("cut_off", "the text was cut off before its end"))


class Truncated(Exception):
    """A failure of the infrastructure that ends the episode. A step of a game raises it; no game handles
    it."""


@dataclass
class Context:
    """The world of one game: its inputs, and the tasks and outcomes it writes.

    Attributes:
        domain: reads texts and writes prompts.
        options: the curriculum, with its options.
        goalposts: real problems; may be empty if the game plays none.
        view: the library as it was when the episode began.
        seed: seed of all the game's draws.
        pinned: index of the goalpost to play, instead of a drawn one.
        relevance: rule for the relevance of variants, None to ask for none.
        on_infra_error: ``truncate`` to end the episode after an unscored turn, or ``continue``.
        rng: the only source of randomness.
        entries: valid tasks so far, for the driver to commit when the episode is over.
        settled: outcomes that became known in this step.
        turn: index of the turn whose judged texts were sent to the game last.
        agents: agent by role, for `settled`.
    """

    domain: Any
    options: Any
    goalposts: Sequence[Goalpost]
    view: View
    seed: int
    pinned: int | None = None
    relevance: Any = None
    on_infra_error: str = "truncate"
    agents: Mapping[str, str] = field(default_factory=dict)
    rng: np.random.Generator = field(init=False)
    entries: list[Entry] = field(init=False, default_factory=list)
    settled: list[Settled] = field(init=False, default_factory=list)
    turn: int = field(init=False, default=-1)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def agent(self, role: str) -> str:
        """The agent that sits in a role."""
        return self.agents.get(role, f"{role}_0")


class Episode:
    """One episode of a game: takes texts, asks for the runs that decide them, and judges them.

    Args:
        game: makes the generator.
        context: the game's world; every copy of the episode gets one of its own, made of the same parts.

    Attributes:
        context: the world of the game that is played.
        ask: the open turn as the game asked for it, None when the episode is over.
        done: True when the episode is over.
        truncated: True if it ended because the infrastructure failed.
    """

    def __init__(self, game: Callable[[Context], Game], context: Context) -> None:
        self._make, self._start = game, context
        self._log: list[tuple[Judged, ...]] = []
        self._given: tuple[Judged, ...] = ()
        self._pending: list[Judged | Pending] | None = None
        self.ask: Ask | None = None
        self.done = self.truncated = False
        self.context = replace(context)
        self._game = game(self.context)
        self._advance(None)

    @property
    def turn(self) -> Turn | None:
        """The open turn, None when the episode is over."""
        ask = self.ask
        if ask is None:
            return None
        agent, left = self.context.agent(ask.role), ask.samples - len(self._given)
        index = self.context.turn + 1
        return Turn(
            index, ask.role, agent, ask.stage, ask.kind, ask.axis, ask.prompt, left, proposal=ask.proposal
        )

    @property
    def entries(self) -> list[Entry]:
        """Valid tasks so far."""
        return self.context.entries

    @property
    def measures(self) -> list[tuple[Any, Goalpost]]:
        """Pairs of submitted proposal and goalpost whose relevance `resolve` needs, in order."""
        pending = self._pending or ()
        return [one.measure for one in pending if isinstance(one, Pending) and one.measure is not None]

    def submit(self, texts: Sequence[str]) -> list[Run]:
        """Take 1 to ``turn.samples`` texts; return the runs whose results `resolve` needs, possibly none.

        Raises:
            RuntimeError: the episode is over, or the previous texts are not resolved.
            ValueError: the number of texts is not in 1 to ``turn.samples``.
        """
        ask = self.ask
        if ask is None or self._pending is not None:
            raise RuntimeError("the episode is over" if ask is None else "resolve the submitted texts first")
        left = ask.samples - len(self._given)
        if not 1 <= len(texts) <= left:
            raise ValueError(f"expected 1 to {left} texts for stage {ask.stage}, got {len(texts)}")
        self._pending = [_read(ask, text) for text in texts]
        return [run for item in self._pending if isinstance(item, Pending) for run in item.runs]

    def resolve(
        self, results: Sequence[Result], measured: Sequence[float | None] = (), batch: Batch | None = None
    ) -> Resolution:
        """Take the results of the runs that `submit` asked for, in order, and move on.

        Args:
            results: one per run.
            measured: relevance of each of `measures`, None for one that could not be measured; may be omitted
                if none could.
            batch: proposals that the same step has settled for other episodes; None compares with none.

        Raises:
            RuntimeError: nothing was submitted.
            ValueError: the number of results is not that of the runs.
        """
        turn, pending = self.turn, self._pending
        if turn is None or pending is None:
            raise RuntimeError("submit texts first")
        awaited = sum(len(item.runs) for item in pending if isinstance(item, Pending))
        if len(results) != awaited:
            raise ValueError(f"expected {awaited} results, one per run, got {len(results)}")
        left, numbers = iter(results), iter(measured)
        judged = tuple(_decide(item, left, numbers) for item in pending)
        self._pending, first = None, len(self._given)
        if batch is not None:
            judged = tuple(batch.settle(first + number, one) for number, one in enumerate(judged))
        self._given += judged
        if len(judged) == turn.samples:
            self._send(self._given)
        settled, self.context.settled = tuple(self.context.settled), []
        verdicts = tuple(one.verdict for one in judged)
        relevance = tuple(one.relevance for one in judged)
        return Resolution(turn, first, verdicts, settled, relevance, tuple(one.repeats for one in judged))

    def clone(self) -> Episode:
        """Copy the episode at this point: a group of proposals is clones that go on with different texts.

        Nothing is read or judged again: a new game is sent the judged texts of this one.

        Raises:
            RuntimeError: texts were submitted and are not resolved.
        """
        if self._pending is not None:
            raise RuntimeError("resolve the submitted texts before the episode is cloned")
        start = self._start
        # A view is immutable, but a view that records its queries needs a separate record for each episode.
        start = replace(start, view=copy.copy(start.view), goalposts=copy.copy(start.goalposts))
        twin = Episode(self._make, start)
        twin._play_again(self._log, self._given)
        return twin

    def __getstate__(self) -> tuple[Any, ...]:
        """Begin and judged texts, for pickle and deepcopy: a game in progress is a generator, which neither can copy.

        Raises:
            RuntimeError: texts were submitted and are not resolved.
        """
        if self._pending is not None:
            raise RuntimeError("resolve the submitted texts before the episode is copied")
        return self._make, self._start, self._log, self._given

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        game, start, log, given = state
        Episode.__init__(self, game, start)
        self._play_again(log, given)

    def _play_again(self, log: Sequence[tuple[Judged, ...]], given: tuple[Judged, ...]) -> None:
        """Send a new game what was judged before, and keep what the open turn was given so far."""
        for turn in log:
            self._send(turn)
        self.context.settled.clear()
        self._given = given

    def _send(self, given: tuple[Judged, ...]) -> None:
        self._log.append(given)
        self._given = ()
        self.context.turn += 1
        self._advance(given)

    def _advance(self, given: tuple[Judged, ...] | None) -> None:
        try:
            self.ask = next(self._game) if given is None else self._game.send(given)
        except (StopIteration, Truncated) as end:
            self.ask, self.done, self.truncated = None, True, isinstance(end, Truncated)
            return
        if len(self.ask.prompt) > MAX_PROMPT:
            raise ValueError(
                f"expected prompts of at most {MAX_PROMPT} characters, got {len(self.ask.prompt)} for stage "
                f"{self.ask.stage}: the prompt style of domain {self.context.domain.name!r} shows more than fits"
            )


def _read(ask: Ask, text: str) -> Judged | Pending:
    if isinstance(text, Lost):
        return Judged(Verdict(str(Status.INFRA_ERROR), text.reason))
    return _CUT_OFF if isinstance(text, CutOff) else ask.read(text)


def _decide(item: Judged | Pending, results: Any, measured: Any) -> Judged:
    if isinstance(item, Judged):
        return item
    own = [next(results) for _ in item.runs]
    return item.decide(own, None if item.measure is None else next(measured, None))
