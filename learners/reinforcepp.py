"""REINFORCE++ self-play: a teacher and a solver, one policy, every verdict by execution. Reads top to bottom.

    python -m learners.reinforcepp                                 # the miniature, 5 to 10 minutes on 2 cores
    python -m learners.reinforcepp --resume auto                   # go on after Ctrl-C
    python -m learners.reinforcepp --updates 300 --seed 1 --name longer
    python -m learners.reinforcepp --shuffle-advantages            # control: nothing to learn from
    python -m learners.reinforcepp --policy my_package:policy --domain python --heldout ""

One update: play ``--episodes`` episodes to their end under the current policy (a teacher's credit
arrives when its proposal has been attempted), turn rewards into advantages per (role, stage, kind)
(`learners.advantages`), take clipped steps (`learners.losses`). A run's files lie in runs/NAME:
before.json (the start model, measured), manifest.json, metrics.jsonl, tensorboard/, checkpoints/,
policy/ (the final weights), summary.json, and episodes/*.jsonl, which
``python -m gasp_env.play --replay FILE`` plays again.
"""

from __future__ import annotations

import copy
import signal
import time
from collections import Counter
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
import tyro

from gasp_env import domains
from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.rewards import TeacherRewards
from gasp_env.rewards.registry import get_solver_reward
from gasp_env.sandbox import shared
from learners import config as usage
from learners import policies, training_state
from learners.advantages import Baseline, Norm, Weighting, populations, task_relative
from learners.batches import MICRO_ROWS, constants, minibatches, padded, score
from learners.evaluate import Evaluation, evaluate, load_goalposts
from learners.losses import KL, k3, kl_loss, policy_loss
from learners.manifest import manifest
from learners.metrics import Ledger, MaskedMeans, describe
from learners.policies import Sampling, TrainablePolicy
from learners.rollout import play
from learners.run_dir import Report, directory, table
from learners.training_state import State
from learners.turn_records import TurnRecord


@dataclass
class Args:
    """Options of the reference learner. The defaults are the miniature's main run."""

    name: str = ""
    """Name of the run; its files lie in RUNS/NAME. Default: the time."""
    runs: Path = Path("runs")
    """Where runs lie."""
    resume: str = ""
    """Go on from a checkpoint: `auto` for the newest of this run (without --name: of the newest run), or a path.
    Where `auto` finds none, a new run begins. Other options must be those of the run."""
    seed: int = 0
    """Of episodes, sampling and minibatches, and of the measurements."""
    policy: str = "learners.miniature:policy"
    """Function that returns the policy, module:name, called with device=."""
    device: str = "cpu"
    """Where the policy computes."""
    threads: int = 0
    """Threads torch computes with; 0 leaves its choice. Use 1 on a machine that others use too."""

    domain: str = "learners.miniature:domain"
    """What is played: `python` or module:name."""
    goalposts: str = ""
    """Goalposts to be guided by: a .jsonl file or module:name; empty for the domain's own."""
    heldout: str = "learners.miniature:heldout"
    """Problems on which pass@1 and pass@8 are measured before and after, named likewise; empty for none."""
    sandbox: str = "auto"
    """Isolation tier, or auto for the first that opens; `python -m gasp_env.sandbox doctor` lists them."""
    episodes: int = 64
    """Episodes of one update."""
    attempts: int = 8
    """Tries of the solver at a proposal, and at a goalpost."""
    goalpost_rate: float = 0.0
    """Share of episodes played on the goalpost itself: 0 is GASP, 1 is RL on the real problems."""
    axis: Literal["both", "io", "f"] = "both"
    """What lemmas and lifts change."""
    teacher_reward: str = "gasp"
    """Name of the teacher's reward, or module:name of your own."""
    solver_reward: str = "azr"
    """Name of the solver's reward."""
    temperature: float = 1.0
    """Of the sampling, in training and evaluation."""
    max_tokens: int = 96
    """Of an answer, end token included; one that does not end by then has failed."""

    train_roles: Literal["both", "teacher", "solver"] = "both"
    """Whose turns train; the others play as well."""
    train_on: Literal["solve", "attempts", "both"] = "solve"
    """Which of the solver's turns train: solve turns (as published), attempts at proposals, or both. Goalpost
    turns train with each."""
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
    shuffle_advantages: bool = False
    """Control: hand every row another row's advantage."""

    updates: int = 100
    """Updates to make."""
    seconds: float | None = None
    """Stop sooner, after this much training time (evaluation not counted)."""
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
    checkpoint_every: int = 20
    """Updates between checkpoints; the end, and Ctrl-C, make one too."""
    keep_checkpoints: int = 2
    """Checkpoints kept."""
    episodes_every: int = 10
    """Updates between stored episodes; those of the first are stored too."""
    episodes_kept: int = 4
    """Episodes stored each time."""


