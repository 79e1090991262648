"""Seed tasks of unguided proposals, as in the initial buffers of Absolute Zero; these are hand-written.

``data/seeds.jsonl`` holds one a line: kind (deduction or abduction), program, one input and its output as literals.
An induction proposal is made for the program of a seed task or of a later task. Seed tasks serve as
references only: the solver is never asked one, and no library contains one.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

from gasp_env.domains.python.gate import Gate
from gasp_env.domains.python.rules import GateRules
from gasp_env.domains.python.triplet import Proposal, Triplet
from gasp_env.sandbox.runs import Limits
from gasp_env.tasks import Task
from gasp_env.values import parse_arguments, parse_literal


@cache
def builtin_seeds() -> tuple[Task, ...]:
    """The seed tasks that ship with gasp_env; ``tests/domains/python/test_seeds.py`` executes each in the
    sandbox."""
    text = (resources.files("gasp_env") / "data" / "seeds.jsonl").read_text(encoding="utf-8")
    gate = Gate(GateRules(), Limits())
    tasks = []
    for line in text.splitlines():
        record = json.loads(line)
        proposal = Proposal(record["program"], (parse_arguments(record["input"]),))
        fingerprint = gate.fingerprint(proposal, (), "propose", record["kind"])
        tasks.append(
            Task(
                Triplet(proposal.program, proposal.inputs, (parse_literal(record["output"]),), 0, ""),
                fingerprint,
                stage="propose",
                kind=record["kind"],
            )
        )
    return tuple(tasks)
