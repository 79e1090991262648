"""Episodes that are stepped independently, over one library and one sandbox, from threads or from asyncio.

    with Sessions(attempts=4) as sessions:
        session = sessions.begin(seed=0)                    # await sessions.begin_async(seed=0)
        while session.turn is not None:
            texts = model(session.turn.prompt, session.turn.samples)
            stepped = session.step(texts)                   # await session.step_async(texts)

For code bases in which every rollout is a conversation of its own: an env for each would have a library for each, and
a vector env moves all its episodes in step. Texts that arrive within a moment are judged together, as a vector env's
are. With equal seeds, library views and texts, the transcripts are those of a vector env.
"""

from __future__ import annotations

import asyncio
import os
import threading
import weakref
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any

from gymnasium.utils import seeding

from gasp_env.envs.driver import Action, Driver, Scored, Stepped, checked_texts
from gasp_env.envs.env import checked_seed
from gasp_env.envs.setup import Setup
from gasp_env.envs.single_role import SingleRole
from gasp_env.episode.turns import Turn
from gasp_env.library.library import Library
from gasp_env.records import shorten
from gasp_env.sandbox import Sandbox, SandboxError
from gasp_env.transcripts.writer import Transcript

#: Batches that may be in the sandbox at once. A program that hangs delays those that arrived with it, and others only
#: if it is one of as many as the sandbox has workers, or this.
BATCHES = 4
#: Most steps of a batch. Who waits for their results is woken at once, and an event loop does nothing else meanwhile.
BATCH = 32
#: Seconds after which places of sessions that nobody refers to any more are given away.
_REAPED = 0.5


