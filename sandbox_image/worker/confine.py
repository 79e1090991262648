"""Taking rights away for good: prctl and seccomp through ctypes, for x86_64 and aarch64.

Two filters. The zygote's is installed once and inherited by every fork: no new program, no
socket, nothing that reaches another process or outlives this one. The child's adds calls that a zygote
itself still needs: making processes and sending signals. A filter costs 0.1 to 0.3 ms to
install, so the one that is installed per run is kept short.

Classic BPF, assembled by hand: each rule is "if the number is N, return ACTION", in a row, with
a few rules that also look at one argument. The filters only ever add to those of the container.
Which files may be read is `landlock`'s business.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from typing import Any

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2

_ALLOW = 0x7FFF0000
_KILL_PROCESS = 0x80000000
_ERRNO = 0x00050000

_LOAD, _AND, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x45, 0x06
_NUMBER, _ARCH, _ARGUMENT_0, _ARGUMENT_1, _ARGUMENT_2 = 0, 4, 16, 24, 32
_X32_BIT = 0x40000000
_CLONE_THREAD = 0x00010000

_MACHINES = {"x86_64": (0xC000003E, 0), "aarch64": (0xC00000B7, 1)}  # audit arch, column below

# name: (x86_64, aarch64); None where the architecture has no such call
_NUMBERS: dict[str, tuple[int | None, int | None]] = {
    "accept": (43, 202), "accept4": (288, 242), "acct": (163, 89), "add_key": (248, 217),
    "bind": (49, 200), "bpf": (321, 280), "chmod": (90, None), "chown": (92, None), "chroot": (161, 51),
    "clock_settime": (227, 112), "clone": (56, 220), "clone3": (435, 435), "connect": (42, 203),
    "delete_module": (176, 106), "execve": (59, 221), "execveat": (322, 281),
    "fanotify_init": (300, 262), "fanotify_mark": (301, 263), "fchmod": (91, 52), "fchmodat": (268, 53),
    "fchmodat2": (452, 452), "fchown": (93, 55), "fchownat": (260, 54), "fcntl": (72, 25),
    "fgetxattr": (193, 10), "finit_module": (313, 273), "flistxattr": (196, 13), "flock": (73, 32),
    "fork": (57, None), "fremovexattr": (199, 16), "fsconfig": (431, 431), "fsetxattr": (190, 7),
    "fsmount": (432, 432), "fsopen": (430, 430), "fspick": (433, 433), "futimesat": (261, None),
    "getxattr": (191, 8), "getxattrat": (464, 464), "init_module": (175, 105),
    "inotify_init": (253, None), "inotify_init1": (294, 26), "io_setup": (206, 0),
    "io_uring_enter": (426, 426), "io_uring_register": (427, 427), "io_uring_setup": (425, 425),
    "ioctl": (16, 29), "ioperm": (173, None), "iopl": (172, None), "ioprio_set": (251, 30),
    "kcmp": (312, 272), "kexec_file_load": (320, 294), "kexec_load": (246, 104), "keyctl": (250, 219),
    "kill": (62, 129), "landlock_add_rule": (445, 445), "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446), "lchown": (94, None), "lgetxattr": (192, 9),
    "listen": (50, 201), "listmount": (458, 458), "listxattr": (194, 11), "listxattrat": (465, 465),
    "llistxattr": (195, 12), "lookup_dcookie": (212, 18), "lremovexattr": (198, 15),
    "lsetxattr": (189, 6), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    "migrate_pages": (256, 238), "mknod": (133, None), "mknodat": (259, 33), "modify_ldt": (154, None),
    "mount": (165, 40), "mount_setattr": (442, 442), "move_mount": (429, 429), "move_pages": (279, 239),
    "mq_getsetattr": (245, 185), "mq_notify": (244, 184), "mq_open": (240, 180),
    "mq_timedreceive": (243, 183), "mq_timedsend": (242, 182), "mq_unlink": (241, 181),
    "msgctl": (71, 187), "msgget": (68, 186), "msgrcv": (70, 188), "msgsnd": (69, 189),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "open_tree": (428, 428),
    "open_tree_attr": (467, 467), "perf_event_open": (298, 241), "personality": (135, 92),
    "pidfd_getfd": (438, 438), "pidfd_open": (434, 434), "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41), "prctl": (157, 167), "prlimit64": (302, 261),
    "process_madvise": (440, 440), "process_mrelease": (448, 448), "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "reboot": (169, 142), "removexattr": (197, 14),
    "removexattrat": (466, 466), "request_key": (249, 218), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240), "sched_setaffinity": (203, 122), "sched_setattr": (314, 274),
    "sched_setparam": (142, 118), "sched_setscheduler": (144, 119), "semctl": (66, 191),
    "semget": (64, 190), "semop": (65, 193), "semtimedop": (220, 192), "setdomainname": (171, 162),
    "sethostname": (170, 161), "setns": (308, 268), "setpgid": (109, 154), "setpriority": (141, 140),
    "setsid": (112, 157), "setsockopt": (54, 208), "settimeofday": (164, 170), "setxattr": (188, 5),
    "setxattrat": (463, 463), "shmat": (30, 196), "shmctl": (31, 195), "shmdt": (67, 197),
    "shmget": (29, 194), "socket": (41, 198), "socketpair": (53, 199), "statmount": (457, 457),
    "swapoff": (168, 225), "swapon": (167, 224), "sync": (162, 81), "syncfs": (306, 267),
    "syslog": (103, 116), "tgkill": (234, 131), "timer_create": (222, 107), "tkill": (200, 130),
    "truncate": (76, 45), "umount2": (166, 39), "unshare": (272, 97), "userfaultfd": (323, 282),
    "utime": (132, None), "utimensat": (280, 88), "utimes": (235, None), "vfork": (58, None),
    "vhangup": (153, 58),
}  # fmt: skip

#: Denied by the per-run filter, for all arguments.
_CHILD = ("fork", "kill", "pidfd_send_signal", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "tkill", "vfork")
# Denied by it depending on an argument, or answered with another error.
_CHILD_SPECIAL = ("clone", "clone3", "prctl", "tgkill")

#: Calls that each filter denies; of the special ones some uses.
DENIED_BY_CHILD: tuple[str, ...] = tuple(sorted((*_CHILD, *_CHILD_SPECIAL)))
DENIED_BY_ZYGOTE: tuple[str, ...] = tuple(name for name in _NUMBERS if name not in DENIED_BY_CHILD)

#: The first system call of those that came after this table (Linux 6.17); numbers from 424 on are the same
#: everywhere. A program does without them, unknown as they are.
_NEWER = 468

# Of fcntl: duplicates, flags of descriptors and of open files, sizes and seals. Others reach other processes through
# a file both have open, or outlast this one in it: locks, owners and signals, leases, the size of a pipe, hints.
_FCNTL_ALLOWED = (0, 1, 2, 3, 1030, 1032, 1033, 1034)
_F_SETFL = 4
# ... and among the flags of a file these: packets in a pipe, signals, and hints on how a file is read.
_FLAGS_DENIED = os.O_DIRECT | os.O_ASYNC | os.O_NOATIME
_SIGKILL = 9
# All that is asked of a descriptor in this way: is it a terminal and how wide, how much is there to read, do or do
# not block, do or do not close on execve. Others make signals go to another process (FIOSETOWN, FIOASYNC).
_IOCTL_ALLOWED = (0x5401, 0x802C542A, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451)
# Of the kinds of socket pair only this cannot be pointed at an address: asyncio needs no other.
_SOCK_TYPE_MASK, _SOCK_STREAM = 0xF, 1

_OWN_PID = 0xFFFFFFFF  # stands in the child's filter until the pid is known


class UnsupportedMachine(RuntimeError):
    """There is no table of system calls for this architecture."""


class _Filter:
    """A seccomp program in memory the kernel can read, ready to be installed.

    All that can be is made beforehand: every object a fork has to make or touch costs it pages.
    """

    def __init__(self, instructions: list[bytes]) -> None:
        code = b"".join(instructions)
        self.buffer = ctypes.create_string_buffer(code, len(code))
        # struct sock_fprog { unsigned short len; struct sock_filter *filter; }
        program = struct.pack("=H6xQ", len(instructions), ctypes.addressof(self.buffer))
        self.program = ctypes.create_string_buffer(program, len(program))
        at = code.find(struct.pack("=I", _OWN_PID))
        self.own_pid = ctypes.c_uint32.from_buffer(self.buffer, at) if at >= 0 else ctypes.c_uint32()
        self.arguments = _arguments(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(self.program))

    def install(self) -> None:
        self.own_pid.value = os.getpid()
        _call(self.arguments)


def confine_zygote() -> None:
    """Give up the rights that neither a zygote nor a child ever needs.

    Raises:
        OSError: the kernel refused; the worker must not go on.
        UnsupportedMachine: neither x86_64 nor aarch64.
    """
    forgo_privileges()
    zygote_filter().install()


def confine_child() -> None:
    """Give up making processes and signalling others. Called in each fork before it reads a byte."""
    _CHILD_FILTER.install()


def forgo_privileges() -> None:
    """Forgo more rights through any program, and keep processes of our uid from tracing or reading this one."""
    hide_memory()
    _prctl(PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent() -> None:
    """Be killed when the process that made this one ends, for a fork that nothing else would clear away."""
    _call(_DIE_WITH_PARENT)


def hide_memory() -> None:
    """Keep processes of our own uid from reading or tracing this one."""
    _prctl(PR_SET_DUMPABLE, 0)


def _prctl(option: int, *arguments: int) -> None:
    _call(_arguments(option, *arguments))


def _arguments(option: int, *arguments: int) -> tuple[Any, ...]:
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return ctypes.c_int(option), *(ctypes.c_ulong(argument) for argument in padded)


def _call(arguments: tuple[Any, ...]) -> None:
    if _prctl_function(*arguments) != 0:
        raise OSError(errno.EPERM, f"prctl({arguments[0].value}) was refused")


def _instruction(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)


def number(name: str) -> int | None:
    """This machine's number of a system call; None if it has no such call."""
    return _NUMBERS[name][_machine()[1]]


