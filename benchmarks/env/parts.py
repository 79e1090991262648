"""Split of an env's own time: clocks around the parts of a step, each without those inside it."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gasp_env.domains.python import gate, judge
from gasp_env.domains.python.styles import ExercisesStyle
from gasp_env.envs import driver, vector
from gasp_env.episode import machine
from gasp_env.library.library import Library
from gasp_env.transcripts.library_log import RecordedView
from gasp_env.transcripts.writer import Transcript

_PROMPTS = ("lemma", "lift", "solve", "goalpost")
_PARSING = ("parse_proposal", "parse_answer")

#: Part of a step, and the place of its functions: an object and the names of them in it.
PARTS: dict[str, Sequence[tuple[Any, Sequence[str]]]] = {
    "reset": [(driver.Driver, ["begin"])],
    "prompts": [(ExercisesStyle, _PROMPTS)],
    "reading texts": [(ExercisesStyle, _PARSING)],
    "gate, rules": [(gate.Gate, ["runs"])],
    "gate, results": [(gate.Gate, ["decide"])],
    "judge, programs": [(judge, ["ask"])],
    "judge, results": [(judge, ["decide"])],
    "episode": [(machine.Episode, ["submit", "resolve"])],
    "rewards": [(driver, ["score"])],
    "novelty": [(RecordedView, ["__contains__", "nearest"])],
    "library": [(Library, ["commit"])],
    "transcript": [(Transcript, ["add"])],
    "observation": [(vector.GaspCodeVectorEnv, ["_observe", "_add_info"])],
}
REST = "the rest"


class Clocks:
    """Seconds by part. A part that calls another one stops while that runs."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(PARTS, 0.0)
        self._running: list[str] = []
        self._since = 0.0

    def around(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function with the clock of its part."""

        @functools.wraps(function)
        def timed(*arguments: Any, **keywords: Any) -> Any:
            self._switch()
            self._running.append(part)
            try:
                return function(*arguments, **keywords)
            finally:
                self._switch()
                self._running.pop()

        return timed

    def _switch(self) -> None:
        now = time.perf_counter()
        if self._running:
            self.seconds[self._running[-1]] += now - self._since
        self._since = now


@contextlib.contextmanager
def clocks() -> Iterator[Clocks]:
    """Clocks around all parts, for as long as this lasts."""
    found = Clocks()
    before = [
        (owner, name, getattr(owner, name))
        for places in PARTS.values()
        for owner, names in places
        for name in names
    ]
    try:
        for part, places in PARTS.items():
            for owner, names in places:
                for name in names:
                    setattr(owner, name, found.around(part, getattr(owner, name)))
        yield found
    finally:
        for owner, name, function in before:
            setattr(owner, name, function)


def shares(seconds: dict[str, float], whole: float) -> dict[str, float]:
    """Parts of the whole, largest first, with the time of no part as the rest."""
    parts = {**seconds, REST: max(0.0, whole - sum(seconds.values()))}
    total = sum(parts.values()) or 1.0
    return {part: round(spent / total, 4) for part, spent in sorted(parts.items(), key=lambda pair: -pair[1])}
