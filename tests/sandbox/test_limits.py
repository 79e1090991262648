"""Each limit is the run's own, holds in every tier, and says which one it was."""

from __future__ import annotations

import ast
import os
from dataclasses import replace
from pathlib import Path

import pytest

from gasp_env.sandbox import Limits, Result, Run, Sandbox, Status
from gasp_env.sandbox.frames import MAX_PROGRAM, check_run

pytestmark = pytest.mark.docker

ROOT = Path(__file__).parents[2]
ROOMY = Limits(cpu_seconds=20, wall_seconds=60)


def _ask(sandbox: Sandbox, program: str, *limits: Limits) -> list[Result]:
    return sandbox.run_many([Run(program, ((),), limits=each) for each in limits])


def test_time(tier_sandbox: Sandbox) -> None:
    spin = "def f():\n    for _ in iter(int, 1): pass"
    one, two = _ask(
        tier_sandbox, spin, Limits(cpu_seconds=1, wall_seconds=60), Limits(cpu_seconds=2, wall_seconds=60)
    )
    assert (one.status, two.status) == (Status.CPU_LIMIT, Status.CPU_LIMIT)
    assert one.error == "used 1 s of processor time"
    assert 0.5 <= one.cpu_seconds < 1.5 <= two.cpu_seconds + 0.5 < 3.0
    wait = "import time\ndef f(): time.sleep(30)"
    [waited] = _ask(tier_sandbox, wait, Limits(wall_seconds=0.25))
    assert (waited.status, waited.error) == (Status.WALL_LIMIT, "not finished after 0.25 s")
    assert waited.wall_seconds >= 0.25


def test_processor_time_of_all_threads_counts(tier_sandbox: Sandbox) -> None:
    program = """
import threading
def f():
    def spin():
        while True: pass
    for _ in range(3): threading.Thread(target=spin).start()
    spin()
"""
    [result] = _ask(tier_sandbox, program, Limits(cpu_seconds=1, wall_seconds=60))
    assert result.status is Status.CPU_LIMIT


def test_memory(tier_sandbox: Sandbox) -> None:
    program = "def f(): return len(bytearray(100 << 20))"
    tight, wide = _ask(tier_sandbox, program, Limits(memory_bytes=90 << 20), Limits(memory_bytes=150 << 20))
    assert (tight.status, wide.status) == (Status.MEMORY_LIMIT, Status.OK)
    assert (99 << 20) <= wide.memory_bytes < (110 << 20)


def test_recursion(tier_sandbox: Sandbox) -> None:
    program = """
import sys
def depth(n=1):
    try: return depth(n + 1)
    except RecursionError: return n
def f(): return depth(), sys.getrecursionlimit()
"""
    limits = (50, 1000, 5000, 20_000)
    results = _ask(tier_sandbox, program, *(replace(ROOMY, recursion=limit) for limit in limits))
    reached = [result.calls[0].value for result in results]
    assert [limit for _, limit in reached] == list(limits)
    assert all(limit - 30 < depth < limit for depth, limit in reached), reached


def test_a_value_is_returned_whole_however_low_the_recursion_limit(tier_sandbox: Sandbox) -> None:
    program = "def f():\n    value = 0\n    for _ in range(60): value = [value]\n    return value"
    [result] = _ask(tier_sandbox, program, replace(ROOMY, recursion=50))
    assert result.status is Status.OK, result


def test_digits(tier_sandbox: Sandbox) -> None:
    program = "def f(): return len(str(10 ** 9999)), int('1' * 10_000) % 10"
    results = _ask(tier_sandbox, program, *(replace(ROOMY, digits=limit) for limit in (640, 9_999, 10_000)))
    assert [result.status for result in results] == [Status.EXCEPTION, Status.EXCEPTION, Status.OK]
    assert "Exceeds the limit (640 digits)" in results[0].error
    assert results[2].calls[0].value == (10_000, 1)


