"""Landlock rules of the files a program may open: the standard library's and the system libraries', for reading.

Landlock is a rule of the kernel that a process imposes on itself and all its forks. It comes on
top of the tier's own view of the file system; where there is neither container nor namespace it
keeps programs from the user's files. Once per zygote; a fork inherits it for nothing.

https://docs.kernel.org/userspace-api/landlock.html. The three calls have the same numbers on all
architectures we know.
"""

from __future__ import annotations

import ctypes
import errno
import importlib.util
import os
import struct
import sysconfig

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_VERSION = 1
_PATH_BENEATH = 1

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIRECTORY = 1, 2, 4, 8
# Rights known to each version: everything on files, then sockets and signals.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
_TCP_RIGHTS = 0b11  # bind, connect: from version 4
_SCOPES = 0b11  # abstract Unix sockets and signals of processes outside: from version 6

#: Shared libraries, and files that the loader and the standard library look up at run time.
_SYSTEM = (
    "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/usr/share/zoneinfo",
    "/dev/zero", "/dev/urandom", "/dev/random",
)  # fmt: skip
_NOT_STANDARD = ("site-packages", "dist-packages")

_LIBC = ctypes.CDLL(None, use_errno=True)


def version() -> int:
    """The kernel's Landlock version, 0 where it has none or a filter denies it."""
    return max(0, int(_LIBC.syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _VERSION)))


def restrict(*, numpy: bool = False) -> int:
    """Forbid this process and its forks every file but those they need; returns the version in force.

    Args:
        numpy: numpy's files may be read too.

    Raises:
        OSError: the kernel has no Landlock (ENOSYS), or refused.
    """
    abi = version()
    if abi < 1:
        raise OSError(errno.ENOSYS, "this kernel has no Landlock")
    rights = (1 << _FILE_RIGHTS[min(abi, max(_FILE_RIGHTS))]) - 1
    attributes = struct.pack("=QQQ", rights, _TCP_RIGHTS if abi >= 4 else 0, _SCOPES if abi >= 6 else 0)
    ruleset = _call(_CREATE_RULESET, attributes[: 8 if abi < 4 else 16 if abi < 6 else 24])
    try:
        library = sysconfig.get_path("stdlib")
        _allow(ruleset, library, _READ_DIRECTORY)  # the import system lists it
        for path in (*_SYSTEM, *_standard(library), *(_numpy() if numpy else ())):
            _allow(ruleset, path, _READ_FILE | _READ_DIRECTORY)
        _allow(ruleset, "/dev/null", _READ_FILE | _WRITE_FILE)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)
    return abi


def _standard(library: str) -> list[str]:
    """The standard library without packages that others have installed into its folder."""
    return [os.path.join(library, name) for name in os.listdir(library) if name not in _NOT_STANDARD]


def _numpy() -> list[str]:
    """The folder of numpy and, in a wheel, that of the libraries it brought."""
    found = importlib.util.find_spec("numpy")
    if found is None or found.origin is None:
        return []
    folder = os.path.dirname(found.origin)
    return [folder, f"{folder}.libs"]


def _allow(ruleset: int, path: str, rights: int) -> None:
    """Allow rights on a path and everything beneath it; a path that is not there needs no rule."""
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            rights &= ~_READ_DIRECTORY
        # struct landlock_path_beneath_attr is packed: u64 allowed_access, s32 parent_fd
        _call(_ADD_RULE, ruleset, _PATH_BENEATH, struct.pack("=Qi", rights, descriptor), 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: int | bytes) -> int:
    converted: list[object] = []
    for argument in arguments:
        if isinstance(argument, bytes):
            converted.append(ctypes.create_string_buffer(argument, len(argument)))
            if number == _CREATE_RULESET:
                converted += [ctypes.c_size_t(len(argument)), ctypes.c_uint32(0)]
        else:
            converted.append(ctypes.c_long(argument))
    result = int(_LIBC.syscall(ctypes.c_long(number), *converted))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock system call {number}: {os.strerror(code)}")
    return result
