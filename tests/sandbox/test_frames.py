"""Judging of answering frames, without a sandbox: any bytes a worker may send."""

from __future__ import annotations

import signal
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.sandbox import Limits, Result, Run, Status
from gasp_env.sandbox.frames import answered_number, check_run, decode_result, was_killed
from sandbox_image.worker import codec, wire

RUN = Run("def f(x): return x", ((1,), (2,)))


def _frame(report: bytes = b"", *, how: int = wire.HOW_EXIT, status: int = 0, cpu: float = 0.1) -> bytes:
    return wire.ENDED.pack(wire.KIND_ENDED, 7, how, status, cpu, 0.2, 3, 1, 2, len(report)) + b"oee" + report


def _judge(report: bytes = b"", **seen: Any) -> Result:
    frame = _frame(report, **seen)
    assert answered_number(frame) == 7
    return decode_result(frame, RUN, "docker")


def _claim(*claim: Any) -> bytes:
    return wire.frame(codec.encode(claim, keep_order=True))


def _ok(value: Any) -> tuple[str, bytes, str]:
    return "ok", codec.encode(value, keep_order=True), ""


GOOD = _claim("ok", "", (_ok([1]), _ok(2)))


def test_a_good_report() -> None:
    judged = _judge(GOOD)
    assert judged.status is Status.OK
    assert [call.value for call in judged.calls] == [[1], 2]
    assert (judged.stdout, judged.stderr, judged.cpu_seconds, judged.memory_bytes) == ("o", "ee", 0.1, 3)


@pytest.mark.parametrize(
    ("seen", "status"),
    [
        ({"how": wire.HOW_WALL, "status": signal.SIGKILL}, Status.WALL_LIMIT),
        ({"how": wire.HOW_FLOOD, "status": signal.SIGKILL}, Status.OUTPUT_LIMIT),
        ({"status": signal.SIGKILL, "cpu": 3.5}, Status.CPU_LIMIT),
        ({"status": signal.SIGXCPU}, Status.CPU_LIMIT),
        ({"status": signal.SIGKILL}, Status.MEMORY_LIMIT),
        ({"status": signal.SIGSYS}, Status.DENIED),
        ({"status": signal.SIGSEGV | 0x80}, Status.SIGNAL),
        ({"status": signal.SIGRTMIN + 1}, Status.SIGNAL),
        ({"status": 1 << 8}, Status.EXITED),
    ],
)
def test_how_it_ended_outweighs_what_it_claims(seen: dict[str, Any], status: Status) -> None:
    assert _judge(GOOD, **seen).status is status
    assert _judge(GOOD, **seen).calls == ()


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ({"status": signal.SIGKILL}, True),
        ({"status": signal.SIGKILL, "cpu": 3.5}, False),
        ({"status": signal.SIGKILL, "how": wire.HOW_WALL}, False),
        ({"status": signal.SIGKILL, "how": wire.HOW_FLOOD}, False),
        ({"status": signal.SIGXCPU}, False),
        ({"status": signal.SIGSEGV | 0x80}, False),
        ({"status": 9 << 8}, False),
        ({}, False),
    ],
)
def test_who_was_killed_by_somebody_else(seen: dict[str, Any], expected: bool) -> None:
    assert was_killed(_frame(GOOD, **seen), RUN) is expected


@pytest.mark.parametrize(
    "limits",
    [
        *(Limits(wall_seconds=seconds) for seconds in (0.0, -1.0, float("nan"), float("inf"), 1e6)),
        *(Limits(cpu_seconds=seconds) for seconds in (0, -1, 2**33)),
        *(Limits(memory_bytes=size) for size in (-1, 2**64)),
        *(Limits(output_bytes=size) for size in (-1, 2**33)),
        *(Limits(stdout_bytes=size) for size in (-1, 2**33)),
    ],
    ids=str,
)
def test_limits_that_no_sandbox_can_keep_are_refused(limits: Limits) -> None:
    check_run(RUN)
    with pytest.raises(ValueError, match=r"_(seconds|bytes) must be .*, not "):
        check_run(replace(RUN, limits=limits))


@pytest.mark.parametrize(
    "report",
    [
        b"",
        GOOD[:-1],
        GOOD + b"x",
        GOOD + GOOD,
        _claim("infra_error", "", ()),
        _claim("worker_killed", "", ()),
        _claim("wall_limit", "", ()),
        _claim("ok", "", ()),
        _claim("ok", "", (_ok(1),)),
        _claim("ok", "", (_ok(1), _ok(2), _ok(3))),
        _claim("ok", "", (_ok(1), ("ok", b"?", ""))),
        _claim("ok", "", (_ok(1), ("ok", b"", ""))),
        _claim("ok", "", (_ok(1), ("infra_error", b"", ""))),
        _claim("ok", "", (_ok(1), ("exception", b"N", ""))),
        _claim("ok", "", [_ok(1), _ok(2)]),
        _claim("ok", 1, (_ok(1), _ok(2))),
        _claim("ok", "", (_ok(1), _ok("x" * 2**19))),
        wire.frame(codec.encode(True)),
    ],
)
def test_whatever_is_not_exactly_a_report_is_no_success(report: bytes) -> None:
    assert _judge(report).status is Status.EXITED


def test_a_call_that_failed_outweighs_an_ok() -> None:
    judged = _judge(_claim("ok", "", (_ok(1), ("exception", b"", "E: no"))))
    assert (judged.status, judged.error) == (Status.EXCEPTION, "E: no")


@given(st.binary(max_size=300) | st.binary(max_size=40).map(lambda tail: GOOD[:30] + tail))
def test_any_report_gets_a_result(report: bytes) -> None:
    assert _judge(report).status in {*Status} - {Status.INFRA_ERROR, Status.WORKER_KILLED}


@given(st.binary(max_size=60))
def test_any_other_frame_is_refused(frame: bytes) -> None:
    if len(frame) < wire.ENDED.size or frame[0] != wire.KIND_ENDED:
        with pytest.raises(ValueError, match="not an answer"):
            answered_number(frame)


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"program": b"def f(): pass"}, "program must be a str, not bytes"),
        ({"entry": None}, "entry must be a str"),
        ({"profile": "stdin", "inputs": (), "stdin": b"12"}, "stdin must be a str, not bytes"),
        ({"inputs": (x for x in [(1,)])}, "inputs must be a tuple of argument tuples"),
        ({"inputs": "ab"}, "inputs must be a tuple of argument tuples"),
        ({"inputs": ((1,),) * 20_001}, "at most 20000"),
        ({"hash_seed": 1.0}, "hash_seed must be one of"),
        ({"limits": Limits(wall_seconds="3")}, "wall_seconds must be"),
    ],
)  # fmt: skip
def test_what_is_no_run_is_refused_before_anything_is_asked(wrong: dict[str, Any], said: str) -> None:
    run = Run(**({"program": "def f(): return 1", "inputs": ((),)} | wrong))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=said):
        check_run(run)
