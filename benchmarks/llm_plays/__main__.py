"""Does a model get through the game? Every stage in fixed situations, then whole episodes.

    python -m benchmarks.llm_plays --policy transformers --model PATH --json before.json
    python -m benchmarks.llm_plays --policy transformers --model PATH --style my_style.py:Mine --baseline before.json
    python -m benchmarks.llm_plays --policy openai --model NAME --base-url URL --quick
    python -m benchmarks.llm_plays --texts before.json --style my_style.py:Mine      # read stored texts again

A situation is asked once, whatever the model wrote before. Valid lemmas and lifts are attempted by the same model.
The JSON has the shares (``stages.lemma.valid``) and every text. Prompts and parsers should be tuned on one set of
goalposts and one seed, and reported on another (``--goalposts``, ``--seed``).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.llm_plays import report, rows
from benchmarks.llm_plays.rows import Row
from benchmarks.llm_plays.situations import STAGES, VARIANTS, Situation, situations
from benchmarks.sandbox.machine import machine
from gasp_env import domains, policies
from gasp_env import goalposts as files
from gasp_env.domains.python.domain import PythonDomain
from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.episode.turns import CutOff, Lost
from gasp_env.policies import Policy, PolicyError, Sampling, command_line
from gasp_env.sandbox import Sandbox, SandboxError, shared
from gasp_env.tasks import Goalpost, Task
from learners.rollout import play

#: Number of the first call that asks for the second step of a proposal, behind those of all stages.
SECOND = 2 * len(STAGES)
#: Situations of each stage with ``--quick``.
QUICK = {"lemma": 32, "lift": 8, "propose": 6, "attempt": 8, "solve": 12, "goalpost": 8}


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    try:
        words = sys.argv[1:] if arguments is None else list(arguments)
        # Stored texts need no policy, and the default one needs a model.
        default = "silent" if any(word.partition("=")[0] == "--texts" for word in words) else "transformers"
        options, given = command_line.parse(_parser(), words, (), default=default)
        for found in run(options, given.get("", {})):
            _write(found, options.json)
    except (ValueError, OSError, PolicyError, SandboxError, files.GoalpostError) as error:
        print(f"benchmarks.llm_plays: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def run(options: argparse.Namespace, policy_options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Ask, judge and print; yields all results so far, after each stage and after the episodes."""
    for name, least in (("n", 1), ("attempts", 0), ("episodes", 0), ("seed", 0)):
        if getattr(options, name) < least:
            raise ValueError(f"--{name}: expected at least {least}, got {getattr(options, name)}")
    domain = _domain(options.style)
    goalposts = _goalposts(options.goalposts, domain)
    baseline = _stored(options.baseline, "--baseline")
    if options.json is not None and not os.access(
        options.json.parent if options.json.parent.exists() else ".", os.W_OK
    ):
        raise ValueError(f"--json: {options.json}: its folder cannot be written")
    policy = None if options.texts else policies.get(options.policy, **policy_options)
    sampling = Sampling(options.temperature, max_tokens=options.max_tokens, seed=options.seed)
    source: _Stored | _Asked
    source = _Stored(options.texts) if policy is None else _Asked(policy, options.policy, sampling)
    sandbox = shared(tier=options.sandbox)
    all_rows: list[Row] = []
    seconds: dict[str, float] = {}
    head = {
        "command": "python -m benchmarks.llm_plays " + " ".join(sys.argv[1:]),
        "machine": machine(),
        "policy": options.policy if policy is not None else f"stored in {options.texts}",
        "style": domain.style.name,
        "two_steps": options.two_steps,
        "seed": options.seed,
        "temperature": options.temperature,
        "max_tokens": options.max_tokens,
    }
    for number, stage in enumerate(options.stages):
        start = time.perf_counter()
        count = QUICK[stage] if options.quick else options.n
        two_steps = options.two_steps and stage in VARIANTS
        asked = situations(domain, goalposts, stage, count, options.seed, two_steps)

        asked = source.known(asked)
        first = source.texts(asked, 2 * number)
        if two_steps:
            drafts, second = rows.judge_drafts(asked, first, sandbox)
            texts = source.texts(second, SECOND + number)
            found, tasks = rows.completed(drafts, *rows.judge(second, texts, sandbox))
        else:
            found, tasks = rows.judge(asked, first, sandbox)
        if policy is not None and stage in VARIANTS and options.attempts:
            found = _attempted(found, tasks, domain, policy, options, sampling.call(2 * number + 1), sandbox)
        seconds[stage] = round(time.perf_counter() - start, 1)
        all_rows += found
        if found:
            stages = report.summary(found)
            print(report.table(stages, report.compared(found, baseline)), flush=True)
        yield head | _results(all_rows, baseline, seconds, {})
    if policy is None and not all_rows:
        raise ValueError(
            f"--texts: {options.texts} has no text of these situations; give the --stages, --seed and "
            "--goalposts that it was asked with"
        )
    if policy is not None and options.episodes:
        episodes = _episodes(policy, goalposts, options, sampling)
        yield head | _results(all_rows, baseline, seconds, episodes)


