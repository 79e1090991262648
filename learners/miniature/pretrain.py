"""Make the miniature's base models from nothing, on a laptop's processor.

    OMP_NUM_THREADS=1 python -m learners.miniature.pretrain --out runs/miniature

Two phases. *Broad*: every op is common and the learning rate falls to zero. *Narrow*: a short tuning
on shallower programs that never use the theme's ops, so that what the model could do is still
in it but is no longer what it volunteers. Both models are written, as ``OUT/broad`` and ``OUT/buried``,
with ``OUT/pretrain.json`` and, as training goes, one line a report in ``OUT/pretrain.jsonl``. The two
can be run apart: ``--narrow-steps 0`` ends after the first, ``--start DIR/broad`` does the second.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
import tyro
from torch import Tensor, distributed, multiprocessing

from learners.manifest import manifest
from learners.miniature import pools, world
from learners.miniature.corpus import Corpus, Example
from learners.miniature.miniature_policy import MiniaturePolicy
from learners.miniature.model import Shape, Transformer, causal_bias
from learners.miniature.muon import Muon
from learners.miniature.tokenizer import Tokenizer

RENDEZVOUS = "rendezvous"


@dataclass(frozen=True)
class Settings:
    """Settings of a pretraining run.

    Attributes:
        out: where the models and the log go.
        minutes: wall-clock length of the broad phase; the learning rate falls over its second half.
        narrow_steps: updates of the narrow phase.
        narrow_theme: share of steps from the theme in the narrow phase (in the broad one it is 0.2): the more, the
            shallower they are buried.
        narrow_variety: how often a lemma of the narrow phase has a step replaced (in the broad one 0.35).
        batch: examples per update, over all processes.
        micro: examples per forward pass; each pass is padded to its own longest.
        muon_lr, adam_lr: peak learning rates of block matrices (Muon) and of the rest (AdamW).
        narrow_lr: AdamW's for everything in the narrow phase.
        processes: copies that share the gradient work, one thread each.
        device: ``cpu`` or ``cuda``.
        seed: of weights and data.
        start: a broad model to narrow, in place of the broad phase.
    """

    out: Path = Path("runs/miniature")
    minutes: float = 20.0
    narrow_steps: int = 300
    narrow_theme: float = world.NARROW.theme
    narrow_variety: float = 0.75
    batch: int = 96
    micro: int = 16
    muon_lr: float = 4e-3
    adam_lr: float = 3e-3
    narrow_lr: float = 2e-3
    processes: int = 1
    device: str = "cpu"
    seed: int = 1
    start: Path | None = None


def batches(corpus: Corpus, batch: int, micro: int, pad: int) -> Iterator[list[tuple[Tensor, Tensor]]]:
    """Each update's examples as (ids, weights), cut into passes of like length."""
    while True:
        drawn = sorted((corpus.draw() for _ in range(batch)), key=lambda example: len(example.ids))
        yield [collate(drawn[i : i + micro], pad) for i in range(0, batch, micro)]


def collate(examples: list[Example], pad: int) -> tuple[Tensor, Tensor]:
    """Rows padded on the right; padding weighs nothing."""
    longest = max(len(example.ids) for example in examples)
    ids = torch.full((len(examples), longest), pad)
    weights = torch.zeros(len(examples), longest)
    for row, example in enumerate(examples):
        ids[row, : len(example.ids)] = torch.tensor(example.ids)
        weights[row, : len(example.ids)] = torch.tensor(example.weights)
    return ids, weights


