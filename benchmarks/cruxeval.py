"""Do CRUXEval's programs do in our sandbox what their authors recorded?

    python -m benchmarks.cruxeval PATH/cruxeval.jsonl --json OUT.json

Every program is run on its recorded input and the value it returns is compared with the recorded
output under our value rules (`gasp_env.values`). Each that does not agree is printed with its
reason, which is one of:

    output      the recorded output is no literal of the value language
    status      the run did not end with a value; its status and error are given
    value       another value came back

A few recorded inputs are no literals but expressions (a lambda, a method call, ``dict(...)``). The
host does not evaluate them: they are appended to the program as a call and evaluated where the
program is. These are counted and listed with the part that is no literal; as answers of a solver
they would be refused.

CRUXEval: Gu et al. 2024, arXiv 2401.03065; records with the fields id, code, input, output.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

from gasp_env.sandbox import Run, Sandbox, Status
from gasp_env.values import ValueSyntaxError, equal, parse_arguments, parse_literal, render


@dataclass(frozen=True)
class Record:
    """One program of the data set."""

    id: str
    code: str
    input: str
    output: str


@dataclass(frozen=True)
class Disagreement:
    """A program that did not do as recorded, and why."""

    id: str
    reason: str
    detail: str


def read(path: Path) -> list[Record]:
    """The records of a JSON-lines file."""
    with path.open(encoding="utf-8") as lines:
        return [Record(**json.loads(line)) for line in lines if line.strip()]


@dataclass(frozen=True)
class Comparison:
    """The programs that disagree, and the ids of those whose input is an expression, with the reason."""

    disagreements: list[Disagreement]
    expressions: dict[str, str]


def compare(records: Iterable[Record], sandbox: Sandbox) -> Comparison:
    """Run every program on its recorded input."""
    runs: list[Run] = []
    recorded: list[tuple[Record, object]] = []
    disagreements = []
    expressions = {}
    for record in records:
        try:
            run = Run(record.code, (parse_arguments(record.input),))
        except ValueSyntaxError as error:
            expressions[record.id] = f"{record.input}: {error}"
            call = f"\n\ndef recorded_call():\n    return f({record.input})\n"
            run = Run(record.code + call, ((),), entry="recorded_call")
        try:
            recorded.append((record, parse_literal(record.output)))
        except ValueSyntaxError as error:
            disagreements.append(Disagreement(record.id, "output", str(error)))
            continue
        runs.append(run)
    for (record, expected), result in zip(recorded, sandbox.run_many(runs), strict=True):
        if result.status is not Status.OK:
            disagreements.append(Disagreement(record.id, "status", f"{result.status}: {result.error}"))
        elif not equal(result.calls[0].value, expected):
            detail = f"returned {render(result.calls[0].value)}, recorded {record.output}"
            disagreements.append(Disagreement(record.id, "value", detail))
    return Comparison(disagreements, expressions)


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("path", type=Path, help="cruxeval.jsonl")
    parser.add_argument("--json", type=Path, help="where to write the result")
    options = parser.parse_args()
    records = read(options.path)
    with Sandbox() as sandbox:
        started = time.monotonic()
        comparison = compare(records, sandbox)
        seconds = time.monotonic() - started
        tier, runs = sandbox.tier, sandbox.runs
    disagreements = comparison.disagreements
    for identity, why in comparison.expressions.items():
        print(f"{identity}  input is an expression, evaluated in the sandbox: {why}")
    for disagreement in disagreements:
        print(f"{disagreement.id}  {disagreement.reason}: {disagreement.detail}")
    agree = len(records) - len(disagreements)
    print(f"{agree} of {len(records)} agree  [{tier}, {runs} runs in {seconds:.1f} s]")
    if options.json:
        summary = {
            "command": f"python -m benchmarks.cruxeval {options.path.name} --json {options.json.name}",
            "programs": len(records),
            "agree": agree,
            "disagree": [asdict(disagreement) for disagreement in disagreements],
            "inputs_that_are_expressions": comparison.expressions,
            "sandbox": {"tier": tier, "runs": runs},
            "seconds": round(seconds, 2),
            "machine": {
                "processors": os.cpu_count(),
                "machine": platform.machine(),
                "python": platform.python_version(),
            },
        }
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(summary, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
