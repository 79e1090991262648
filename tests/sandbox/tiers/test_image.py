"""The parts of building the image that need no engine."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError, ImageNotFound

from gasp_env.sandbox import SandboxError
from gasp_env.sandbox.tiers import image


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The path of the lock file, in a temporary folder of this test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path / f"gasp-env-build-{os.getuid()}.lock"


def test_the_lock_follows_no_link(lock: Path, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.write_text("data")
    lock.symlink_to(precious)
    with (
        pytest.raises(SandboxError, match=r"gasp-env-build.*\.lock .*remove it"),
        image._one_build_at_a_time(),
    ):
        raise AssertionError("must not get here")
    assert precious.read_text() == "data"


def test_the_lock_is_ours_alone_and_can_be_taken_again(lock: Path) -> None:
    for _ in range(2):
        with image._one_build_at_a_time():
            assert lock.stat().st_mode & 0o777 == 0o600


class Daemon:
    """A client of a daemon with some images, which records what it is asked to build.

    Attributes:
        images: what it has.
        built: base and network of every build asked for.
        failing: networks in which a build fails, and what is said then.
    """

    def __init__(self, *present: str, failing: dict[str, str] | None = None) -> None:
        self.present = set(present)
        self.built: list[tuple[str, str, bool]] = []
        self.failing = failing or {}
        self.images = SimpleNamespace(get=self._get)
        self.api = SimpleNamespace(build=self._build, pull=self._pull, timeout=0)

    def _get(self, name: str) -> None:
        if name not in self.present:
            raise ImageNotFound(name)

    def _pull(self, name: str, tag: str, **options: Any) -> list[dict[str, str]]:
        return [{"error": "no such host"}]

    def _build(self, **options: Any) -> list[dict[str, str]]:
        network = options["network_mode"]
        self.built.append((options["buildargs"]["BASE"], network, options["nocache"]))
        if network in self.failing:
            return [{"stream": "Step 1"}, {"error": self.failing[network]}]
        self.present.add(options["tag"])
        return [{"stream": "Successfully built"}]


@pytest.fixture(autouse=True)
def _no_base_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GASP_SANDBOX_BASE", raising=False)


def _ensure(daemon: Any, base: str | None = None, *, force: bool = False) -> str:
    return image.ensure(daemon, base, force=force, say=lambda text: None)


def test_an_image_is_built_once_and_again_when_forced(lock: Path) -> None:
    daemon = Daemon(image.LOCAL_BASE)
    assert _ensure(daemon) == _ensure(daemon) == image.image_name()
    assert daemon.built == [(image.LOCAL_BASE, "none", False)], "numpy is in that base, so nothing is fetched"
    _ensure(daemon, force=True)
    assert daemon.built[1:] == [(image.LOCAL_BASE, "none", True)], "a layer without numpy is not used again"


def test_a_foreign_base_may_fetch_numpy_and_does_without_a_network(lock: Path) -> None:
    daemon = Daemon("mine:1")
    _ensure(daemon, "mine:1")
    assert daemon.built == [("mine:1", "default", False)]
    isolated = Daemon("mine:1", failing={"default": "no bridge"})
    _ensure(isolated, "mine:1")
    assert [network for _, network, _ in isolated.built] == ["default", "none"]
    broken = Daemon("mine:1", failing={"default": "no bridge", "none": "python3: not found"})
    with pytest.raises(SandboxError, match="python3: not found"):
        _ensure(broken, "mine:1")


def test_a_base_made_by_an_older_recipe_is_not_used(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(image, "_cannot_make_base", lambda: None)
    monkeypatch.setattr(image, "_make_base", lambda client: made.append(image.LOCAL_BASE))
    daemon = Daemon("gasp-env-base:latest", "gasp-env-base:0123456789ab")
    _ensure(daemon)
    assert made == [image.LOCAL_BASE]
    assert daemon.built == [(image.LOCAL_BASE, "none", False)]


def test_the_name_follows_the_content(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {image.image_name(), image.image_name("mine:1"), image.image_name("mine:2")}
    monkeypatch.setattr(image, "LOCAL_BASE", "gasp-env-base:0123456789ab")
    names.add(image.image_name())
    monkeypatch.setattr(image, "code_digest", lambda: "other")
    names.add(image.image_name())
    assert len(names) == 5
    assert image.image_name() == image.image_name()


def test_the_system_call_filter_is_no_part_of_the_image() -> None:
    names = {path.name for path in image._files()}
    assert {"Dockerfile", "supervisor.py", "zygote.py"} <= names
    assert not names & {"seccomp.json", "README.md", "install_docker.sh"}


def test_no_base_says_what_to_do(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image, "_cannot_make_base", lambda: "mmdebstrap is not installed")
    with pytest.raises(
        SandboxError, match="no such host.*mmdebstrap is not installed.*docker load.*--base IMAGE"
    ):
        _ensure(Daemon())


def test_a_full_disk_says_so(lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = "write /layer.tar: no space left on device"
    with pytest.raises(SandboxError, match="no space left.*\n.*A disk is full.*docker system prune"):
        _ensure(Daemon(image.LOCAL_BASE, failing={"none": full}))

    def mmdebstrap(command: list[str], **options: Any) -> None:
        raise subprocess.CalledProcessError(1, command, stderr="dpkg: error: No space left on device")

    monkeypatch.setattr(image.subprocess, "run", mmdebstrap)
    with pytest.raises(SandboxError, match="A disk is full"):
        image._make_base(Daemon())  # type: ignore[arg-type]
    monkeypatch.undo()

    def import_image(*arguments: Any, **options: Any) -> None:
        raise APIError(full)

    monkeypatch.setattr(image.subprocess, "run", lambda command, **options: None)
    daemon: Any = Daemon()
    daemon.api.import_image_from_file = import_image
    with pytest.raises(SandboxError, match="no base could be made from packages.*\n?.*A disk is full"):
        image._make_base(daemon)
