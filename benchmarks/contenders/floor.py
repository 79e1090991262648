"""The floor: the least cost of one run, with the worker's own code and nothing around it.

A dispatcher is an interpreter like one of our zygotes (the same imports, warm-up and environment)
that holds the payloads and forks: the fork compiles, runs and encodes with the functions of
`sandbox_image.worker` and writes its report into a pipe; the dispatcher waits for it and compares
the report with the one expected. No Docker, no system call filter, no Landlock, no limits, no
supervisor, no socket and no host. Other savings beside that: the payloads are there before
the clock starts, one pipe serves all forks, and one wait ends each.

With options it takes the protections on one by one, by which the profile measures their price.

Started as ``python -m benchmarks.contenders.floor OPTIONS``, a JSON object: ``tickets``, the
descriptor that tells which payload is next, and any of `benchmarks.contenders.PROTECTIONS`, all off by default. Speaks
JSON lines: ``[[payload, report], ...]`` in hexadecimal, answered by ``"ready"``; then as often as
wanted ``"run"``, until a ticket says `FLOOR_END`, answered by ``{"right", "child_seconds", "seconds"}``.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from benchmarks.contenders import FLOOR_END, FLOOR_TICKET_BYTES
from sandbox_image.worker import child, codec, confine, landlock, wire, zygote

_CHUNK = 2**16
_LIMITS = (
    (resource.RLIMIT_CPU, 4),
    (resource.RLIMIT_AS, 2**30),
    (resource.RLIMIT_NPROC, 2**15),
)


@dataclass(frozen=True)
class Work:
    """A payload as the child reads it, and the frame it must answer with."""

    payload: bytes
    report: bytes


def main() -> NoReturn:
    """Serve until standard input closes."""
    options = json.loads(sys.argv[1])
    work = [Work(bytes.fromhex(payload), bytes.fromhex(report)) for payload, report in json.loads(input())]
    for name in zygote.PRELOADED:
        importlib.import_module(name)
    zygote._warm_up()
    if options.get("landlock"):
        confine.forgo_privileges()
        landlock.restrict()
    if options.get("zygote_filter"):
        confine.confine_zygote()
    steps = _steps(options)
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    gc.collect()
    gc.disable()
    gc.freeze()
    print(json.dumps("ready"), flush=True)
    for _ in sys.stdin:
        print(json.dumps(_serve(options["tickets"], work, (reader, writer), steps)), flush=True)
    sys.exit(0)


def _serve(
    tickets: int, work: list[Work], pipe: tuple[int, int], steps: list[Callable[[], None]]
) -> dict[str, object]:
    right, seconds = 0, []
    reader, writer = pipe
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    while True:
        number = int.from_bytes(os.read(tickets, FLOOR_TICKET_BYTES), "big")
        if number == FLOOR_END:
            break
        started = time.perf_counter()
        right += _run(work[number], reader, writer, steps)
        seconds.append(time.perf_counter() - started)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    child_seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"right": right, "child_seconds": child_seconds, "seconds": seconds}


def _run(work: Work, reader: int, writer: int, steps: list[Callable[[], None]]) -> bool:
    pid = os.fork()
    if pid == 0:
        try:
            for step in steps:
                step()
            os.write(writer, wire.frame(codec.encode(child.execute(work.payload), keep_order=True)))
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    try:
        return os.read(reader, _CHUNK) == work.report
    except BlockingIOError:  # it died without a report
        return False


def _steps(options: dict[str, object]) -> list[Callable[[], None]]:
    """Steps of a fork before it looks at its payload."""

    def limits() -> None:
        for limit, value in _LIMITS:
            resource.setrlimit(limit, (value, value))

    def descriptors() -> None:
        os.dup2(1, 50)
        os.closerange(60, 4096)

    named: dict[str, Callable[[], None]] = {
        "die_with_parent": confine.die_with_parent,
        "descriptors": descriptors,
        "rlimits": limits,
        "child_filter": confine.confine_child,
    }
    return [step for name, step in named.items() if options.get(name)]


def _with_environment() -> None:
    """Start again with the environment of our zygotes, of which some only counts when an interpreter starts."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Here, so that its imports are not in the dispatcher's memory, which every fork has to copy.
        from sandbox_image.worker import supervisor

        arguments = [sys.executable, "-m", "benchmarks.contenders.floor", *sys.argv[1:]]
        os.execve(sys.executable, arguments, supervisor.ENVIRONMENT | {"PYTHONHASHSEED": "0"})


if __name__ == "__main__":
    _with_environment()
    main()
