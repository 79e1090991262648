"""Canaries: a right answer passes, and each kind of wrong one is told."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from gasp_env.sandbox import HASH_SEEDS, Call, Result, Sandbox, Status
from gasp_env.sandbox.dispatch.canary import Canary

HELLO = {"seccomp": True, "landlock": 7}


def right(canary: Canary) -> Result:
    (_, numbers), (_, text), *_ = canary.run.inputs
    return Result(
        Status.EXCEPTION,
        (
            Call(Status.OK, [sum(n * n for n in numbers), sorted(numbers), {str(n): n / 7 for n in numbers}]),
            Call(Status.EXCEPTION, None, f"ValueError: {text}"),
            Call(Status.OK, 4711),
            Call(Status.OK, "PermissionError"),
            Call(Status.OK, "PermissionError"),
        ),
    )


def with_call(canary: Canary, at: int, call: Call) -> Result:
    calls = list(right(canary).calls)
    calls[at] = call
    return dataclasses.replace(right(canary), calls=tuple(calls))


def test_a_right_answer_is_right() -> None:
    for number in range(20):
        canary = Canary(number)
        assert canary.find_fault(right(canary), HELLO, {}) == ""


def test_every_canary_asks_for_something_else() -> None:
    assert len({repr(Canary(number).run.inputs) for number in range(50)}) == 50
    answer = right(Canary(1))
    assert "computed" in Canary(2).find_fault(answer, HELLO, {})


@pytest.mark.parametrize(
    ("at", "call", "fault"),
    [
        (0, Call(Status.OK, 0), "computed 0"),
        (0, Call(Status.EXCEPTION, None, "ValueError: x"), "computed None"),
        (1, Call(Status.OK, None), "raised ''"),
        (1, Call(Status.EXCEPTION, None, "ValueError: else"), "raised 'ValueError: else'"),
        (2, Call(Status.OK, "4711"), "hashed nothing"),
        (3, Call(Status.OK, "allowed"), "send a signal"),
        (4, Call(Status.OK, "allowed"), "open /etc/passwd"),
    ],
)
def test_what_is_wrong_is_told(at: int, call: Call, fault: str) -> None:
    canary = Canary(1)
    assert fault in canary.find_fault(with_call(canary, at, call), HELLO, {})


@pytest.mark.parametrize(
    "result", [Result(Status.OK), Result(Status.WALL_LIMIT), Result(Status.EXCEPTION), Result(Status.EXITED)]
)
def test_what_ends_otherwise_is_wrong(result: Result) -> None:
    assert "ended with" in Canary(1).find_fault(result, HELLO, {})


def test_the_hash_of_one_seed_is_the_same_in_all_workers() -> None:
    hashes: dict[int, int] = {}
    for seed, hashed in ((0, 1), (1, 2), (0, 1)):
        canary = Canary(1, hash_seed=seed)
        assert canary.find_fault(with_call(canary, 2, Call(Status.OK, hashed)), HELLO, hashes) == ""
    canary = Canary(1, hash_seed=1)
    assert "hash seed" in canary.find_fault(with_call(canary, 2, Call(Status.OK, 1)), HELLO, hashes)


def test_a_protection_that_was_not_promised_is_not_asked_for() -> None:
    canary = Canary(1)
    allowed = with_call(canary, 3, Call(Status.OK, "allowed"))
    hello: dict[str, Any] = {"seccomp": False, "landlock": 0}
    assert canary.find_fault(allowed, hello, {}) == ""
    assert canary.find_fault(with_call(canary, 4, Call(Status.OK, "FileNotFoundError")), HELLO, {}) == ""


@pytest.mark.docker
def test_a_real_worker_answers_well(sandbox: Sandbox) -> None:
    sandbox.open()
    hello = sandbox._workers()[0].hello
    assert hello["seccomp"]
    profiles = [profile for profile in ("value", "stdin", "numpy") if profile in hello["profiles"]]
    canaries = [Canary(seed, hash_seed=seed, profile=profile) for seed in HASH_SEEDS for profile in profiles]
    hashes: dict[int, int] = {}
    for canary, result in zip(canaries, sandbox.run_many([canary.run for canary in canaries]), strict=True):
        assert canary.find_fault(result, hello, hashes) == ""
    assert len(set(hashes.values())) == len(HASH_SEEDS)
