"""Asks the kernel for a system call in a way that tells whether a filter is in front of it, and does nothing.

Run as a program with the names of calls: prints a JSON object of the answers, the error number or 0
for success. With ``zygote`` or ``child`` before them, each call is let through again by that filter of
`confine` alone, and the answer with the filter as it is comes beside it. It is handed as a text to an
interpreter that has `sandbox_image` and nothing else of ours.

The arguments are such that the call fails on its way, later than a filter and earlier than it would
change anything: no such descriptor, process or flag, an address where nothing is. Each is made in a
fork, since some succeed (``setsid``), and by a user without any capability.
"""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import sys

from sandbox_image.worker import confine

_NOBODY = 0x7FFFFFFE  # a process id that is never given out
_DEFAULT = (-1, -1, -1, -1, -1, -1)

#: Arguments, where minus one for all of them will not do.
ARGUMENTS: dict[str, tuple[int, ...]] = {
    "add_key": (0, 0, 0, 0, 0),
    "bpf": (0, 0, 2**20),
    "chmod": (0, 0),
    "chown": (0, 0, 0),
    "chroot": (0,),
    "clone": (0x800,),  # CLONE_SIGHAND without CLONE_VM
    "clone3": (0, 0),
    "execve": (0, 0, 0),
    "execveat": (-1, 0, 0, 0, 0),
    "fanotify_init": (0x40000200, 0),  # FAN_REPORT_FID and a flag that there is not
    "fchmodat": (-1, 0, 0),
    "fchmodat2": (-1, 0, 0, -1),
    "fchownat": (-1, 0, 0, 0, -1),
    "fcntl": (-1, 6, 0),  # F_SETLK
    "io_setup": (0, 0),
    "io_uring_setup": (0, 0),
    "ioctl": (-1, 0x5452, 0),  # FIOASYNC
    "ioprio_set": (99, 0, 0),
    "iopl": (99,),
    "keyctl": (9999,),
    "kill": (_NOBODY, 0),
    "lchown": (0, 0, 0),
    "mknod": (0, 0, 0),
    "mknodat": (-1, 0, 0, 0),
    "modify_ldt": (99, 0, 0),
    "mount": (1, 1, 1, 0, 0),
    "mq_open": (0, 0, 0, 0),
    "mq_unlink": (0,),
    "msgget": (0x6A5B, 0),
    "perf_event_open": (0, 0, 0, 0, -1),
    "personality": (0xFFFFFFFF,),
    "pivot_root": (1, 1),
    "prctl": (1, 9999),  # PR_SET_PDEATHSIG
    "prlimit64": (_NOBODY, 0, 0, 0),
    "ptrace": (9999, _NOBODY, 0, 0),
    "removexattr": (0, 0),
    "request_key": (0, 0, 0, 0),
    "rt_sigqueueinfo": (_NOBODY, 9999, 0),
    "rt_tgsigqueueinfo": (_NOBODY, _NOBODY, 9999, 0),
    "sched_setaffinity": (_NOBODY, 8, 0),
    "sched_setattr": (0, 0, 0),
    "semget": (0x6A5B, 1, 0),
    "setns": (-1, 0),
    "setpriority": (99, 0, 0),
    "setsid": (),
    "settimeofday": (1, 0),
    "setxattr": (0, 0, 0, 0, 0),
    "shmget": (0x6A5B, 4096, 0),
    "socket": (9999, 1, 0),
    "socketpair": (1, 2, 0, 0),  # a pair of datagram sockets, to be written nowhere
    "swapoff": (0,),
    "swapon": (0, 0),
    "syslog": (-1, 0, 0),
    "tgkill": (_NOBODY, _NOBODY, 0),
    "tkill": (_NOBODY, 0),
    "truncate": (0, 0),
    "unshare": (-1,),
    "userfaultfd": (-1,),
    "utimensat": (-1, 1, 1, -1),
}

#: Calls that come back twice. In machine code, so that the second time nothing is touched: the number goes to
#: EAX, and whoever finds 0 there calls exit.
_TWICE = {"fork", "vfork"}
_STUB = "b8{number}0f05 85c0 750a 31ff b83c000000 0f05 f4 4898 c3"


def answer(name: str) -> int:
    """The error number that a call ends with, 0 if it succeeds."""
    number = confine.number(name)
    assert number is not None, name
    if name in _TWICE:
        code = bytes.fromhex(_STUB.format(number=number.to_bytes(4, "little").hex()))
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(code)
        result = ctypes.CFUNCTYPE(ctypes.c_long)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
        return -result if result < 0 else 0
    libc = ctypes.CDLL(None, use_errno=True)
    arguments = ARGUMENTS.get(name, _DEFAULT)
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(argument) for argument in arguments))
    return ctypes.get_errno() if result < 0 else 0


def in_fork(name: str, *filters: object) -> int:
    """The same in a fork, after these filters are installed; -N if it is killed by signal N."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        code = 255
        try:
            for one in filters:
                one.install()  # type: ignore[attr-defined]
            code = answer(name)
        finally:
            os.write(write, code.to_bytes(2, "big"))
            os._exit(0)
    os.close(write)
    said = os.read(read, 2)
    os.close(read)
    _, status = os.waitpid(pid, 0)
    return int.from_bytes(said, "big") if said else -(status & 0x7F)


def main() -> None:
    """See the module's docstring."""
    which, *names = sys.argv[1:]
    if os.getuid() == 0:
        os.setgroups([])
        os.setresgid(2**29 + 1, 2**29 + 1, 2**29 + 1)
        os.setresuid(2**29 + 1, 2**29 + 1, 2**29 + 1)
    confine.forgo_privileges()
    assert confine.capabilities() == 0
    make = {"zygote": confine.zygote_filter, "child": confine.child_filter}.get(which)
    answers = {}
    for name in names:
        if make is None:
            answers[name] = [in_fork(name)]
        else:
            answers[name] = [in_fork(name, make()), in_fork(name, make(frozenset({name})))]
    print(json.dumps(answers))


if __name__ == "__main__":
    main()
