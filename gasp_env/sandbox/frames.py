"""Encode a `Run` as a frame for a worker, and decode the answering frame into a `Result`.

Pure functions. The child's report is a claim by the program: it may name a returned value or admit a
failure. How the run ended is decided by what the supervisor observed.
"""

from __future__ import annotations

import signal
from typing import Any

from gasp_env.sandbox.runs import HASH_SEEDS, PROFILES, Call, Limits, Result, Run, Status
from sandbox_image.worker import codec, wire

#: Longest program sent, in bytes of UTF-8. The gate's own limit is far lower.
MAX_PROGRAM = 2**20
#: Highest limit on output. The other half of a report is room for the errors of the calls.
MAX_OUTPUT = codec.MAX_BYTES // 2
#: Most calls of one run: their reports form one value, and its size is bounded.
MAX_CALLS = 20_000
#: Highest limit on either time: a day.
MAX_SECONDS = 86_400
#: Highest limit on memory, more than any machine has.
MAX_MEMORY = 2**48

_PROFILE_CODES = {
    "value": wire.PROFILE_VALUE,
    "stdin": wire.PROFILE_STDIN,
    "numpy": wire.PROFILE_NUMPY,
}

_BOUNDS = {
    "cpu_seconds": (1, MAX_SECONDS),
    "memory_bytes": (0, MAX_MEMORY),
    "output_bytes": (0, MAX_OUTPUT),
    "stdout_bytes": (0, MAX_OUTPUT),
    "recursion": (50, 10**6),
    "digits": (640, 10**6),  # the lowest limit that CPython allows
    "threads": (1, 256),
}

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
_EXIT_NO_MEMORY = 71  # as in `sandbox_image.worker.child`, which must not be imported on the host


def encode_payload(run: Run) -> bytes:
    """Encode the part of a run that the child reads.

    Raises:
        Unserializable: an input is outside the value language, or all inputs together are too long.
    """
    inputs = tuple(codec.encode(tuple(arguments), keep_order=True) for arguments in run.inputs)
    entry = None if run.profile == "stdin" else run.entry
    limits = run.limits
    parts = (run.program, entry, limits.output_bytes, limits.recursion, limits.digits, inputs)
    return codec.encode(parts, keep_order=True)


def check_run(run: Run) -> None:
    """Refuse a run that no sandbox can execute.

    Raises:
        ValueError: the hash seed or the profile does not exist, a limit is out of range, or the profile does not
            take the given ``inputs`` or ``stdin``.
    """
    for name in ("program", "entry", "profile", "stdin", "series"):
        value = getattr(run, name)
        if not isinstance(value, str):
            raise ValueError(f"{name} must be a str, not {type(value).__name__}")
    if not isinstance(run.inputs, tuple | list) or not all(isinstance(a, tuple | list) for a in run.inputs):
        raise ValueError("inputs must be a tuple of argument tuples, such as ((1, 2), (3, 4)) for two calls")
    if len(run.inputs) > MAX_CALLS:
        raise ValueError(
            f"a run of {len(run.inputs)} calls; at most {MAX_CALLS} are allowed, make several runs of it"
        )
    if type(run.hash_seed) is not int or run.hash_seed not in HASH_SEEDS:
        raise ValueError(f"hash_seed must be one of {HASH_SEEDS}, not {run.hash_seed!r}")
    if run.profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, not {run.profile!r}")
    if run.profile == "stdin" and run.inputs:
        raise ValueError("profile stdin runs a whole program on a text: give stdin, not inputs")
    if run.profile != "stdin" and run.stdin:
        raise ValueError(f"only profile stdin takes a text on standard input, not profile {run.profile}")
    _check_stdin(run.stdin)
    _check_limits(run.limits)


def _check_stdin(text: str) -> None:
    if len(text) > wire.MAX_STDIN or (not text.isascii() and len(_utf8(text)) > wire.MAX_STDIN):
        raise ValueError(f"stdin has {len(text)} characters, at most {wire.MAX_STDIN} bytes are allowed")


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(f"stdin must be text that UTF-8 can encode: {error}") from None


def _check_limits(limits: Limits) -> None:
    # Written so that nan, of which every comparison is false, is refused too.
    wall = limits.wall_seconds
    if not isinstance(wall, int | float) or not (0 < wall <= MAX_SECONDS):
        raise ValueError(f"wall_seconds must be more than 0 and at most {MAX_SECONDS}, not {str(wall)[:40]}")
    for name, (least, most) in _BOUNDS.items():
        value = getattr(limits, name)
        if not (isinstance(value, int) and least <= value <= most):
            raise ValueError(f"{name} must be an int from {least} to {most}, not {value!r:.40}")


