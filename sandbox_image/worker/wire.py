"""The frames between the host, the supervisor, a zygote and its child.

Everything is a fixed struct before opaque bytes, so that the supervisor, which many
programs pass through, never parses a byte that one of them wrote.

    host       -> supervisor   u32 length, RUN,     payload, stdin     (one per run)
                               u32 length, CANCEL                      (take back a run not yet started)
                               u32 length, KILL                        (end a run: its caller has gone)
    supervisor -> host         u32 length, HELLO,   json               (once)
                               u32 length, ENDED,   stdout, stderr, report (one per run, as it ends)
                               u32 length, CANCEL                      (a run was taken back: it has not ended)
    supervisor -> zygote       FORK, with one or two descriptors       (one packet)
    zygote     -> supervisor   READY (once), then EXIT                 (one packet per child)
    supervisor -> child        u32 length, payload                     (on the child's own socket)
    child      -> supervisor   u32 length, report                      (the same)

``payload`` and ``report`` are tuples in the order-keeping form of `codec`:

    payload = (program, entry or None, output_bytes, recursion, digits, (arguments, ...))
    report  = (status, error, ((status, value, error), ...))       value: encoded, or b""

``arguments`` is an encoded tuple; no entry means that the whole program runs as ``__main__``.
"""

from __future__ import annotations

import struct

LENGTH = struct.Struct(">I")

PROTOCOL = 2

KIND_RUN = 1
KIND_HELLO = 2
KIND_ENDED = 3
KIND_CANCEL = 4
KIND_KILL = 5

#: kind, run id, profile, hash seed, wall seconds, CPU seconds, memory bytes, threads, then the bytes
#: taken of the report, of stdout and of stderr, and the length of the text on standard input
RUN = struct.Struct(">BQBIdIQIIIII")
PROFILE_VALUE, PROFILE_STDIN, PROFILE_NUMPY = 0, 1, 2

#: kind, run id; of KILL too
CANCEL = struct.Struct(">BQ")

#: kind, run id, how it ended, wait status, CPU seconds, wall seconds, memory bytes, then the
#: lengths of stdout, stderr and the report
ENDED = struct.Struct(">BQBiddQIII")

#: How a run ended, as the supervisor saw it.
HOW_EXIT = 0  # by itself; the wait status says how
HOW_WALL = 1  # killed at its deadline
HOW_FLOOD = 2  # killed because it wrote more than it may

#: CPU seconds, memory bytes, processes and threads its user may have in all
FORK = struct.Struct("=IQI")
#: Stands for no limit on processes and threads.
UNCOUNTED = 0xFFFFFFFF
#: address space in bytes
READY = struct.Struct("=Q")
#: wait status, CPU seconds, peak resident kilobytes
EXIT = struct.Struct("=idQ")

MAX_FRAME = 64 * 2**20
#: Bytes of UTF-8 on standard input.
MAX_STDIN = 32 * 2**20
#: Bytes a program may print before it is killed; the run's own limit decides how many are kept.
MAX_PRINTED = 8 * 2**20
#: Report bytes a call may take beside its value, and a whole report beside its calls.
REPORT_BYTES_PER_CALL = 1280
REPORT_BYTES = 4096
#: Characters kept of an error; at most four bytes each.
MAX_ERROR = 256


def frame(*parts: bytes) -> bytes:
    """Join parts into one length-prefixed frame."""
    return LENGTH.pack(sum(map(len, parts))) + b"".join(parts)


class Frames:
    """Cuts a byte stream into frames, refusing lengths over `MAX_FRAME` before it buffers them."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Add received bytes and return the frames that became complete.

        Raises:
            ValueError: the stream announced a frame longer than `MAX_FRAME`.
        """
        self._buffer += data
        frames, at = [], 0
        while len(self._buffer) - at >= LENGTH.size:
            (length,) = LENGTH.unpack_from(self._buffer, at)
            if length > MAX_FRAME:
                raise ValueError(f"a frame of {length} bytes, at most {MAX_FRAME} are allowed")
            end = at + LENGTH.size + length
            if end > len(self._buffer):
                break
            frames.append(bytes(self._buffer[at + LENGTH.size : end]))
            at = end
        del self._buffer[:at]
        return frames
