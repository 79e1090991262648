"""Hostile programs, and how a run of each may end.

Every case defines ``f()`` unless it fails before. ``allowed`` is a set because the kernel or the
interpreter's version may decide which of two defences is met first; none may end in
``infra_error`` or ``worker_killed``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import dedent
from typing import Any

from gasp_env.sandbox import Limits, Status

OK, COMPILE, EXCEPTION, EXITED = Status.OK, Status.COMPILE_ERROR, Status.EXCEPTION, Status.EXITED
SIGNAL, CPU, WALL, MEMORY = Status.SIGNAL, Status.CPU_LIMIT, Status.WALL_LIMIT, Status.MEMORY_LIMIT
OUTPUT, DENIED, UNSERIALIZABLE = Status.OUTPUT_LIMIT, Status.DENIED, Status.UNSERIALIZABLE

SHORT = Limits(cpu_seconds=1, wall_seconds=20.0, memory_bytes=64 * 2**20)
SLEEPY = Limits(cpu_seconds=2, wall_seconds=0.5)


@dataclass(frozen=True)
class Case:
    """One program. ``value`` is compared when the run may be ok; ``contains`` with its error."""

    name: str
    program: str
    allowed: frozenset[Status]
    contains: str = ""
    value: Any = None
    limits: Limits = field(default=SHORT)


def case(name: str, program: str, *allowed: Status, **options: Any) -> Case:
    return Case(name, dedent(program).lstrip("\n"), frozenset(allowed), **options)


def body(name: str, lines: str, *allowed: Status, **options: Any) -> Case:
    """A case whose program is a function with these lines."""
    indented = "\n".join("    " + line for line in dedent(lines).strip("\n").split("\n"))
    return Case(name, f"def f():\n{indented}\n", frozenset(allowed), **options)


SYSCALL = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *arguments):
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_long(a) for a in arguments))
    return ctypes.get_errno() if result < 0 else -1
"""

TIME = [
    body("loop", "while True: pass", CPU),
    body("sleep", "import time; time.sleep(60)", WALL, limits=SLEEPY),
    body(
        "ignore_signals",
        """
        import signal
        for number in (signal.SIGALRM, signal.SIGTERM, signal.SIGINT, signal.SIGXCPU, signal.SIGUSR1):
            signal.signal(number, signal.SIG_IGN)
        while True: pass
        """,
        CPU,
    ),
    body(
        "except_everything",
        """
        while True:
            try:
                while True: pass
            except BaseException:
                pass
        """,
        CPU,
    ),
    body("regex_backtracking", "import re; return bool(re.match(r'(a+)+$', 'a' * 40 + 'b'))", CPU),
    body("huge_power", "return 10 ** 10 ** 10 % 7", CPU, MEMORY),
    body("c_loop", "return sum(range(10 ** 12))", CPU),
    body("collisions", "return len({i * (2 ** 61 - 1) for i in range(10 ** 6)})", CPU, MEMORY),
    body(
        "busy_threads",
        """
        import threading
        def spin():
            while True: pass
        for _ in range(3): threading.Thread(target=spin).start()
        spin()
        """,
        CPU,
    ),
    case("module_loops", "while True: pass", CPU),
    body("stop_itself", "import signal; signal.raise_signal(signal.SIGSTOP)", WALL, limits=SLEEPY),
    body("input_at_eof", "return input()", EXCEPTION, contains="EOFError"),
    case(
        "atexit_loops",
        """
        import atexit
        def forever():
            while True: pass
        atexit.register(forever)
        def f(): return 7
        """,
        OK,
        value=7,
    ),
]

