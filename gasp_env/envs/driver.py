"""Driver of episodes: connects `Episode` to the sandbox, the rewards, the library and the transcripts.

The views (Gymnasium, batched, PettingZoo) are thin layers over it; they only assign texts to episodes. The
runs of all episodes that move in one step go to the sandbox as one batch, and all proposals settled in the
step are scored in one call.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np

from gasp_env.envs import matchmaking
from gasp_env.envs.setup import Setup
from gasp_env.envs.spaces import as_texts
from gasp_env.episode.batch import Proposed
from gasp_env.episode.machine import Context, Episode
from gasp_env.episode.turns import Credit, CutOff, Lost, Resolution, Settled, Turn
from gasp_env.episode.view import View
from gasp_env.policies import PolicyError
from gasp_env.rewards.credits import each_text, score, score_settled
from gasp_env.sandbox import Sandbox, SandboxError
from gasp_env.transcripts.library_log import RecordedGoalposts, RecordedView
from gasp_env.transcripts.writer import Transcript, head

Action = str | tuple[str, ...] | list[str] | np.ndarray


@dataclass(frozen=True)
class Stepped:
    """The results of one step of one episode.

    Attributes:
        resolution: verdicts and outcomes.
        credits: rewards that became known.
        terminated, truncated: True if the episode has ended, by the game or by a failure of the
            infrastructure.
        agents: all agents of the env.
    """

    resolution: Resolution
    credits: list[Credit]
    terminated: bool
    truncated: bool
    agents: tuple[str, ...]

    @property
    def rewards(self) -> dict[str, float]:
        """Sum of this step's credits per agent; an unscored or deferred one counts 0."""
        sums = dict.fromkeys(self.agents, 0.0)
        for credit in self.credits:
            sums[credit.agent] += credit.reward or 0.0
        return sums

    @property
    def scored(self) -> bool:
        """True if no credit of this step is unscored."""
        return all(credit.reward is not None or credit.deferred for credit in self.credits)


@dataclass(frozen=True)
class Scored:
    """A credit that was deferred, and the episode it belongs to.

    Attributes:
        slot: the slot in which the episode is or was played.
        episode: its number, counted from 0 over all episodes the driver began (`Driver.numbers`).
        credit: the credit, now with its reward.
    """

    slot: int
    episode: int
    credit: Credit


@dataclass(eq=False)
class _Deferred:
    """An outcome that waits for its score."""

    slot: int
    episode: int
    settled: Settled
    #: Those of the episode and of its clones made since.
    transcripts: list[Transcript]
    #: False while the step that settled it may still be dropped: see `Driver.step`.
    committed: bool


