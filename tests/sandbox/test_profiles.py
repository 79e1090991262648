"""The profiles: what each gives a program and asks of it, alike in every tier."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gasp_env.sandbox import Limits, Result, Run, Sandbox, Status
from gasp_env.sandbox.frames import check_run
from sandbox_image.worker import wire
from tests.conftest import need_numpy

pytestmark = pytest.mark.docker

ECHO = "import sys\nsys.stdout.write(sys.stdin.read())"


def _one(sandbox: Sandbox, run: Run) -> Result:
    [result] = sandbox.run_many([run])
    return result


def test_the_same_program_in_two_profiles_is_two_runs(tier_sandbox: Sandbox) -> None:
    need_numpy(tier_sandbox)
    program = "try: import numpy\nexcept ImportError: numpy = None\ndef f(): return numpy is not None\nprint(__name__)"
    results = tier_sandbox.run_many(
        [Run(program, ((),)), Run(program, ((),), profile="numpy"), Run(program, profile="stdin")]
    )
    assert [result.status for result in results] == [Status.OK] * 3
    assert [result.calls[0].value for result in results[:2]] == [False, True]
    assert results[2].calls == ()
    assert [result.stdout for result in results] == ["program\n", "program\n", "__main__\n"]


def test_texts_come_back_whole(tier_sandbox: Sandbox) -> None:
    texts = [
        "",
        "\n",
        "a\r\nb\r",
        "\0\x1b\ufeff",
        "é\U0001f600\u2028",
        "x" * 250_000,
        "0123456789\n" * 20_000,
    ]
    results = tier_sandbox.run_many([Run(ECHO, profile="stdin", stdin=text) for text in texts])
    assert [result.status for result in results] == [Status.OK] * len(texts)
    assert [result.stdout for result in results] == texts
    assert [result.output_bytes for result in results] == [len(text.encode()) for text in texts]


def test_a_long_text_goes_in(tier_sandbox: Sandbox) -> None:
    program = "import sys\nprint(sum(map(int, sys.stdin)))"
    text = "\n".join(map(str, range(300_000)))
    result = _one(
        tier_sandbox,
        Run(program, profile="stdin", stdin=text, limits=Limits(cpu_seconds=20, wall_seconds=60)),
    )
    assert (result.status, result.stdout) == (Status.OK, f"{sum(range(300_000))}\n")


def test_what_is_printed_is_whole_or_too_long_and_never_cut_silently(tier_sandbox: Sandbox) -> None:
    for size, status in (
        (999, Status.OK),
        (1000, Status.OK),
        (1001, Status.OUTPUT_LIMIT),
        (10**6, Status.OUTPUT_LIMIT),
    ):
        run = Run(f"print('x' * {size}, end='')", profile="stdin", limits=Limits(output_bytes=1000))
        result = _one(tier_sandbox, run)
        assert result.status is status, size
        assert result.stdout == "x" * min(size, 1000)
    flood = Run("while True: print('x' * 1000)", profile="stdin")
    assert _one(tier_sandbox, flood).status is Status.OUTPUT_LIMIT


def test_standard_error_is_only_kept_in_part(tier_sandbox: Sandbox) -> None:
    program = "import sys\nsys.stderr.write('e' * 100_000)\nprint('fine')"
    result = _one(tier_sandbox, Run(program, profile="stdin", limits=Limits(stdout_bytes=100)))
    assert (result.status, result.stdout, result.stderr) == (Status.OK, "fine\n", "e" * 100)


def test_a_traceback_names_the_program_and_not_us(tier_sandbox: Sandbox) -> None:
    result = _one(tier_sandbox, Run("def g(): 1 / 0\ng()", profile="stdin"))
    assert result.status is Status.EXCEPTION
    assert result.error == "ZeroDivisionError: division by zero"
    assert result.stderr.startswith(
        'Traceback (most recent call last):\n  File "<program>", line 2, in <module>\n'
    )
    assert result.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "child.py" not in result.stderr


def test_two_texts_are_two_runs(tier_sandbox: Sandbox) -> None:
    results = tier_sandbox.run_many([Run(ECHO, profile="stdin", stdin=text) for text in ("a", "b", "a")])
    assert [result.stdout for result in results] == ["a", "b", "a"]


def test_numpy_computes(tier_sandbox: Sandbox) -> None:
    need_numpy(tier_sandbox)
    program = """
import numpy as np
def f(rows):
    a = np.array(rows, dtype=float)
    u, s, v = np.linalg.svd(a)
    return a.T.tolist(), np.linalg.det(a).round(9).item(), np.sort(s).round(9).tolist(), a.shape, (a @ a).sum().item()
"""
    result = _one(tier_sandbox, Run(program, (([[1, 2], [3, 4]],),), profile="numpy"))
    assert result.calls[0].value == (
        [[1.0, 3.0], [2.0, 4.0]],
        -2.0,
        [0.365966191, 5.464985704],
        (2, 2),
        54.0,
    ), result


def test_numpy_counts_no_memory_of_its_own(tier_sandbox: Sandbox) -> None:
    need_numpy(tier_sandbox)
    program = "import numpy\ndef f(n): return numpy.ones(n, dtype='u1').sum().item()"
    limits = Limits(memory_bytes=64 * 2**20)
    fits, does_not = tier_sandbox.run_many(
        [Run(program, ((size,),), profile="numpy", limits=limits) for size in (30 * 2**20, 100 * 2**20)]
    )
    assert fits.calls[0].value == 30 * 2**20
    assert does_not.status is Status.MEMORY_LIMIT
    assert 30 * 2**20 <= fits.memory_bytes < 40 * 2**20


def test_what_a_profile_does_not_take_is_refused() -> None:
    whole = Run("pass", profile="stdin")
    check_run(whole)
    for wrong, complaint in (
        (replace(whole, inputs=((1,),)), "give stdin, not inputs"),
        (replace(whole, profile="value", stdin="x"), "only profile stdin"),
        (replace(whole, profile="numpy", stdin="x"), "only profile stdin"),
        (replace(whole, profile="no such"), "profile must be one of value, stdin, numpy"),
        (replace(whole, stdin="\ud800"), "UTF-8 can encode"),
        (replace(whole, stdin="é" * (wire.MAX_STDIN // 2 + 1)), "at most"),
        (replace(whole, stdin="x" * (wire.MAX_STDIN + 1)), "at most"),
    ):
        with pytest.raises(ValueError, match=complaint):
            check_run(wrong)
