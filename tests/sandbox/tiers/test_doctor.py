"""The doctor's report: what it says of this machine, and of machines that lack something."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gasp_env.sandbox import SandboxError
from gasp_env.sandbox.__main__ import main
from gasp_env.sandbox.tiers import AUTO, TIERS, doctor
from gasp_env.sandbox.tiers.selftest import PROTECTIONS
from gasp_env.sandbox.tiers.worker import Settings, Worker
from tests.sandbox.opened import opened

_HELLO = {"python": "3.11.2", "profiles": ["value", "stdin"], "landlock": 7}


class _Worker:
    """A worker that says of itself what a test wants to hear."""

    def __init__(self, tier: str) -> None:
        self.tier = tier
        self.hello: dict[str, Any] = dict(_HELLO)
        self.identity = ""
        self.closed = 0

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A machine in which every tier works; what a test puts in here goes wrong in one."""
    wrong: dict[str, Any] = {"opened": []}

    def opener(tier: str) -> Any:
        def open_one(settings: Settings) -> _Worker:
            if isinstance(wrong.get(tier), str):
                raise SandboxError(wrong[tier])
            wrong["opened"].append(_Worker(tier))
            return wrong["opened"][-1]

        return open_one

    def broken(worker: Worker) -> dict[str, list[str]]:
        return {name: [] for name in PROTECTIONS} | wrong.get(worker.tier, {})

    for name in TIERS:
        monkeypatch.setitem(TIERS, name, opener(name))
    monkeypatch.setattr(doctor, "broken", broken)
    monkeypatch.setattr(doctor, "_machine", lambda settings: ({"system": "Linux"}, True))
    return wrong


def test_all_is_well(machine: dict[str, Any]) -> None:
    report = doctor.examine()
    assert (report.healthy, report.asked, report.chosen) == (True, "auto", "docker")
    text = doctor.render(report)
    assert "-> docker" in text
    assert "Asked for auto, and it is docker." in text
    assert all(worker.closed for worker in machine["opened"])
    assert {worker.tier for worker in machine["opened"]} == set(AUTO), "the unsafe tier is not even tried"


def test_auto_takes_the_next_tier_and_a_tier_asked_for_does_not(machine: dict[str, Any]) -> None:
    machine["docker"] = "no daemon: `make docker`"
    report = doctor.examine()
    assert (report.healthy, report.chosen) == (True, "bwrap")
    report = doctor.examine("docker")
    assert (report.healthy, report.chosen) == (False, "bwrap")
    text = doctor.render(report)
    assert "no: no daemon: `make docker`" in text
    assert "Asked for docker, which does not work here; bwrap would." in text


def test_a_broken_promise_makes_a_tier_unusable(machine: dict[str, Any]) -> None:
    machine["docker"] = {"network": ["a socket of family AF_INET"]}
    report = doctor.examine("docker")
    assert (report.healthy, report.chosen) == (False, "bwrap")
    assert "lacks what it promises: network" in doctor.render(report)
    protection = report.tiers["docker"].protections["network"]
    assert not protection.on
    assert protection.promised
    assert protection.fix


def test_what_is_off_but_not_promised_is_shown_with_its_fix(
    machine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(_HELLO, "landlock", 0)
    machine["docker"] = {"reading": ["/etc/passwd"]}
    report = doctor.examine("docker")
    assert report.healthy
    text = " ".join(doctor.render(report).split())
    assert "OFF reading" in text
    assert "[/etc/passwd]. Fix: Linux 5.13" in text
    assert "OFF own kernel" in text


def test_no_tier_at_all(machine: dict[str, Any]) -> None:
    for name in AUTO:
        machine[name] = f"install {name}"
    report = doctor.examine()
    assert (report.healthy, report.chosen) == (False, "")
    assert "No tier works here; no program will be executed." in doctor.render(report)


def test_another_kernel_is_seen(machine: dict[str, Any]) -> None:
    own = doctor.examine("docker", Settings(runtime="runsc")).tiers["docker"].protections["own kernel"]
    assert own.on


def test_it_fits_one_screen(machine: dict[str, Any]) -> None:
    lines = doctor.render(doctor.examine()).splitlines()
    assert len(lines) < 40
    assert max(map(len, lines)) <= 108


@pytest.mark.parametrize("tier", AUTO)
def test_this_machine(tier: str, capsys: pytest.CaptureFixture[str]) -> None:
    opened(tier).close()
    assert main(["doctor", "--tier", tier, "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["healthy"], said["asked"], said["chosen"]) == (True, tier, tier)
    protections = said["tiers"][tier]["protections"]
    assert all(protections[name]["on"] for name in PROTECTIONS)
    assert said["machine"]["landlock"].startswith("version ")


def test_the_exit_status_says_that_it_is_not_what_was_asked_for(
    machine: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "--tier", "landlock"]) == 0
    machine["landlock"] = "an old kernel"
    assert main(["doctor", "--tier", "landlock"]) == 1
    assert "an old kernel" in capsys.readouterr().out
    assert main(["doctor"]) == 0
