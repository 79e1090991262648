"""Build the sandbox image, with a registry or without one.

The image's tag is a hash of the `sandbox_image` folder and the base asked for, so that an image
is built when its content changed and never otherwise.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import io
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import docker
from docker.errors import DockerException, ImageNotFound

from gasp_env.sandbox.errors import SandboxError
from sandbox_image import CONTEXT

REPOSITORY = "gasp-env-sandbox"
#: The base where a registry answers; any image with Python 3.11 or later will do.
PUBLIC_BASE = "python:3.11-slim"

# Recipe for a base of Debian's packages, where no registry answers. Files are removed that no program reads, or
# should not read: documentation, translations, tests, another language and the package manager's lists.
_LOCAL_RECIPE = (
    "--variant=essential",
    "--include=python3,python3-numpy",
    '--customize-hook=cd "$1" && rm -rf usr/share/doc/* usr/share/man/* usr/share/info/* usr/share/locale/* '
    "usr/share/lintian usr/share/bash-completion usr/share/perl var/cache/* var/lib/apt "
    "usr/lib/python3/dist-packages/numpy/tests usr/lib/python3/dist-packages/numpy/*/tests",
)
#: Name of that base. Its tag is a hash of the recipe, so that a base made by an older recipe is not used.
LOCAL_BASE = f"gasp-env-base:{hashlib.sha256(repr(_LOCAL_RECIPE).encode()).hexdigest()[:12]}"

_PULL_SECONDS = 120.0
_PULL_ANSWERS_WITHIN = 15.0
_BUILD_SECONDS = 600.0

Say = Callable[[str], None]


def image_name(base: str | None = None) -> str:
    """Return the tag of the image built from the present content of `sandbox_image`."""
    digest = hashlib.sha256(f"{base or LOCAL_BASE} {code_digest()}".encode())
    return f"{REPOSITORY}:{digest.hexdigest()[:16]}"


def code_digest() -> str:
    """Hash everything in the image but its base."""
    digest = hashlib.sha256()
    for path in _files():
        digest.update(f"\0{path.relative_to(CONTEXT)}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def ensure(
    client: docker.DockerClient, base: str | None = None, *, force: bool = False, say: Say | None = None
) -> str:
    """Build the image unless it is there, and return its name.

    Args:
        client: a daemon that answers.
        base: image to build on, present or in a registry. By default ``$GASP_SANDBOX_BASE``, else
            `PUBLIC_BASE`, else one imported from Debian packages.
        force: build even if it is there.
        say: called with a line before each slow step; prints to standard error by default.

    Raises:
        SandboxError: no base can be had, or the build failed.
    """
    say = say or _say
    base = base or os.environ.get("GASP_SANDBOX_BASE") or None
    name = image_name(base)
    with _one_build_at_a_time():
        if force or not is_present(client, name):
            chosen = base or choose_base(client, say)
            say(f"building the sandbox image {name} on {chosen}")
            # Only a foreign base may lack numpy, and only numpy is fetched from the network.
            networks = ["none"] if chosen == LOCAL_BASE else ["default", "none"]
            _build(client, name, chosen, networks, fresh=force)
    return name


def choose_base(client: docker.DockerClient, say: Say) -> str:
    """Return the first base that can be had: present, pulled, or made from Debian packages.

    Raises:
        SandboxError: there is none; the message names the fix.
    """
    for image in (PUBLIC_BASE, LOCAL_BASE):
        if is_present(client, image):
            return image
    say(f"pulling {PUBLIC_BASE}")
    why_not_pulled = _pull(client, PUBLIC_BASE)
    if why_not_pulled is None:
        return PUBLIC_BASE
    why_not_made = _cannot_make_base()
    if why_not_made is None:
        say(f"no registry ({why_not_pulled}); making a base from {_codename()} packages, about half a minute")
        _make_base(client)
        return LOCAL_BASE
    raise SandboxError(
        f"no base for the sandbox image: {PUBLIC_BASE} cannot be pulled ({why_not_pulled}), and {why_not_made}. "
        "Either give the daemon access to a registry, or load an image with Python 3.11 or later "
        "(`docker load`) and name it: `python -m gasp_env.sandbox build --base IMAGE`, "
        "or do this as root on Debian or Ubuntu with mmdebstrap installed (`make docker` installs it)."
    )


def _files() -> list[Path]:
    wanted = (path for path in CONTEXT.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(path for path in wanted if path.suffix == ".py" or path.name == "Dockerfile")


def _context() -> bytes:
    """Return the build context as a tar archive, the same bytes on every machine."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in _files():
            entry = tarfile.TarInfo(str(path.relative_to(CONTEXT)))
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                archive.addfile(entry, file)
    return buffer.getvalue()


