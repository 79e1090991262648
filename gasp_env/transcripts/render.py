"""Plain text of a transcript, for people.

A line that begins with ``──`` opens a turn. ``│`` marks the prompt, ``→`` the verdict on an answer,
``=`` the outcome of a proposal. Equal answers are shown once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from gasp_env.episode.turns import Turn

WIDTH = 100
#: Lines that an abridged text keeps, and answers that an abridged turn shows.
READ, WRITTEN, ANSWERS = 4, 12, 6


def render_transcript(
    record: Mapping[str, Any], *, prompts: bool = False, waiting: Turn | None = None
) -> str:
    """The episode as plain text: turns with their texts, verdicts and rewards, outcomes and sums.

    Args:
        record: see `gasp_env.transcripts.replay`.
        prompts: show prompts and texts whole, instead of their first lines.
        waiting: the open turn, if there is one to show.
    """
    lines = [render_title(record)]
    for turn in record["turns"]:
        lines += ["", render_heading(turn)]
        lines += [render_prompt(turn["prompt"], None if prompts else READ), ""]
        lines.append(render_answers(turn, abridged=not prompts))
        lines += [
            render_outcome(outcome) for outcome in record["outcomes"] if _settled_at(outcome) == turn["index"]
        ]
    if waiting is not None:
        if not record["turns"] or record["turns"][-1]["index"] != waiting.index:
            lines += ["", render_heading(asdict(waiting)), render_prompt(waiting.prompt, READ)]
        many = "a text" if waiting.samples == 1 else f"{waiting.samples} texts"
        lines += ["", f"{waiting.agent} is to write {many}"]
    if record["done"]:
        lines += ["", render_totals(record)]
    return "\n".join(lines)


def render_title(record: Mapping[str, Any]) -> str:
    """The title of an episode."""
    goalpost = next(iter(record["goalposts"]["played"].values()), None)
    parts = [
        str(record["curriculum"]),
        "no goalpost" if goalpost is None else f"goalpost {goalpost['id']}",
        f"seed {record['seed']}",
    ]
    return one_line(" · ".join(part for part in parts if part))


def render_heading(turn: Mapping[str, Any]) -> str:
    """The heading of a turn, as a ruled line."""
    about = turn["kind"] or (f"axis {turn['axis']}" if turn["axis"] else "")
    parts = [f"turn {turn['index']}", turn["agent"], turn["stage"], about]
    title = one_line(f"── {' · '.join(part for part in parts if part)} ")
    return title + "─" * max(0, WIDTH - len(title))


def render_prompt(prompt: str, lines: int | None = None) -> str:
    """The prompt, set off from the answers; only its first lines if a number is given."""
    return _indented(prompt if lines is None else _abridged(prompt, lines), "  │ ")


def render_answers(turn: Mapping[str, Any], first: int = 0, *, abridged: bool = False) -> str:
    """The texts of a turn from sample ``first`` on, equal ones once, each with its verdict and reward."""
    samples = turn["samples"][first:]
    counts = Counter(map(_same, samples))
    shown = list(counts)[:ANSWERS] if abridged else list(counts)
    lines = []
    for one in shown:
        sample = next(sample for sample in samples if _same(sample) == one)
        body = sample["text"].strip("\n") or ("(no text)" if sample.get("lost") else "(empty)")
        lines += [
            _indented(_abridged(body, WRITTEN) if abridged else body, "    "),
            f"  → {f'{counts[one]} × ' if counts[one] > 1 else ''}{_verdict(sample)}",
        ]
    rest = Counter(sample["verdict"] for sample in samples if _same(sample) not in shown)
    if rest:
        others = ", ".join(f"{count} × {reason}" for reason, count in rest.items())
        lines.append(one_line(f"  → others: {others}"))
    return "\n".join(lines)


def render_outcome(outcome: Mapping[str, Any]) -> str:
    """The outcome of a proposal, in one line."""
    if outcome["reason"] != "valid":
        return one_line(f"  = no task: {outcome['reason']}")
    fate = "accepted" if outcome["accepted"] else "not accepted" if outcome["scored"] else "unscored"
    return one_line(f"  = {outcome['stage']} solved {outcome['correct']} of {outcome['samples']}: {fate}")


def render_reward(reward: float | None, terms: Mapping[str, float]) -> str:
    """A reward and its terms."""
    if reward is None:
        return "unscored"
    named = ", ".join(f"{name} {value:+.3f}" for name, value in terms.items())
    return one_line(f"reward {reward:+.3f}" + (f" [{named}]" if named else ""))


def render_totals(record: Mapping[str, Any]) -> str:
    """The end of the episode, and the total reward of each agent."""
    accepted = [outcome["stage"] for outcome in record["outcomes"] if outcome["accepted"]]
    lines = [
        "truncated: the infrastructure failed" if record["truncated"] else "done",
        one_line(f"accepted  {', '.join(accepted) or 'nothing'}"),
        one_line(
            "rewards   " + ", ".join(_total(agent, record["turns"]) for agent in record["agents"].values())
        ),
    ]
    return "\n".join(lines)


def _total(agent: str, turns: Sequence[Mapping[str, Any]]) -> str:
    rewards = [s["reward"] for turn in turns if turn["agent"] == agent for s in turn["samples"]]
    unscored = rewards.count(None)
    total = f"{agent} {sum(reward or 0.0 for reward in rewards):+.3f}"
    return total + (f" ({unscored} unscored)" if unscored else "")


def _same(sample: Mapping[str, Any]) -> tuple[Any, ...]:
    """Equal for texts that are equal, and were submitted as the same: whole, cut off or lost."""
    return sample["text"], sample.get("cut_off"), sample.get("lost")


def _settled_at(outcome: Mapping[str, Any]) -> int:
    """The turn that settled a proposal: that of the attempts, which is the next one, if it came to them."""
    index: int = outcome["turn"]
    return index + 1 if outcome["reason"] == "valid" else index


def _verdict(sample: Mapping[str, Any]) -> str:
    detail = f" ({sample['detail']})" if sample["detail"] else ""
    relevance = "" if sample.get("relevance") is None else f" · relevance {sample['relevance']:.2f}"
    # A valid proposal is paid when the attempts at it are over.
    paid = sample["reward"] is not None or sample["verdict"] not in ("valid", "drafted")
    reward = render_reward(sample["reward"], sample["terms"]) if paid else "reward once it has been attempted"
    return one_line(f"{sample['verdict']}{detail}{relevance} · {reward}")


def _abridged(text: str, lines: int) -> str:
    """The first lines that are not blank, cut to the width of a page."""
    said = [line for line in text.split("\n") if line.strip()]
    kept = [line if len(line) <= WIDTH - 4 else line[: WIDTH - 5] + "…" for line in said[:lines]]
    # One line more is shown rather than announced.
    if len(said) == lines + 1:
        kept.append(said[lines][: WIDTH - 4])
    elif len(said) > lines:
        kept.append(f"… {len(said) - lines} more lines")
    return "\n".join(kept)


def _indented(text: str, prefix: str) -> str:
    return "\n".join(prefix + line for line in printable(text).split("\n"))


def printable(text: str) -> str:
    """A text whose lines a terminal only shows.

    Model text may hold terminal escapes, and so may a file's names; a person's terminal is not for them to drive.
    """
    return "".join(c if c.isprintable() or c in "\n\t" else "\N{REPLACEMENT CHARACTER}" for c in text)


def one_line(text: str) -> str:
    """As `printable`, and one line: a name with a line break in it could pass for a line of ours."""
    return printable(text.replace("\n", " "))
