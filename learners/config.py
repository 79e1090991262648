"""Options of `learners.reinforcepp` and their checks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from gasp_env import curricula, domains
from gasp_env.options import names
from gasp_env.rewards import TeacherRewards
from gasp_env.sandbox import shared
from learners import command_line
from learners.advantages import Baseline, Norm, Weighting
from learners.losses import KL

#: Roles of the games that are trained on.
ROLES = ("teacher", "solver")


@dataclass
class Args:
    """Options of the reference learner. The defaults are the miniature's main run."""

    name: str = ""
    """Name of the run; its files lie in RUNS/NAME. Default: the time."""
    recipe: str = ""
    """Defaults of the other options: the name of a recipe that ships (--recipes lists them), or a .toml file. Without
    one, that of the policy's name, where there is one."""
    runs: Path = Path("runs")
    """Where runs lie."""
    resume: str = ""
    """Go on from a checkpoint: `auto` for the newest of this run (without --name: of the newest run), or a path.
    Where `auto` finds none, a new run begins. Other options must be those of the run."""
    seed: int = 0
    """Of episodes, sampling and minibatches, and of the measurements."""
    policy: str = "miniature"
    """The policy that plays and trains: a name (see gasp_env.policies), module:name or file.py:name. The options of
    its factory are flags."""
    teacher_policy: str = ""
    """Another policy for the teacher, which trains only --weights by_role; the options of its factory are
    --teacher-..."""
    solver_policy: str = ""
    """Another policy for the solver, likewise; not for the measurements, which are of --policy."""
    weights: Literal["shared", "by_role"] = "shared"
    """Whether both roles play and train the same weights, or each its own: two adapters on one base with --lora,
    else two models."""
    freeze: Literal["none", "teacher", "solver"] = "none"
    """A role that plays with the weights of the start, which stay as they are."""
    policy_options: command_line.Hidden = field(default_factory=dict)
    """Options of factories, by role."""
    device: str = "cpu"
    """Where the policy computes."""
    threads: int = 0
    """Threads torch computes with; 0 leaves its choice. Use 1 on a machine that others use too."""

    curriculum: str = "gasp"
    """The game that is played: gasp, azr, rlvr, or module:name. Options that it does not have are not used."""
    domain: str = "learners.miniature:domain"
    """What the tasks are of: `python` or module:name."""
    goalposts: str = ""
    """Goalposts to be guided by: a .jsonl file or module:name; empty for the domain's own."""
    heldout: str = "learners.miniature:heldout"
    """Problems on which pass@1 and pass@8 are measured before and after, named likewise; empty for none."""
    sandbox: str = "auto"
    """Isolation tier: docker, bwrap, landlock, or auto for the first of them that opens."""
    episodes: int = 64
    """Episodes of one update."""
    attempts: int = 8
    """Tries of the solver at a proposal, and at a goalpost."""
    goalpost_rate: float | None = None
    """Share of episodes played on the goalpost itself: 0 is GASP, 1 is RL on the real problems. Default: the
    curriculum's."""
    axis: Literal["both", "io", "f", "none"] = "both"
    """What lemmas and lifts change."""
    lifts: int = 1
    """Most lifts of an episode, each made from the one before; 0 leaves them out."""
    two_steps: bool = False
    """Ask for a variant in two turns, its program first, which suits small language models."""
    batch_duplicates: bool = True
    """Pay copies within one step once: of equal proposals, only the first is attempted."""
    teacher_reward: str = ""
    """Name of the teacher's reward, or module:name of your own; empty for the curriculum's."""
    solver_reward: str = "azr"
    """Name of the solver's reward."""
    temperature: float = 1.0
    """Of the sampling, in training and evaluation."""
    max_tokens: int = 96
    """Of an answer, end token included; one that does not end by then has failed."""

    train_roles: str = "both"
    """Whose turns train, both, teacher or solver; the others play as well."""
    train_on: Literal["solve", "attempts", "both"] = "both"
    """Which of the solver's turns train: solve turns (as published), attempts at proposals, or both, which learns more
    of equally many updates. Goalpost turns train with each."""
    norm: Norm = "role_stage_kind"
    """Populations of the advantages; role_kind reproduces AZR."""
    baseline: Baseline = "none"
    """Subtract the mean of the prompt's group before normalising (REINFORCE++-baseline)."""
    weighting: Weighting = "token"
    """Whether statistics weigh tokens (OpenRLHF, verl, AZR) or answers alike."""
    std_floor: float = 1e-3
    """Least standard deviation to divide by."""
    advantage_cap: float | None = None
    """Largest advantage."""
    overlong: Literal["fail", "mask"] = "fail"
    """Answers that were cut off: paid as they are judged, or left out of statistics and loss."""
    shuffle_advantages: bool = False
    """Control: hand every row another row's advantage."""

    updates: int = 100
    """Updates to make."""
    seconds: float | None = None
    """Stop sooner, after this much training time (evaluation not counted)."""
    tokens: int | None = None
    """Stop sooner, after the update in which the sampled tokens of the run, of all roles and processes, reach this
    number (evaluation not counted)."""
    lr: float = 2e-4
    """Learning rate of AdamW; falls linearly to 5 % over the second half."""
    minibatches: int = 2
    """Optimizer steps an epoch: rows are shuffled by prompt, since a prompt's answers share its computation."""
    epochs: int = 1
    """Passes over the rows of an update."""
    clip_low: float = 0.2
    """The ratio is clipped below 1 minus this."""
    clip_high: float = 0.28
    """The ratio is clipped above 1 plus this."""
    micro_tokens: int = 65_536
    """Most tokens whose gradients are computed at once, shared beginnings counted once: what the memory holds. Changes
    no result but for rounding."""
    correction: Literal["none", "truncate"] = "none"
    """Of the gap between the engine that samples and the one that trains: weigh each token with the ratio of their
    probabilities, at most --correction-cap. Costs a forward pass where an update has several steps."""
    correction_cap: float = 2.0
    """Largest weight of a token for the gap between engines."""
    dual_clip: float = 3.0
    """Bound of the loss where the advantage is negative, in advantages."""
    kl: KL = "none"
    """Divergence from the start model: k1 in the reward, or k2 or k3 as a loss."""
    kl_coef: float = 0.05
    """Its coefficient, where there is one."""
    entropy_coef: float = 0.0
    """Bonus for entropy."""
    grad_clip: float = 1.0
    """Largest norm of the gradient."""

    eval_samples: int = 16
    """Answers to each held-out problem, before and after; at least 8, which pass@8 takes."""
    goalpost_samples: int = 64
    """Answers to each goalpost, before and after; 0 leaves this out."""
    track: tuple[Literal["tensorboard", "wandb", "trackio"], ...] = ("tensorboard",)
    """Where metrics go beside metrics.jsonl; any of them, or none."""
    checkpoint_every: int = 20
    """Updates between checkpoints; the end, and Ctrl-C, make one too. Several processes make one after each."""
    keep_checkpoints: int = 2
    """Checkpoints kept."""
    episodes_every: int = 10
    """Updates between stored episodes; those of the first are stored too."""
    episodes_kept: int = 4
    """Episodes stored each time."""