class Driver:
    """``count`` episodes that share one library, one sandbox and one set of options.

    Attributes:
        setup: the game, the domain, the rewards; the driver has its parts as attributes too.
        library: valid tasks of finished episodes. A learner may set its ``step``, which new entries carry.
        reasons: counts by stage and verdict, such as ``("lemma", "duplicate")``, since the env was made.
        agents: all agents that may ever act.
        numbers: number of the episode in each slot, -1 before the first.
    """

    def __init__(self, count: int, setup: Setup) -> None:
        self.setup = setup
        self.options, self.curriculum, self.domain = setup.options, setup.curriculum, setup.domain
        self.goalposts = setup.goalposts
        self.agents = setup.matchmaker.agents
        self._first_library = setup.library(setup.options.library)
        self.library = self._first_library.copy()
        self.reasons: Counter[tuple[str, str]] = Counter()
        self.episodes: list[Episode | None] = [None] * count
        self.numbers = [-1] * count
        self._begun = 0
        self._transcripts: list[Transcript | None] = [None] * count
        self._deferred: list[_Deferred] = []
        self._index = {goalpost.id: number for number, goalpost in enumerate(self.goalposts)}

    def grow(self) -> int:
        """Add a slot; returns its number."""
        self.numbers.append(-1)
        self._transcripts.append(None)
        self.episodes.append(None)
        return len(self.episodes) - 1

    def restore_library(self, state: Sequence[Mapping[str, Any]] | None = None) -> None:
        """Restore the library that the env was made with, or the one of a `Library.state`."""
        step = self.library.step
        self.library = self._first_library.copy() if state is None else self.setup.library(state)
        self.library.step = max(step, self.library.step)

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox; nothing is started before the first run."""
        return self.setup.sandbox

    @property
    def turns(self) -> list[Turn | None]:
        """The open turn of every episode, None where there is none."""
        return [self.turn(number) for number in range(len(self.episodes))]

    def turn(self, number: int) -> Turn | None:
        """The open turn of the episode in a slot, None where there is none."""
        episode = self.episodes[number]
        return None if episode is None else episode.turn

    def begin(
        self,
        number: int,
        rng: np.random.Generator,
        options: Mapping[str, Any] | None = None,
        view: View | None = None,
    ) -> Turn:
        """Begin a new episode in slot ``number``; ``options["goalpost"]`` pins a goalpost by id.

        ``view`` is the library as the episode sees it, by default as it is now.
        """
        pinned = (options or {}).get("goalpost")
        if pinned is not None and pinned not in self._index:
            some = ", ".join(list(self._index)[:5]) or "this one has none"
            raise ValueError(f"expected the id of a goalpost of this env ({some}, ...), got {pinned!r}")
        seed = int(rng.integers(2**63))
        index = None if pinned is None else self._index[pinned]
        agents = matchmaking.seats(self.setup.matchmaker, self.curriculum.roles, seed)
        context = Context(
            domain=self.domain,
            options=self.curriculum,
            goalposts=RecordedGoalposts(self.goalposts),
            view=RecordedView(self.library.view() if view is None else view),
            seed=seed,
            pinned=index,
            relevance=self.setup.rule,
            on_infra_error="continue" if self.options.on_infra_error == "continue" else "truncate",
            agents=agents,
        )
        episode = Episode(self.curriculum.play, context)
        self.episodes[number] = episode
        self.numbers[number], self._begun = self._begun, self._begun + 1
        self._transcripts[number] = Transcript(head(self.setup, episode.context), episode.context)
        if episode.turn is None:
            raise RuntimeError(f"expected curriculum {self.options.curriculum!r} to ask for a turn, got none")
        return episode.turn

    def clone(self, source: int, target: int) -> Turn:
        """Put an independent copy of the episode in slot ``source`` into slot ``target``, and return its open turn.

        For a group of G proposals, clone a lemma's turn into G slots. All clones have the same prompt and the
        same random draws, and each continues with a text of its own. The copy includes the turns played so
        far and their transcript. An unfinished episode in ``target`` is dropped together with its tasks.

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
        self.episodes[target] = twin
        self.numbers[target], self._begun = self._begun, self._begun + 1
        self._transcripts[target] = copied = transcript.copy(twin.context)
        for waiting in self._deferred:
            if any(one is transcript for one in waiting.transcripts):
                waiting.transcripts.append(copied)
        return episode.turn

    def forget(self, number: int, *, ended: bool = False) -> Transcript | None:
        """Empty a slot, and return the transcript of its episode.

        Args:
            number: of the slot.
            ended: the episode was played to its end; else its deferred outcomes, which no clone of it has, are dropped.
        """
        transcript = self._transcripts[number]
        self.episodes[number] = self._transcripts[number] = None
        if transcript is not None and not ended:
            for waiting in [one for one in self._deferred if any(t is transcript for t in one.transcripts)]:
                waiting.transcripts[:] = [t for t in waiting.transcripts if t is not transcript]
                if not waiting.transcripts:
                    self._deferred.remove(waiting)
        return transcript

    def step(
        self, actions: Sequence[Action | None] | Mapping[int, Action], commit: bool = True
    ) -> list[Stepped | None]:
        """Give texts to the episodes whose action is not None; run, judge and score them together.

        Several threads may step, each its own slots.

        Args:
            actions: one per slot, or by slot; of those that are not named nothing is returned.
            commit: the steps count. If not, `commit` makes one count, or `forget` drops it: until then the tasks of an
                episode that has ended are not in the library, and no deferred reward is paid.

        Raises:
            ValueError: an action is neither a text nor a tuple of as many texts as the turn takes.
            RuntimeError: an action for an episode that is over.
            gasp_env.sandbox.SandboxError: no sandbox can be opened, or a run failed and
                ``on_infra_error`` is ``raise``.
            gasp_env.policies.PolicyError: a text is `Lost` and ``on_infra_error`` is ``raise``. No episode has moved.
            RuntimeError, ValueError: a reward, a relevance or an eviction policy raised (the message names
                it, its error is the cause), or a number was not finite. The episodes that moved are lost;
                reset them before the next step.
        """
        # Actions are checked and the sandbox opened before the first episode moves.
        named = actions.items() if isinstance(actions, Mapping) else enumerate(actions)
        moving = [(n, checked_texts(n, action, self.turn(n))) for n, action in named if action is not None]
        if self.options.on_infra_error == "raise":
            for text in (text for _, texts in moving for text in texts if isinstance(text, Lost)):
                raise PolicyError(f"a policy gave no text: {text.reason}")
        executes, sandbox = self.domain.executes, self.sandbox
        if executes:
            sandbox.open()
        try:
            asked = [(number, texts, self._episode(number).submit(texts)) for number, texts in moving]
            wanted = [run for _, _, runs in asked for run in runs]
            results = iter(sandbox.run_many(wanted) if executes else ())
            measured = self._measure([number for number, _ in moving])
            # In env order, so that of equal proposals the first stays.
            compares = self.options.batch_duplicates and self.domain.novelty != "off"
            batch = Proposed() if compares else None
            resolutions = [
                self._episode(number).resolve([next(results) for _ in runs], measured[number], batch)
                for number, _, runs in asked
            ]
            setup = self.setup
            credits = score(
                resolutions, setup.teacher_rewards, setup.solver_reward, setup.rule, defer=setup.deferred
            )
            stepped: dict[int, Stepped] = {}
            for (number, texts, _), resolution, own in zip(asked, resolutions, credits, strict=True):
                episode, transcript = self._episode(number), self._transcripts[number]
                assert transcript is not None
                transcript.add(resolution, texts, own, episode, sandbox.tier if executes else "")
                terminated = episode.done and not episode.truncated
                stepped[number] = Stepped(resolution, own, terminated, episode.truncated, self.agents)
                if setup.deferred:
                    self._deferred += [
                        _Deferred(number, self.numbers[number], one, [transcript], commit)
                        for one in resolution.settled
                        if one.outcome.scored
                    ]
                self.reasons.update((resolution.turn.stage, v.reason) for v in resolution.verdicts)
                if episode.done and commit:
                    self.commit(number)
        except BaseException:
            for number, _ in moving:
                self.episodes[number] = None
            raise
        if self.options.on_infra_error == "raise":
            for item in stepped.values():
                for verdict in item.resolution.verdicts:
                    if not verdict.scored:
                        raise SandboxError(f"a run could not be executed: {verdict.detail}")
        return [
            stepped.get(number)
            for number in (actions if isinstance(actions, Mapping) else range(len(actions)))
        ]

    def commit(self, number: int) -> None:
        """Let a step count: tasks of an episode that is over go to the library; deferred rewards may be paid."""
        episode = self._episode(number)
        if episode.done:
            self.library.commit(episode.entries)
        for waiting in list(self._deferred):
            if any(one is self._transcripts[number] for one in waiting.transcripts):
                waiting.committed = True

    def score_deferred(self, guard: AbstractContextManager[Any] | None = None) -> list[Scored]:
        """Score all deferred outcomes of an update in one call, for a reward that compares them.

        The order is that of their settlement: by step, then by slot. Transcripts record the rewards too.

        Args:
            guard: entered while rewards are written, and not while they are computed: a lock of an owner with threads.

        Raises:
            RuntimeError, ValueError: a reward raised, as in `step`. The outcomes stay deferred.
        """
        waiting = [one for one in self._deferred if one.committed]  # other threads may add some meanwhile
        paid = score_settled([one.settled for one in waiting], self.setup.teacher_rewards, self.setup.rule)
        found = []
        with guard or nullcontext():
            for one, known in zip(waiting, paid, strict=True):
                if one in self._deferred:  # its episode has not been dropped meanwhile
                    self._deferred.remove(one)
                    for credit in each_text(one.settled, known):
                        for transcript in one.transcripts:
                            transcript.pay(credit)
                        found.append(Scored(one.slot, one.episode, credit))
        return found

    def transcript(self, number: int) -> dict[str, Any] | None:
        """The episode of a slot so far, as `gasp_env.transcripts` describes; None before the first."""
        transcript = self._transcripts[number]
        return None if transcript is None else transcript.record()

    def _episode(self, number: int) -> Episode:
        episode = self.episodes[number]
        if episode is None:
            raise RuntimeError("call reset before step")
        return episode

    def _measure(self, numbers: Sequence[int]) -> dict[int, list[float | None]]:
        """Relevance of the variants that were just proposed, by episode; all are measured in one call."""
        pairs = {number: self._episode(number).measures for number in numbers}
        flat = [pair for own in pairs.values() for pair in own]
        if self.setup.relevance is None or not flat:
            return {number: [None] * len(own) for number, own in pairs.items()}
        found = iter(self.setup.relevance.measure(flat))
        return {number: [next(found) for _ in own] for number, own in pairs.items()}


def checked_texts(number: int, action: Action, turn: Turn | None) -> list[str]:
    """The texts of an action for the open turn of an episode.

    Raises:
        ValueError: it is neither a text nor a tuple of as many as the turn takes.
        RuntimeError: no turn is open.
    """
    if turn is None:
        raise RuntimeError(f"episode {number} is over or has not begun; call reset before the next step")
    texts = as_texts(action)
    if texts is None:
        raise ValueError(f"expected a text or a tuple of texts, got {type(action).__name__}")
    if not 1 <= len(texts) <= turn.samples:
        raise ValueError(f"expected 1 to {turn.samples} texts for stage {turn.stage}, got {len(texts)}")
    # A truncated answer has failed, even if the existing part happens to be right; a lost one is not judged at all.
    return [text if isinstance(text, CutOff | Lost) else str(text) for text in texts]
