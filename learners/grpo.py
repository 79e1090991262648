"""GRPO self-play with TRL's trainer: the rollouts, options and files of `learners.reinforcepp`, another learner.

    python -m learners.grpo --model PATH --lora 16
    python -m learners.grpo --recipe laptop --model PATH --proposals 4
    torchrun --nproc_per_node 2 -m learners.grpo --model PATH --device cuda

`SelfPlayGRPO` is TRL's ``GRPOTrainer`` with rows of its own: those that the episodes of an update give, as many as they
are, of both roles. TRL has the loss (the clipped surrogate, a mean over the tokens of an optimizer step, ``dapo``), the
loop, the optimizer's steps over processes and the checkpoints, in which the state of the episodes lies too.

What differs from `learners.reinforcepp`:

- The advantage of an answer is its reward within the group of answers to its prompt (arXiv 2402.03300):
  ``(r - mean) / (std + 1e-4)``. One that is alone in its group has no such mean, and gets its role's, stage's and
  kind's. For a lemma to have a group, ``--proposals`` episodes of an update ask the same; with 1 the teacher's turns
  are all alone.
- ``--norm``, ``--baseline``, ``--weighting`` and ``--std-floor`` are not used; ``--kl`` can be ``k3_loss``, with the
  ratio. There is no dual clip.
- The log-probabilities of the start model, for ``--kl``, are those of our engine: in bfloat16 they differ a little from
  TRL's forward pass, so that the divergence is not quite 0 at first.
- An optimizer step has ``--accumulate`` micro-batches whatever their size, where ``--micro-tokens`` bounds them there.
- The policy is one of the ``transformers`` library, and both roles share its weights.

Unscored answers, and with ``--overlong mask`` those that were cut off, are in neither loss nor its normaliser.
"""

from __future__ import annotations

import json
import shutil
import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from datasets import Dataset
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from learners import config, recipes
from learners.advantages import group_relative, populations
from learners.batches import constants, padded
from learners.command_line import INTERRUPTED, Interrupted, at_least, command, option, parse
from learners.config import ROLES, Args
from learners.evaluate import Evaluation
from learners.losses import truncated_weights
from learners.manifest import manifest
from learners.metrics import costs, describe
from learners.players import seat
from learners.policies.transformers import TransformersPolicy
from learners.processes import Processes, joined, own_device
from learners.reinforcepp import learning_rate, trains
from learners.report import Report, note, summarise, table
from learners.rollout import Rollout, exchange, play
from learners.run_dir import check_learner, own_directory
from learners.setting import Setting, prepare
from learners.training_state import CheckpointError, State, Training
from learners.turn_records import TurnRecord

#: Names of our files in TRL's checkpoints.
_STATE, _RECORD, _RANDOM = "self_play", "state.json", "random.safetensors"


