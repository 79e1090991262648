"""From which similarity on is a task a copy? The threshold of the hashing embedder, calibrated.

    python -m benchmarks.embedder_threshold --json benchmarks/results/embedder_threshold/embedder_threshold.json

Novelty by cosine similarity is to reject copies and to keep lifts, and many a lift changes one operation. So
a threshold is in order if it rejects at most 5 % of one-operation variants. Programs are the honest ones of our
test corpus and the references of our goalposts. Every variant is executed. A one-operation variant
counts if it still returns values and others than its original, a near copy if it returns the same ones.

The programs, not the variants, are split in two halves by seed. On one half the threshold is chosen: the least
ten-thousandth that rejects at most 5 % of the one-operation variants with 97.5 % confidence (bootstrap over
programs, every program counting once, as variants of one program are alike). The other half gives the share it
rejects. The same is reported for the threshold that the embedder ships with, which is to be the greatest found of
several splits, and for 0.95, which GASP uses with a neural embedder.

Message and program are embedded, as in the library (`text` of `gasp_env.tasks.Content`); a variant keeps
the message of its original, which is the case in which novelty matters most.
"""

from __future__ import annotations

import argparse
import ast
import json
import platform
import random
import re
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from benchmarks.embedder_variants import Variant, near_copies, one_operation, parses
from gasp_env import goalposts
from gasp_env.domains.python.program import Program
from gasp_env.domains.python.triplet import Proposal
from gasp_env.library import embedders
from gasp_env.sandbox import Limits, Result, Run, Sandbox
from gasp_env.tasks import Arguments
from gasp_env.values import encode, parse_arguments

CORPUS = Path(__file__).parents[1] / "tests" / "data" / "corpus"
#: Variants of one program that are executed, so that a long one takes no more time than ten short ones.
MOST = 12
TOLERATED = 0.05
#: Variants often loop for ever.
LIMITS = Limits(wall_seconds=4.0, cpu_seconds=1)


@dataclass(frozen=True)
class Original:
    """A program, the arguments it is called with, and a message that a teacher may have written for it."""

    name: str
    message: str
    program: str
    inputs: tuple[Arguments, ...]


@dataclass(frozen=True)
class Compared:
    """A variant that was executed, and how similar it is to its original."""

    original: str
    kind: str
    one_operation: bool
    exact: bool  # the exact test of novelty knows it already
    similarity: float


def originals() -> list[Original]:
    """The programs of our corpus and our goalposts that can be parsed."""
    found = [
        Original(
            goalpost.id, re.split(r"(?<=\.)\s", goalpost.statement)[0], goalpost.reference, goalpost.inputs
        )
        for goalpost in goalposts.builtin_goalposts()
        if goalpost.reference is not None
    ]
    for file in sorted(CORPUS.glob("*.txt")):
        # Those in whole.txt are no functions; those in errors.txt fail on purpose.
        if file.stem in ("whole", "errors"):
            continue
        for part in re.split(r"^=== ", file.read_text("utf-8"), flags=re.MULTILINE)[1:]:
            name, _, rest = part.partition("\n")
            program, *calls = ("\n" + rest).split("\n>>>")
            inputs = tuple(parse_arguments(call.strip("\n")) for call in calls)
            words = name.strip().replace("_", " ")
            found.append(Original(f"{file.stem}/{name.strip()}", f"The rule: {words}.", program[1:], inputs))
    # Laid out as variants are, so that layout makes no difference.
    return [
        replace(original, program=ast.unparse(ast.parse(original.program)))
        for original in found
        if parses(original.program)
    ]


def compare(
    programs: Sequence[Original], embedder: embedders.Embedder, sandbox: Sandbox, seed: int
) -> list[Compared]:
    """Make, execute and embed variants of every program."""
    asked: list[tuple[Original, Variant, bool]] = []
    for original in programs:
        rng = random.Random(f"{seed} {original.name}")
        asked.append((original, Variant("original", original.program), False))
        for variants, is_one in ((one_operation, True), (near_copies, False)):
            made = list(variants(original.program))
            asked += [(original, variant, is_one) for variant in rng.sample(made, min(MOST, len(made)))]
    runs = [Run(variant.program, original.inputs, limits=LIMITS) for original, variant, _ in asked]
    results = sandbox.run_many(runs)
    right = {
        original.name: _returned(result)
        for (original, variant, _), result in zip(asked, results, strict=True)
        if variant.kind == "original"
    }
    compared = []
    for (original, variant, is_one), result in zip(asked, results, strict=True):
        returned, expected = _returned(result), right[original.name]
        # A variant that a gate would refuse is left out: a task's calls all return, and so do these.
        if variant.kind == "original" or None in returned or None in expected:
            continue
        if is_one == (returned == expected):
            continue
        vectors = embedder.embed([_text(original, original.program), _text(original, variant.program)])
        exact = Program(original.program).form == Program(variant.program).form
        compared.append(Compared(original.name, variant.kind, is_one, exact, float(vectors[0] @ vectors[1])))
    return compared