def _results(
    found: Sequence[Row],
    baseline: Sequence[Mapping[str, Any]],
    seconds: Mapping[str, float],
    episodes: Mapping[str, Any],
) -> dict[str, Any]:
    return {
        "seconds": seconds,
        "stages": report.summary(found),
        "differences": report.compared(found, baseline),
        "episodes": episodes,
        "rows": [row.record() | {"readable": row.readable, "valid": row.valid} for row in found],
    }


def _write(found: Mapping[str, Any], path: Path | None) -> None:
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _attempted(
    found: list[Row],
    tasks: Sequence[Task | None],
    domain: PythonDomain,
    policy: Policy,
    options: argparse.Namespace,
    sampling: Sampling,
    sandbox: Sandbox,
) -> list[Row]:
    proposed = {row.id: task for row, task in zip(found, tasks, strict=True) if task is not None}
    if not proposed:
        return found
    right = rows.attempt(domain, policy, options.policy, proposed, options.attempts, sampling, sandbox)
    return [
        replace(row, correct=right[row.id], samples=options.attempts) if row.id in right else row
        for row in found
    ]


def _episodes(
    policy: Policy, goalposts: Sequence[Goalpost], options: argparse.Namespace, sampling: Sampling
) -> dict[str, Any]:
    """Play whole episodes of GASP, and count the verdicts of each stage."""
    envs = GaspCodeVectorEnv(
        num_envs=options.episodes,
        goalposts=goalposts,
        attempts=options.attempts or 8,
        sandbox=options.sandbox,
        style=options.style,
        two_steps=options.two_steps,
    )
    envs.reset(seed=options.seed)
    rollout = play(envs, policy, sampling)
    envs.close()
    verdicts = Counter(f"{record.stage} {record.verdict}" for record in rollout.records)
    print(f"episodes: {options.episodes}, {rollout.tokens} tokens")
    for name, count in sorted(verdicts.items()):
        print(f"  {count:4d} {name}")
    return {"n": options.episodes, "tokens": rollout.tokens, "verdicts": dict(sorted(verdicts.items()))}


def _domain(style: str | None) -> PythonDomain:
    domain = domains.get("python", style)
    assert isinstance(domain, PythonDomain)
    # Situations are independent of each other: nothing has been accepted before, and no embeddings are compared.
    return domain.with_novelty("exact")


def _goalposts(path: Path | None, domain: PythonDomain) -> tuple[Goalpost, ...]:
    try:
        return domain.goalposts() if path is None else files.load(path)
    except OSError as error:
        raise ValueError(f"--goalposts: {path}: {error.strerror}") from None