#: Options that may differ between a run and its continuation.
FREE = {"name", "runs", "resume", "device", "threads", "sandbox", "updates", "seconds", "tokens", "eval_samples",
        "recipe", "goalpost_samples", "checkpoint_every", "keep_checkpoints", "episodes_every", "episodes_kept",
        "track", "micro_tokens", "accumulate"}  # fmt: skip
#: Options of policies that change no result but for rounding, and may differ likewise.
FREE_OF_POLICIES = {
    "cache",
    "checkpointing",
    "rows",
    "threads",
    "shard",
    "server",
    "exchange",
    "memory",
    "eager",
}


def trains(role: str, args: Args) -> bool:
    """True if the turns of a role train: the options say so, and weights in training play them."""
    if args.train_roles not in ("both", role) or args.freeze == role:
        return False
    return args.weights == "by_role" or not getattr(args, f"{role}_policy", "")


def env_options(args: Args) -> dict[str, Any]:
    """The options of the environment that are options here."""
    found = {
        name: getattr(args, name) for name in ("curriculum", "attempts", "solver_reward", "batch_duplicates")
    }
    game = names(curricula.get(args.curriculum))
    found |= {
        name: getattr(args, name) for name in ("goalpost_rate", "axis", "lifts", "two_steps") if name in game
    }
    found = {name: value for name, value in found.items() if value is not None}
    return found | ({"teacher_reward": args.teacher_reward} if args.teacher_reward else {})


