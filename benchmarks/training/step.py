"""One process of `benchmarks.training`: reads a line of JSON, trains, and answers with one."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks.decode.contenders import memory
from benchmarks.decode.workload import prompts
from gasp_env.policies import Sampling
from learners.optimizers import adamw
from learners.policies import transformers


def main() -> None:
    """Measure."""
    asked = json.loads(sys.stdin.readline())
    options = {name: asked[name] for name in ("threads", "dtype", "lora", "checkpointing")}
    try:
        policy = transformers.load(asked["model"], **options)
    except ValueError as error:
        raise SystemExit(str(error)) from None
    policy.chat.ends = frozenset()  # every answer is as long as it may be
    optimizer = adamw(policy.parameters(), 1e-6)
    (prompt,) = prompts(1, 0)
    ids = policy.chat.prompt_ids(prompt)
    draw = random.Random(0)
    vocabulary = policy.module.config.vocab_size
    rows = [[draw.randrange(vocabulary) for _ in range(asked["length"])] for _ in range(asked["rows"])]
    spent: dict[str, list[float]] = {name: [] for name in ("sample", "score", "train", "optimizer")}

    @contextmanager
    def timed(name: str) -> Iterator[None]:
        start = time.process_time()
        yield
        spent[name].append(time.process_time() - start)

    for _ in range(asked["repeats"] + 1):
        policy.module.eval()
        with timed("sample"):
            policy.generate([prompt], [asked["rows"]], Sampling(max_tokens=asked["length"], seed=0))
        with timed("score"), torch.no_grad():
            policy.score([(ids, rows)])
        policy.module.train()
        optimizer.zero_grad(set_to_none=True)
        with timed("train"):
            loss: Any = -policy.score([(ids, rows)]).logprobs.sum() / (asked["rows"] * asked["length"])
            loss.backward()
        with timed("optimizer"):
            optimizer.step()
    found = {
        "prompt_tokens": len(ids),
        "cpu_seconds": {
            name: values[1:] for name, values in spent.items()
        },  # the first step makes the moments
        "peak_mib": memory("VmHWM"),
        "parameters": sum(one.numel() for one in policy.parameters()),
    }
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
