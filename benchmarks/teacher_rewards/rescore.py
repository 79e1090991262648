"""Other rewards on the proposals of a run that was made: what would each have paid for?

The episodes of a run are played again, so that every reward is given the outcomes as the run's own was. Of the
rewards that it then computes nothing was trained: a teacher that had earned them would have proposed something else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from gasp_env.episode.outcome import Outcome
from gasp_env.rewards import TeacherRewards
from gasp_env.sandbox import Sandbox
from gasp_env.transcripts import replay

#: Kinds of proposals, by the share p of attempts that were right.
CLASSES = ("invalid", "p = 0", "0 < p < .3", ".3 to .7", ".7 < p < 1", "p = 1")


@dataclass(frozen=True)
class Update:
    """Outcomes of the stored episodes of one update.

    Attributes:
        name: of its file.
        outcomes: of its proposals.
    """

    name: str
    outcomes: list[Outcome]


def read(run: Path, sandbox: Sandbox, *, trust: bool = False) -> tuple[list[Update], str | dict[str, str]]:
    """The updates of a run, or of a file of episodes, and the run's own teacher reward.

    Raises:
        ValueError: there are no episodes, or they cannot be played again.
        OSError: a file cannot be read.
    """
    files = [run] if run.is_file() else sorted([*run.glob("episodes/*.jsonl"), *run.glob("episodes*.jsonl")])
    if not files:
        raise ValueError(
            f"{run}: expected a run's directory with episodes, or a file of episodes, found none"
        )
    updates, own = [], list[Any]()
    for file in files:
        records = replay.load(file)
        for record in records:
            if record["teacher_reward"] not in own:
                own.append(record["teacher_reward"])
        found = [one for record in records for one in replay.outcomes(record, sandbox, trust=trust)]
        updates.append(Update(file.stem, [one for one in found if one.scored]))
    if len(own) > 1:
        raise ValueError(f"{run}: expected episodes with one teacher reward, found {len(own)}")
    if not any(update.outcomes for update in updates):
        raise ValueError(f"{run}: expected proposals in the stored episodes, found none")
    return updates, own[0]


def rescore(updates: Sequence[Update], names: Sequence[Any]) -> list[dict[str, Any]]:
    """Every reward on every outcome, and its agreement with the first.

    Args:
        updates: of a run; a reward that compares proposals is given those of an update together.
        names: of rewards, or a mapping from stages to names.

    Raises:
        ValueError: there is no such reward, or it fails.
    """
    rows: list[dict[str, Any]] = []
    first: list[float] = []
    kinds = [_class(one) for update in updates for one in update.outcomes]
    for name in names:
        rewards = TeacherRewards(name)
        try:
            parts = [_paid(rewards, update.outcomes) for update in updates]
        except Exception as error:  # a reward's own code; some ask the library what was not asked then
            rows.append({"reward": _label(name), "error": f"{type(error).__name__}: {error}"})
            if not first:
                raise ValueError(f"the first reward, {_label(name)}, cannot be computed: {error}") from error
            continue
        paid = [value for part in parts for value in part]
        first = first or paid
        known = [
            (one, two)
            for one, two in zip(paid, first, strict=True)
            if not math.isnan(one) and not math.isnan(two)
        ]
        groups = [
            values
            for update, part in zip(updates, parts, strict=True)
            for values in _by_stage(update.outcomes, part)
        ]
        tau = stats.kendalltau(*zip(*known, strict=True)).statistic if len(known) > 1 else math.nan
        rows.append(
            {
                "reward": _label(name),
                "proposals": len(known),
                "mean": float(np.nanmean(paid)),
                "sd": float(np.nanstd(paid)),
                "kendall_tau": None if math.isnan(tau) else float(tau),
                "same_sign": sum(np.sign(one) == np.sign(two) for one, two in known) / max(len(known), 1),
                "groups": len(groups),
                "groups_with_gradient": sum(len(set(values)) > 1 for values in groups) / max(len(groups), 1),
                "paid_for": {
                    kind: float(np.mean(own))
                    for kind in CLASSES
                    if (
                        own := [
                            p for p, k in zip(paid, kinds, strict=True) if k == kind and not math.isnan(p)
                        ]
                    )
                },
            }
        )
    return rows


def table(rows: Sequence[dict[str, Any]], updates: Sequence[Update]) -> str:
    """The figures as text."""
    kinds = [_class(one) for update in updates for one in update.outcomes]
    counts = [kinds.count(kind) for kind in CLASSES]
    width = max(len(row["reward"]) for row in rows)
    lines = [
        f"{len(kinds)} proposals of {len(updates)} updates. Agreement is with the first reward; a group is the "
        "proposals of one update and stage.",
        "",
        f"{'':{width}} {'tau':>6} {'sign':>5} {'grad':>5} {'mean':>6} {'sd':>5}   mean reward of proposals that are",
        f"{'':{width}} {'':>31}   " + " ".join(f"{kind:>11}" for kind in CLASSES),
        f"{'':{width}} {'':>31}   " + " ".join(f"{f'n = {count}':>11}" for count in counts),
    ]
    for row in rows:
        if "error" in row:
            lines.append(f"{row['reward']:{width}}   {row['error'][:100]}")
            continue
        tau = "-" if row["kendall_tau"] is None else f"{row['kendall_tau']:+.2f}"
        paid = " ".join(
            f"{row['paid_for'][kind]:+11.2f}" if kind in row["paid_for"] else f"{'-':>11}" for kind in CLASSES
        )
        lines.append(
            f"{row['reward']:{width}} {tau:>6} {row['same_sign']:5.0%} {row['groups_with_gradient']:5.0%} "
            f"{row['mean']:+6.2f} {row['sd']:5.2f}   {paid}"
        )
    return "\n".join(lines)


def _paid(rewards: TeacherRewards, outcomes: list[Outcome]) -> list[float]:
    """A number for each outcome, NaN where a reward says nothing."""
    terms = rewards(outcomes) if outcomes else []
    return [math.nan if one is None else float(sum(one.values())) for one in terms]


def _by_stage(outcomes: Sequence[Outcome], paid: Sequence[float]) -> list[list[float]]:
    found: dict[str, list[float]] = {}
    for outcome, value in zip(outcomes, paid, strict=True):
        if not math.isnan(value):
            found.setdefault(outcome.stage, []).append(value)
    return [values for values in found.values() if len(values) > 1]


def _class(outcome: Outcome) -> str:
    if not outcome.valid:
        return "invalid"
    rate = outcome.correct / max(outcome.samples, 1)
    if rate in (0, 1):
        return "p = 0" if not rate else "p = 1"
    return "0 < p < .3" if rate < 0.3 else ".3 to .7" if rate <= 0.7 else ".7 < p < 1"


def _label(name: Any) -> str:
    return name if isinstance(name, str) else ", ".join(f"{stage}: {one}" for stage, one in name.items())