MEMORY_CASES = [
    body("big_string", "return len(' ' * (1 << 30))", MEMORY),
    body(
        "append_bomb",
        """
        kept = []
        while True: kept.append(' ' * 1000000)
        """,
        MEMORY,
    ),
    body(
        "bytearray_growth",
        """
        grown = bytearray(1 << 20)
        while True: grown += bytes(len(grown))
        """,
        MEMORY,
    ),
    body("format_width", "return f'{1:{10 ** 9}}'", MEMORY),
    body(
        "many_threads",
        """
        import threading, time
        for _ in range(100000): threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        """,
        EXCEPTION,
        MEMORY,
        contains="RuntimeError",
    ),
    body("mmap_anonymous", "import mmap; return len(mmap.mmap(-1, 1 << 30))", EXCEPTION, MEMORY),
    body("memfd", "import os; return os.memfd_create('x')", EXCEPTION, contains="PermissionError"),
    body(
        "catch_memory_error",
        """
        kept = []
        while True:
            try: kept.append(bytearray(1 << 20))
            except MemoryError: pass
        """,
        CPU,
        WALL,
    ),
    body(
        "json_depth",
        "import json; return json.loads('[' * 100000)",
        EXCEPTION,
        MEMORY,
        contains="RecursionError",
    ),
    body(
        "zip_bomb",
        "import zlib; return len(zlib.decompress(zlib.compress(bytes(1 << 20) * 20, 9) , bufsize=1 << 30))",
        MEMORY,
    ),
    case(
        "recursion",
        """
        import sys
        sys.setrecursionlimit(10 ** 9)
        def f(n=0): return f(n + 1)
        """,
        EXCEPTION,
        SIGNAL,
        MEMORY,
        CPU,
    ),
    body("gc_off_cycles", "import gc; gc.disable()\nwhile True: a = [' ' * 9999]; a.append(a)", MEMORY),
]

PROCESSES = [
    body("fork_bomb", "import os\nwhile True: os.fork()", EXCEPTION, contains="PermissionError"),
    body(
        "daemon",
        "import os\nif os.fork() == 0: os.setsid(); os.fork()\nreturn 1",
        EXCEPTION,
        contains="PermissionError",
    ),
    body("vfork_and_forkpty", "import pty; return pty.fork()", EXCEPTION),
    body("subprocess", "import subprocess; subprocess.run(['true'])", EXCEPTION),
    body("system", "import os; return os.system('true') != 0", OK, value=True),
    body("execve", "import os; os.execv('/bin/true', ['true'])", EXCEPTION, contains="PermissionError"),
    body("posix_spawn", "import os; return os.posix_spawn('/bin/true', ['true'], {})", EXCEPTION),
    body("pool", "import multiprocessing; return multiprocessing.Pool(2).map(abs, [1])", EXCEPTION),
    case("clone", SYSCALL + "def f(): return call(56, 17, 0, 0, 0, 0)", OK, DENIED, value=1),
    case("vfork", SYSCALL + "def f(): return call(58)", OK, DENIED, value=1),
    case("clone3", SYSCALL + "def f(): return call(435, 0, 0)", OK, DENIED, value=38),
    case("x32_getpid", SYSCALL + "def f(): return call(0x40000000 + 39)", DENIED),
    body(
        "thread_after_return",
        "import threading, time; threading.Thread(target=time.sleep, args=(30,)).start(); return 1",
        OK,
        value=1,
    ),
    body(
        "thread_prints_forever",
        """
        import threading
        def shout():
            while True: print('x' * 100)
        threading.Thread(target=shout, daemon=True).start()
        return 1
        """,
        OK,
        OUTPUT,
        value=1,
    ),
    body("kill_itself", "import signal; signal.raise_signal(signal.SIGKILL)", MEMORY),
    body("kill_all", "import os; os.kill(-1, 9)", EXCEPTION, contains="PermissionError"),
    body("kill_parent", "import os; os.kill(os.getppid(), 9)", EXCEPTION, contains="PermissionError"),
    body("kill_pid_1", "import os; os.kill(1, 9)", EXCEPTION, contains="PermissionError"),
    body("killpg", "import os; os.killpg(0, 9)", EXCEPTION, contains="PermissionError"),
    case(
        "tgkill_parent",
        SYSCALL + "import os\ndef f(): p = os.getppid(); return call(234, p, p, 9)",
        OK,
        value=1,
    ),
    body(
        "parent_limits",
        "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (3, 3))",
        EXCEPTION,
        contains="PermissionError",
    ),
    case(
        "ptrace_parent", SYSCALL + "import os\ndef f(): return call(101, 16, os.getppid(), 0, 0)", OK, value=1
    ),
    body(
        "own_threads",
        "import threading; r = []\nt = threading.Thread(target=r.append, args=(4,)); t.start(); t.join()\nreturn r",
        OK,
        value=[4],
    ),
]