class Sessions:
    """Episodes that are stepped independently. All methods may be called from any thread.

    Close it, or use it as a context: it has threads of its own.

    Args:
        most: sessions that may be open at once; the next waits until one ends.
        gather: seconds in which arriving texts are put together into a batch.
        options: see `gasp_env.options.Options`, and the options of the curriculum.

    Raises:
        TypeError, ValueError: an argument is not as expected; the message states the expected value.
    """

    def __init__(self, *, most: int = 1024, gather: float = 0.005, **options: Any) -> None:
        if isinstance(most, bool) or not isinstance(most, int) or most < 1:
            raise ValueError(f"expected most to be an integer of at least 1, got {shorten(most)}")
        if isinstance(gather, bool) or not isinstance(gather, int | float) or not 0 <= gather <= 60:
            raise ValueError(f"expected gather to be seconds from 0 to 60, got {shorten(gather)}")
        self._driver = Driver(0, Setup(options))
        if self._driver.options.batch_duplicates:
            raise ValueError(
                "expected batch_duplicates=False: which sessions share a batch is a matter of moments"
            )
        self._seats = SingleRole(self._driver)
        self._process = os.getpid()
        self._gather = float(gather)
        # An event loop waits for the locks, which are held for moments; most steps take none.
        self._lock = threading.RLock()
        self._library_lock = threading.Lock()
        #: Guarded by the lock.
        self._begun, self._places, self._closed = 0, most, False
        self._closing = threading.Event()
        self._admissions: deque[Future[None]] = deque()
        #: Slots without an episode; what arrives, None to be looked at; places of sessions collected as garbage.
        self._free: deque[int] = deque()
        self._requests: SimpleQueue[_Request | None] = SimpleQueue()
        self._lost: deque[_Place] = deque()
        self._batches = ThreadPoolExecutor(BATCHES, "gasp-sessions")
        self._beginner = ThreadPoolExecutor(1, "gasp-sessions-begin")
        self._collector = threading.Thread(target=self._collect, name="gasp-sessions-collect", daemon=True)
        self._collector.start()

    @property
    def driver(self) -> Driver:
        """The driver, which plays the episodes: goalposts, curriculum, rewards."""
        return self._driver

    @property
    def library(self) -> Library:
        """All valid tasks of sessions that have ended."""
        return self._driver.library

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox; nothing is started before the first run. It belongs to the process."""
        return self._driver.sandbox

    def begin(self, *, seed: int | None = None, goalpost: str | None = None) -> Session:
        """Begin a session; waits while `most` are open.

        Args:
            seed: of everything random in the episode; the library stays as it is. By default a random one.
            goalpost: id of the one that is played; by default one that the game draws.

        Raises:
            ValueError: the seed is invalid, there is no such goalpost, or the game plays none.
            RuntimeError: the sessions are closed.
        """
        seed = self._checked(seed, goalpost)
        self._wait()
        return self._begin(seed, goalpost)

    async def begin_async(self, *, seed: int | None = None, goalpost: str | None = None) -> Session:
        """`begin`, without blocking the event loop."""
        seed = self._checked(seed, goalpost)
        await self._admitted()
        begun = self._beginner.submit(self._begin, seed, goalpost)
        try:
            return await asyncio.wrap_future(begun)
        except BaseException:
            begun.add_done_callback(self._unwanted)
            raise

    def score_deferred(self) -> list[Scored]:
        """Score all proposals whose reward was deferred; ``episode`` is a `Session.number`. See
        `gasp_env.envs.driver.Driver.score_deferred`."""
        return self._driver.score_deferred(self._lock)

    def close(self) -> None:
        """End all sessions. Steps and begins that wait raise RuntimeError; programs that run are waited for.

        The sandbox stays open.
        """
        with self._lock:
            self._closed = True
            self._closing.set()
            admissions, self._admissions = self._admissions, deque()
        for future in admissions:
            if future.set_running_or_notify_cancel():
                future.set_exception(_closed())
        self._requests.put(None)
        self._collector.join()
        self._batches.shutdown()
        self._beginner.shutdown()

    def __enter__(self) -> Sessions:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Sessions:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.to_thread(self.close)  # batches in progress end first

    def _checked(self, seed: Any, goalpost: Any) -> int | None:
        if goalpost is not None:
            self._seats.check({"goalpost": goalpost})
        return checked_seed(seed)

    def _admit(self) -> Future[None]:
        """A place for a session, now or when one is free."""
        admission: Future[None] = Future()
        self._check_process()
        with self._lock:
            if self._closed:
                raise _closed()
            self._admissions.append(admission)
            self._give_places()
        return admission

    async def _admitted(self) -> None:
        admission = self._admit()
        if admission.done():
            return
        try:
            await asyncio.wrap_future(admission)
        except BaseException:
            self._decline(admission)
            raise

    def _wait(self) -> None:
        admission = self._admit()
        try:
            admission.result()
        except BaseException:
            self._decline(admission)
            raise

    def _decline(self, admission: Future[None]) -> None:
        """Give back a place that nobody takes, if it was given."""
        with self._lock:
            if not admission.cancel() and not admission.exception():
                self._places += 1
                self._give_places()

    def _unwanted(self, begun: Future[Session]) -> None:
        """Give back the place of a session that nobody waits for."""
        if begun.cancelled():  # before it began
            with self._lock:
                self._places += 1
                self._give_places()
        elif not begun.exception():
            begun.result().close()

    def _give_places(self) -> None:
        """Give free places to those who wait; with the lock held."""
        while self._lost:
            self._end(self._lost.popleft())
        while self._places and self._admissions:
            admission = self._admissions.popleft()
            if admission.set_running_or_notify_cancel():
                self._places -= 1
                admission.set_result(None)

    def _begin(self, seed: int | None, goalpost: str | None) -> Session:
        generator, _ = seeding.np_random(seed)
        with self._new_slot() as slot:
            with self._library_lock:
                view = self.library.view()
            self._driver.begin(slot, generator, {"goalpost": goalpost}, view)
            return self._numbered(slot)

    def _clone(self, session: Session) -> Session:
        with self._new_slot() as slot, session._alone():
            self._copy(session._slot, slot)
            return self._numbered(slot)

    def _numbered(self, slot: int) -> Session:
        """A session of a slot, whose episode gets a number that it keeps, whatever slots it passes through."""
        with self._lock:
            self._driver.numbers[slot], self._begun = self._begun, self._begun + 1
        return Session(self, slot)

    def _copy(self, source: int, target: int) -> None:
        number = self._driver.numbers[source]
        with self._deferring():
            self._driver.clone(source, target)
        self._driver.numbers[target] = number

    @contextmanager
    def _new_slot(self) -> Iterator[int]:
        """A slot for a session that was admitted; both are given back if it cannot begin."""
        slot = self._take()
        try:
            if self._closed:
                raise _closed()
            yield slot
        except BaseException:
            with self._lock:
                self._drop(slot)
                self._places += 1
                self._give_places()
            raise

    def _take(self) -> int:
        try:
            return self._free.pop()
        except IndexError:
            with self._lock:
                return self._driver.grow()

    def _drop(self, slot: int) -> None:
        with self._deferring():
            self._driver.forget(slot)
        self._free.append(slot)

    def _deferring(self) -> AbstractContextManager[Any]:
        """Guards the list of deferred outcomes, in which the driver looks up episodes that are copied or dropped."""
        return self._lock if self._driver.setup.deferred else nullcontext()

    def _end(self, place: _Place) -> None:
        """Give back the place of a session that is over, was closed, or is not referred to any more."""
        with self._lock:
            if place.slot is not None:
                self._drop(place.slot)
                place.slot = None
                self._places += 1
                self._give_places()

    def _check_process(self) -> None:
        if os.getpid() != self._process:
            raise RuntimeError(
                "the sessions are another process's, from which this one was forked; make others here"
            )

    def _submit(self, request: _Request) -> None:
        self._check_process()
        self._requests.put(request)
        if self._closed:  # and the collector may have ended
            self._refuse(self._waiting())

    def _collect(self) -> None:
        """Put together what arrives within a moment, until the sessions are closed."""
        try:
            while not self._closed:
                requests = self._gathered()
                with self._lock:
                    self._give_places()
                try:
                    for start in range(0, len(requests), BATCH):
                        self._batches.submit(self._play, requests[start : start + BATCH])
                except RuntimeError:  # the interpreter ends, and starts no more threads
                    self._refuse(requests)
                    return
                requests = []  # a session is not kept by its last step
        finally:
            self._closed = True
            self._refuse(self._waiting())

    def _gathered(self) -> list[_Request]:
        try:
            first = self._requests.get(timeout=_REAPED)
        except Empty:
            return []
        self._closing.wait(self._gather)
        return [one for one in (first, *self._waiting()) if one is not None]

    def _waiting(self) -> Iterator[_Request | None]:
        with suppress(Empty):
            while True:
                yield self._requests.get_nowait()

    def _refuse(self, requests: Iterable[_Request | None]) -> None:
        for request in requests:
            if request is not None and not request.future.done() and request.wanted():
                request.future.set_exception(_closed())

    def _play(self, requests: list[_Request]) -> None:
        """Step copies of the requests' episodes together: the sessions stay as they are until the step is wanted."""
        moving: dict[int, _Request] = {}
        if self._closed:
            self._refuse(requests)
            return
        for request in requests:
            if request.wanted():
                copied = self._take()
                try:
                    self._copy(request.slot, copied)
                except BaseException as error:  # a cancelled one, whose session has gone on
                    self._drop(copied)
                    request.future.set_exception(error)
                else:
                    moving[copied] = request
        if not moving:
            return
        try:
            stepped = self._driver.step({slot: one.texts for slot, one in moving.items()}, commit=False)
        except BaseException as error:
            for slot in moving:
                self._drop(slot)
            alone = len(moving) == 1 or isinstance(error, SandboxError)
            for request in moving.values():
                if not alone:  # it may be the fault of one of them
                    self._play([request])
                else:
                    request.future.set_exception(error)
            return
        for (slot, request), item in zip(moving.items(), stepped, strict=True):
            with self._lock:
                if request.abandoned or item is None:
                    self._drop(slot)
                else:
                    request.future.set_result((slot, item))

    def _accept(self, place: _Place, slot: int) -> Transcript | None:
        """Let a stepped copy take a session's place; returns the transcript of one that is over."""
        before = place.slot
        assert before is not None
        try:
            with self._library_lock if self._driver.turn(slot) is None else nullcontext():
                self._driver.commit(slot)
        except BaseException:  # an eviction policy of somebody's own
            self._drop(slot)
            raise
        place.slot = slot
        self._drop(before)
        if self._driver.turn(slot) is not None:
            return None
        with self._lock:
            transcript = self._driver.forget(slot, ended=True)
            place.slot = None
            self._free.append(slot)
            self._places += 1
            self._give_places()
        return transcript

    def _abandon(self, request: _Request) -> None:
        """Drop a step that was cancelled, whatever has become of it."""
        with self._lock:
            request.abandoned = True
            if request.future.done() and not request.future.cancelled() and not request.future.exception():
                self._drop(request.future.result()[0])


