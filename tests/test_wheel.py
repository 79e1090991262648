"""What a user of the wheel has: no clone, no torch, an empty virtual environment."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from gasp_env.sandbox import Sandbox

ROOT = Path(__file__).resolve().parent.parent

pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    # Nothing of the environment that runs the tests may leak in.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**environment, "PYTHONIOENCODING": "utf-8"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("dist")
    run(
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
        "--wheel-dir",
        directory,
        ROOT,
        cwd=directory,
    )
    (built,) = directory.glob("gasp_env-*.whl")
    return built


def test_the_wheel_holds_what_runs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    packages = {name.partition("/")[0] for name in names}
    assert {package for package in packages if not package.endswith(".dist-info")} == {
        "gasp_env",
        "gasp_code",
        "learners",
        "sandbox_image",
    }
    here = {
        str(path.relative_to(ROOT))
        for package in ("gasp_code", "gasp_env", "learners", "sandbox_image")
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert here <= set(names), "every file of the packages is in the wheel"
    data = ("gasp_env/data/goalposts.jsonl", "gasp_env/data/scripted.json")
    for needed in (*data, "gasp_env/py.typed", "sandbox_image/Dockerfile"):
        assert needed in names
    assert any(name.startswith("sandbox_image/worker/") for name in names)
    assert any(name.startswith("learners/miniature/data/") for name in names)
    assert any(name.endswith("/licenses/LICENSE") for name in names)


@pytest.mark.docker
def test_the_installed_wheel_builds_the_image_and_plays(
    sandbox: Sandbox, wheel: Path, tmp_path: Path
) -> None:
    run(sys.executable, "-m", "venv", "venv", cwd=tmp_path)
    python = tmp_path / "venv" / "bin" / "python"
    constraints = ROOT / "constraints.txt"
    run(python, "-m", "pip", "install", "--quiet", "--constraint", constraints, wheel, cwd=tmp_path)
    where = run(
        python,
        "-c",
        "import gasp_env, sandbox_image; print(gasp_env.__file__, sandbox_image.__file__)",
        cwd=tmp_path,
    )
    assert all(path.startswith(str(tmp_path)) for path in where.split())
    assert (
        run(python, "-c", "import gasp_env; print(gasp_env.__version__)", cwd=tmp_path).strip() in wheel.name
    )
    run(python, "-m", "gasp_env.sandbox", "build", "--force", cwd=tmp_path)
    played = run(
        python, "-m", "gasp_env.play", "--sandbox", "docker", "--save", "episode.jsonl", cwd=tmp_path
    )
    assert "accepted  lemma, lift" in played
    assert "tier docker" in played
    assert "identical" in run(python, "-m", "gasp_env.play", "--replay", "episode.jsonl", cwd=tmp_path)
