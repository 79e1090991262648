"""The sandbox over fake workers: scheduling, and workers that die, are wrong or do not open."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import os
import random
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator

import pytest

from gasp_env.sandbox import Result, Run, Sandbox, SandboxError, Status
from gasp_env.sandbox.dispatch import connection, dispatcher, worker_pool
from tests.sandbox import fakes
from tests.sandbox.fakes import FakeWorker, World

#: Longer than anything here takes on the busiest machine.
HANG = 60


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(worker_pool, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(dispatcher, "VERIFY_IDLE_SECONDS", 1e6)  # on a busy machine much may be idle time
    made = fakes.install(monkeypatch)
    yield made
    made.close()


def echo(*values: object) -> list[Run]:
    return [Run("echo", ((value,),)) for value in values]


def slow(count: int, seconds: float = 0.01) -> list[Run]:
    return [Run(f"sleep {seconds} {i}", ((i,),)) for i in range(count)]


def many(count: int) -> list[Run]:
    """Of different programs."""
    return [Run(f"echo {i}", ((i,),)) for i in range(count)]


def returned(results: list[Result]) -> list[object]:
    return [result.calls[0].value[0] for result in results]


def wait_until(condition: object, why: str = "in time") -> None:
    deadline = time.monotonic() + HANG
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline, why
        time.sleep(0.005)


def in_thread(target: object, *args: object) -> threading.Thread:
    thread = threading.Thread(target=target, args=args)  # type: ignore[arg-type]
    thread.start()
    return thread


# Handing out.


@pytest.mark.parametrize("workers", [1, 3])
def test_results_are_in_order_and_equal_runs_execute_once(world: World, workers: int) -> None:
    with Sandbox(workers=workers) as sandbox:
        assert returned(sandbox.run_many(echo(*range(100), *range(100)))) == [*range(100), *range(100)]
        assert (sandbox.runs, sandbox.requested) == (100, 200)
    assert len(world.opened) == len(world.closed) == workers


def test_runs_that_are_to_be_repeated_are(world: World) -> None:
    with Sandbox(workers=2, dedupe=False) as sandbox:
        assert returned(sandbox.run_many(echo(*[1] * 20))) == [1] * 20
        assert sandbox.runs == 20


def test_what_differs_in_type_profile_or_standard_input_is_not_equal(world: World) -> None:
    runs = [
        *echo(1, True, 1.0),
        Run("echo", (), profile="stdin", stdin="a"),
        Run("echo", (), profile="stdin"),
    ]
    with Sandbox(workers=1) as sandbox:
        results = sandbox.run_many(runs)
        assert sandbox.runs == 5
    assert [type(value) for value in returned(results[:3])] == [int, bool, float]


def test_workers_share_the_work(world: World) -> None:
    with Sandbox(workers=4) as sandbox:
        sandbox.run_many(slow(12))
    assert all(len(worker.asked) >= 2 for worker in world.opened)


def test_a_run_that_waits_behind_a_long_one_is_given_to_an_idle_worker(world: World) -> None:
    release = threading.Event()

    def on_run(worker: FakeWorker, program: str) -> None:
        if program == "echo long":
            release.wait(HANG)

    world.on_run = on_run
    with Sandbox(workers=2) as sandbox:
        iterator = sandbox.as_completed([Run("echo long", ((0,),)), *echo(1, 2, 3, 4, 5)])
        short = [next(iterator)[0] for _ in range(5)]
        assert sorted(short) == [1, 2, 3, 4, 5], "they must not wait for the long one"
        release.set()
        assert next(iterator)[0] == 0
        assert list(iterator) == []
        assert sandbox.runs == 6
        assert returned(sandbox.run_many(echo(7))) == [7]
    assert sum(world.executed.values()) <= 8


def test_batches_of_several_threads_are_served_side_by_side(world: World) -> None:
    gate = threading.Event()
    world.on_run = lambda worker, program: None if program != "echo first" else bool(gate.wait(HANG)) and None
    finished: list[str] = []
    with Sandbox(workers=1) as sandbox:

        def ask(name: str, count: int) -> None:
            runs = [Run("echo first", ((0,),))] if name == "long" else []
            sandbox.run_many([*runs, *(Run(f"echo {name}{i}", ((i,),)) for i in range(count))])
            finished.append(name)

        threads = [in_thread(ask, "long", 400)]
        wait_until(lambda: world.executed["echo first"])
        threads.append(in_thread(ask, "short", 20))
        time.sleep(0.1)  # the dispatcher knows of both
        gate.set()
        for thread in threads:
            thread.join(HANG)
        order = [program for program in world.opened[0].asked if "echo short" in program]
        assert finished == ["short", "long"]
        assert len(order) == 20
        last = world.opened[0].asked.index(order[-1])
        assert last < 100, "the short batch gets every second turn"


def test_nothing_asked_opens_nothing(world: World) -> None:
    sandbox = Sandbox(workers=1)
    assert sandbox.run_many([]) == []
    assert list(sandbox.as_completed([])) == []
    assert asyncio.run(sandbox.run_many_async([])) == []
    assert world.opened == []


def test_a_caller_s_mistake_is_an_exception_before_anything_runs(world: World) -> None:
    with Sandbox(workers=1) as sandbox:
        with pytest.raises(ValueError, match="hash_seed"):
            sandbox.run_many([*echo(1), Run("echo", ((1,),), hash_seed=9)])
        with pytest.raises(SandboxError, match="numpy"):
            sandbox.run_many([*echo(1), Run("echo", ((1,),), profile="numpy")])
        assert sandbox.runs == 0
        assert world.executed == {}
    with pytest.raises(ValueError, match="tier must be"):
        Sandbox("no-such-tier")
    with pytest.raises(ValueError, match="workers must be"):
        Sandbox(workers=0)


# Other ways to ask.


def test_results_come_as_they_finish(world: World) -> None:
    with Sandbox(workers=2) as sandbox:
        runs = [Run("sleep 0.3", ((9,),)), *echo(1, 2, 1)]
        found = list(sandbox.as_completed(runs))
    assert [position for position, _ in found][-1] == 0
    assert sorted(position for position, _ in found) == [0, 1, 2, 3]
    assert {position: result.calls[0].value[0] for position, result in found} == {0: 9, 1: 1, 2: 2, 3: 1}


def test_a_closed_iterator_leaves_nothing_behind(world: World) -> None:
    with Sandbox(workers=1) as sandbox:
        iterator = sandbox.as_completed(slow(500))
        next(iterator)
        iterator.close()
        assert list(iterator) == []
        assert returned(sandbox.run_many(echo(1, 2))) == [1, 2]
        assert sum(world.executed.values()) < 20
        lost = sandbox.as_completed(many(5000))
        next(lost)
        del lost
        assert returned(sandbox.run_many(echo(3))) == [3]
        assert sum(world.executed.values()) < 5000


def test_a_coroutine_waits_without_blocking_the_others(world: World) -> None:
    async def main(sandbox: Sandbox) -> tuple[int, list[list[Result]]]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                ticks += 1
                await asyncio.sleep(0.01)

        ticking = asyncio.create_task(tick())
        several = [sandbox.run_many_async([Run("sleep 0.2", ((i,),)), *echo(i)]) for i in range(3)]
        results = await asyncio.gather(*several)
        ticking.cancel()
        return ticks, results

    with Sandbox(workers=2) as sandbox:
        ticks, results = asyncio.run(main(sandbox))
    assert [returned(one) for one in results] == [[0, 0], [1, 1], [2, 2]]
    assert ticks > 5


def test_a_cancelled_coroutine_leaves_nothing_behind(world: World) -> None:
    async def main(sandbox: Sandbox) -> list[Result]:
        runs = slow(500)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(sandbox.run_many_async(runs), 0.1)
        return await sandbox.run_many_async(echo(5))

    with Sandbox(workers=1) as sandbox:
        assert returned(asyncio.run(main(sandbox))) == [5]
    assert sum(world.executed.values()) < 100


def test_an_interrupted_caller_leaves_nothing_behind(world: World) -> None:
    main = threading.main_thread()
    assert threading.current_thread() is main
    with Sandbox(workers=1) as sandbox:
        sandbox.open()

        def interrupt() -> None:
            wait_until(lambda: world.executed["sleep 0.5"])
            signal.pthread_kill(main.ident or 0, signal.SIGINT)

        interrupting = in_thread(interrupt)
        with pytest.raises(KeyboardInterrupt):
            sandbox.run_many([Run("sleep 0.5", ((),)), *many(500)])
        interrupting.join()
        assert returned(sandbox.run_many(echo(1))) == [1]
        assert sum(world.executed.values()) < 10
        assert sandbox.deaths == 0, "what was in flight answers to nobody"


# Deaths.


@pytest.mark.parametrize("word", ["die", "garbage", "stranger", "short"])
def test_a_run_that_ends_every_worker_is_found_and_costs_the_others_nothing(world: World, word: str) -> None:
    runs = [Run(word, ((),)), *echo(*range(60))]
    with Sandbox(workers=2) as sandbox:
        results = sandbox.run_many(runs)
        assert sandbox.deaths == 3
    assert results[0].status is Status.WORKER_KILLED, results[0]
    assert returned(results[1:]) == list(range(60))
    assert world.executed[word] == 3
    assert [worker.asked for worker in world.opened if word in worker.asked][-1] == [word], (
        "alone, in a fresh one"
    )


def test_several_that_end_every_worker_are_all_found(world: World) -> None:
    runs = [Run(f"die {i}", ((),)) for i in range(5)] + echo(*range(20))
    with Sandbox(workers=2) as sandbox:
        results = sandbox.run_many(runs)
    assert [result.status for result in results[:5]] == [Status.WORKER_KILLED] * 5
    assert returned(results[5:]) == list(range(20))


def test_even_if_there_is_but_one_worker_and_nothing_else_to_ask(world: World) -> None:
    with Sandbox(workers=1) as sandbox:
        results = sandbox.run_many([Run("die 1", ((),)), Run("die 2", ((),))])
        assert [result.status for result in results] == [Status.WORKER_KILLED] * 2
        assert returned(sandbox.run_many(echo(1))) == [1]


def test_two_deaths_that_were_not_its_doing_cost_a_run_nothing(world: World) -> None:
    deaths = [2]

    def on_run(worker: FakeWorker, program: str) -> None:
        if program == "echo unlucky" and deaths[0]:
            deaths[0] -= 1
            raise fakes.Died

    world.on_run = on_run
    with Sandbox(workers=1) as sandbox:
        results = sandbox.run_many([Run("echo unlucky", ((1,),)), *echo(2, 3)])
        assert sandbox.deaths == 2
        assert sandbox.runs == 3
    assert returned(results) == [1, 2, 3]


def test_a_death_is_no_suspicion_against_what_other_workers_run(world: World) -> None:
    started, release = threading.Event(), threading.Event()

    def on_run(worker: FakeWorker, program: str) -> None:
        if program == "echo honest":
            started.set()
            release.wait(HANG)

    world.on_run = on_run
    with Sandbox(workers=2) as sandbox:
        honest: list[Result] = []
        thread = in_thread(lambda: honest.extend(sandbox.run_many([Run("echo honest", ((1,),))])))
        assert started.wait(HANG)
        [result] = sandbox.run_many([Run("die", ((),))])
        release.set()
        thread.join(HANG)
    assert result.status is Status.WORKER_KILLED
    assert returned(honest) == [1]
    assert world.executed["echo honest"] == 1


def test_a_silent_worker_is_replaced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "GRACE_SECONDS", -9.5)  # beyond the default 10 s of a run
    silent, release = [True], threading.Event()

    def on_run(worker: FakeWorker, program: str) -> None:
        if program == "echo 5" and silent:
            silent.clear()
            release.wait(HANG)

    world.on_run = on_run
    monkeypatch.setattr(FakeWorker, "close", lambda self: (world.closed.append(self), self.kill()))
    with Sandbox(workers=1) as sandbox:
        results = sandbox.run_many(many(10))
        assert sandbox.deaths == 1
    release.set()
    assert returned(results) == list(range(10))


def test_a_worker_that_dies_while_idle_is_replaced(world: World) -> None:
    with Sandbox(workers=2) as sandbox:
        wait_until(lambda: world.canaries == 2)
        world.opened[0].kill()
        wait_until(lambda: len(world.opened) == 3)
        for _ in range(3):
            for worker in world.alive:
                worker.kill()
            assert returned(sandbox.run_many(echo(1, 2, 3))) == [1, 2, 3]


def test_closing_a_dead_worker_may_take_long(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    release, closing = threading.Event(), FakeWorker.close

    def slowly(worker: FakeWorker) -> None:
        if worker.index == 0:
            release.wait(HANG)
        closing(worker)

    monkeypatch.setattr(FakeWorker, "close", slowly)
    with Sandbox(workers=1) as sandbox:
        world.opened[0].kill()
        assert returned(sandbox.run_many(echo(1))) == [1]
        assert world.closed == []
        release.set()


def test_a_run_that_was_killed_may_have_been_the_machine_s_choice(world: World) -> None:
    runs = [Run("killed 1", ((1,),)), Run("killed 2", ((2,),)), Run("killed 3", ((3,),)), *echo(4)]
    with Sandbox(workers=2) as sandbox:
        results = sandbox.run_many(runs)
        assert sandbox.deaths == 0
    assert [result.status for result in results] == [Status.OK, Status.OK, Status.MEMORY_LIMIT, Status.OK]
    assert [world.executed[f"killed {i}"] for i in (1, 2, 3)] == [2, 3, 3]


def test_without_threads_workers_are_opened_and_closed_all_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def start(thread: threading.Thread) -> None:
        if thread.name == "gasp-sandbox-pool":
            raise RuntimeError("can't start new thread")
        starting(thread)

    starting = threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", start)
    with Sandbox(workers=3) as sandbox:
        results = sandbox.run_many([Run("die", ((),)), *echo(1, 2, 3)])
        assert returned(results[1:]) == [1, 2, 3]
    assert len(world.closed) == len(world.opened)


# No workers.


def test_a_sandbox_that_cannot_be_opened_says_why(world: World) -> None:
    fakes.failing(1, world)
    sandbox = Sandbox(workers=2)
    with pytest.raises(SandboxError, match="daemon does not answer"):
        sandbox.run_many(echo(1))
    assert returned(sandbox.run_many(echo(1))) == [1]
    sandbox.close()


def test_workers_that_do_not_open_are_done_without(world: World) -> None:
    sandbox = Sandbox(workers=3)
    opened = world.open("docker", sandbox._settings)
    opened.close()
    world.fail = lambda: _fail_after(world, 2)
    with pytest.warns(RuntimeWarning, match="going on with 1 of 3 sandbox workers"):
        sandbox.open()
    assert returned(sandbox.run_many(echo(*range(20)))) == list(range(20))
    world.fail = lambda: None
    wait_until(lambda: len(sandbox._workers()) == 3)
    sandbox.close()


def _fail_after(world: World, count: int) -> None:
    if len(world.opened) >= count:
        raise SandboxError("no memory left")


def test_a_daemon_that_comes_back_costs_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    with Sandbox(workers=3) as sandbox:
        once = [True]

        def on_run(worker: FakeWorker, program: str) -> None:
            if program == "echo 50" and once:
                once.clear()
                fakes.failing(6, world)
                for other in world.alive:
                    other.kill()

        world.on_run = on_run
        results = sandbox.run_many(many(200))
        assert sandbox.deaths >= 3
    assert returned(results) == list(range(200))


def test_a_daemon_that_stays_away_is_an_infra_error(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_pool, "PATIENCE_SECONDS", 0.2)
    with Sandbox(workers=2) as sandbox:
        fakes.failing(10**6, world)
        for worker in world.alive:
            worker.kill()
        results = sandbox.run_many([*echo(1, 2), Run("die", ((),))])
        assert [result.status for result in results] == [Status.INFRA_ERROR] * 3
        assert "daemon does not answer" in results[0].error
        with pytest.raises(SandboxError, match="daemon does not answer"):
            sandbox.run_many(echo(1))
        world.fail = lambda: None
        assert returned(sandbox.run_many(echo(1))) == [1]


def test_workers_that_open_and_die_at_once_are_the_machine_s_fault(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "PATIENCE_SECONDS", 0.2)

    def die(worker: FakeWorker, *_: object) -> None:
        raise fakes.Died

    monkeypatch.setattr(FakeWorker, "_canary", die)
    with Sandbox(workers=2) as sandbox:
        results = sandbox.run_many(echo(1, 2, 3, 4))
    assert [result.status for result in results] == [Status.INFRA_ERROR] * 4


def test_a_run_is_not_blamed_if_no_worker_is_sound_afterwards(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "PATIENCE_SECONDS", 0.2)

    def on_run(worker: FakeWorker, program: str) -> None:
        if world.executed["echo"] == 3:  # alone by now; and with it goes the daemon
            fakes.failing(10**6, world)
        raise fakes.Died

    world.on_run = on_run
    with Sandbox(workers=1) as sandbox:
        [result] = sandbox.run_many(echo(1))
    assert result.status is Status.INFRA_ERROR


# Canaries.


def test_a_wrong_worker_is_retired_and_its_answers_are_asked_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CANARY_ANSWERS", 16)
    world.wrong = lambda worker: worker.index == 0 and sum(world.executed.values()) > 60
    with Sandbox(workers=2) as sandbox:
        with pytest.warns(RuntimeWarning, match="it computed 0 instead of .* asked again, 0 had already"):
            results = sandbox.run_many(many(400))
        assert returned(results) == list(range(400))
        assert sandbox.retired == 1
        assert sandbox.deaths == 0
        assert world.opened[0] in world.closed


def test_what_was_handed_out_before_a_worker_was_found_wrong_is_counted(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CANARY_ANSWERS", 16)
    with Sandbox(workers=1) as sandbox:
        sandbox.run_many(echo(-1))
        world.wrong = lambda worker: worker.index == 0
        sandbox.run_many(many(10))
        with pytest.warns(RuntimeWarning, match="11 had already been handed out"):
            results = sandbox.run_many(many(20))
        assert returned(results) == list(range(20))


def test_results_that_were_yielded_cannot_be_taken_back_and_others_are(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CANARY_ANSWERS", 16)
    world.wrong = lambda worker: worker.index == 0 and bool(world.executed["echo 5"])
    with Sandbox(workers=1) as sandbox, pytest.warns(RuntimeWarning, match="replaced"):
        found = list(sandbox.as_completed(many(100)))
    assert sorted(position for position, _ in found) == list(range(100)), "answered exactly once"
    values = {position: result.calls[0].value[0] for position, result in found}
    assert [values[i] for i in range(20, 100)] == list(range(20, 100))


def test_a_worker_that_is_wrong_from_the_start_is_never_believed(world: World) -> None:
    world.wrong = lambda worker: worker.index == 0
    sandbox = Sandbox(workers=2)
    with pytest.warns(RuntimeWarning, match="answered 0 runs"):
        results = sandbox.run_many(many(100))
    assert returned(results) == list(range(100))
    sandbox.close()


def test_if_all_workers_are_wrong_that_is_the_machine_s_fault(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_pool, "PATIENCE_SECONDS", 0.2)
    world.wrong = lambda worker: True
    sandbox = Sandbox(workers=2)
    with pytest.warns(RuntimeWarning, match="replaced"):
        results = sandbox.run_many(echo(1, 2))
    assert [result.status for result in results] == [Status.INFRA_ERROR] * 2


def test_what_was_answered_is_verified_and_forgotten_when_there_is_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "VERIFY_IDLE_SECONDS", 0.01)
    with Sandbox(workers=1) as sandbox:
        sandbox.run_many(echo(1))
        [only] = sandbox._dispatcher._connections.values()  # type: ignore[union-attr]
        wait_until(lambda: not only.unverified)
        world.wrong = lambda worker: worker.index == 0
        sandbox.run_many(echo(2))
        wait_until(lambda: sandbox.retired)
        with pytest.warns(RuntimeWarning, match="answered 1 runs"):
            sandbox.run_many(echo(3))


def test_canaries_are_rare(world: World) -> None:
    with Sandbox(workers=2) as sandbox:
        for i in range(10):
            sandbox.run_many([Run(f"echo {i} {j}", ((j,),)) for j in range(100)])
    assert 2 <= world.canaries <= 2 + 1000 // connection.CANARY_ANSWERS + 1


@pytest.mark.parametrize("seed", range(4))
def test_whatever_goes_wrong_every_run_is_answered_once_and_right(
    world: World, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Several threads, workers that die, fail to open, are slow, are killed; callers that go away."""
    monkeypatch.setattr(connection, "STALL_SECONDS", 0.005)
    monkeypatch.setattr(worker_pool, "MAX_BACKOFF_SECONDS", 0.05)
    draw = random.Random(seed)

    def on_run(worker: FakeWorker, program: str) -> None:
        if draw.random() < 0.01:
            raise fakes.Died
        if draw.random() < 0.02:
            time.sleep(0.02)

    def fail() -> None:
        if world.opened and draw.random() < 0.3:
            raise SandboxError("by chance")

    world.on_run, world.fail = on_run, fail
    wrong: list[object] = []

    def ask(number: int) -> None:
        mine = random.Random(seed * 100 + number)
        for turn in range(6):
            runs = [Run(f"echo {number} {turn} {i % 40}", ((i % 40,),)) for i in range(mine.randrange(1, 80))]
            how = mine.randrange(4)
            if how == 0:
                results = dict(enumerate(sandbox.run_many(runs)))
            elif how == 1:
                results = dict(sandbox.as_completed(runs))
            elif how == 2:
                results = dict(enumerate(asyncio.run(sandbox.run_many_async(runs))))
            else:
                iterator = sandbox.as_completed(runs)
                results = dict(itertools.islice(iterator, mine.randrange(len(runs))))
                iterator.close()
            wrong.extend(
                (number, turn, i, result)
                for i, result in results.items()
                if result.status is not Status.WORKER_KILLED and result.calls[0].value != (i % 40,)
            )
            wrong.extend([] if how == 3 or len(results) == len(runs) else [(number, turn)])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # about workers that did not open
        with Sandbox(workers=3) as sandbox:
            threads = [in_thread(ask, number) for number in range(5)]
            for thread in threads:
                thread.join(HANG)
                assert not thread.is_alive(), "nobody may hang"
            assert wrong == []
            assert sandbox.deaths > 0


