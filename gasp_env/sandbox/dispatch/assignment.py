"""Assign runs to workers: keep each busy, limit what is queued, isolate runs that may have killed a worker."""

from __future__ import annotations

import itertools

from gasp_env.sandbox.dispatch.connection import Connection
from gasp_env.sandbox.dispatch.queue import BatchQueue

#: Runs that a worker has at once: one to execute and one ahead, so that it never waits for the host.
WINDOW = 2
#: While runs are quick, a worker gets as many as it executes in `LOOKAHEAD_SECONDS`, up to `MAX_WINDOW` and to
#: `LOOKAHEAD_BYTES`: sending and answering several together costs less than half as much a run.
MAX_WINDOW = 16
LOOKAHEAD_SECONDS = 0.1
LOOKAHEAD_BYTES = 2**20
#: Longest time for which answers to quick runs may gather before they are read, if no worker would run dry.
GATHER_SECONDS = 0.01


class Assigner:
    """Assigns queued runs to workers. Used by the dispatcher's thread alone.

    Attributes:
        connections: the workers, by file descriptor.
        mean_seconds: moving average of the time that a run takes.
    """

    def __init__(self, queue: BatchQueue) -> None:
        """Start without workers."""
        self.connections: dict[int, Connection] = {}
        self.mean_seconds = 1.0
        self._queue = queue
        self._numbers = itertools.count(1)

    def assign_canary(self, connection: Connection, now: float) -> None:
        """Send a worker a canary."""
        connection.assign_canary(next(self._numbers), now)

    def assign_runs(self, now: float) -> None:
        """Send queued runs and due canaries, spreading runs evenly over the workers."""
        for connection in self.connections.values():
            if connection.canary_due and not connection.isolated:
                self.assign_canary(connection, now)
        if self._queue.suspects:
            self._assign_suspects(now)
        available = [
            connection
            for connection in self.connections.values()
            if not connection.isolated and not self._is_reserved(connection)
        ]
        for depth in range(max(WINDOW, min(int(LOOKAHEAD_SECONDS / self.mean_seconds), MAX_WINDOW))):
            for connection in available:
                if len(connection.in_flight) > depth or (depth and connection.is_stalled(now)):
                    continue
                if depth < WINDOW or connection.bytes_in_flight < LOOKAHEAD_BYTES:
                    item = self._queue.pop()
                    if item is None:
                        return
                    connection.assign(next(self._numbers), item, now)

    def withdraw_stalled(self, now: float) -> None:
        """Withdraw runs that wait behind a long one, so that other workers can take them."""
        for connection in self.connections.values():
            if len(connection.in_flight) > 1 and connection.is_stalled(now):
                connection.withdraw()

    def retire_for_suspects(self) -> None:
        """Retire a worker if suspects need a fresh one and none is there or on its way."""
        connections = self.connections.values()
        if not self._queue.suspects or not connections:
            return
        if not any(connection.fresh or connection.retiring for connection in connections):
            min(connections, key=lambda connection: len(connection.in_flight)).retiring = True

    def slack_seconds(self) -> float:
        """Time for which answers may gather without any worker running dry."""
        fewest = min((len(connection.in_flight) for connection in self.connections.values()), default=0)
        return min(GATHER_SECONDS, (fewest - WINDOW) * self.mean_seconds) if fewest > WINDOW else 0.0

    def record_duration(self, seconds: float) -> None:
        """Update the moving average with the time that a run took."""
        self.mean_seconds = max(1e-4, 0.95 * self.mean_seconds + 0.05 * min(seconds, 1.0))

    def _assign_suspects(self, now: float) -> None:
        """Send each suspect alone to a fresh worker that has passed a canary."""
        for connection in self.connections.values():
            if connection.fresh and connection.verified and not connection.in_flight and self._queue.suspects:
                connection.isolated = self._queue.suspects.popleft()
                connection.assign(next(self._numbers), connection.isolated, now)

    def _is_reserved(self, connection: Connection) -> bool:
        """True if the worker is kept free, or being freed, for a suspect."""
        return connection.retiring or (connection.fresh and bool(self._queue.suspects))
