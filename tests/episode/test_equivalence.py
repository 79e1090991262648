"""The machine with its games against the Episode it replaces: the same turns, runs, verdicts, outcomes and entries."""

from __future__ import annotations

import copy
import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from gasp_env import curricula, domains
from gasp_env import relevance as relevances
from gasp_env.episode.machine import Context, Episode
from gasp_env.library.library import Library
from gasp_env.relevance import RelevanceRule
from gasp_env.sandbox.runs import Call, Result, Run, Status
from gasp_env.tasks import Entry
from gasp_env.transcripts.library_log import RecordedView
from gasp_env.values import encode
from learners import miniature
from learners.miniature.style import input_line
from tests import players
from tests.episode.old_machine import Episode as OldEpisode
from tests.episode.old_schedule import ADMIT, Schedule
from tests.episode.test_machine import GOALPOSTS, PYTHON, known_task
from tests.fuzz import examples

LISTS = {
    "def f(x):\n    return x[::-1]": lambda x: x[::-1],
    "def f(x):\n    return x[1:]": lambda x: x[1:],
    "def f(x):\n    return sorted(x)": sorted,
    "def f(x):\n    return [v + 1 for v in x]": lambda x: [v + 1 for v in x],
    "def f(x):\n    return [v for v in x if v > 2]": lambda x: [v for v in x if v > 2],
    "def f(x):\n    return []": lambda x: [],
    "def f(x):\n    return x[0]": lambda x: x[0],
}
MINIATURE = domains.get("learners.miniature:domain")
BY_MESSAGE = relevances.get("tests.players:by_message")


def execute(run: Run) -> Result:
    function = LISTS.get(run.program.strip())
    if function is None:
        return players.execute(run)
    calls = []
    for arguments in run.inputs:
        try:
            calls.append(Call(Status.OK, function(*copy.deepcopy(arguments))))
        except Exception as error:
            calls.append(Call(Status.EXCEPTION, error=type(error).__name__))
    status = next((call.status for call in calls if call.status is not Status.OK), Status.OK)
    size = sum(len(encode(call.value)) for call in calls)
    return Result(status, tuple(calls), cpu_seconds=0.01, output_bytes=size, tier="test")


