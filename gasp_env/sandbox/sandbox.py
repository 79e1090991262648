"""The class that callers use: `Sandbox` takes runs and returns results in order, even if workers die.

It checks the runs, drops duplicates, looks into the cache, and waits. Scheduling, and recovery from the death
of a worker, are in `dispatch`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import os
import threading
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from gasp_env import registry
from gasp_env.sandbox import dedup, tiers
from gasp_env.sandbox.cache import INHERITED, Cache
from gasp_env.sandbox.dispatch.batch import Batch, BatchRun
from gasp_env.sandbox.dispatch.dispatcher import Dispatcher, Tally
from gasp_env.sandbox.per_call import SplitRuns
from gasp_env.sandbox.runs import Result, Run
from gasp_env.sandbox.tiers import stream_worker
from gasp_env.sandbox.tiers.worker import Settings, Worker

#: Runs that are encoded before they are submitted together.
CHUNK = 64
#: Most workers that are opened without being asked for: each is a container, and takes a second to open.
MOST_WORKERS = 16


class Sandbox:
    """Executes untrusted programs in isolation.

    It opens at its first run. It is thread-safe: batches of several threads are served side by side. In a
    forked child it starts as if it had never been opened.
    """

    def __init__(
        self,
        tier: str = "auto",
        workers: int | None = None,
        image: str | None = None,
        *,
        cache: str | Path | None = None,
        dedupe: bool = True,
        allow_unsafe: bool = False,
        runtime: str | None = None,
    ) -> None:
        """Describe a sandbox; nothing is started yet.

        Args:
            tier: one of `tiers.TIERS`, or ``"auto"`` for the first of `tiers.AUTO` that opens. With an image or a
                runtime, ``"auto"`` means the first of them that accepts it: docker.
            workers: number of programs executed at once, each in a worker of its own; by default one per
                processor that this process may use, at most `MOST_WORKERS`, shared with the other processes that a
                launcher has started on the machine (``LOCAL_WORLD_SIZE``). More do not help programs that compute,
                only programs that wait.
            image: container image, by default the one built from `sandbox_image`.
            cache: file that keeps answers over restarts, see `cache`.
            dedupe: execute equal runs of a batch once.
            allow_unsafe: one of the two consents that tier ``unsafe-subprocess`` asks for.
            runtime: OCI runtime of the container.

        Raises:
            ValueError: there is no such tier, or it takes no image or runtime, or ``workers`` is not positive.
        """
        self._made = {"tier": tier, "workers": workers, "image": image, "cache": cache, "dedupe": dedupe}
        self._made |= {"allow_unsafe": allow_unsafe, "runtime": runtime}
        self._settings = Settings(image=image, runtime=runtime, allow_unsafe=allow_unsafe)
        self._requested_tier = tiers.resolve(tier, self._settings)
        if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
            raise ValueError(f"workers must be at least 1, and an integer, not {workers!r}")
        self._size = workers or processors()
        self._dedupe = dedupe
        self._cache_path = cache
        self._tally = Tally()
        # Not a method of this object: the threads that open workers would keep a forgotten sandbox alive.
        self._open_worker: Callable[[str], Worker] = functools.partial(
            tiers.open_worker, settings=self._settings, warn=self._tally.notices.append
        )
        self._requested = 0
        self._hits = 0
        self._reset()
        _instances.add(self)

    def __copy__(self) -> Sandbox:
        return self

    def __deepcopy__(self, memo: Mapping[int, Any]) -> Sandbox:
        """Itself: an env's copy goes on with the env's sandbox."""
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        """One of the same settings, which is not open yet; a subclass with arguments of its own sets ``_made``."""
        return _make, (type(self), self._made)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._dispatcher: Dispatcher | None = None
        self._cache: Cache | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None

    @property
    def tier(self) -> str:
        """The tier in use; before the sandbox is opened, the one asked for."""
        dispatcher = self._dispatcher
        return dispatcher.tier if dispatcher is not None else self._requested_tier

    @property
    def requested(self) -> int:
        """Number of runs asked for; a run of `Run.fresh` calls counts once a call."""
        return self._requested

    @property
    def runs(self) -> int:
        """Number of executions: fewer than `requested` where runs are equal, the cache has the answer, or an
        earlier test of the same program failed."""
        return self._tally.runs

    @property
    def hits(self) -> int:
        """Number of distinct runs answered from the cache."""
        return self._hits

    @property
    def retired(self) -> int:
        """Number of workers replaced because they failed a canary, see `dispatch.canary`."""
        return self._tally.retired

    @property
    def deaths(self) -> int:
        """Number of workers replaced because they died, sent malformed frames or fell silent."""
        return self._tally.deaths

    def open(self) -> None:
        """Start the workers now rather than at the first run, and wait until they are ready.

        Raises:
            SandboxError: no worker can be opened, or the cache cannot be used; the message names the fix.
        """
        self._ensure_open().wait_opened()
        self._warn()

    def close(self) -> None:
        """End the workers; callers that still wait get an ``infra_error``. The sandbox may be opened again."""
        with self._lock:
            finalizer = self._finalizer
            self._dispatcher = self._cache = self._finalizer = None
        if finalizer is not None:
            finalizer()

    def __enter__(self) -> Sandbox:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run_many(self, runs: Iterable[Run]) -> list[Result]:
        """Execute runs and return their results in order.

        Neither a program's behaviour nor the death of a worker raises an exception: runs of a dead worker
        are executed again. If the caller is interrupted while it waits, its runs are abandoned.

        Raises:
            SandboxError: no worker can be opened, or the tier's workers lack a run's profile.
            Unserializable: an input is not made of exact built-in values (see `gasp_env.values`).
            ValueError: a hash seed, profile or limit is out of range.
        """
        batch = Batch()
        try:
            split = self._submit(batch, runs)
            batch.wait()
        except BaseException:
            self._abandon(batch)
            raise
        self._warn()
        return split.merge_all(batch.results())

    def as_completed(self, runs: Iterable[Run]) -> Completed:
        """Execute runs and yield ``(position, result)`` as they finish, equal runs one after another.

        All are submitted at once. Closing the iterator, or dropping it, abandons the rest.

        Raises:
            The exceptions of `run_many`.
        """
        batch = Batch(stream=True)
        try:
            split = self._submit(batch, runs)
        except BaseException:
            self._abandon(batch)
            raise
        return Completed(self, batch, split)

    async def run_many_async(self, runs: Iterable[Run]) -> list[Result]:
        """Do what `run_many` does, without blocking the event loop. Cancelling abandons the runs.

        Raises:
            The exceptions of `run_many`.
        """
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def finished() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed, so nothing waits
                loop.call_soon_threadsafe(done.set)

        batch = Batch(finished=finished)
        try:
            # In a thread: opening takes a second, and encoding thousands of inputs some hundredths of one.
            split = await asyncio.to_thread(self._submit, batch, list(runs))
            await done.wait()
        except BaseException:
            self._abandon(batch)
            raise
        self._warn()
        return split.merge_all(batch.results())

    def _ensure_open(self) -> Dispatcher:
        """Return the dispatcher, which has at least one worker; open it if need be."""
        with self._lock:
            dispatcher = self._dispatcher
            if dispatcher is not None and not dispatcher.ended:
                return dispatcher
            self.close()
            cache = None
            if self._cache_path is not None:
                cache = Cache(self._cache_path, warn=self._tally.notices.append)
            try:
                first = self._open_worker(self._requested_tier)
            except BaseException:
                if cache is not None:
                    cache.close()
                raise
            # All workers are of the first one's tier, so that all results are of one tier.
            open_worker = functools.partial(self._open_worker, first.tier)
            dispatcher = Dispatcher(open_worker, first, self._size, self._tally, cache)
            self._dispatcher, self._cache = dispatcher, cache
            self._finalizer = weakref.finalize(self, _close, os.getpid(), dispatcher, cache)
            return dispatcher

    def _submit(self, batch: Batch, runs: Iterable[Run]) -> SplitRuns:
        """Encode runs and submit them in chunks, so that workers start before the last run is encoded."""
        split = SplitRuns(runs)
        parts = split.parts
        batch.size = len(parts)
        dispatcher: Dispatcher | None = None
        deduplicator = dedup.Deduplicator(batch, dedupe=self._dedupe)
        hits = 0
        for start in range(0, len(parts), CHUNK):
            distinct = deduplicator.encode_distinct(parts[start : start + CHUNK])
            missing = [item for item in distinct if item.result is None]
            if missing and dispatcher is None:
                dispatcher = self._ensure_open()
                dedup.check_profiles({part.profile for part in parts}, dispatcher)
            if dispatcher is not None and self._cache is not None:
                hits += dedup.fill_from_cache(missing, self._cache, dispatcher)
            _hand_over(batch, batch.add(distinct), dispatcher, last=False)
        with self._lock:
            self._requested += len(parts)
            self._hits += hits
        _hand_over(batch, [], dispatcher, last=True)
        return split

    def _abandon(self, batch: Batch) -> None:
        dispatcher = self._dispatcher
        if not batch.abandoned:
            batch.abandoned = True
            if dispatcher is not None:
                dispatcher.abandon(batch)

    def _warn(self) -> None:
        """Give warnings of other threads in the caller's thread."""
        notices = self._tally.notices
        while notices:
            with contextlib.suppress(IndexError):
                warnings.warn(notices.popleft(), RuntimeWarning, stacklevel=3)

    def _workers(self) -> list[Worker]:
        """Return the open workers, for tests and measurements."""
        dispatcher = self._dispatcher
        return dispatcher.workers() if dispatcher is not None else []

    def _after_fork(self) -> None:
        """Let go of workers, locks and connections in a forked child: they are the parent's."""
        if self._finalizer is not None:
            self._finalizer.detach()
        if self._dispatcher is not None:
            self._dispatcher.disown()
        if self._cache is not None:
            INHERITED.append(self._cache)
        self._reset()


