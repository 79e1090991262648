"""Programs that want more time or memory than they may have."""

from __future__ import annotations

from dataclasses import replace

from tests.adversarial.case import (
    CPU,
    EXCEPTION,
    MEMORY,
    OK,
    SHORT,
    SIGNAL,
    SLEEPY,
    UNSERIALIZABLE,
    WALL,
    body,
    case,
)

TIME = [
    body(1, "loop", "while True: pass", CPU),
    case(1, "module_loops", "while True: pass", CPU),
    body(2, "sleep", "import time; time.sleep(60)", WALL, limits=SLEEPY),
    body(
        2,
        "lock_never_freed",
        "import threading; l = threading.Lock(); l.acquire(); l.acquire()",
        WALL,
        limits=SLEEPY,
    ),
    body(
        3,
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
        4,
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
    body(5, "regex_backtracking", "import re; return bool(re.match(r'(a+)+$', 'a' * 40 + 'b'))", CPU),
    body(6, "huge_power", "return 10 ** 10 ** 10 % 7", CPU, MEMORY),
    body(6, "power_chain", "x = 3\nwhile True: x **= 7", CPU, MEMORY),
    body(7, "c_loop", "return sum(range(10 ** 12))", CPU),
    body(8, "hostile_comparator", "return len(sorted(range(3), key=lambda _: sum(range(10 ** 12))))", CPU),
    body(8, "collisions", "return len({i * (2 ** 61 - 1) for i in range(10 ** 6)})", CPU, MEMORY),
    body(8, "long_product", "return len('x'.__mul__(10 ** 11))", MEMORY),
    body(
        9,
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
    case(
        10,
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
    case(
        10,
        "finalizer_loops",
        """
        import sys, weakref
        class Last:
            def __del__(self):
                while True: pass
        sys.kept = Last()
        weakref.finalize(sys.kept, lambda: [0 for _ in iter(int, 1)])
        def f(): return 7
        """,
        OK,
        value=7,
    ),
    body(11, "infinite_generator", "return (i for i in iter(int, 1))", UNSERIALIZABLE),
    body(12, "input_at_eof", "while True: input()", EXCEPTION, contains="EOFError"),
]

SPACE = [
    body(13, "big_string", "return len(' ' * (1 << 30))", MEMORY),
    body(
        14,
        "append_bomb",
        """
        kept = []
        while True: kept.append(' ' * 1000000)
        """,
        MEMORY,
    ),
    body(
        15,
        "bytearray_growth",
        """
        grown = bytearray(1 << 20)
        while True: grown += bytes(len(grown))
        """,
        MEMORY,
    ),
    body(16, "format_width", "return f'{1:{10 ** 9}}'", MEMORY),
    body(
        17,
        "many_threads",
        """
        import threading, time
        for _ in range(100000): threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        """,
        EXCEPTION,
        MEMORY,
        contains="RuntimeError",
    ),
    body(
        17,
        "thread_stacks",
        """
        import threading, time
        threading.stack_size(8 << 20)
        for _ in range(200): threading.Thread(target=time.sleep, args=(30,), daemon=True).start()
        """,
        EXCEPTION,
        MEMORY,
        contains="RuntimeError",
        limits=replace(SHORT, threads=250),
    ),
    body(18, "mmap_anonymous", "import mmap; return len(mmap.mmap(-1, 1 << 30))", EXCEPTION, MEMORY),
    body(
        18,
        "mmap_zero",
        """
        import mmap
        with open('/dev/zero', 'rb') as zero: return len(mmap.mmap(zero.fileno(), 1 << 30, prot=mmap.PROT_READ))
        """,
        EXCEPTION,
        MEMORY,
    ),
    body(19, "memfd", "import os; return os.memfd_create('x')", EXCEPTION, contains="PermissionError"),
    body(
        20,
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
    body(21, "gc_off_cycles", "import gc; gc.disable()\nwhile True: a = [' ' * 9999]; a.append(a)", MEMORY),
    body(
        21,
        "gc_at_every_step",
        "import gc; gc.set_threshold(1); return len([[] for _ in range(3000)])",
        OK,
        value=3000,
    ),
    body(
        22,
        "zip_bomb",
        "import zlib; return len(zlib.decompress(zlib.compress(bytes(1 << 20) * 20, 9) , bufsize=1 << 30))",
        MEMORY,
    ),
    body(
        22,
        "zip_bomb_grows",
        """
        import zlib
        packed = zlib.compressobj(9)
        small = b''.join(packed.compress(bytes(1 << 20)) for _ in range(200)) + packed.flush()
        return len(zlib.decompress(small))
        """,
        MEMORY,
        CPU,
    ),
    body(
        22,
        "json_depth",
        "import json; return json.loads('[' * 100000)",
        EXCEPTION,
        MEMORY,
        contains="RecursionError",
    ),
    case(
        73,
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
    body(
        73,
        "recursion_in_c",
        "a = []\nfor _ in range(10 ** 6): a = [a]\nreturn repr(a)",
        EXCEPTION,
        SIGNAL,
        MEMORY,
    ),
    case(73, "recursion_to_the_limit", "def f(n=0): return f(n + 1)", EXCEPTION, contains="RecursionError"),
    case(
        73,
        "recursion_through_operators",
        """
        import sys
        sys.setrecursionlimit(10 ** 6)
        class A:
            def __add__(self, other): return self + other
        def f(): return A() + 1
        """,
        EXCEPTION,
        SIGNAL,
        MEMORY,
        CPU,
    ),
]