FILES = [
    *(
        body(f"write_{path.strip('/').replace('/', '_')}", f"open({path!r} + 'x', 'w').write('x')", EXCEPTION)
        for path in ("/", "/tmp/", "/dev/shm/", "/dev/mqueue/", "/opt/gasp_env/", "/var/tmp/", "/proc/self/")
    ),
    body("truncate_stdlib", "import json; open(json.__file__, 'r+').truncate(0)", EXCEPTION),
    body(
        "many_files",
        "return [open('/etc/passwd') for _ in range(10000)] and 1",
        EXCEPTION,
        contains="OSError",
    ),
    body("symlink", "import os; os.symlink('/etc/passwd', '/tmp/x')", EXCEPTION),
    body("fifo", "import os; os.mkfifo('/tmp/x')", EXCEPTION),
    body("close_all", "import os; os.closerange(0, 100); return 1", EXITED, EXCEPTION),
    body("redirect_all", "import os\nfor i in range(1, 9): os.dup2(0, i)\nreturn 1", EXITED, EXCEPTION),
    body(
        "garbage_to_all",
        """
        import os
        for i in range(20):
            try: os.write(i, b'\\xff' * 100)
            except OSError: pass
        return 1
        """,
        EXITED,
    ),
    body("supervisor_environment", "return open('/proc/1/environ').read()", EXCEPTION, contains="Permission"),
    body("supervisor_memory", "return open('/proc/1/mem', 'rb').read(1)", EXCEPTION, contains="Permission"),
    body("zygote_memory", "import os; return open(f'/proc/{os.getppid()}/maps').read()", EXCEPTION),
    body("zygote_descriptors", "import os; return os.listdir(f'/proc/{os.getppid()}/fd')", EXCEPTION),
    body(
        "lock_stdlib",
        "import fcntl, json; fcntl.flock(open(json.__file__), fcntl.LOCK_SH)",
        EXCEPTION,
        contains="PermissionError",
    ),
    body("lease", "import fcntl, json; fcntl.fcntl(open(json.__file__), fcntl.F_SETLEASE, 0)", EXCEPTION),
    body(
        "environment_is_bare", "import os; return sorted(k for k in os.environ if 'GASP' in k)", OK, value=[]
    ),
    body("descriptors", "import os; return len(os.listdir('/proc/self/fd'))", OK, value=5),
]

NETWORK = [
    body("connect", "import socket; socket.create_connection(('1.1.1.1', 53), 1)", EXCEPTION),
    body("dns", "import socket; return socket.gethostbyname('example.com')", EXCEPTION),
    body(
        "metadata", "import urllib.request as u; u.urlopen('http://169.254.169.254/', timeout=1)", EXCEPTION
    ),
    *(
        body(
            f"socket_{name}",
            f"import socket; socket.socket({family}, {kind}).close()",
            EXCEPTION,
            contains="PermissionError",
        )
        for name, family, kind in (
            ("inet", 2, 1),
            ("unix", 1, 1),
            ("netlink", 16, 3),
            ("packet", 17, 3),
            ("alg", 38, 5),
            ("vsock", 40, 1),
        )
    ),
    *(
        case(f"syscall_{name}", SYSCALL + f"def f(): return call({number}, 0, 0, 0, 0)", OK, value=1)
        for name, number in (
            ("io_uring_setup", 425),
            ("bpf", 321),
            ("perf_event_open", 298),
            ("userfaultfd", 323),
            ("keyctl", 250),
            ("add_key", 248),
            ("mount", 165),
            ("unshare", 272),
            ("setns", 308),
            ("process_vm_writev", 311),
            ("pidfd_getfd", 438),
            ("shmget", 29),
            ("mq_open", 240),
            ("personality", 135),
            ("inotify_init1", 294),
        )
    ),
    body("asyncio", "import asyncio\nasync def g(): return 5\nreturn asyncio.run(g())", OK, value=5),
    body("imports", "import socket, ssl, urllib.request, select; return 1", OK, value=1),
]

