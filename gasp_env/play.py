"""One episode in the terminal, and stored episodes played again.

    python -m gasp_env.play                             a scripted player, for a first look
    python -m gasp_env.play --human --goalpost late-fees
    python -m gasp_env.play --policy miniature --domain learners.miniature:domain
    python -m gasp_env.play --policy my_policy.py:load --model PATH --solver-policy silent
    python -m gasp_env.play --save episode.jsonl
    python -m gasp_env.play --replay episode.jsonl      every run executed, every reward computed anew

Exit status: 0; 1 when a replay differs from the stored episode; 2 when nothing could be played.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gasp_env import policies
from gasp_env.envs.env import GaspCodeEnv
from gasp_env.goalposts.schema import GoalpostError
from gasp_env.policies import Policy, PolicyError, Sampling, command_line
from gasp_env.policies.scripted import GOALPOST
from gasp_env.sandbox import SandboxError, shared
from gasp_env.sandbox.tiers import HELP
from gasp_env.transcripts.render import (
    printable,
    render_answers,
    render_heading,
    render_outcome,
    render_prompt,
    render_reward,
    render_title,
    render_totals,
    render_transcript,
)
from gasp_env.transcripts.replay import load, replay
from gasp_env.transcripts.schema import TranscriptError

#: Roles of the game; each may have a policy of its own.
ROLES = ("teacher", "solver")
END = "."
_COLOURS = (
    (re.compile(r"^── "), "1"),
    (re.compile(r"^  │ "), "2"),
    (re.compile(r"^  → .*\b(correct|valid)\b"), "32"),
    (re.compile(r"^  → "), "33"),
    (re.compile(r"^  = "), "36"),
    (re.compile(r"^  ! "), "31"),
)


class Terminal:
    """Prints, in colour where that is wanted."""

    def __init__(self, *, colour: bool | None = None) -> None:
        wanted = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        self._colour = wanted if colour is None else colour

    def say(self, text: str = "") -> None:
        """Print some lines."""
        for line in printable(text).split("\n"):
            code = next((code for pattern, code in _COLOURS if pattern.search(line)), None)
            print(f"\x1b[{code}m{line}\x1b[0m" if code and self._colour else line, flush=True)


class Seat(NamedTuple):
    """A policy that plays a role, and its name for messages."""

    name: str
    policy: Policy


class Stopped(Exception):
    """The person ended the episode."""


def ask_person(prompt: str, samples: int) -> tuple[str, ...]:
    """One text, typed; the remaining samples of the turn are asked for one by one."""
    whose = "your answer" if samples == 1 else f"your answer ({samples} to go)"
    print(f"\n{whose}, then a line with only {END!r}:", flush=True)
    lines: list[str] = []
    for line in sys.stdin:
        if line.rstrip("\n") == END:
            return ("\n".join(lines),)
        lines.append(line.rstrip("\n"))
    raise Stopped


def play(
    env: GaspCodeEnv,
    seats: Mapping[str, Seat | None],
    terminal: Terminal,
    *,
    goalpost: str | None,
    sampling: Sampling,
) -> dict[str, Any]:
    """Play one episode and show it turn by turn; returns its transcript.

    Args:
        env: plays it.
        seats: the policy of each role; None for the person at the keyboard.
        terminal: shows it.
        goalpost: id of the goalpost to play; None for a drawn one.
        sampling: of the policies; its seed is the episode's too.

    Raises:
        PolicyError, ValueError: a policy failed, or gave something else than was asked.
        Stopped: the person ended the episode.
    """
    seed = sampling.seed
    observation, info = env.reset(seed=seed, options={"goalpost": goalpost})
    # Opened before anything is shown: a person should not work on an answer that cannot be judged.
    if env.driver.domain.executes:
        env.driver.sandbox.open()
    record = env.transcript
    assert record is not None
    # The episode's own seed was drawn from the requested one. The requested one begins the episode again.
    terminal.say(render_title({**record, "seed": seed}))
    shown, seen, over, calls = -1, 0, False, 0
    while not over:
        if info["turn"] != shown:
            shown, seen = info["turn"], 0
            terminal.say("\n" + render_heading({**info, "index": shown}))
            terminal.say(render_prompt(observation["prompt"]) + "\n")
        seat = seats[info["agent"].partition("_")[0]]
        prompt, samples = observation["prompt"], int(observation["samples"])
        if seat is None:
            texts = ask_person(prompt, samples)
        else:
            (texts,) = policies.answer(seat.policy, seat.name, [prompt], [samples], sampling.call(calls))
            calls += 1
        observation, _, terminated, truncated, info = env.step(texts)
        over = terminated or truncated
        record = env.transcript
        assert record is not None
        terminal.say(render_answers(record["turns"][shown], seen))
        seen = len(record["turns"][shown]["samples"])
        _say_teachers_credit(info["credits"], record, terminal)
    terminal.say("\n" + render_totals(record))
    if env.driver.domain.executes:
        terminal.say(f"sandbox   {env.driver.sandbox.runs} runs, tier {env.driver.sandbox.tier}")
    return record


def _say_teachers_credit(credits: Sequence[Any], record: dict[str, Any], terminal: Terminal) -> None:
    outcomes = {outcome["turn"]: outcome for outcome in record["outcomes"]}
    for credit in credits:
        # A draft earns what its proposal does, and is not said again.
        if credit.agent == "teacher_0" and credit.turn in outcomes:
            paid = render_reward(credit.reward, credit.terms)
            terminal.say(
                f"{render_outcome(outcomes[credit.turn])} · teacher_0 for turn {credit.turn}: {paid}"
            )


def check_writable(path: Path) -> None:
    """Refuse a file that an episode could not be appended to, before one is played.

    Raises:
        OSError: it cannot be opened. Nothing is left behind.
    """
    path = path.resolve()  # a link's target is made, and has to go
    existed = path.exists()
    path.open("a", encoding="utf-8").close()
    if not existed:
        path.unlink()


def replay_file(path: Path, chosen: int | None, tier: str, trust: bool, terminal: Terminal) -> int:
    """Play stored episodes again and say where they differ; returns the exit status."""
    records = load(path)
    if chosen is not None and not 1 <= chosen <= len(records):
        raise TranscriptError(f"{path}: expected an episode from 1 to {len(records)}, came {chosen}")
    sandbox = shared(tier=tier)
    different = 0
    for number, record in enumerate(records, start=1):
        if chosen not in (None, number):
            continue
        executed = sandbox.runs
        found = replay(record, sandbox, trust=trust)
        if chosen is not None:
            terminal.say(render_transcript(record, prompts=True) + "\n")
        verdict = f"{len(found)} differences" if found else "identical"
        turns, runs = len(record["turns"]), sandbox.runs - executed
        terminal.say(f"episode {number}: {render_title(record)}, {turns} turns, {runs} runs: {verdict}")
        for difference in found:
            terminal.say(f"  ! {difference}")
        different += bool(found)
    played = len(records) if chosen is None else 1
    terminal.say(f"{played - different} of {played} episodes play again exactly as stored")
    return 1 if different else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line; returns the exit status."""
    terminal = Terminal()
    try:
        words = sys.argv[1:] if arguments is None else arguments
        options, given = command_line.parse(_parser(), words, ROLES, default="scripted")
        if options.seed < 0:
            raise ValueError(f"expected a seed of at least 0, got {options.seed}")
        if options.replay:
            return replay_file(options.replay, options.episode, options.sandbox, options.trust, terminal)
        if options.save:
            check_writable(options.save)
        sampling = Sampling(options.temperature, max_tokens=options.max_tokens, seed=options.seed)
        env = GaspCodeEnv(
            domain=options.domain,
            attempts=options.attempts,
            two_steps=options.two_steps,
            sandbox=options.sandbox,
        )
        goalpost = _goalpost(options, env)
        record = play(env, _seats(options, given), terminal, goalpost=goalpost, sampling=sampling)
        if options.save:
            with options.save.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            terminal.say(f"saved     {options.save}")
    except BrokenPipeError:  # nobody reads on, as with `| head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, GoalpostError, PolicyError, SandboxError, OSError) as error:
        print(f"gasp_env.play: {printable(str(error))}", file=sys.stderr)
        return 2
    except (Stopped, KeyboardInterrupt):
        print("\nstopped; the episode is not finished and was not saved", file=sys.stderr)
        return 2
    return 0


