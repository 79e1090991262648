"""Self-test: try forbidden actions in a worker before it is trusted with a run.

One program, sent the way every program is, makes the attempts and returns those that succeeded. Attempts are
harmless where they succeed: signal 0, files that do not exist, arguments that the kernel rejects after it has
let the call in.
"""

from __future__ import annotations

import select
import time
from typing import Any

from gasp_env.sandbox import frames
from gasp_env.sandbox.errors import SandboxError, WorkerLost
from gasp_env.sandbox.runs import Limits, Result, Run, Status
from gasp_env.sandbox.tiers.protections import PROTECTIONS
from gasp_env.sandbox.tiers.worker import Worker

_SECONDS = 60.0
#: Generous, so that the self-test is not late on a busy machine.
_LIMITS = Limits(wall_seconds=30.0, cpu_seconds=10)

_PROGRAM = r'''
import ctypes, errno, os, socket, threading

NUMBERS = {
    "x86_64": dict(
        ptrace=101, process_vm_readv=310, shmget=29, msgget=68, semget=64, mq_open=240, add_key=248, keyctl=250,
        io_uring_setup=425, bpf=321, userfaultfd=323, perf_event_open=298, mount=165, unshare=272, setns=308,
        capget=125,
    ),
    "aarch64": dict(
        ptrace=117, process_vm_readv=270, shmget=194, msgget=186, semget=190, mq_open=180, add_key=217, keyctl=219,
        io_uring_setup=425, bpf=280, userfaultfd=282, perf_event_open=241, mount=40, unshare=97, setns=268,
        capget=90,
    ),
}
PTRACE_PEEKTEXT = 1  # attaching would stop whom it succeeds with
KEY = 0x67617370  # of nothing that exists
REFUSALS = (errno.EPERM, errno.EACCES, errno.ENOSYS)
libc = ctypes.CDLL(None, use_errno=True)
numbers = NUMBERS.get(os.uname().machine, {})

def raw(name, *arguments):
    """A system call by number, answered by the kernel or by a filter."""
    def attempt():
        if libc.syscall(ctypes.c_long(numbers[name]), *[ctypes.c_long(argument) for argument in arguments]) < 0:
            raise OSError(ctypes.get_errno(), "")
    return attempt

def fork():
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)

def write(folder):
    def attempt():
        path = os.path.join(folder, "gasp-env-selftest")
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        except FileNotFoundError:
            raise OSError(errno.EACCES, "") from None
        os.unlink(path)
    return attempt

def read(path):
    def attempt():
        try:
            with open(path, "rb") as file:
                file.read(1)
        except FileNotFoundError:
            raise OSError(errno.EACCES, "") from None
    return attempt

def lock():
    import fcntl
    with open(os.__file__, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)

def capabilities():
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    data = (ctypes.c_uint32 * 6)()
    if libc.syscall(ctypes.c_long(numbers["capget"]), header, data) < 0:
        raise OSError(ctypes.get_errno(), "")
    if not any(data):
        raise OSError(errno.EPERM, "")

def rights_by_programs():
    PR_GET_NO_NEW_PRIVS = 39
    if libc.prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1:
        raise OSError(errno.EPERM, "")

def become_root():
    try:
        os.setuid(0)
    except OSError:  # in a user namespace there may be no such user at all
        raise OSError(errno.EPERM, "") from None

def root():
    if os.getuid() and os.geteuid() and os.getgid():
        raise OSError(errno.EPERM, "")

def datagrams():
    first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)

parent = os.getppid()
PROCESSES = {"zygote": parent, "process 1": 1}
ATTEMPTS = {
    "network": {
        **{f"a socket of family {name}": lambda family=family, kind=kind: socket.socket(family, kind)
           for name, family, kind in (
               ("AF_UNIX", 1, 1), ("AF_INET", 2, 1), ("AF_INET6", 10, 2), ("AF_NETLINK", 16, 3), ("AF_ALG", 38, 5),
               ("AF_VSOCK", 40, 1),
           )},
        "a pair of datagram sockets": datagrams,
    },
    "processes": {"fork": fork, "execve": lambda: os.execv("/nonexistent/program", ["program"])},
    "signals": {
        **{f"kill {name}": lambda pid=pid: os.kill(pid, 0) for name, pid in PROCESSES.items()},
        "kill everything": lambda: os.kill(-1, 0),
    },
    "memory": {
        **{f"ptrace {name}": raw("ptrace", PTRACE_PEEKTEXT, pid, 0, 0) for name, pid in PROCESSES.items()},
        "process_vm_readv": raw("process_vm_readv", parent, 0, 0, 0, 0, 0),
        **{f"/proc/{pid}/mem": read(f"/proc/{pid}/mem") for pid in (parent, 1)},
    },
    "writing": {folder: write(folder) for folder in (os.getcwd(), "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue")},
    "reading": {path: read(path) for path in (
        "/etc/passwd", "/etc/hostname", "/proc/version", "/proc/self/status", "/proc/1/environ",
        f"/proc/{parent}/environ",
    )},
    "sharing": {
        "memfd_create": lambda: os.memfd_create("x"), "shmget": raw("shmget", KEY, 0, 0), "flock": lock,
        "msgget": raw("msgget", KEY, 0), "semget": raw("semget", KEY, 0, 0), "mq_open": raw("mq_open", 0, 0, 0, 0),
        "add_key": raw("add_key", 0, 0, 0, 0, 0), "keyctl": raw("keyctl", -1, 0, 0, 0, 0),
    },
    "kernel": {
        "io_uring_setup": raw("io_uring_setup", 0, 0), "bpf": raw("bpf", -1, 0, 0),
        "userfaultfd": raw("userfaultfd", -1), "perf_event_open": raw("perf_event_open", 0, 0, 0, 0, 0),
    },
    "namespaces": {
        "mount": raw("mount", 0, 0, 0, 0, 0), "setns": raw("setns", -1, 0),
        "unshare": raw("unshare", 0),
    },
    "privileges": {
        "being root": root, "setuid(0)": become_root, "capabilities": capabilities,
        "no_new_privs is not set": rights_by_programs,
    },
}

def refused(attempt):
    try:
        attempt()
    except OSError as error:
        # A system without the family or the call is as good as one that denies it.
        return error.errno in (*REFUSALS, errno.EAFNOSUPPORT, errno.EROFS)
    except KeyError:
        return True  # another architecture's
    return False

def f():
    got = []
    thread = threading.Thread(target=got.append, args=(1,))
    thread.start()
    thread.join()
    assert got == [1], "threads do not work"
    return {name: [what for what, attempt in attempts.items() if not refused(attempt)]
            for name, attempts in ATTEMPTS.items()}
'''


