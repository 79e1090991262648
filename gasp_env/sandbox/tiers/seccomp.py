"""The container's system call filter: `sandbox_image/seccomp.json`, an allow-list of our own.

Docker's default profile is wide and differs between engines; ours holds what the supervisor, the
zygotes and Python programs were seen to need, for x86_64 and aarch64. A call that it does not name is
answered with EPERM, which Python reports as PermissionError: a program learns that it is denied, not
that the machine lacks something. Only calls that libraries probe for and can do without get ENOSYS: clone3 here,
and by runc's own rule every call newer than those the profile names.

Zygotes and children add filters of their own (`sandbox_image.worker.confine`), in every tier.
"""

from __future__ import annotations

import json
from typing import Any

from sandbox_image import CONTEXT

#: Calls that the profile denies, by the reason to deny them. A test allows each again and checks that it matters.
DENIED: tuple[str, ...] = (
    # other machines and programs
    "accept", "accept4", "bind", "listen", "socket",
    # other processes' memory, descriptors and fate
    "kcmp", "pidfd_getfd", "pidfd_open", "pidfd_send_signal", "process_madvise", "process_mrelease",
    "process_vm_readv", "process_vm_writev", "ptrace", "rt_sigqueueinfo", "rt_tgsigqueueinfo",
    "migrate_pages", "move_pages",
    # objects that outlive a process, or are shared with others
    "add_key", "flock", "keyctl", "memfd_secret", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive",
    "mq_timedsend", "mq_unlink", "msgctl", "msgget", "msgrcv", "msgsnd", "request_key", "semctl", "semget",
    "semop", "semtimedop", "shmat", "shmctl", "shmdt", "shmget",
    # wide doors into the kernel
    "bpf", "io_setup", "io_uring_enter", "io_uring_register", "io_uring_setup", "ioperm", "iopl", "modify_ldt",
    "perf_event_open", "personality", "userfaultfd",
    # namespaces and mounts
    "chroot", "clone3", "fsconfig", "fsmount", "fsopen", "fspick", "listmount", "mount", "mount_setattr",
    "move_mount", "open_tree", "open_tree_attr", "pivot_root", "setns", "statmount", "umount2", "unshare",
    # files by other ways, and changing them
    "chmod", "chown", "fanotify_init", "fanotify_mark", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat",
    "fremovexattr", "fsetxattr", "futimesat", "inotify_init", "inotify_init1", "lchown", "lremovexattr",
    "lsetxattr", "mknod", "mknodat", "name_to_handle_at", "open_by_handle_at", "quotactl", "quotactl_fd",
    "removexattr", "removexattrat", "setxattr", "setxattrat", "truncate", "utime", "utimensat", "utimes",
    # the machine
    "acct", "clock_settime", "delete_module", "execveat", "finit_module", "init_module", "kexec_file_load",
    "kexec_load", "lookup_dcookie", "reboot", "setdomainname", "sethostname", "settimeofday", "swapoff",
    "swapon", "syslog", "vhangup",
    # its scheduler
    "ioprio_set", "sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler", "setpgid",
    "setpriority", "setsid",
)  # fmt: skip


def profile(allow: frozenset[str] = frozenset()) -> str:
    """Return the profile as the daemon takes it, a JSON text.

    Args:
        allow: system calls to allow with any arguments (to test that denying them matters).
    """
    read: dict[str, Any] = json.loads((CONTEXT / "seccomp.json").read_text("utf-8"))
    rules = []
    for rule in read["syscalls"]:
        names = [name for name in rule["names"] if name not in allow]
        if names:
            rules.append({key: value for key, value in rule.items() if key != "comment"} | {"names": names})
    if allow:
        rules.append({"names": sorted(allow), "action": "SCMP_ACT_ALLOW"})
    return json.dumps(read | {"syscalls": rules}, separators=(",", ":"))


def allowed() -> frozenset[str]:
    """Return the calls that the profile allows, at least with some arguments."""
    read: dict[str, Any] = json.loads((CONTEXT / "seccomp.json").read_text("utf-8"))
    return frozenset(
        name for rule in read["syscalls"] if rule["action"] == "SCMP_ACT_ALLOW" for name in rule["names"]
    )
