"""Texts come out of pickles, and nothing in a pickle is ever executed."""

from __future__ import annotations

import base64
import os
import pickle
import pickletools
import zlib
from collections import OrderedDict
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gasp_env.loaders.pickled import FREE, MAX_RATIO, text, unpacked

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
ANY_TEXT = st.text(st.characters(exclude_categories=()))


def pack(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


@given(ANY_TEXT, st.sampled_from(PROTOCOLS))
def test_every_text_comes_back_from_every_protocol(value: str, protocol: int) -> None:
    data = pickle.dumps(value, protocol)
    assert text(data) == value
    assert text(pickletools.optimize(data)) == value
    assert unpacked(pack(data)) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("length", [0, 1, 255, 256, 65_535, 65_536, 200_000])
def test_lengths_of_every_width(protocol: int, length: int) -> None:
    for letter in "aé\n\\🙂":
        value = letter * length
        assert text(pickle.dumps(value, protocol)) == value
        # Python's own pickler frames a little otherwise than C's.
        assert text(pickle._dumps(value, protocol)) == value  # type: ignore[attr-defined]


def test_a_length_of_eight_bytes() -> None:
    assert text(b"\x80\x04\x8d" + (3).to_bytes(8, "little") + b"abc\x94.") == "abc"


class Touch:
    """Unpickling it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (os.mkdir, (str(self.path),))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_hostile_pickles_are_refused_and_not_executed(tmp_path: Path, protocol: int) -> None:
    marker = tmp_path / "executed"
    hostile = pickle.dumps(Touch(marker), protocol)
    behind_a_text = (
        pickle.dumps("innocent", protocol)[:-1] + b"0" + hostile.removeprefix(b"\x80" + bytes([protocol]))
    )
    for data in (hostile, behind_a_text):
        with pytest.raises(ValueError, match="a pickle"):
            text(data)
        with pytest.raises(ValueError, match="a pickle"):
            unpacked(pack(data))
        assert not marker.exists()
        pickle.loads(data)  # noqa: S301 - it is ours, and would have been
        assert marker.is_dir()
        marker.rmdir()


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "value",
    [None, 1, 1.5, True, b"bytes", ["text"], ("text",), {"text": 1}, OrderedDict(), len],
)
def test_anything_but_a_text_is_refused(value: Any, protocol: int) -> None:
    with pytest.raises(ValueError, match="a pickle of something other than one text: instruction"):
        text(pickle.dumps(value, protocol))


@given(
    st.binary()
    | st.lists(st.sampled_from([b"\x80", b"\x04", b"X", b"\x00", b"V", b"\n", b"p", b"q", b"."])).map(
        b"".join
    )
)
def test_bytes_of_any_kind_are_a_text_or_refused(data: bytes) -> None:
    try:
        found = text(data)
    except ValueError:
        return
    said = [instruction.name for instruction, _, _ in pickletools.genops(data)]
    assert sum(name.endswith("UNICODE") or name == "BINUNICODE8" for name in said) == 1
    assert isinstance(found, str)


@given(ANY_TEXT, st.sampled_from(PROTOCOLS), st.integers(min_value=1))
def test_what_is_cut_off_is_refused(value: str, protocol: int, cut: int) -> None:
    data = pickle.dumps(value, protocol)
    with pytest.raises(ValueError, match="a pickle"):
        text(data[: -(cut % len(data)) or -1])
    with pytest.raises(ValueError, match="a pickle with 1 bytes after its end"):
        text(data + b".")


@pytest.mark.parametrize(
    ("packed", "complaint"),
    [
        ("no base64!", "not base64"),
        ("é", "not base64"),
        (base64.b64encode(b"not zlib").decode(), "not a zlib stream"),
        (base64.b64encode(zlib.compress(b"some text")[:9]).decode(), "cut off"),
        (pack(b""), "cut off"),
        (pack(b"Vno end"), "cut off"),
        (pack(b"V\\u12\n."), "not raw-unicode-escape"),
        (pack(b"\x80\x04\x8c\x02\xff\xff\x94."), "not utf-8"),
        (pack(pickle.dumps("a" * 1001)), "more than 1000 bytes"),
        (pack(bytes(2**24)), "more than 1000 bytes"),
    ],
)
def test_what_else_can_be_wrong_is_said(packed: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        unpacked(packed, most=1000)


def test_a_small_stream_does_not_expand_to_much() -> None:
    bomb = pack(pickle.dumps("a" * 2 * FREE))
    assert len(bomb) < FREE // 100
    with pytest.raises(ValueError, match=f"more than {FREE} bytes and {MAX_RATIO} times what is packed"):
        unpacked(bomb)
    repeated = "7 " * (FREE // 2 - 50)
    assert unpacked(pack(pickle.dumps(repeated))) == repeated


def test_a_large_stream_expands_to_as_much_as_its_size_warrants() -> None:
    digits = Random(0).randbytes(FREE).hex()
    assert unpacked(pack(pickle.dumps(digits))) == digits
