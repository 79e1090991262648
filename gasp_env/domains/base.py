"""What a game is played with."""

from __future__ import annotations

from typing import Literal

#: What of a goalpost the teacher is shown when it writes a lemma.
Sees = Literal["statement", "tests", "reference"]
SEES: tuple[Sees, ...] = ("statement", "tests", "reference")