class Plan:
    """Options, library, seed, and a way to draw texts and results."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        choice = self.random.choice
        self.miniature = self.random.random() < 0.25
        curriculum = "gasp" if self.miniature else choice(["gasp", "gasp", "azr", "rlvr"])
        self.alike = not self.miniature and self.random.random() < 0.15
        admit = choice([{}, {}, {"lemma": (0, 10)}, {"lift": (0, 10)}]) if curriculum == "gasp" else {}
        self.options: dict[str, Any] = {
            "attempts": choice([1, 2, 4, 8]),
            "goalpost_rate": 1.0 if curriculum == "rlvr" else choice([0.0, 0.0, 0.3]),
        }
        if curriculum != "rlvr":
            self.options |= {
                "admit": admit,
                "convert": choice([True, False]),
                "solver_data": choice(["accepted", "all", "non_extremes"]),
                "solving": choice(["same_step", "same_step", "previous_step"]),
            }
        if curriculum == "gasp":
            self.options |= {
                "lifts": choice([0, 1, 1, 2, 3]),
                "lift_from": choice(["accepted", "accepted", "valid", "library"]),
                "axis": choice(["both", "io", "f"] if self.miniature else ["both", "io", "f", "none"]),
                "sees": None if self.miniature else choice([None, "statement", "tests", "reference"]),
            }
            if self.options["lift_from"] != "library" and not self.miniature:
                self.options["lift_sees_goalpost"] = choice([False, True])
        if curriculum == "azr":
            self.options["references"] = choice([0, 1, 6])
        self.curriculum = curriculum
        self.novelty = "tests.players:ALIKE" if self.alike else choice(["exact", "exact", "off"])
        mode = choice(["gate", "gate", "scale", "score"])
        self.rule = (
            RelevanceRule("tests.players:by_message", mode, threshold=0.7)
            if self.random.random() < 0.3
            else None
        )
        self.on_infra_error = choice(["truncate", "continue"])
        self.failing = self.random.random() < 1 / 7
        self.seed = self.random.randrange(2**32)
        self.known = self.random.random() < 0.6
        self.goalposts = miniature.goalposts()[:5] if self.miniature else GOALPOSTS
        self.pinned = choice([None, 0, 1])

    def view(self) -> RecordedView:
        known = [Entry(known_task(), 4, 8, True), Entry(known_task(players.PROGRAMS[1]), 0, 8, False)]
        entries = known if self.known and not self.miniature else []
        return RecordedView(Library(entries, embedder=players.ALIKE if self.alike else None).view())

    def games(self) -> tuple[OldEpisode, Episode]:
        domain = MINIATURE if self.miniature else PYTHON
        schedule = Schedule(
            curriculum=self.curriculum,
            novelty=self.novelty,
            relevance=self.rule,
            on_infra_error=self.on_infra_error,
            **{**self.options, "admit": {**ADMIT, **self.options.get("admit", {})}},
        )
        old = OldEpisode(domain, schedule, self.goalposts, self.view(), self.seed, self.pinned)
        game = curricula.get(self.curriculum)(**self.options)
        context = Context(
            domain=domain.with_novelty(self.novelty),
            options=game,
            goalposts=self.goalposts,
            view=self.view(),
            seed=self.seed,
            pinned=self.pinned,
            relevance=self.rule,
            on_infra_error=self.on_infra_error,
        )
        return old, Episode(game.play, context)

    def texts(self, old: OldEpisode) -> list[str]:
        turn, draw = old.turn, self.random
        assert turn is not None
        if self.miniature:
            return self._miniature_texts(old)
        if turn.agent == "teacher_0":
            inputs = None if turn.kind in (None, "induction") else [draw.choice(players.INPUTS)]
            message = draw.choice(["add", "add", f"relevance {draw.random():.1f}", "relevance lost"])
            helpful = players.proposal(draw.choice(players.PROGRAMS), inputs, message)
            refused = draw.choice(list(players.REFUSED.values()))
            return [helpful if draw.random() < 0.75 else refused]
        count = draw.randint(1, turn.samples)
        right = draw.randint(0, count)
        wrong = ["?", players.answer("python", players.PROGRAMS[1]), players.answer("output", "1")]
        return [self._right(old)] * right + [draw.choice(wrong) for _ in range(count - right)]

    def _right(self, old: OldEpisode) -> str:
        try:
            return players.right_answer(old._question)
        except StopIteration:
            return "?"

    def _miniature_texts(self, old: OldEpisode) -> list[str]:
        turn, draw = old.turn, self.random
        assert turn is not None
        program = draw.choice(list(LISTS))
        if turn.agent == "teacher_0":
            lists = [[draw.randint(0, 5) for _ in range(draw.randint(0, 4))] for _ in range(12)]
            distinct = [list(x) for x in dict.fromkeys(map(tuple, lists))]
            count = MINIATURE.rules.input_count[0] + draw.choice([0, 0, 0, -1])
            text = program + "".join(input_line(x) for x in distinct[:count])
            return [text if draw.random() < 0.9 else "nonsense"]
        count = draw.randint(1, turn.samples)
        return [draw.choice([program, draw.choice(list(LISTS)), " 1 2", " []", "?"]) for _ in range(count)]

    def results(self, runs: Sequence[Run]) -> list[Result]:
        found = [execute(run) for run in runs]
        if runs and self.failing and self.random.random() < 0.3:
            found[self.random.randrange(len(runs))] = Result(Status.INFRA_ERROR, error="gone")
        return found


def same(old: OldEpisode, new: Episode) -> None:
    assert (old.done, old.truncated, old.entries) == (new.done, new.truncated, new.entries)
    assert old._view.record() == new.context.view.record()
    if old.turn is None or new.turn is None:
        assert old.turn is new.turn is None
        return
    for name in ("index", "agent", "stage", "kind", "axis", "prompt", "samples"):
        assert getattr(old.turn, name) == getattr(new.turn, name), name


def play(plan: Plan, seen: Counter[str]) -> None:
    old, new = plan.games()
    same(old, new)
    seen["episodes"] += 1
    seen[f"curriculum {plan.curriculum}{' miniature' * plan.miniature}"] += 1
    seen["relevance"] += plan.rule is not None
    seen["embedder"] += plan.alike
    while old.turn is not None:
        if plan.random.random() < 0.3:
            kept = old, new
            old, new = old.clone(), new.clone()
            same(*kept)
            same(old, new)
            seen["clones"] += 1
        texts = plan.texts(old)
        runs = old.submit(texts)
        assert new.submit(texts) == runs
        measured: float | None = None
        if plan.rule is not None and old.variant is not None:
            assert new.measures == [old.variant]
            (measured,) = BY_MESSAGE.measure(new.measures)
        results = plan.results(runs)
        before = old.resolve(results, measured)
        after = new.resolve(results, [measured])
        assert (before.first, before.verdicts) == (after.first, after.verdicts)
        assert before.outcomes == tuple((one.turn, one.outcome) for one in after.settled)
        if before.turn.agent == "teacher_0" and plan.rule is not None:
            assert after.relevance == (before.relevance,)
        same(old, new)
        seen["steps"] += 1
        seen[f"stage {before.turn.stage}"] += 1
        for verdict in before.verdicts:
            seen[f"verdict {verdict.reason}"] += 1
        if before.turn.stage == "lift" and before.turn.index > 3:
            seen["chained lift"] += 1


def test_machine_and_old_episode_cannot_be_told_apart() -> None:
    seen: Counter[str] = Counter()
    for seed in range(examples(5500)):
        play(Plan(seed), seen)
    print(dict(sorted(seen.items())))
    assert seen["episodes"] >= 5000
    for what in (
        "relevance",
        "embedder",
        "clones",
        "chained lift",
        "curriculum gasp miniature",
    ):
        assert seen[what] > 50, what
