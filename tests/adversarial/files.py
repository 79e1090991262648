"""Programs that want to change files, read what is not theirs, or meddle with descriptors."""

from __future__ import annotations

from tests.adversarial.case import EXCEPTION, EXITED, OK, OUTPUT, body, case

WRITING = [
    *(
        body(
            33,
            f"write_{path.strip('/').replace('/', '_')}",
            f"open({path!r} + 'x', 'w').write('x')",
            EXCEPTION,
        )
        for path in (
            "/",
            "/tmp/",
            "/dev/shm/",
            "/dev/mqueue/",
            "/opt/gasp_env/",
            "/var/tmp/",
            "/proc/self/",
            "/root/",
            "/home/",
            "/run/",
            "./",
        )
    ),
    body(33, "temporary_file", "import tempfile; return tempfile.TemporaryFile()", EXCEPTION),
    body(33, "make_directory", "import os; os.makedirs('/tmp/x/y')", EXCEPTION),
    body(33, "write_bytecode", "import json; open(json.__cached__, 'wb').write(b'')", EXCEPTION),
    body(34, "truncate_stdlib", "import json; open(json.__file__, 'r+').truncate(0)", EXCEPTION),
    body(34, "truncate_by_name", "import json, os; os.truncate(json.__file__, 10 ** 10)", EXCEPTION),
    body(34, "grow_standard_output", "import os; os.truncate(1, 10 ** 10)", EXCEPTION),
    body(34, "reserve_space", "import os; os.posix_fallocate(1, 0, 10 ** 10)", EXCEPTION),
    body(
        34,
        "ten_gigabytes",
        """
        import os
        for number in range(10 ** 10 >> 20): os.write(1, bytes(1 << 20))
        """,
        OUTPUT,
    ),
    body(
        35,
        "many_files",
        "import json\nreturn [open(json.__file__) for _ in range(10000)] and 1",
        EXCEPTION,
        contains="OSError: [Errno 24]",
    ),
    body(
        35,
        "many_descriptors",
        "import os\nfor _ in range(10000): os.dup(1)",
        EXCEPTION,
        contains="[Errno 24]",
    ),
    body(35, "many_pipes", "import os\nfor _ in range(10000): os.pipe()", EXCEPTION, contains="[Errno 24]"),
    body(
        35, "raise_file_limit", "import resource as r; r.setrlimit(r.RLIMIT_NOFILE, (9999, 9999))", EXCEPTION
    ),
    body(36, "symlink", "import os; os.symlink('/etc/passwd', '/tmp/x')", EXCEPTION),
    body(36, "hard_link", "import json, os; os.link(json.__file__, '/tmp/x')", EXCEPTION),
    body(36, "fifo", "import os; os.mkfifo('/tmp/x')", EXCEPTION),
    body(
        36,
        "device",
        "import os, stat; os.mknod('/tmp/x', 0o600 | stat.S_IFBLK, os.makedev(254, 0))",
        EXCEPTION,
    ),
    body(36, "rename", "import json, os; os.rename(json.__file__, json.__file__ + 'x')", EXCEPTION),
    body(36, "unlink", "import json, os; os.unlink(json.__file__)", EXCEPTION),
    body(36, "permissions", "import json, os; os.chmod(json.__file__, 0o777)", EXCEPTION),
    body(36, "owner", "import json, os; os.chown(json.__file__, os.getuid(), -1)", EXCEPTION),
    body(36, "times", "import json, os; os.utime(json.__file__, (0, 0))", EXCEPTION),
]

