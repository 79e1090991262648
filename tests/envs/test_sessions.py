"""Sessions: episodes of threads and coroutines that share a library, and are those of a vector env."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from gasp_env import policies
from gasp_env.envs.sessions import Session, Sessions, _Request
from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.episode.turns import Turn
from gasp_env.library import embedders
from gasp_env.policies import Sampling
from gasp_env.rewards.registry import teacher_reward
from gasp_env.sandbox import Sandbox

SLOW = "```python\ndef f(*x):\n    while True:\n        pass\n```"


def scripted(turn: Turn) -> tuple[str, ...]:
    (group,) = policies.get("scripted").generate([turn.prompt], [turn.samples], Sampling())
    return tuple(one.text for one in group)


def played(session: Session) -> Session:
    while session.turn is not None:
        session.step(scripted(session.turn))
    return session


async def played_async(session: Session) -> Session:
    while session.turn is not None:
        await session.step_async(scripted(session.turn))
    return session


@pytest.fixture
def sessions(sandbox: Sandbox) -> Iterator[Sessions]:
    with Sessions(sandbox=sandbox, most=16) as made:
        yield made


def vector(sandbox: Sandbox, count: int, **options: Any) -> GaspCodeVectorEnv:
    envs = GaspCodeVectorEnv(count, sandbox=sandbox, **options)
    envs.reset(seed=0)
    while any(envs.turns):
        envs.step([None if turn is None else scripted(turn) for turn in envs.turns])
    return envs


@pytest.mark.parametrize("options", [{}, {"curriculum": "azr"}, {"curriculum": "rlvr"}, {"novelty": "exact"}])
def test_transcripts_are_those_of_a_vector_env(sandbox: Sandbox, options: dict[str, Any]) -> None:
    envs = vector(sandbox, 5, **options)
    with Sessions(sandbox=sandbox, **options) as sessions:
        begun = [sessions.begin(seed=seed) for seed in range(5)]  # all of them see the empty library
        with ThreadPoolExecutor(5) as threads:
            ended = list(threads.map(played, begun))
        assert [session.transcript for session in ended] == envs.transcripts
        assert {entry.task.fingerprint for entry in sessions.library.entries} == {
            entry.task.fingerprint for entry in envs.library.entries
        }

    async def main() -> list[dict[str, Any] | None]:
        async with Sessions(sandbox=sandbox, **options) as sessions:
            begun = [await sessions.begin_async(seed=seed) for seed in range(5)]
            return [one.transcript for one in await asyncio.gather(*map(played_async, begun))]

    assert asyncio.run(main()) == envs.transcripts


def test_a_task_reaches_the_library_when_its_session_ends(sessions: Sessions) -> None:
    first, second = sessions.begin(seed=0), sessions.begin(seed=0)
    assert first.number != second.number
    played(first)
    assert len(sessions.library) > 0
    third = sessions.begin(seed=0)
    assert third.turn is not None
    third.step(scripted(third.turn))
    record = third.transcript
    assert record is not None
    assert record["turns"][0]["samples"][0]["verdict"] == "duplicate"
    assert len(sessions.library) == len(played(second)._sessions.library), (
        "the second saw none, and adds none"
    )


def test_what_is_wrong_is_said_to_its_caller_and_changes_nothing(sessions: Sessions) -> None:
    session = sessions.begin(seed=0, goalpost=sessions.driver.goalposts[3].id)
    record = session.transcript
    for wrong in (5, (), ("a",) * 99, ["a", 5], None):
        with pytest.raises(ValueError, match="expected"):
            session.step(wrong)  # type: ignore[arg-type]
    assert session.transcript == record
    assert record is not None
    assert record["pinned"] == 3
    for options in ({"seed": -1}, {"seed": "a"}, {"goalpost": "nobody"}, {"goalpost": ["a"]}):
        with pytest.raises(ValueError, match="expected"):
            sessions.begin(**options)  # type: ignore[arg-type]
    played(session)
    with pytest.raises(RuntimeError, match="the session is over"):
        session.step("x")
    with pytest.raises(RuntimeError, match="the session is over"):
        session.clone()
    for options in ({"most": 0}, {"most": True}, {"gather": -1}, {"gather": "a"}, {"attempts": 0}):
        with pytest.raises(ValueError, match="expected"):
            Sessions(**options)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="unexpected keyword argument 'colour'"):
        Sessions(colour=1)


@pytest.mark.parametrize("wait", [0.0, 0.001, 0.02, 0.3])
def test_a_cancelled_step_leaves_the_session_as_it_was(sandbox: Sandbox, wait: float) -> None:
    async def main() -> None:
        async with Sessions(sandbox=sandbox) as sessions:
            whole = await played_async(await sessions.begin_async(seed=1))
            sessions.library.commit(())  # what it left is not seen: the other began before
        async with Sessions(sandbox=sandbox) as sessions:
            session = await sessions.begin_async(seed=1)
            while session.turn is not None:
                before, turn, entries = session.transcript, session.turn, len(sessions.library)
                step = asyncio.create_task(session.step_async(scripted(turn)))
                await asyncio.sleep(wait)
                if step.cancel():
                    with pytest.raises(asyncio.CancelledError):
                        await step
                    assert (session.transcript, session.turn, len(sessions.library)) == (
                        before,
                        turn,
                        entries,
                    )
                    await session.step_async(scripted(turn))
            assert session.transcript == whole.transcript
            assert len(sessions._free) == len(sessions.driver.episodes), "no slot is lost"
            assert sessions._places == 1024

    asyncio.run(main())


def test_a_slow_program_delays_no_other_session(sandbox: Sandbox) -> None:
    with Sessions(sandbox=sandbox, curriculum="rlvr", gather=0.0) as sessions:
        slow, quick = sessions.begin(seed=0), sessions.begin(seed=1)
        thread = threading.Thread(target=lambda: slow.step(SLOW))
        thread.start()
        time.sleep(0.1)
        with pytest.raises(RuntimeError, match="one step of a session at a time"):
            slow.step("x")
        with pytest.raises(RuntimeError, match="one step of a session at a time"):
            slow.close()
        quick.step("no program")
        assert thread.is_alive()
        thread.join()


def test_the_next_waits_while_most_are_open(sandbox: Sandbox) -> None:
    with Sessions(sandbox=sandbox, most=2) as sessions:
        first, second = sessions.begin(), sessions.begin()
        with ThreadPoolExecutor(2) as threads:
            third, copied = threads.submit(sessions.begin), threads.submit(second.clone)
            time.sleep(0.1)
            assert not third.done()
            assert not copied.done()
            first.close()
            assert first.turn is None
            assert first.transcript is None
            assert third.result(5).turn is not None
            played(third.result())
            assert copied.result(5).turn == second.turn
        del copied
        gc.collect()
        assert sessions.begin().turn is not None, "a session that nobody refers to gives its place back"

    async def main() -> None:
        async with Sessions(sandbox=sandbox, most=1) as sessions:
            session = await sessions.begin_async()
            for _ in range(3):
                with pytest.raises(asyncio.TimeoutError):
                    await asyncio.wait_for(sessions.begin_async(), 0.01)
            session.close()
            await asyncio.wait_for(sessions.begin_async(), 5)

    asyncio.run(main())


def test_clones_go_on_apart(sessions: Sessions) -> None:
    session = sessions.begin(seed=0)
    group = [session, session.clone(), asyncio.run(session.clone_async())]
    assert len({one.number for one in group}) == 3
    assert len({one.turn.prompt for one in group if one.turn is not None}) == 1
    assert session.turn is not None
    session.step(scripted(session.turn))
    group[1].step("nothing")
    assert group[2].turn is not None
    assert group[2].turn.index == 0
    assert played(group[0]).transcript == played(group[2]).transcript != group[1].transcript


def test_a_reward_that_raises_is_the_affair_of_its_session(sandbox: Sandbox) -> None:
    @teacher_reward("fails_on_invalid")
    def fails_on_invalid(outcomes: Any) -> Any:
        return [{"reward": 1.0 if outcome.valid else 1 / 0} for outcome in outcomes]

    with Sessions(sandbox=sandbox, teacher_reward="fails_on_invalid", attempts=1, gather=0.2) as sessions:
        good, bad = sessions.begin(seed=0), sessions.begin(seed=1)
        with ThreadPoolExecutor(2) as threads:
            assert good.turn is not None
            first = threads.submit(good.step, scripted(good.turn))
            second = threads.submit(bad.step, "nothing")
            assert first.result().terminated is False
            with pytest.raises(RuntimeError, match="'fails_on_invalid' raised ZeroDivisionError"):
                second.result()
        assert bad.turn is not None
        assert bad.turn.index == 0
        bad.step(scripted(bad.turn))


def test_deferred_rewards_name_their_session(sandbox: Sandbox) -> None:
    with Sessions(sandbox=sandbox, teacher_reward="shuffled:azr_paper", curriculum="azr") as sessions:
        first, second = (played(sessions.begin(seed=seed)) for seed in range(2))

        third = sessions.begin(seed=2)
        assert third.turn is not None
        request = third._request("nothing")  # played, and not taken yet: it may still be cancelled
        request.future.result()
        paid = sessions.score_deferred()
        assert {one.episode for one in paid} == {first.number, second.number}
        assert first.transcript is not None
        assert first.transcript["turns"][0]["samples"][0]["reward"] is not None
        assert sessions.score_deferred() == []
        sessions._abandon(request)
        third.step("nothing")
        assert [one.episode for one in sessions.score_deferred()] == [third.number]
        assert not sessions.driver._deferred


def test_closing_ends_what_waits(sandbox: Sandbox) -> None:
    sessions = Sessions(sandbox=sandbox, most=1, gather=0.5)
    session = sessions.begin()
    with ThreadPoolExecutor(2) as threads:
        step, begun = threads.submit(session.step, "x"), threads.submit(sessions.begin)
        time.sleep(0.1)
        sessions.close()
        for future in (step, begun):
            with pytest.raises(RuntimeError, match="the sessions are closed"):
                future.result(5)
    with pytest.raises(RuntimeError, match="the sessions are closed"):
        sessions.begin()
    sessions.close()


def test_the_event_loop_goes_on_while_a_hundred_play(sandbox: Sandbox) -> None:
    async def main() -> float:
        async with Sessions(sandbox=sandbox, attempts=2) as sessions:
            over, longest = False, 0.0

            async def watch() -> None:
                nonlocal longest
                while not over:
                    before = time.perf_counter()
                    await asyncio.sleep(0.001)
                    longest = max(longest, time.perf_counter() - before)

            async def one(seed: int) -> None:
                await played_async(await sessions.begin_async(seed=seed))

            watching = asyncio.create_task(watch())
            await asyncio.gather(*(one(seed) for seed in range(100)))
            over = True
            await watching
            return longest

    assert asyncio.run(main()) < 5, "it was blocked: benchmarks.sessions measures how long"


def test_a_begin_that_is_cancelled_keeps_no_place(sandbox: Sandbox) -> None:
    async def main() -> None:
        async with Sessions(sandbox=sandbox, most=4) as sessions:
            for turns in range(6):
                begins = [asyncio.ensure_future(sessions.begin_async(seed=seed)) for seed in range(6)]
                for _ in range(turns):
                    await asyncio.sleep(0)
                for one in begins:
                    one.cancel()
                await asyncio.gather(*begins, return_exceptions=True)
            begun = [await asyncio.wait_for(sessions.begin_async(), 5) for _ in range(4)]
            assert all(one.turn is not None for one in begun)

    asyncio.run(main())


def test_a_forked_child_is_told(sessions: Sessions) -> None:
    session = sessions.begin()
    child = os.fork()
    if child == 0:
        told = 0
        for call in (sessions.begin, lambda: session.step("x")):
            try:
                call()
            except RuntimeError as error:
                told += "make others here" in str(error)
        os._exit(told)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 2


def test_threads_that_outlive_the_main_one_are_answered() -> None:
    program = (
        "import threading, time\n"
        "from gasp_env.envs.sessions import Sessions\n"
        "sessions = Sessions(sandbox='landlock')\n"
        "session = sessions.begin()\n"
        "def late():\n"
        "    time.sleep(1)\n"
        "    try: session.step('x'); print('answered')\n"
        "    except RuntimeError as error: print('told')\n"
        "threading.Thread(target=late).start()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() in ("answered", "told")


def test_what_depends_on_moments_is_refused() -> None:
    with pytest.raises(ValueError, match="expected batch_duplicates=False"):
        Sessions(batch_duplicates=True)


def test_many_threads_share_one_novelty_check(sandbox: Sandbox) -> None:
    embedder = embedders.get("hashing")
    table = embedders.EmbeddingTable(embedder)
    texts = [f"def f(x):\n    return x * {number} + {number % 7}" for number in range(300)]
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as threads:
            list(threads.map(lambda text: table.rows([text]), texts * 3))
    finally:
        sys.setswitchinterval(before)
    assert len(set(table.rows(texts))) == len(texts)
    for text in texts[::10]:
        assert int(table.similarities(text).argmax()) == int(table.rows([text])[0])


def test_a_batch_that_is_due_after_the_end_is_refused(sandbox: Sandbox) -> None:
    sessions = Sessions(sandbox=sandbox)
    session = sessions.begin()
    requests = [_Request(session._slot, ["x"]) for _ in range(2)]
    assert requests[1].wanted()
    sessions.close()
    sessions._play(requests)
    for request in requests:
        with pytest.raises(RuntimeError, match="the sessions are closed"):
            request.future.result(0)