def rejected(compared: Sequence[Compared], threshold: float, seed: int) -> dict[str, Any]:
    """Share with a similarity from ``threshold`` on, every original counting once, and its 95 % bootstrap interval."""
    shares = _shares(compared, threshold)
    draws = _resampled(shares, seed)
    return {
        "variants": len(compared),
        "programs": len(shares),
        "share": round(float(shares.mean()), 4),
        "interval": [round(float(np.quantile(draws, q)), 4) for q in (0.025, 0.975)],
    }


def calibrate(compared: Sequence[Compared], seed: int) -> float:
    """The least ten-thousandth from 0.5 on at which the upper end of that interval is at most the tolerated share.

    Raises:
        ValueError: there is none: the embedder makes no difference between variants and copies.
    """
    # It falls as the threshold rises, so it can be bisected.
    low, high = 5_000, 10_000
    while low < high:
        middle = (low + high) // 2
        if np.quantile(_resampled(_shares(compared, middle / 10_000), seed), 0.975) <= TOLERATED:
            high = middle
        else:
            low = middle + 1
    found = rejected(compared, low / 10_000, seed)
    if found["interval"][1] > TOLERATED:
        raise ValueError(
            f"expected a threshold that rejects at most {TOLERATED:.0%} of {len(compared)} one-operation variants, "
            f"found none up to 1, which rejects {found['share']:.1%}; choose another embedder"
        )
    return low / 10_000


def report(compared: Sequence[Compared], seed: int, others: Sequence[float]) -> dict[str, Any]:
    """Calibrate on one half of the programs; report the shares that this and other thresholds reject of the other."""
    names = sorted({item.original for item in compared})
    random.Random(seed).shuffle(names)
    chosen = set(names[: len(names) // 2])
    calibration = [item for item in compared if item.one_operation and item.original in chosen]
    held_out = [item for item in compared if item.original not in chosen]
    threshold = calibrate(calibration, seed)
    found: dict[str, Any] = {"seed": seed, "threshold": threshold, "calibration": len(calibration)}
    sorts = {
        "one-operation variants": [item for item in held_out if item.one_operation],
        "near copies": [item for item in held_out if not item.one_operation],
        "near copies the exact test lets pass": [
            item for item in held_out if not item.one_operation and not item.exact
        ],
    }
    kinds: dict[str, list[Compared]] = defaultdict(list)
    for item in held_out:
        kinds[("variant: " if item.one_operation else "copy: ") + item.kind].append(item)
    sorts |= dict(sorted(kinds.items()))
    for at in dict.fromkeys((threshold, *others)):
        found[f"rejected at {at:g}"] = {
            name: rejected(items, at, seed) for name, items in sorts.items() if items
        }
    return found


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--embedder", default="hashing", help="as gasp_env.library.embedders.get takes it")
    parser.add_argument(
        "--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4], help="of splits; the first counts"
    )
    parser.add_argument("--json", type=Path, help="where to write the result")
    options = parser.parse_args()
    embedder = embedders.get(options.embedder)
    programs = originals()
    with Sandbox() as sandbox:
        compared = compare(programs, embedder, sandbox, options.seeds[0])
        tier = sandbox.tier
    reports = [report(compared, seed, (embedder.threshold, 0.95)) for seed in options.seeds]
    chosen = max(found["threshold"] for found in reports)
    result = {
        "command": "python -m benchmarks.embedder_threshold " + " ".join(sys.argv[1:]),
        "embedder": options.embedder,
        "programs": len(programs),
        "tier": tier,
        "machine": f"{platform.machine()}, Python {platform.python_version()}",
        "threshold": chosen,
        "shipped": embedder.threshold,
        "splits": reports,
    }
    for found in reports:
        print(
            f"seed {found['seed']}: threshold {found['threshold']:.4f}, from {found['calibration']} variants"
        )
        for at, shares in found.items():
            if at.startswith("rejected"):
                print(f"  {at}, of the held-out half:")
                # Kinds have few programs each; one split of them is enough to look at.
                for name, row in list(shares.items())[: None if found is reports[0] else 3]:
                    low, high = row["interval"]
                    print(
                        f"    {name:44} {row['share']:6.1%}  [{low:.1%}, {high:.1%}]"
                        f"  {row['variants']} of {row['programs']} programs"
                    )
    print(
        f"greatest of these thresholds: {chosen:.4f}; {options.embedder} ships with {embedder.threshold:.4f}"
    )
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def _shares(compared: Sequence[Compared], threshold: float) -> NDArray[np.float64]:
    """Per original, the share of its variants that is rejected."""
    by_original: dict[str, list[bool]] = defaultdict(list)
    for item in compared:
        by_original[item.original].append(item.similarity >= threshold)
    return np.array([np.mean(found) for found in by_original.values()])


def _resampled(shares: NDArray[np.float64], seed: int, draws: int = 2000) -> NDArray[np.float64]:
    rng = np.random.default_rng(seed)
    means: NDArray[np.float64] = shares[rng.integers(len(shares), size=(draws, len(shares)))].mean(axis=1)
    return means


def _returned(result: Result) -> list[bytes | None]:
    return [encode(call.value) if call.status == "ok" else None for call in result.calls] or [None]


def _text(original: Original, program: str) -> str:
    return Proposal(program, (), original.message).text


if __name__ == "__main__":
    sys.exit(main())