@dataclass
class GRPOArgs(Args):
    """Options of this learner. Those of the reference learner that are not used are in the module's docstring."""

    policy: str = "transformers"
    domain: str = "python"
    heldout: str = ""
    proposals: int = 4
    """Episodes that ask the teacher for the same lemma, so that its proposals are compared; divides the episodes of
    every process."""
    accumulate: int = 8
    """Micro-batches of an optimizer step: what the memory holds. Changes no result but for rounding."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """What advantages are divided by: the standard deviation of the group, of the whole update, or nothing (Dr. GRPO,
    arXiv 2503.20783)."""


class SelfPlayGRPO(GRPOTrainer):
    """TRL's trainer on turns of both roles.

    Args:
        policy: that plays and trains.
        seats: the policy of each role.
        setting: problems and envs.
        args: options.
        training: the run so far.
        report: of the run.
        run: its directory.
    """

    def __init__(
        self,
        policy: TransformersPolicy,
        seats: dict[str, Any],
        setting: Setting,
        args: GRPOArgs,
        training: Training,
        report: Report,
        run: Path,
    ) -> None:
        self.policy, self.seats, self.setting, self.options = policy, seats, setting, args
        self.training, self.report = training, report
        self.folder = run / "checkpoints"
        self.rows_rng, self.began_update = training.rng, 0.0
        self.played: tuple[Rollout, list[TurnRecord]] | None = None
        self.logged: dict[str, list[float]] = defaultdict(list)
        self._due: list[dict[str, Tensor]] = []
        self.start = policy.fork("start") if args.kl != "none" else None
        policy.activate()  # which adapter trains is settled when TRL wraps the model
        self.steps = args.minibatches * args.epochs  # optimizer steps of an update
        slices = args.minibatches * args.accumulate
        optimizer = training.players[0].optimizer
        every = 1 if setting.processes.count > 1 else args.checkpoint_every
        super().__init__(
            model=policy.module,
            reward_funcs=_not_called,
            args=GRPOConfig(
                output_dir=str(self.folder),
                max_steps=args.updates * self.steps,
                # Rows are ours, so these sizes only have to be consistent.
                per_device_train_batch_size=2,
                num_generations=2,
                steps_per_generation=slices,
                gradient_accumulation_steps=args.accumulate,
                num_iterations=args.epochs,
                loss_type="dapo",
                epsilon=args.clip_low,
                epsilon_high=args.clip_high,
                use_bias_correction_kl=True,
                temperature=args.temperature,
                entropy_coef=args.entropy_coef,
                max_completion_length=args.max_tokens,
                max_grad_norm=args.grad_clip,
                learning_rate=args.lr,
                seed=args.seed,
                use_cpu=args.device == "cpu",
                bf16=False,
                activation_checkpointing=False,  # an option of the policy
                ignore_data_skip=True,
                logging_steps=1,
                save_steps=every * self.steps,
                report_to="none",
                disable_tqdm=True,
            ),
            # Its rows only say that it is time for another update.
            train_dataset=Dataset.from_dict({"prompt": [""] * (slices * setting.processes.count)}),
            processing_class=policy.tokenizer,
            callbacks=[_Updates(self)],
            optimizers=(
                optimizer,
                torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: learning_rate(training.progress())),
            ),
        )
        self.remove_callback(PrinterCallback)
        # Only now: TRL would read a reference model from the hub. Ours is a copy of the weights.
        self.beta = args.kl_coef if args.kl == "k3_loss" else 0.0

    def _prepare_inputs(self, generation_batch: Any) -> dict[str, Tensor]:
        """The micro-batch that is due; before the first of an update, its episodes are played."""
        slices = self.options.minibatches * self.options.accumulate
        if self._step % (slices * self.options.epochs) == 0:
            self._due = self._micro_batches(self._rollout())
        inputs = self._due[self._step % slices]
        self.report.during(f"training, micro-batch {self._step + 1}")
        return inputs

    def _rollout(self) -> list[TurnRecord]:
        """Play the episodes of an update; the turns of all processes."""
        envs, training = self.setting.envs, self.training
        self.began_update = time.perf_counter()
        library = envs.library.copy()
        envs.reset(seed=self.setting.episode_seeds() if training.step == 0 else None)
        for source in range(0, envs.num_envs, self.options.proposals):
            for target in range(source + 1, source + self.options.proposals):
                envs.clone(source, target)
        envs.library.step = library.step = training.step + 1
        self.policy.module.eval()
        rollout = play(envs, self.seats, self.setting.sampling, self.report.during)
        self.policy.module.train()
        records = exchange(rollout.records, self.setting.processes)
        self.setting.merge(library)
        self.played = rollout, records
        return [record for record in records if trains(record, self.options)]

    def _micro_batches(self, rows: list[TurnRecord]) -> list[dict[str, Tensor]]:
        """This process's share of an update's rows, by micro-batch: as many for every process and optimizer step."""
        options, processes = self.options, self.setting.processes
        advantages = self._advantages(rows)
        reference = torch.zeros(0, 0)
        if rows and self.start is not None:
            reference = constants(self.start, rows, options.temperature, options.micro_tokens, processes)
        corrected = options.correction == "truncate" and all(row.logprobs is not None for row in rows)
        found = []
        order = self.rows_rng.permutation(len(rows))
        for part in np.array_split(order, options.minibatches):
            tokens = sum(sum(rows[row].mask) for row in part)
            pieces = _even([int(row) for row in part], rows, processes.count * options.accumulate)
            for piece in pieces[processes.rank :: processes.count]:
                own = [rows[row] for row in piece]
                batch = _tensors(own, self._tokenizer.pad_token_id)
                shape, index = batch["completion_ids"].shape, torch.tensor(piece, dtype=torch.long)
                values = advantages[index, None].float().expand(-1, shape[1]) if piece else torch.zeros(shape)
                if self.steps > 1 or corrected:
                    old = self._known(batch)
                    if self.steps > 1:
                        batch["old_per_token_logps"] = old
                    if corrected and piece:
                        # A weight of a token is a factor of its advantage, in which the clipped surrogate is linear.
                        sampled = padded([row.logprobs or () for row in own], torch.float32)
                        mask = batch["tool_mask"].bool()
                        values = values * truncated_weights(old, sampled, mask, options.correction_cap)
                if self.start is not None:
                    batch["ref_per_token_logps"] = (
                        reference[index, : shape[1]] if piece else torch.zeros(shape)
                    )
                batch["advantages"] = values
                # TRL takes the tokens of all optimizer steps together, and an equal part of them for each.
                batch["num_items_in_batch"] = torch.tensor(float(tokens * options.minibatches))
                found.append({name: value.to(self.accelerator.device) for name, value in batch.items()})
        return found

    def _known(self, batch: dict[str, Tensor]) -> Tensor:
        """Log-probabilities of a micro-batch before the update, by the forward pass that the loss has."""
        self.policy.activate()
        ids, masks = (
            torch.cat([batch[f"prompt_{kind}"], batch[f"completion_{kind}"]], dim=1).to(
                self.accelerator.device
            )
            for kind in ("ids", "mask")
        )
        with torch.no_grad():
            logps, *_ = self._get_per_token_logps_and_entropies(
                self.model, ids, masks, batch["completion_ids"].shape[1]
            )
        found: Tensor = logps.float().cpu()
        return found

    def _compute_loss(self, model: Any, inputs: dict[str, Tensor]) -> Tensor:
        """TRL's loss, of the policy's adapter, and with the bonus for entropy as a mean over the optimizer step."""
        self.policy.activate()
        options = self.options
        if options.entropy_coef:  # TRL takes the mean over a micro-batch, and of these over those of the step
            window = float(inputs["num_items_in_batch"]) / options.minibatches
            share = float(inputs["tool_mask"].sum()) * options.accumulate * self.setting.processes.count
            self.entropy_coef = options.entropy_coef * share / max(window, 1.0)
        loss: Tensor = super()._compute_loss(model, inputs)  # type: ignore[no-untyped-call]
        return loss

    def _advantages(self, rows: list[TurnRecord]) -> Tensor:
        """One number a row."""
        if not rows:
            return torch.zeros(0)
        options = self.options
        population, _ = populations([(r.role, r.stage, r.kind) for r in rows], "role_stage_kind")
        values = group_relative(
            torch.tensor([row.reward for row in rows], dtype=torch.float64),
            torch.tensor([row.group for row in rows]),
            population,
            scale=options.scale_rewards,
        )
        if options.advantage_cap is not None:
            values = values.clamp(-options.advantage_cap, options.advantage_cap)
        if options.shuffle_advantages:
            values = values[torch.from_numpy(self.rows_rng.permutation(len(rows)))]
        return values

    def end_update(self) -> None:
        """Count the update that has just ended."""
        assert self.played is not None
        training = self.training
        whole = time.perf_counter() - self.began_update
        # The same in all processes, as the learning rate may follow it.
        self.whole = float(self.setting.processes.all(whole)[0])
        training.trained += self.whole
        training.step += 1
        self.policy.version += 1
        training.ledger.add(self.played[1])

    def report_update(self) -> None:
        """Write what is known of it."""
        assert self.played is not None
        (rollout, records), training = self.played, self.training
        seconds = {**rollout.seconds, "update": self.whole - sum(rollout.seconds.values())}
        rows = [record for record in records if trains(record, self.options)]
        metrics = {
            f"train/{'gradient_norm' if name == 'grad_norm' else name}": sum(values) / len(values)
            for name, values in self.logged.items()
        }
        self.logged.clear()
        metrics |= {"train/rows": float(len(rows)), "train/tokens": float(sum(sum(r.mask) for r in rows))}
        metrics |= describe(records) | {f"seconds/{name}": value for name, value in seconds.items()}
        metrics |= costs(records, metrics, seconds, self.options.epochs) | training.totals()
        self.report.log(training.step, metrics, note(metrics, training))
        if training.step % self.options.episodes_every == 0 or training.step == 1:
            kept = self.setting.envs.transcripts[: self.options.episodes_kept]
            self.report.episodes(training.step, kept)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        """TRL's checkpoint and, in it, the state of the episodes; then the oldest go."""
        super(GRPOTrainer, self)._save_checkpoint(model, trial)  # without a model card
        state = self.training.state()
        if self.setting.processes.main:
            final = self.folder / f"checkpoint-{self.state.global_step}" / _STATE
            draft = final.with_name(f".{_STATE}")
            draft.mkdir(exist_ok=True)
            save_file(state.generators, draft / _RANDOM)
            record = {"step": state.step, "config": state.config, "data": state.data}
            (draft / _RECORD).write_text(json.dumps(record))
            shutil.rmtree(final, ignore_errors=True)
            draft.rename(final)
            for old in _checkpoints(self.folder)[: -self.options.keep_checkpoints]:
                shutil.rmtree(old)
        self.setting.processes.all(None)

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Write the weights as a folder of the policy."""
        folder = Path(output_dir) if output_dir else self.folder
        folder.mkdir(parents=True, exist_ok=True)
        self.policy.save(folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        self.policy.load(Path(resume_from_checkpoint))


class _Updates(TrainerCallback):
    """Tells the trainer of the ends of updates, and ends the training when Ctrl-C was pressed."""

    def __init__(self, trainer: SelfPlayGRPO) -> None:
        self.trainer = trainer
        self.interrupted: Interrupted | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Take the learning rate of this run's length: a checkpoint has the one that its own length led to."""
        self._set_rate(given["optimizer"], given["lr_scheduler"])

    @staticmethod
    def _set_rate(optimizer: Any, schedule: Any) -> None:
        for group, base, factor in zip(
            optimizer.param_groups, schedule.base_lrs, schedule.lr_lambdas, strict=True
        ):
            group["lr"] = base * factor(schedule.last_epoch)

    def on_step_end(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Count an update; stop at its end, with a checkpoint, when it is time to."""
        trainer = self.trainer
        if state.global_step % trainer.steps:
            return
        trainer.end_update()
        # TRL has set the next step's rate before this update was counted.
        self._set_rate(given["optimizer"], given["lr_scheduler"])
        over = trainer.training.progress() >= 1
        pressed = self.interrupted is not None and self.interrupted.pressed
        if any(trainer.setting.processes.all(pressed or over)):
            control.should_training_stop = control.should_save = True

    def on_log(self, args: Any, state: Any, control: Any, **given: Any) -> None:
        """Keep what TRL says of an optimizer step; at the end of an update, report it."""
        trainer, logs = self.trainer, given["logs"]
        if "loss" not in logs:
            return
        for name, value in logs.items():
            if isinstance(value, float):
                trainer.logged[name].append(value)
        if state.global_step % trainer.steps == 0:
            trainer.report_update()


def check(args: GRPOArgs) -> None:
    """Refuse options that no run can be made with.

    Raises:
        SystemExit: with one line that names the option.
    """
    config.check(args)
    at_least(args, proposals=1, accumulate=1)
    if args.policy_options.get("", {}).get("shard"):
        raise SystemExit(
            "--shard: expected learners.reinforcepp; this learner holds all weights in each process"
        )
    if args.weights != "shared":
        raise SystemExit(f"--weights {args.weights}: expected shared: TRL trains one model")
    if args.kl not in ("none", "k3_loss"):
        raise SystemExit(f"--kl {args.kl}: expected none or k3_loss, which are what TRL has")


def main(args: GRPOArgs) -> dict[str, Any]:
    """Train, evaluate, and return the contents of summary.json; empty if the run was interrupted.

    Raises:
        SystemExit: an option is wrong, or names something that cannot be had.
    """
    args = replace(args, device=own_device(args.device))
    check(args)
    with ExitStack() as held:
        processes = held.enter_context(joined(args.device))
        with option("--name", args.name):
            run = held.enter_context(own_directory(args.runs, args.name, args.resume, processes))
            check_learner(run, "grpo")
        return self_play(args, run, processes)


def self_play(args: GRPOArgs, run: Path, processes: Processes) -> dict[str, Any]:
    """`main`, in a directory that is this run's own."""
    began = time.perf_counter()
    with option("--resume", args.resume):
        found = _find(args.resume, run) if args.resume else None
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    players = seat(args)
    policy: Any = players.training[0].policy
    if not isinstance(policy, TransformersPolicy):
        raise SystemExit(
            f"--policy {args.policy}: expected one of the transformers library, which TRL trains"
        )
    setting = prepare(args, processes)
    shares = {len(Processes(rank, processes.count).share(args.episodes)) for rank in range(processes.count)}
    if any(share % args.proposals for share in shares):
        raise SystemExit(
            f"--proposals {args.proposals}: expected a divisor of the episodes of a process, "
            f"{' or '.join(map(str, sorted(shares)))}"
        )
    streams = players.streams(args.seed, processes)
    training = Training(players.training, setting, np.random.default_rng(args.seed), streams, began)
    if found is not None:
        with option("--resume", args.resume):
            training.set_state(_read(found, training.config), found)
        for later in _checkpoints(run / "checkpoints") if processes.main else ():
            if _number(later) > _number(found):  # of another branch of the run
                shutil.rmtree(later)
    with option("--track", " ".join(args.track)):
        report = Report(run, training.step, args.updates, args.track, processes)
    tier = setting.envs.sandbox.tier
    report.say(f"{run}: {args.policy} plays {args.domain}, judged in the {tier} sandbox; TRL trains")
    if training.step == 0:
        measured = setting.measure(players.policy, 10_001 + args.seed)
        report.write("before.json", {key: asdict(value) for key, value in measured.items()})
    facts = {"policy": args.policy, "sandbox": tier, "config": training.config, "learner": "grpo"}
    ran = manifest(asdict(args), **facts, processes=processes.count, resumed_at=training.step)
    report.write(f"manifest-{training.step:06d}.json" if training.step else "manifest.json", ran)
    before = {key: Evaluation(**value) for key, value in report.read("before.json").items()}

    trainer = SelfPlayGRPO(policy, players.seats, setting, args, training, report, run)
    if trainer.accelerator.num_processes != processes.count:
        raise SystemExit(
            f"expected {processes.count} processes, TRL sees {trainer.accelerator.num_processes}: start them with "
            "torchrun, on CPUs with ACCELERATE_USE_CPU=true"
        )
    (updates,) = (one for one in trainer.callback_handler.callbacks if isinstance(one, _Updates))
    with report, Interrupted() as interrupted, training.without(run / "checkpoints"):
        updates.interrupted = interrupted
        if training.progress() < 1:
            trainer.train(resume_from_checkpoint=str(found) if found is not None else None)
        elif found is not None:
            policy.load(found)
    if any(processes.all(interrupted.pressed)):
        report.say(
            f"interrupted after update {training.step}. Go on with the same options and --resume {run}"
        )
        return {}
    policy.module.eval()
    after = setting.measure(players.policy, 20_001 + args.seed)
    summary = summarise(run, args, training, len(setting.goalposts), before, after)
    if processes.main:
        players.save(run)
    report.console.print(table(summary))
    report.say(f"summary: {report.write('summary.json', summary)}")
    return summary


def _find(resume: str, run: Path) -> Path | None:
    """The newest checkpoint of a run, or the one that is named.

    Raises:
        CheckpointError: there is none at a path that was named.
    """
    path = run if resume == "auto" else Path(resume)
    if (path / _STATE).is_dir():
        return path
    whole = _checkpoints(path / "checkpoints")
    if not whole and resume != "auto":
        raise CheckpointError(
            f"expected --resume to name a run or a checkpoint of this learner, found neither at {path}"
        )
    return whole[-1] if whole else None


def _checkpoints(folder: Path) -> list[Path]:
    """Whole checkpoints, oldest first: our part of one is written last."""
    return sorted((one for one in folder.glob("checkpoint-*") if _is_whole(one)), key=_number)


def _is_whole(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / _STATE / _RECORD).read_text())
    except (OSError, ValueError):
        return False
    return True


