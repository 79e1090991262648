"""Tests of one program, in order: what comes after the first that fails need not be executed."""

from __future__ import annotations

import random
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gasp_env.sandbox import Limits, Result, Run, Sandbox, SandboxError, Status
from gasp_env.sandbox.dispatch import connection, dispatcher, worker_pool
from gasp_env.sandbox.dispatch.batch import Batch, BatchRun
from gasp_env.sandbox.dispatch.canary import Canary
from gasp_env.sandbox.dispatch.connection import Connection
from gasp_env.sandbox.dispatch.dispatcher import Dispatcher
from gasp_env.sandbox.dispatch.queue import BatchQueue
from gasp_env.sandbox.per_call import SplitRuns, split
from gasp_env.sandbox.runs import HASH_SEEDS
from tests.conftest import skip_without
from tests.fuzz import examples
from tests.sandbox import fakes
from tests.sandbox.dispatch.test_dispatcher import wait_until
from tests.sandbox.fakes import FakeWorker, World

LOOP = "while 1: pass\ndef f(x): return x"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(worker_pool, "BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(dispatcher, "VERIFY_IDLE_SECONDS", 1e6)
    made = fakes.install(monkeypatch)
    yield made
    made.close()


def obeying(*orders: str, series: str = "s") -> list[Run]:
    return [Run("obey", ((order,),), series=series) for order in orders]


def told(results: list[Result]) -> list[tuple[Any, ...]]:
    return [(result.status, result.calls, result.error) for result in results]


def was_left_out(result: Result) -> bool:
    return result.error.startswith("not executed: an earlier run of its series ended with ")


def until_failed(results: list[Result]) -> list[tuple[Any, ...]]:
    """Everything that a verdict may depend on: all results up to the first that failed."""
    ends = next((at for at, result in enumerate(results) if result.status is not Status.OK), len(results))
    return told(results[: ends + 1])


# What is asked and what is left out.


def test_what_comes_after_a_failure_is_left_out(world: World) -> None:
    runs = obeying("echo 0", "fail 1", *(f"sleep 0.01 {i}" for i in range(2, 60)))
    with Sandbox(workers=1) as sandbox:
        results = sandbox.run_many(runs)
        assert sandbox.runs < 20
        assert sandbox.requested == 60
    assert [result.status for result in results] == [Status.OK, *[Status.EXCEPTION] * 59]
    assert results[1].error == "ValueError: 1"
    assert {result.error for result in results[2:]} == {
        "not executed: an earlier run of its series ended with exception"
    }
    assert {result.tier for result in results[2:]} == {""}


def test_other_series_and_runs_of_none_are_not_concerned(world: World) -> None:
    orders = ["fail", *(f"sleep 0.005 {i}" for i in range(40))]
    runs = [
        run
        for at in range(len(orders))
        for run in (
            *obeying(orders[at]),
            *obeying(f"echo b {at}", series="b"),
            *obeying(f"echo none {at}", series=""),
        )
    ]
    with Sandbox(workers=2) as sandbox:
        results = sandbox.run_many([*obeying("fail", series=""), *runs])
    assert results[0].error == "ValueError: "
    for run, result in zip(runs, results[1:], strict=True):
        assert (result.status is Status.OK) is (run.series != "s"), result


@pytest.mark.docker
@pytest.mark.parametrize(
    ("program", "executed"),
    [
        ("def f(x): return [7][x]", True),
        ("def f(x): return [7, open][x]", True),
        ("def f(x):\n    while x: pass\n    return x", False),
        ("import os\ndef f(x): return os._exit(3) if x else x", False),
    ],
)
def test_calls_may_raise_but_not_end_the_run(program: str, executed: bool, sandbox: Sandbox) -> None:
    """Every call was reached: the series goes on. One that ends the run ends the series, as without the option."""
    limits = Limits(cpu_seconds=1, wall_seconds=20.0)
    runs = [
        Run(program, ((0,), (1,)), hash_seed=seed, limits=limits, series="raises", may_raise=True)
        for seed in HASH_SEEDS
    ]
    results = sandbox.run_many(runs)
    assert results[0].status is not Status.OK
    assert any(was_left_out(result) for result in results) is not executed
    without = sandbox.run_many([replace(run, series="ends", may_raise=False) for run in runs])
    assert was_left_out(without[-1])


def test_only_what_is_later_in_the_batch_is_left_out(world: World) -> None:
    """The last fails at once, all before it take their time."""
    with Sandbox(workers=3) as sandbox:
        results = sandbox.run_many(obeying(*(f"sleep 0.02 {i}" for i in range(9)), "fail"))
        assert sandbox.runs == 10
    assert [result.status for result in results] == [*[Status.OK] * 9, Status.EXCEPTION]


def test_equal_runs_are_one_in_the_same_series_only(world: World) -> None:
    with Sandbox(workers=1) as sandbox:
        sandbox.run_many([*obeying("echo"), *obeying("echo"), *obeying("echo", series="t")])
        assert sandbox.runs == 2


def test_a_failure_that_comes_later_than_what_it_leaves_out(world: World) -> None:
    """A first chunk has long been answered when those after it are handed over."""
    orders = ["fail", *(f"sleep 0.001 {i}" for i in range(500))]
    with Sandbox(workers=2) as sandbox:
        results = sandbox.run_many(obeying(*orders))
        assert all(map(was_left_out, results[60:]))
        assert sandbox.runs < 60
        # Everything that is left is left out as it comes, and the sandbox goes on.
        [answer] = sandbox.run_many(obeying("echo"))
        assert answer.status is Status.OK


def test_nobody_waits_for_what_was_left_out(world: World) -> None:
    """If an earlier test fails while a later one is executed, the later one is ended."""
    with Sandbox(workers=2) as sandbox:
        sandbox.open()
        started = time.monotonic()
        results = sandbox.run_many(obeying("sleep 0.1", "sleep 5", "fail", "sleep 5 again"))
        assert time.monotonic() - started > 4, "what comes before is waited for"
        assert [result.status for result in results[:2]] == [Status.OK] * 2
        started = time.monotonic()
        first, second = sandbox.run_many(obeying("fail", "sleep 6"))
        assert time.monotonic() - started < 4
        assert first.status is second.status is Status.EXCEPTION
        assert was_left_out(second)


def test_streams_have_all_of_them(world: World) -> None:
    with Sandbox(workers=2) as sandbox:
        found = dict(sandbox.as_completed(obeying("echo 0", "fail", *(f"sleep 0.01 {i}" for i in range(80)))))
    assert sorted(found) == list(range(82))
    assert found[0].status is Status.OK
    assert {result.status for position, result in found.items() if position} <= {Status.OK, Status.EXCEPTION}
    assert was_left_out(found[81])


def test_a_run_that_ends_workers_leaves_the_others_alone(world: World) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with Sandbox(workers=2) as sandbox:
            results = sandbox.run_many(obeying(*(f"die {i}" for i in range(30))))
            assert {result.status for result in results} == {Status.WORKER_KILLED}
            assert was_left_out(results[29])
            assert sandbox.deaths < 20
            assert [result.status for result in sandbox.run_many(obeying("echo", "echo 2"))] == [
                Status.OK
            ] * 2


def lie(monkeypatch: pytest.MonkeyPatch, world: World, workers: range, after: int) -> None:
    """Let some workers say of every test, after so many, that it fails. The next canary finds them out."""

    def lies(worker: FakeWorker) -> bool:
        return worker.index in workers and len(worker.asked) > after

    original = FakeWorker._execute

    def execute(worker: FakeWorker, run: bytes) -> bytes:
        canaries = world.canaries
        answer = original(worker, run)
        if not lies(worker) or world.canaries > canaries:
            return answer
        return fakes._answer(fakes._number(run), [("exception", "ValueError: a lie")])

    world.wrong = lies
    monkeypatch.setattr(FakeWorker, "_execute", execute)


def test_what_was_left_out_for_a_wrong_answer_is_asked_after_all(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    lie(monkeypatch, world, range(1), after=1)
    monkeypatch.setattr(connection, "CANARY_ANSWERS", 2)
    orders = [f"echo {number}" for number in range(40)]
    # What takes longer holds the batch open until the canary is answered.
    slow = [Run(f"sleep 0.2 {number}", ((number,),)) for number in range(3)]
    with Sandbox(workers=1) as sandbox:
        with pytest.warns(RuntimeWarning, match="was replaced because"):
            results = sandbox.run_many([*obeying(*orders), *slow])
        assert sandbox.retired == 1
    assert [result.status for result in results] == [Status.OK] * 43
    assert [result.calls[0].value for result in results[:40]] == [(order,) for order in orders]


@pytest.mark.parametrize("seed", range(6))
def test_nothing_handed_out_was_left_out_for_what_was_taken_back(
    world: World, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Several workers are wrong by turns while a slow caller takes results as they come."""
    lie(monkeypatch, world, range(4), after=6)
    monkeypatch.setattr(connection, "CANARY_ANSWERS", 3)
    draw = random.Random(seed)
    runs = [run for at in range(30) for run in obeying(*(f"echo {at} {n}" for n in range(8)), series=f"{at}")]
    handed_out: dict[int, Result] = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        with Sandbox(workers=3) as sandbox:
            for position, result in sandbox.as_completed(runs):
                handed_out[position] = result
                if draw.random() < 0.2:
                    time.sleep(0.002)
            assert sandbox.retired >= 3
    assert sorted(handed_out) == list(range(len(runs)))
    for start in range(0, len(runs), 8):
        tests = [handed_out[position] for position in range(start, start + 8)]
        first = next((test for test in tests if test.status is not Status.OK), None)
        assert first is None or first.error == "ValueError: a lie"


def test_a_failure_stands_once_somebody_was_told_that_it_left_out_another() -> None:
    """Results come in the order in which they were first there; what is taken back meanwhile has another by then."""
    for handed_out in (True, False):
        batch, queue = Batch(stream=True), BatchQueue()
        batch.size = 2
        first, second = asked = [
            BatchRun(run, batch, positions=[at]) for at, run in enumerate(obeying("fail", "echo"))
        ]
        queue.add(batch, batch.add(asked), last=True)
        assert [queue.pop(), queue.pop(), queue.pop()] == [first, second, None]
        queue.answer(second, Result(Status.OK))
        assert queue.revoke(second)
        queue.answer(first, Result(Status.EXCEPTION))
        assert second.skipped
        results = batch.completed()
        if handed_out:
            assert next(results)[0] == 1
        assert queue.revoke(first) is not handed_out
        if handed_out:
            assert next(results) == (0, Result(Status.EXCEPTION))
            assert not queue
        else:
            assert {queue.pop(), queue.pop()} == {first, second}
            queue.answer(first, Result(Status.OK))
            queue.answer(second, Result(Status.OK))
            assert sorted(results) == [(0, Result(Status.OK)), (1, Result(Status.OK))]
            assert not queue


def test_an_answer_from_the_cache_ends_a_series_too(world: World, tmp_path: Path) -> None:
    orders = ["echo 0", "fail", *(f"sleep 0.01 {i}" for i in range(60))]
    with Sandbox(workers=1, cache=tmp_path / "cache") as sandbox:
        first = sandbox.run_many(obeying(*orders))
    with Sandbox(workers=1, cache=tmp_path / "cache") as sandbox:
        again = sandbox.run_many(obeying(*orders))
        assert sandbox.runs == 0
        assert sandbox.hits >= 2
        # What was left out was not stored as an answer, and no series is part of a name.
        alone = sandbox.run_many([replace(run, series="") for run in obeying(*orders)])
        assert [result.status for result in alone] == [Status.OK, Status.EXCEPTION, *[Status.OK] * 60]
        assert sandbox.hits >= 4
    assert [result.status for result in first] == [result.status for result in again]
    assert until_failed(first) == until_failed(again)


def test_parts_of_equal_runs_are_equal() -> None:
    same = [Run("echo", ((1,), (2,)), fresh=True)] * 2
    other = [Run("echo", ((True,), (2,)), fresh=True), Run("echo", ((1,), (2,)), fresh=True, hash_seed=1)]
    parts = SplitRuns([*same, *other]).parts
    assert parts[0:2] == parts[2:4]
    assert len({part.series for part in parts}) == 3
    assert parts[0].series == parts[1].series != ""
    assert {part.series for part in SplitRuns([replace(same[0], series="mine")]).parts} == {"mine"}
    assert {
        part.series for part in SplitRuns([Run("echo", ((1,), (2,))), Run("echo", ((1,),), fresh=True)]).parts
    } == {""}


# The same verdicts as if everything were executed.

ORDERS = st.sampled_from(["echo", "echo", "echo", "sleep 0.002", "fail", "killed 1000000"])
ANSWERS = st.lists(
    st.tuples(st.booleans(), st.lists(ORDERS, min_size=1, max_size=12)), min_size=1, max_size=5
)


def _asked(answers: list[tuple[bool, list[str]]]) -> list[list[Run]]:
    """One fresh run, or a series of runs, for each answer. Equal answers are equal."""
    asked = []
    for fresh, orders in answers:
        named = [f"{order} {number}" if " " not in order else order for number, order in enumerate(orders)]
        if fresh:
            asked.append([Run("obey", tuple((order,) for order in named), fresh=True)])
        else:
            asked.append(obeying(*named, series=f"of {named}"))
    return asked


@settings(max_examples=examples(60), deadline=None)
@given(ANSWERS, st.sampled_from([1, 2, 4]), st.booleans(), st.booleans(), st.integers(0, 99))
def test_verdicts_are_those_of_executing_everything(
    answers: list[tuple[bool, list[str]]], workers: int, dedupe: bool, stream: bool, seed: int
) -> None:
    asked = _asked(answers)
    chance = random.Random(seed)  # not hypothesis's own, which is its thread's alone
    deaths = seed % 5 == 0

    def on_run(worker: FakeWorker, program: str) -> None:
        if deaths and chance.random() < 0.02:
            raise fakes.Died

    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        patch.setattr(worker_pool, "BACKOFF_SECONDS", 0.01)
        patch.setattr(dispatcher, "EXCUSED_KILLS", 0)
        world = fakes.install(patch)
        with Sandbox(workers=1, dedupe=False) as sandbox:
            everything = [
                sandbox.run_many(
                    [replace(part, fresh=False, series="") for run in runs for part in split(run)]
                )
                for runs in asked
            ]
        world.executed.clear()
        world.on_run = on_run
        flat = [run for runs in asked for run in runs]
        with Sandbox(workers=workers, dedupe=dedupe) as sandbox:
            if stream:
                streamed = dict(sandbox.as_completed(flat))
                results = [streamed[position] for position in range(len(flat))]
            else:
                results = sandbox.run_many(flat)
            assert sandbox.runs <= sandbox.requested == sum(len(orders) for _, orders in answers)
        world.close()
    for runs, expected in zip(asked, everything, strict=True):
        mine, results = results[: len(runs)], results[len(runs) :]
        right = until_failed(expected)
        if not runs[0].fresh:
            assert until_failed(mine) == right
            continue
        [merged] = mine
        assert (merged.status, merged.error) == (right[-1][0], right[-1][2])
        assert merged.calls == tuple(call for _, calls, _ in right for call in calls)


# With real programs.


@pytest.mark.docker
@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_program_that_loops_costs_its_limit_once(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    started: list[Run] = []
    assign, accept_answer = Connection.assign, Dispatcher._accept_answer

    def assigning(self: Connection, number: int, item: Any, now: float) -> None:
        started.append(item.run)
        assign(self, number, item, now)

    def accepting(self: Dispatcher, worker: Connection, item: Any, frame: bytes | None) -> None:
        assert not isinstance(item, Canary)
        if frame is None:
            started.remove(item.run)
        accept_answer(self, worker, item, frame)

    monkeypatch.setattr(Connection, "assign", assigning)
    monkeypatch.setattr(Dispatcher, "_accept_answer", accepting)
    limits = Limits(cpu_seconds=1, wall_seconds=60.0)
    fresh = Run(LOOP, tuple((number,) for number in range(14)), limits=limits, fresh=True)
    whole = [Run(LOOP, profile="stdin", stdin=f"{n}", limits=limits, series="tests") for n in range(14)]
    try:
        with Sandbox("docker", workers=workers) as sandbox:
            sandbox.open()
            at_work = sandbox._dispatcher
            assert at_work is not None
            connections = at_work._connections
            for runs in ([fresh], whole):
                started.clear()
                results = sandbox.run_many(runs)
                assert {result.status for result in results} == {Status.CPU_LIMIT}
                assert results[0].calls == ()
                # Until the next answer the other workers may still be at the test they were given.
                wait_until(lambda: not any(one.in_flight for one in connections.values()))
                assert len(started) <= 1 + workers
            good = Run("def f(x): return x", ((1,), (2,)), limits=limits, fresh=True)
            assert [call.value for call in sandbox.run_many([good])[0].calls] == [1, 2]
            assert (sandbox.deaths, sandbox.retired) == (0, 0)
    except SandboxError as error:
        skip_without("Docker", error)
