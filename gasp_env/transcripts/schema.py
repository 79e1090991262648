"""Checks of the shape of a stored transcript, so that code that shows or replays one may rely on it.

A transcript is data of unknown origin. False statements in it are found by a replay. Missing parts, wrong types and
numbers that cannot be worked with are found here, before anything is played.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, get_args

from gasp_env.records import ABSENT, Record, RecordError
from gasp_env.tasks import Axis

#: Goalposts an env may have been drawing from, and entries of a library; more than that is no transcript of ours.
MAX_GOALPOSTS = 10_000_000
MAX_ENTRIES = 10**9
#: Turns and samples.
MAX_COUNT = 100_000

_AXES = (*get_args(Axis), None)
_FIX = "load what an env wrote"


class TranscriptError(RecordError):
    """A file or record that is not a transcript; the message names the place and the expected value."""


class TranscriptRecord(Record):
    """Checks the record of one transcript. Parts that are unknown here are left for the replay to find."""

    error = TranscriptError
    surrogates = True  # a model's text may be no UTF-8, and is kept as it was

    def check(self, value: Any) -> None:
        """Refuse a value that is not shaped like a transcript.

        Raises:
            TranscriptError: at the first part that is not as expected.
        """
        self.integer(self._of(value, "", "rules"), "rules", 0, MAX_COUNT)
        for name in ("domain", "novelty", "curriculum", "on_infra_error", "solver_reward"):
            self.text(self._of(value, "", name), name)
        self._optional(self._of(value, "", "style"), "style", self.text)
        self._optional(self._of(value, "", "relevance"), "relevance", self._object)
        self._optional(value.get("batch_duplicates"), "batch_duplicates", self._truth)
        # Numbers and how great they may be are for the curriculum to check.
        self._object(self._of(value, "", "options"), "options")
        self._each(self._of(value, "", "agents"), "agents", self.text)
        rewards = self._of(value, "", "teacher_reward")
        if type(rewards) is dict:
            self._each(rewards, "teacher_reward", self.text)
        else:
            self.text(rewards, "teacher_reward")
        self.integer(self._of(value, "", "seed"), "seed", 0, 2**63 - 1)
        count = self._goalposts(self._of(value, "", "goalposts"))
        pinned = self._of(value, "", "pinned")
        if pinned is not None:
            self.integer(pinned, "pinned", 0, count - 1)
        self.text(self._of(value, "", "tier"), "tier", empty=True)
        self._view(self._of(value, "", "view"))
        self._list(self._of(value, "", "turns"), "turns", self._turn)
        self._list(self._of(value, "", "outcomes"), "outcomes", self._outcome)
        for name in ("done", "truncated"):
            self._truth(self._of(value, "", name), name)

    def _goalposts(self, value: Any) -> int:
        count = self.integer(self._of(value, "goalposts", "count"), "goalposts.count", 0, MAX_GOALPOSTS)
        played = self._of(value, "goalposts", "played")
        self._each(played, "goalposts.played", self._object)
        for index in played:
            if not (index.isascii() and index.isdigit() and int(index[:9]) < count):
                self.refuse("goalposts.played", f"indices below {count}", index, _FIX)
        return count

    def _view(self, value: Any) -> None:
        self._list(self._of(value, "view", "known"), "view.known", self.text)
        self._each(self._of(value, "view", "sizes"), "view.sizes", self._size)
        self._each(self._of(value, "view", "drawn"), "view.drawn", self._object)
        self._each(self._of(value, "view", "nearest"), "view.nearest", self._number)

    def _turn(self, value: Any, field: str) -> None:
        self.integer(self._of(value, field, "index"), f"{field}.index", 0, MAX_COUNT)
        for name in ("role", "agent", "stage"):
            self.text(self._of(value, field, name), f"{field}.{name}")
        self._optional(self._of(value, field, "kind"), f"{field}.kind", self.text)
        self.choice(self._of(value, field, "axis"), f"{field}.axis", _AXES)
        self.text(self._of(value, field, "prompt"), f"{field}.prompt", empty=True)
        self._list(self._of(value, field, "samples"), f"{field}.samples", self._sample)

    def _sample(self, value: Any, field: str) -> None:
        for name in ("text", "verdict", "detail"):
            self.text(self._of(value, field, name), f"{field}.{name}", empty=True)
        self._optional(self._of(value, field, "reward"), f"{field}.reward", self._number)
        self._each(self._of(value, field, "terms"), f"{field}.terms", self._number)
        self._optional(value.get("cut_off"), f"{field}.cut_off", self._truth)
        self._optional(value.get("lost"), f"{field}.lost", self.text)
        # Only a proposal has one.
        self._optional(value.get("relevance"), f"{field}.relevance", self._number)
        self._optional(value.get("repeats"), f"{field}.repeats", self.text)

    def _outcome(self, value: Any, field: str) -> None:
        self.integer(self._of(value, field, "turn"), f"{field}.turn", 0, MAX_COUNT)
        self.text(self._of(value, field, "stage"), f"{field}.stage")
        self._optional(self._of(value, field, "kind"), f"{field}.kind", self.text)
        self.text(self._of(value, field, "reason"), f"{field}.reason", empty=True)
        for name in ("correct", "samples"):
            self.integer(self._of(value, field, name), f"{field}.{name}", 0, MAX_COUNT)
        for name in ("accepted", "scored"):
            self._truth(self._of(value, field, name), f"{field}.{name}")

    def _object(self, value: Any, field: str) -> None:
        if type(value) is not dict:
            self.refuse(field, "an object", value, _FIX)

    def _of(self, value: Any, field: str, name: str) -> Any:
        """A part that has to be there, of a part that has to be an object."""
        self._object(value, field)
        if name not in value:
            self.refuse(f"{field}.{name}" if field else name, "the field", ABSENT, _FIX)
        return value[name]

    def _optional(self, value: Any, field: str, check: Callable[[Any, str], object]) -> None:
        if value is not None:
            check(value, field)

    def _list(self, value: Any, field: str, check: Callable[[Any, str], object]) -> None:
        for index, item in enumerate(self.items(value, field)):
            check(item, f"{field}[{index}]")

    def _each(self, value: Any, field: str, check: Callable[[Any, str], object]) -> None:
        self._object(value, field)
        for name, item in value.items():
            check(item, f"{field}.{name}")

    def _size(self, value: Any, field: str) -> None:
        self.integer(value, field, 0, MAX_ENTRIES)

    def _number(self, value: Any, field: str) -> None:
        # An integer that no float can hold can neither be added up nor be shown.
        if type(value) not in (int, float, bool) or abs(value) > 2**1000 or not math.isfinite(value):
            self.refuse(field, "a finite number", value, _FIX)

    def _truth(self, value: Any, field: str) -> None:
        if type(value) is not bool:
            self.refuse(field, "true or false", value, _FIX)
