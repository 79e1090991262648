"""The command line of `benchmarks.training`."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import tiny_qwen2
from benchmarks.decode.__main__ import TINY
from benchmarks.sandbox import machine
from benchmarks.sandbox.measure import Absent
from benchmarks.sandbox.processes import JsonProcess

#: What trains: a name, the rank of adapters, and whether activations are computed again.
MODES = {"all weights": (0, False), "LoRA": (16, False), "LoRA, checkpointing": (16, True)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = parse(arguments)
    found: dict[str, Any] = {
        **machine.head("benchmarks.training", arguments, "torch", "transformers", "peft"),
        "model": Path(options.model).name if options.model else "tiny Qwen2",
        "dtype": options.dtype,
        "threads": options.threads,
        "rows": options.rows,
        "steps": [],
    }
    try:
        if options.json:  # before the minutes rather than after them
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.open("a").close()
        with tempfile.TemporaryDirectory() as folder:
            model = options.model or str(tiny_qwen2.build(Path(folder), *TINY))
            for mode in options.modes:
                for length in options.lengths:
                    print(f"{mode}, {length} tokens ...", file=sys.stderr, flush=True)
                    found["steps"].append(measure(options, model, mode, length))
    except (Absent, OSError) as error:
        print(f"benchmarks.training: {error}", file=sys.stderr)
        return 1
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(report(found))
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training", description=main.__doc__)
    parser.add_argument("--model", help="name, folder or GGUF file; default: a tiny Qwen2, built in place")
    parser.add_argument("--json", type=Path, metavar="OUT", help="where to write the figures")
    parser.add_argument("--dtype", choices=("auto", "bfloat16", "float32"), default="auto")
    parser.add_argument("--threads", type=int, default=1, help="of each process (default 1)")
    parser.add_argument("--rows", type=int, default=4, help="answers to one prompt in a step (default 4)")
    parser.add_argument("--repeats", type=int, default=3, help="steps of each kind (default 3)")
    parser.add_argument("--lengths", type=int, nargs="+", default=[64, 128, 256], help="tokens of an answer")
    parser.add_argument("--modes", nargs="+", choices=list(MODES), default=list(MODES))
    options = parser.parse_args(arguments)
    for name in ("threads", "rows", "repeats"):
        if (given := getattr(options, name)) < 1:
            parser.error(f"--{name}: expected at least 1, got {given}")
    if min(options.lengths) < 1:
        parser.error(f"--lengths: expected at least 1, got {min(options.lengths)}")
    return options


def measure(options: argparse.Namespace, model: str, mode: str, length: int) -> dict[str, Any]:
    """Steps of one kind, in a process of their own, so that its memory can be told.

    Raises:
        Absent: it has ended.
    """
    lora, checkpointing = MODES[mode]
    asked = {"model": model, "lora": lora, "checkpointing": checkpointing, "length": length}
    asked |= {name: getattr(options, name) for name in ("dtype", "threads", "rows", "repeats")}
    process = JsonProcess("benchmarks.training.step", [])
    try:
        found = process.ask(asked)
    finally:
        process.close()
    medians = {name: round(statistics.median(values), 2) for name, values in found["cpu_seconds"].items()}
    tokens = options.rows * length
    return {
        "mode": mode,
        "length": length,
        "prompt_tokens": found["prompt_tokens"],
        "cpu_seconds": {
            name: [round(one, 2) for one in values] for name, values in found["cpu_seconds"].items()
        },
        "tokens_per_cpu_s": {
            name: round(tokens / max(medians[name], 1e-9), 1) for name in ("sample", "score", "train")
        },
        "peak_mib": found["peak_mib"],
        "trained_parameters": found["parameters"],
    }


def report(found: dict[str, Any]) -> str:
    """The figures as text."""
    lines = [
        f"{found['model']}, {found['rows']} answers to one prompt: processor seconds, answer tokens per second of them",
        "",
        f"{'':22}{'tokens':>7}{'sample':>14}{'score':>14}{'train':>14}{'optimizer':>11}{'peak MiB':>10}",
    ]
    for one in found["steps"]:
        medians = {name: statistics.median(values) for name, values in one["cpu_seconds"].items()}
        speeds = one["tokens_per_cpu_s"]
        cells = "".join(
            f"{medians[name]:7.1f} ({speeds[name]:4.0f})" for name in ("sample", "score", "train")
        )
        lines.append(
            f"{one['mode']:22}{one['length']:7}{cells}{medians['optimizer']:11.2f}{one['peak_mib']:10.0f}"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