def loss(model: Transformer, ids: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Summed weighted loss, summed loss of the tokens of full weight, and how many those are."""
    inputs, targets, weights = ids[:, :-1], ids[:, 1:], weights[:, 1:]
    hidden = model(inputs, *model.places(inputs), causal_bias(inputs.shape[1], ids.device))
    counted = weights > 0
    losses = F.cross_entropy(model.logits(hidden[counted]), targets[counted], reduction="none")
    answers = weights[counted] == 1
    return (losses * weights[counted]).sum(), losses[answers].sum().detach(), answers.sum()


class Run:
    """The state of one process of a pretraining run."""

    def __init__(self, settings: Settings, rank: int) -> None:
        self.settings, self.rank = settings, rank
        torch.manual_seed(settings.seed)
        self.tokenizer = Tokenizer()
        self.policy = MiniaturePolicy.fresh(Shape(), self.tokenizer, settings.device)
        if settings.start is not None:
            self.policy.load(settings.start)
        self.model = self.policy.transformer
        self.tokens, self.updates, self.began = 0, 0, time.monotonic()
        self.curve: list[dict[str, Any]] = []

    def corpus(self, mix: world.Mix, variety: float) -> Corpus:
        """Examples of a phase. Teachers always get broad programs, so that the narrow phase keeps their skills."""
        rng = random.Random(f"{self.settings.seed} {self.rank} {mix}")
        return Corpus(self.tokenizer, mix, world.BROAD, pools.reserved(), rng, variety)

    def phase(
        self,
        name: str,
        corpus: Corpus,
        optimisers: list[torch.optim.Optimizer],
        rate: Callable[[float], float],
        progress: Callable[[int, float], float],
    ) -> None:
        """Train until ``progress(updates, seconds)`` reaches 1; ``rate`` scales the learning rates."""
        settings, began = self.settings, time.monotonic()
        peaks = [optimiser.param_groups[0]["lr"] for optimiser in optimisers]
        share = settings.batch // settings.processes
        stream = batches(corpus, share, settings.micro, self.tokenizer.pad)
        for update, passes in enumerate(stream, start=1):
            total = sum(float(weights[:, 1:].sum()) for _, weights in passes)
            answer_loss, answers = 0.0, 0
            for ids, weights in passes:
                weighted, summed, count = loss(
                    self.model, ids.to(settings.device), weights.to(settings.device)
                )
                (weighted / total).backward()
                answer_loss, answers = answer_loss + float(summed), answers + int(count)
            done = self.share_gradients(progress(update, time.monotonic() - began))
            for optimiser, peak in zip(optimisers, peaks, strict=True):
                optimiser.param_groups[0]["lr"] = peak * rate(min(done, 1.0))
                optimiser.step()
                optimiser.zero_grad()
            self.tokens += settings.processes * sum(
                int((ids != self.tokenizer.pad).sum()) for ids, _ in passes
            )
            self.updates += 1
            if self.rank == 0 and (update % 25 == 0 or done >= 1):
                self.report(name, update, done, answer_loss / answers)
            if self.rank == 0 and update % 250 == 0:
                self.policy.save(settings.out / "latest")
            if done >= 1:
                return

    def share_gradients(self, done: float) -> float:
        """Average gradients over the processes; they also agree on how far they are."""
        if self.settings.processes == 1:
            return done
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        flat = torch.cat([*(g.flatten() for g in gradients), torch.tensor([done])])
        distributed.all_reduce(flat)
        flat /= self.settings.processes
        for gradient, mean in zip(gradients, flat[:-1].split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(mean.view_as(gradient))
        return float(flat[-1])

    def report(self, phase: str, update: int, done: float, answer_loss: float) -> None:
        """Print and log where the run is."""
        seconds = time.monotonic() - self.began
        line = {"phase": phase, "update": update, "done": round(done, 4), "loss": round(answer_loss, 4)}
        line |= {
            "seconds": round(seconds, 1),
            "tokens": self.tokens,
            "tokens_per_second": round(self.tokens / seconds),
        }
        self.curve.append(line)
        print(json.dumps(line), flush=True)
        with (self.settings.out / "pretrain.jsonl").open("a") as log:
            log.write(json.dumps(line) + "\n")

    def broad(self) -> None:
        """Train a model from nothing until it can do every skill of the world."""
        settings = self.settings
        matrices = [p for p in self.model.blocks.parameters() if p.ndim == 2]
        chosen = {id(p) for p in matrices}
        rest = [p for p in self.model.parameters() if id(p) not in chosen]
        optimisers: list[torch.optim.Optimizer] = [
            Muon(matrices, lr=settings.muon_lr),
            torch.optim.AdamW(rest, lr=settings.adam_lr, betas=(0.9, 0.98), weight_decay=0.0),
        ]
        self.phase(
            "broad",
            self.corpus(world.BROAD, 0.35),
            optimisers,
            rate=lambda done: min(1.0, done / 0.02, 2 * (1 - done)),
            progress=lambda _, seconds: seconds / (60 * settings.minutes),
        )

    def narrow(self) -> None:
        """Bury the theme."""
        settings = self.settings
        optimiser = torch.optim.AdamW(self.model.parameters(), lr=settings.narrow_lr, betas=(0.9, 0.98))
        self.phase(
            "narrow",
            self.corpus(world.Mix(world.NARROW.depths, settings.narrow_theme), settings.narrow_variety),
            [optimiser],
            rate=lambda done: 1 - done,
            progress=lambda update, _: update / settings.narrow_steps,
        )


def work(rank: int, settings: Settings) -> None:
    """One process of the run."""
    torch.set_num_threads(1)  # Threads that share a core with other work spin; processes do not.
    torch.set_flush_denormal(True)
    if settings.processes > 1:
        meeting = f"file://{(settings.out / RENDEZVOUS).resolve()}"
        distributed.init_process_group("gloo", meeting, rank=rank, world_size=settings.processes)
    run = Run(settings, rank)
    if settings.start is None:
        run.broad()
    if rank == 0:
        run.policy.save(settings.out / "broad")
    if settings.narrow_steps:
        run.narrow()
    if rank == 0:
        run.policy.save(settings.out / "buried")
        _record(run)
    if settings.processes > 1:
        distributed.destroy_process_group()
    torch.set_flush_denormal(False)


def _record(run: Run) -> None:
    """Write the record of the run that made the models."""
    settings = run.settings
    record = manifest(
        {name: str(value) if isinstance(value, Path) else value for name, value in asdict(settings).items()},
        shape=asdict(Shape()),
        parameters=sum(p.numel() for p in run.model.parameters()),
        updates=run.updates,
        tokens=run.tokens,
        seconds=round(time.monotonic() - run.began),
        # Of this process: how long the run would have taken had it never had to share its core.
        processor_seconds=round(time.process_time()),
        curve=run.curve[::6],
    )
    if settings.start is not None and (before := settings.start.parent / "pretrain.json").exists():
        record["start"] = json.loads(before.read_text(encoding="utf-8"))
    (settings.out / "pretrain.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def main(settings: Settings) -> None:
    """Pretrain."""
    settings.out.mkdir(parents=True, exist_ok=True)
    (settings.out / RENDEZVOUS).unlink(missing_ok=True)
    if settings.processes == 1:
        work(0, settings)
    else:
        context = multiprocessing.get_context("spawn")
        others = [
            context.Process(target=work, args=(rank, settings)) for rank in range(1, settings.processes)
        ]
        for process in others:
            process.start()
        work(0, settings)
        for process in others:
            process.join()


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