#: What may differ between a run and its continuation.
FREE = {"name", "runs", "resume", "device", "threads", "sandbox", "updates", "seconds", "eval_samples",
        "goalpost_samples", "checkpoint_every", "keep_checkpoints", "episodes_every", "episodes_kept"}  # fmt: skip


def trains(record: TurnRecord, args: Args) -> bool:
    """Whether a row takes part in statistics and loss (unscored rows are masked later)."""
    if args.train_roles not in ("both", record.role):
        return False
    return {"attempt": args.train_on != "solve", "solve": args.train_on != "attempts"}.get(record.stage, True)


def learning_rate(progress: float) -> float:
    """Factor of the learning rate after a share of the run: 1, then linearly down to 0.05 over the second half."""
    return 1.0 if progress < 0.5 else max(0.05, 1.0 - 0.95 * (2 * progress - 1))


def update(
    policy: TrainablePolicy,
    start: TrainablePolicy | None,
    optimizer: torch.optim.Optimizer,
    records: list[TurnRecord],
    args: Args,
    rng: np.random.Generator,
) -> dict[str, float]:
    """One update on the turns of one rollout; returns what to log. ``start`` is the start model, if KL is on."""
    rows = [record for record in records if trains(record, args)]
    if not any(record.scored for record in rows):
        return {"train/rows": 0.0}

    # Advantages: one number a token, the same along a row unless KL is part of the reward.
    mask = padded([r.mask for r in rows], torch.bool)
    scored = torch.tensor([r.scored for r in rows])
    if any(r.logprobs is None for r in rows):
        behaviour = constants(policy, rows, args.temperature)  # the policy has not moved since it sampled
    else:
        behaviour = padded([r.logprobs or () for r in rows], torch.float32)
    reference = constants(start, rows, args.temperature) if start is not None else behaviour
    population, names = populations([(r.role, r.stage, r.kind) for r in rows], args.norm)
    result = task_relative(
        torch.tensor([0.0 if r.reward is None else r.reward for r in rows], dtype=torch.float64),
        scored,
        mask,
        population,
        torch.tensor([r.group for r in rows]),
        baseline=args.baseline,
        weighting=args.weighting,
        floor=args.std_floor,
        cap=args.advantage_cap,
        k1=behaviour - reference,
        beta=args.kl_coef if args.kl == "k1_reward" else 0.0,
    )
    advantages, live = result.values.float(), mask & scored[:, None]
    if args.shuffle_advantages:
        of_row, judged = advantages[:, 0].clone(), scored.nonzero()[:, 0]
        of_row[judged] = of_row[judged[torch.from_numpy(rng.permutation(len(judged)))]]
        advantages = torch.where(live, of_row[:, None], 0.0)

    # One loss per optimizer step: a mean over all its tokens, however it is cut into micro-batches.
    means, norms = MaskedMeans(), list[float]()
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    policy.module.train()
    for part in [part for _ in range(args.epochs) for part in minibatches(rows, args.minibatches, rng)]:
        tokens = int(live[part].sum())
        if not tokens:
            continue
        optimizer.zero_grad(set_to_none=True)
        for first in range(0, len(part), MICRO_ROWS):
            micro = part[first : first + MICRO_ROWS]
            order, scores = score(policy, [rows[i] for i in micro], args.temperature)
            new, width = scores.logprobs, scores.logprobs.shape[1]
            index = torch.tensor(micro)[order]
            aligned = [x[index, :width].to(new.device) for x in (live, behaviour, reference, advantages)]
            m, old, ref, a = aligned
            surrogate = policy_loss(
                new, old, a, m, clip_low=args.clip_low, clip_high=args.clip_high, dual_clip=args.dual_clip
            )
            loss = surrogate.loss.sum() - args.entropy_coef * torch.where(m, scores.entropy, 0.0).sum()
            if args.kl in ("k2_loss", "k3_loss"):
                loss = loss + args.kl_coef * kl_loss(new, ref, old, m, args.kl).sum()
            (loss / tokens).backward()
            means.add("train/loss", surrogate.loss, m)
            means.add("train/entropy", scores.entropy, m)
            means.add("train/clipped", surrogate.clipped, m)
            means.add("train/kl_to_behaviour", k3(old - new), m)
            if start is not None:
                means.add("train/kl_to_start", k3(new - ref), m)
            if not norms:  # before the first step both sides are one policy: any gap is the engines'
                means.add("train/engine_gap", (new - old).abs(), m)
        norms.append(float(torch.nn.utils.clip_grad_norm_(parameters, args.grad_clip)))
        optimizer.step()
    policy.module.eval()
    policy.version += 1
    return {
        "train/rows": float(scored.sum()),
        "train/tokens": float(live.sum()),
        "train/gradient_norm": sum(norms) / len(norms),
        "train/populations_without_signal": float((result.std == 0).float().mean()),
        **{f"reward_std/{name}": float(std) for name, std in zip(names, result.std, strict=True)},
        **means.means(),
    }


