"""Summaries of turns: of one update for the logs, and of a run for its final report."""

from __future__ import annotations

import resource
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from learners.processes import ALONE, Processes
from learners.turn_records import TurnRecord, by_group


def describe(records: Sequence[TurnRecord]) -> dict[str, float]:
    """Means by role and stage, under stable names.

    ``reward/solver/attempt``, ``length/...``, ``truncated/...`` and ``unscored/...`` (shares), and the share of
    each verdict, such as ``verdict/teacher/lemma/duplicate``.
    """
    out: dict[str, float] = {}
    for name, rows in _by(records, lambda r: f"{r.role}/{r.stage}").items():
        rewards = [r.reward for r in rows if r.reward is not None]
        if rewards:
            out[f"reward/{name}"] = sum(rewards) / len(rewards)
        out[f"length/{name}"] = sum(len(r.completion_ids) for r in rows) / len(rows)
        out[f"truncated/{name}"] = sum(r.stop == "length" for r in rows) / len(rows)
        out[f"unscored/{name}"] = 1 - len(rewards) / len(rows)
        for verdict, count in sorted(Counter(r.verdict for r in rows if r.verdict).items()):
            out[f"verdict/{name}/{verdict}"] = count / len(rows)
    return out


def costs(
    records: Sequence[TurnRecord],
    metrics: Mapping[str, float],
    seconds: Mapping[str, float],
    epochs: int = 1,
) -> dict[str, float]:
    """What an update cost: tokens a second sampled and trained, the share of time that was spent waiting for the
    environment, and the most memory so far, in GiB: of the process, and of the GPU if there is one.

    Args:
        records: of the rollout.
        metrics: of the update; every set of weights has its own ``train/tokens``.
        seconds: spent generating, in the environment and in the update.
        epochs: passes over the rows of the update.
    """
    sampled = sum(len(record.completion_ids) for record in records)
    trained = sum(value for name, value in metrics.items() if name.endswith("train/tokens"))
    out = {
        "speed/sampled_tokens_per_s": sampled / max(seconds["generate"], 1e-9),
        "speed/trained_tokens_per_s": trained * epochs / max(seconds["update"], 1e-9),
        "speed/share_in_environment": seconds["environment"] / max(sum(seconds.values()), 1e-9),
        "tokens/share_trained": trained / max(sampled, 1),
        "memory/peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    if torch.cuda.is_available():
        devices = range(torch.cuda.device_count())
        out["memory/gpu_peak_gib"] = sum(torch.cuda.max_memory_allocated(one) for one in devices) / 2**30
    return out


class MaskedMeans:
    """Means over masked tokens of many micro-batches."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}

    def add(self, name: str, values: Tensor, mask: Tensor) -> None:
        """Take ``values`` (rows, tokens) where ``mask`` is true. The sums stay on the device: nothing waits for it."""
        taken = torch.where(mask, values.detach(), 0.0).double().sum()
        sums = torch.stack([taken, mask.sum().double()])
        self._sums[name] = self._sums[name] + sums if name in self._sums else sums

    def means(self, processes: Processes = ALONE) -> dict[str, float]:
        """The mean of each name, over all processes."""
        own = torch.stack(list(self._sums.values())).tolist() if self._sums else []
        sums: dict[str, tuple[float, float]] = {}
        for part in processes.all(dict(zip(self._sums, own, strict=True))):
            for name, (total, count) in part.items():
                before = sums.get(name, (0.0, 0.0))
                sums[name] = (before[0] + total, before[1] + count)
        return {name: total / count for name, (total, count) in sums.items() if count}


@dataclass
class Ledger:
    """Counts over a whole run, one entry per update; saved with every checkpoint.

    Attributes:
        rewards: per update, (sum, scored turns) by ``role/stage``.
        solved: (right, scored) by ``stage/kind``, over the run.
        proposed: number of proposals by stage and verdict, over the run.
        tokens: sampled tokens by role.
        groups: prompts answered more than once by the solver, and how many of those earned different
            rewards, which is when their comparison carries a gradient.
    """

    rewards: list[dict[str, tuple[float, int]]] = field(default_factory=list)
    solved: dict[str, tuple[int, int]] = field(default_factory=dict)
    proposed: dict[str, dict[str, int]] = field(default_factory=dict)
    tokens: dict[str, int] = field(default_factory=lambda: {"teacher": 0, "solver": 0})
    groups: dict[str, int] = field(default_factory=lambda: {"all": 0, "with_gradient": 0})

    def add(self, records: Sequence[TurnRecord]) -> None:
        """Count one update's turns."""
        sums: dict[str, tuple[float, int]] = {}
        for record in records:
            self.tokens[record.role] = self.tokens.get(record.role, 0) + len(record.completion_ids)
            if record.role == "teacher":
                counts = self.proposed.setdefault(record.stage, {})
                counts[record.verdict] = counts.get(record.verdict, 0) + 1
            if record.reward is None:
                continue
            name = f"{record.role}/{record.stage}"
            total, count = sums.get(name, (0.0, 0))
            sums[name] = (total + record.reward, count + 1)
            if record.role == "solver":
                name = f"{record.stage}/{record.kind or 'any'}"
                right, scored = self.solved.get(name, (0, 0))
                self.solved[name] = (right + (record.verdict == "correct"), scored + 1)
        self.rewards.append(sums)
        for group in by_group(r for r in records if r.role == "solver" and r.scored):
            if len(group) > 1:
                self.groups["all"] += 1
                self.groups["with_gradient"] += len({r.reward for r in group}) > 1

    def quarters(self) -> dict[str, dict[str, float | None]]:
        """Mean reward by ``role/stage`` in the first and the last quarter of the updates; None where there was none."""
        size = max(1, len(self.rewards) // 4)
        first, last = _pool(self.rewards[:size]), _pool(self.rewards[-size:])
        return {
            name: {"first_quarter": first.get(name), "last_quarter": last.get(name)}
            for name in sorted({*first, *last})
        }

    def solve_rates(self) -> dict[str, float]:
        """Share of right answers by ``stage/kind``."""
        return {name: right / scored for name, (right, scored) in sorted(self.solved.items())}

    def state(self) -> dict[str, Any]:
        """Counts as JSON-able values."""
        return asdict(self)

    @classmethod
    def restore(cls, state: dict[str, Any]) -> Ledger:
        """Restore a ledger from its `state`, in which JSON has turned pairs into lists."""
        pairs = [{k: (v[0], v[1]) for k, v in update.items()} for update in state["rewards"]]
        solved = {k: (v[0], v[1]) for k, v in state["solved"].items()}
        return cls(**{**state, "rewards": pairs, "solved": solved})


def _by(records: Iterable[TurnRecord], key: Any) -> dict[str, list[TurnRecord]]:
    out: dict[str, list[TurnRecord]] = defaultdict(list)
    for record in records:
        out[key(record)].append(record)
    return dict(sorted(out.items()))


def _pool(updates: Iterable[dict[str, tuple[float, int]]]) -> dict[str, float]:
    sums: dict[str, tuple[float, int]] = {}
    for update in updates:
        for name, (total, count) in update.items():
            old = sums.get(name, (0.0, 0))
            sums[name] = (old[0] + total, old[1] + count)
    return {name: total / count for name, (total, count) in sums.items()}