def _seats(options: argparse.Namespace, given: command_line.Options) -> dict[str, Seat | None]:
    """The policy of each role on this command line; None is the person at the keyboard."""
    own = {role: getattr(options, f"{role}_policy") for role in ROLES}
    others: Seat | None = None
    if not options.human and None in own.values():
        others = Seat(options.policy, policies.get(options.policy, **given.get("", {})))
    return {
        role: others if name is None else Seat(name, policies.get(name, **given.get(role, {})))
        for role, name in own.items()
    }


def _goalpost(options: argparse.Namespace, env: GaspCodeEnv) -> str | None:
    """The goalpost to play: the scripted teacher has only one."""
    teacher = options.teacher_policy or ("" if options.human else options.policy)
    if teacher != "scripted":
        return options.goalpost
    goalpost = options.goalpost or GOALPOST
    if goalpost != GOALPOST or goalpost not in [one.id for one in env.driver.goalposts]:
        raise ValueError(
            f"the scripted player plays {GOALPOST!r} of the domain 'python' only; got domain {options.domain!r}, "
            f"goalpost {goalpost!r}: play it yourself with --human, or choose another --policy"
        )
    return goalpost


def _parser() -> command_line.Parser:
    parser = command_line.Parser(
        prog="python -m gasp_env.play", description="Play one episode in the terminal, or stored ones again."
    )
    parser.add_argument(
        "--human", action="store_true", help=f"type the answers; end each with a line {END!r}"
    )
    parser.add_argument(
        "--goalpost", metavar="ID", help="the goalpost to play (default: the scripted player's, or drawn)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of everything the episode draws (default 0)")
    parser.add_argument("--domain", default="python", help="'python' or 'module:name' (default python)")
    parser.add_argument(
        "--attempts", type=int, default=8, help="tries of the solver at a proposal (default 8)"
    )
    parser.add_argument(
        "--two-steps",
        action="store_true",
        help="ask for a variant in two turns, its program first: small models write more valid ones",
    )
    parser.add_argument("--sandbox", default="auto", metavar="TIER", help=HELP)
    parser.add_argument("--temperature", type=float, default=1.0, help="of a policy that samples (default 1)")
    parser.add_argument(
        "--max-tokens", type=int, default=1024, help="most tokens of an answer that is sampled (default 1024)"
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="append the episode to this file")
    parser.add_argument(
        "--replay", type=Path, metavar="FILE", help="play the episodes stored in this file again"
    )
    parser.add_argument(
        "--trust",
        action="store_true",
        help="with --replay: import the modules and files that the stored episodes name, such as a reward's",
    )
    parser.add_argument(
        "--episode", type=int, metavar="K", help="with --replay: only the K-th, from 1, and show it"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
