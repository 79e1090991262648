"""A tier is one class and one entry of TIERS: everything that names tiers reads the facts from there."""

from __future__ import annotations

from typing import Any

import pytest

from gasp_env import play
from gasp_env.loaders import __main__ as loaders_command
from gasp_env.sandbox import Sandbox, SandboxError, doctor
from gasp_env.sandbox import __main__ as sandbox_command
from gasp_env.sandbox.dedup import check_profiles
from gasp_env.sandbox.tiers import AUTO, CHOICES, HELP, TIERS, open_worker, resolve
from gasp_env.sandbox.tiers.docker import DockerWorker
from gasp_env.sandbox.tiers.protections import PROTECTIONS, WALLS
from gasp_env.sandbox.tiers.stream_worker import StreamWorker
from gasp_env.sandbox.tiers.worker import CONSENT_VARIABLE, SPECIFIC, Settings


class GvisorWorker(DockerWorker):
    """A container whose system calls a kernel of its own answers: the whole of a new tier."""

    tier = "gvisor"
    summary = "a container with a kernel of its own"
    walls = DockerWorker.walls | {"own kernel"}
    accepts = frozenset({"image"})
    runtime = "runsc"


class RiskyWorker(StreamWorker):
    """A tier that needs consent, and does nothing else about it than to say so."""

    tier = "risky"
    summary = "a bad idea"
    risk = "it may do anything"
    auto = False


@pytest.fixture
def gvisor(monkeypatch: pytest.MonkeyPatch) -> str:
    """A machine where that tier is registered."""
    monkeypatch.setitem(TIERS, "gvisor", GvisorWorker)
    return "gvisor"


def test_every_tier_states_its_facts() -> None:
    for name, tier in TIERS.items():
        assert name == tier.tier
        assert tier.summary
        assert tier.promises <= set(PROTECTIONS)
        assert tier.walls <= set(WALLS)
        assert tier.accepts <= set(SPECIFIC)
        assert tier.promises or not tier.auto, "auto must not lead to a tier that promises nothing"
        assert not (tier.risk and tier.auto), "auto must not lead to a tier that needs consent"
    assert AUTO == ("docker", "bwrap", "landlock")
    assert CHOICES == ("auto", "docker", "bwrap", "landlock", "unsafe-subprocess")
    assert "docker, bwrap and landlock" in HELP


def test_a_tier_promises_everything_unless_it_says_otherwise() -> None:
    assert RiskyWorker.promises == set(PROTECTIONS)


def test_a_tier_with_a_risk_asks_for_consent_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(TIERS, "risky", RiskyWorker)
    monkeypatch.delenv(CONSENT_VARIABLE, raising=False)
    with pytest.raises(
        SandboxError, match="the tier risky is a bad idea: it may do anything. .*say so twice"
    ):
        TIERS["risky"](Settings(allow_unsafe=True))


def test_image_and_runtime_are_for_the_tiers_that_accept_them() -> None:
    assert resolve("auto", Settings()) == "auto"
    assert resolve("auto", Settings(image="mine:1")) == "docker"
    assert resolve("docker", Settings(runtime="runsc")) == "docker"
    assert resolve("bwrap", Settings(allow_unsafe=True)) == "bwrap"
    with pytest.raises(ValueError, match="only the tier docker takes an image and a runtime, not landlock"):
        resolve("landlock", Settings(image="mine:1", runtime="runsc"))
    with pytest.raises(ValueError, match="tier must be auto or one of docker, bwrap"):
        resolve("nsjail", Settings())


def test_a_registered_tier_is_one_of_the_sandbox(gvisor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Settings] = []

    def refuse(worker: GvisorWorker, settings: Settings) -> None:
        asked.append(settings)
        raise SandboxError("the daemon does not know runsc")

    monkeypatch.setattr(GvisorWorker, "__init__", refuse)
    sandbox = Sandbox(gvisor, image="mine:1")
    assert sandbox.tier == gvisor
    with pytest.raises(SandboxError, match="does not know runsc"):
        sandbox.open()
    with pytest.raises(SandboxError, match="does not know runsc"):
        open_worker(gvisor, Settings())
    assert [settings.image for settings in asked] == ["mine:1", None]
    with pytest.raises(ValueError, match="only the tier docker takes a runtime, not gvisor"):
        Sandbox(gvisor, runtime="runc")


def test_a_registered_tier_is_known_to_the_doctor(gvisor: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(worker: DockerWorker, settings: Settings) -> None:
        raise SandboxError("no daemon")

    monkeypatch.setattr(DockerWorker, "__init__", refuse)
    monkeypatch.setattr(doctor, "_describe_machine", lambda settings: {})
    report = doctor.examine(gvisor)
    assert report.tiers[gvisor].why == "no daemon"
    assert doctor._wall_fix("own processes") == "the tier docker or bwrap or gvisor"
    assert doctor._wall_fix("own kernel").startswith("the tier gvisor, ")


def test_a_missing_profile_is_told_in_the_tier_s_own_words() -> None:
    class At:
        hello: dict[str, Any] = {"profiles": ["value", "stdin"]}

        def __init__(self, tier: str) -> None:
            self.tier = tier

    check_profiles({"value", "stdin"}, At("docker"))  # type: ignore[arg-type]
    with pytest.raises(
        SandboxError, match="the docker sandbox has no profile numpy, .*: build the image where pip"
    ):
        check_profiles({"value", "numpy"}, At("docker"))  # type: ignore[arg-type]
    for tier in ("bwrap", "landlock", "unsafe-subprocess"):
        with pytest.raises(
            SandboxError, match=f"the {tier} sandbox has no profile numpy, .*: install numpy for the"
        ):
            check_profiles({"numpy"}, At(tier))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (sandbox_command.main, ["doctor"]),
        (sandbox_command.main, ["run"]),
        (loaders_command.main, ["humaneval"]),
        (loaders_command.main, ["mbpp"]),
        (play.main, []),
    ],
)
def test_help_is_that_of_the_registry(
    command: Any, arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        command([*arguments, "--help"])
    assert HELP in " ".join(capsys.readouterr().out.split())


def test_help_lists_every_tier(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        sandbox_command.main(["doctor", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert ",".join(CHOICES) in said
    assert (
        "one of the two consents of the tier unsafe-subprocess (the other: GASP_ENV_ALLOW_UNSAFE=1)" in said
    )


def test_the_default_of_the_loaders_can_be_asked_for() -> None:
    asked = ["humaneval", "in.jsonl", "--out", "out.jsonl"]
    parser = loaders_command._parser()
    assert parser.parse_args([*asked, "--tier", "auto"]) == parser.parse_args(asked)
