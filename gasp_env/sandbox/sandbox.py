"""`Sandbox`: give it runs, get results in order, whatever the programs or the machine do.

This is the face: it checks what is asked, asks equal runs once, looks into the cache, and waits.
Who executes what, and what happens when a worker dies, is in `dispatcher`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import threading
import warnings
import weakref
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from gasp_env.sandbox import cache as caching
from gasp_env.sandbox import dedup, tiers
from gasp_env.sandbox.cache import Cache
from gasp_env.sandbox.dispatch.batch import Asked, Batch
from gasp_env.sandbox.dispatch.dispatcher import Dispatcher, Tally
from gasp_env.sandbox.per_call import Parts
from gasp_env.sandbox.runs import Result, Run
from gasp_env.sandbox.tiers import stream_worker
from gasp_env.sandbox.tiers.worker import Settings, Worker

#: Runs encoded before they are handed over.
CHUNK = 64


class Sandbox:
    """Executes programs where they can do no harm and forge no verdict.

    Opened at its first run. Thread-safe: batches of several threads are served side by side. In a
    forked child it is as if it had never been opened.
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
            tier: one of `tiers.TIERS`, or ``"auto"`` for the first of `tiers.AUTO` that opens; who names
                an image or a runtime has asked for docker.
            workers: programs executed at once, each in a worker of its own; by default one per
                processor. More gain nothing where programs compute, and help where they wait.
            image: docker image, by default the one made from `sandbox_image`.
            cache: file that keeps answers over restarts, see `cache`.
            dedupe: execute runs of a batch that are equal once.
            allow_unsafe: one of the two consents that tier ``unsafe-subprocess`` asks for.
            runtime: OCI runtime that the docker tier asks for.

        Raises:
            ValueError: there is no such tier, or it takes no image or runtime, or ``workers`` is not positive.
        """
        if tier != "auto" and tier not in tiers.TIERS:
            raise ValueError(f"tier must be auto or one of {', '.join(tiers.TIERS)}, not {tier!r}")
        if tier not in ("auto", "docker") and (image or runtime):
            raise ValueError(f"only the tier docker takes an image or a runtime, not {tier}")
        if workers is not None and workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}")
        self._asked_tier = "docker" if tier == "auto" and (image or runtime) else tier
        self._settings = Settings(image=image, runtime=runtime, allow_unsafe=allow_unsafe)
        self._size = workers or os.cpu_count() or 1
        self._dedupe = dedupe
        self._cache_path = cache
        self._tally = Tally()
        self._requested = 0
        self._hits = 0
        self._reset()
        _living.add(self)

    def _reset(self) -> None:
        self._lock = threading.RLock()
        self._dispatcher: Dispatcher | None = None
        self._cache: Cache | None = None
        self._finalizer: weakref.finalize[..., Any] | None = None

    @property
    def tier(self) -> str:
        """The tier in use; before it is opened, the one asked for."""
        dispatcher = self._dispatcher
        return dispatcher.tier if dispatcher is not None else self._asked_tier

    @property
    def requested(self) -> int:
        """Runs asked for; a run of `Run.fresh` calls counts once a call."""
        return self._requested

    @property
    def runs(self) -> int:
        """Executions done: fewer than `requested` where a batch repeats itself, the cache has the answer, or an earlier
        test of the same program failed."""
        return self._tally.runs

    @property
    def hits(self) -> int:
        """Distinct runs answered from the cache."""
        return self._hits

    @property
    def retired(self) -> int:
        """Workers replaced because they answered a known program wrongly."""
        return self._tally.retired

    @property
    def deaths(self) -> int:
        """Workers that died, talked nonsense or fell silent, and were replaced."""
        return self._tally.deaths

    def open(self) -> None:
        """Start the workers now rather than at the first run, and wait until they are ready.

        Raises:
            SandboxError: no worker can be opened, or the cache cannot be used; the message says what to do.
        """
        self._opened().wait_opened()
        self._warn()

    def close(self) -> None:
        """End the workers; who still waits for a result gets an ``infra_error``. It may be opened again."""
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

        A program's behaviour is never an exception here, and neither is a worker that dies: such runs
        are asked for again. Whoever is interrupted while waiting leaves nothing behind.

        Raises:
            SandboxError: no worker can be opened at all, or none of this tier has a run's profile.
            Unserializable: an input is no exact built-in value (see `gasp_env.values`).
            ValueError: a hash seed, profile or limit is out of range.
        """
        batch = Batch()
        try:
            parts = self._submit(batch, runs)
            batch.wait()
        except BaseException:
            self._abandon(batch)
            raise
        self._warn()
        return parts.gather(batch.results())

    def as_completed(self, runs: Iterable[Run]) -> Completed:
        """Execute runs and yield ``(position, result)`` as they finish, equal runs one after another.

        They are asked for at once. Closing the iterator, or losing it, abandons what is left.

        Raises:
            as `run_many`.
        """
        batch = Batch(stream=True)
        try:
            parts = self._submit(batch, runs)
        except BaseException:
            self._abandon(batch)
            raise
        return Completed(self, batch, parts)

    async def run_many_async(self, runs: Iterable[Run]) -> list[Result]:
        """`run_many` for a coroutine: the event loop goes on meanwhile, and cancelling abandons the runs.

        Raises:
            as `run_many`.
        """
        loop = asyncio.get_running_loop()
        done = asyncio.Event()

        def finished() -> None:
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits
                loop.call_soon_threadsafe(done.set)

        batch = Batch(finished=finished)
        try:
            # Opening takes a second, and encoding thousands of inputs some hundredths of one.
            parts = await asyncio.to_thread(self._submit, batch, list(runs))
            await done.wait()
        except BaseException:
            self._abandon(batch)
            raise
        self._warn()
        return parts.gather(batch.results())

    def _opened(self) -> Dispatcher:
        """The dispatcher, with at least one worker."""
        with self._lock:
            dispatcher = self._dispatcher
            if dispatcher is not None and not dispatcher.ended:
                return dispatcher
            self.close()
            cache = None
            if self._cache_path is not None:
                cache = Cache(self._cache_path, warn=self._tally.notices.append)
            try:
                first = tiers.open_worker(self._asked_tier, self._settings)
            except BaseException:
                if cache is not None:
                    cache.close()
                raise
            # A run is never executed in another tier than the first: whose result would it be?
            again = functools.partial(_open_worker, first.tier, self._settings)
            dispatcher = Dispatcher(again, first, self._size, self._tally, cache)
            self._dispatcher, self._cache = dispatcher, cache
            self._finalizer = weakref.finalize(self, _end, os.getpid(), dispatcher, cache)
            return dispatcher

    def _submit(self, batch: Batch, asked_for: Iterable[Run]) -> Parts:
        """Encode runs and hand them over, a few at a time so that the workers need not wait for the last."""
        parts = Parts(asked_for)
        runs = parts.runs
        batch.size = len(runs)
        dispatcher: Dispatcher | None = None
        distinct = dedup.Distinct(batch, dedupe=self._dedupe)
        hits = 0
        for start in range(0, len(runs), CHUNK):
            asked = distinct.of(runs[start : start + CHUNK])
            missing = [one for one in asked if one.result is None]
            if missing and dispatcher is None:
                dispatcher = self._opened()
                dedup.check_profiles({run.profile for run in runs}, dispatcher)
            if dispatcher is not None and self._cache is not None:
                hits += dedup.look_up(missing, self._cache, dispatcher)
            _hand_over(batch, batch.add(asked), dispatcher, last=False)
        with self._lock:
            self._requested += len(runs)
            self._hits += hits
        _hand_over(batch, [], dispatcher, last=True)
        return parts

    def _abandon(self, batch: Batch) -> None:
        dispatcher = self._dispatcher
        if not batch.abandoned:
            batch.abandoned = True
            if dispatcher is not None:
                dispatcher.abandon(batch)

    def _warn(self) -> None:
        """Say in the caller's thread what was noticed in others."""
        notices = self._tally.notices
        while notices:
            with contextlib.suppress(IndexError):
                warnings.warn(notices.popleft(), RuntimeWarning, stacklevel=3)

    def _workers(self) -> list[Worker]:
        """The workers now open; for tests and figures."""
        dispatcher = self._dispatcher
        return dispatcher.workers() if dispatcher is not None else []

    def _after_fork(self) -> None:
        """In the child: workers, locks and connections are the parent's."""
        if self._finalizer is not None:
            self._finalizer.detach()
        if self._dispatcher is not None:
            self._dispatcher.disown()
        if self._cache is not None:
            caching.INHERITED.append(self._cache)
        self._reset()