# Opening, closing, forking.


def test_it_can_be_closed_and_opened_again(world: World) -> None:
    sandbox = Sandbox(workers=2)
    for i in range(3):
        assert returned(sandbox.run_many(echo(i))) == [i]
        sandbox.close()
        sandbox.close()
    assert len(world.closed) == len(world.opened)
    assert sandbox.runs == 3


def test_closing_while_others_wait_answers_them(world: World) -> None:
    sandbox = Sandbox(workers=1)
    answers: dict[str, list[Result]] = {}
    runs = [Run("sleep 0.3", ((0,),)), *slow(50)]
    threads = [
        in_thread(lambda: answers.update(many=sandbox.run_many(runs))),
        in_thread(lambda: answers.update(iterated=[r for _, r in sandbox.as_completed(runs)])),
        in_thread(lambda: answers.update(awaited=asyncio.run(sandbox.run_many_async(runs)))),
    ]
    wait_until(lambda: world.executed["sleep 0.3"])
    time.sleep(0.05)
    sandbox.close()
    for thread in threads:
        thread.join(HANG)
        assert not thread.is_alive()
    # One that asked only after the closing has opened it again, and is answered.
    for results in answers.values():
        assert {result.status for result in results} <= {Status.OK, Status.INFRA_ERROR}
    assert any(result.status is Status.INFRA_ERROR for result in answers["many"])
    assert returned(sandbox.run_many(echo(1))) == [1]
    sandbox.close()


