"""Programs that want to be more than one process, outlive their run, or reach another process."""

from __future__ import annotations

from dataclasses import replace

from tests.adversarial.case import (
    DENIED,
    EXCEPTION,
    OK,
    OUTPUT,
    SIGNAL,
    SLEEPY,
    SYSCALL,
    WALL,
    body,
    case,
)

MAKING = [
    body(23, "fork_bomb", "import os\nwhile True: os.fork()", EXCEPTION, contains="PermissionError"),
    body(
        24,
        "daemon",
        "import os\nif os.fork() == 0: os.setsid(); os.fork()\nreturn 1",
        EXCEPTION,
        contains="PermissionError",
    ),
    body(24, "session", "import os; os.setsid()", EXCEPTION, contains="PermissionError"),
    body(25, "forkpty", "import pty; return pty.fork()", EXCEPTION),
    body(25, "pty_spawn", "import pty; return pty.spawn('/bin/true')", EXCEPTION),
    body(25, "subprocess", "import subprocess; subprocess.run(['true'])", EXCEPTION),
    body(25, "shell", "import subprocess; subprocess.getoutput('true')", EXCEPTION),
    body(25, "system", "import os; return os.system('true') != 0", OK, value=True),
    body(25, "execve", "import os; os.execv('/bin/true', ['true'])", EXCEPTION, contains="PermissionError"),
    body(25, "posix_spawn", "import os; return os.posix_spawn('/bin/true', ['true'], {})", EXCEPTION),
    body(26, "pool", "import multiprocessing; return multiprocessing.Pool(2).map(abs, [1])", EXCEPTION),
    body(
        26,
        "process",
        "import multiprocessing as m; m.get_context('spawn').Process(target=print).start()",
        EXCEPTION,
    ),
    body(
        26,
        "process_executor",
        """
        from concurrent.futures import ProcessPoolExecutor
        with ProcessPoolExecutor(2) as pool: return list(pool.map(abs, [1]))
        """,
        EXCEPTION,
    ),
    case(27, "clone", SYSCALL + "def f(): return call(56, 17, 0, 0, 0, 0)", OK, DENIED, value=1),
    case(
        27,
        "clone_namespace",
        SYSCALL + "def f(): return call(56, 0x10000000 | 17, 0, 0, 0, 0)",
        OK,
        DENIED,
        value=1,
    ),
    case(27, "vfork", SYSCALL + "def f(): return call(58)", OK, DENIED, value=1),
    case(27, "clone3", SYSCALL + "def f(): return call(435, 0, 0)", OK, DENIED, value=38),
    case(28, "x32_getpid", SYSCALL + "def f(): return call(0x40000000 + 39)", DENIED),
    body(
        28,
        "int_0x80",
        """
        import ctypes, mmap
        page = mmap.mmap(-1, 4096, prot=7)
        page.write(bytes.fromhex('b814000000cd80c3'))  # mov eax, 20 (getpid of 32 bit); int 0x80; ret
        return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))() > 0
        """,
        DENIED,
        SIGNAL,  # a kernel without 32 bit calls
    ),
]

LEAVING = [
    body(
        29,
        "thread_after_return",
        "import threading, time; threading.Thread(target=time.sleep, args=(30,)).start(); return 1",
        OK,
        value=1,
    ),
    body(
        30,
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
    body(
        29,
        "own_threads",
        "import threading; r = []\nt = threading.Thread(target=r.append, args=(4,)); t.start(); t.join()\nreturn r",
        OK,
        value=[4],
    ),
    body(
        29,
        "thread_pool",
        """
        from concurrent.futures import ThreadPoolExecutor
        with ThreadPoolExecutor(4) as pool: return list(pool.map(abs, [-1, -2, 3]))
        """,
        OK,
        value=[1, 2, 3],
    ),
    body(
        29,
        "timer_after_return",
        "import threading, os; threading.Timer(0.2, os.abort).start(); return 1",
        OK,
        value=1,
    ),
    body(
        29,
        "alarm_after_return",
        "import signal; signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001); return 1",
        OK,
        SIGNAL,
        value=1,
    ),
]

SIGNALS = [
    body(31, "kill_itself", "import signal; signal.raise_signal(signal.SIGKILL)", EXCEPTION),
    body(31, "kill_all", "import os; os.kill(-1, 9)", EXCEPTION, contains="PermissionError"),
    body(31, "kill_parent", "import os; os.kill(os.getppid(), 9)", EXCEPTION, contains="PermissionError"),
    body(31, "kill_pid_1", "import os; os.kill(1, 9)", EXCEPTION, contains="PermissionError"),
    body(31, "killpg", "import os; os.killpg(0, 9)", EXCEPTION, contains="PermissionError"),
    case(
        31,
        "tgkill_parent",
        SYSCALL + "import os\ndef f(): p = os.getppid(); return call(234, p, p, 9)",
        OK,
        value=1,
    ),
    case(31, "pidfd_kill", SYSCALL + "import os\ndef f(): return call(434, os.getppid(), 0)", OK, value=1),
    case(
        31,
        "sigqueue_parent",
        SYSCALL + "import os\ndef f(): return call(129, os.getppid(), 9, 0)",
        OK,
        value=1,
    ),
    case(
        31,
        "signal_through_a_socket",
        SYSCALL
        + """
import os, socket, time
def f():
    a, b = socket.socketpair()
    answers = [call(72, a.fileno(), 8, os.getppid())]  # fcntl F_SETOWN: SIGIO goes to another process
    answers.append(call(72, a.fileno(), 10, 9))        # F_SETSIG: and is SIGKILL
    call(72, a.fileno(), 4, 0o20000)                   # F_SETFL O_ASYNC
    b.send(b'x')
    time.sleep(0.1)
    return answers
""",
        OK,
        value=[1, 1],
    ),
    case(
        31,
        "signal_through_a_socket_by_ioctl",
        SYSCALL
        + """
import os, socket, time
def f():
    a, b = socket.socketpair()
    parent, yes = ctypes.c_int(os.getppid()), ctypes.c_int(1)
    for owner in (0x8901, 0x8902):                              # FIOSETOWN, SIOCSPGRP
        call(16, a.fileno(), owner, ctypes.addressof(parent))
    call(16, a.fileno(), 0x5452, ctypes.addressof(yes))         # FIOASYNC
    b.send(b'x')
    time.sleep(0.1)
    return 1
""",
        OK,
        value=1,
    ),
    body(
        31,
        "parent_limits",
        "import os, resource; resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (3, 3))",
        EXCEPTION,
        contains="PermissionError",
    ),
    body(
        31,
        "raise_own_limits",
        "import resource as r; r.setrlimit(r.RLIMIT_CPU, (99, 99))",
        EXCEPTION,
        contains="ValueError",
    ),
    body(31, "parent_priority", "import os; os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)", EXCEPTION),
    body(31, "parent_affinity", "import os; os.sched_setaffinity(os.getppid(), {0})", EXCEPTION),
    body(32, "stop_itself", "import signal; signal.raise_signal(signal.SIGSTOP)", WALL, limits=SLEEPY),
    body(
        32,
        "survive_the_deadline",
        """
        import signal, time
        for number in range(1, 65):
            try: signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError): pass
        while True: time.sleep(1)
        """,
        WALL,
        limits=SLEEPY,
    ),
    body(
        32,
        "hide_the_deadline",
        "import ctypes, time; ctypes.CDLL(None).prctl(1, 0, 0, 0, 0); time.sleep(60)",
        WALL,
        limits=replace(SLEEPY, wall_seconds=0.3),
    ),
]
