"""The command line of `benchmarks.learner`."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import benchmarks.learner as package
from benchmarks import tiny_qwen2
from benchmarks.decode.__main__ import TINY
from benchmarks.decode.workload import Size
from benchmarks.sandbox import machine
from benchmarks.sandbox.measure import Absent
from benchmarks.sandbox.processes import JsonProcess

CONTENDERS = ("reinforcepp", "grpo", "trl")
#: How many times as many steps a second as TRL's own road we want.
GOAL = 2.0


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.learner",
        description=package.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", help="name, folder or GGUF file; default: a tiny Qwen2, built in place")
    parser.add_argument("--json", type=Path, metavar="OUT", help="where to write the figures")
    parser.add_argument("--dtype", choices=("auto", "bfloat16", "float32"), default="float32")
    parser.add_argument("--threads", type=int, default=1, help="of each process (default 1)")
    parser.add_argument(
        "--lora", type=int, default=0, help="rank of adapters; 0 trains all weights (default)"
    )
    parser.add_argument("--prompts", type=int, default=4, help="half lemmas, half goalposts (default 4)")
    parser.add_argument("--samples", type=int, default=4, help="completions of each (default 4)")
    parser.add_argument("--median", type=int, default=60, help="tokens of a completion (default 60)")
    parser.add_argument("--limit", type=int, default=160, help="most tokens (default 160)")
    parser.add_argument("--micro-tokens", type=int, default=4096, help="of a micro-batch of reinforcepp")
    parser.add_argument("--accumulate", type=int, default=4, help="micro-batches of a step of the others")
    parser.add_argument("--repeats", type=int, default=3, help="steps of each (default 3)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    for name in ("threads", "prompts", "samples", "median", "limit", "accumulate", "repeats", "micro_tokens"):
        if (given := getattr(options, name)) < 1:
            parser.error(f"--{name.replace('_', '-')}: expected at least 1, got {given}")
    for name in ("lora", "seed"):
        if (given := getattr(options, name)) < 0:
            parser.error(f"--{name}: expected at least 0, got {given}")
    if (
        options.model
        and options.model.startswith(("/", ".", "~"))
        and not Path(options.model).expanduser().exists()
    ):
        parser.error(f"--model: expected a folder or a file, there is none at {options.model}")
    if options.samples < 2:
        parser.error("--samples: expected at least 2, which is a group")
    size = Size(options.prompts, options.samples, options.median, limit=options.limit)
    found: dict[str, Any] = {
        **machine.head("benchmarks.learner", arguments, "torch", "transformers", "trl"),
        "model": Path(options.model).name if options.model else "tiny Qwen2",
        "size": asdict(size),
        **{
            name: getattr(options, name)
            for name in ("dtype", "threads", "lora", "accumulate", "micro_tokens")
        },
        "contenders": {},
    }
    try:
        with tempfile.TemporaryDirectory() as folder:
            model = options.model or str(tiny_qwen2.build(Path(folder), *TINY))
            for name in CONTENDERS:
                print(f"{name} ...", file=sys.stderr, flush=True)
                found["contenders"][name] = measure(options, size, model, name)
        seconds = {name: one["seconds_a_step"] for name, one in found["contenders"].items()}
        found["ratios"] = {"reinforcepp_over_trl": round(seconds["trl"] / seconds["reinforcepp"], 2)}
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    except (Absent, OSError) as error:
        print(f"benchmarks.learner: {error}", file=sys.stderr)
        return 1
    print(report(found))
    return 0


def measure(options: argparse.Namespace, size: Size, model: str, name: str) -> dict[str, Any]:
    """Steps of one contender.

    Raises:
        Absent: it has ended.
    """
    asked = {"contender": name, "model": model, "size": asdict(size), "checkpointing": False}
    asked |= {
        key: getattr(options, key)
        for key in ("dtype", "threads", "lora", "seed", "repeats", "accumulate", "micro_tokens")
    }
    process = JsonProcess("benchmarks.learner.contender", [])
    try:
        found: dict[str, Any] = process.ask(asked)
    finally:
        process.close()
    medians = {part: statistics.median(values) for part, values in found["cpu_seconds"].items()}
    found["seconds_a_step"] = round(sum(medians.values()), 3)
    found["medians"] = {part: round(value, 3) for part, value in medians.items()}
    return found


def report(found: dict[str, Any]) -> str:
    """The figures as text."""
    one = next(iter(found["contenders"].values()))
    lines = [
        f"{found['model']}, {one['rows']} rows, {one['tokens']} sampled tokens a step: processor seconds, medians",
        "positions: of all forward passes of a step's training; of these trained: sampled tokens, which have a loss",
        "",
        f"{'':14}{'sample':>10}{'train':>10}{'step':>10}{'peak MiB':>10}{'positions':>11}{'of these trained':>18}",
    ]
    for name, each in found["contenders"].items():
        lines.append(
            f"{name:14}{each['medians']['sample']:10.2f}{each['medians']['train']:10.2f}"
            f"{each['seconds_a_step']:10.2f}{each['peak_mib']:10.0f}{each['positions_trained']:11.0f}"
            f"{each['share_that_trains']:18.1%}"
        )
    ratio = found["ratios"]["reinforcepp_over_trl"]
    lines.append(f"\nreinforcepp takes {ratio} times as many steps a second as trl (goal {GOAL})")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
