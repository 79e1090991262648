"""Who plays which role: one set of weights for all of them, or weights of their own for some.

``--weights shared`` is one policy for both roles, as in AZR and GASP. ``--weights by_role`` gives each role a copy that
goes its own way: an adapter on the same base where there is one (``--lora``), a model of its own elsewhere.
``--teacher-policy`` names another policy for a role, and ``--freeze teacher`` keeps a role's weights as they are.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from gasp_env.policies import Policy
from learners import config, policies
from learners.command_line import option
from learners.config import ROLES, Args
from learners.optimizers import adamw
from learners.policies import TrainablePolicy
from learners.processes import Processes


@dataclass(frozen=True)
class Snapshot:
    """Everything of a `Player` that training changes: a copy."""

    weights: list[torch.Tensor]
    optimizer: dict[str, Any]
    version: int
    generator: torch.Tensor


@dataclass(frozen=True)
class Player:
    """Weights that train.

    Attributes:
        name: a role, if they are a role's own; empty for those of ``--policy``.
        policy: that has them.
        optimizer: of them.
        roles: that they play, and whose turns train them.
    """

    name: str
    policy: TrainablePolicy
    optimizer: torch.optim.Optimizer
    roles: frozenset[str]

    def named(self, metrics: Mapping[str, float]) -> dict[str, float]:
        """Metrics of an update under names that tell them from those of other players."""
        own = {name for name in metrics if not self.name or name.startswith(("entropy/", "reward_std/"))}
        return {name if name in own else f"{self.name}/{name}": value for name, value in metrics.items()}

    def snapshot(self) -> Snapshot:
        """A copy of the weights, the optimizer's moments, the version and the state of the random stream."""
        return Snapshot(
            [parameter.detach().clone() for parameter in self.policy.parameters()],
            copy.deepcopy(self.optimizer.state_dict()),
            self.policy.version,
            self.policy.generator.get_state(),
        )

    def restore(self, snapshot: Snapshot) -> None:
        """Go back to a snapshot of this player."""
        with torch.no_grad():
            for parameter, value in zip(self.policy.parameters(), snapshot.weights, strict=True):
                parameter.copy_(value)
        policies.refresh(self.policy)
        self.optimizer.load_state_dict(copy.deepcopy(snapshot.optimizer))
        self.policy.version = snapshot.version
        self.policy.generator.set_state(snapshot.generator)


@dataclass(frozen=True)
class Players:
    """The policy of every role.

    Attributes:
        policy: of ``--policy``, which is measured; the solver's, where the teacher has weights of its own.
        seats: the policy of each role.
        training: the weights that train.
    """

    policy: TrainablePolicy
    seats: dict[str, Policy]
    training: Sequence[Player]

    def streams(self, seed: int, processes: Processes) -> dict[str, torch.Generator]:
        """The random streams of the policies by name, seeded: different ones in every process."""
        found = {"sampling": self.policy.generator.manual_seed(processes.seed(seed))}
        for number, role in enumerate(ROLES, start=1):
            generator = getattr(self.seats[role], "generator", None)
            if isinstance(generator, torch.Generator) and self.seats[role] is not self.policy:
                found[role] = generator.manual_seed(processes.seed(seed, number))
        return found

    def save(self, run: Path) -> None:
        """Write the final weights of a run."""
        self.policy.save(run / "policy")
        for player in self.training:
            if player.name:
                player.policy.save(run / f"policy-{player.name}")


def seat(args: Args) -> Players:
    """Load the policies, and give each role one.

    Raises:
        SystemExit: an option is wrong, or names something that cannot be had.
    """
    with option("--policy", args.policy):
        policy = policies.trainable(
            policies.load(args.policy, args.device, args.threads, **args.policy_options.get("", {}))
        )
        policy.module.eval()
    seats: dict[str, Policy] = {}
    own: dict[str, TrainablePolicy] = {}
    for role in ROLES:
        if name := getattr(args, f"{role}_policy"):
            with option(f"--{role}-policy", name):
                seats[role] = policies.load(
                    name, args.device, args.threads, **args.policy_options.get(role, {})
                )
                if config.trains(role, args):
                    own[role] = policies.trainable(seats[role])
                    own[role].module.eval()
        elif role == "teacher" and (args.weights == "by_role" or args.freeze != "none"):
            own[role] = seats[role] = policy.fork(role)
        else:
            seats[role] = policy
    sharing = frozenset(role for role in ROLES if seats[role] is policy and config.trains(role, args))
    players = [("", policy, sharing), *((role, one, frozenset({role})) for role, one in own.items())]
    training = [
        Player(name, one, adamw(one.parameters(), args.lr), roles)
        for name, one, roles in players
        if any(config.trains(role, args) for role in roles)
    ]
    return Players(policy, seats, training)
