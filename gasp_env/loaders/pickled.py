"""Read the text in a pickle without unpickling it: a pickle is a program, and these come from strangers.

Of the pickle machine's instructions only those are known that push a text, note it and stop. A pickle with any
other (one that names a function, builds an object, or calls anything) is refused at that instruction.
"""

from __future__ import annotations

import base64
import binascii
import zlib

#: Bytes a packed text may unpack to: the largest private tests of LiveCodeBench are tens of millions.
MAX_TEXT = 2**27
#: Bytes it may unpack to for each packed byte, beyond `FREE` bytes that any text may. A larger ratio is not reached by
#: real tests: such a text was made to fill the memory.
MAX_RATIO, FREE = 64, 2**23

#: Instructions that push a text, with the size of its length.
_TEXTS = {b"\x8c": 1, b"X": 4, b"\x8d": 8}
#: Instructions that change no value (protocol, frame, memo), with the size of their operands.
_IDLE = {b"\x80": 1, b"\x95": 8, b"\x94": 0, b"q": 1, b"r": 4}
_UNICODE, _PUT, _STOP = b"V", b"p", b"."


def unpacked(packed: str, most: int = MAX_TEXT) -> str:
    """Unpack a text from base64, zlib and pickle, the form in which LiveCodeBench keeps its private tests.

    Args:
        packed: the base64 text.
        most: bytes that the stream may expand to; fewer, if it is small (`MAX_RATIO`).

    Raises:
        ValueError: it is anything else, or too long.
    """
    try:
        compressed = base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not base64: {error}") from None
    fair = FREE + MAX_RATIO * len(compressed)
    expand = zlib.decompressobj()
    try:
        data = expand.decompress(compressed, min(most, fair) + 1)
    except zlib.error as error:
        raise ValueError(f"not a zlib stream: {error}") from None
    if len(data) > most:
        raise ValueError(f"more than {most} bytes")
    if len(data) > fair:
        raise ValueError(f"more than {FREE} bytes and {MAX_RATIO} times what is packed")
    if not expand.eof:
        raise ValueError("a zlib stream that was cut off")
    return text(data)


def text(data: bytes) -> str:
    """Read the one text that a pickle of any protocol holds.

    Raises:
        ValueError: it holds anything else.
    """
    found: str | None = None
    view = memoryview(data)  # its parts are no copies
    at = 0
    while at < len(data):
        code, at = data[at : at + 1], at + 1
        if code == _STOP and found is not None:
            if at != len(data):
                raise ValueError(f"a pickle with {len(data) - at} bytes after its end")
            return found
        if code in _IDLE:
            at += _IDLE[code]
        elif code == _PUT:
            at = _line_end(data, at)
        elif code == _UNICODE and found is None:
            end = _line_end(data, at)
            found, at = _decoded(view[at : end - 1], "raw-unicode-escape"), end
        elif code in _TEXTS and found is None:
            start = at + _TEXTS[code]
            at = start + int.from_bytes(data[at:start], "little")
            if at > len(data):
                raise ValueError("a pickle that was cut off")
            found = _decoded(view[start:at], "utf-8")
        else:
            raise ValueError(
                f"a pickle of something other than one text: instruction {code!r} at byte {at - 1}"
            )
    raise ValueError("a pickle that was cut off")


def _line_end(data: bytes, at: int) -> int:
    end = data.find(b"\n", at)
    if end < 0:
        raise ValueError("a pickle that was cut off")
    return end + 1


def _decoded(data: memoryview, encoding: str) -> str:
    try:
        return str(data, encoding, "surrogatepass" if encoding == "utf-8" else "strict")
    except UnicodeDecodeError as error:
        raise ValueError(f"a pickle with a text that is not {encoding}: {error.reason}") from None
