"""What a run is played on: its problems and its envs, and how a policy is measured on them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.library.entries import entry_of_record, entry_record
from gasp_env.library.library import Library
from gasp_env.policies import Policy, Sampling
from gasp_env.rewards.registry import get_solver_reward
from gasp_env.tasks import Goalpost
from learners import config
from learners.command_line import option
from learners.config import Args
from learners.evaluate import Evaluation, evaluate, load_goalposts
from learners.processes import Processes


@dataclass(frozen=True)
class Setting:
    """Problems and envs of a run.

    Attributes:
        args: options of the run.
        processes: of the run; each has envs for its share of the episodes.
        goalposts: real problems that the teacher is guided by.
        heldout: real problems to measure on; may be none.
        envs: of this process's episodes.
    """

    args: Args
    processes: Processes
    goalposts: Sequence[Goalpost]
    heldout: Sequence[Goalpost]
    envs: GaspCodeVectorEnv

    @property
    def sampling(self) -> Sampling:
        """How answers are drawn, in training and measurements."""
        return Sampling(self.args.temperature, max_tokens=self.args.max_tokens)

    def episode_seeds(self) -> list[int]:
        """Seeds of this process's episodes: of all seeds of the run, its share."""
        seeds = np.random.SeedSequence(self.args.seed).generate_state(self.args.episodes)
        return [int(seeds[number]) for number in self.processes.share(self.args.episodes)]

    def measure(self, policy: Policy, seed: int) -> dict[str, Evaluation]:
        """Held-out problems and goalposts, by one protocol before and after; shared among the processes."""
        sets = {
            "heldout": (self.heldout, self.args.eval_samples),
            "goalposts": (self.goalposts, self.args.goalpost_samples),
        }
        sampling = replace(self.sampling, seed=seed)
        ask = partial(evaluate, policy, sampling=sampling, domain=self.args.domain, sandbox=self.args.sandbox)
        found = {}
        for name, (problems, samples) in sets.items():
            own = [problems[number] for number in self.processes.share(len(problems))] if samples else []
            parts = self.processes.all(ask(own, samples=samples) if own else Evaluation())
            found[name] = Evaluation(
                {key: counts for part in parts for key, counts in part.counts.items()},
                sum(part.tokens for part in parts),
                max(part.seconds for part in parts),
            )
        return found

    def merge(self, before: Library) -> None:
        """Make the library that of all processes.

        Args:
            before: the library as it was before this update, the same in all of them; what each has added since is
                added to it, in order of rank.
        """
        if self.processes.count == 1:
            return
        last = before.entries[-1].id if before.entries else 0
        added = [entry_record(entry) for entry in self.envs.library.entries if entry.id > last]
        for rank, records in enumerate(self.processes.all(added)):
            where = f"a task of process {rank}"
            before.commit(entry_of_record(record, where, before.read) for record in records)
        self.envs.driver.library = before


def prepare(args: Args, processes: Processes) -> Setting:
    """Read the problems and open the sandbox.

    Raises:
        SystemExit: an option is wrong, or names something that cannot be had.
    """
    if args.episodes < processes.count:
        raise SystemExit(
            f"--episodes {args.episodes}: expected at least one for each of {processes.count} processes"
        )
    with option("--goalposts", args.goalposts):
        goalposts = load_goalposts(args.goalposts, args.domain)
    with option("--heldout", args.heldout):
        heldout = load_goalposts(args.heldout, args.domain) if args.heldout else ()
    with option("--solver-reward", args.solver_reward):
        get_solver_reward(args.solver_reward)  # only now: the modules named above may have registered it
    with option("--domain", args.domain):
        envs = GaspCodeVectorEnv(
            num_envs=len(processes.share(args.episodes)),
            domain=args.domain,
            goalposts=goalposts,
            **config.env_options(args),
            sandbox=args.sandbox,
        )
    with option("--sandbox", args.sandbox):
        envs.sandbox.open()
    return Setting(args, processes, goalposts, heldout, envs)
