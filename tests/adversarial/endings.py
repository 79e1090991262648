"""Programs that end in another way than by returning, or hide how they ended."""

from __future__ import annotations

from tests.adversarial.case import EXCEPTION, EXITED, MEMORY, OK, SIGNAL, body, case

EXITS = [
    body(49, "sys_exit_0", "import sys; sys.exit(0)", EXITED),
    body(49, "exit_builtin", "exit()", EXITED),
    body(49, "quit_builtin", "quit()", EXITED),
    body(49, "system_exit_text", "raise SystemExit('x')", EXITED),
    body(49, "system_exit_none", "raise SystemExit", EXITED),
    case(49, "system_exit_subclass", "class E(SystemExit): pass\ndef f(): raise E(0)", EXITED),
    case(49, "module_exits", "raise SystemExit(0)\ndef f(): return 1", EXITED),
    body(50, "os_exit", "import os; os._exit(0)", EXITED),
    case(
        50,
        "thread_exits",
        "import os, threading\ndef f():\n    t = threading.Thread(target=os._exit, args=(0,)); t.start(); t.join()",
        EXITED,
    ),
    body(51, "abort", "import os; os.abort()", SIGNAL, contains="SIGABRT"),
    body(52, "segfault", "import ctypes; ctypes.string_at(0)", SIGNAL, contains="SIGSEGV"),
    body(52, "jump_nowhere", "import ctypes; ctypes.CFUNCTYPE(None)(8)()", SIGNAL, contains="SIGSEGV"),
    body(
        52,
        "corrupt_the_heap",
        """
        import ctypes
        for _ in range(1000):
            ctypes.memset(id(object()), 255, 64)
        return 1
        """,
        SIGNAL,
        OK,
        EXITED,
        EXCEPTION,
        MEMORY,
        value=1,
    ),
    body(
        53,
        "atexit_hides",
        "import atexit, os; atexit.register(os._exit, 0); raise ValueError(3)",
        EXCEPTION,
        contains="ValueError: 3",
    ),
    body(
        59,
        "faulthandler_exit",
        "import faulthandler, time; faulthandler.dump_traceback_later(0.1, exit=True); time.sleep(5)",
        EXITED,
    ),
    body(
        59,
        "thread_kills_with_a_lock_held",
        "import _thread; _thread.interrupt_main(); return sum(range(10**6))",
        EXCEPTION,
    ),
]

EXCEPTIONS = [
    body(54, "skip_test", "import unittest; raise unittest.SkipTest('no')", EXCEPTION, contains="SkipTest"),
    body(54, "keyboard_interrupt", "raise KeyboardInterrupt", EXCEPTION, contains="KeyboardInterrupt"),
    body(54, "generator_exit", "raise GeneratorExit", EXCEPTION, contains="GeneratorExit"),
    body(54, "stop_iteration", "raise StopIteration(1)", EXCEPTION, contains="StopIteration: 1"),
    body(54, "group", "raise ExceptionGroup('g', [ValueError(1)])", EXCEPTION, contains="ExceptionGroup"),
    body(54, "asserts", "assert False, 'no'", EXCEPTION, contains="AssertionError: no"),
    case(
        54,
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
        54,
        "lying_name",
        """
        class M(type):
            __name__ = property(lambda self: 'ok')
        class E(BaseException, metaclass=M):
            args = property(lambda self: 1 / 0)
        def f(): raise E(3)
        """,
        EXCEPTION,
        contains="E: 3",
    ),
    case(
        55,
        "fake_timeout",
        "class TimeoutException(Exception): pass\ndef f(): raise TimeoutException('late')",
        EXCEPTION,
        contains="TimeoutException: late",
    ),
    body(56, "long_message", "raise ValueError('x' * 10 ** 7)", EXCEPTION, MEMORY, contains="ValueError"),
    body(
        56, "very_long_message", "raise ValueError('x' * 10 ** 8)", EXCEPTION, MEMORY, contains="ValueError"
    ),
    body(
        56,
        "long_name",
        "raise type('E' * 10 ** 6, (Exception,), {})",
        EXCEPTION,
        contains="EEEE",
    ),
    case(
        57,
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
        57,
        "long_chain",
        """
        def f():
            error = None
            for number in range(100000):
                new = ValueError(number)
                new.__cause__, error = error, new
            raise error
        """,
        EXCEPTION,
        contains="ValueError: 99999",
    ),
    body(
        57,
        "group_in_group",
        """
        error = ValueError(1)
        for _ in range(100000): error = ExceptionGroup('g', [error])
        raise error
        """,
        EXCEPTION,
        SIGNAL,
        contains="ExceptionGroup",
    ),
    case(
        58,
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
    case(
        58,
        "emptied_builtins",
        "import builtins\ndef f():\n    vars(builtins).clear()\n    return 1",
        OK,
        EXITED,
        EXCEPTION,
        SIGNAL,
        value=1,
    ),
    case(
        58,
        "no_standard_streams",
        "import sys\ndef f():\n    sys.stdout = sys.stderr = sys.stdin = None\n    print(1)\n    return 1",
        OK,
        value=1,
    ),
    body(
        58,
        "lower_recursion_limit",
        "import sys; sys.setrecursionlimit(10); return [[1]]",
        OK,
        EXCEPTION,
        value=[[1]],
    ),
]