@dataclass
class _Place:
    """The slot of a session, until it ends."""

    slot: int | None


@dataclass
class _Request:
    """Texts for the episode in a slot, and what becomes of them: the slot of the stepped copy, and the step."""

    slot: int
    texts: list[str]
    future: Future[tuple[int, Stepped]] = field(default_factory=Future)
    abandoned: bool = False

    def wanted(self) -> bool:
        """True unless it was cancelled; from now on its future cannot be."""
        return not self.abandoned and (self.future.running() or self.future.set_running_or_notify_cancel())


class Session:
    """An episode of `Sessions`: one step at a time, from any thread. Made by `Sessions.begin` and `clone`.

    Attributes:
        number: of the episode, counted over all of the sessions.
    """

    def __init__(self, sessions: Sessions, slot: int) -> None:
        self._sessions, self._driver, self._place = sessions, sessions.driver, _Place(slot)
        self.number = self._driver.numbers[slot]
        self._stepping = threading.Lock()
        self._transcript: Transcript | None = None
        weakref.finalize(self, sessions._lost.append, self._place)

    @property
    def turn(self) -> Turn | None:
        """The open turn, None when the session is over."""
        while True:
            slot = self._place.slot
            turn = None if slot is None else self._driver.turn(slot)
            if slot == self._place.slot:  # another thread's step has not come between
                return turn

    @property
    def transcript(self) -> dict[str, Any] | None:
        """The episode so far (`gasp_env.transcripts.replay`); None of one that was closed before its end."""
        slot = self._place.slot
        if slot is not None:
            return self._driver.transcript(slot)
        return None if self._transcript is None else self._transcript.record()

    def step(self, texts: Action) -> Stepped:
        """Give the acting agent's text, or several, and wait for what becomes of them.

        If it raises, the session is as it was before.

        Raises:
            ValueError: it is neither a text nor a tuple of as many as the turn takes.
            RuntimeError: the session is over, or another step of it is in progress; or a reward raised.
            gasp_env.policies.PolicyError: a text is `Lost`, and ``on_infra_error`` is ``raise``.
            gasp_env.sandbox.SandboxError: no sandbox can be opened.
        """
        with self._alone():
            request = self._request(texts)
            try:
                slot, stepped = request.future.result()
            except BaseException:  # Ctrl-C while it waits, too
                self._sessions._abandon(request)
                raise
            return self._accepted(slot, stepped)

    async def step_async(self, texts: Action) -> Stepped:
        """`step`, without blocking the event loop. A step that is cancelled leaves the session as it was."""
        with self._alone():
            request = self._request(texts)
            try:
                slot, stepped = await asyncio.wrap_future(request.future)
            except BaseException:
                self._sessions._abandon(request)
                raise
            return self._accepted(slot, stepped)

    def clone(self) -> Session:
        """A session of its own at the same point, for a group of answers to one prompt; waits as `begin` does.

        Raises:
            RuntimeError: the session is over, or the sessions are closed.
        """
        _ = self._slot  # before it waits
        self._sessions._wait()
        return self._sessions._clone(self)

    async def clone_async(self) -> Session:
        """`clone`, without blocking the event loop."""
        _ = self._slot
        await self._sessions._admitted()
        return self._sessions._clone(self)

    def close(self) -> None:
        """Give the session up; its tasks do not reach the library.

        Raises:
            RuntimeError: a step of it is in progress.
        """
        with self._alone():
            self._sessions._end(self._place)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._stepping.acquire(blocking=False):
            raise RuntimeError("expected one step of a session at a time; wait for the one in progress")
        try:
            yield
        finally:
            self._stepping.release()

    @property
    def _slot(self) -> int:
        slot = self._place.slot
        if slot is None:
            raise RuntimeError("the session is over; begin another one")
        return slot

    def _request(self, texts: Action) -> _Request:
        slot = self._slot
        request = _Request(slot, checked_texts(self.number, texts, self._driver.turn(slot)))
        self._sessions._submit(request)
        return request

    def _accepted(self, slot: int, stepped: Stepped) -> Stepped:
        self._transcript = self._sessions._accept(self._place, slot)
        return stepped


def _closed() -> RuntimeError:
    return RuntimeError("the sessions are closed; make others")
