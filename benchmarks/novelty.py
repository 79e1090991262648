"""How well does exact novelty tell copies from other programs, and what does it take?

    python -m benchmarks.novelty cruxeval.jsonl humaneval.jsonl

The files are those of CRUXEval (a field ``code``) and HumanEval (``prompt`` and ``canonical_solution``). Counted are
the forms that their programs have, and the pairs of one form; variants by one operation that have the form of their
original, which should be none; and copies with other names for all variables that have it, which should be all. Timed
is a form, with the program's nodes at hand.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.embedder_variants import one_operation, renamed
from gasp_env.domains.python.novelty import normal_form
from gasp_env.domains.python.program import Program


def programs(path: Path) -> Iterator[Program]:
    """The programs of a file."""
    for line in path.read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        yield Program(record["code"] if "code" in record else record["prompt"] + record["canonical_solution"])


def measure(found: Sequence[Program]) -> dict[str, float]:
    """The counts, and the median of microseconds that a form takes."""
    forms = Counter(program.form for program in found)
    variants = merged = 0
    for program in found:
        for variant in one_operation(program):
            variants += 1
            merged += Program(variant.program).form == program.form
    seconds = []
    for program in found:
        nodes, start = program.nodes, time.perf_counter()
        normal_form(nodes)
        seconds.append(time.perf_counter() - start)
    return {
        "programs": len(found),
        "forms": len(forms),
        "equal pairs": sum(count * (count - 1) // 2 for count in forms.values()),
        "variants by one operation": variants,
        "of the form of their original": merged,
        "renamed copies that are recognised": sum(Program(renamed(one)).form == one.form for one in found),
        "microseconds a form, median": round(1e6 * sorted(seconds)[len(seconds) // 2]),
    }


def main() -> None:
    """Print the counts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="+", help="CRUXEval's and HumanEval's, as JSON lines")
    found = [program for path in parser.parse_args().files for program in programs(path)]
    for name, count in measure(found).items():
        print(f"{count:>8} {name}")


if __name__ == "__main__":
    main()
