"""Measure a policy on real problems, through the same env, prompts and judge it trains with.

python -m learners.evaluate                                        # the miniature as it was shipped
python -m learners.evaluate --weights runs/NAME/policy             # after a run
python -m learners.evaluate --goalposts my.jsonl --samples 100
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gasp_env import domains
from gasp_env import goalposts as files
from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.sandbox import shared
from gasp_env.tasks import Goalpost
from learners import config, policies
from learners.metrics import bootstrap_interval, pass_at_k, zero_success_bound
from learners.policies import Sampling, TrainablePolicy
from learners.rollout import play

#: Completions sampled at once; bounds memory, changes nothing else.
ROWS = 1024


@dataclass(frozen=True)
class Evaluation:
    """What was measured; empty if nothing was.

    Attributes:
        counts: (judged, right) answers by goalpost id. A truncated or malformed answer is judged
            wrong; only an answer the infrastructure lost is not counted.
        tokens: sampled.
        seconds: taken.
    """

    counts: Mapping[str, Sequence[int]] = field(default_factory=dict)
    tokens: int = 0
    seconds: float = 0.0

    def pass_at(self, k: int) -> float | None:
        """Unbiased pass@k, averaged over goalposts with at least k judged answers; None without any."""
        values = [pass_at_k(n, c, k) for n, c in self.counts.values() if n >= k]
        return sum(values) / len(values) if values else None

    @property
    def reached(self) -> int | None:
        """Goalposts with at least one right answer; None if nothing was measured."""
        return sum(right > 0 for _, right in self.counts.values()) if self.counts else None


def evaluate(
    policy: TrainablePolicy,
    goalposts: Sequence[Goalpost],
    *,
    samples: int,
    sampling: Sampling,
    seed: int,
    domain: str,
    sandbox: Any = "auto",
) -> Evaluation:
    """Draw ``samples`` answers to every goalpost and have them judged.

    Args:
        policy: is not changed; nor is torch's global random state.
        goalposts: each is one episode of one goalpost turn.
        samples: answers to each.
        sampling: the same for everything that is compared.
        seed: of the sampling.
        domain: whose prompts and judge apply.
        sandbox: as for the env.
    """
    start, tokens, generator = time.perf_counter(), 0, torch.Generator().manual_seed(seed)
    counts: dict[str, tuple[int, int]] = {}
    size = max(1, ROWS // samples)
    for first in range(0, len(goalposts), size):
        chunk = tuple(goalposts[first : first + size])
        envs = GaspCodeVectorEnv(
            num_envs=len(chunk),
            domain=domain,
            goalposts=chunk,
            goalpost_rate=1.0,
            attempts=samples,
            sandbox=sandbox,
        )
        envs.reset(seed=seed)
        for env, goalpost in enumerate(chunk):
            envs.reset(options={"reset_mask": np.arange(len(chunk)) == env, "goalpost": goalpost.id})
        rollout = play(envs, policy, sampling, generator)
        envs.close()
        tokens += rollout.tokens
        for goalpost in chunk:
            counts[goalpost.id] = (0, 0)
        for env, record in zip(rollout.episode, rollout.records, strict=True):
            if record.reward is not None:
                judged, right = counts[chunk[env].id]
                counts[chunk[env].id] = (judged + 1, right + (record.verdict == "correct"))
    return Evaluation(counts, tokens, time.perf_counter() - start)


def load_goalposts(name: str, domain: str) -> tuple[Goalpost, ...]:
    """Goalposts by the name of a JSONL file or of a function (``module:name``); the domain's own if empty.

    Raises:
        ValueError: the name names neither, there are no goalposts in it, or the domain cannot play them.
        OSError: the file cannot be read.
    """
    if not name:
        found = domains.get(domain).goalposts()
    elif name.endswith(".jsonl"):
        found = files.load(Path(name))
    elif ":" in name:
        source = policies.resolve(name)
        found = tuple(source()) if callable(source) else ()
    else:
        raise ValueError(f"expected a file that ends in .jsonl or a function as module:name, got {name!r}")
    if not found or not all(isinstance(goalpost, Goalpost) for goalpost in found):
        raise ValueError(f"expected goalposts, got {'none' if not found else 'something else'} from {name!r}")
    GaspCodeVectorEnv(domain=domain, goalposts=found)  # says so, rather than `evaluate` after the training
    return found


@dataclass
class Args:
    """Options of ``python -m learners.evaluate``."""

    policy: str = "learners.miniature:policy"
    """Factory of the policy, module:name."""
    weights: Path | None = None
    """Directory of weights that the policy saved, instead of the shipped ones."""
    domain: str = "learners.miniature:domain"
    """Whose prompts and judge apply."""
    goalposts: str = "learners.miniature:heldout"
    """A JSONL file or module:name; empty for the domain's own."""
    samples: int = 16
    """Answers to each."""
    temperature: float = 1.0
    """Of the sampling."""
    max_tokens: int = 96
    """Of an answer, end token included."""
    seed: int = 0
    """Of the sampling."""
    sandbox: str = "auto"
    """Isolation tier."""
    device: str = "cpu"
    """Where the policy computes."""


def main(args: Args) -> Evaluation:
    """Evaluate, print pass@k with its interval over problems, return the counts.

    Raises:
        SystemExit: an option is wrong, or what it names cannot be had.
    """
    config.at_least(args, samples=1, max_tokens=1, seed=0)
    config.positive(args, "temperature")
    config.computes(args.device)
    with config.option("--domain", args.domain):
        domains.get(args.domain)
    with config.option("--goalposts", args.goalposts):
        goalposts = load_goalposts(args.goalposts, args.domain)
    with config.option("--policy", args.policy, "name a function that returns a TrainablePolicy"):
        policy = policies.load(args.policy, args.device)
    if args.weights is not None:
        with config.option("--weights", args.weights, "expected the policy/ of a run or of a checkpoint"):
            policy.load(args.weights)
    with config.option("--sandbox", args.sandbox):
        shared(tier=args.sandbox).open()
    found = evaluate(
        policy,
        goalposts,
        samples=args.samples,
        sampling=Sampling(args.temperature, args.max_tokens),
        seed=args.seed,
        domain=args.domain,
        sandbox=args.sandbox,
    )
    for k in (k for k in (1, 8, 20, 100) if k <= args.samples):
        values = [pass_at_k(n, c, k) for n, c in found.counts.values() if n >= k]
        if not values:  # the sandbox failed too often
            print(f"pass@{k:<3} -  (no problem has {k} judged answers)")
            continue
        low, high = bootstrap_interval(values)
        print(f"pass@{k:<3} {found.pass_at(k):.3f}  [{low:.3f}, {high:.3f}] over {len(values)} problems")
    bound = zero_success_bound(args.samples)
    print(f"{found.reached} of {len(found.counts)} problems solved at least once in {args.samples} samples;")
    print(f"no success in {args.samples} still allows a rate of up to {bound:.1%} (95 %)")
    return found


if __name__ == "__main__":
    import tyro

    with config.command():
        main(tyro.cli(Args, prog="python -m learners.evaluate", description=__doc__))