def _number(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _read(checkpoint: Path, config_hash: str) -> State:
    record = json.loads((checkpoint / _STATE / _RECORD).read_text())
    if record["config"] != config_hash:
        raise CheckpointError(
            f"checkpoint {checkpoint} was made with other settings: repeat the options in its run's manifest.json"
        )
    generators = load_file(checkpoint / _STATE / _RANDOM)
    return State(record["step"], record["config"], record["data"], generators)


def _even(part: list[int], rows: list[TurnRecord], count: int) -> list[list[int]]:
    """Rows in ``count`` pieces of about as many padded tokens: the longest go, one by one, to the emptiest piece."""
    pieces: list[list[int]] = [[] for _ in range(count)]
    sizes = [0] * count
    length = {row: len(rows[row].prompt_ids) + len(rows[row].completion_ids) for row in part}
    for row in sorted(part, key=lambda row: -length[row]):
        least = sizes.index(min(sizes))
        pieces[least].append(row)
        sizes[least] += length[row]
    return pieces


def _tensors(rows: list[TurnRecord], pad: int) -> dict[str, Tensor]:
    """A micro-batch as TRL's loss reads it. Without a row it has one that does not count, as every process has to take
    part in every step."""
    prompts = [row.prompt_ids for row in rows] or [(pad,)]
    completions = [row.completion_ids for row in rows] or [(pad,)]
    counted = [row.mask for row in rows] or [(False,)]
    flipped = [tuple(reversed(ids)) for ids in prompts]  # padded on the left
    ones = [(1,) * len(ids) for ids in prompts]
    filled = padded([(1,) * len(ids) for ids in completions], torch.long)
    completion_ids = torch.where(filled.bool(), padded(completions, torch.long), pad)
    prompt_mask = padded(ones, torch.long).flip(1)
    return {
        "prompt_ids": torch.where(prompt_mask.bool(), padded(flipped, torch.long).flip(1), pad),
        "prompt_mask": prompt_mask,
        "completion_ids": completion_ids,
        "completion_mask": filled,
        "tool_mask": padded(counted, torch.long),
    }


def _not_called(*_: Any, **__: Any) -> list[float | None]:
    """Rewards are the environment's."""
    raise RuntimeError("expected no call: rewards are the environment's")


if __name__ == "__main__":
    with command():
        if not main(parse(GRPOArgs, "python -m learners.grpo", __doc__, ROLES, recipes)):
            raise SystemExit(INTERRUPTED)
