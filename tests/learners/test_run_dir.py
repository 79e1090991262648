"""Where a run's files lie."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

from learners import run_dir
from learners.report import Report
from learners.run_dir import claim, directory, own_directory


def test_names_of_runs(tmp_path):
    assert directory(tmp_path, "a", "") == tmp_path / "a"
    assert directory(tmp_path, "", "").parent == tmp_path
    assert directory(tmp_path, "", "auto").parent == tmp_path, "nothing to resume: a new run"
    for age, name in enumerate(("newer", "older")):
        (tmp_path / name / "checkpoints" / "000001").mkdir(parents=True)
        with claim(tmp_path / name):
            os.utime(tmp_path / name / ".started", (3e9 - age, 3e9 - age))
    assert directory(tmp_path, "", "auto") == tmp_path / "newer"
    assert directory(tmp_path, "older", "auto") == tmp_path / "older"
    assert directory(tmp_path, "", str(tmp_path / "older")) == tmp_path / "older"
    assert directory(tmp_path, "", str(tmp_path / "older" / "checkpoints" / "000001")) == tmp_path / "older"


def test_a_run_is_not_overwritten(tmp_path):
    Report(tmp_path / "a", 0, 1).write("manifest.json", {})
    with pytest.raises(FileExistsError, match="--resume auto"):
        directory(tmp_path, "a", "")
    assert directory(tmp_path, "a", "auto") == tmp_path / "a"


def test_the_newest_run_is_not_passed_over_for_one_with_checkpoints(tmp_path):
    (tmp_path / "older" / "checkpoints" / "000001").mkdir(parents=True)
    for name in ("older", "newer"):
        (tmp_path / name / "episodes").mkdir(parents=True)
        with claim(tmp_path / name):
            os.utime(tmp_path / name / ".started", (3e9 + len(name), 3e9 + (name == "newer")))
    with pytest.raises(FileNotFoundError, match="newer, has no checkpoint"):
        directory(tmp_path, "", "auto")


def test_runs_of_one_second_have_directories_of_their_own(tmp_path):
    with ExitStack() as held:
        found = {held.enter_context(claim(directory(tmp_path, "", ""))) for _ in range(3)}
        assert len(found) == 3
    assert list(tmp_path.iterdir()) == [], "nothing was written to them"


def test_a_directory_is_one_process_s_own(tmp_path):
    with claim(tmp_path / "runs" / "a") as run:
        with pytest.raises(FileExistsError, match="another process"), claim(run):
            raise AssertionError
        (run / "manifest.json").touch()
    with claim(run):
        pass
    assert (run / "manifest.json").exists(), "there is something to go on from"


def test_a_name_goes_with_the_run_that_is_resumed(tmp_path):
    (tmp_path / "a" / "checkpoints" / "000001").mkdir(parents=True)
    assert directory(tmp_path, "a", str(tmp_path / "a")) == tmp_path / "a"
    with pytest.raises(ValueError, match="expected no --name"):
        directory(tmp_path, "b", str(tmp_path / "a"))


def test_who_began_in_the_same_moment_takes_the_next_name(tmp_path, monkeypatch):
    real = run_dir.directory
    with own_directory(tmp_path, "", "") as first:
        seen = iter([first, None])
        monkeypatch.setattr(run_dir, "directory", lambda *words: next(seen) or real(*words))
        with own_directory(tmp_path, "", "") as second:
            assert second != first