def check(args: Args) -> None:
    """Refuse what no run can be made with, before anything is loaded.

    Raises:
        SystemExit: with one line that names the option.
    """
    usage.at_least(
        args, seed=0, threads=0, episodes=1, attempts=1, max_tokens=1, updates=1, minibatches=1, epochs=1
    )
    usage.at_least(
        args, goalpost_samples=0, checkpoint_every=1, keep_checkpoints=1, episodes_every=1, episodes_kept=1
    )
    usage.at_least(args, goalpost_rate=0, clip_low=0, clip_high=0, dual_clip=1, kl_coef=0, entropy_coef=0)
    usage.positive(args, "temperature", "std_floor", "advantage_cap", "seconds", "lr", "grad_clip")
    if args.goalpost_rate > 1:
        raise SystemExit(f"--goalpost-rate {args.goalpost_rate}: expected a share, from 0 to 1")
    if args.heldout and args.eval_samples < 8:
        raise SystemExit(
            f"--eval-samples {args.eval_samples}: expected 8 or more, which pass@8 takes, got {args.eval_samples}; "
            'use more, or --heldout "" to measure nothing'
        )
    if Path(args.name).name != args.name or args.name in (".", ".."):
        raise SystemExit(f"--name {args.name}: expected the name of a folder in --runs, not a path")
    if args.shuffle_advantages and args.kl == "k1_reward":
        raise SystemExit("--shuffle-advantages moves whole rows: expected --kl other than k1_reward")
    usage.computes(args.device)
    with usage.option("--domain", args.domain):
        domains.get(args.domain)
    with usage.option("--teacher-reward", args.teacher_reward, "module:name imports one of your own"):
        TeacherRewards(args.teacher_reward)
    with usage.option("--sandbox", args.sandbox):
        shared(tier=args.sandbox)


