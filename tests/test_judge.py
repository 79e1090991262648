"""What an answer is judged on."""

from __future__ import annotations

import pytest

from gasp_env import judge
from gasp_env.judge import Question
from gasp_env.prompts import FencedStyle
from gasp_env.sandbox import Limits, Sandbox

SQUARES = Question("induction", "", ((1,), (2,), (3,)), (1, 4, 9))


def _verdict(sandbox: Sandbox, program: str) -> str:
    asked = judge.ask(SQUARES, f"```python\n{program}\n```", FencedStyle(), Limits())
    assert isinstance(asked, list)
    return judge.decide(SQUARES, sandbox.run_many(asked)).reason


@pytest.mark.docker
@pytest.mark.parametrize(
    ("program", "reason"),
    [
        ("def f(x): return x * x", "correct"),
        # Right by the order in which it is asked, and for no other reason.
        ("calls = []\ndef f(x):\n    calls.append(x)\n    return len(calls) ** 2", "wrong"),
        ("import math\ndef f(x):\n    math.pi = int(math.pi) - 1\n    return x * x", "correct"),
        # Right whenever it is asked alone; what an earlier call left behind is not held against it.
        ("import os\ndef f(x, seen=[]):\n    seen.append(x)\n    return x * x if len(seen) == 1 else 0", "correct"),
        ("def f(x): return x * x if x < 3 else 1 // 0", "exception"),
    ],
)  # fmt: skip
def test_every_pair_is_judged_alone(sandbox: Sandbox, program: str, reason: str) -> None:
    assert _verdict(sandbox, program) == reason


def test_a_run_is_shared_where_nothing_can_be_kept() -> None:
    for program, fresh in (("def f(x): return x * x", False), ("import math\ndef f(x): return x", True)):
        asked = judge.ask(SQUARES, f"```python\n{program}\n```", FencedStyle(), Limits())
        assert isinstance(asked, list)
        assert [run.fresh for run in asked] == [fresh]
