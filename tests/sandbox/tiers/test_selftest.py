"""The self-test sees what is missing: in workers with all protections, with some, and with none."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gasp_env.sandbox import SandboxError
from gasp_env.sandbox.tiers import AUTO, TIERS, docker, process, selftest
from gasp_env.sandbox.tiers.process import BwrapWorker, LandlockWorker, UnsafeWorker
from gasp_env.sandbox.tiers.protections import PROTECTIONS
from gasp_env.sandbox.tiers.worker import CONSENT_VARIABLE, Settings, Worker
from tests.sandbox import opened as workers


@pytest.mark.parametrize("tier", AUTO)
def test_nothing_gets_through(tier: str) -> None:
    worker = workers.opened(tier)
    try:
        assert {name: what for name, what in selftest.find_breaches(worker).items() if what} == {}
        selftest.check_promises(worker)
    finally:
        worker.close()


def _weakened(tier: type[process.ProcessWorker], **options: Any) -> Worker:
    """A worker of a tier that lacks some of what it promises."""
    workers.opened(tier.tier).close()

    class Weakened(tier):  # type: ignore[valid-type, misc]
        def _options(self, user: int | None) -> dict[str, Any]:
            return super()._options(user) | options

    worker: Worker = Weakened(Settings(allow_unsafe=True))
    return worker


def test_a_worker_without_its_filter_is_found_out() -> None:
    worker = _weakened(LandlockWorker, seccomp=False)
    try:
        broken = {name for name, what in selftest.find_breaches(worker).items() if what}
        assert {"network", "processes", "signals", "sharing", "kernel"} <= broken
        assert not broken & {"writing", "reading", "privileges"}, "which do not rest on it"
        with pytest.raises(
            SandboxError, match="lets programs do what they must not.*network: a socket.*doctor"
        ):
            selftest.check_promises(worker)
    finally:
        worker.close()


def test_a_worker_without_landlock_is_found_out_where_that_is_promised() -> None:
    alone = _weakened(LandlockWorker, landlock="off")
    try:
        assert selftest.find_breaches(alone)["reading"]
        with pytest.raises(SandboxError, match=r"reading: /etc/passwd"):
            selftest.check_promises(alone)
    finally:
        alone.close()
    walled = _weakened(BwrapWorker, landlock="off")
    try:
        broken = selftest.find_breaches(walled)
        assert [name for name, what in broken.items() if what] == ["reading"]
        assert "/etc/passwd" not in broken["reading"], "bubblewrap does not show it"
        selftest.check_promises(walled)
    finally:
        walled.close()


def test_docker_keeps_its_other_promises_on_a_kernel_without_landlock(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workers.opened("docker").close()
    ordinary = docker.worker_options
    monkeypatch.setattr(
        docker, "worker_options", lambda **way: json.dumps(json.loads(ordinary(**way)) | {"landlock": "off"})
    )
    worker = docker.DockerWorker(Settings())
    try:
        assert [name for name, what in selftest.find_breaches(worker).items() if what] == ["reading"]
        selftest.check_promises(worker)
    finally:
        worker.close()


def test_it_sees_that_the_unsafe_tier_protects_from_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONSENT_VARIABLE, "1")
    worker = UnsafeWorker(Settings(allow_unsafe=True))
    try:
        assert [name for name, what in selftest.find_breaches(worker).items() if not what] == []
        selftest.check_promises(worker)  # which promised nothing
    finally:
        worker.close()


def test_a_worker_that_cannot_execute_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    worker = workers.opened("landlock")
    try:
        monkeypatch.setattr(selftest, "_PROGRAM", "def f(): return {'network': []}")
        with pytest.raises(SandboxError, match="does not execute programs as it should"):
            selftest.check_promises(worker)
        monkeypatch.setattr(selftest, "_PROGRAM", "def f(): raise OSError('no thread')")
        with pytest.raises(SandboxError, match="no thread"):
            selftest.check_promises(worker)
        worker.close()
        with pytest.raises(SandboxError, match="did not survive its self-test"):
            selftest.check_promises(worker)
    finally:
        worker.close()


def test_every_tier_says_what_it_promises() -> None:
    promised = {name: tier.promises for name, tier in TIERS.items()}
    assert all(names <= set(PROTECTIONS) for names in promised.values())
    assert promised["unsafe-subprocess"] == frozenset()
    assert promised["landlock"] == set(PROTECTIONS)
    assert promised["docker"] == promised["bwrap"] == set(PROTECTIONS) - {"reading"}
    assert all(len(promised[tier]) >= len(PROTECTIONS) - 1 for tier in AUTO)