def fixed(args: Args) -> dict[str, Any]:
    """The settings that a run and its continuation have in common; models by the whole path."""
    settings = {key: value for key, value in asdict(args).items() if key not in FREE}
    settings["policy_options"] = {
        role: {
            key: str(Path(value).resolve()) if key == "model" and Path(value).exists() else str(value)
            for key, value in options.items()
            if key not in FREE_OF_POLICIES
        }
        for role, options in args.policy_options.items()
    }
    return settings


def check(args: Args) -> None:
    """Refuse options that no run can be made with, before anything is loaded.

    Raises:
        SystemExit: with one line that names the option.
    """
    command_line.at_least(
        args, seed=0, threads=0, episodes=1, attempts=1, max_tokens=1, updates=1, minibatches=1, epochs=1
    )
    command_line.at_least(args, lifts=0, tokens=1, micro_tokens=1, correction_cap=1)
    command_line.at_least(
        args, goalpost_samples=0, checkpoint_every=1, keep_checkpoints=1, episodes_every=1, episodes_kept=1
    )
    command_line.at_least(
        args, goalpost_rate=0, clip_low=0, clip_high=0, dual_clip=1, kl_coef=0, entropy_coef=0
    )
    command_line.positive(args, "temperature", "std_floor", "advantage_cap", "seconds", "lr", "grad_clip")
    if args.goalpost_rate is not None and args.goalpost_rate > 1:
        raise SystemExit(f"--goalpost-rate {args.goalpost_rate}: expected a share, from 0 to 1")
    if args.heldout and args.eval_samples < 8:
        raise SystemExit(
            f"--eval-samples {args.eval_samples}: expected 8 or more, which pass@8 takes, got {args.eval_samples}; "
            'use more, or --heldout "" to measure nothing'
        )
    if args.train_roles not in ("both", *ROLES):
        raise SystemExit(f"--train-roles {args.train_roles}: expected both, {' or '.join(ROLES)}")
    if not any(trains(role, args) for role in ROLES):
        raise SystemExit(
            f"--train-roles {args.train_roles}: expected a role whose weights train, "
            "got other policies, or --freeze, for all of them"
        )
    if Path(args.name).name != args.name or args.name in (".", ".."):
        raise SystemExit(f"--name {args.name}: expected the name of a folder in --runs, not a path")
    if args.shuffle_advantages and args.kl == "k1_reward":
        raise SystemExit("--shuffle-advantages moves whole rows: expected --kl other than k1_reward")
    command_line.computes(args.device)
    with command_line.option("--domain", args.domain):
        domains.get(args.domain)
    with command_line.option("--curriculum", args.curriculum):
        curricula.get(args.curriculum)
    if args.teacher_reward:
        with command_line.option(
            "--teacher-reward", args.teacher_reward, "module:name imports one of your own"
        ):
            TeacherRewards(args.teacher_reward)
    with command_line.option("--sandbox", args.sandbox):
        shared(tier=args.sandbox)
    for tracker in args.track:
        if find_spec(tracker) is None:
            raise SystemExit(f"--track {tracker}: its package is not installed: pip install {tracker}")
