"""SIMULATION: the teacher, a Gaussian over difficulty and a categorical over skill for each stage, by REINFORCE."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from benchmarks.teacher_rewards.student import sigmoid
from benchmarks.teacher_rewards.world import SKILLS, TENTHS, VARIANTS, Array, Item, broken, given, items

#: Drift of skill a variant may have, and how it is drawn before anything is learned.
DRIFTS = np.arange(-2, 3)
DRIFT_LOGITS = np.array([-2.0, -1.0, 0.5, -1.0, -2.0])
#: Mean offset of difficulty before anything is learned: lifts a little harder than lemmas, free proposals like those
#: shown. That of lemmas is an option (`benchmarks.teacher_rewards.loop.Plan`).
OFFSETS = {"lift": 0.5, "propose": 0.0}
SPREAD = 1.0
LEAST_SPREAD, GREATEST_SPREAD = 0.4, 1.5
#: Difficulties are kept within this, far beyond where anything depends on them.
FARTHEST = 100.0
#: A proposal is invalid with at least this chance, and with half of the rest far beyond this difficulty.
INVALID, INVALID_AT = 0.05, 5.0


@dataclass(frozen=True)
class Draw:
    """Draws of one proposal, for the gradient: the stage's feature of its context, noise and drift."""

    stage: str
    context: float
    noise: float
    drift: int
    item: Item


@dataclass
class Head:
    """A stage's distribution: offset ~ N(bias + slope * context, spread^2), drift ~ softmax(logits)."""

    bias: float
    slope: float = 0.0
    spread: float = SPREAD
    logits: Array = field(default_factory=DRIFT_LOGITS.copy)

    @property
    def chances(self) -> Array:
        """Of each drift."""
        raised = np.exp(self.logits - self.logits.max())
        return raised / raised.sum()


class Teacher:
    """Writes proposals, and learns from advantages.

    Args:
        rate: step size; 0 for a teacher that never learns.
        start: mean offset of a lemma's difficulty from its goalpost's, before anything is learned.
    """

    def __init__(self, rate: float, start: float) -> None:
        self.rate = rate
        self.heads = {stage: Head(bias) for stage, bias in {"lemma": start, **OFFSETS}.items()}

    def propose(
        self, prompt: str, stage: str, kind: str | None, rng: np.random.Generator
    ) -> tuple[str, Draw | None]:
        """A text, and the draws for it. The prompt holds the task that the proposal is relative to.

        A lemma's context is the difficulty of its goalpost (centred, so that one bias serves all). An unguided proposal
        takes the mean difficulty of the tasks shown, and the skill of one of them; asked for inputs and a message for
        a given program, it has nothing to choose and no draws to learn from.
        """
        head, shown = self.heads[stage], items(prompt)
        # Always the same number of draws, so that arms with equal policies stay paired.
        which, noise, drawn = rng.random(), rng.normal(), rng.random()
        fails, unreadable, variant = rng.random(), rng.random() < 0.5, int(rng.integers(VARIANTS))
        if stage == "propose" and kind == "induction":
            return given(shown[0], variant), None
        if stage == "propose":
            base = float(np.mean([item.difficulty for item in shown])) if shown else 0.0
            skill = shown[int(which * len(shown))].skill if shown else int(which * SKILLS)
        else:
            # The first one: a lift may be shown the goalpost as well.
            base, skill = shown[0].difficulty, shown[0].skill
        context = (base - 4.0) / 2 if stage == "lemma" else 0.0
        drift = min(int(np.searchsorted(head.chances.cumsum(), drawn)), len(DRIFTS) - 1)
        wanted = base + head.bias + head.slope * context + head.spread * noise
        level = round(TENTHS * min(max(wanted, -FARTHEST), FARTHEST))
        item = Item(int(skill + DRIFTS[drift]) % SKILLS, level, variant)
        invalid = INVALID + (1 - INVALID) / 2 * float(sigmoid(item.difficulty - INVALID_AT))
        wanted_kind = kind or "induction"
        text = broken(unreadable, wanted_kind) if fails < invalid else item.proposal(wanted_kind)
        return text, Draw(stage, context, noise, drift, item)

    def learn(self, draws: list[tuple[Draw, float]]) -> None:
        """One REINFORCE step on (draw, advantage), averaged within each stage as its rewards were standardised there.

        With ``offset = mean + spread * noise``: the gradient of the log density is ``noise / spread`` for the mean,
        ``noise^2 - 1`` for the logarithm of the spread; for the logits of a drift ``one_hot - chances``.
        """
        for stage, head in self.heads.items():
            own = [(draw, advantage) for draw, advantage in draws if draw.stage == stage]
            if not own:
                continue
            advantages = np.array([advantage for _, advantage in own])
            noise = np.array([draw.noise for draw, _ in own])
            contexts = np.array([draw.context for draw, _ in own])
            hot = np.eye(len(DRIFTS))[[draw.drift for draw, _ in own]]
            step = self.rate * advantages / len(own)
            push = step * noise / head.spread
            logits = step @ (hot - head.chances)
            wider = float(step @ (noise**2 - 1))
            head.bias += float(push.sum())
            head.slope += float(push @ contexts)
            head.spread = float(np.clip(head.spread * np.exp(wider), LEAST_SPREAD, GREATEST_SPREAD))
            head.logits = head.logits + logits
