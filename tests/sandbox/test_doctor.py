"""The doctor's report: what it says of this machine, and of machines that lack something."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gasp_env.sandbox import SandboxError, doctor
from gasp_env.sandbox.__main__ import main
from gasp_env.sandbox.tiers import AUTO, TIERS
from gasp_env.sandbox.tiers.protections import PROTECTIONS, WALLS
from gasp_env.sandbox.tiers.worker import Settings, Worker
from tests.sandbox.opened import opened

_HELLO = {"python": "3.11.2", "profiles": ["value", "stdin"], "landlock": 7}


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A machine in which every tier works; what a test puts in here goes wrong in one."""
    wrong: dict[str, Any] = {"opened": []}

    def stand_in(tier: type[Worker]) -> type[Worker]:
        """The tier with all its facts, whose workers open without a process behind them."""

        class StandIn(tier):  # type: ignore[valid-type, misc]
            def __init__(self, settings: Settings) -> None:
                if isinstance(wrong.get(self.tier), str):
                    raise SandboxError(wrong[self.tier])
                self.runtime = settings.runtime
                self.hello = dict(_HELLO)
                self.closed = 0
                if hasattr(self, "_describe"):
                    self._describe({"MemoryLimit": wrong.get("memory limit", True)})
                wrong["opened"].append(self)

            def close(self) -> None:
                self.closed += 1

        return StandIn

    def find_breaches(worker: Worker) -> dict[str, list[str]]:
        return {name: [] for name in PROTECTIONS} | wrong.get(worker.tier, {})

    for name, tier in list(TIERS.items()):
        monkeypatch.setitem(TIERS, name, stand_in(tier))
    monkeypatch.setattr(doctor, "find_breaches", find_breaches)
    monkeypatch.setattr(doctor, "_describe_machine", lambda settings: {"system": "Linux"})
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


def test_what_a_daemon_and_a_runtime_change_is_seen(machine: dict[str, Any]) -> None:
    machine["memory limit"] = False
    machine["docker"] = {"reading": ["/etc/passwd"]}
    found = doctor.examine("docker", Settings(runtime="runsc")).tiers["docker"].protections
    assert not found["memory cap"].on
    assert found["memory cap"].fix.startswith("the tier docker, with memory limits enabled in the kernel")
    assert found["reading"].fix.startswith("none if the kernel that runsc brings has no Landlock")


def test_walls_are_those_of_the_tier(machine: dict[str, Any]) -> None:
    having = {
        name: {wall for wall in WALLS if report.protections[wall].on}
        for name, report in doctor.examine("unsafe-subprocess").tiers.items()
    }
    assert having == {
        "docker": {"own processes", "own network", "memory cap"},
        "bwrap": {"own processes", "own network"},
        "landlock": set(),
        "unsafe-subprocess": set(),
    }
    fixes = {
        wall: report.fix
        for wall, report in doctor.examine("landlock").tiers["landlock"].protections.items()
        if wall in WALLS
    }
    assert fixes == {
        "own processes": "the tier docker or bwrap",
        "own network": "the tier docker or bwrap",
        "memory cap": "the tier docker, with memory limits enabled in the kernel "
        "(cgroup v2, or cgroup_enable=memory)",
        "own kernel": "the tier docker with a runtime that brings its own kernel: Sandbox(runtime='runsc')",
    }


def test_in_a_tier_without_promises_the_fix_is_another_tier(machine: dict[str, Any]) -> None:
    machine["unsafe-subprocess"] = {name: ["an attempt"] for name in PROTECTIONS}
    report = doctor.examine("unsafe-subprocess").tiers["unsafe-subprocess"]
    assert report.usable
    assert {report.protections[name].fix for name in PROTECTIONS} == {"any other tier"}


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
