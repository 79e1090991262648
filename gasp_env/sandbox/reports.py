"""From a `Run` to the frame that asks for it, and from the frame that answers to a `Result`.

Pure functions. What the child reports is a claim by the program: a claim may say which value
came out or that the program failed, but how the run ended is what the supervisor saw.
"""

from __future__ import annotations

import signal
from typing import Any

from gasp_env.sandbox.runs import HASH_SEEDS, Call, Result, Run, Status
from sandbox_image.worker import codec, wire

#: Longest program sent, in bytes of UTF-8. The gate's own limit is far lower.
MAX_PROGRAM = 2**20
#: Largest limit on output; beside it a report holds the errors of the calls.
MAX_OUTPUT = codec.MAX_BYTES // 2
#: Largest limit on either time: a day.
MAX_SECONDS = 86_400
#: Largest limit on memory, beyond any machine's.
MAX_MEMORY = 2**48

_CLAIMABLE = {
    status.value: status
    for status in (
        Status.OK,
        Status.COMPILE_ERROR,
        Status.EXCEPTION,
        Status.EXITED,
        Status.MEMORY_LIMIT,
        Status.OUTPUT_LIMIT,
        Status.UNSERIALIZABLE,
    )
}
_EXIT_NO_MEMORY = 71  # as in `sandbox_image.worker.child`, which the host has no business to import


def payload(run: Run) -> bytes:
    """What the child reads.

    Raises:
        Unserializable: an input is outside the value language, or all inputs together are too long.
    """
    inputs = tuple(codec.encode(tuple(arguments), keep_order=True) for arguments in run.inputs)
    return codec.encode((run.program, run.entry, run.limits.output_bytes, inputs), keep_order=True)


def check(run: Run) -> None:
    """Refuse what no sandbox could be asked.

    Raises:
        ValueError: the hash seed is not one of `HASH_SEEDS`, or a limit is out of range.
    """
    if run.hash_seed not in HASH_SEEDS:
        raise ValueError(f"hash_seed must be one of {HASH_SEEDS}, not {run.hash_seed!r}")
    limits = run.limits
    # Written so that nan, of which every comparison is false, is refused too.
    if not (0 < limits.wall_seconds <= MAX_SECONDS):
        raise ValueError(
            f"wall_seconds must be more than 0 and at most {MAX_SECONDS}, not {limits.wall_seconds}"
        )
    if not (1 <= limits.cpu_seconds <= MAX_SECONDS):
        raise ValueError(f"cpu_seconds must be from 1 to {MAX_SECONDS}, not {limits.cpu_seconds}")
    if not (0 <= limits.memory_bytes <= MAX_MEMORY):
        raise ValueError(f"memory_bytes must be from 0 to {MAX_MEMORY}, not {limits.memory_bytes}")
    for name in ("output_bytes", "stdout_bytes"):
        if not (0 <= getattr(limits, name) <= MAX_OUTPUT):
            raise ValueError(f"{name} must be from 0 to {MAX_OUTPUT}, not {getattr(limits, name)}")


