"""Temporary folders of killed processes are removed by the next process, and no others are."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from gasp_env.sandbox.tiers import tempdirs, unix_socket

KIND = "gasp-env-test"


def test_only_what_nobody_has_any_more_is_swept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    mine = Path(tempdirs.make(KIND))
    dead = Path(str(mine).replace(f"-{os.getpid()}-", f"-{gone.pid}-"))
    elsewhere = Path(str(dead).replace(tempdirs._namespace(), "1"))
    strange = tmp_path / f"{KIND}-x-y-z"
    for folder in (dead, elsewhere, strange):
        folder.mkdir()
    (dead / "inner").mkdir()
    link = Path(f"{dead}-link")
    link.symlink_to(mine)
    tempdirs.sweep(KIND)
    assert {path.name for path in tmp_path.iterdir()} == {
        path.name for path in (mine, elsewhere, strange, link)
    }


def test_a_socket_of_a_killed_process_does_not_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    # Not pytest's own folder: the path of a socket must be short.
    with tempfile.TemporaryDirectory() as temporary:
        monkeypatch.setattr(tempfile, "tempdir", temporary)
        there = Path(temporary)
        script = (
            "from gasp_env.sandbox.tiers.unix_socket import UnixSocket; import os; s = UnixSocket(); "
            "os.kill(os.getpid(), 9)"
        )
        environment = os.environ | {"TMPDIR": temporary}
        subprocess.run([sys.executable, "-c", script], env=environment, check=False)
        assert len(list(there.iterdir())) == 1
        listener = unix_socket.UnixSocket()
        assert len(list(there.iterdir())) == 1, "its own"
        listener.close()
        assert not list(there.iterdir())