def main(args: Args) -> dict[str, Any]:
    """Train, evaluate, and return what summary.json holds; nothing if the run was interrupted.

    Raises:
        SystemExit: an option is wrong, or what it names cannot be had.
    """
    check(args)
    if args.threads:
        torch.set_num_threads(args.threads)
    began = time.perf_counter()
    with usage.option("--name", args.name):
        run = directory(args.runs, args.name, args.resume)
    with usage.option("--resume", args.resume):
        found = training_state.find(args.resume, run) if args.resume else None

    # Everything random: episodes (the envs' own), sampling, minibatches.
    torch.manual_seed(args.seed)
    generator, rng = torch.Generator().manual_seed(args.seed), np.random.default_rng(args.seed)
    episode_seeds = [int(seed) for seed in np.random.SeedSequence(args.seed).generate_state(args.episodes)]

    with usage.option("--policy", args.policy, "name a function that returns a TrainablePolicy"):
        policy = policies.load(args.policy, args.device)
        policy.module.eval()
    start = None if args.kl == "none" else copy.deepcopy(policy)
    optimizer = torch.optim.AdamW(policy.module.parameters(), lr=args.lr, weight_decay=0.0)
    sampling = Sampling(args.temperature, args.max_tokens)
    with usage.option("--goalposts", args.goalposts):
        goalposts = load_goalposts(args.goalposts, args.domain)
    with usage.option("--heldout", args.heldout):
        heldout = load_goalposts(args.heldout, args.domain) if args.heldout else ()
    with usage.option("--solver-reward", args.solver_reward):
        get_solver_reward(args.solver_reward)  # only now: the modules named above may have registered it
    with usage.option("--domain", args.domain):
        envs = GaspCodeVectorEnv(
            num_envs=args.episodes,
            domain=args.domain,
            goalposts=goalposts,
            attempts=args.attempts,
            goalpost_rate=args.goalpost_rate,
            axis=args.axis,
            teacher_reward=args.teacher_reward,
            solver_reward=args.solver_reward,
            sandbox=args.sandbox,
        )
    with usage.option("--sandbox", args.sandbox):
        envs.sandbox.open()
    runs_before = envs.sandbox.runs

    # Go on where a checkpoint left off.
    step, trained, ledger, earlier = 0, 0.0, Ledger(), {"seconds": 0.0, "runs": 0}
    config = training_state.config_hash({k: v for k, v in asdict(args).items() if k not in FREE})
    with usage.option("--resume", args.resume):
        state = None if found is None else training_state.load(found, policy, optimizer, config)
    if state is not None:
        step, trained, earlier = state.step, state.data["trained"], state.data["spent"]
        policy.version, ledger = state.data["version"], Ledger.restore(state.data["ledger"])
        envs.set_state(state.data["envs"])
        rng.bit_generator.state = state.data["numpy"]
        generator.set_state(state.generators["sampling"])
        torch.set_rng_state(state.generators["torch"])

    def spent() -> dict[str, Any]:
        seconds = earlier["seconds"] + time.perf_counter() - began
        return {"seconds": seconds, "runs": earlier["runs"] + envs.sandbox.runs - runs_before}

    def save() -> Path:
        counters = {"trained": trained, "spent": spent(), "version": policy.version, "ledger": ledger.state()}
        data = {**counters, "envs": envs.state(), "numpy": rng.bit_generator.state}
        generators = {"sampling": generator.get_state(), "torch": torch.get_rng_state()}
        state = State(step, config, data, generators)
        return training_state.save(run / "checkpoints", policy, optimizer, state, args.keep_checkpoints)

    def measure(seed: int) -> dict[str, Evaluation]:
        """Held-out problems and goalposts, by one protocol before and after."""
        sets = {"heldout": (heldout, args.eval_samples), "goalposts": (goalposts, args.goalpost_samples)}
        ask = partial(
            evaluate, policy, sampling=sampling, seed=seed, domain=args.domain, sandbox=args.sandbox
        )
        return {key: ask(them, samples=n) if them and n else Evaluation() for key, (them, n) in sets.items()}

    facts = {"policy": args.policy, "sandbox": envs.sandbox.tier, "config": config, "resumed_at": step}
    ran = manifest(asdict(args), **facts)
    with usage.option("--runs", args.runs):
        report = Report(run, step, args.updates)
    report.say(f"{run}: {args.policy} plays {args.domain}, judged in the {envs.sandbox.tier} sandbox")
    if step == 0:
        report.say("measuring the start model")
        try:
            measured = measure(10_001 + args.seed)
        except KeyboardInterrupt:
            report.say("interrupted before the first update: nothing to go on from, so start again")
            report.close()
            return {}
        report.write("before.json", {key: asdict(value) for key, value in measured.items()})
    # The manifest says that a run of this name exists, so it is written once there is something to keep.
    report.write(f"manifest-{step:06d}.json" if step else "manifest.json", ran)
    with usage.option("--resume", args.resume, "resume a checkpoint inside its run's directory"):
        before = {key: Evaluation(**value) for key, value in report.read("before.json").items()}

    interrupted = False

    def interrupt(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a second Ctrl-C does not wait

    handler = signal.signal(signal.SIGINT, interrupt)
    with report:
        while step < args.updates and not interrupted and (args.seconds is None or trained < args.seconds):
            clock = time.perf_counter()
            progress = max(step / args.updates, 0.0 if args.seconds is None else trained / args.seconds)
            for group in optimizer.param_groups:
                group["lr"] = args.lr * learning_rate(progress)
            envs.reset(seed=episode_seeds if step == 0 else None)
            envs.library.step = step + 1
            rollout = play(envs, policy, sampling, generator)
            played = time.perf_counter()
            metrics = update(policy, start, optimizer, rollout.records, args, rng)
            seconds = {**rollout.seconds, "update": time.perf_counter() - played}
            trained += time.perf_counter() - clock
            step += 1
            ledger.add(rollout.records)
            accepted = Counter(entry.task.stage for entry in envs.library.entries if entry.accepted)
            metrics |= describe(rollout.records)
            metrics |= {f"seconds/{name}": value for name, value in seconds.items()}
            metrics |= {f"library/accepted_{stage}s": float(accepted[stage]) for stage in ("lemma", "lift")}
            metrics["library/valid"] = float(len(envs.library))
            metrics["tokens/total"] = float(sum(ledger.tokens.values()))
            metrics["sandbox/runs"] = float(spent()["runs"])
            metrics["train/lr"] = optimizer.param_groups[0]["lr"]
            note = "  ".join(f"{n[7:]} {v:+.2f}" for n, v in metrics.items() if n.startswith("reward/"))
            note += f"  lemmas {accepted['lemma']}  lifts {accepted['lift']}  {trained / step:.1f} s/update"
            report.log(step, metrics, note)
            if step % args.episodes_every == 0 or step == 1:
                report.episodes(step, envs.transcripts[: args.episodes_kept])
            if step % args.checkpoint_every == 0:
                save()
    signal.signal(signal.SIGINT, handler)
    kept = save()
    if interrupted:
        report.say(
            f"interrupted after update {step}; saved {kept}. Go on with the same options and --resume {run}"
        )
        return {}

    report.say("measuring the trained model")
    try:
        after = measure(20_001 + args.seed)
    except KeyboardInterrupt:
        report.say(
            f"interrupted after training; saved {kept}. Measure it with the same options and --resume {run}"
        )
        return {}
    policy.save(run / "policy")
    totals = spent()
    accepted = Counter(entry.task.stage for entry in envs.library.entries if entry.accepted)
    summary = {
        "accepted_lemmas": accepted["lemma"],
        "accepted_lifts": accepted["lift"],
        "sandbox": {"tier": envs.sandbox.tier, "runs": totals["runs"]},
        "pass_at_1": {"before": before["heldout"].pass_at(1), "after": after["heldout"].pass_at(1)},
        "pass_at_8": {"before": before["heldout"].pass_at(8), "after": after["heldout"].pass_at(8)},
        "goalposts_reached": {
            "base_resampled": before["goalposts"].reached,
            "after": after["goalposts"].reached,
            "samples_each": args.goalpost_samples,
            "of": len(goalposts),
        },
        "solve_rates": ledger.solve_rates(),
        "proposals": ledger.proposed,
        "rewards": ledger.quarters(),
        "tokens": {"total": sum(ledger.tokens.values()), "solver": ledger.tokens["solver"]},
        "groups": ledger.groups,
        "updates": step,
        "seconds": totals["seconds"],
        "seconds_training": trained,
        "episodes": str(max((run / "episodes").glob("*.jsonl"))),
    }
    report.console.print(table(summary))
    report.say(f"summary: {report.write('summary.json', summary)}")
    report.say(f"play episodes again: python -m gasp_env.play --replay {summary['episodes']}")
    return summary


if __name__ == "__main__":
    with usage.command():
        if not main(tyro.cli(Args, prog="python -m learners.reinforcepp", description=__doc__)):
            raise SystemExit(usage.INTERRUPTED)
