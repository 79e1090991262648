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
    lines = [f"goalpost {record['goalpost']['id']} · axis {record['axis']} · seed {record['seed']}"]
    for turn in record["turns"]:
        lines += ["", render_heading(turn)]
        if prompts:
            lines += [render_prompt(turn["prompt"]), ""]
        lines.append(render_answers(turn))
        lines += [
            render_outcome(outcome) for outcome in record["outcomes"] if outcome["turn"] == turn["index"]
        ]
    if record["done"]:
        lines += ["", "truncated: the sandbox failed" if record["truncated"] else "done"]
    return "\n".join(lines)


def render_heading(turn: Mapping[str, Any]) -> str:
    """Whose turn it is, as a ruled line."""
    about = turn["kind"] if turn["agent"] == "solver_0" else f"axis {turn['axis']}"
    title = f"── turn {turn['index']} · {turn['agent']} · {turn['stage']} · {about} "
    return title + "─" * max(0, WIDTH - len(title))


def render_prompt(prompt: str) -> str:
    """What an agent reads, set off from what it writes."""
    return _indented(prompt, "  │ ")


def render_answers(turn: Mapping[str, Any], first: int = 0) -> str:
    """The texts of a turn from sample ``first`` on, equal ones once, each with its verdict and reward."""
    samples = turn["samples"][first:]
    lines = []
    for text, count in Counter(sample["text"] for sample in samples).items():
        sample = next(sample for sample in samples if sample["text"] == text)
        lines += [
            _indented(text.strip("\n") or "(empty)", "    "),
            f"  → {f'{count} × ' if count > 1 else ''}{_verdict(sample)}",
        ]
    return "\n".join(lines)


def render_outcome(outcome: Mapping[str, Any]) -> str:
    """What became of a proposal."""
    if outcome["reason"] != "valid":
        return f"  = no task: {outcome['reason']}"
    fate = "accepted" if outcome["accepted"] else "not accepted" if outcome["scored"] else "unscored"
    return f"  = {outcome['stage']} solved {outcome['correct']} of {outcome['samples']}: {fate}"


def render_reward(reward: float | None, terms: Mapping[str, float]) -> str:
    """A reward and what it is made of."""
    if reward is None:
        return "unscored"
    named = ", ".join(f"{name} {value:+.3f}" for name, value in terms.items())
    return f"reward {reward:+.3f}" + (f" [{named}]" if named else "")


def _verdict(sample: Mapping[str, Any]) -> str:
    detail = f" ({_indented(sample['detail'], '')})" if sample["detail"] else ""
    # A valid proposal is paid when the attempts at it are over.
    paid = sample["reward"] is not None or sample["verdict"] != "valid"
    reward = render_reward(sample["reward"], sample["terms"]) if paid else "reward once it has been attempted"
    return f"{sample['verdict']}{detail} · {reward}"


def _indented(text: str, prefix: str) -> str:
    # Model text may hold terminal escapes; a person's terminal is not for a model to drive.
    printable = "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)
    return "\n".join(prefix + line for line in printable.split("\n"))