def run_frame(number: int, run: Run, payload: bytes) -> bytes:
    """The frame that asks the supervisor for a run."""
    limits = run.limits
    report_bytes = limits.output_bytes + wire.REPORT_BYTES + wire.REPORT_BYTES_PER_CALL * len(run.inputs)
    head = wire.RUN.pack(
        wire.KIND_RUN,
        number,
        run.hash_seed,
        limits.wall_seconds,
        limits.cpu_seconds,
        limits.memory_bytes,
        min(report_bytes, wire.MAX_FRAME // 2),
        limits.stdout_bytes,
    )
    return wire.frame(head, payload)


def number_of(frame: bytes) -> int:
    """Which run an answering frame is about.

    Raises:
        ValueError: it is not an answering frame.
    """
    if len(frame) < wire.ENDED.size or frame[0] != wire.KIND_ENDED:
        raise ValueError("not an answer")
    number: int = wire.ENDED.unpack_from(frame)[1]
    return number


def result(frame: bytes, run: Run, tier: str) -> Result:
    """Judge how a run ended, from what the supervisor saw and what the child claims."""
    _, _, how, wait_status, cpu, wall, memory, out_bytes, err_bytes, _ = wire.ENDED.unpack_from(frame)
    at = wire.ENDED.size
    stdout, stderr = frame[at : at + out_bytes], frame[at + out_bytes : at + out_bytes + err_bytes]
    report = frame[at + out_bytes + err_bytes :]
    status, error, calls, size = _ending(run, how, wait_status, cpu, memory, report)
    return Result(
        status=status,
        calls=calls,
        error=error,
        stdout=stdout.decode("utf-8", "replace"),
        stderr=stderr.decode("utf-8", "replace"),
        cpu_seconds=cpu,
        wall_seconds=wall,
        memory_bytes=memory,
        output_bytes=size,
        tier=tier,
    )


_Ending = tuple[Status, str, tuple[Call, ...], int]


def _ending(run: Run, how: int, wait_status: int, cpu: float, memory: int, report: bytes) -> _Ending:
    limits = run.limits
    if how == wire.HOW_WALL:
        return Status.WALL_LIMIT, f"not finished after {limits.wall_seconds:g} s", (), 0
    if how == wire.HOW_FLOOD:
        return Status.OUTPUT_LIMIT, "wrote more than it may", (), 0
    number = wait_status & 0x7F
    if number in (signal.SIGKILL, signal.SIGXCPU):
        # The kernel enforces RLIMIT_CPU by counting ticks, which on a busy machine runs well ahead of
        # the exact time that it reports.
        if cpu >= limits.cpu_seconds / 2 or number == signal.SIGXCPU:
            return Status.CPU_LIMIT, f"used {limits.cpu_seconds} s of processor time", (), 0
        # Sent by the kernel when the container's memory is gone, or by the program to itself. Which of the
        # two cannot be told from here, and neither is a success; nobody else's program can send it.
        return Status.MEMORY_LIMIT, "killed, most likely for want of memory", (), 0
    if number == signal.SIGSYS:
        return Status.DENIED, "killed for a forbidden system call", (), 0
    if number:
        return Status.SIGNAL, f"killed by {_signal_name(number)}", (), 0
    code = wait_status >> 8
    if code == _EXIT_NO_MEMORY and not report:
        return Status.MEMORY_LIMIT, "no memory left to report what it returned", (), 0
    if code != 0 or not report:
        return Status.EXITED, f"ended with exit code {code} before it returned", (), 0
    try:
        return _claims(run, report)
    except codec.MalformedValue as error:
        return Status.EXITED, f"tampered with its report: {error}", (), 0


def _claims(run: Run, report: bytes) -> _Ending:
    """What the child says it returned, if it says so in exactly the right form.

    Raises:
        MalformedValue: it does not.
    """
    body = report[wire.LENGTH.size :]
    if len(report) < wire.LENGTH.size or wire.LENGTH.unpack_from(report)[0] != len(body):
        raise codec.MalformedValue("not exactly one frame")
    claimed = codec.decode(body, keep_order=True)
    match claimed:
        case (str(word), str(error), tuple(claims)) if word in _CLAIMABLE and len(claims) <= len(run.inputs):
            calls = tuple(_call(claim) for claim in claims)
        case _:
            raise codec.MalformedValue("not a report")
    status = _CLAIMABLE[word]
    failed = next((call for call in calls if call.status is not Status.OK), None)
    if failed is not None:
        status, error = failed.status, failed.error
    elif status is Status.OK and len(calls) != len(run.inputs):
        raise codec.MalformedValue("calls are missing")
    size = sum(len(claim[1]) for claim in claims)
    if size > run.limits.output_bytes:
        raise codec.MalformedValue("more output than allowed")
    return status, error[: wire.MAX_ERROR], calls, size


def _call(claim: Any) -> Call:
    match claim:
        case ("ok", bytes(value), ""):
            return Call(Status.OK, codec.decode(value, keep_order=True))
        case (str(word), b"", str(error)) if word in _CLAIMABLE and word not in ("ok", "compile_error"):
            return Call(_CLAIMABLE[word], None, error[: wire.MAX_ERROR])
        case _:
            raise codec.MalformedValue("not a call")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