def _stored(path: Path | None, option: str) -> list[dict[str, Any]]:
    """The rows of an earlier run.

    Raises:
        ValueError: the file is none.
    """
    if path is None:
        return []
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["rows"]
    except OSError as error:
        raise ValueError(f"{option}: {path}: {error.strerror}") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{option}: {path}: expected what --json wrote, got something else ({error!r})"
        ) from None
    needed = {
        "id": str,
        "reason": str,
        **({"text": str, "tokens": int} if option == "--texts" else {"readable": bool}),
    }
    if not isinstance(found, list) or not all(
        isinstance(row, dict) and all(isinstance(row.get(name), kind) for name, kind in needed.items())
        for row in found
    ):
        raise ValueError(f"{option}: {path}: expected rows with {', '.join(needed)}, as --json wrote them")
    stored: list[dict[str, Any]] = found
    return stored


class _Asked:
    """Texts of a policy."""

    def __init__(self, policy: Policy, name: str, sampling: Sampling) -> None:
        self._policy, self._name, self._sampling = policy, name, sampling

    def known(self, asked: list[Situation]) -> list[Situation]:
        """The situations to which there are texts: all."""
        return asked

    def texts(self, asked: Sequence[Situation], call: int) -> list[tuple[str, int]]:
        """A text for each situation, with the number of its tokens; ``call`` makes the draws of a call its own."""
        return rows.ask(self._policy, self._name, asked, self._sampling.call(call)) if asked else []


class _Stored:
    """Texts of an earlier run."""

    def __init__(self, path: Path) -> None:
        self._rows = {row["id"]: row for row in _stored(path, "--texts")}

    def known(self, asked: list[Situation]) -> list[Situation]:
        """The situations to which there are texts.

        Raises:
            ValueError: they were asked in another number of steps.
        """
        found = [situation for situation in asked if situation.id in self._rows]
        for one in found:
            if bool(self._rows[one.id].get("draft")) != (one.complete is not None):
                raise ValueError(
                    f"--texts: {one.id} was asked {'without' if one.complete else 'with'} --two-steps"
                )
        return found

    def texts(self, asked: Sequence[Situation], call: int) -> list[tuple[str, int]]:
        """The text of each situation; the draft, where there is a second question."""
        return [self._text(self._rows[one.id], one.complete is not None) for one in asked]

    def _text(self, row: Mapping[str, Any], is_draft: bool) -> tuple[str, int]:
        draft, text = row.get("draft", ""), row["text"]
        if is_draft:
            return CutOff(draft) if row["reason"] == "cut_off" and not text else draft, row["tokens"]
        # The tokens of a draft are counted with it.
        if row["reason"] == "infra_error" and not text:
            return Lost(row.get("detail", "")), row["tokens"]
        return CutOff(text) if row["reason"] == "cut_off" else text, 0 if draft else row["tokens"]


def _parser() -> command_line.Parser:
    parser = command_line.Parser(
        prog="python -m benchmarks.llm_plays",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--stages", nargs="+", choices=STAGES, default=list(STAGES), help="default: all")
    parser.add_argument("--n", type=int, default=64, help="situations of each stage (default 64)")
    parser.add_argument("--quick", action="store_true", help="32 lemmas and few of the rest")
    parser.add_argument(
        "--two-steps", action="store_true", help="ask for variants in two steps, as the curriculum's option"
    )
    parser.add_argument("--style", help="prompt style: a name, module:name or file.py:name")
    parser.add_argument(
        "--goalposts", type=Path, metavar="FILE", help="a goalpost file (default: the built-in set)"
    )
    parser.add_argument("--attempts", type=int, default=8, help="attempts at each valid variant (default 8)")
    parser.add_argument(
        "--episodes", type=int, default=0, help="whole episodes played at the end (default 0)"
    )
    parser.add_argument(
        "--seed", type=int, default=0, help="of the situations and of the sampling (default 0)"
    )
    parser.add_argument("--temperature", type=float, default=1.0, help="of the sampling (default 1)")
    parser.add_argument("--max-tokens", type=int, default=768, help="of each text (default 768)")
    parser.add_argument("--sandbox", default="auto", metavar="TIER", help="isolation tier (default auto)")
    parser.add_argument("--texts", type=Path, metavar="FILE", help="read the texts of this JSON again")
    parser.add_argument("--baseline", type=Path, metavar="FILE", help="compare with the rows of this JSON")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write everything to this file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