def run_frame(number: int, run: Run, payload: bytes) -> bytes:
    """Build the frame that asks the supervisor for a run."""
    limits = run.limits
    report_bytes = limits.output_bytes + wire.REPORT_BYTES + wire.REPORT_BYTES_PER_CALL * len(run.inputs)
    stdin = _utf8(run.stdin)
    head = wire.RUN.pack(
        wire.KIND_RUN,
        number,
        _PROFILE_CODES[run.profile],
        run.hash_seed,
        limits.wall_seconds,
        limits.cpu_seconds,
        limits.memory_bytes,
        limits.threads,
        min(report_bytes, wire.MAX_FRAME // 2),
        # One byte more than allowed, so that a longer answer is noticed rather than cut silently.
        limits.output_bytes + 1 if run.profile == "stdin" else limits.stdout_bytes,
        limits.stdout_bytes,
        len(stdin),
    )
    return wire.frame(head, payload, stdin)


def cancel_frame(number: int) -> bytes:
    """Build the frame that withdraws a run, if the supervisor has not started it yet."""
    return wire.frame(wire.CANCEL.pack(wire.KIND_CANCEL, number))


def kill_frame(number: int) -> bytes:
    """Build the frame that ends a run whose answer is not needed any more."""
    return wire.frame(wire.CANCEL.pack(wire.KIND_KILL, number))


def withdrawn_number(frame: bytes) -> int | None:
    """Number of the run that this frame confirms as withdrawn; None if it is another kind of frame."""
    if len(frame) == wire.CANCEL.size and frame[0] == wire.KIND_CANCEL:
        number: int = wire.CANCEL.unpack(frame)[1]
        return number
    return None


def answered_number(frame: bytes) -> int:
    """Number of the run that this frame answers.

    Raises:
        ValueError: it is not an answering frame.
    """
    if len(frame) < wire.ENDED.size or frame[0] != wire.KIND_ENDED:
        raise ValueError("not an answer")
    number: int = wire.ENDED.unpack_from(frame)[1]
    return number


def decode_result(frame: bytes, run: Run, tier: str) -> Result:
    """Judge how a run ended, from the supervisor's observations and the child's claims."""
    _, _, how, wait_status, cpu, wall, memory, out_bytes, err_bytes, _ = wire.ENDED.unpack_from(frame)
    at = wire.ENDED.size
    stdout, stderr = frame[at : at + out_bytes], frame[at + out_bytes : at + out_bytes + err_bytes]
    report = frame[at + out_bytes + err_bytes :]
    status, error, calls, size = _ending(run, how, wait_status, cpu, report)
    if run.profile == "stdin":
        size = len(stdout)
        if size > run.limits.output_bytes:
            status, error = Status.OUTPUT_LIMIT, f"printed more than {run.limits.output_bytes} bytes"
            stdout, size = stdout[: run.limits.output_bytes], run.limits.output_bytes
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


def was_killed(frame: bytes, run: Run) -> bool:
    """True if the program got SIGKILL from outside, other than for a limit on time.

    Memory most likely ran out, but whether the program or the rest of the machine took it is unknown.
    A program cannot send itself this signal. It can lower its own limit on processor time, but not below a second.
    """
    _, _, how, wait_status, cpu, *_ = wire.ENDED.unpack_from(frame)
    at_limit = cpu >= min(run.limits.cpu_seconds, 1) / 2
    return bool(how == wire.HOW_EXIT and wait_status & 0x7F == signal.SIGKILL and not at_limit)


_Ending = tuple[Status, str, tuple[Call, ...], int]


def _ending(run: Run, how: int, wait_status: int, cpu: float, report: bytes) -> _Ending:
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
        # Sent by the kernel when the container's memory is used up, or by the program to itself. The two look
        # alike here, and neither is a success. Other programs cannot send it.
        return Status.MEMORY_LIMIT, "killed, most likely for want of memory", (), 0
    if number == signal.SIGSYS:
        return Status.DENIED, "killed for a forbidden system call", (), 0
    if number:
        return Status.SIGNAL, f"killed by {_signal_name(number)}", (), 0
    code = wait_status >> 8
    if run.profile == "stdin" and code == 0 and not report:  # os._exit(0): its output decides
        return Status.OK, "", (), 0
    if code == _EXIT_NO_MEMORY and not report:
        return Status.MEMORY_LIMIT, "no memory left to report what it returned", (), 0
    if code != 0 or not report:
        return Status.EXITED, f"ended with exit code {code} before it returned", (), 0
    try:
        return _decode_report(run, report)
    except codec.MalformedValue as error:
        return Status.EXITED, f"tampered with its report: {error}", (), 0


def _decode_report(run: Run, report: bytes) -> _Ending:
    """Decode the child's claim, which must have exactly the right form.

    Raises:
        MalformedValue: it has not.
    """
    body = report[wire.LENGTH.size :]
    if len(report) < wire.LENGTH.size or wire.LENGTH.unpack_from(report)[0] != len(body):
        raise codec.MalformedValue("not exactly one frame")
    claimed = codec.decode(body, keep_order=True)
    match claimed:
        case (str(word), str(error), tuple(claims)) if word in _CLAIMABLE and len(claims) <= len(run.inputs):
            # Cheap checks first: a forged report could make decoding its values expensive.
            if word == "ok" and len(claims) != len(run.inputs):
                raise codec.MalformedValue("calls are missing")
            size = sum(_claimed_size(claim) for claim in claims)
            if size > run.limits.output_bytes:
                raise codec.MalformedValue("more output than allowed")
            calls = tuple(_decode_call(claim) for claim in claims)
        case _:
            raise codec.MalformedValue("not a report")
    status = _CLAIMABLE[word]
    failed = next((call for call in calls if call.status is not Status.OK), None)
    if failed is not None:
        status, error = failed.status, failed.error
    return status, error[: wire.MAX_ERROR], calls, size


def _claimed_size(claim: Any) -> int:
    match claim:
        case (_, bytes(value), _):
            return len(value)
        case _:
            raise codec.MalformedValue("not a call")


def _decode_call(claim: Any) -> Call:
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
