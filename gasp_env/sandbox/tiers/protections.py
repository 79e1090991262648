"""The protections by which tiers are compared: the actions each prevents, and the fix where it is off.

`PROTECTIONS` are tried by the self-test in every worker before it is used; a tier promises some of them
(`Worker.promises`). `WALLS` cannot be seen from inside a worker; a tier states which it has (`Worker.walls`).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Protection:
    """One protection.

    Attributes:
        against: actions it keeps a program from, in the words of the doctor.
        fix: how to get it. For a wall, the requirements beside one of the tiers that have it; may be empty.
    """

    against: str
    fix: str = ""


_FILTER = (
    "the worker's own system call filter is not in force: Linux with CONFIG_SECCOMP_FILTER, x86_64 or aarch64"
)

PROTECTIONS: dict[str, Protection] = {
    "network": Protection(
        "reaching other machines or local services: Internet, Unix and netlink sockets", _FILTER
    ),
    "processes": Protection("making processes and starting programs", _FILTER),
    "signals": Protection("signalling the zygote, the supervisor or anything else", _FILTER),
    "memory": Protection(
        "reading or tracing other processes: ptrace, process_vm_readv, /proc/PID/mem", _FILTER
    ),
    "writing": Protection(
        "creating files, in its folder, /tmp, /dev/shm or /dev/mqueue",
        "the tier docker or bwrap, or Linux 5.13 or later with Landlock",
    ),
    "reading": Protection(
        "reading files other than those of Python and its libraries, /proc among them",
        "Linux 5.13 or later with Landlock, enabled at boot (`landlock` among the kernel's lsm=)",
    ),
    "sharing": Protection(
        "leaving something to others: memory files, shared memory, queues, keys, locks", _FILTER
    ),
    "kernel": Protection(
        "calls that opened kernels before: io_uring, bpf, userfaultfd, perf_event_open", _FILTER
    ),
    "namespaces": Protection("mounting, and making or entering namespaces", _FILTER),
    "privileges": Protection(
        "being or becoming root, capabilities, gaining rights through a program",
        "run as another user than root, or in the tier docker",
    ),
}

WALLS: dict[str, Protection] = {
    "own processes": Protection("seeing that others run, and their command lines"),
    "own network": Protection("sharing the host's network stack"),
    "memory cap": Protection(
        "taking more than its run's limit in ways that the limit does not see",
        "with memory limits enabled in the kernel (cgroup v2, or cgroup_enable=memory)",
    ),
    "own kernel": Protection(
        "using a hole in the host's kernel",
        "the tier docker with a runtime that brings its own kernel: Sandbox(runtime='runsc')",
    ),
}
