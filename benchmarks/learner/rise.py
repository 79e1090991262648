"""Rewards of both learners on the same tiny Qwen2, seeds and episodes, and of a control with shuffled advantages.

    python -m benchmarks.learner.rise --json benchmarks/results/learner/rise.json

The model has been taught three answers to three goalposts (`benchmarks.tiny_qwen2.teach`): a right program, a wrong
one, and words. What is to be learned is which of them is paid. Teachers, lemmas and lifts are not part of it, as a
model of this size writes none. In an update of one step the two learners differ in their advantages and in how a
step's loss is normalised: see `learners.grpo`.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import tiny_qwen2
from benchmarks.sandbox import machine

NAME = "reward/solver/goalpost"
#: What is run, by name: the learner's module, and options beyond those of all.
RUNS: dict[str, tuple[str, ...]] = {
    "reinforcepp": ("learners.reinforcepp",),
    "grpo": ("learners.grpo", "--proposals", "1", "--accumulate", "1"),
    "reinforcepp, shuffled": ("learners.reinforcepp", "--shuffle-advantages"),
    "grpo, shuffled": ("learners.grpo", "--proposals", "1", "--accumulate", "1", "--shuffle-advantages"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learner.rise",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds (default 3)")
    parser.add_argument("--updates", type=int, default=20, help="of each run (default 20)")
    parser.add_argument("--lr", type=float, default=1e-4, help="learning rate of all (default 1e-4)")
    parser.add_argument("--sandbox", default="auto", help="tier (default auto)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="where to write the rewards")
    options = parser.parse_args(arguments)
    for name in ("seeds", "updates"):
        if (given := getattr(options, name)) < 1:
            parser.error(f"--{name}: expected at least 1, got {given}")
    found: dict[str, Any] = {
        **machine.head("benchmarks.learner.rise", arguments, "torch", "transformers", "trl"),
        "rewards": {},
    }
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        file = tiny_qwen2.problems(folder / "goalposts.jsonl")
        model = tiny_qwen2.teach(tiny_qwen2.build(folder / "tiny"), file, folder / "taught")
        for name, (learner, *more) in RUNS.items():
            for seed in range(options.seeds):
                run = folder / "runs" / f"{name}-{seed}"
                words = [
                    *("--model", str(model), "--dtype", "float32", "--lora", "0", "--goalposts", str(file)),
                    *(
                        "--domain",
                        "python",
                        "--heldout",
                        "",
                        "--goalpost-samples",
                        "0",
                        "--goalpost-rate",
                        "1",
                    ),
                    *("--episodes", "3", "--attempts", "8", "--max-tokens", "64", "--minibatches", "1"),
                    *("--correction", "none", "--lr", str(options.lr), "--updates", str(options.updates)),
                    *("--threads", "1", "--seed", str(seed), "--sandbox", options.sandbox, "--track"),
                    *("--policy", "transformers", "--runs", str(run.parent), "--name", run.name, *more),
                ]
                done = subprocess.run(
                    [sys.executable, "-m", learner, *words], capture_output=True, text=True, check=False
                )
                if done.returncode:
                    print(f"{name}, seed {seed}: {done.stderr.strip()[-300:]}", file=sys.stderr)
                    return 1
                lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
                found["rewards"].setdefault(name, []).append([json.loads(line)[NAME] for line in lines])
                print(f"{name}, seed {seed}", file=sys.stderr, flush=True)
    print(table(found["rewards"]))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return 0


def table(rewards: dict[str, list[list[float]]]) -> str:
    """Mean rewards by update, over seeds, of every second and the last."""
    last = len(next(iter(rewards.values()))[0])
    shown = sorted({1, *range(2, last + 1, 2), last})
    lines = [
        "| update | " + " | ".join(rewards) + " |",
        "|---" * (len(rewards) + 1) + "|",
        *(
            f"| {update} | "
            + " | ".join(
                f"{statistics.mean(run[update - 1] for run in runs):+.2f}" for runs in rewards.values()
            )
            + " |"
            for update in shown
        ),
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