EXITS = [
    body("sys_exit_0", "import sys; sys.exit(0)", EXITED),
    body("exit_builtin", "exit()", EXITED),
    body("quit_builtin", "quit()", EXITED),
    body("system_exit_text", "raise SystemExit('x')", EXITED),
    body("system_exit_none", "raise SystemExit", EXITED),
    case("module_exits", "raise SystemExit(0)\ndef f(): return 1", EXITED),
    body("os_exit", "import os; os._exit(0)", EXITED),
    body("abort", "import os; os.abort()", SIGNAL, contains="SIGABRT"),
    body("segfault", "import ctypes; ctypes.string_at(0)", SIGNAL, contains="SIGSEGV"),
    body(
        "atexit_hides",
        "import atexit, os; atexit.register(os._exit, 0); raise ValueError(3)",
        EXCEPTION,
        contains="ValueError: 3",
    ),
    body("skip_test", "import unittest; raise unittest.SkipTest('no')", EXCEPTION, contains="SkipTest"),
    body("keyboard_interrupt", "raise KeyboardInterrupt", EXCEPTION, contains="KeyboardInterrupt"),
    body("generator_exit", "raise GeneratorExit", EXCEPTION),
    case(
        "unprintable",
        """
        class E(BaseException):
            def __str__(self):
                while True: pass
            __repr__ = __str__
        def f(): raise E(E())
        """,
        EXCEPTION,
        contains="E: <unprintable>",
    ),
    case(
        "fake_timeout",
        "class TimeoutException(Exception): pass\ndef f(): raise TimeoutException('late')",
        EXCEPTION,
        contains="TimeoutException: late",
    ),
    body("long_message", "raise ValueError('x' * 10 ** 7)", EXCEPTION, MEMORY, contains="ValueError"),
    case(
        "context_cycle",
        """
        def f():
            a, b = ValueError('a'), ValueError('b')
            a.__context__, b.__context__ = b, a
            raise a
        """,
        EXCEPTION,
        contains="ValueError: a",
    ),
    case(
        "broken_builtins",
        """
        import builtins, os, sys
        def f():
            sys.excepthook = sys.exit = None
            sys.modules.clear()
            builtins.len = builtins.isinstance = builtins.type = builtins.tuple = None
            builtins.__import__ = None
            return 1
        """,
        OK,
        EXITED,
        EXCEPTION,
        value=1,
    ),
    body(
        "faulthandler_exit",
        "import faulthandler, time; faulthandler.dump_traceback_later(0.1, exit=True); time.sleep(5)",
        EXITED,
    ),
    body(
        "lower_recursion_limit",
        "import sys; sys.setrecursionlimit(10); return [[1]]",
        OK,
        EXCEPTION,
        value=[[1]],
    ),
]

