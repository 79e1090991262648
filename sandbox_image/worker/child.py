"""One run, in a fork of its own: read the payload, execute, report once, die.

The program shares this process and can reach and change everything in it. So nothing
here decides anything. A report is a claim; its values are decoded and compared on the host,
and the time and the kind of the end are measured outside. This code owes the program a
faithful report when the program is honest, and no hang or lie when it merely is broken.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import resource
import sys
from collections.abc import Sequence
from types import CodeType, ModuleType
from typing import Any, NoReturn

from sandbox_image.worker import codec, wire
from sandbox_image.worker.confine import confine_child, die_with_parent

#: The recursion limit under which our own encoder runs, independent of the program's.
RECURSION_LIMIT = 1000

#: Descriptor of the socket to the supervisor, beside 0, 1 and 2 the only one a program finds.
CHANNEL = 3

#: Exit codes of a child that could not report.
EXIT_NOT_STARTED, EXIT_NO_MEMORY, EXIT_NO_REPORT = 70, 71, 72

# Everything used after the program has run, bound before it could replace it.
_encode, _decode, _type_name = codec.encode, codec.decode, codec.type_name
_exit, _write, _set_recursion_limit = os._exit, os.write, sys.setrecursionlimit
_type, _isinstance, _getattr = type, isinstance, getattr
_BaseException, _SystemExit, _MemoryError = BaseException, SystemExit, MemoryError
_Unserializable = codec.Unserializable

_SYNTAX_ERRORS = (SyntaxError, IndentationError, TabError)
_MISSING = object()

Report = tuple[str, str, tuple[tuple[str, bytes, str], ...]]


def run(
    descriptors: Sequence[int], cpu_seconds: int, address_space: int, processes: int, confined: bool
) -> NoReturn:
    """Execute the one payload that comes on the channel. Never returns.

    Args:
        descriptors: the socket the payload comes from and the report goes to; if there is a second, it is
            standard input.
        cpu_seconds: hard limit.
        address_space: hard limit in bytes, the interpreter's own included.
        processes: processes and threads our user may have, or `wire.UNCOUNTED`.
        confined: True to install the system call filter.
    """
    try:
        die_with_parent()
        channel, *stdin = descriptors
        for descriptor in stdin:
            os.dup2(descriptor, 0)
        os.dup2(channel, CHANNEL)
        os.closerange(CHANNEL + 1, 4096)
        resource.setrlimit(resource.RLIMIT_CPU, (cpu_seconds, cpu_seconds))
        resource.setrlimit(resource.RLIMIT_AS, (address_space, address_space))
        if processes != wire.UNCOUNTED:
            resource.setrlimit(resource.RLIMIT_NPROC, (processes, processes))
        if confined:
            confine_child()
        if "numpy.random" in sys.modules:  # else every fork would draw the same numbers
            sys.modules["numpy.random"].seed()
        flushers = (sys.stdout.flush, sys.stderr.flush)
        report = execute(_read())
    except BaseException:  # our own failure
        _exit(EXIT_NOT_STARTED)
    try:
        _set_recursion_limit(RECURSION_LIMIT)
        encoded = _encode(report, keep_order=True)
        for flush in flushers:
            with contextlib.suppress(_BaseException):  # the program may have closed it
                flush()
        unsent = wire.frame(encoded)
        while unsent:
            unsent = unsent[_write(CHANNEL, unsent) :]
    except _MemoryError:
        _exit(EXIT_NO_MEMORY)
    except _BaseException:
        _exit(EXIT_NO_REPORT)
    _exit(0)


def _read() -> bytes:
    """The one frame on the socket; the supervisor began to write it before we were forked."""
    data = os.read(CHANNEL, 2**16)
    (length,) = wire.LENGTH.unpack_from(data)
    parts, missing = [data[wire.LENGTH.size :]], length - (len(data) - wire.LENGTH.size)
    while missing > 0:
        parts.append(os.read(CHANNEL, min(missing, 2**18)))
        if not parts[-1]:
            raise EOFError
        missing -= len(parts[-1])
    return b"".join(parts)


def execute(payload: bytes) -> Report:
    """Compile and run a payload (see `wire`) in this very process, and report its end."""
    program, entry, output_bytes, recursion, digits, inputs = codec.decode(payload, keep_order=True)
    gc.enable()
    sys.setrecursionlimit(recursion)
    sys.set_int_max_str_digits(digits)
    try:
        code = compile(program, "<program>", "exec", dont_inherit=True)
    except Exception as error:  # SyntaxError, null bytes, nesting (MemoryError, RecursionError), surrogates
        return "compile_error", describe(error), ()
    return _run_main(code) if entry is None else _run_calls(code, entry, inputs, output_bytes)


def _run_calls(code: CodeType, entry: str, inputs: tuple[bytes, ...], output_bytes: int) -> Report:
    module = ModuleType("program")
    sys.modules["program"] = module  # dataclasses and pickle look a class's module up
    name, _, method = entry.partition(".")
    try:
        exec(code, module.__dict__)
        function = module.__dict__.get(name, _MISSING)
    except BaseException as error:
        return _failure(error), describe(error), ()
    if function is _MISSING:
        return "exception", f"NameError: the program does not define {name}", ()
    calls: list[tuple[str, bytes, str]] = []
    left = output_bytes
    for arguments in inputs:
        status, value, error_text = _call(function, method, arguments, left)
        left -= len(value)
        calls.append((status, value, error_text))
        if status in ("exited", "memory_limit", "output_limit"):
            break
    for status, _, error_text in calls:
        if status != "ok":
            return status, error_text, tuple(calls)
    return "ok", "", tuple(calls)


def _run_main(code: CodeType) -> Report:
    """Run a whole program, from its first line to the interpreter's own steps at its end."""
    main = sys.modules["__main__"] = ModuleType("__main__")
    # As CPython opens it: outside Windows line ends are left alone.
    sys.stdin = open(0, encoding="utf-8", newline="\n", closefd=False)  # noqa: SIM115
    stdout = sys.stdout
    report: Report = ("ok", "", ())
    try:
        exec(code, main.__dict__)
    except SystemExit as error:
        if not (error.code is None or (type(error.code) is int and error.code == 0)):
            report = "exited", f"ended by {describe(error)}", ()
    except BaseException as error:
        report = _failure(error), describe(error), ()
        with contextlib.suppress(BaseException):
            if error.__traceback__ is not None:  # without our own frame
                error.__traceback__ = error.__traceback__.tb_next
            sys.__excepthook__(type(error), error, error.__traceback__)
    # As CPython ends: threads are waited for, then functions registered for the exit run (many a program
    # prints from there), then printed text leaves the buffers, that of a replaced sys.stdout too.
    for finish in (_join_threads, atexit._run_exitfuncs, sys.stdout.flush, stdout.flush):
        with contextlib.suppress(BaseException):
            finish()
    return report