def test_exactly_so_many_threads(tier_sandbox: Sandbox) -> None:
    if tier_sandbox.tier == "landlock" and os.getuid() != 0:
        pytest.skip("others of the same user cannot be told apart")
    program = """
import threading, time
def f():
    go, most = threading.Event(), 1
    try:
        while most < 300:
            threading.Thread(target=go.wait).start()
            most += 1
    except RuntimeError as error: why = str(error)
    go.set()
    for thread in threading.enumerate()[1:]: thread.join()
    for left in reversed(range(100)):  # a thread that was joined may be counted a moment longer
        again = threading.Thread(target=go.wait)
        try: again.start()
        except RuntimeError:
            if not left: raise
            time.sleep(0.01)
        else: break
    again.join()
    return most, why
"""
    limits = (2, 3, 8, 40)
    results = _ask(
        tier_sandbox, program, *(replace(ROOMY, threads=limit, memory_bytes=2**30) for limit in limits)
    )
    assert [result.calls[0].value for result in results] == [
        (limit, "can't start new thread") for limit in limits
    ]
    [alone] = _ask(tier_sandbox, program, replace(ROOMY, threads=1))
    assert alone.status is Status.EXCEPTION
    assert "can't start new thread" in alone.error


def test_output(tier_sandbox: Sandbox) -> None:
    program = "def f(): return b'x' * 95"
    short, enough = _ask(tier_sandbox, program, Limits(output_bytes=99), Limits(output_bytes=100))
    assert (short.status, enough.status, enough.output_bytes) == (Status.OUTPUT_LIMIT, Status.OK, 100)
    results = tier_sandbox.run_many(
        [Run("def f(): return b'x' * 45", ((),) * 3, limits=Limits(output_bytes=100))]
    )
    assert results[0].status is Status.OUTPUT_LIMIT
    assert [call.status for call in results[0].calls] == [Status.OK, Status.OK, Status.OUTPUT_LIMIT]


def test_what_is_printed_is_kept_up_to_the_limit(tier_sandbox: Sandbox) -> None:
    program = "import sys\ndef f(): return sys.stdout.write('o' * 300) + sys.stderr.write('e' * 300)"
    none, some = _ask(tier_sandbox, program, Limits(stdout_bytes=0), Limits(stdout_bytes=200))
    assert (none.status, none.stdout, none.stderr) == (Status.OK, "", "")
    assert (some.stdout, some.stderr) == ("o" * 200, "e" * 200)


def test_limits_of_one_run_are_not_those_of_the_next(tier_sandbox: Sandbox) -> None:
    program = "import resource as r, sys\ndef f(): return r.getrlimit(r.RLIMIT_CPU), sys.getrecursionlimit()"
    low, high = replace(ROOMY, cpu_seconds=1, recursion=60), replace(ROOMY, cpu_seconds=9)
    results = [result for each in (low, high, low) for result in _ask(tier_sandbox, program, each)]
    assert [result.calls[0].value for result in results] == [((1, 1), 60), ((9, 9), 1000), ((1, 1), 60)]


def test_a_program_that_is_too_long_is_not_even_sent(tier_sandbox: Sandbox) -> None:
    done = tier_sandbox.runs
    [result] = _ask(tier_sandbox, "#" * (MAX_PROGRAM + 1), Limits())
    assert (result.status, tier_sandbox.runs) == (Status.COMPILE_ERROR, done)


@pytest.mark.parametrize(
    "limits",
    [
        *(Limits(recursion=limit) for limit in (0, 49, 10**6 + 1)),
        *(Limits(digits=limit) for limit in (0, 639, 10**6 + 1)),
        *(Limits(threads=limit) for limit in (0, -1, 257)),
        Limits(recursion=1.5),  # type: ignore[arg-type]
        Limits(threads=None),  # type: ignore[arg-type]
    ],
    ids=str,
)
def test_limits_out_of_range_are_refused(limits: Limits) -> None:
    with pytest.raises(ValueError, match="must be an int from"):
        check_run(Run("def f(): return 1", ((),), limits=limits))


@pytest.mark.parametrize("package", ["gasp_env/sandbox", "sandbox_image"])
def test_no_deadline_is_kept_with_a_clock_that_can_be_set(package: str) -> None:
    """`time.time` jumps when the clock is set; `time.monotonic` does not."""
    for file in (ROOT / package).rglob("*.py"):
        tree = ast.parse(file.read_text("utf-8"))
        named = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not named & {"time.time", "time.time_ns", "datetime.now", "datetime.datetime.now"}, file
        imported = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
        assert all(node.module not in ("time", "datetime") for node in imported), file
