"""A run whose calls must not know of each other."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.domains.python.program import Program
from gasp_env.domains.python.purity import keeps_state
from gasp_env.sandbox import Call, Result, Run, Sandbox, Status
from gasp_env.sandbox.per_call import SplitRuns, merge, split

COUNTER = "seen = []\ndef f(x):\n    seen.append(x)\n    return len(seen)"
PATCHES = "import math\ndef f(x):\n    math.pi += 1\n    return math.pi"


def _ok(value: int, **measured: float) -> Result:
    return Result(Status.OK, (Call(Status.OK, value),), tier="docker", **measured)  # type: ignore[arg-type]


def test_only_a_fresh_run_of_several_calls_is_split() -> None:
    inputs = ((1,), (2,), (3,))
    together = Run(COUNTER, inputs)
    assert split(together) == (together,)
    assert split(Run(COUNTER, ((1,),), fresh=True)) == (Run(COUNTER, ((1,),), fresh=True),)
    assert split(Run("print(1)", profile="stdin", fresh=True)) == (
        Run("print(1)", profile="stdin", fresh=True),
    )
    parts = split(Run(COUNTER, inputs, fresh=True, hash_seed=2))
    assert [part.inputs for part in parts] == [((1,),), ((2,),), ((3,),)]
    assert {(part.program, part.hash_seed) for part in parts} == {(COUNTER, 2)}


def test_measurements_are_put_together() -> None:
    merged = merge(
        [
            _ok(1, cpu_seconds=1.0, wall_seconds=2.0, memory_bytes=5, output_bytes=6),
            _ok(2, cpu_seconds=0.5, wall_seconds=1.0, memory_bytes=9, output_bytes=7),
        ]
    )
    assert [call.value for call in merged.calls] == [1, 2]
    assert (merged.cpu_seconds, merged.wall_seconds) == (1.5, 3.0)
    assert (merged.memory_bytes, merged.output_bytes, merged.tier) == (9, 13, "docker")


def test_the_first_that_failed_decides_and_what_was_not_executed_is_no_answer() -> None:
    failed = Call(Status.EXCEPTION, None, "ValueError: 1")
    exception = Result(Status.EXCEPTION, (failed,), "ValueError: 1")
    loop = Result(Status.CPU_LIMIT, (), "used 4 s of processor time")
    merged = merge([_ok(1), exception, loop, _ok(4)])
    assert (merged.status, merged.error) == (Status.EXCEPTION, "ValueError: 1")
    assert [call.status for call in merged.calls] == [Status.OK, Status.EXCEPTION]
    broken = Result(Status.INFRA_ERROR, error="no worker")
    assert merge([_ok(1), exception, broken]) == broken


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), max_size=6), st.randoms())
def test_parts_come_together_in_any_order(shapes: list[tuple[int, bool]], rng: random.Random) -> None:
    runs = [
        Run(COUNTER, tuple((number, call) for call in range(calls)), fresh=fresh)
        for number, (calls, fresh) in enumerate(shapes)
    ]
    split_runs = SplitRuns(runs)
    results = [
        Result(Status.OK, tuple(Call(Status.OK, arguments) for arguments in part.inputs))
        for part in split_runs.parts
    ]
    merged = split_runs.merge_all(results)
    assert [[call.value for call in result.calls] for result in merged] == [list(run.inputs) for run in runs]
    order = list(enumerate(results))
    rng.shuffle(order)
    received = [found for part in order if (found := split_runs.add_result(*part)) is not None]
    assert sorted(number for number, _ in received) == list(range(len(runs)))
    assert all(result == merged[number] for number, result in received)


@pytest.mark.docker
def test_fresh_calls_find_nothing_of_each_other(sandbox: Sandbox) -> None:
    inputs = ((1,), (2,), (3,))
    together, alone = sandbox.run_many([Run(COUNTER, inputs), Run(COUNTER, inputs, fresh=True)])
    assert [call.value for call in together.calls] == [1, 2, 3]
    assert [call.value for call in alone.calls] == [1, 1, 1]
    [(number, streamed)] = sandbox.as_completed([Run(COUNTER, inputs, fresh=True)])
    assert (number, streamed.calls) == (0, alone.calls)
    [patched] = sandbox.run_many([Run(PATCHES, inputs, fresh=True)])
    assert len({call.value for call in patched.calls}) == 1


def test_what_may_keep_state() -> None:
    assert keeps_state(Program(COUNTER))
    assert keeps_state(Program(PATCHES))
    assert keeps_state(Program("def f(x, seen=[]):\n    seen.append(x)\n    return len(seen)"))
    assert keeps_state(Program("def f(x:\n"))
    # What calls share even so is memory, and who survives its end can tell.
    assert keeps_state(
        Program("def f(x):\n    try:\n        s = 'x' * x\n    except Exception:\n        return 1")
    )
    assert keeps_state(Program("def f(x):\n    try:\n        s = 'x' * x\n    except:\n        return 1"))
    assert keeps_state(Program("def f(x):\n    try:\n        s = 'x' * x\n    finally:\n        return 1"))
    assert not keeps_state(
        Program("def f(x):\n    try:\n        return int(x)\n    except ValueError:\n        return 0")
    )
    assert not keeps_state(Program("def f(x):\n    return sorted(x)[0] + 1"))