class Completed:
    """Iterator over ``(position, result)`` of a batch, in the order in which they finish."""

    def __init__(self, sandbox: Sandbox, batch: Batch, split: SplitRuns) -> None:
        """See `Sandbox.as_completed`."""
        self._sandbox = sandbox
        self._split = split
        self._batch = batch
        self._results = batch.completed()

    def __iter__(self) -> Iterator[tuple[int, Result]]:
        return self

    def __next__(self) -> tuple[int, Result]:
        try:
            while True:
                merged = self._split.add_result(*next(self._results))
                if merged is not None:
                    return merged
        except StopIteration:
            self._sandbox._warn()
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Abandon the runs whose results were not yielded."""
        self._results = iter(())
        self._sandbox._abandon(self._batch)

    def __del__(self) -> None:
        self.close()


_instances: weakref.WeakSet[Sandbox] = weakref.WeakSet()
_shared: dict[tuple[Any, ...], Sandbox] = {}
_shared_lock = threading.Lock()


def _make(kind: type[Sandbox], settings: Mapping[str, Any]) -> Sandbox:
    return kind(**settings)


def shared(tier: str = "auto", **options: Any) -> Sandbox:
    """Return the process's one sandbox of this tier and these options; it is closed at exit.

    Args:
        tier: one of `tiers.TIERS`, ``"auto"``, or ``module:name`` of a class of sandboxes of your own, such as
            ``gasp_env.adapters.ray:RaySandbox``.
        options: its arguments.

    Raises:
        ValueError: there is no such tier or class.
    """
    key = (tier, *sorted(options.items()))
    with _shared_lock:
        if key not in _shared:
            made = registry.load(tier, "sandbox")(**options) if ":" in tier else Sandbox(tier, **options)
            _shared[key] = made
        return _shared[key]


def processors() -> int:
    """Processors that this process may use, at most `MOST_WORKERS`, shared with its siblings on the machine.

    Counted are those of its affinity (``taskset``, Slurm), and no more than its control group has time for
    (``docker run --cpus``, Kubernetes).
    """
    usable: float = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    usable = min(usable, _quota(Path("/sys/fs/cgroup")))
    siblings = os.environ.get("LOCAL_WORLD_SIZE", "")
    own = usable / max(1, int(siblings) if siblings.isdecimal() else 1)
    return max(1, min(int(own), MOST_WORKERS))


def _quota(groups: Path) -> float:
    """Processors' worth of time that this process's control group has; infinity if it is not limited.

    Read is the root of what is mounted, which in a container is the container's own group.
    """
    try:
        limit, period = (groups / "cpu.max").read_text().split()  # version 2
    except (OSError, ValueError):
        try:
            limit, period = (
                (groups / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period")
            )
        except OSError:
            return math.inf
    try:
        found = int(limit) / int(period)
    except (ValueError, ZeroDivisionError):  # "max"
        return math.inf
    return found if found > 0 else math.inf  # -1: none


def _hand_over(batch: Batch, items: list[BatchRun], dispatcher: Dispatcher | None, *, last: bool) -> None:
    """Submit runs to the dispatcher; if it has ended, answer them with an ``infra_error``."""
    if (items or last) and (dispatcher is None or not dispatcher.submit(batch, items, last=last)):
        batch.extend(items, last=last)
        batch.give_up(dispatcher.reason if dispatcher is not None else "")


def _close(owner: int, dispatcher: Dispatcher, cache: Cache | None) -> None:
    """Close a sandbox's workers and cache; also when it is garbage-collected, and at exit."""
    if os.getpid() == owner:
        dispatcher.stop()
        if cache is not None:
            cache.close()


def _after_fork() -> None:
    global _shared_lock
    _shared_lock = threading.Lock()
    stream_worker.disown_all()
    for sandbox in list(_instances):
        sandbox._after_fork()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_after_fork)