def _build(
    client: docker.DockerClient, name: str, base: str, networks: Sequence[str], *, fresh: bool = False
) -> None:
    """Build the image, in the first of these networks in which that works.

    Args:
        client: a daemon that answers.
        name: the tag.
        base: image to build on, present or in a registry.
        networks: Docker's names of networks.
        fresh: use no layer of an earlier build, which may have been one without numpy.

    Raises:
        SandboxError: it works in none.
    """
    failures = []
    for network in networks:
        try:
            return _build_in(client, name, base, network, fresh=fresh)
        except SandboxError as error:
            failures.append(str(error))
    raise SandboxError(failures[-1])


def _build_in(client: docker.DockerClient, name: str, base: str, network: str, *, fresh: bool) -> None:
    log: list[str] = []
    try:
        events = client.api.build(
            fileobj=io.BytesIO(_context()),
            custom_context=True,
            buildargs={"BASE": base},
            tag=name,
            labels={"gasp_env": "image"},
            network_mode=network,
            nocache=fresh,
            rm=True,
            forcerm=True,
            timeout=_BUILD_SECONDS,
            decode=True,
        )
        for event in events:
            log.append(str(event.get("stream", event.get("error", ""))).rstrip())
            if "error" in event:
                raise SandboxError(
                    "building the sandbox image failed:\n" + "\n".join(log[-20:]) + _advice(log)
                )
    except (DockerException, OSError) as error:
        raise SandboxError(
            f"building the sandbox image on {base} failed: {error}{_advice([str(error)])}"
        ) from error


def _advice(log: list[str]) -> str:
    """Return advice for failures that have one fix; empty for others."""
    if any("no space left" in line.lower() for line in log):
        return (
            "\nA disk is full. `docker system df` shows what Docker's files take, `docker system prune` makes "
            "room there; archives are made in the folder for temporary files (TMPDIR)."
        )
    return ""


def is_present(client: docker.DockerClient, name: str) -> bool:
    """True if the daemon has an image."""
    try:
        client.images.get(name)
    except ImageNotFound:
        return False
    return True


def _pull(client: docker.DockerClient, name: str) -> str | None:
    """Pull an image; return None, or the reason why that failed. A silent registry counts as none."""
    answered, done = threading.Event(), threading.Event()
    why: list[str] = []

    def pull() -> None:
        try:
            for event in client.api.pull(*name.split(":"), stream=True, decode=True):
                answered.set()
                if "error" in event:
                    why.append(str(event["error"]))
        except (DockerException, OSError) as error:
            why.append(str(getattr(error, "explanation", None) or error))
        answered.set()
        done.set()

    threading.Thread(target=pull, name="pull", daemon=True).start()
    if not answered.wait(_PULL_ANSWERS_WITHIN) or not done.wait(_PULL_SECONDS):
        return "no answer"
    return why[0].splitlines()[0][:200] if why else None


def _cannot_make_base() -> str | None:
    """Return the reason why no base can be made from packages here, or None."""
    if platform.system() != "Linux" or _codename() is None:
        return "this is no Debian or Ubuntu to make one from"
    if os.geteuid() != 0:
        return "making one from Debian packages takes root"
    if shutil.which("mmdebstrap") is None:
        return "mmdebstrap is not installed"
    return None


def _codename() -> str | None:
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return None
    family = {release.get("ID", ""), *release.get("ID_LIKE", "").split()}
    return release.get("VERSION_CODENAME") if family & {"debian", "ubuntu"} else None


def _make_base(client: docker.DockerClient) -> None:
    with tempfile.TemporaryDirectory() as folder:
        archive = Path(folder, "base.tar")
        command = ["mmdebstrap", *_LOCAL_RECIPE, str(_codename()), str(archive)]
        repository, _, tag = LOCAL_BASE.partition(":")
        try:
            subprocess.run(command, capture_output=True, text=True, timeout=_BUILD_SECONDS, check=True)
            client.api.timeout = _BUILD_SECONDS  # this is a slow request
            client.api.import_image_from_file(str(archive), repository=repository, tag=tag)
        except subprocess.CalledProcessError as failed:
            raise SandboxError(
                f"`{' '.join(command)}` failed:\n{failed.stderr.strip()[-2000:]}{_advice([failed.stderr])}"
            ) from failed
        except (subprocess.TimeoutExpired, DockerException, OSError) as error:
            raise SandboxError(
                f"no base could be made from packages: {error}{_advice([str(error)])}"
            ) from error


@contextlib.contextmanager
def _one_build_at_a_time() -> Iterator[None]:
    """Lock a file, so that of several processes one builds the image and the others wait.

    The file's name can be guessed and its folder is shared, so it is opened without following
    a link and never written to.

    Raises:
        SandboxError: another user's file, or something else, is in its place.
    """
    path = Path(tempfile.gettempdir(), f"gasp-env-build-{os.getuid()}.lock")
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise SandboxError(
            f"cannot open {path} ({error.strerror}): expected a file of our own to lock while an image is built. "
            "Look at what is there and remove it, or set TMPDIR to a folder that only you can write to."
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
