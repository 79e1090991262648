"""Who is asked what: every worker has something to do, none has too much, and suspects are alone."""

from __future__ import annotations

import itertools

from gasp_env.sandbox.dispatch.connection import Connection
from gasp_env.sandbox.dispatch.queue import BatchQueue

#: Runs a worker is given at once: one to execute, one more so that it never waits for us. While runs are quick, as
#: many as it does in this time: then several are sent and answered at once, and a run costs us less than half.
WINDOW = 2
MAX_WINDOW = 16
AHEAD_SECONDS = 0.1
AHEAD_BYTES = 2**20
#: How long to let answers to quick runs come together, as long as no worker waits.
GATHER_SECONDS = 0.01


class Assigner:
    """Hands runs from the backlog to the workers. The dispatcher's alone.

    Attributes:
        links: the workers, by what is polled of them.
        pace: seconds a run takes of late.
    """

    def __init__(self, backlog: BatchQueue) -> None:
        """Nobody is there yet."""
        self.links: dict[int, Connection] = {}
        self.pace = 1.0
        self._backlog = backlog
        self._numbers = itertools.count(1)

    def ask_canary(self, link: Connection, now: float) -> None:
        """See whether a worker is sound."""
        link.ask_canary(next(self._numbers), now)

    def hand_out(self, now: float) -> None:
        """Give every worker something to do, evenly."""
        for link in self.links.values():
            if link.canary_due and not link.alone:
                self.ask_canary(link, now)
        if self._backlog.suspects:
            self._place_suspects(now)
        open_links = [link for link in self.links.values() if not link.alone and not self._is_spare(link)]
        for depth in range(max(WINDOW, min(int(AHEAD_SECONDS / self.pace), MAX_WINDOW))):
            for link in open_links:
                if len(link.flying) > depth or (depth and link.stalled(now)):
                    continue
                if depth < WINDOW or link.ahead < AHEAD_BYTES:
                    one = self._backlog.next()
                    if one is None:
                        return
                    link.ask(next(self._numbers), one, now)

    def take_back(self, now: float) -> None:
        """Let others have what waits behind a run that takes long."""
        for link in self.links.values():
            if len(link.flying) > 1 and link.stalled(now):
                link.withdraw()

    def make_room(self) -> None:
        """If a run is to be asked alone and no fresh worker is there or coming, one must give way."""
        links = self.links.values()
        if self._backlog.suspects and links and not any(link.fresh or link.retiring for link in links):
            min(links, key=lambda link: len(link.flying)).retiring = True

    def leisure(self) -> float:
        """Seconds for which no worker will want for anything: time to let several answers come together."""
        least = min((len(link.flying) for link in self.links.values()), default=0)
        return min(GATHER_SECONDS, (least - WINDOW) * self.pace) if least > WINDOW else 0.0

    def saw(self, seconds: float) -> None:
        """A run took so long."""
        self.pace = max(1e-4, 0.95 * self.pace + 0.05 * min(seconds, 1.0))

    def _place_suspects(self, now: float) -> None:
        """Ask suspicious runs alone, each in a fresh and sound worker."""
        for link in self.links.values():
            if link.fresh and link.verified and not link.flying and self._backlog.suspects:
                link.alone = self._backlog.suspects.popleft()
                link.ask(next(self._numbers), link.alone, now)

    def _is_spare(self, link: Connection) -> bool:
        """It is kept free, or made free, for a run that is to be asked alone."""
        return link.retiring or (link.fresh and bool(self._backlog.suspects))
