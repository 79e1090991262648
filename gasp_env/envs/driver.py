"""Plays episodes: sandbox, rewards, library and transcripts around `Episode`.

The views (Gymnasium, batched, PettingZoo) are thin over this: they only say which episodes get which texts.
The runs of all episodes that move in one step go to the sandbox as one batch, and all proposals
settled in it are scored in one call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from gasp_env import domains, goalposts
from gasp_env import relevance as relevances
from gasp_env.domains.base import Sees
from gasp_env.domains.python.syntax import MAX_TEXT_BYTES
from gasp_env.episode.machine import Episode
from gasp_env.episode.turns import MAX_PROMPT, Credit, Resolution, Turn
from gasp_env.library import embedders
from gasp_env.library.library import Library
from gasp_env.options import PROPOSES, Options
from gasp_env.rewards.credits import score
from gasp_env.rewards.registry import TeacherRewards, get_solver_reward
from gasp_env.sandbox import Sandbox, SandboxError, shared
from gasp_env.tasks import AGENTS, AXES, Goalpost, Proposal
from gasp_env.transcripts.library_log import RecordedView
from gasp_env.transcripts.writer import Transcript, head
from gasp_env.values import encode

Action = str | tuple[str, ...] | list[str]


@dataclass(frozen=True)
class Stepped:
    """What one step of one episode made known."""

    resolution: Resolution
    credits: list[Credit]
    terminated: bool
    truncated: bool

    @property
    def rewards(self) -> dict[str, float]:
        """Sum of this step's credits per agent; an unscored one counts 0."""
        sums = dict.fromkeys(AGENTS, 0.0)
        for credit in self.credits:
            sums[credit.agent] += credit.reward or 0.0
        return {str(agent): total for agent, total in sums.items()}

    @property
    def scored(self) -> bool:
        """Whether every credit of this step is a score."""
        return all(credit.reward is not None for credit in self.credits)


