"""Run by `test_sharding` in several processes: one update of a language model whole and shared out, and how far the two
are apart."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import Qwen2ForCausalLM

from gasp_env.policies import Sampling
from learners import training_state
from learners.command_line import command
from learners.config import Args
from learners.optimizers import MasterAdamW, adamw
from learners.players import Player
from learners.policies import TrainablePolicy, transformers
from learners.processes import ALONE, Processes, is_parted, joined, joint
from learners.reinforcepp import update
from learners.training_state import State
from learners.turn_records import TurnRecord

ASKED = [
    ("lemma", "Write an exercise."),
    ("attempt", "Write a program."),
    ("attempt", "Write a program, and say why."),
]


def turns(policy: transformers.TransformersPolicy) -> list[TurnRecord]:
    """Seven rows, which two processes cannot share evenly."""
    sampling = Sampling(seed=3, max_tokens=12)
    found = []
    samples = (3, 3, 1)
    drawn = policy.generate([prompt for _, prompt in ASKED], samples, sampling)
    for group, ((stage, _), answers) in enumerate(zip(ASKED, drawn, strict=True)):
        role = "teacher" if stage == "lemma" else "solver"
        for answer in answers:
            reward = float(len(answer.ids) % 3) + 0.1 * len(found)
            common = (answer.prompt_ids, answer.ids, (True,) * len(answer.ids), answer.logprobs, reward)
            found.append(TurnRecord(*common, f"{role}_0", role, stage, None, None, group, 0))
    return found


def trained(
    policy: TrainablePolicy, records: list[TurnRecord], options: dict[str, Any], processes: Processes
) -> Player:
    start = policy.fork("start") if options.get("kl", "none") != "none" else None
    player = Player("", policy, adamw(policy.parameters(), 1e-2), frozenset({"teacher", "solver"}))
    args = Args(**{"train_on": "both", **options})
    norms = []
    for _ in range(2):
        made = update(
            policy, start, player.optimizer, records, args, np.random.default_rng(0), processes=processes
        )
        norms.append(made["train/gradient_norm"])
    return player, norms


def floats(player: Player) -> torch.Tensor:
    """The weights, in the precision that they are trained in."""
    own = player.optimizer
    values = own._copies() if isinstance(own, MasterAdamW) else player.policy.parameters()
    return torch.cat([joint(value.detach()).flatten() for value in values])


def difference(one: torch.Tensor, other: torch.Tensor) -> float:
    return float((one - other).abs().max())


def main(folder: str, dtype: Any, options: dict[str, Any], processes: Processes) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if options.pop("layers", 1) == 0:
        Qwen2ForCausalLM._no_split_modules = []
    whole = transformers.load(folder, threads=1, dtype=dtype)
    records = turns(whole)
    before = torch.cat([one.detach().flatten().float() for one in whole.parameters()])
    shared = transformers.load(folder, threads=1, dtype=dtype, shard=True)
    told["kept"] = [sum(one.to_local().numel() for one in shared.parameters()), before.numel()]
    ours, norms = trained(shared, records, options, processes)
    theirs, expected = trained(whole, records, options, ALONE)
    told["norms"] = [norms, expected]
    told["moved"] = difference(floats(theirs), before)
    moved = (floats(theirs) - before).norm()
    told["apart"] = float((floats(ours) - floats(theirs)).norm() / moved)
    sampled = [one.ids for (one,) in shared.generate([ASKED[0][1]], [1], Sampling(seed=1, max_tokens=9))]
    told["sampled"] = processes.all(sampled)
    told["parted"] = is_parted(shared.parameters())
    nothing = [((1, 2), [(), ()])]
    told["empty"] = [list(one.score(nothing).logprobs.shape) for one in (whole, shared)]
    # A checkpoint, and the run that goes on from it.
    place = Path(processes.all(tempfile.mkdtemp())[0])
    state = State(2, "", {}, {"torch": torch.get_rng_state()})
    kept = training_state.save(place, [ours], state, processes=processes)
    processes.all(None)
    again = transformers.load(folder, threads=1, dtype=dtype, shard=True)
    other = Player("", again, adamw(again.parameters(), 1e-2), ours.roles)
    training_state.load(kept, [other], "")
    told["saved"] = difference(floats(other), floats(ours))
    alone = transformers.load(kept / "policy", threads=1, dtype=dtype)
    told["read"] = difference(
        torch.cat([one.detach().float().flatten() for one in alone.parameters()]),
        torch.cat([one.detach().float().flatten() for one in again.whole.parameters()]),
    )
    for player in (ours, other):
        update(
            player.policy, None, player.optimizer, records, Args(train_on="both"), np.random.default_rng(1),
            processes=processes,
        )  # fmt: skip
    told["went on"] = difference(floats(other), floats(ours))
    return told


if __name__ == "__main__":
    with command(), joined("cpu") as processes:
        found = processes.all(main(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]), processes))
        if processes.main:
            print(json.dumps(found))
