"""Shares by stage, with intervals, as JSON and as a table for a person."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.llm_plays.rows import COPIES, Row
from benchmarks.llm_plays.situations import PROPOSALS
from learners.metrics import bootstrap_interval

EXAMPLES = 2
#: Length of an example in the table, in characters.
QUOTED = 160


def summary(rows: Sequence[Row]) -> dict[str, Any]:
    """The stages of a run: shares among all texts of a stage, unless said otherwise.

    ``valid`` is the share of valid proposals, or of right answers; ``solved`` and ``accepted`` are shares among the
    valid proposals that were attempted. A text that the policy did not give, or that could not be executed, is
    ``unscored`` and in no share.
    """
    by_stage: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        by_stage[row.stage].append(row)
    found = {}
    for stage, of_stage in by_stage.items():
        scored = [row for row in of_stage if row.scored]
        found[stage] = (_stage(scored) if scored else {"n": 0, "reasons": {}}) | {
            "unscored": len(of_stage) - len(scored)
        }
    return found


def compared(rows: Sequence[Row], baseline: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Differences to the rows of another run, by stage, over the situations that both have.

    Each is the mean difference with its paired 95 % interval.
    """
    before = {row["id"]: row for row in baseline}
    found: dict[str, dict[str, Any]] = {}
    for stage in dict.fromkeys(row.stage for row in rows):
        own = [row for row in rows if row.stage == stage and row.scored and row.id in before]
        pairs = [(row, before[row.id]) for row in own if before[row.id]["reason"] != "infra_error"]
        if not pairs:
            continue
        found[stage] = {"n": len(pairs)}
        for name in ("readable", "valid"):
            differences = [float(getattr(row, name)) - float(other[name]) for row, other in pairs]
            found[stage][name] = [_mean(differences), *bootstrap_interval(differences)]
    return found


def table(stages: Mapping[str, Any], differences: Mapping[str, Any]) -> str:
    """The summary for a person."""
    lines = []
    for stage, found in stages.items():
        word = "valid" if stage in PROPOSALS else "right"
        if found["unscored"]:
            lines.append(f"{stage}: {found['unscored']} unscored, left out below")
        if not found["n"]:
            continue
        lines.append(
            f"{stage}: n {found['n']}, readable {_share(found, 'readable')}, {word} {_share(found, 'valid')}, "
            f"copies {found['copies']:.1%}, cut off {found['cut_off']:.1%}, tokens {found['tokens']:g}"
        )
        if "attempted" in found:
            lines.append(
                f"  of {found['attempted']} attempted: solved at least once {found['solved']:.1%}, accepted "
                f"{found['accepted']:.1%}, mean rate {found['rate']:.2f}"
            )
        for kind, of_kind in found.get("kinds", {}).items():
            lines.append(
                f"  {kind}: n {of_kind['n']}, readable {of_kind['readable']:.1%}, {word} {of_kind['valid']:.1%}"
            )
        if stage in differences:
            lines += [
                f"  {name} against the baseline: {mean:+.1%} [{low:+.1%}, {high:+.1%}] over {differences[stage]['n']}"
                for name in ("readable", "valid")
                for mean, low, high in [differences[stage][name]]
            ]
        for reason, examples in found["reasons"].items():
            lines.append(f"  {examples['count']:4d} {reason}")
            lines += [f"         {text}" for text in examples["examples"]]
    return "\n".join(lines)


def _stage(rows: Sequence[Row]) -> dict[str, Any]:
    found = _shares(rows)
    kinds = sorted({row.kind for row in rows})
    if len(kinds) > 1:
        found["kinds"] = {kind: _shares([row for row in rows if row.kind == kind]) for kind in kinds}
    attempted = [row for row in rows if row.samples]
    if attempted:
        found |= {
            "attempted": len(attempted),
            "solved": _mean([row.correct > 0 for row in attempted]),
            "accepted": _mean([row.accepted for row in attempted]),
            "rate": _mean([row.correct / row.samples for row in attempted]),
        }
    reasons = Counter(row.reason for row in rows)
    found["reasons"] = {
        reason: {
            "count": count,
            "examples": [
                _quoted(row) for row in rows if row.reason == reason and reason not in ("valid", "correct")
            ][:EXAMPLES],
        }
        for reason, count in reasons.most_common()
    }
    return found


def _shares(rows: Sequence[Row]) -> dict[str, Any]:
    readable, valid = ([float(getattr(row, name)) for row in rows] for name in ("readable", "valid"))
    return {
        "n": len(rows),
        "readable": _mean(readable),
        "readable_interval": bootstrap_interval(readable),
        "valid": _mean(valid),
        "valid_interval": bootstrap_interval(valid),
        "copies": _mean([row.reason in COPIES for row in rows]),
        "cut_off": _mean([row.reason == "cut_off" for row in rows]),
        "tokens": median(row.tokens for row in rows),
    }


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


def _share(found: Mapping[str, Any], name: str) -> str:
    low, high = found[f"{name}_interval"]
    return f"{found[name]:.1%} [{low:.1%}, {high:.1%}]"


def _quoted(row: Row) -> str:
    text = row.detail or " ".join(row.text.split())
    return text if len(text) <= QUOTED else text[: QUOTED - 3] + "..."