class Driver:
    """``count`` episodes that share one library, one sandbox and one set of options.

    Attributes:
        options, domain, schedule, goalposts: what is played.
        library: valid tasks of finished episodes. Whoever trains may set its ``step``, which new entries carry.
        reasons: how often each stage met each verdict, ``("lemma", "duplicate")`` and so on, since the env was made.
    """

    def __init__(self, count: int, options: Options) -> None:
        self.options = options
        self.domain = domains.get(options.domain, options.style)
        self.schedule = options.schedule(self.domain)
        self.teacher_rewards = TeacherRewards(options.chosen("teacher_reward"))
        self.solver_reward = get_solver_reward(options.solver_reward)
        self._relevance = relevances.get(options.relevance) if options.relevance is not None else None
        self.goalposts = self._load_goalposts()
        self._check(count)
        _ = self.sandbox  # not opened, but a tier that does not exist is refused here
        self._first_library = self._make_library(options.library)
        self.library = self._first_library.copy()
        self.reasons: Counter[tuple[str, str]] = Counter()
        self.episodes: list[Episode | None] = [None] * count
        self._transcripts: list[Transcript | None] = [None] * count
        self._index = {goalpost.id: number for number, goalpost in enumerate(self.goalposts)}
        self._records: dict[int, dict[str, Any]] = {}

    def restore_library(self, state: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Go back to the library the env was made with, or to the one `Library.state` was taken of."""
        step = self.library.step
        self.library = self._first_library.copy() if state is None else self._make_library(state)
        self.library.step = max(step, self.library.step)

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox; nothing is started before the first run."""
        chosen = self.options.sandbox
        return shared(tier=chosen) if isinstance(chosen, str) else chosen

    @property
    def turns(self) -> list[Turn | None]:
        """The open turn of every episode, None where there is none."""
        return [None if episode is None else episode.turn for episode in self.episodes]

    def begin(self, number: int, rng: np.random.Generator, options: Mapping[str, Any] | None = None) -> Turn:
        """Begin a new episode in slot ``number``; ``options["goalpost"]`` pins a goalpost by id."""
        pinned = (options or {}).get("goalpost")
        if pinned is not None and pinned not in self._index:
            some = ", ".join(list(self._index)[:5]) or "this one has none"
            raise ValueError(f"expected the id of a goalpost of this env ({some}, ...), got {pinned!r}")
        seed = int(rng.integers(2**63))
        view = RecordedView(self.library.view())
        index = None if pinned is None else self._index[pinned]
        episode = Episode(self.domain, self.schedule, self.goalposts, view, seed, index)
        played = None if episode.goalpost is None else self._index[episode.goalpost.id]
        self.episodes[number] = episode
        self._transcripts[number] = Transcript(
            head(
                domain=self.options.domain,
                style=self.options.style,
                schedule=self.schedule,
                teacher_reward=self.options.chosen("teacher_reward"),
                solver_reward=self.options.solver_reward,
                seed=seed,
                goalpost=None if played is None else self._record(played),
                index=played,
                count=len(self.goalposts),
                axis=episode.axis,
            ),
            view,
        )
        assert episode.turn is not None
        return episode.turn

    def clone(self, source: int, target: int) -> Turn:
        """Put an independent copy of the episode in slot ``source`` into slot ``target``, and return its open turn.

        A group of proposals is a lemma's turn cloned into G slots: all have read the same prompt and will draw the
        same, and each goes on with a text of its own. The copy brings what was played so far, its transcript
        included. An unfinished episode that was in ``target`` is dropped, and its tasks with it.

        Raises:
            ValueError: there is no such slot.
            RuntimeError: the episode of ``source`` is over or has not begun.
        """
        for slot in (source, target):
            if not 0 <= slot < len(self.episodes):
                raise ValueError(f"expected slots from 0 to {len(self.episodes) - 1}, got {slot!r}")
        episode, transcript = self.episodes[source], self._transcripts[source]
        if episode is None or episode.turn is None or transcript is None:
            raise RuntimeError(
                f"expected an episode with an open turn in slot {source}, which is over or has not begun; reset it, "
                "and clone it before its last step"
            )
        twin = episode.clone()
        view = twin.view
        assert isinstance(view, RecordedView)
        self.episodes[target] = twin
        self._transcripts[target] = transcript.copy(view)
        return episode.turn

    def step(self, actions: Sequence[Action | None]) -> list[Stepped | None]:
        """Give texts to the episodes whose action is not None; run, judge and score them together.

        Raises:
            ValueError: an action is neither a text nor a tuple of as many texts as the turn takes.
            RuntimeError: an action for an episode that is over.
            gasp_env.sandbox.SandboxError: no sandbox can be opened, or a run failed and
                ``on_infra_error`` is ``raise``.
            RuntimeError, ValueError: a reward or a relevance raised (it is named, what it raised is the cause), or
                returned no finite numbers; an eviction policy did. The episodes that moved are lost then;
                reset them before the next step.
        """
        # Actions are checked and the sandbox opened before the first episode moves.
        turns = self.turns
        moving = [(n, _texts(n, action, turns[n])) for n, action in enumerate(actions) if action is not None]
        sandbox = self.sandbox
        sandbox.open()
        try:
            asked = [(number, texts, self._episode(number).submit(texts)) for number, texts in moving]
            results = iter(sandbox.run_many([run for _, _, runs in asked for run in runs]))
            measured = self._measure([number for number, _ in moving])
            resolutions = [
                self._episode(number).resolve([next(results) for _ in runs], measured.get(number))
                for number, _, runs in asked
            ]
            credits = score(resolutions, self.teacher_rewards, self.solver_reward, self.schedule.relevance)
            stepped: list[Stepped | None] = [None] * len(actions)
            for (number, texts, _), resolution, own in zip(asked, resolutions, credits, strict=True):
                episode, transcript = self._episode(number), self._transcripts[number]
                assert transcript is not None
                transcript.add(resolution, texts, own, episode, sandbox.tier)
                stepped[number] = Stepped(
                    resolution, own, episode.done and not episode.truncated, episode.truncated
                )
                self.reasons.update((resolution.turn.stage, v.reason) for v in resolution.verdicts)
                if episode.done:
                    self.library.commit(episode.entries)
        except BaseException:
            for number, _ in moving:
                self.episodes[number] = None
            raise
        if self.options.on_infra_error == "raise":
            for item in stepped:
                for verdict in item.resolution.verdicts if item else ():
                    if not verdict.scored:
                        raise SandboxError(f"a run could not be executed: {verdict.detail}")
        return stepped

    def transcript(self, number: int) -> dict[str, Any] | None:
        """What happened so far in the episode of a slot, None before the first."""
        transcript = self._transcripts[number]
        return None if transcript is None else transcript.record()

    def _record(self, index: int) -> dict[str, Any]:
        """A goalpost as transcripts hold it; a large set is not written out before it is played."""
        if index not in self._records:
            self._records[index] = goalposts.record(self.goalposts[index])
        return self._records[index]

    def _episode(self, number: int) -> Episode:
        episode = self.episodes[number]
        if episode is None:
            raise RuntimeError("call reset before step")
        return episode

    def _measure(self, numbers: Sequence[int]) -> dict[int, float | None]:
        """Relevance of the variants that were just proposed, by episode."""
        if self._relevance is None:
            return {}
        pairs: dict[int, tuple[Proposal, Goalpost]] = {}
        for number in numbers:
            variant = self._episode(number).variant
            if variant is not None:
                pairs[number] = variant
        return dict(zip(pairs, self._relevance.measure(list(pairs.values())), strict=True)) if pairs else {}

    def _make_library(self, source: str | Path | Sequence[Mapping[str, Any]] | None) -> Library:
        novelty = self.schedule.novelty
        options: dict[str, Any] = {
            "capacity": self.options.library_capacity,
            "eviction": self.options.library_eviction,
            "embedder": None if novelty in ("off", "exact") else embedders.get(novelty),
        }
        if source is None:
            return Library(**options)
        if isinstance(source, str | Path):
            return Library.load(source, **options)
        return Library.from_state(source, **options)

    def _check(self, count: int) -> None:
        """Refuse what the parts can only tell together."""
        stages = PROPOSES[self.schedule.curriculum] if self.schedule.goalpost_rate < 1 else ()
        if stages:
            available = {"batch"} if count > 1 else set()
            if self.schedule.novelty not in ("off", "exact"):
                available.add("embedding")
            # Under any other rule the reward would count it twice.
            if self.schedule.relevance is not None and self.schedule.relevance.mode == "gate":
                available.add("relevance")
            self.teacher_rewards.check(available, stages)
        if stages == PROPOSES["azr"]:
            kinds = {task.kind for task in self.domain.seeds()}
            if not {"deduction", "abduction"} <= kinds:
                raise ValueError(
                    f"domain {self.options.domain!r} has no seed tasks, which curriculum 'azr' starts from; give it "
                    "deduction and abduction tasks (`seeds` of gasp_env.domains.base.Domain), or choose 'gasp'"
                )
            if self._relevance is not None:
                raise ValueError(
                    "relevance is what a variant shares with its goalpost; curriculum 'azr' has neither"
                )
        elif self._relevance is not None and stages:
            self._relevance.check(self.goalposts)

    def _load_goalposts(self) -> tuple[Goalpost, ...]:
        given = self.options.goalposts
        if given is None:
            found = self.domain.goalposts()
        elif isinstance(given, str | Path):
            found = goalposts.load(given)
        else:
            # As a file is checked, so that whatever is played can be stored and played again.
            found = tuple(
                goalposts.of_record(goalposts.record(goalpost), f"goalpost {goalpost.id!r}")
                for goalpost in given
            )
        if not found and (self.schedule.curriculum != "azr" or self.schedule.goalpost_rate > 0):
            raise ValueError("expected at least one goalpost, got none")
        sees = self.schedule.sees or self.domain.sees
        lacking = [goalpost.id for goalpost in found if sees == "reference" and goalpost.reference is None]
        if lacking:
            raise ValueError(
                f"the teacher is to see the reference of a goalpost, but {lacking[0]!r} and {len(lacking) - 1} others "
                "have none; choose sees='statement' or add references"
            )
        if len({goalpost.id for goalpost in found}) != len(found):
            raise ValueError("expected goalposts with ids of their own, got the same id twice")
        for goalpost in found:
            self._check_size(goalpost, sees)
        return found

    def _check_size(self, goalpost: Goalpost, sees: Sees) -> None:
        """A goalpost must fit into a prompt and into one run."""
        style, rules = self.domain.style, self.domain.rules
        axes = AXES if self.schedule.axis == "both" else (self.schedule.axis,)
        longest = max(
            len(style.goalpost(goalpost)),
            *(len(style.lemma(goalpost, sees, axis, rules)) for axis in axes),
        )
        # A lift that sees the goalpost shows the task it lifts as well, and a task has its outputs besides its text.
        room = MAX_PROMPT - (4 * MAX_TEXT_BYTES if self.schedule.lift_sees_goalpost else 0)
        if longest > room:
            raise ValueError(
                f"goalpost {goalpost.id!r}: expected prompts of at most {room} characters, got {longest}; "
                "shorten its statement or what is shown of its tests"
            )
        if goalpost.rule == "livecodebench":  # every test is executed alone, and has been checked alone
            return
        try:
            encode(list(goalpost.inputs))
        except ValueError as error:
            raise ValueError(
                f"goalpost {goalpost.id!r}: its tests do not fit into one run: {error}"
            ) from error


def _texts(number: int, action: Action, turn: Turn | None) -> list[str]:
    if turn is None:
        raise RuntimeError(f"episode {number} is over or has not begun; call reset before the next step")
    texts = (
        [action] if isinstance(action, str) else list(action) if isinstance(action, tuple | list) else None
    )
    if texts is None or not all(isinstance(text, str) for text in texts):
        raise ValueError(f"expected a text or a tuple of texts, got {type(action).__name__}")
    if not 1 <= len(texts) <= turn.samples:
        raise ValueError(f"expected 1 to {turn.samples} texts for stage {turn.stage}, got {len(texts)}")
    return [str(text) for text in texts]