def _join_threads() -> None:
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()


def _call(function: Any, method: str, arguments: bytes, output_bytes: int) -> tuple[str, bytes, str]:
    """Make one call on arguments of its own; where a method is named, of an instance of its own."""
    try:
        called = _getattr(function(), method) if method else function
        result = called(*_decode(arguments, keep_order=True))
    except _BaseException as error:
        return _failure(error), b"", describe(error)
    try:
        _set_recursion_limit(RECURSION_LIMIT)  # the program may have lowered it
        value = _encode(result, keep_order=True)
    except _Unserializable as error:
        return "unserializable", b"", f"{error}"
    except _BaseException as error:
        return _failure(error), b"", describe(error)
    if len(value) > output_bytes:
        return "output_limit", b"", "the returned values are longer than the limit"
    return "ok", value, ""


def _failure(error: BaseException) -> str:
    if _isinstance(error, _SystemExit):
        return "exited"
    return "memory_limit" if _isinstance(error, _MemoryError) else "exception"


def describe(error: BaseException) -> str:
    """``Type: message``, without running a line the program wrote: its ``__str__`` may loop or lie."""
    kind = _type(error)
    name = _type_name(kind)
    arguments = _BaseException.args.__get__(error)  # type: ignore[attr-defined]
    try:
        _encode(arguments)  # plain values, which have the interpreter's own str and repr
        if kind in _SYNTAX_ERRORS and len(arguments) == 2:
            message = f"{arguments[0]} (line {arguments[1][1]})"
        elif _isinstance(error, OSError) and len(arguments) == 2:
            message = f"[Errno {arguments[0]}] {arguments[1]}"
        elif len(arguments) > 1:
            message = str(arguments)
        else:
            message = "".join([(repr if kind is KeyError else str)(argument) for argument in arguments])
    except BaseException:
        message = "<unprintable>"
    text = f"{name}: {message}" if message else name
    return text if len(text) <= wire.MAX_ERROR else text[: wire.MAX_ERROR - 1] + "…"
