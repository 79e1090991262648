"""Programs that want the network, or a corner of the kernel that no program here needs."""

from __future__ import annotations

from tests.adversarial.case import EXCEPTION, OK, SYSCALL, body, case

NETWORK = [
    body(42, "connect", "import socket; socket.create_connection(('1.1.1.1', 53), 1)", EXCEPTION),
    body(42, "dns", "import socket; return socket.gethostbyname('example.com')", EXCEPTION),
    body(42, "localhost", "import socket; socket.create_connection(('127.0.0.1', 22), 1)", EXCEPTION),
    body(
        42,
        "serve",
        "import http.server as h; h.HTTPServer(('127.0.0.1', 0), h.BaseHTTPRequestHandler)",
        EXCEPTION,
    ),
    body(
        42,
        "datagram_by_pair",
        """
        import socket
        a, _ = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        a.sendto(b'x', '\\0any')
        """,
        EXCEPTION,
        contains="PermissionError",
    ),
    body(
        43,
        "docker_socket",
        "import socket; socket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')",
        EXCEPTION,
    ),
    body(43, "docker_socket_file", "return open('/var/run/docker.sock', 'rb').read()", EXCEPTION),
    body(
        43,
        "rebind_a_pair",
        "import socket; a, _ = socket.socketpair(); a.bind('\\0gasp')",
        EXCEPTION,
        contains="PermissionError",
    ),
    body(
        46,
        "metadata",
        "import urllib.request as u; u.urlopen('http://169.254.169.254/', timeout=1)",
        EXCEPTION,
    ),
    *(
        body(
            44,
            f"socket_{name}",
            f"import socket; socket.socket({family}, {kind}).close()",
            EXCEPTION,
            contains="PermissionError",
        )
        for name, family, kind in (
            ("unix", 1, 1),
            ("inet", 2, 1),
            ("inet6", 10, 1),
            ("raw", 2, 3),
            ("netlink", 16, 3),
            ("packet", 17, 3),
            ("bluetooth", 31, 3),
            ("alg", 38, 5),
            ("vsock", 40, 1),
            ("xdp", 44, 3),
        )
    ),
]

#: By number, since libc wraps only some of them; `test_mutation` goes through them all.
SYSTEM_CALLS = [
    case(45, f"syscall_{name}", SYSCALL + f"def f(): return call({number}, 0, 0, 0, 0)", OK, value=1)
    for name, number in (
        ("io_uring_setup", 425),
        ("bpf", 321),
        ("perf_event_open", 298),
        ("userfaultfd", 323),
        ("keyctl", 250),
        ("add_key", 248),
        ("request_key", 249),
        ("mount", 165),
        ("fsopen", 430),
        ("open_tree", 428),
        ("unshare", 272),
        ("setns", 308),
        ("ptrace", 101),
        ("process_vm_readv", 310),
        ("process_vm_writev", 311),
        ("pidfd_getfd", 438),
        ("kcmp", 312),
        ("shmget", 29),
        ("semget", 64),
        ("msgget", 68),
        ("mq_open", 240),
        ("personality", 135),
        ("inotify_init1", 294),
        ("fanotify_init", 300),
        ("open_by_handle_at", 304),
        ("init_module", 175),
        ("memfd_secret", 447),
    )
]

ALLOWED = [
    case(
        45,
        "ptrace_parent",
        SYSCALL + "import os\ndef f(): return call(101, 16, os.getppid(), 0, 0)",
        OK,
        value=1,
    ),
    case(
        45, "dumpable_again", SYSCALL + "def f(): call(157, 4, 1); return call(101, 0, 0, 0, 0)", OK, value=1
    ),
    body(47, "asyncio", "import asyncio\nasync def g(): return 5\nreturn asyncio.run(g())", OK, value=5),
    body(
        47,
        "asyncio_tasks",
        """
        import asyncio
        async def g(x):
            await asyncio.sleep(0.001)
            return x * x
        async def main(): return await asyncio.gather(*map(g, range(5)))
        return asyncio.run(main())
        """,
        OK,
        value=[0, 1, 4, 9, 16],
    ),
    body(
        47,
        "asyncio_in_a_thread",
        """
        import asyncio
        async def main(): return await asyncio.to_thread(sum, [1, 2])
        return asyncio.run(main())
        """,
        OK,
        value=3,
    ),
    body(48, "imports", "import socket, ssl, urllib.request, select, http.client; return 1", OK, value=1),
    body(
        48,
        "imports_of_the_gate",
        """
        import abc, array, ast, bisect, calendar, cmath, collections, copy, csv, datetime, decimal, difflib, enum
        import fractions, functools, heapq, hashlib, io, itertools, json, math, operator, random, re, statistics
        import string, struct, textwrap, time, typing, unicodedata, uuid, zlib
        return 1
        """,
        OK,
        value=1,
    ),
]
