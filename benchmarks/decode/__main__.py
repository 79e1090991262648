"""The command line of `benchmarks.decode`."""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks import tiny_qwen2
from benchmarks.decode.workload import Size
from benchmarks.sandbox import machine
from benchmarks.sandbox.measure import Absent, WrongAnswer
from benchmarks.sandbox.processes import JsonProcess

#: How many times as fast as these we want to be.
GOALS = {"per prompt": 3.0, "whole batch": 1.5}
NAMES = ("ours", *GOALS)
#: Layers, width and vocabulary of the tiny Qwen2.
TINY = (6, 256, 4096)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    options = parse(arguments)
    size = Size(options.prompts, options.samples, options.median, limit=options.limit)
    found: dict[str, Any] = {
        **machine.head("benchmarks.decode", arguments, "torch", "transformers", "numpy"),
        "model": Path(options.model).name if options.model else "tiny Qwen2",
        "dtype": options.dtype,
        "threads": options.threads,
        "seed": options.seed,
        "size": asdict(size),
    }
    started = time.monotonic()
    try:
        if options.json:  # before the minutes rather than after them
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.open("a").close()
        with tempfile.TemporaryDirectory() as folder:
            model = options.model or str(tiny_qwen2.build(Path(folder), *TINY))
            asked = {"model": model, "size": asdict(size), "seed": options.seed}
            asked |= {"dtype": options.dtype, "threads": options.threads}
            found |= measure(asked, options.repeats)
    except (Absent, WrongAnswer, OSError) as error:
        print(f"benchmarks.decode: {error}", file=sys.stderr)
        return 1
    found["seconds"] = round(time.monotonic() - started, 1)
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    print(report(found))
    return 0


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.decode",
        description="How fast does the policy transformers sample, beside generate of the library?",
    )
    parser.add_argument("--model", help="name, folder or GGUF file; default: a tiny Qwen2, built in place")
    parser.add_argument("--json", type=Path, metavar="OUT", help="where to write the figures")
    parser.add_argument("--dtype", choices=("auto", "bfloat16", "float32"), default="auto")
    parser.add_argument("--threads", type=int, default=1, help="of each contender (default 1)")
    parser.add_argument("--prompts", type=int, default=2, help="half lemmas, half goalposts (default 2)")
    parser.add_argument("--samples", type=int, default=8, help="completions of each (default 8)")
    parser.add_argument("--median", type=int, default=60, help="tokens of a completion (default 60)")
    parser.add_argument("--limit", type=int, default=160, help="most tokens (default 160)")
    parser.add_argument("--repeats", type=int, default=3, help="rounds (default 3)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    for name in ("threads", "prompts", "samples", "median", "limit", "repeats"):
        if (given := getattr(options, name)) < 1:
            parser.error(f"--{name}: expected at least 1, got {given}")
    return options


def measure(asked: dict[str, Any], repeats: int) -> dict[str, Any]:
    """Let the contenders decode in turn, the one that begins changing from round to round.

    Raises:
        WrongAnswer: one has decoded other tokens.
        Absent: one has ended.
    """
    rounds: dict[str, list[dict[str, Any]]] = {name: [] for name in NAMES}
    with contextlib.ExitStack() as stack:
        processes: dict[str, JsonProcess] = {}
        told: dict[str, dict[str, Any]] = {}
        for name in NAMES:
            processes[name] = JsonProcess("benchmarks.decode.contenders", [])
            stack.callback(processes[name].close)
            told[name] = processes[name].ask({**asked, "contender": name})
        for number in range(repeats):
            shift = number % len(NAMES)
            for name in NAMES[shift:] + NAMES[:shift]:
                print(f"round {number + 1} of {repeats}: {name} ...", file=sys.stderr, flush=True)
                answer = processes[name].ask("decode")
                if not answer["right"]:
                    raise WrongAnswer(f"{name} decoded other tokens than it was forced to")
                rounds[name].append(answer)
    tokens = told["ours"]["tokens"]
    contenders = {name: summary(rounds[name], told[name], tokens) for name in NAMES}
    ratios = {
        name: {
            clock: round(_median(_ratios(rounds[name], rounds["ours"], clock)), 2)
            for clock in ("seconds", "cpu_seconds")
        }
        for name in GOALS
    }
    return {
        "tokens": tokens,
        "prompt_tokens": told["ours"]["prompt_tokens"],
        "rounds": repeats,
        "contenders": contenders,
        "times_as_fast_as": ratios,
        "goals": {
            name: {"at_least": goal, "found": ratios[name]["seconds"], "met": ratios[name]["seconds"] >= goal}
            for name, goal in GOALS.items()
        },
    }


def summary(rounds: Sequence[dict[str, Any]], told: dict[str, Any], tokens: int) -> dict[str, Any]:
    """Figures of one contender."""
    seconds = [answer["seconds"] for answer in rounds]
    cpu = [answer["cpu_seconds"] for answer in rounds]
    return {
        "seconds": [round(one, 2) for one in seconds],
        "cpu_seconds": [round(one, 2) for one in cpu],
        "tokens_per_s": round(tokens / _median(seconds), 1),
        "tokens_per_cpu_s": round(tokens / _median(cpu), 1),
        "loaded_mib": told["loaded_mib"],
        "peak_mib": max(answer["peak_mib"] for answer in rounds),
    }


def report(found: dict[str, Any]) -> str:
    """The figures as text."""
    lines = [
        f"{found['model']}: {found['size']['prompts']} prompts of {found['prompt_tokens']} tokens in all, "
        f"{found['size']['samples']} completions each, {found['tokens']} tokens sampled, {found['rounds']} rounds",
        "",
        f"{'':12}{'tokens/s':>10}{'per cpu-s':>11}{'loaded MiB':>12}{'peak MiB':>10}{'ours is':>10}{'by cpu':>9}",
    ]
    for name, one in found["contenders"].items():
        line = f"{name:12}{one['tokens_per_s']:10.1f}{one['tokens_per_cpu_s']:11.1f}{one['loaded_mib']:12.0f}"
        line += f"{one['peak_mib']:10.0f}"
        if ratio := found["times_as_fast_as"].get(name):
            line += f"{ratio['seconds']:9.2f}x{ratio['cpu_seconds']:8.2f}x"
        lines.append(line)
    lines.append("")
    for name, goal in found["goals"].items():
        verdict = "met   " if goal["met"] else "MISSED"
        lines.append(f"{verdict} {goal['found']:.2f} times as fast as {name}; goal {goal['at_least']}")
    return "\n".join(lines)


def _ratios(theirs: Sequence[dict[str, Any]], ours: Sequence[dict[str, Any]], clock: str) -> list[float]:
    return [one[clock] / other[clock] for one, other in zip(theirs, ours, strict=True)]


def _median(values: Sequence[float]) -> float:
    return statistics.median(values)


if __name__ == "__main__":
    sys.exit(main())
