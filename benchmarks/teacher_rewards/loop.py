"""SIMULATION: one arm, one reward at one seed: the real game between simulated players until a budget is spent."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import numpy as np
import torch

from benchmarks.teacher_rewards.student import Student, sigmoid
from benchmarks.teacher_rewards.teacher import Draw, Teacher
from benchmarks.teacher_rewards.world import Array, Item, World, build, execute, item_of, items
from gasp_env.curricula.azr import Azr
from gasp_env.curricula.base import SelfPlay
from gasp_env.curricula.gasp import Gasp
from gasp_env.episode.machine import Context, Episode
from gasp_env.episode.outcome import Outcome
from gasp_env.episode.turns import Credit, Resolution, Turn
from gasp_env.library.library import Library
from gasp_env.rewards.credits import score
from gasp_env.rewards.needs import NEEDS
from gasp_env.rewards.registry import TeacherRewards, get_solver_reward
from learners.advantages import populations, task_relative

#: Arms that are no reward: a teacher that never learns, and one that learns from rewards dealt out at random.
FROZEN, SHUFFLED = "frozen", "shuffled"
TrainOn = Literal["solve", "attempts", "both"]
SOLVED = 0.1
PASS_AT = 20
POINTS = 24


@dataclass(frozen=True)
class Plan:
    """Settings shared by all arms of a comparison.

    Attributes:
        curriculum: ``gasp`` or ``azr``.
        updates, episodes: the budget is so many full episodes' samples, and an update is after so many episodes.
        attempts: n.
        train_on: the answers that the student learns from; ``solve`` as published.
        student_rate, teacher_rate: step sizes.
        start: mean offset of a lemma's difficulty from its goalpost's before the teacher has learned, in logits. At -7
            lemmas are easy for the student (p about 0.85), at -3 hard (p about 0.1).
    """

    curriculum: Literal["gasp", "azr"] = "gasp"
    updates: int = 32
    episodes: int = 16
    attempts: int = 8
    train_on: TrainOn = "solve"
    student_rate: float = 0.5
    teacher_rate: float = 0.5
    start: float = -7.0

    @property
    def game(self) -> SelfPlay:
        """The game, with its options."""
        return Gasp(attempts=self.attempts) if self.curriculum == "gasp" else Azr(attempts=self.attempts)

    @property
    def budget(self) -> int:
        """Texts, of both roles, that every arm may sample: equal for all, however long their episodes are."""
        return self.updates * self.episodes * (len(self.game.proposes) * (1 + self.attempts) + 1)


@dataclass
class Row:
    """A text that was rewarded, as the learner needs it."""

    turn: tuple[str, str, str | None]
    reward: float
    draw: Draw | None = None
    answer: tuple[Item, bool] | None = None


@dataclass
class _Seat:
    """An episode, with the draws and answers of its players."""

    episode: Episode
    draws: dict[int, Draw | None] = field(default_factory=dict)
    answers: dict[tuple[int, int], tuple[Item, bool]] = field(default_factory=dict)
    turns: dict[int, Turn] = field(default_factory=dict)


@dataclass(frozen=True)
class Settled:
    """A settled proposal: time, reason and reward; its task if it is one, and c/n."""

    at: int
    reason: str
    accepted: bool
    reward: float
    item: Item | None
    success: float

    @classmethod
    def of(cls, outcome: Outcome, reward: float, at: int) -> Settled:
        """Take from an outcome the facts that the metrics need."""
        item = items(outcome.task.content.program)[0] if outcome.task else None
        success = outcome.correct / outcome.samples if outcome.samples else float("nan")
        return cls(at, outcome.reason, outcome.accepted, reward, item, success)


@dataclass
class Measured:
    """One arm at one seed; ``metrics`` are `report.METRICS`, ``curve`` is (samples, mean p on the goalposts)."""

    reward: str
    seed: int
    metrics: dict[str, float]
    curve: list[tuple[int, float]]

    def record(self) -> dict[str, Any]:
        """JSON-able values; NaN becomes None."""
        known = {name: None if math.isnan(value) else value for name, value in self.metrics.items()}
        return {**asdict(self), "metrics": known}


class Arm:
    """Plays and learns. See `run`.

    Args:
        reward: a teacher reward by name, or one of `FROZEN` and ``shuffled:NAME``.
        plan: see `Plan`.
        seed: of the world and of everything drawn.
        fallback: the reward computed for the frozen teacher, so that its mean can be compared.
    """

    def __init__(self, reward: str, plan: Plan, seed: int, fallback: str) -> None:
        kind, _, name = reward.partition(":")
        self.shuffled = kind == SHUFFLED
        self.reward = name if self.shuffled else fallback if reward == FROZEN else reward
        self.label, self.plan, self.seed = reward, plan, seed
        self.rewards = TeacherRewards(self.reward)
        # Raised before the env's own error, because its advice is about options that do not exist here.
        if missing := sorted(self.rewards.needs - {"batch"}):
            raise ValueError(
                f"teacher reward {self.reward!r} needs {missing[0]!r}: {NEEDS[missing[0]].what}; the simulation has "
                "nothing of the kind, its texts only carry numbers; choose another reward"
            )
        self.game = plan.game
        self.rewards.check({"batch"}, self.game.proposes)
        self.solver_reward = get_solver_reward("azr")
        self.world: World = build(seed)
        self.student = Student(self.world.ability, plan.student_rate)
        self.teacher = Teacher(0.0 if reward == FROZEN else plan.teacher_rate, plan.start)
        self.library = Library()
        self.goals = [item_of(goalpost) for goalpost in self.world.goalposts]
        # One stream for each player, so that one arm's longer episodes do not shift another's.
        self.episode_rng, self.teacher_rng, self.student_rng, self.shuffle_rng = (
            np.random.default_rng([seed, stream]) for stream in (1, 2, 3, 4)
        )
        self.spent = 0
        self.log: list[Settled] = []

    def goal_chances(self) -> Array:
        """The student's success rate on every goalpost, exactly."""
        ability = self.student.ability
        return np.asarray(sigmoid([ability[item.skill] - item.difficulty for item in self.goals]))

    def run(self) -> Measured:
        """Play until the budget is spent, then measure."""
        curve = [(0, float(self.goal_chances().mean()))]
        every = self.plan.budget / POINTS
        while self.spent < self.plan.budget:
            self.learn(self.play())
            if self.spent >= len(curve) * every or self.spent == self.plan.budget:
                curve.append((self.spent, float(self.goal_chances().mean())))
        return Measured(self.label, self.seed, self.metrics(), curve)

    def play(self) -> list[Row]:
        """One update's episodes in step, as a vector env plays them; the rewarded texts."""
        view = self.library.view()
        seats = [
            _Seat(
                Episode(
                    self.game.play,
                    Context(
                        domain=self.world.domain,
                        options=self.game,
                        goalposts=self.world.goalposts,
                        view=view,
                        seed=int(seed),
                    ),
                )
            )
            for seed in self.episode_rng.integers(2**63, size=self.plan.episodes)
        ]
        rows: list[Row] = []
        while moving := [seat for seat in seats if not seat.episode.done]:
            resolutions, moved = [], []
            for seat in moving:
                texts = self.texts(seat)
                if not texts:
                    break
                runs = seat.episode.submit(texts)
                resolutions.append(seat.episode.resolve([execute(run) for run in runs]))
                moved.append(seat)
            if not moved:
                break
            try:
                credits = score(resolutions, self.rewards, self.solver_reward)
            except Exception as error:  # of a custom function
                raise ValueError(f"reward {self.reward!r}: {type(error).__name__}: {error}") from error
            for seat, resolution, own in zip(moved, resolutions, credits, strict=True):
                rows += self.rows(seat, resolution, own)
        for seat in seats:
            self.library.commit(seat.episode.entries)
        return rows

    def rows(self, seat: _Seat, resolution: Resolution, credits: list[Credit]) -> list[Row]:
        """The texts that were rewarded in one step of an episode, with their draws."""
        found = []
        settled = {one.turn: one.outcome for one in resolution.settled}
        for credit in credits:
            assert credit.reward is not None  # nothing here is left unscored
            turn = seat.turns[credit.turn]
            if credit.agent == "teacher_0":
                found.append(Row(("teacher", turn.stage, turn.kind), credit.reward, seat.draws[credit.turn]))
                self.log.append(Settled.of(settled[credit.turn], credit.reward, self.spent))
            else:
                answer = seat.answers[credit.turn, credit.sample]
                found.append(Row(("solver", turn.stage, turn.kind), credit.reward, answer=answer))
        return found

    def texts(self, seat: _Seat) -> list[str]:
        """Texts that answer the open turn; fewer texts than are due, or none, when the budget ends."""
        turn = seat.episode.turn
        assert turn is not None
        count = min(turn.samples, self.plan.budget - self.spent)
        self.spent += count
        seat.turns[turn.index] = turn
        if turn.agent == "teacher_0" and count:
            text, seat.draws[turn.index] = self.teacher.propose(
                turn.prompt, turn.stage, turn.kind, self.teacher_rng
            )
            return [text]
        texts = []
        for sample in range(count):
            text, item, right = self.student.answer(turn.prompt, turn.kind or "induction", self.student_rng)
            seat.answers[turn.index, sample] = item, right
            texts.append(text)
        return texts

    def learn(self, rows: list[Row]) -> None:
        """Task-relative REINFORCE++ advantages, then one step of both players."""
        if not rows:
            return
        population, names = populations([row.turn for row in rows], "role_stage_kind")
        rewards = torch.tensor([row.reward for row in rows], dtype=torch.float64)
        if self.shuffled:
            for number, name in enumerate(names):
                if name.startswith("teacher"):
                    at = (population == number).nonzero()[:, 0]
                    rewards[at] = rewards[at[torch.from_numpy(self.shuffle_rng.permutation(len(at)))]]
        scored = torch.ones(len(rows), dtype=torch.bool)
        # One token a text: its reward is the return of all of it.
        found = task_relative(rewards, scored, scored[:, None], population, torch.arange(len(rows)))
        learned = list(zip(rows, found.values[:, 0].tolist(), strict=True))
        trains = {"solve": ("solve",), "attempts": ("attempt",), "both": ("solve", "attempt")}
        stages = trains[self.plan.train_on]
        self.student.learn(
            [(*row.answer, a) for row, a in learned if row.answer and row.turn[1] in stages],
            self.plan.episodes,
        )
        self.teacher.learn([(row.draw, a) for row, a in learned if row.draw])

    def metrics(self) -> dict[str, float]:
        """The metrics of `report.METRICS`; the last quarter is of the samples, not of the updates."""
        chances = self.goal_chances()
        late = [item for item in self.log if item.at > 0.75 * self.plan.budget]
        early = [item for item in self.log if item.at <= 0.25 * self.plan.budget]
        valid = [item for item in late if item.item is not None]
        skills = Counter(item.item.skill for item in valid if item.item and item.accepted)
        return {
            "goal_p": float(chances.mean()),
            "goals_solved": float((chances >= SOLVED).sum()),
            "goal_pass": float((1 - (1 - chances) ** PASS_AT).mean()),
            "ability": float((self.student.ability - self.world.ability).mean()),
            "accepted": _mean(item.accepted for item in late),
            "invalid": _mean(item.reason not in ("valid", "duplicate") for item in late),
            "duplicate": _mean(item.reason == "duplicate" for item in late),
            "success": _mean(item.success for item in valid),
            "difficulty": _mean(item.item.difficulty for item in valid if item.item),
            "skills": _effective(skills),
            "reward_first": _mean(item.reward for item in early),
            "reward_last": _mean(item.reward for item in late),
        }


def _mean(values: Iterable[float]) -> float:
    """The mean, NaN of nothing."""
    found = list(values)
    return float(np.mean(found)) if found else float("nan")


def _effective(counts: Counter[int]) -> float:
    """Effective number of skills: the exponential of their entropy; 0 if there is none."""
    if not counts:
        return 0.0
    shares = np.array(list(counts.values())) / counts.total()
    return float(np.exp(-(shares * np.log(shares)).sum()))
