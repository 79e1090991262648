"""Measure a policy on real problems, through the same env, prompts and judge it trains with.

python -m learners.evaluate                                        # the miniature as it was shipped
python -m learners.evaluate --weights runs/NAME/policy             # after a run
python -m learners.evaluate --goalposts my.jsonl --samples 100
python -m learners.evaluate --policy my_policy.py:load --model PATH --domain python --goalposts my.jsonl
python -m learners.evaluate --policy openai --model NAME --base-url URL --domain python --samples 1 --temperature 0

Any policy can be measured, one behind a server too; the options of its factory are flags.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from gasp_env import domains, registry
from gasp_env import goalposts as files
from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.policies import Policy, Sampling
from gasp_env.sandbox import shared
from gasp_env.tasks import Goalpost
from learners import command_line, policies
from learners.metrics import bootstrap_interval, pass_at_k, zero_success_bound
from learners.rollout import play

#: Most tokens that the answers of one batch may have, and most problems of one batch: limits of memory and time.
TOKENS, PROBLEMS = 2**20, 512


@dataclass(frozen=True)
class Evaluation:
    """Results of a measurement; empty if nothing was measured.

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
    policy: Policy,
    goalposts: Sequence[Goalpost],
    *,
    samples: int,
    sampling: Sampling,
    domain: str,
    sandbox: Any = "auto",
) -> Evaluation:
    """Draw ``samples`` answers to every goalpost and have them judged.

    Args:
        policy: is not changed; with a seed, nor is its random stream.
        goalposts: each is one episode of one goalpost turn.
        samples: answers to each.
        sampling: the same for everything that is compared. Its seed is that of the first batch.
        domain: provides prompts and judge.
        sandbox: as for the env.
    """
    start, tokens = time.perf_counter(), 0
    counts: dict[str, tuple[int, int]] = {}
    size = min(PROBLEMS, max(1, TOKENS // (samples * sampling.max_tokens)))
    for batch, first in enumerate(range(0, len(goalposts), size)):
        chunk = tuple(goalposts[first : first + size])
        envs = GaspCodeVectorEnv(
            num_envs=len(chunk),
            domain=domain,
            goalposts=chunk,
            goalpost_rate=1.0,
            attempts=samples,
            sandbox=sandbox,
        )
        envs.reset(seed=0)  # of nothing: the goalpost is pinned, and there is no other turn
        for env, goalpost in enumerate(chunk):
            envs.reset(options={"reset_mask": np.arange(len(chunk)) == env, "goalpost": goalpost.id})
        rollout = play(envs, policy, sampling.call(batch))
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
        source = registry.load(name, "goalposts")
        found = tuple(source()) if callable(source) else ()
    else:
        raise ValueError(f"expected a file that ends in .jsonl or a function as module:name, got {name!r}")
    if not found or not all(isinstance(goalpost, Goalpost) for goalpost in found):
        raise ValueError(f"expected goalposts, got {'none' if not found else 'something else'} from {name!r}")
    GaspCodeVectorEnv(domain=domain, goalposts=found)  # says so, rather than `evaluate` after the training
    return found


MINIATURE = "learners.miniature:domain"
HELDOUT = "learners.miniature:heldout"
#: Most tokens of an answer in the miniature's domain.
MINIATURE_TOKENS = 96


@dataclass
class Args:
    """Options of ``python -m learners.evaluate``."""

    policy: str = "miniature"
    """The policy that answers: a name (see gasp_env.policies), module:name or file.py:name. The options of its factory
    are flags."""
    policy_options: command_line.Hidden = field(default_factory=dict)
    """Options of the factory."""
    weights: Path | None = None
    """Directory of weights that the policy saved, instead of the shipped ones."""
    domain: str = MINIATURE
    """Whose prompts and judge apply."""
    goalposts: str | None = None
    """A JSONL file or module:name; without it the domain's own, and of the miniature's domain its held-out ones."""
    samples: int = 16
    """Answers to each."""
    temperature: float = 1.0
    """Of the sampling; 0 takes the likeliest token each time, of policies that can."""
    max_tokens: int | None = None
    """Of an answer, end token included; by default 96 in the miniature's domain, whose answers are short, else 1024."""
    seed: int = 0
    """Of the sampling."""
    sandbox: str = "auto"
    """Isolation tier."""
    device: str = "cpu"
    """Where the policy computes."""


def main(args: Args) -> Evaluation:
    """Evaluate, print pass@k with its interval over problems, return the counts.

    Raises:
        SystemExit: an option is wrong, or names something that cannot be had.
    """
    command_line.at_least(args, samples=1, max_tokens=1, temperature=0, seed=0)
    command_line.computes(args.device)
    with command_line.option("--domain", args.domain):
        domain = domains.get(args.domain)
    source = (HELDOUT if args.domain == MINIATURE else "") if args.goalposts is None else args.goalposts
    with command_line.option("--goalposts", source):
        goalposts = load_goalposts(source, args.domain)
    short = MINIATURE_TOKENS if args.domain == MINIATURE else Sampling.max_tokens
    sampling = Sampling(args.temperature, max_tokens=args.max_tokens or short, seed=args.seed)
    with command_line.option("--policy", args.policy):
        policy = policies.load(args.policy, args.device, **args.policy_options.get("", {}))
    if args.weights is not None:
        with command_line.option(
            "--weights", args.weights, "expected the policy/ of a run or of a checkpoint"
        ):
            policies.trainable(policy).load(args.weights)
    if domain.executes:
        with command_line.option("--sandbox", args.sandbox):
            shared(tier=args.sandbox).open()
    found = evaluate(
        policy,
        goalposts,
        samples=args.samples,
        sampling=sampling,
        domain=args.domain,
        sandbox=args.sandbox,
    )
    print(f"{len(goalposts)} problems: {source or 'the domain has them'}; domain {args.domain}")
    for k in (k for k in (1, 8, 20, 100) if k <= args.samples):
        values = [pass_at_k(n, c, k) for n, c in found.counts.values() if n >= k]
        if not values:  # the sandbox or the policy failed too often
            print(f"pass@{k:<3} -  (no problem has {k} judged answers)")
            continue
        low, high = bootstrap_interval(values)
        print(f"pass@{k:<3} {found.pass_at(k):.3f}  [{low:.3f}, {high:.3f}] over {len(values)} problems")
    bound = zero_success_bound(args.samples)
    print(f"{found.reached} of {len(found.counts)} problems solved at least once in {args.samples} samples;")
    print(f"no success in {args.samples} still allows a rate of up to {bound:.1%} (95 %)")
    return found


if __name__ == "__main__":
    with command_line.command():
        main(command_line.parse(Args, "python -m learners.evaluate", __doc__))