FORGERIES = [
    case(
        "always_equal",
        "class A:\n    def __eq__(self, other): return True\ndef f(): return A()",
        UNSERIALIZABLE,
        contains="A is not",
    ),
    *(
        case(
            f"subclass_{base}",
            f"class S({base}):\n    def __eq__(self, other): return True\n    __hash__ = None\ndef f(): return S()",
            UNSERIALIZABLE,
        )
        for base in ("int", "str", "list", "dict", "tuple", "set", "float", "bytes")
    ),
    case(
        "infinite_list_subclass",
        "class L(list):\n    def __iter__(self):\n        while True: yield 1\ndef f(): return L()",
        UNSERIALIZABLE,
    ),
    case(
        "lying_metaclass",
        """
        class M(type):
            def __instancecheck__(self, other): return True
            def __eq__(self, other): return True
            __hash__ = lambda self: hash(int)
        class A(metaclass=M):
            __class__ = int
        def f(): return A()
        """,
        UNSERIALIZABLE,
    ),
    body("mock_any", "from unittest.mock import ANY; return ANY", UNSERIALIZABLE),
    body("decimal", "from decimal import Decimal; return Decimal('NaN')", UNSERIALIZABLE),
    body("generator", "return (i for i in iter(int, 1))", UNSERIALIZABLE),
    body("function", "return f", UNSERIALIZABLE),
    body("range", "return range(3)", UNSERIALIZABLE),
    body("complex", "return 1j", UNSERIALIZABLE),
    body("cycle", "a = []; a.append(a); return a", UNSERIALIZABLE, contains="cycle"),
    body(
        "deep", "a = []\nfor _ in range(100000): a = [a]\nreturn a", UNSERIALIZABLE, SIGNAL, contains="deeper"
    ),
    body(
        "exponential", "a = []\nfor _ in range(60): a = [a, a]\nreturn a", UNSERIALIZABLE, contains="values"
    ),
    body("huge_int", "return 10 ** 5000", UNSERIALIZABLE, contains="digits"),
    body("long_value", "return 'x' * (1 << 20)", OUTPUT),
    body("nan_keys", "return {float('nan'): 1, float('nan'): 2}", UNSERIALIZABLE),
    body("print_passed", "print('PASSED', '\\x1b[2J', {'status': 'ok'}); return 0", OK, value=0),
    body(
        "patched_encoder",
        """
        import sys
        from sandbox_image.worker import codec, child
        codec.encode = codec._Encoder.encode = lambda *a, **k: b'T'
        child._encode = lambda *a, **k: b'T'
        return 3
        """,
        EXITED,
        EXCEPTION,
        MEMORY,
    ),
    body(
        "forged_frame",
        """
        import os
        from sandbox_image.worker import codec, wire
        claim = ('ok', '', (('ok', codec.encode(7, keep_order=True), ''),))
        os.write(3, wire.frame(codec.encode(claim, keep_order=True)))
        os._exit(0)
        """,
        OK,
        value=7,
    ),
    body(
        "two_frames",
        """
        import os
        from sandbox_image.worker import codec, wire
        claim = ('ok', '', (('ok', codec.encode(7, keep_order=True), ''),))
        os.write(3, wire.frame(codec.encode(claim, keep_order=True)))
        return 7
        """,
        EXITED,
    ),
    body(
        "claims_infra_error",
        """
        import os
        from sandbox_image.worker import codec, wire
        os.write(3, wire.frame(codec.encode(('infra_error', '', ()), keep_order=True)))
        os._exit(0)
        """,
        EXITED,
    ),
    body("flood_report", "import os\nwhile True: os.write(3, bytes(65536))", OUTPUT),
    body("flood_stdout", "import os\nwhile True: os.write(1, bytes(65536))", OUTPUT),
    body(
        "descriptor_in_flight",
        """
        import socket
        channel = socket.socket(fileno=3)
        a, b = socket.socketpair()
        socket.send_fds(a, [b'x'], [1, 2, b.fileno()])
        socket.send_fds(channel, [b'x'], [1, 2, a.fileno(), b.fileno()])
        channel.detach()
        return 1
        """,
        EXITED,
    ),
]

VALUES = [
    body("print_surrogate", "print('\\ud800')", EXCEPTION, contains="UnicodeEncodeError"),
    body("return_surrogate", "return '\\ud800\\x00\\u202e'", OK, value="\ud800\x00\u202e"),
    body(
        "nan_and_zero",
        "return [float('nan'), -0.0, float('inf')]",
        OK,
        value=[float("nan"), 0.0, float("inf")],
    ),
    body("mixed_set", "return {1, 'a', (2,), None}", OK, value={1, "a", (2,), None}),
    body("int_text_limit", "return str(10 ** 5000)", EXCEPTION, contains="ValueError"),
]

SOURCES = [
    case("null_byte", "def f(): return 1\0", COMPILE),
    case("syntax", "def f(: return 1", COMPILE, contains="SyntaxError"),
    case("parentheses", "x = " + "(" * 500 + ")" * 500, COMPILE),
    case("unary_minuses", "x = " + "-" * 100000 + "1", COMPILE, EXCEPTION, SIGNAL),
    case("long_literal", "x = " + "9" * 5000, COMPILE),
    case("coding_cookie", "# -*- coding: no-such-codec -*-\ndef f(): return 1", OK, COMPILE, value=1),
    case("crlf", "def f():\r\n    return 1\r\n", OK, value=1),
    case("too_long", "#" * (2**20 + 1), COMPILE),
    case("no_entry", "def g(): return 1", EXCEPTION, contains="does not define f"),
    case("entry_is_no_function", "f = 3", EXCEPTION, contains="TypeError"),
    case("surrogate_source", "x = '\ud800'\ndef f(): return 1", COMPILE),
]

CASES = [*TIME, *MEMORY_CASES, *PROCESSES, *FILES, *NETWORK, *EXITS, *FORGERIES, *VALUES, *SOURCES]
