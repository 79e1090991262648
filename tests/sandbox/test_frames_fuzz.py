"""Any bytes that a program sends as its report, or a worker as its answer, get a result at a bounded cost."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gasp_env.sandbox import Result, Run, Status
from gasp_env.sandbox.frames import answered_number, decode_result
from sandbox_image.worker import codec, wire
from tests.fuzz import examples
from tests.sandbox_image.mutations import mutated, peak_of, steps_of
from tests.sandbox_image.strategies import extremes, values

RUN = Run("def f(x): return x", ((1,), (2,)))
RUNS = (RUN, replace(RUN, inputs=()), replace(RUN, inputs=((1,),) * 9), Run("pass", profile="stdin"))
#: What no program may bring about: these say that something of ours went wrong.
OURS = {Status.INFRA_ERROR, Status.WORKER_KILLED}

_SLOW_TO_DRAW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def _frame(report: bytes, stdout: bytes = b"", stderr: bytes = b"", how: int = 0, status: int = 0) -> bytes:
    lengths = len(stdout), len(stderr), len(report)
    return wire.ENDED.pack(wire.KIND_ENDED, 7, how, status, 0.1, 0.2, 3, *lengths) + stdout + stderr + report


def _claims() -> st.SearchStrategy[bytes]:
    """Reports, honest ones among them."""
    words = st.sampled_from([*map(str, Status), "", "OK"]) | st.text(max_size=3)
    value = (values() | extremes()).map(lambda value: codec.encode(value, keep_order=True))
    call = st.tuples(words, value | st.just(b"") | st.binary(max_size=9), st.text(max_size=300))
    calls = st.lists(st.tuples(st.just("ok"), value, st.just("")) | call, max_size=4).map(tuple)
    report = st.tuples(words, st.text(max_size=300), calls) | values()
    return report.map(lambda report: wire.frame(codec.encode(report, keep_order=True)))


@st.composite
def _reports(draw: st.DrawFn) -> bytes:
    how = draw(st.integers(0, 2))
    if how == 0:
        return draw(st.binary(max_size=300))
    report = draw(_claims())
    if how == 1:
        return report
    pieces = st.binary(min_size=1, max_size=4) | st.sampled_from([0, 1, 2**31]).map(struct.Struct(">I").pack)
    changed: bytes = mutated(draw, report, pieces)
    # With a right length before it, else most would be refused for that.
    return wire.frame(changed[4:]) if draw(st.booleans()) else changed


def _judged(frame: bytes, run: Run) -> Result:
    judged = decode_result(frame, run, "docker")
    assert judged.status not in OURS
    assert len(judged.error) <= wire.MAX_ERROR
    assert len(judged.calls) <= len(run.inputs)
    if judged.status is Status.OK:
        assert len(judged.calls) == len(run.inputs)
        assert all(call.status is Status.OK for call in judged.calls)
    for call in judged.calls:
        codec.encode(call.value)
    assert judged.output_bytes <= run.limits.output_bytes
    return judged


@settings(max_examples=examples(100), suppress_health_check=_SLOW_TO_DRAW, deadline=None)
@given(_reports(), st.sampled_from(RUNS), st.integers(0, 3), st.sampled_from([0, 0, 0, 1, 9, 256, 0x8B, -1]))
def test_any_report_is_judged(report: bytes, run: Run, how: int, status: int) -> None:
    judged = _judged(_frame(report, b"out", b"err", how, status), run)
    assert judged.status is not Status.OK or (how not in (wire.HOW_WALL, wire.HOW_FLOOD) and status == 0)


@settings(max_examples=examples(60), suppress_health_check=_SLOW_TO_DRAW, deadline=None)
@given(_reports())
def test_judging_costs_no_more_than_the_report_is_worth(report: bytes) -> None:
    frame = _frame(report)
    assert steps_of(lambda: decode_result(frame, RUN, "docker")) <= 500 + 60 * len(report)
    assert peak_of(lambda: decode_result(frame, RUN, "docker")) <= 2**16 + 500 * len(report)


@given(st.binary(max_size=200) | st.binary(max_size=200).map(lambda tail: bytes([wire.KIND_ENDED]) + tail))
def test_any_bytes_are_an_answer_or_refused(frame: bytes) -> None:
    try:
        answered_number(frame)
    except ValueError:
        return
    _judged(frame, RUN)


@given(st.lists(st.binary(max_size=50)), st.lists(st.integers(1, 60)))
def test_frames_are_cut_the_same_however_they_arrive(bodies: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(wire.frame(body) for body in bodies)
    frames, received, at = wire.Frames(), [], 0
    for cut in (*cuts, len(stream)):
        received += frames.feed(stream[at : at + cut])
        at += cut
    assert received == bodies


@given(st.binary(max_size=200))
def test_any_stream_is_frames_or_refused(stream: bytes) -> None:
    frames = wire.Frames()
    try:
        received = frames.feed(stream)
    except ValueError:
        return
    assert stream.startswith(b"".join(wire.frame(body) for body in received))


def test_a_stream_that_announces_too_much_is_refused_at_once() -> None:
    frames = wire.Frames()
    announced = wire.LENGTH.pack(wire.MAX_FRAME + 1)
    with pytest.raises(ValueError, match="at most"):
        frames.feed(announced)
    assert peak_of(lambda: wire.Frames().feed(wire.LENGTH.pack(wire.MAX_FRAME))) < 2**16


_DEEP = wire.frame(b"l\0\0\0\1" * 300_000 + b"N")
_WIDE = wire.frame(b"t" + struct.pack(">I", 200_000) + b"N" * 200_000)
_CALLS = wire.frame(
    codec.encode(("ok", "", (("ok", b"l\0\0\0\1" * 50_000 + b"N", ""),) * 2), keep_order=True)
)
_TEXT = wire.frame(codec.encode(("exception", "\ud800" * 10**6, ()), keep_order=True))


@pytest.mark.parametrize("report", [_DEEP, _WIDE, _CALLS, _TEXT], ids=["deep", "wide", "calls", "text"])
def test_bombs(report: bytes) -> None:
    frame = _frame(report)
    assert _judged(frame, RUN).status in (Status.EXITED, Status.EXCEPTION)
    assert steps_of(lambda: decode_result(frame, RUN, "docker")) <= 500 + 20 * len(report)
    assert peak_of(lambda: decode_result(frame, RUN, "docker")) <= 2**20 + 60 * len(report)
