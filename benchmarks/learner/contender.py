"""A contender in a process of its own: reads a line of JSON, takes steps, and answers with one."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import PrinterCallback, TrainerCallback
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.grpo_trainer import GRPOTrainer

from benchmarks.decode import workload
from benchmarks.decode.contenders import Generate, Ours, memory
from benchmarks.decode.workload import Size, Workload
from learners import grpo
from learners.config import Args
from learners.optimizers import adamw
from learners.policies import transformers
from learners.processes import ALONE
from learners.reinforcepp import update
from learners.report import Report
from learners.setting import prepare
from learners.training_state import Training
from learners.turn_records import TurnRecord

LEARNING_RATE = 1e-5


def main() -> None:
    """Measure."""
    asked = json.loads(sys.stdin.readline())
    options = {name: asked[name] for name in ("threads", "dtype", "lora", "checkpointing")}
    policy = transformers.load(asked["model"], **options)
    work = workload.make(policy, Size(**asked["size"]), asked["seed"])
    records = rows(work, policy, asked["seed"])
    sample, steps = CONTENDERS[asked["contender"]](policy, work, records, asked)
    spent: dict[str, list[float]] = {"sample": [], "train": []}
    # Standard output is for the answer.
    answer, sys.stdout = sys.stdout, sys.stderr
    for _ in range(asked["repeats"] + 1):
        start = time.process_time()
        with torch.no_grad():
            sample()
        spent["sample"].append(time.process_time() - start)
    passed = _Passed(policy.module.model.layers[0])
    spent["train"] = steps(asked["repeats"] + 1)
    passes = passed.positions / (asked["repeats"] + 1)
    found = {
        # The first of each is left out: it makes the optimizer's moments, and whatever is made once.
        "cpu_seconds": {name: values[1:] for name, values in spent.items()},
        "tokens": work.tokens,
        "rows": len(records),
        "positions_trained": passes,
        "share_that_trains": round(work.tokens / passes, 4),
        "peak_mib": memory("VmHWM"),
    }
    print(json.dumps(found), file=answer, flush=True)


def rows(work: Workload, policy: Any, seed: int) -> list[TurnRecord]:
    """The completions of a workload as rows, with random rewards, right or wrong, and the log-probabilities that
    sampling would have told."""
    rng = np.random.default_rng(seed)
    with torch.no_grad():
        scores = policy.score(list(zip(work.prompts, work.scripts, strict=True)))
    told = iter(scores.logprobs.float().tolist())
    return [
        TurnRecord(
            prompt_ids=prompt,
            completion_ids=ids,
            mask=(True,) * len(ids),
            logprobs=tuple(next(told)[: len(ids)]),
            reward=float(rng.choice([1.0, -0.5])),
            agent="solver_0",
            role="solver",
            stage="goalpost",
            kind=None,
            axis=None,
            group=group,
            version=0,
        )
        for group, (prompt, scripts) in enumerate(zip(work.prompts, work.scripts, strict=True))
        for ids in scripts
    ]


#: What samples once, and what takes a number of steps and tells the seconds of each.
Made = tuple[Callable[[], Any], Callable[[int], list[float]]]


def reinforcepp(policy: Any, work: Workload, records: list[TurnRecord], asked: dict[str, Any]) -> Made:
    """Our learner and our engine."""
    args = Args(minibatches=1, micro_tokens=asked["micro_tokens"], lr=LEARNING_RATE)
    optimizer = adamw(policy.parameters(), args.lr)
    rng = np.random.default_rng(0)
    told = [*records]

    def steps(count: int) -> list[float]:
        seconds = []
        for _ in range(count):
            start = time.process_time()
            update(policy, None, optimizer, told, args, rng)
            seconds.append(time.process_time() - start)
        return seconds

    engine = Ours(policy)
    return lambda: engine(work), steps


def own_grpo(policy: Any, work: Workload, records: list[TurnRecord], asked: dict[str, Any]) -> Made:
    """TRL's loss and steps on our rows, and our engine."""
    from learners.players import Player

    args = grpo.GRPOArgs(
        minibatches=1,
        accumulate=asked["accumulate"],
        proposals=1,
        episodes=2,
        lr=LEARNING_RATE,
        correction="none",
        track=(),
        goalpost_rate=1.0,
        goalpost_samples=0,
        checkpoint_every=10**6,
    )
    engine = Ours(policy)

    def steps(count: int) -> list[float]:
        args.updates = count
        setting = prepare(args, ALONE)
        player = Player("", policy, adamw(policy.parameters(), args.lr), frozenset({"teacher", "solver"}))
        training = Training([player], setting, np.random.default_rng(0), {}, time.perf_counter())
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder)
            report = Report(run, 0, count, ())
            trainer = grpo.SelfPlayGRPO(policy, {}, setting, args, training, report, run)
            trainer._rollout = lambda: records  # type: ignore[method-assign]
            trainer.remove_callback(grpo._Updates)
            clock = _Clock()
            trainer.add_callback(clock)
            trainer._save_checkpoint = lambda *_: None  # type: ignore[method-assign]
            trainer.train()
        return clock.seconds

    return lambda: engine(work), steps


