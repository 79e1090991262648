"""A policy trained by self-play with each teacher reward and seed, for equally many sampled tokens.

Every run is the reference learner in a process of its own, `learners.reinforcepp`, and can be repeated, resumed and
looked at as any other. Its files lie in RUNS/REWARD-SEED, its output beside them in ``.out`` and ``.err``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gasp_env.envs.vector import GaspCodeVectorEnv
from learners import config, recipes
from learners.command_line import option, parse
from learners.config import ROLES, Args
from learners.evaluate import load_goalposts
from learners.training_state import config_hash

#: The control whose teacher never learns: the first reward, with a teacher that keeps the weights of the start.
FROZEN = "frozen"
#: More updates than any budget of tokens allows, so that it is the budget that ends a run.
UPDATES = 1_000_000
#: Options of the learner that are this command's to give.
OWN = (
    "name",
    "runs",
    "resume",
    "seed",
    "policy",
    "sandbox",
    "freeze",
    "teacher_reward",
    "updates",
    "tokens",
    "seconds",
)
#: Options that a run may be gone on with under another value, and that have to be equal all the same.
_EQUAL = ("updates", "tokens", "seconds", "eval_samples", "goalpost_samples")
_POLL_SECONDS = 0.1


@dataclass(frozen=True)
class Run:
    """A run to be made.

    Attributes:
        reward: a name of ``--rewards``, which may be a control's.
        args: options of the learner.
        words: its command line.
    """

    reward: str
    args: Args
    words: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Of the run's files."""
        return self.args.runs / self.args.name

    @property
    def finished(self) -> bool:
        """True if it was made to its end."""
        return (self.folder / "summary.json").is_file()


def plan(
    rewards: Sequence[str],
    seeds: Sequence[int],
    *,
    policy: str,
    tokens: int,
    runs: Path,
    sandbox: str,
    learner: Sequence[str],
) -> list[Run]:
    """The runs of a comparison, reward by reward, each checked as the learner would.

    Args:
        rewards: names, with those of controls among them; `FROZEN` is the first of them with another teacher.
        seeds: of the runs; the same for every reward.
        policy: its name.
        tokens: budget of each run, at least 1.
        runs: folder for the runs.
        sandbox: isolation tier.
        learner: other options of the learner, as they are typed.

    Raises:
        ValueError: two rewards would share a folder, an option is this command's, or a run began with other options.
        SystemExit: the learner refuses its options, or has no such reward; as `learners.command_line` says.
    """
    given = {word.partition("=")[0].replace("_", "-") for word in learner}
    for name in OWN:
        if (spelled := f"--{name.replace('_', '-')}") in given:
            raise ValueError(
                f"{spelled}: expected options of the learner that this command does not set itself"
            )
    folders: dict[str, str] = {}
    found = []
    for reward in rewards:
        folder = "-".join(Path(part).name for part in reward.split(":"))
        if (other := folders.setdefault(folder, reward)) != reward:
            raise ValueError(
                f"--rewards: expected names of different folders, got {folder!r} of {other} and {reward}"
            )
        chosen = ("--freeze", "teacher", "--teacher-reward", rewards[0]) if reward == FROZEN else (
            "--teacher-reward", reward,
        )  # fmt: skip
        threads = () if "--threads" in given else ("--threads", "1")
        words = ("--policy", policy, *learner, *threads, "--sandbox", sandbox, *chosen)
        words = (*words, "--tokens", str(tokens), "--updates", str(UPDATES), "--runs", str(runs))
        args = parse(Args, "python -m benchmarks.teacher_rewards", None, ROLES, recipes, words)
        if args.seconds is not None:
            raise ValueError(
                f"recipe {args.recipe or policy}: expected none with --seconds, tokens end these runs"
            )
        if args.freeze != ("teacher" if reward == FROZEN else "none"):
            raise ValueError(
                f"recipe {args.recipe or policy}: expected none with --freeze, which {FROZEN} stands for here"
            )
        check(args)
        if reward != FROZEN and not config.trains("teacher", args):
            raise ValueError(
                f"expected options with which the teacher trains, got --train-roles {args.train_roles} and "
                f"--teacher-policy {args.teacher_policy or args.policy}: no reward would change anything"
            )
        for seed in seeds:
            own = ("--seed", str(seed), "--name", f"{folder}-{seed}", "--resume", "auto")
            named = replace(args, seed=seed, name=f"{folder}-{seed}")
            found.append(Run(reward, named, (*words, *own)))
    for run in found:
        _same_options(run)
    return found


