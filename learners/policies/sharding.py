"""A language model whose training is spread over the processes of a run: ``--shard``, with torch's FSDP2.

    torchrun --nproc_per_node 8 -m learners.reinforcepp --recipe gasp-paper --model PATH --shard --device cuda

Of the weights that train, of their gradients, float32 copies and moments each process keeps its part; a layer's weights
are put together where it is computed. Every process also has all weights in one piece, which sample and are saved, and
which are made anew after each update. So of n processes each has 2 + 16 / n bytes a parameter in bfloat16, rather than
16 (`learners.optimizers`); docs/scaling.md has the arithmetic.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import distributed
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard

from learners.policies import architectures, decoding, drawing
from learners.policies.base import Scores
from learners.policies.scoring import score
from learners.policies.transformers import TransformersPolicy
from learners.processes import joint, parted

#: What is scored where a process has no rows left while others have: a prompt and a completion of one token each.
_IDLE = [((0,), [(0,)])]


class ShardedPolicy(TransformersPolicy):
    """See `learners.policies.base.TrainablePolicy`. Every process has to call `score`, and what makes gradients of it,
    as often as the others; with no groups, if it has none left.

    Args:
        whole: with all weights, which are shared out.

    Raises:
        ValueError: the architecture is not one whose beginnings are computed once (`learners.policies.architectures`):
            nothing would bound a pass.

    Attributes:
        module: of this process's parts.
        whole: a policy with all weights.
    """

    def __init__(self, whole: TransformersPolicy) -> None:
        if reason := architectures.unknown(whole.module):
            raise ValueError(f"expected a model of a known architecture for shard, got one where {reason}")
        self.__dict__.update(whole.__dict__)
        self.whole = whole
        self.module = shard(copy.deepcopy(whole.module))

    def fork(self, name: str) -> ShardedPolicy:
        """See `TransformersPolicy.fork`."""
        return ShardedPolicy(self.whole.fork(name))

    def complete(
        self,
        prompts: Sequence[Sequence[int]],
        rows: Sequence[drawing.Row],
        choose: decoding.Choose,
        limit: int,
    ) -> None:
        """See `TransformersPolicy.complete`. No other process takes part."""
        self.whole.complete(prompts, rows, choose, limit)

    def score(
        self, groups: Sequence[tuple[Sequence[int], Sequence[Sequence[int]]]], temperature: float = 1.0
    ) -> Scores:
        """See `TrainablePolicy.score`. All groups are one pass, so that the processes stay together."""
        if any(ids for _, completions in groups for ids in completions):
            return score(self.module, groups, temperature, one_pass=True)
        idle = score(self.module, _IDLE, temperature, one_pass=True)
        rows = sum(len(completions) for _, completions in groups)
        logprobs, entropy, mask = (
            one[:, :0].expand(rows, 0) for one in (idle.logprobs, idle.entropy, idle.mask)
        )
        return Scores(logprobs, entropy, mask)

    @torch.no_grad()
    def refresh(self) -> None:
        """Make the whole weights those that were trained; every process has to."""
        trained = dict(self.module.named_parameters())
        for name, parameter in self.whole.module.named_parameters():
            parameter.copy_(joint(trained[name]))

    def save(self, directory: Path) -> None:
        """See `TransformersPolicy.save`. No other process takes part."""
        self.whole.version = self.version
        self.whole.save(directory)

    @torch.no_grad()
    def load(self, directory: Path) -> None:
        """See `TransformersPolicy.load`; every process has to."""
        self.whole.load(directory)
        self.version = self.whole.version
        whole = dict(self.whole.module.named_parameters())
        for name, parameter in self.module.named_parameters():
            parameter.copy_(parted(whole[name].detach(), parameter))


def shard(module: Any) -> Any:
    """Share a model's weights out over the processes, in place: by layers, as the library says that they are not to be
    split."""
    kind = next(module.parameters()).device.type
    mesh = init_device_mesh(kind, (distributed.get_world_size(),))
    sums = MixedPrecisionPolicy(reduce_dtype=torch.float32)
    layers = set(getattr(module, "_no_split_modules", None) or ())
    for part in list(module.modules()):
        if type(part).__name__ in layers:
            fully_shard(part, mesh=mesh, mp_policy=sums)
    # The outermost part too gives its weights back: passes without a gradient follow one another.
    fully_shard(module, mesh=mesh, mp_policy=sums, reshard_after_forward=True)
    for part in module.modules():
        if isinstance(part, FSDPModule):
            part.set_gradient_divide_factor(
                1.0
            )  # a loss is a share of the sum over all processes, not a mean
            part.set_force_sum_reduction_for_comms(True)
    return module