DESCRIPTORS = [
    body(37, "close_all", "import os; os.closerange(0, 100); return 1", EXITED, EXCEPTION),
    body(37, "redirect_all", "import os\nfor i in range(1, 9): os.dup2(0, i)\nreturn 1", EXITED, EXCEPTION),
    body(37, "close_the_report", "import os; os.close(3); return 1", EXITED, EXCEPTION),
    body(37, "report_to_itself", "import os; r, w = os.pipe(); os.dup2(w, 3); return 1", EXITED),
    body(37, "shut_the_report", "import socket; socket.socket(fileno=3).shutdown(2); return 1", EXITED),
    body(
        38,
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
    body(
        38,
        "read_the_channel",
        "import os; os.set_blocking(3, False); return os.read(3, 9)",
        EXCEPTION,
        contains="BlockingIOError",
    ),
    body(
        37,
        "descriptors",
        """
        import os
        def is_open(number):
            try: return bool(os.fstat(number))
            except OSError: return False
        return [number for number in range(4096) if is_open(number)]
        """,
        OK,
        value=[0, 1, 2, 3],
    ),
]

READING = [
    body(
        39,
        "supervisor_environment",
        "return open('/proc/1/environ').read()",
        EXCEPTION,
        contains="Permission",
    ),
    body(
        39, "supervisor_memory", "return open('/proc/1/mem', 'rb').read(1)", EXCEPTION, contains="Permission"
    ),
    body(39, "zygote_memory", "import os; return open(f'/proc/{os.getppid()}/maps').read()", EXCEPTION),
    body(39, "zygote_descriptors", "import os; return os.listdir(f'/proc/{os.getppid()}/fd')", EXCEPTION),
    body(39, "own_maps", "return len(open('/proc/self/maps').read()) > 0", EXCEPTION, files=True, value=True),
    body(39, "own_memory_by_file", "return open('/proc/self/mem', 'rb+')", EXCEPTION),
    body(39, "passwords", "return len(open('/etc/passwd').read()) > 0", EXCEPTION, files=True, value=True),
    body(39, "shadow", "return open('/etc/shadow').read()", EXCEPTION),
    body(
        39,
        "list_processes",
        "import os; return len(os.listdir('/proc')) > 0",
        EXCEPTION,
        files=True,
        value=True,
    ),
    body(39, "list_root", "import os; return len(os.listdir('/')) > 0", EXCEPTION, files=True, value=True),
    body(
        39,
        "harness_source",
        "import inspect; from sandbox_image.worker import child; return len(inspect.getsource(child)) > 0",
        EXCEPTION,
        files=True,
        value=True,
    ),
    body(
        39,
        "walk_everything",
        """
        import os
        outside = [top for top, _, _ in os.walk('/') if not top.startswith(('/lib', '/usr'))]
        return outside[1:] != []
        """,
        OK,
        value=False,
        files=True,
    ),
    body(
        39,
        "environment_is_bare",
        "import os; return sorted(k for k in os.environ if 'GASP' in k)",
        OK,
        value=[],
    ),
    body(39, "home", "import os; return os.path.expanduser('~')", OK, value="/"),
    body(
        40,
        "lock_stdlib",
        "import fcntl, json; fcntl.flock(open(json.__file__), fcntl.LOCK_SH)",
        EXCEPTION,
        contains="PermissionError",
    ),
    body(40, "lock_range", "import fcntl, json; fcntl.lockf(open(json.__file__), fcntl.LOCK_SH)", EXCEPTION),
    body(40, "lease", "import fcntl, json; fcntl.fcntl(open(json.__file__), fcntl.F_SETLEASE, 0)", EXCEPTION),
    body(
        40,
        "watch_directory",
        "import fcntl, os; fcntl.fcntl(os.open('/usr/lib', 0), fcntl.F_NOTIFY, 1)",
        EXCEPTION,
    ),
]

POISON = [
    case(
        41,
        "hooks_stay_behind",
        """
        import builtins, codecs, gc, json, sys, threading
        def f():
            def hook(*_): return hook
            sys.settrace(hook); sys.setprofile(hook); threading.settrace(hook); sys.addaudithook(lambda *_: None)
            sys.meta_path.insert(0, None); sys.path_hooks.clear(); sys.path.clear()
            codecs.register(lambda name: None); codecs.lookup('utf-8')
            json.loads = builtins.print = builtins.open = None
            gc.callbacks.append(hook)
            sys.setswitchinterval(1000)
            sys.settrace(None); sys.setprofile(None)
            return 1
        """,
        OK,
        value=1,
    ),
    case(
        68,
        "monkeypatched_clocks_and_builtins",
        """
        import builtins, random, time
        def f():
            time.time = time.monotonic = time.perf_counter = lambda: 0.0
            time.sleep = lambda _: None
            random.seed(0); random.random = lambda: 0.5
            builtins.hash = builtins.repr = builtins.print = builtins.sorted = lambda *_: 0
            return 1
        """,
        OK,
        value=1,
    ),
]