def _machine() -> tuple[int, int]:
    try:
        return _MACHINES[platform.machine()]
    except KeyError:
        raise UnsupportedMachine(f"no system call table for {platform.machine()}") from None


def _head() -> list[bytes]:
    """Kill callers of another architecture's or the x32 ABI; treat calls newer than our table as missing.

    Only in the zygote's filter: a fork is under both, and the stricter answer counts.
    """
    return [
        _instruction(_LOAD, _ARCH),
        _instruction(_EQUAL, _machine()[0], 1, 0),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_LOAD, _NUMBER),
        _instruction(_AT_LEAST, _X32_BIT, 0, 1),
        _instruction(_RETURN, _KILL_PROCESS),
        _instruction(_AT_LEAST, _NEWER, 0, 1),
        _instruction(_RETURN, _ERRNO | errno.ENOSYS),
    ]


def _deny(name: str, code: int = errno.EPERM) -> list[bytes]:
    if number(name) is None:
        return []
    return [_instruction(_EQUAL, number(name) or 0, 0, 1), _instruction(_RETURN, _ERRNO | code)]


def _if_argument(
    name: str, argument: int, tests: list[tuple[int, int]], matched: int, other: int, mask: int = 0
) -> list[bytes]:
    """For one call: return ``matched`` if any test (code, value) holds of the argument, else ``other``."""
    body = [_instruction(_LOAD, argument), *([_instruction(_AND, mask)] if mask else [])]
    for code, value in tests:
        body += [_instruction(code, value, 0, 1), _instruction(_RETURN, matched)]
    return _if_call(name, [*body, _instruction(_RETURN, other)])


