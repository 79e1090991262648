from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from gasp_env import domains
from gasp_env.domains.base import Request
from gasp_env.domains.python import triplet
from gasp_env.domains.python.domain import PythonDomain
from gasp_env.domains.python.program import Program
from gasp_env.domains.python.triplet import Proposal, Triplet
from gasp_env.library.library import Library
from gasp_env.records import Record
from gasp_env.sandbox import Sandbox
from gasp_env.values import encode

LEMMAS = Path(__file__).parents[2] / "benchmarks" / "llm_plays" / "lemmas.jsonl"
PROVENANCE = ("id", "goalpost", "axis")
CONTENT = ("program", "inputs", "outputs", "shown", "message")


def lemmas() -> list[dict[str, Any]]:
    return [json.loads(line) for line in LEMMAS.read_text(encoding="utf-8").splitlines()]


def content(lemma: dict[str, Any]) -> Triplet:
    return triplet.read({name: lemma[name] for name in CONTENT}, "induction", Record(lemma["id"]), "")


def domain() -> PythonDomain:
    found = domains.get("python").with_novelty("off")
    assert isinstance(found, PythonDomain)
    return found


def test_there_are_32_of_our_own_goalposts_and_both_axes() -> None:
    assert len(lemmas()) == 32
    assert len({lemma["id"] for lemma in lemmas()}) == 32
    counts = Counter(lemma["goalpost"] for lemma in lemmas())
    assert max(counts.values()) <= 2
    assert counts.keys() <= {goalpost.id for goalpost in domain().goalposts()}
    assert {lemma["axis"] for lemma in lemmas()} == {"io", "f"}


@pytest.mark.parametrize("lemma", lemmas(), ids=lambda lemma: lemma["id"])
def test_a_lemma_has_the_form_of_an_easy_induction_task(lemma: dict[str, Any]) -> None:
    assert tuple(lemma) == PROVENANCE + CONTENT
    own = content(lemma)
    assert own.record() == {name: lemma[name] for name in CONTENT}
    assert (len(own.inputs), own.shown) == (10, 5)
    assert len(set(map(encode, own.inputs))) == 10
    # The hidden outputs differ as well, so that no constant answer is right.
    assert min(len(set(map(encode, part))) for part in (own.outputs[:5], own.outputs[5:])) >= 2
    assert 2 <= sum(bool(line.strip()) for line in own.program.split("\n")) <= 10
    assert 40 <= len(own.message) <= 240


def test_all_programs_differ_from_each_other_and_from_the_references() -> None:
    references = [goalpost.reference for goalpost in domain().goalposts() if goalpost.reference]
    programs = [lemma["program"] for lemma in lemmas()]
    assert len({Program(text).form for text in programs + references}) == len(programs) + len(references)


@pytest.mark.docker
def test_every_lemma_passes_the_gate_and_gives_its_outputs(sandbox: Sandbox) -> None:
    gate, view = domain().gate, Library().view()
    goalposts = {goalpost.id: goalpost for goalpost in domain().goalposts()}
    fingerprints = set()
    for lemma in lemmas():
        own = content(lemma)
        proposal = Proposal(own.program, own.inputs, own.message)
        results = sandbox.run_many(gate.runs(proposal))
        request = Request("lemma", view, axis=lemma["axis"], goalpost=goalposts[lemma["goalpost"]])
        task = gate.decide(proposal, results, request)
        assert task.content.record() == own.record()
        fingerprints.add(task.fingerprint)
    assert len(fingerprints) == 32