def promised_protections(worker: Worker) -> frozenset[str]:
    """Return the names of the protections that must hold in this worker."""
    always = worker.promises
    return always | {"reading"} if always and worker.hello.get("landlock") else always


def find_breaches(worker: Worker) -> dict[str, list[str]]:
    """Try every protection; return by name the attempts that were not refused.

    The worker must be idle.

    Raises:
        SandboxError: the worker does not execute programs.
    """
    result = _execute(worker, Run(_PROGRAM, ((),), limits=_LIMITS))
    value = result.calls[0].value if result.status is Status.OK else None
    if not isinstance(value, dict) or set(value) != set(PROTECTIONS):
        raise SandboxError(
            f"the {worker.tier} worker does not execute programs as it should: its self-test ended with "
            f"{result.status} ({result.error})"
        )
    return {name: [str(what) for what in value[name]] for name in PROTECTIONS}


def check_promises(worker: Worker) -> None:
    """Refuse a worker that does not keep its tier's promises.

    Raises:
        SandboxError: a promised protection does not hold; the message names the attempts that succeeded.
    """
    promised = promised_protections(worker)
    breaches = {name: found for name, found in find_breaches(worker).items() if found and name in promised}
    if breaches:
        listed = "; ".join(f"{name}: {', '.join(found)}" for name, found in breaches.items())
        raise SandboxError(
            f"the {worker.tier} worker lets programs do what they must not ({listed}). Nothing is executed in it. "
            "`python -m gasp_env.sandbox doctor` shows all protections."
        )


def _execute(worker: Worker, run: Run) -> Result:
    """Execute one run and wait for it."""
    unsent = memoryview(frames.run_frame(0, run, frames.encode_payload(run)))
    deadline = time.monotonic() + _SECONDS
    try:
        while time.monotonic() < deadline:
            writing: list[Any] = [worker] if unsent else []
            select.select([worker], writing, [], 1.0)
            unsent = unsent[worker.send(unsent) :] if unsent else unsent
            for frame in worker.receive():
                return frames.decode_result(frame, run, worker.tier)
        raise WorkerLost(f"no answer within {_SECONDS:g} s")
    except (WorkerLost, ValueError) as error:
        raise SandboxError(f"the {worker.tier} worker did not survive its self-test: {error}") from error