def test_threads_and_descriptors_are_given_back(world: World) -> None:
    def used() -> tuple[int, int]:
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    with Sandbox(workers=2) as sandbox:
        sandbox.run_many(echo(1))
    gc.collect()
    before = used()
    for i in range(10):
        with Sandbox(workers=3) as sandbox:
            sandbox.run_many([*echo(i), Run("die", ((),))])
    forgotten = Sandbox(workers=2)
    forgotten.run_many(echo(1))
    del forgotten, sandbox
    gc.collect()
    wait_until(lambda: used() == before, f"{used()} {before}")
    assert len(world.closed) == len(world.opened)


def test_open_waits_for_all_workers_and_the_first_run_for_one(world: World) -> None:
    release = threading.Event()

    def fail() -> None:
        if world.opened:
            release.wait(HANG)

    world.fail = fail
    sandbox = Sandbox(workers=3)
    assert returned(sandbox.run_many(echo(1))) == [1]
    assert len(sandbox._workers()) == 1
    opening = in_thread(sandbox.open)
    time.sleep(0.05)
    assert opening.is_alive()
    release.set()
    opening.join(HANG)
    assert len(sandbox._workers()) == 3
    sandbox.close()


def test_a_worker_that_opens_too_late_is_closed(world: World) -> None:
    release = threading.Event()
    world.fail = lambda: world.opened and release.wait(HANG) and None
    sandbox = Sandbox(workers=3)
    sandbox.run_many(echo(1))
    sandbox.close()
    release.set()
    wait_until(lambda: len(world.closed) == len(world.opened) == 3)


