"""What a sandbox is described by, before anything is started."""

from __future__ import annotations

import copy
import math
import os
import pickle
import warnings
from pathlib import Path
from typing import NoReturn

import pytest

from gasp_env.sandbox import Sandbox, SandboxError, sandbox, tiers
from gasp_env.sandbox.tiers.worker import Settings


@pytest.mark.parametrize(
    ("usable", "quota", "siblings", "expected"),
    [
        (6, math.inf, "", 6),
        (192, math.inf, "", 16),
        (192, math.inf, "8", 16),
        (192, math.inf, "24", 8),
        (8, 2.5, "", 2),
        (8, 0.5, "", 1),
        (2, math.inf, "8", 1),
        (4, math.inf, "many", 4),
    ],
)
def test_workers_are_the_processors_that_the_process_may_use(
    monkeypatch: pytest.MonkeyPatch, usable: int, quota: float, siblings: str, expected: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(usable))
    monkeypatch.setattr(sandbox, "_quota", lambda _: quota)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", siblings)
    assert sandbox.processors() == expected
    assert Sandbox("docker")._size == expected
    assert Sandbox("docker", workers=40)._size == 40


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "250000 100000\n"}, 2.5),
        ({"cpu.max": "max 100000\n"}, math.inf),
        ({"cpu.max": ""}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 0.5),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, math.inf),
        ({"cpu/cpu.cfs_quota_us": "9\n", "cpu/cpu.cfs_period_us": "0\n"}, math.inf),
        ({}, math.inf),
    ],
)
def test_a_control_group_limits_them(tmp_path: Path, files: dict[str, str], expected: float) -> None:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert sandbox._quota(tmp_path) == expected


def test_copies_are_the_sandbox_itself_and_a_pickle_has_its_settings(tmp_path: Path) -> None:
    own = Sandbox("docker", workers=3, cache=tmp_path / "cache", dedupe=False)
    assert copy.copy(own) is copy.deepcopy([own])[0] is own
    read = pickle.loads(pickle.dumps(own))  # noqa: S301
    assert read is not own
    assert (read._made, read._size, read.tier) == (own._made, 3, "docker")


def test_a_weaker_tier_is_taken_with_a_warning_that_has_the_reasons(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(settings: Settings) -> NoReturn:
        raise SandboxError("no engine answers")

    monkeypatch.setitem(tiers.TIERS, "docker", refuse)
    with (
        pytest.warns(
            RuntimeWarning, match="run in the (bwrap|landlock) sandbox.*\n  docker: no engine answers"
        ),
        Sandbox(workers=1) as opened,
    ):
        tier = opened.tier
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with Sandbox(tier, workers=1):
            pass