def trl(policy: Any, work: Workload, records: list[TurnRecord], asked: dict[str, Any]) -> Made:
    """TRL's trainer as it comes, told what was sampled; and the library's ``generate``, given prompts as TRL does."""
    samples = len(work.scripts[0])
    engine = Generate(policy)
    scripts = [ids for group in work.scripts for ids in group]
    prompts = [prompt for prompt in work.prompts for _ in range(samples)]

    class Told(GRPOTrainer):
        def _generate_single_turn(self, *_: Any, **__: Any) -> Any:
            return [list(ids) for ids in scripts], None

        def _tokenize_prompts(self, given: Any) -> Any:
            return [list(prompt) for prompt in prompts], None, {}

        def _save_checkpoint(self, *_: Any) -> None: ...

    rewards: list[float | None] = [record.reward for record in records]

    def steps(count: int) -> list[float]:
        with tempfile.TemporaryDirectory() as folder:
            trainer = Told(
                model=policy.module,
                reward_funcs=lambda prompts, **_: rewards[: len(prompts)],
                args=GRPOConfig(
                    output_dir=folder,
                    max_steps=count,
                    per_device_train_batch_size=-(-len(records) // asked["accumulate"]),
                    gradient_accumulation_steps=asked["accumulate"],
                    steps_per_generation=asked["accumulate"],
                    num_generations=samples,
                    max_completion_length=work.longest,
                    learning_rate=LEARNING_RATE,
                    shuffle_dataset=False,
                    use_cpu=True,
                    bf16=False,
                    activation_checkpointing=False,
                    report_to="none",
                    disable_tqdm=True,
                    logging_steps=1,
                    save_strategy="no",
                ),
                train_dataset=Dataset.from_dict(
                    {"prompt": [f"prompt {n}" for n in range(len(work.prompts))]}
                ),
                processing_class=policy.tokenizer,
                optimizers=(adamw(policy.parameters(), LEARNING_RATE), None),
            )
            trainer.remove_callback(PrinterCallback)
            clock = _Clock()
            trainer.add_callback(clock)
            trainer.train()
        return clock.seconds

    return lambda: engine.run(prompts, scripts, 1), steps


class _Passed:
    """Counts positions of forward passes through a layer, those of padding and without a gradient too."""

    def __init__(self, layer: torch.nn.Module) -> None:
        self.positions = 0
        layer.register_forward_pre_hook(self._count, with_kwargs=True)

    def _count(self, layer: torch.nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        hidden = given[0] if given else named["hidden_states"]
        self.positions += hidden.shape[:-1].numel()


class _Clock(TrainerCallback):
    """Processor seconds of optimizer steps."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._start = time.process_time()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Between the ends of two steps lies everything that one does."""
        now = time.process_time()
        self.seconds.append(now - self._start)
        self._start = now


CONTENDERS: dict[str, Callable[..., Made]] = {"reinforcepp": reinforcepp, "grpo": own_grpo, "trl": trl}

if __name__ == "__main__":
    main()