def test_a_forked_child_opens_its_own(world: World) -> None:
    with Sandbox(workers=2) as sandbox:
        sandbox.run_many(echo(1))
        descriptors = [worker.fileno() for worker in world.alive]
        with warnings.catch_warnings():  # later versions of Python warn of forks beside threads, with reason
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if not child:
            status = 1
            with contextlib.suppress(BaseException):
                assert all(os.fstat(fd).st_rdev == os.stat(os.devnull).st_rdev for fd in descriptors)
                assert sandbox._workers() == []
                assert returned(sandbox.run_many(echo(2))) == [2]
                sandbox.close()
                status = 0
            os._exit(status)
        _, ended = os.waitpid(child, 0)
        assert ended == 0
        assert returned(sandbox.run_many(echo(3))) == [3]
        assert sandbox.deaths == 0


def test_the_clock_on_the_wall_does_not_matter(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def never() -> float:
        raise AssertionError("time.time jumps")

    monkeypatch.setattr(time, "time", never)
    with Sandbox(workers=2) as sandbox:
        results = sandbox.run_many([*echo(1), Run("die", ((),)), Run("sleep 0.1", ((2,),))])
    assert [result.status for result in results] == [Status.OK, Status.WORKER_KILLED, Status.OK]


def test_an_open_sandbox_does_not_keep_the_interpreter_from_ending(tmp_path: object) -> None:
    script = (
        "from tests.sandbox import fakes; from gasp_env.sandbox import *; from gasp_env.sandbox import tiers\n"
        "world = fakes.World(); tiers.open_worker = world.open\n"
        "sandboxes = [Sandbox(workers=2), shared(workers=3)]\n"
        "for sandbox in sandboxes: sandbox.run_many([Run('echo', ((1,),))])\n"
        "import atexit; atexit._run_exitfuncs(); print(len(world.opened), len(world.closed))\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", script],
        capture_output=True,
        text=True,
        timeout=HANG,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "5 5\n", "")


def test_a_mistake_in_the_dispatcher_hangs_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    caught: list[object] = []
    monkeypatch.setattr(threading, "excepthook", caught.append)
    with Sandbox(workers=1) as sandbox:
        monkeypatch.setattr(dispatcher.Dispatcher, "_accept_answer", lambda *_: 1 / 0)
        [result] = sandbox.run_many(echo(1))
        assert result.status is Status.INFRA_ERROR
        assert "ZeroDivisionError" in result.error
        wait_until(lambda: caught)
        caught.clear()
