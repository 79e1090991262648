"""CRUXEval in the sandbox, in every tier: every program does as recorded, or is in the table below with its reason.

Runs only where GASP_CRUXEVAL names the data set's JSON-lines file; we do not ship it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.cruxeval import compare, read
from gasp_env.sandbox import Sandbox

pytestmark = [
    pytest.mark.docker,
    pytest.mark.skipif("GASP_CRUXEVAL" not in os.environ, reason="GASP_CRUXEVAL names no cruxeval.jsonl"),
]

#: Programs that return another value than recorded, and why. None does.
DISAGREE: dict[str, str] = {}

#: Recorded inputs that are no literals: evaluated in the sandbox, never on the host.
EXPRESSIONS = {
    "sample_152": "a method call, ''.join(...)",
    "sample_239": "a concatenation",
    "sample_258": "the name of a variable the program defines",
    "sample_344": "a lambda",
    "sample_364": "a lambda",
    "sample_378": "a call of dict",
    "sample_459": "a call of dict",
    "sample_522": "a call of range",
    "sample_694": "a call of dict",
    "sample_720": "a method call, str.split",
    "sample_760": "a call of dict",
    "sample_770": "a method call, str.upper",
}


def test_every_program_does_as_recorded(tier_sandbox: Sandbox) -> None:
    records = read(Path(os.environ["GASP_CRUXEVAL"]))
    comparison = compare(records, tier_sandbox)
    assert len(records) == 800
    assert {disagreement.id: disagreement.detail for disagreement in comparison.disagreements} == DISAGREE
    assert comparison.expressions.keys() == EXPRESSIONS.keys()
