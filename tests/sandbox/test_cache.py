"""Answers on disk: found again, never believed when damaged, and no run lost for a broken file."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gasp_env.sandbox import Limits, Result, Run, Sandbox, SandboxError, Status, cache
from gasp_env.sandbox.cache import Cache, cache_key, storable
from gasp_env.sandbox.dispatch import connection, dispatcher
from tests.sandbox import fakes
from tests.sandbox.dispatch.test_dispatcher import echo, many, returned, wait_until
from tests.sandbox.fakes import FakeWorker, World

KEYS = [bytes([i]) * 32 for i in range(256)]


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(dispatcher, "VERIFY_IDLE_SECONDS", 1e6)
    made = fakes.install(monkeypatch)
    yield made
    made.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "answers.sqlite"


def opened(file: Path, **options: int) -> tuple[Cache, list[str]]:
    warnings: list[str] = []
    return Cache(file, warn=warnings.append, **options), warnings


def stored(file: Path) -> int:
    database = sqlite3.connect(file)
    try:
        return int(database.execute("SELECT COUNT(*) FROM entries").fetchone()[0])
    finally:
        database.close()


def change(file: Path, statement: str, *arguments: object) -> None:
    database = sqlite3.connect(file)
    with database:
        database.execute(statement, arguments)
    database.close()


# The file.


def test_what_was_put_is_found_after_a_restart(file: Path) -> None:
    first, warnings = opened(file)
    for one in KEYS:
        first.put(one, one * 10)
    first.close()
    second, _ = opened(file)
    assert second.get(KEYS * 5) == {one: one * 10 for one in KEYS}
    assert second.get([b"unknown", b""]) == {}
    second.close()
    assert second.get(KEYS) == {}, "closed"
    assert warnings == []


def test_a_damaged_row_is_a_miss_and_replaced(file: Path) -> None:
    first, _ = opened(file)
    for one in KEYS[:4]:
        first.put(one, b"frame")
    first.close()
    change(file, "UPDATE entries SET frame = ? WHERE key = ?", b"fralse", KEYS[0])
    change(file, "UPDATE entries SET digest = ? WHERE key = ?", b"", KEYS[1])
    change(file, "UPDATE entries SET frame = ? WHERE key = ?", "text", KEYS[2])
    second, _ = opened(file)
    assert second.get(KEYS[:4]) == {KEYS[3]: b"frame"}
    second.put(KEYS[0], b"frame")
    second.close()
    third, warnings = opened(file)
    assert set(third.get(KEYS[:4])) == {KEYS[0], KEYS[3]}
    third.close()
    assert warnings == []


@pytest.mark.parametrize("what", ["garbage", "truncated", "foreign", "version", "directory", "nowhere"])
def test_a_file_that_cannot_be_used_says_so(file: Path, what: str) -> None:
    first, _ = opened(file)
    for one in KEYS:
        first.put(one, one * 100)
    first.close()
    if what == "garbage":
        file.write_bytes(b"no database at all" * 1000)
    elif what == "truncated":
        os.truncate(file, 6000)
    elif what == "foreign":
        change(file, "PRAGMA application_id = 1")
    elif what == "version":
        change(file, "PRAGMA user_version = 99")
    elif what == "directory":
        file = file.parent
    else:
        file = file.parent / "none" / "answers.sqlite"
    with pytest.raises(SandboxError, match="cannot be used .* Name another file, or delete this one"):
        opened(file)


def test_it_is_bounded_and_the_oldest_go(file: Path) -> None:
    one, _ = opened(file, max_bytes=100_000)
    for i in range(2000):
        one.put(i.to_bytes(32, "big"), bytes(500))
    one.close()
    one, _ = opened(file)
    found = one.get(i.to_bytes(32, "big") for i in range(2000))
    one.close()
    assert 0 < len(found) <= 200
    assert (1999).to_bytes(32, "big") in found
    assert bytes(32) not in found
    database = sqlite3.connect(file)
    counted = database.execute("SELECT bytes FROM total").fetchone()
    assert counted == database.execute("SELECT SUM(LENGTH(frame)) FROM entries").fetchone()
    database.close()


def test_several_processes_may_share_it(file: Path) -> None:
    script = (
        "import sys; from gasp_env.sandbox.cache import Cache\n"
        "cache = Cache(sys.argv[1], warn=lambda text: sys.exit(text))\n"
        "for i in range(3000): cache.put((i % 2000).to_bytes(32, 'big'), bytes([i % 200]) * 50)\n"
        "cache.close(); print('done')"
    )
    command = [sys.executable, "-W", "error", "-c", script, str(file)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert [process.communicate(timeout=120)[0] for process in running] == ["done\n"] * 4
    assert stored(file) == 2000


def test_a_row_longer_than_is_worth_it_is_not_stored(file: Path) -> None:
    one, _ = opened(file)
    one.put(KEYS[0], bytes(cache.MAX_FRAME + 1))
    one.put(KEYS[1], b"short")
    one.close()
    assert stored(file) == 1


# What is stored, and under which name.


def test_the_key_depends_on_everything_that_decides_the_answer() -> None:
    run = Run("def f(): return 1", ((1,),))
    keys = [
        cache_key(run, b"payload", "docker", "identity"),
        cache_key(run, b"payloaD", "docker", "identity"),
        cache_key(run, b"payload", "bwrap", "identity"),
        cache_key(run, b"payload", "docker", "another"),
        cache_key(replace(run, hash_seed=1), b"payload", "docker", "identity"),
        cache_key(replace(run, profile="stdin"), b"payload", "docker", "identity"),
        cache_key(replace(run, stdin="text"), b"payload", "docker", "identity"),
        cache_key(replace(run, stdin="dtext"), b"payloa", "docker", "identity"),
        *(
            cache_key(replace(run, limits=limits), b"payload", "docker", "identity")
            for limits in (
                Limits(wall_seconds=9.0),
                Limits(cpu_seconds=3),
                Limits(threads=2),
                Limits(digits=700),
            )
        ),
    ]
    assert len(set(keys)) == len(keys)
    assert cache_key(replace(run), b"payload", "docker", "identity") == keys[0]


def test_only_what_would_come_again_is_stored() -> None:
    run = Run("def f(): return 1", ((),))
    assert {status for status in Status if storable(Result(status), run)} == {
        Status.OK,
        Status.COMPILE_ERROR,
        Status.EXCEPTION,
        Status.EXITED,
        Status.OUTPUT_LIMIT,
        Status.DENIED,
        Status.UNSERIALIZABLE,
    }
    assert storable(Result(Status.OK, wall_seconds=2.4, cpu_seconds=0.9), run)
    assert not storable(Result(Status.OK, wall_seconds=2.6), run)
    assert not storable(Result(Status.OK, cpu_seconds=1.0), run)


# Behind the sandbox.


def test_a_second_sandbox_executes_nothing_again(world: World, file: Path) -> None:
    runs = [*many(50), *echo(1, True), Run("echo", (), profile="stdin", stdin="text")]
    with Sandbox(workers=2, cache=file) as sandbox:
        first = sandbox.run_many([*runs, *runs])
        assert (sandbox.runs, sandbox.hits, sandbox.requested) == (53, 0, 106)
    with Sandbox(workers=2, cache=file) as sandbox:
        assert sandbox.run_many(runs) == first[:53]
        assert dict(sandbox.as_completed(runs)) == dict(enumerate(first[:53]))
        assert (sandbox.runs, sandbox.hits, sandbox.requested) == (0, 106, 106)
        assert returned(sandbox.run_many([*many(52)])) == list(range(52))
        assert (sandbox.runs, sandbox.hits) == (2, 156)


def test_answers_are_stored_while_the_sandbox_is_idle(
    world: World, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatcher, "VERIFY_IDLE_SECONDS", 0.01)
    with Sandbox(workers=2, cache=file) as sandbox:
        sandbox.run_many(many(20))
        wait_until(lambda: stored(file) == 20)
        canaries = world.canaries
        sandbox.run_many(many(20))
        assert world.canaries == canaries, "hits have nothing to be verified"


def test_what_a_wrong_worker_said_is_not_stored(
    world: World, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CANARY_ANSWERS", 16)
    with Sandbox(workers=1, cache=file) as sandbox:
        sandbox.run_many(echo(-1))
        world.wrong = lambda worker: worker.index == 0
        sandbox.run_many(many(3))
        with pytest.warns(RuntimeWarning, match="replaced"):
            sandbox.run_many([Run(f"echo more {i}", ((i,),)) for i in range(30)])
    with Sandbox(workers=1, cache=file) as sandbox:
        assert returned(sandbox.run_many(many(3))) == [0, 1, 2]
        assert sandbox.hits == 0
        assert returned(sandbox.run_many([Run(f"echo more {i}", ((i,),)) for i in range(30)])) == list(
            range(30)
        )
        assert sandbox.hits == 30


def test_another_kind_of_worker_has_answers_of_its_own(
    world: World, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Sandbox(workers=1, cache=file) as sandbox:
        sandbox.run_many(many(3))
    monkeypatch.setattr(FakeWorker, "identity", "another image")
    with Sandbox(workers=1, cache=file) as sandbox:
        sandbox.run_many(many(3))
        assert sandbox.hits == 0
    monkeypatch.setattr(FakeWorker, "tier", "bwrap")
    with Sandbox(workers=1, cache=file) as sandbox:
        [result, *_] = sandbox.run_many(many(3))
        assert sandbox.hits == 0
        assert result.tier == "bwrap"
    assert stored(file) == 9


def test_a_row_that_is_no_answer_is_a_miss(world: World, file: Path) -> None:
    with Sandbox(workers=1, cache=file) as sandbox:
        sandbox.run_many(many(3))
    database = sqlite3.connect(file)
    with database:
        for row_key, frame in database.execute("SELECT key, frame FROM entries").fetchall():
            cut = frame[:20]
            database.execute(
                "UPDATE entries SET frame = ?, digest = ? WHERE key = ?",
                (cut, cache._digest(row_key, cut), row_key),
            )
    database.close()
    with Sandbox(workers=1, cache=file) as sandbox:
        assert returned(sandbox.run_many(many(3))) == [0, 1, 2]
        assert sandbox.hits == 0


def test_an_unusable_file_stops_the_opening_and_leaves_nothing_open(world: World, tmp_path: Path) -> None:
    sandbox = Sandbox(workers=1, cache=tmp_path)
    with pytest.raises(SandboxError, match="cannot be used"):
        sandbox.run_many(echo(1))
    assert world.opened == []


def test_a_file_that_breaks_later_costs_a_warning(world: World, file: Path) -> None:
    with Sandbox(workers=1, cache=file) as sandbox:
        sandbox.run_many(many(3))
        reader = sandbox._cache._reader  # type: ignore[union-attr]
        reader.execute("DROP TABLE entries")
        with pytest.warns(RuntimeWarning, match="going on without the sandbox cache"):
            results = sandbox.run_many([Run(f"echo more {i}", ((i,),)) for i in range(300)])
        assert returned(results) == list(range(300))
        assert returned(sandbox.run_many(many(4))) == [0, 1, 2, 3]


def _until_broken(sandbox: Sandbox, runs: list[Run]) -> list[Result]:
    results = sandbox.run_many(runs)
    wait_until(lambda: sandbox._cache._broken)  # type: ignore[union-attr]
    return [*results, *sandbox.run_many(runs)]


def test_a_full_disk_costs_a_warning(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"needs to mount a small disk: {mounted.stderr.decode().strip()}")
    monkeypatch.setattr(connection, "CANARY_ANSWERS", 16)
    try:
        with Sandbox(workers=2, cache=disk / "answers.sqlite") as sandbox:
            runs = [Run(f"echo {i}", (("x" * 2000, i),)) for i in range(300)]
            with pytest.warns(RuntimeWarning, match="full") as given:
                results = _until_broken(sandbox, runs)
            assert len(given) == 1
            assert [result.calls[0].value[1] for result in results] == [*range(300), *range(300)]
            assert returned(sandbox.run_many(many(3))) == [0, 1, 2]
        (disk / "rest").write_bytes(bytes(os.statvfs(disk).f_bavail * os.statvfs(disk).f_bsize))
        with pytest.raises(SandboxError, match="cannot be used"):
            Sandbox(workers=1, cache=disk / "another.sqlite").open()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.docker
def test_real_answers_come_back_as_they_were(sandbox: Sandbox, file: Path) -> None:
    runs = [
        Run("def f(x): return [x, {1.5: (x,)}]", ((1,), ("\ud800",))),
        Run("def f(x): return hash(str(x))", ((1,),), hash_seed=1),
        Run("print(input() * 3)", (), profile="stdin", stdin="abc\n"),
        Run("def f(x): return 1 / x", ((1,), (0,))),
        Run("def f(:", ((1,),)),
        Run("def f(x): return object()", ((1,),)),
        Run("import sys\ndef f(x): sys.exit(x)", ((1,),)),
    ]
    fickle = Run("import os\ndef f(x): os.abort()", ((1,),))
    with Sandbox(workers=1, cache=file) as first:
        answers = first.run_many([*runs, fickle])
        assert (first.hits, first.runs) == (0, 8)
    with Sandbox(workers=1, cache=file) as second:
        again = second.run_many([*runs, fickle])
        assert (second.hits, second.runs) == (7, 1), "how a signal comes about may be luck"
    assert again[:7] == answers[:7]
    assert {result.status for result in again} >= {Status.OK, Status.EXCEPTION, Status.COMPILE_ERROR}
