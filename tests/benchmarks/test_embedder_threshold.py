from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.embedder_threshold import Compared, Original, calibrate, compare, originals, rejected, report
from benchmarks.embedder_variants import NEAR_COPY, ONE_OPERATION, near_copies, one_operation
from gasp_env.library import embedders
from gasp_env.sandbox import Sandbox
from gasp_env.tasks import Arguments

RESULT = Path(__file__).parents[2] / "benchmarks/results/embedder_threshold/embedder_threshold.json"
SUM = """def f(xs):
    total = 0
    for x in xs:
        if x < 3:
            total += x * 2
            total += 1
    return max(total, len(xs))
"""


def variants(similarities: list[list[float]]) -> list[Compared]:
    """One list a program."""
    return [
        Compared(f"program {number}", "operator", True, False, similarity)
        for number, own in enumerate(similarities)
        for similarity in own
    ]


def test_every_edit_is_made_and_every_variant_is_another_program() -> None:
    made = {variant.kind for original in originals() for variant in one_operation(original.program)}
    assert made == set(ONE_OPERATION)
    copied = {copy.kind for original in originals() for copy in near_copies(original.program)}
    assert copied == {*NEAR_COPY, "renamed", "commented, respaced"}
    programs = [variant.program for variant in one_operation(SUM)]
    assert len(set(programs) | {SUM.strip()}) == len(programs) + 1
    for line in ("total -= x * 2", "total += x + 2", "if x <= 3:", "min(total, len(xs))", "if not x < 3:"):
        assert any(line in program for program in programs)


def test_every_program_counts_once_and_the_threshold_is_included() -> None:
    shares = rejected(variants([[0.9] * 9, [0.5], [0.5], [0.5, 0.9]]), 0.9, seed=0)
    assert (shares["variants"], shares["programs"], shares["share"]) == (13, 4, 0.375)
    low, high = shares["interval"]
    assert 0 <= low < 0.375 < high <= 1


def test_the_least_threshold_that_rejects_few_enough_is_found() -> None:
    rng = np.random.default_rng(0)
    similarities = rng.uniform(0.6, 1.0, size=(200, 10)).round(5)
    found = calibrate(variants(similarities.tolist()), seed=0)
    assert rejected(variants(similarities.tolist()), found, 0)["interval"][1] <= 0.05
    assert rejected(variants(similarities.tolist()), found - 0.0001, 0)["interval"][1] > 0.0499
    assert found == pytest.approx(0.98, abs=0.01)


def test_an_embedder_that_tells_nothing_apart_has_no_threshold() -> None:
    with pytest.raises(
        ValueError, match=r"found none up to 1, which rejects 100.0%; choose another embedder"
    ):
        calibrate(variants([[1.0, 1.0]] * 10), seed=0)


@pytest.mark.docker
def test_what_counts_is_what_a_program_does(sandbox: Sandbox) -> None:
    inputs: tuple[Arguments, ...] = (([1, 2, 3, 4],), ([],), ([2, 9, -1],))
    found = compare([Original("sum", "Add up.", SUM, inputs)], embedders.get("hashing"), sandbox, seed=0)
    assert {item.kind for item in found if item.one_operation} >= {"operator", "constant"}
    copies = {item.kind: item for item in found if not item.one_operation}
    assert copies["renamed"].exact
    assert copies["commented, respaced"].similarity == pytest.approx(1)
    assert not copies["comparison flipped"].exact
    assert all(0 < item.similarity < 1 + 1e-9 for item in found)


def test_the_threshold_that_ships_is_the_one_that_was_measured() -> None:
    stored = json.loads(RESULT.read_text())
    assert embedders.get("hashing").threshold == embedders.HASHING_THRESHOLD == stored["threshold"]
    for split in stored["splits"]:
        shares = split[f"rejected at {stored['threshold']:g}"]
        assert shares["one-operation variants"]["interval"][1] <= 0.05
        assert split["rejected at 0.95"]["one-operation variants"]["share"] > 0.9


def test_a_report_is_of_programs_that_calibrated_nothing() -> None:
    rng = np.random.default_rng(1)
    compared = variants(rng.uniform(0.5, 1.0, size=(100, 5)).tolist())
    copies = [Compared(item.original, "renamed", False, True, 1.0) for item in compared]
    found = report(compared + copies, 0, (0.95,))
    held_out = found["rejected at 0.95"]
    assert found["calibration"] == 250
    assert held_out["one-operation variants"]["programs"] == 50
    assert held_out["near copies"]["share"] == 1.0
    assert "near copies the exact test lets pass" not in held_out
