"""On-disk cache of answers: an SQLite file that survives restarts and may be shared by processes.

A row holds the supervisor's answering frame. Its key is a hash of everything that decides the answer: the
program and its arguments, seed, profile, standard input, limits, tier, and the worker's identity. A cached frame
is decoded like a new one. Only repeatable answers are stored (`storable`), and only after the worker that gave
them has passed a canary.

The file is trusted like the code beside it: write access to it is enough to forge verdicts.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from gasp_env.sandbox.errors import SandboxError
from gasp_env.sandbox.runs import Result, Run, Status

#: Version of the table and of the key.
SCHEMA = 1
_APPLICATION = 0x67617370  # "gasp", in the file's header
#: Bytes of all frames together, beyond which the oldest rows are deleted.
MAX_BYTES = 2**30
#: Longest frame that is stored.
MAX_FRAME = 2**22
_BUSY_SECONDS = 10.0
_KEYS_A_QUERY = 500
_ROWS_A_COMMIT = 128

_SCHEMA = (
    "CREATE TABLE entries"
    " (id INTEGER PRIMARY KEY, key BLOB UNIQUE NOT NULL, digest BLOB NOT NULL, frame BLOB NOT NULL)",
    "CREATE TABLE total (bytes INTEGER NOT NULL)",
    "INSERT INTO total VALUES (0)",
    "CREATE TRIGGER added AFTER INSERT ON entries"
    " BEGIN UPDATE total SET bytes = bytes + LENGTH(NEW.frame); END",
    "CREATE TRIGGER changed AFTER UPDATE ON entries"
    " BEGIN UPDATE total SET bytes = bytes + LENGTH(NEW.frame) - LENGTH(OLD.frame); END",
    "CREATE TRIGGER removed AFTER DELETE ON entries"
    " BEGIN UPDATE total SET bytes = bytes - LENGTH(OLD.frame); END",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {SCHEMA}",
)

# An answer is stored if it depends neither on the machine's load nor on chance. That excludes the limits on time;
# memory_limit, because the machine's memory may have been short; signal, most often a stack that
# overflows at a varying depth; and infrastructure failures.
_REPEATABLE = frozenset(
    {
        Status.OK,
        Status.COMPILE_ERROR,
        Status.EXCEPTION,
        Status.EXITED,
        Status.OUTPUT_LIMIT,
        Status.DENIED,
        Status.UNSERIALIZABLE,
    }
)


def storable(result: Result, run: Run) -> bool:
    """True if the same run would end the same way again.

    A result carries the times it took, and callers reject programs that came near a limit. So an answer that used
    a quarter of either limit on time is not stored: perhaps the machine was busy.
    """
    limits = run.limits
    return (
        result.status in _REPEATABLE
        and 4 * result.wall_seconds < limits.wall_seconds
        and 4 * result.cpu_seconds < limits.cpu_seconds
    )


def cache_key(run: Run, payload: bytes, tier: str, identity: str) -> bytes:
    """Hash everything that decides the answer."""
    head = repr((SCHEMA, identity, tier, run.profile, run.hash_seed, run.limits, len(payload))).encode()
    digest = hashlib.sha256(head)
    digest.update(payload)
    digest.update(run.stdin.encode("utf-8", "surrogatepass"))
    return digest.digest()


class Cache:
    """The open cache file. Thread-safe; failures after it was opened cost hits, never a result."""

    def __init__(self, path: str | Path, *, max_bytes: int = MAX_BYTES, warn: Callable[[str], None]) -> None:
        """Open the file or create it.

        Args:
            path: the file; its directory must exist.
            max_bytes: bytes of all frames together, at most.
            warn: called once, from any thread, if the file fails later on.

        Raises:
            SandboxError: the file cannot be used; the message says why.
        """
        self._path = Path(path)
        self._max_bytes = max_bytes
        self._warn = warn
        self._lock = threading.Lock()
        self._broken = False
        self._rows: queue.SimpleQueue[tuple[bytes, bytes] | None] = queue.SimpleQueue()
        try:
            self._reader = self._connect()
        except (sqlite3.Error, OSError) as error:
            raise SandboxError(
                f"the cache {self._path} cannot be used ({error}). Name another file, or delete this one "
                "with its -wal and -shm if it is there: it holds nothing that cannot be executed again."
            ) from error
        self._thread = threading.Thread(target=self._write, name="gasp-sandbox-cache", daemon=True)
        self._thread.start()

    def get(self, keys: Iterable[bytes]) -> dict[bytes, bytes]:
        """Return the stored frames by key; unknown keys and damaged rows are missing."""
        wanted = list(keys)
        found: dict[bytes, bytes] = {}
        with self._lock:
            if self._broken:
                return {}
            try:
                for at in range(0, len(wanted), _KEYS_A_QUERY):
                    part = wanted[at : at + _KEYS_A_QUERY]
                    marks = ",".join("?" * len(part))
                    rows = self._reader.execute(
                        f"SELECT key, digest, frame FROM entries WHERE key IN ({marks})", part
                    )
                    for row_key, digest, frame in rows:
                        if type(frame) is bytes and digest == _digest(row_key, frame):
                            found[row_key] = frame
            except sqlite3.Error as error:
                self._disable(error)
        return found

    def put(self, row_key: bytes, frame: bytes) -> None:
        """Queue a frame for the writer thread."""
        if len(frame) <= MAX_FRAME and not self._broken:
            self._rows.put((row_key, frame))

    def close(self) -> None:
        """Write queued frames, for a few seconds at most, and close the file."""
        self._rows.put(None)
        self._thread.join(_BUSY_SECONDS)
        with self._lock:
            self._broken = True
            self._reader.close()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        try:
            _prepare(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _write(self) -> None:
        """Run the writer thread: commit the rows that were queued since the last commit."""
        try:
            with contextlib.closing(self._connect()) as connection:
                closing = False
                while not closing:
                    rows = [self._rows.get()]
                    while len(rows) < _ROWS_A_COMMIT and not self._rows.empty():
                        rows.append(self._rows.get())
                    closing = None in rows
                    _store(connection, [row for row in rows if row is not None], self._max_bytes)
        except sqlite3.Error as error:
            self._disable(error)

    def _disable(self, error: sqlite3.Error) -> None:
        if not self._broken:
            self._broken = True
            self._warn(f"going on without the sandbox cache {self._path}: {error}")


def _prepare(connection: sqlite3.Connection) -> None:
    """Create the tables in a new file, and check that an old one is a cache of this version."""
    _set_wal_mode(connection)
    # If the machine crashes, rows may be lost, never the file.
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("BEGIN IMMEDIATE")  # two processes may do this at the same time
    (tables,) = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    if not tables:
        for statement in _SCHEMA:
            connection.execute(statement)
    connection.execute("COMMIT")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if application != _APPLICATION:
        raise sqlite3.DatabaseError("it is a database of another program")
    if version != SCHEMA:
        raise sqlite3.DatabaseError(f"it is of version {version}, and this is version {SCHEMA}")
    _total_bytes(connection)


def _set_wal_mode(connection: sqlite3.Connection) -> None:
    """Let several processes read while one writes. SQLite does not wait for locks here, so retry."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _store(connection: sqlite3.Connection, rows: list[tuple[bytes, bytes]], max_bytes: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    connection.executemany(
        "INSERT INTO entries (key, digest, frame) VALUES (?, ?, ?)"
        " ON CONFLICT (key) DO UPDATE SET digest = excluded.digest, frame = excluded.frame",
        [(row_key, _digest(row_key, frame), frame) for row_key, frame in rows],
    )
    if _total_bytes(connection) > max_bytes:
        target = 0.9 * max_bytes  # well below, so that rows are not deleted at every commit
        oldest = "DELETE FROM entries WHERE id IN (SELECT id FROM entries ORDER BY id LIMIT 64)"
        while _total_bytes(connection) > target and connection.execute(oldest).rowcount:
            pass
    connection.execute("COMMIT")


def _total_bytes(connection: sqlite3.Connection) -> int:
    row = connection.execute("SELECT bytes FROM total").fetchone()
    if row is None:
        raise sqlite3.DatabaseError("it is damaged")
    return int(row[0])


def _digest(row_key: bytes, frame: bytes) -> bytes:
    return hashlib.blake2b(frame, digest_size=16, key=row_key).digest()


#: Caches of a parent process, kept alive: SQLite's connections must not even be closed in a forked child.
INHERITED: list[Cache] = []
