"""The command line's own mistakes, which are found before any container is started."""

from __future__ import annotations

from pathlib import Path

import pytest

from gasp_env.sandbox.__main__ import main


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("--wall-seconds", value) for value in ("0", "-1", "nan", "inf", "-inf")),
        *(("--cpu-seconds", value) for value in ("0", "-1", "99999999999")),
    ],
)
def test_a_limit_out_of_range_is_one_line(
    option: str,
    value: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    file = tmp_path / "program.py"
    file.write_text("def f(): return 1\n")
    assert main(["run", str(file), f"{option}={value}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {option[2:].replace('-', '_')} must be ")
    assert said.count("\n") == 1
