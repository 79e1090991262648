from __future__ import annotations

from collections import Counter

import pytest

from gasp_env import domains
from gasp_env.domains.base import Request
from gasp_env.domains.python import seeds
from gasp_env.domains.python.triplet import Proposal
from gasp_env.library.library import Library
from gasp_env.sandbox import Sandbox


def test_seeds_are_of_both_kinds_and_all_differ() -> None:
    tasks = seeds.builtin_seeds()
    counts = Counter(task.kind for task in tasks)
    assert set(counts) == {"deduction", "abduction"}
    # K = 6 references of one kind, and not always the same.
    assert min(counts.values()) >= 12
    assert len({task.fingerprint for task in tasks}) == len(tasks)


@pytest.mark.docker
def test_every_seed_passes_the_gate_and_gives_its_output(sandbox: Sandbox) -> None:
    gate = domains.get("python").with_novelty("off").gate
    for task in seeds.builtin_seeds():
        proposal = Proposal(task.content.program, task.content.inputs)
        results = sandbox.run_many(gate.runs(proposal, task.kind))
        again = gate.decide(proposal, results, Request("propose", Library().view(), task.kind))
        assert again == task
