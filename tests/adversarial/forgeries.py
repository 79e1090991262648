"""Programs that claim what they did not do: false equality, forged reports, a hunt for the answer."""

from __future__ import annotations

from tests.adversarial.case import EXCEPTION, EXITED, MEMORY, OK, OUTPUT, UNSERIALIZABLE, body, case

#: What is planted where no program may find it: in this process and in the run before. See `hunters`.
CANARY = "canary-" + "5d1c0f8e"

_CLAIM = """
import os
from sandbox_image.worker import codec, wire
claim = ('ok', '', (('ok', codec.encode(7, keep_order=True), ''),))
frame = wire.frame(codec.encode(claim, keep_order=True))
"""

OBJECTS = [
    case(
        60,
        "always_equal",
        "class A:\n    def __eq__(self, other): return True\ndef f(): return A()",
        UNSERIALIZABLE,
        contains="A is not",
    ),
    case(
        60,
        "always_equal_inside",
        "class A(int):\n    __eq__ = lambda *_: True\n    __hash__ = int.__hash__\ndef f(): return {(1, A(2)): [A(3)]}",
        UNSERIALIZABLE,
    ),
    *(
        case(
            61,
            f"subclass_{base}",
            f"class S({base}):\n    def __eq__(self, other): return True\n    __hash__ = None\ndef f(): return S()",
            UNSERIALIZABLE,
        )
        for base in ("int", "str", "list", "dict", "tuple", "set", "frozenset", "float", "bytes")
    ),
    case(
        61,
        "named_tuple",
        "from collections import namedtuple\ndef f(): return namedtuple('P', 'x y')(1, 2)",
        UNSERIALIZABLE,
    ),
    case(61, "counter", "from collections import Counter\ndef f(): return Counter('aab')", UNSERIALIZABLE),
    case(
        61,
        "int_enum",
        "from enum import IntEnum\nclass E(IntEnum): A = 1\ndef f(): return E.A",
        UNSERIALIZABLE,
    ),
    case(
        (11, 61),
        "infinite_list_subclass",
        "class L(list):\n    def __iter__(self):\n        while True: yield 1\ndef f(): return L()",
        UNSERIALIZABLE,
    ),
    case(
        61,
        "hostile_key",
        """
        class K(str):
            def __hash__(self):
                while True: pass
        def f():
            d = {}
            dict.__setitem__(d, 'a', K('b'))
            return d
        """,
        UNSERIALIZABLE,
    ),
    case(
        62,
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
    body(63, "mock_any", "from unittest.mock import ANY; return ANY", UNSERIALIZABLE),
    body(63, "decimal_nan", "from decimal import Decimal; return Decimal('sNaN')", UNSERIALIZABLE),
    body(63, "numpy_array", "import numpy; return numpy.array([1, 2])", UNSERIALIZABLE, profile="numpy"),
    body(
        63,
        "numpy_scalars",
        "import numpy; return [numpy.float64(1), numpy.int64(1)]",
        UNSERIALIZABLE,
        profile="numpy",
    ),
    body(
        63,
        "numpy_as_list",
        "import numpy; return (numpy.arange(3) * 2).tolist()",
        OK,
        value=[0, 2, 4],
        profile="numpy",
    ),
    body(63, "no_numpy_unless_asked_for", "import numpy", EXCEPTION, contains="ModuleNotFoundError"),
]

REPORTS = [
    body(
        67,
        "print_passed",
        "print('PASSED', '\\x1b[2J', {'status': 'ok'}); return 0",
        OK,
        value=0,
        prints="PASSED \x1b[2J {'status': 'ok'}\n",
    ),
    body(
        67,
        "print_our_frames",
        _CLAIM + "print(frame)\nos.write(1, frame)\nos.write(2, frame)\nreturn 0",
        OK,
        value=0,
    ),
    body(
        68,
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
    body(38, "forged_frame", _CLAIM + "os.write(3, frame)\nos._exit(0)", OK, value=7),
    body(38, "two_frames", _CLAIM + "os.write(3, frame)\nreturn 7", EXITED),
    body(38, "half_a_frame", _CLAIM + "os.write(3, frame[:-1])\nos._exit(0)", EXITED),
    body(
        38,
        "forged_frame_then_killed",
        _CLAIM + "os.write(3, frame)\nos.kill(os.getpid(), 9)",
        EXITED,
        EXCEPTION,
        MEMORY,
    ),
    body(38, "forged_frame_then_crashed", _CLAIM + "os.write(3, frame)\nos._exit(1)", EXITED),
    body(
        38,
        "claims_infra_error",
        """
        import os
        from sandbox_image.worker import codec, wire
        os.write(3, wire.frame(codec.encode(('infra_error', '', ()), keep_order=True)))
        os._exit(0)
        """,
        EXITED,
    ),
    body(
        38,
        "claims_a_forged_set",
        """
        import os, struct
        from sandbox_image.worker import codec, wire
        def packed(tag, members): return tag + struct.pack('>I', len(members)) + b''.join(sorted(members))
        p = 2 ** 61 - 1
        shared = [codec.encode(i * p) for i in range(1, 20)]
        value = packed(b'S', [packed(b'Z', [*shared, codec.encode((20 + i) * p)]) for i in range(900)])
        os.write(3, wire.frame(codec.encode(('ok', '', (('ok', value, ''),)), keep_order=True)))
        os._exit(0)
        """,
        EXITED,
    ),
    body(
        38,
        "claims_a_nested_value",
        """
        import os
        from sandbox_image.worker import codec, wire
        value = b'l\\0\\0\\0\\1' * 50000 + b'N'
        os.write(3, wire.frame(codec.encode(('ok', '', (('ok', value, ''),)), keep_order=True)))
        os._exit(0)
        """,
        EXITED,
    ),
    body(38, "flood_report", "import os\nwhile True: os.write(3, bytes(65536))", OUTPUT),
    body(38, "trickle_report", "import os\nwhile True: os.write(3, b'x')", OUTPUT, EXITED),
    body(30, "flood_stdout", "import os\nwhile True: os.write(1, bytes(65536))", OUTPUT),
    body(30, "flood_stderr", "import os\nwhile True: os.write(2, bytes(65536))", OUTPUT),
    body(
        38,
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
    body(
        38,
        "sockets_in_flight_in_a_circle",
        """
        import socket
        for _ in range(20):
            a, b = socket.socketpair()
            socket.send_fds(a, [b'x'], [a.fileno(), b.fileno()])
            socket.send_fds(b, [b'x'], [a.fileno(), b.fileno()])
            a.detach(), b.detach()
        return 1
        """,
        OK,
        EXCEPTION,
        value=1,
    ),
]

_HUNT = f"""
import gc, sys
wanted = {CANARY[:7]!r} + {CANARY[7:]!r}
def texts():
    frame = sys._getframe()
    while frame:
        yield from map(repr, [dict(frame.f_locals), sorted(frame.f_globals)])
        frame = frame.f_back
    for thing in gc.get_objects():
        for part in gc.get_referents(thing):
            if type(part) is str: yield part
            if type(part) is bytes: yield part.decode('latin-1')
"""

HUNTERS = [
    case(
        (21, 64),
        "canary_in_objects",
        _HUNT
        + "def f(): return sum(wanted in text for text in texts() if text is not wanted and 'wanted' not in text)",
        OK,
        value=0,
    ),
    case(
        64,
        "canary_in_memory",
        f"""
import ctypes, gc, os
head, tail = {CANARY[:7].encode()!r}, {CANARY[7:].encode()!r}
libc = ctypes.CDLL(None)
def f():
    "Every page near any object: write() of what is not mapped fails instead of crashing."
    out, into = os.pipe()
    regions = set()
    for thing in gc.get_objects(): regions.update((id(part) >> 20) for part in gc.get_referents(thing))
    found = pages = 0
    for region in regions:
        kept = b''
        for page in range(region << 20, (region + 1) << 20, 4096):
            if libc.write(into, ctypes.c_void_p(page), ctypes.c_size_t(4096)) != 4096: continue
            pages += 1
            kept = kept[-64:] + os.read(out, 4096)
            at = kept.find(head)
            while at >= 0:
                found += kept[at + len(head):at + len(head) + len(tail)] == tail
                at = kept.find(head, at + 1)
    return pages > 100, found
""",
        OK,
        value=(True, 0),
    ),
    case(
        64,
        "inputs_of_others",
        """
        import sys
        def f():
            frame, names = sys._getframe(1), []
            while frame:
                names += [name for name in frame.f_locals if 'expect' in name or 'gold' in name or 'answer' in name]
                frame = frame.f_back
            return names
        """,
        OK,
        value=[],
    ),
    body(
        (38, 41),
        "streams_left_nonblocking",
        "import os\nfor number in (0, 1, 2): os.set_blocking(number, False)\nreturn 1",
        OK,
        EXCEPTION,
        value=1,
    ),
    body(
        (38, 41),
        "streams_left_appending",
        """
        import fcntl, os
        for number in (0, 1, 2): fcntl.fcntl(number, fcntl.F_SETFL, os.O_APPEND | os.O_DIRECT | os.O_NOATIME)
        return 1
        """,
        OK,
        EXCEPTION,
        value=1,
    ),
]
