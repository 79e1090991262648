"""A contender in a process of its own, so that its memory can be told: answers lines on its standard input.

All are given the same module, and are forced to the same tokens. Each draws as it would without that: sampling is
part of the work.
"""

from __future__ import annotations

import contextlib
import gc
import json
import resource
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.decode import workload
from benchmarks.decode.workload import Size, Workload
from learners.policies import drawing, transformers

#: Completions as token ids, prompt by prompt.
Decoded = list[list[tuple[int, ...]]]


class Ours:
    """Our loop, log-probabilities of the drawn tokens included."""

    def __init__(self, policy: Any) -> None:
        self.policy = policy

    def __call__(self, work: Workload) -> Decoded:
        """Decode."""
        counts = [len(group) for group in work.scripts]
        rows = drawing.rows(0, [str(number) for number in range(len(counts))], counts)
        script = {
            id(row): ids for row, ids in zip(rows, (ids for g in work.scripts for ids in g), strict=True)
        }
        draw = drawing.Draw()

        def forced(logits: Tensor, live: Sequence[drawing.Row]) -> tuple[list[int], list[float]]:
            _, logprobs = draw(logits, live)
            return [script[id(row)][len(row.ids)] for row in live], logprobs

        self.policy.complete(work.prompts, rows, forced, work.longest)
        done = iter(rows)
        return [[tuple(next(done).ids) for _ in range(count)] for count in counts]


class Generate:
    """``generate`` of the library; it is not asked for log-probabilities."""

    def __init__(self, policy: Any) -> None:
        self.module = policy.module
        self.options = {
            "do_sample": True,
            "temperature": 1.0,
            "top_k": 0,
            "top_p": 1.0,
            "repetition_penalty": 1.0,
            "eos_token_id": sorted(policy.chat.ends),
            "pad_token_id": 0,
        }

    def run(
        self, prompts: Sequence[Sequence[int]], scripts: Sequence[Sequence[int]], samples: int
    ) -> Decoded:
        """Decode a batch, padded on the left, ``samples`` completions a prompt."""
        width, longest = max(map(len, prompts)), max(map(len, scripts))
        ids, mask = (torch.zeros(len(prompts), width, dtype=torch.long) for _ in range(2))
        for row, prompt in enumerate(prompts):
            ids[row, width - len(prompt) :], mask[row, width - len(prompt) :] = torch.tensor(prompt), 1
        table = torch.zeros(len(scripts), longest, dtype=torch.long)
        for row, script in enumerate(scripts):
            table[row, : len(script)] = torch.tensor(script)

        def forced(input_ids: Tensor, scores: Tensor) -> Tensor:
            wanted = table[:, input_ids.shape[1] - width, None]
            return scores.fill_(-torch.inf).scatter_(1, wanted, 0.0)

        out = self.module.generate(
            ids,
            attention_mask=mask,
            num_return_sequences=samples,
            max_new_tokens=longest,
            logits_processor=[forced],
            **self.options,
        )[:, width:].tolist()
        rows = iter(tuple(line[: len(script)]) for line, script in zip(out, scripts, strict=True))
        return [[next(rows) for _ in range(samples)] for _ in prompts]


class PerPrompt(Generate):
    """A call for each prompt."""

    def __call__(self, work: Workload) -> Decoded:
        """Decode."""
        pairs = zip(work.prompts, work.scripts, strict=True)
        return [self.run([prompt], group, len(group))[0] for prompt, group in pairs]


class WholeBatch(Generate):
    """One call for all."""

    def __call__(self, work: Workload) -> Decoded:
        """Decode."""
        scripts = [ids for group in work.scripts for ids in group]
        return self.run(work.prompts, scripts, len(work.scripts[0]))


CONTENDERS: dict[str, type[Any]] = {"ours": Ours, "per prompt": PerPrompt, "whole batch": WholeBatch}


def main() -> None:
    """Load, then decode once for every line that arrives."""
    asked = json.loads(sys.stdin.readline())
    torch.set_num_threads(asked["threads"])
    policy = transformers.load(asked["model"], threads=asked["threads"], dtype=asked["dtype"])
    contender = CONTENDERS[asked["contender"]](policy)
    warm = workload.make(policy, Size(2, 2, 4, limit=8), 0)
    contender(warm)
    gc.collect()
    loaded = memory("VmRSS")
    work = workload.make(policy, Size(**asked["size"]), asked["seed"])
    _answer({"tokens": work.tokens, "prompt_tokens": sum(map(len, work.prompts)), "loaded_mib": loaded})
    for _ in sys.stdin:
        gc.collect()
        forget_peak()
        wall, cpu = time.perf_counter(), time.process_time()
        with torch.no_grad():
            decoded = contender(work)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        _answer(
            {
                "seconds": wall,
                "cpu_seconds": cpu,
                "peak_mib": memory("VmHWM"),
                "right": decoded == [list(group) for group in work.scripts],
            }
        )


def forget_peak() -> None:
    """Let the kernel's highest resident size begin anew."""
    with contextlib.suppress(OSError):  # where it cannot, the figure is that of the whole process
        Path("/proc/self/clear_refs").write_text("5")


def memory(field: str) -> float:
    """MiB of a field of ``/proc/self/status``; the highest so far where there is no such file."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{field}:"):
                return round(int(line.split()[1]) / 1024, 1)
    except OSError:
        pass
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def _answer(found: dict[str, Any]) -> None:
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
