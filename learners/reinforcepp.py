"""REINFORCE++ self-play: a teacher and a solver, one policy, every verdict by execution. Reads top to bottom.

    python -m learners.reinforcepp                                 # the miniature, 5 to 10 minutes on 2 cores
    python -m learners.reinforcepp --resume auto                   # go on after Ctrl-C
    python -m learners.reinforcepp --updates 300 --seed 1 --name longer
    python -m learners.reinforcepp --shuffle-advantages            # control: nothing to learn from
    python -m learners.reinforcepp --teacher-policy silent         # another policy for a role, which does not train
    python -m learners.reinforcepp --policy transformers --model PATH --lora 16      # a language model
    python -m learners.reinforcepp --policy my_package:policy --domain python --heldout ""
    torchrun --nproc_per_node 2 -m learners.reinforcepp                 # on several processes, or GPUs

One update: play ``--episodes`` episodes to their end under the current policy (a teacher's credit
arrives when its proposal has been attempted), turn rewards into advantages per (role, stage, kind)
(`learners.advantages`), take clipped steps (`learners.losses`). A run's files lie in runs/NAME:
before.json (the start model, measured), manifest.json, metrics.jsonl, tensorboard/, checkpoints/,
policy/ (the final weights), summary.json, and episodes/*.jsonl, which
``python -m gasp_env.play --replay FILE`` plays again.

Left out: a critic, a reference model unless ``--kl`` asks for one, and asynchronous sampling: a rollout is
played and trained on by the same weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from learners import config, recipes, training_state
from learners.advantages import populations, task_relative
from learners.batches import constants, minibatches, padded, score, shares
from learners.command_line import INTERRUPTED, Interrupted, command, option, parse
from learners.config import ROLES, Args
from learners.evaluate import Evaluation
from learners.losses import k3, kl_loss, policy_loss, truncated_weights
from learners.manifest import manifest
from learners.metrics import MaskedMeans, costs, describe
from learners.optimizers import clip
from learners.players import seat
from learners.policies import TrainablePolicy, moved
from learners.processes import ALONE, Processes, is_parted, joined, own_device
from learners.report import Report, note, summarise, table
from learners.rollout import exchange, play
from learners.run_dir import check_learner, own_directory
from learners.setting import prepare
from learners.training_state import Training
from learners.turn_records import TurnRecord


def trains(record: TurnRecord, args: Args) -> bool:
    """True if a row takes part in statistics and loss: it was judged, and the options say so."""
    if not record.scored or not record.completion_ids:
        return False
    if not config.trains(record.role, args) or (args.overlong == "mask" and record.stop == "length"):
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
    say: Callable[[str], None] = lambda text: None,
    processes: Processes = ALONE,
) -> dict[str, float]:
    """One update on the turns of one rollout, all processes' together; returns its metrics.

    ``start`` is the start model, if KL is on.
    """
    rows = [record for record in records if trains(record, args)]
    if not any(any(record.mask) for record in rows):
        return {"train/rows": 0.0, "train/tokens": 0.0}

    # Advantages: one number a token, the same along a row unless KL is part of the reward.
    mask = padded([r.mask for r in rows], torch.bool)
    known = partial(
        constants, records=rows, temperature=args.temperature, tokens=args.micro_tokens, processes=processes
    )
    # The policy has not moved since it sampled, but its log-probabilities in training are not quite those in sampling.
    told = all(r.logprobs is not None for r in rows)
    one_step, corrected = args.minibatches * args.epochs == 1, args.correction == "truncate"
    sampled = padded([r.logprobs or () for r in rows], torch.float32) if told else known(policy)
    # What is compared with the trained model, or with the start model, has to be of the same engine.
    exact = told and (args.kl == "k1_reward" or (corrected and not one_step))
    trained = known(policy) if exact else sampled
    behaviour = trained if corrected else sampled
    reference = known(start) if start is not None else trained
    population, names = populations([(r.role, r.stage, r.kind) for r in rows], args.norm)
    result = task_relative(
        torch.tensor([r.reward for r in rows], dtype=torch.float64),
        torch.ones(len(rows), dtype=torch.bool),
        mask,
        population,
        torch.tensor([r.group for r in rows]),
        baseline=args.baseline,
        weighting=args.weighting,
        floor=args.std_floor,
        cap=args.advantage_cap,
        k1=trained - reference,
        beta=args.kl_coef if args.kl == "k1_reward" else 0.0,
    )
    advantages = result.values.float()
    if args.shuffle_advantages:  # a row has one advantage, which stands on its first token that trains
        of_row = advantages.gather(1, mask.int().argmax(1, keepdim=True))
        advantages = torch.where(mask, of_row[torch.from_numpy(rng.permutation(len(rows)))], 0.0)

    # One loss per optimizer step: a mean over all its tokens, however it is cut into micro-batches.
    means, norms = MaskedMeans(), list[float]()
    policy.module.train()
    done = 0
    for part in [part for _ in range(args.epochs) for part in minibatches(rows, args.minibatches, rng)]:
        tokens = int(mask[part].sum())
        if not tokens:
            continue
        optimizer.zero_grad(set_to_none=True)
        for micro in shares(rows, part, args.micro_tokens, processes, is_parted(policy.parameters())):
            order, scores = score(policy, [rows[i] for i in micro], args.temperature)
            new, width = scores.logprobs, scores.logprobs.shape[1]
            index = torch.tensor(micro, dtype=torch.long)[order]
            aligned = (
                x[index, :width].to(new.device) for x in (mask, sampled, behaviour, reference, advantages)
            )
            m, drawn, old, ref, a = aligned
            if corrected and one_step:  # both sides are one policy
                old = new.detach()
            surrogate = policy_loss(
                new, old, a, m, clip_low=args.clip_low, clip_high=args.clip_high, dual_clip=args.dual_clip
            )
            weights = truncated_weights(old, drawn, m, args.correction_cap) if corrected else 1.0
            loss = (weights * surrogate.loss).sum() - args.entropy_coef * torch.where(
                m, scores.entropy, 0.0
            ).sum()
            if args.kl in ("k2_loss", "k3_loss"):
                loss = loss + args.kl_coef * kl_loss(new, ref, old, m, args.kl).sum()
            (loss / tokens).backward()
            means.add("train/loss", surrogate.loss, m)
            means.add("train/entropy", scores.entropy, m)
            for number, name in enumerate(names):
                own = population[index] == number
                means.add(f"entropy/{name}", scores.entropy[own], m[own])
            means.add("train/clipped", surrogate.clipped, m)
            means.add("train/kl_to_behaviour", k3(old - new), m)
            if start is not None:
                means.add("train/kl_to_start", k3(new - ref), m)
            if not norms:  # before the first step both sides are one policy: any gap is the engines'
                means.add("train/engine_gap", (new - drawn).abs(), m)
            done += len(micro)
            say(f"training, {done} of {args.epochs * len(rows)} rows")
        processes.add(policy.parameters())
        norms.append(clip(policy.parameters(), args.grad_clip))
        optimizer.step()
    policy.module.eval()
    moved(policy)
    return {
        "train/rows": float(len(rows)),
        "train/tokens": float(mask.sum()),
        "train/gradient_norm": sum(norms) / max(len(norms), 1),
        "train/populations_without_signal": float((result.std == 0).float().mean()),
        **{f"reward_std/{name}": float(std) for name, std in zip(names, result.std, strict=True)},
        **means.means(processes),
    }


def main(args: Args) -> dict[str, Any]:
    """Train, evaluate, and return the contents of summary.json; empty if the run was interrupted.

    Raises:
        SystemExit: an option is wrong, or names something that cannot be had; or another process of the run has ended.
    """
    args = replace(args, device=own_device(args.device))
    config.check(args)
    with option("--resume", args.resume):
        if args.resume not in ("", "auto"):
            training_state.find(args.resume, args.runs)  # before anything is written
    with ExitStack() as held:
        processes = held.enter_context(joined(args.device))
        with option("--name", args.name):
            run = held.enter_context(own_directory(args.runs, args.name, args.resume, processes))
            check_learner(run, "reinforcepp")
        return self_play(args, run, processes)


def self_play(args: Args, run: Path, processes: Processes) -> dict[str, Any]:
    """`main`, in a directory that is this run's own."""
    began = time.perf_counter()
    with option("--resume", args.resume):
        found = training_state.find(args.resume, run) if args.resume else None
    if args.threads:
        torch.set_num_threads(args.threads)

    # The policies of the roles, and the weights that train; their problems, rewards and envs.
    torch.manual_seed(args.seed)
    players = seat(args)
    policy, seats = players.policy, players.seats
    starts: dict[str, TrainablePolicy | None] = {player.name: None for player in players.training}
    if args.kl != "none":
        starts = {player.name: player.policy.fork(f"start_{player.name}") for player in players.training}
    setting = prepare(args, processes)
    envs = setting.envs

    # Everything random: episodes (the envs' own), sampling (the policies' own), minibatches (all processes').
    rng = np.random.default_rng(args.seed)
    training = Training(players.training, setting, rng, players.streams(args.seed, processes), began)
    if found is not None:  # go on where a checkpoint left off
        with option("--resume", args.resume):
            training.restore(found)
            training_state.forget_after(run / "checkpoints", training.step, processes)

    with option("--track", " ".join(args.track)):
        report = Report(run, training.step, args.updates, args.track, processes)
    report.say(f"{run}: {args.policy} plays {args.domain}, judged in the {envs.sandbox.tier} sandbox")
    if training.step == 0:
        report.say("measuring the start model")
        try:
            measured = setting.measure(policy, 10_001 + args.seed)
        except KeyboardInterrupt:
            if processes.count > 1:  # the others wait for this one, and end when it does
                raise
            report.say("interrupted before the first update: nothing to go on from, so start again")
            report.close()
            return {}
        report.write("before.json", {key: asdict(value) for key, value in measured.items()})
    # The manifest says that a run of this name exists, so it is written once there is something to keep.
    facts = {"policy": args.policy, "sandbox": envs.sandbox.tier, "config": training.config}
    facts["learner"] = "reinforcepp"
    ran = manifest(asdict(args), **facts, processes=processes.count, resumed_at=training.step)
    report.write(f"manifest-{training.step:06d}.json" if training.step else "manifest.json", ran)
    with option("--resume", args.resume, "resume a checkpoint inside its run's directory"):
        before = {key: Evaluation(**value) for key, value in report.read("before.json").items()}

    # Several processes lose no more than an update; the moments of shared-out weights are too many for that.
    parted = is_parted(policy.parameters())
    with report, Interrupted() as interrupted, training.without(run / "checkpoints"):
        while (progress := training.progress()) < 1 and not any(processes.all(interrupted.pressed)):
            clock = time.perf_counter()
            for group in (group for player in players.training for group in player.optimizer.param_groups):
                group["lr"] = args.lr * learning_rate(progress)
            library = envs.library.copy()
            envs.reset(seed=setting.episode_seeds() if training.step == 0 else None)
            envs.library.step = library.step = training.step + 1
            rollout = play(envs, seats, setting.sampling, report.during)
            played = time.perf_counter()
            records = exchange(rollout.records, processes)
            setting.merge(library)
            metrics: dict[str, float] = {}
            for player in players.training:
                own = [record for record in records if record.role in player.roles]
                start = starts[player.name]
                made = update(
                    player.policy, start, player.optimizer, own, args, rng, report.during, processes
                )
                metrics |= player.named(made)
            seconds = {**rollout.seconds, "update": time.perf_counter() - played}
            training.trained += processes.all(time.perf_counter() - clock)[
                0
            ]  # equal in all, as the rate follows it
            training.step += 1
            training.ledger.add(records)
            metrics |= describe(records)
            metrics |= {f"seconds/{name}": value for name, value in seconds.items()}
            metrics |= costs(records, metrics, seconds, args.epochs) | training.totals()
            metrics["train/lr"] = args.lr * learning_rate(progress)
            report.log(training.step, metrics, note(metrics, training))
            if training.step % args.episodes_every == 0 or training.step == 1:
                report.episodes(training.step, envs.transcripts[: args.episodes_kept])
            if training.step % args.checkpoint_every == 0 or (processes.count > 1 and not parted):
                training.save(run / "checkpoints", args.keep_checkpoints)
    kept = training.save(run / "checkpoints", args.keep_checkpoints)
    if any(processes.all(interrupted.pressed)):
        report.say(
            f"interrupted after update {training.step}; saved {kept}. Go on with the same options and --resume {run}"
        )
        return {}

    report.say("measuring the trained model")
    try:
        after = setting.measure(policy, 20_001 + args.seed)
    except KeyboardInterrupt:
        if processes.count > 1:
            raise
        report.say(
            f"interrupted after training; saved {kept}. Measure it with the same options and --resume {run}"
        )
        return {}
    summary = summarise(run, args, training, len(setting.goalposts), before, after)
    if processes.main:
        players.save(run)
    report.console.print(table(summary))
    report.say(f"summary: {report.write('summary.json', summary)}")
    report.say(f"play episodes again: python -m gasp_env.play --replay {summary['episodes']}")
    return summary


if __name__ == "__main__":
    with command():
        if not main(parse(Args, "python -m learners.reinforcepp", __doc__, ROLES, recipes)):
            raise SystemExit(INTERRUPTED)