def _if_call(name: str, body: list[bytes]) -> list[bytes]:
    """Instructions for one call, every way through which returns."""
    if number(name) is None:
        return []
    return [_instruction(_EQUAL, number(name) or 0, 0, len(body)), *body]


def _fcntl_rule(denied: int) -> list[bytes]:
    flags = [
        _instruction(_LOAD, _ARGUMENT_2),
        _instruction(_ANY_BIT, _FLAGS_DENIED, 0, 1),
        _instruction(_RETURN, denied),
        _instruction(_RETURN, _ALLOW),
    ]
    body = [_instruction(_LOAD, _ARGUMENT_1), _instruction(_EQUAL, _F_SETFL, 0, len(flags)), *flags]
    for command in _FCNTL_ALLOWED:
        body += [_instruction(_EQUAL, command, 0, 1), _instruction(_RETURN, _ALLOW)]
    return _if_call("fcntl", [*body, _instruction(_RETURN, denied)])


def _tgkill_rule(denied: int) -> list[bytes]:
    """Signals to itself, as abort sends; but for the one that looks as if the machine had killed it."""
    return _if_call(
        "tgkill",
        [
            _instruction(_LOAD, _ARGUMENT_0),
            _instruction(_EQUAL, _OWN_PID, 1, 0),
            _instruction(_RETURN, denied),
            _instruction(_LOAD, _ARGUMENT_2),
            _instruction(_EQUAL, _SIGKILL, 0, 1),
            _instruction(_RETURN, denied),
            _instruction(_RETURN, _ALLOW),
        ],
    )