class Completed:
    """Iterator over ``(position, result)`` of a batch, in the order in which they finish."""

    def __init__(self, sandbox: Sandbox, batch: Batch, parts: Parts) -> None:
        """See `Sandbox.as_completed`."""
        self._sandbox = sandbox
        self._parts = parts
        self._batch = batch
        self._results = batch.completed()

    def __iter__(self) -> Iterator[tuple[int, Result]]:
        return self

    def __next__(self) -> tuple[int, Result]:
        try:
            while True:
                answered = self._parts.take(*next(self._results))
                if answered is not None:
                    return answered
        except StopIteration:
            self._sandbox._warn()
            raise
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Abandon what has not been yielded."""
        self._results = iter(())
        self._sandbox._abandon(self._batch)

    def __del__(self) -> None:
        self.close()


_living: weakref.WeakSet[Sandbox] = weakref.WeakSet()
_shared: dict[tuple[Any, ...], Sandbox] = {}
_shared_lock = threading.Lock()


def shared(tier: str = "auto", **options: Any) -> Sandbox:
    """The process's one sandbox of this tier and these options, closed at exit."""
    key = (tier, *sorted(options.items()))
    with _shared_lock:
        if key not in _shared:
            _shared[key] = Sandbox(tier, **options)
        return _shared[key]


def _open_worker(tier: str, settings: Settings) -> Worker:
    return tiers.open_worker(tier, settings)


def _hand_over(batch: Batch, todo: list[Asked], dispatcher: Dispatcher | None, *, last: bool) -> None:
    """Have runs answered; if nobody does so any more, by an ``infra_error``."""
    if (todo or last) and (dispatcher is None or not dispatcher.submit(batch, todo, last=last)):
        batch.extend(todo, last=last)
        batch.give_up(dispatcher.reason if dispatcher is not None else "")


def _end(owner: int, dispatcher: Dispatcher, cache: Cache | None) -> None:
    """Close what a sandbox had open; also when it is garbage, and at exit."""
    if os.getpid() == owner:
        dispatcher.stop()
        if cache is not None:
            cache.close()


def _after_fork() -> None:
    global _shared_lock
    _shared_lock = threading.Lock()
    stream_worker.disown_all()
    for sandbox in list(_living):
        sandbox._after_fork()


if hasattr(os, "register_at_fork"):  # wherever there is a fork
    os.register_at_fork(after_in_child=_after_fork)