def check(args: Args) -> None:
    """Refuse what the learner would refuse, without opening the sandbox or loading the policy.

    Raises:
        SystemExit: with one line that names the option.
    """
    config.check(args)
    with option("--goalposts", args.goalposts):
        goalposts = load_goalposts(args.goalposts, args.domain)
    with option("--heldout", args.heldout):
        if args.heldout:
            load_goalposts(args.heldout, args.domain)
    with option("--teacher-reward", args.teacher_reward):
        GaspCodeVectorEnv(
            1, domain=args.domain, goalposts=goalposts, **config.env_options(args), sandbox=args.sandbox
        ).close()


def manifest(run: Run) -> dict[str, Any] | None:
    """The newest manifest of a run; None if it has none.

    Raises:
        ValueError: it cannot be read.
    """
    newest = max(run.folder.glob("manifest-*.json"), default=run.folder / "manifest.json")
    try:
        found: dict[str, Any] = json.loads(newest.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{newest}: expected a manifest that the learner wrote: {error}") from None
    if not isinstance(found, dict) or not isinstance(found.get("args"), dict) or "config" not in found:
        raise ValueError(f"{newest}: expected a manifest that the learner wrote, got something else")
    return found


def _same_options(run: Run) -> None:
    """Refuse to take another run for this one.

    Raises:
        ValueError: a run of this name was begun with other options.
    """
    made = manifest(run)
    if made is None:
        return
    differ = [name for name in _EQUAL if made["args"].get(name) != getattr(run.args, name)]
    if made["config"] != config_hash(config.fixed(run.args)):
        theirs = made["args"]
        now = json.loads(json.dumps(config.fixed(run.args), default=str))
        differ += [name for name in now if name != "policy_options" and theirs.get(name) != now[name]] or [
            "settings"
        ]
    if differ:
        raise ValueError(
            f"{run.folder} was made with other options ({', '.join(differ)} differ): choose another --runs"
        )


def train(
    runs: Sequence[Run], jobs: int = 1, say: Callable[[str], None] = lambda text: None
) -> dict[str, str]:
    """Make the runs that are not finished, so many at once; one that was begun goes on.

    Args:
        runs: from `plan`.
        jobs: at least 1.
        say: is given a line when a run begins and when it ends.

    Returns:
        By the name of each run that failed, the last line that it wrote to stderr.

    Raises:
        KeyboardInterrupt: Ctrl-C; the runs in progress have finished their update and saved it.
    """
    failed: dict[str, str] = {}
    waiting = []
    for run in runs:
        if run.finished:
            say(f"{run.args.name}: was made before")
        else:
            waiting.append(run)
    going: list[tuple[Run, subprocess.Popen[bytes], float]] = []
    try:
        while waiting or going:
            while waiting and len(going) < jobs:
                run = waiting.pop(0)
                say(f"{run.args.name} ...")
                going.append((run, _start(run), time.monotonic()))
            for one in going:
                run, process, began = one
                if process.poll() is None:
                    continue
                going.remove(one)
                if process.returncode or not run.finished:
                    failed[run.args.name] = _last_line(run, process.returncode)
                    say(f"{run.args.name}: failed: {failed[run.args.name]}")
                else:
                    say(f"{run.args.name}: {time.monotonic() - began:.0f} s")
                break
            else:
                time.sleep(_POLL_SECONDS)
    except BaseException:
        for _, process, _ in going:
            process.terminate()  # the learner finishes its update and saves
        for _, process, _ in going:
            process.wait()
        raise
    return failed


def _start(run: Run) -> subprocess.Popen[bytes]:
    run.args.runs.mkdir(parents=True, exist_ok=True)
    with ExitStack() as opened:
        out, err = (
            opened.enter_context((run.args.runs / f"{run.args.name}.{kind}").open("ab"))
            for kind in ("out", "err")
        )
        # In a session of its own, Ctrl-C does not reach it twice.
        return subprocess.Popen(
            [sys.executable, "-m", "learners.reinforcepp", *run.words],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )


def _last_line(run: Run, status: int) -> str:
    text = (run.args.runs / f"{run.args.name}.err").read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else f"exit status {status}"