def zygote_filter(allow: frozenset[str] = frozenset()) -> _Filter:
    """The filter that is installed once, less the denial of the calls in ``allow`` (to test that each is needed)."""
    denied = _ERRNO | errno.EPERM
    asked = [(_EQUAL, request) for request in _IOCTL_ALLOWED]
    special = {
        "fcntl": _fcntl_rule(denied),
        "ioctl": _if_argument("ioctl", _ARGUMENT_1, asked, _ALLOW, denied),
        "prlimit64": _if_argument("prlimit64", _ARGUMENT_0, [(_EQUAL, 0)], _ALLOW, denied),
        "socketpair": _if_argument(
            "socketpair", _ARGUMENT_1, [(_EQUAL, _SOCK_STREAM)], _ALLOW, denied, _SOCK_TYPE_MASK
        ),
    }
    instructions = _head()
    for name, rules in special.items():  # first, because for these the kernel cannot remember the answer
        if name not in allow:
            instructions += rules
    for name in DENIED_BY_ZYGOTE:
        if name not in special and name not in allow:
            instructions += _deny(name)
    return _Filter([*instructions, _instruction(_RETURN, _ALLOW)])


def child_filter(allow: frozenset[str] = frozenset()) -> _Filter:
    """The filter that is installed in every fork, less the denial of the calls in ``allow``."""
    denied = _ERRNO | errno.EPERM
    special = {
        "clone": _if_argument("clone", _ARGUMENT_0, [(_ANY_BIT, _CLONE_THREAD)], _ALLOW, denied),
        "prctl": _if_argument("prctl", _ARGUMENT_0, [(_EQUAL, PR_SET_PDEATHSIG)], denied, _ALLOW),
        "tgkill": _tgkill_rule(denied),
    }
    instructions = [_instruction(_LOAD, _NUMBER)]
    for name in _CHILD:
        if name not in allow:
            instructions += _deny(name)
    if "clone3" not in allow:
        instructions += _deny("clone3", errno.ENOSYS)  # glibc then falls back to clone
    for name, rules in special.items():
        if name not in allow:
            instructions += rules
    return _Filter([*instructions, _instruction(_RETURN, _ALLOW)])


def drop_capabilities() -> None:
    """Empty every set but the bounding one: becoming another user leaves the inheritable set alone.

    Raises:
        OSError: the kernel refused.
    """
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    if _LIBC.capset(ctypes.create_string_buffer(header, 8), ctypes.create_string_buffer(24)) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"capset: {os.strerror(code)}")


def capabilities() -> int:
    """The capabilities this process has in any of its sets but the bounding one, as bits."""
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    data = ctypes.create_string_buffer(24)
    if _LIBC.capget(ctypes.create_string_buffer(header, 8), data) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"capget: {os.strerror(code)}")
    low, high = struct.unpack("=3I", data.raw[:12]), struct.unpack("=3I", data.raw[12:])
    return (low[0] | low[1] | low[2]) | (high[0] | high[1] | high[2]) << 32


_CAPABILITY_VERSION_3 = 0x20080522
_LIBC = ctypes.CDLL(None, use_errno=True)
# Without keeping errno, which would double the cost of a call in a fork.
_prctl_function = ctypes.CDLL(None).prctl
_CHILD_FILTER = child_filter()
_DIE_WITH_PARENT = _arguments(PR_SET_PDEATHSIG, 9)
