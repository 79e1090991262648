"""What a run's files and its last page say."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from learners import report as reports
from learners.manifest import manifest
from learners.report import Report, table


@pytest.mark.parametrize(
    "torn", ['{"step": 2, "x": 0.', '{"step": 2, "x": 0.5}', '{"step"', "7\n", "[]\n", "\x00\x00"]
)
def test_a_torn_line_of_a_log_is_dropped(tmp_path, torn):
    (tmp_path / "metrics.jsonl").write_text('{"step": 1, "x": 0.5}\n' + torn)
    with Report(tmp_path, 2, 3) as report:
        report.log(3, {"x": 0.25}, "")
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "x": 0.5}\n{"step": 3, "x": 0.25}\n'


def test_what_an_update_is_at_is_said_once_in_a_while(tmp_path, monkeypatch, capsys):
    now = [0.0]
    monkeypatch.setattr(reports.time, "monotonic", lambda: now[0])
    with Report(tmp_path, 0, 100) as report:
        for second in range(200):
            now[0] = second
            report.during(f"sampling {second}")
    assert capsys.readouterr().out.splitlines() == ["  sampling 61", "  sampling 122", "  sampling 183"]


def test_trackers_are_chosen_by_name(tmp_path):
    with Report(tmp_path / "none", 0, 1, ()) as report:
        report.log(1, {"x": 0.5}, "")
    assert not (tmp_path / "none" / "tensorboard").exists()
    assert (tmp_path / "none" / "metrics.jsonl").exists()


def test_what_was_logged_after_the_checkpoint_is_dropped(tmp_path):
    with Report(tmp_path, 0, 3) as report:
        for step in (1, 2, 3):
            report.log(step, {"x": 0.5}, "")
    with Report(tmp_path, 1, 3) as report:
        report.log(2, {"x": 0.25}, "")
    assert (tmp_path / "metrics.jsonl").read_text() == '{"step": 1, "x": 0.5}\n{"step": 2, "x": 0.25}\n'


def test_the_table_shows_what_was_not_measured_as_a_dash():
    summary = {
        "accepted_lemmas": 120,
        "accepted_lifts": 60,
        "sandbox": {"tier": "docker", "runs": 12345},
        "pass_at_1": {"before": 0.125, "after": 0.5},
        "pass_at_8": {"before": None, "after": None},
        "goalposts_reached": {"base_resampled": 3, "after": 9, "samples_each": 64, "of": 40},
        "solve_rates": {"attempt/induction": 0.4},
        "proposals": {"lemma": {"valid": 3, "duplicate": 1}},
        "rewards": {"teacher/lemma": {"first_quarter": -0.25, "last_quarter": None}},
        "tokens": {"total": 1000, "solver": 900},
        "groups": {"all": 10, "with_gradient": 7},
        "seconds": 400.0,
        "seconds_training": 300.0,
    }
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(table(summary))
    text = console.export_text()
    for part in (
        "0.125",
        "0.500",
        "of 40 with 64 samples each",
        "-0.250",
        "12,345",
        "docker",
        "valid 75%, duplicate 25%",
        "10, 7",
        "400, 300",
    ):
        assert part in text
    assert text.count(" - ") >= 3


def test_manifest_says_what_ran():
    found = manifest({"seed": 3}, sandbox="docker")
    assert found["args"] == {"seed": 3}
    assert found["sandbox"] == "docker"
    assert {"torch", "gymnasium"} <= set(found["packages"])
    assert found["machine"]["cpus"] >= 1
