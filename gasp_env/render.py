"""A transcript as a person wants to read it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

WIDTH = 100


def render_transcript(record: Mapping[str, Any], *, prompts: bool = False) -> str:
    """The episode as plain text: turns with their texts, verdicts and rewards, and the outcomes.

    Args:
        record: see `gasp_env.transcript`.
        prompts: also show what the agents read.
    """
    outcomes = {outcome["turn"]: outcome for outcome in record["outcomes"]}
    lines = [f"goalpost {record['goalpost']['id']} · axis {record['axis']} · seed {record['seed']}"]
    for turn in record["turns"]:
        lines += ["", _heading(turn)]
        if prompts:
            lines += [*_indented(turn["prompt"], "  │ "), ""]
        shown = Counter(sample["text"] for sample in turn["samples"])
        for text, count in shown.items():
            same = [sample for sample in turn["samples"] if sample["text"] == text]
            times = f"{count} × " if count > 1 else ""
            lines += [*_indented(text.strip("\n") or "(empty)", "    "), f"  → {times}{_verdict(same[0])}"]
        outcome = outcomes.get(turn["index"])
        if outcome is not None and outcome["reason"] == "valid":
            verdict = "accepted" if outcome["accepted"] else "not accepted" if outcome["scored"] else "unscored"
            lines.append(f"  = solved {outcome['correct']} of {outcome['samples']}: {verdict}")
    if record["done"]:
        lines += ["", "truncated: the sandbox failed" if record["truncated"] else "done"]
    return "\n".join(lines)


def _heading(turn: Mapping[str, Any]) -> str:
    about = turn["kind"] if turn["agent"] == "solver_0" else f"axis {turn['axis']}"
    title = f"── turn {turn['index']} · {turn['agent']} · {turn['stage']} · {about} "
    return title + "─" * max(0, WIDTH - len(title))


def _verdict(sample: Mapping[str, Any]) -> str:
    reward = "unscored" if sample["reward"] is None else f"reward {sample['reward']:+.3f}"
    terms = ", ".join(f"{name} {value:+.3f}" for name, value in sample["terms"].items())
    detail = f" ({sample['detail']})" if sample["detail"] else ""
    return f"{sample['verdict']}{detail} · {reward}" + (f" [{terms}]" if terms else "")


def _indented(text: str, prefix: str) -> list[str]:
    # Model text may hold terminal escapes; a person's terminal is not for a model to drive.
    printable = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    return [prefix + line for line in printable.split("\n")]
