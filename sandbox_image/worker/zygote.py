"""A zygote: an interpreter with one hash seed and the usual imports done, which forks.

It learns nothing: programs and inputs go from the supervisor straight to the fork, on a socket
the zygote passes on unread, so no fork can find another run's payload in its memory. One child
at a time; its end is measured here, with wait4, because only the parent can.

Started as ``python -m sandbox_image.worker.zygote OPTIONS``, a JSON object made by the supervisor:
``control``, the descriptor of the control socket; ``numpy``; ``seccomp``; ``landlock``.
"""

from __future__ import annotations

import array
import contextlib
import fcntl
import gc
import importlib
import json
import os
import resource
import signal
import socket
import sys
import time
from typing import Any, NoReturn

from sandbox_image.worker import child, codec, landlock, wire
from sandbox_image.worker.confine import confine_zygote, die_with_parent, forgo_privileges

#: Imports of most programs. Each module makes every fork a little dearer, so no more than that.
PRELOADED = (
    "bisect", "collections", "collections.abc", "copy", "dataclasses", "functools", "heapq", "itertools",
    "json", "math", "operator", "re", "string", "typing",
)  # fmt: skip
# Not random, which always seeds itself anew in every fork, for a tenth of all a
# short run costs. A program that imports it pays for that alone.

#: An ordinary program, executed some times before the first fork: the interpreter's allocations, caches
#: and specialisations for it are then made for good, and no fork has to make them again.
_WARM_UP = """
def f(numbers, text):
    total = {}
    for n in sorted(numbers):
        total[n % 3] = total.get(n % 3, 0) + n * 2
    return [list(total.items()), text.upper()[::-1], len(text) / 2]
"""
_WARM_UP_RUNS = 20

MAX_DESCRIPTORS = 64

FORK_ATTEMPTS = 200
FORK_PAUSE = 0.02

_child_pid = 0


def main() -> NoReturn:
    """Prepare, then fork on demand until the supervisor goes away."""
    die_with_parent()  # a zygote that waits for its child does not see the supervisor go
    options = json.loads(sys.argv[1])
    control = socket.socket(fileno=options["control"])
    for name in (*PRELOADED, *(("numpy",) if options["numpy"] else ())):
        importlib.import_module(name)
    address_space = _address_space()
    for limit, value in (
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, MAX_DESCRIPTORS),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        resource.setrlimit(limit, (value, value))
    with contextlib.suppress(ValueError):  # gVisor knows no such limit; the filter denies such queues anyway
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (0, 0))
    os.chdir("/")
    signal.signal(signal.SIGUSR1, _kill_child)
    if options["landlock"]:
        forgo_privileges()
        landlock.restrict(numpy=options["numpy"])
    sys.path[:] = _import_path(options["numpy"])
    sys.argv[:] = ["program"]
    if options["seccomp"]:
        confine_zygote()
    _warm_up()
    gc.collect()
    gc.disable()
    gc.freeze()
    control.send(wire.READY.pack(address_space))
    while True:
        _fork_one(control, address_space, options["seccomp"])


def _warm_up() -> None:
    arguments = codec.encode(([3, 1, 2], "warm"), keep_order=True)
    payload = codec.encode((_WARM_UP, "f", 2**16, 1000, 4300, (arguments,)), keep_order=True)
    for _ in range(_WARM_UP_RUNS):
        codec.encode(child.execute(payload), keep_order=True)
    del sys.modules["program"]


def _address_space() -> int:
    """Bytes of address space that this interpreter takes already; a run's limit is counted from there."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[0]) * resource.getpagesize()


def _import_path(numpy: bool) -> list[str]:
    """The standard library; of other installed packages only numpy's folder, and only if asked for."""
    standard = [
        entry
        for entry in sys.path
        if entry.startswith(sys.base_prefix) and not entry.endswith(("site-packages", "dist-packages"))
    ]
    module = sys.modules.get("numpy") if numpy else None
    return [*standard, *([os.path.dirname(os.path.dirname(str(module.__file__)))] if module else [])]


def _fork_one(control: socket.socket, own_address_space: int, confined: bool) -> None:
    global _child_pid
    message, descriptors = _receive(control)
    cpu_seconds, memory_bytes, processes = wire.FORK.unpack(message)
    pid = _fork()
    if pid == 0:
        child.run(descriptors, cpu_seconds, own_address_space + memory_bytes, processes, confined)
    _child_pid = pid
    for descriptor in descriptors:
        os.close(descriptor)
    # First only look, so that the pid stays taken until no signal can be sent to it any more.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    _child_pid = 0
    _, status, usage = os.wait4(pid, 0)
    fcntl.fcntl(
        0, fcntl.F_SETFL, 0
    )  # flags of the open file that all forks share, as the supervisor does for 1 and 2
    control.send(wire.EXIT.pack(status, usage.ru_utime + usage.ru_stime, usage.ru_maxrss))


def _receive(control: socket.socket) -> tuple[bytes, array.array[int]]:
    descriptors = array.array("i")
    message, ancillary, _, _ = control.recvmsg(wire.FORK.size, socket.CMSG_SPACE(2 * descriptors.itemsize))
    if not message:  # the supervisor is gone
        os._exit(0)
    descriptors.frombytes(ancillary[0][2])
    return message, descriptors


def _fork() -> int:
    """Fork, waiting out a moment in which another program's threads have used up all process ids."""
    for _ in range(FORK_ATTEMPTS):
        try:
            return os.fork()
        except BlockingIOError:
            time.sleep(FORK_PAUSE)
    os._exit(75)


def _kill_child(_signal: int, _frame: Any) -> None:
    """Kill the child at the supervisor's deadline. The signal may come early or twice: it is repeated until it works.

    A fork keeps this handler, since taking it away would cost it a tenth of a millisecond; there it
    finds no child to kill.
    """
    if _child_pid:
        os.kill(_child_pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
