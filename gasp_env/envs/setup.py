"""The parts of an env, put together once, and the checks that involve several parts."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gasp_env import curricula, domains, relevance
from gasp_env.curricula.base import Curriculum
from gasp_env.domains.base import Domain
from gasp_env.domains.python.syntax import MAX_TEXT_BYTES
from gasp_env.envs import matchmaking
from gasp_env.episode.turns import MAX_PROMPT
from gasp_env.goalposts import files
from gasp_env.library import embedders
from gasp_env.library.library import Library
from gasp_env.options import Options, names
from gasp_env.records import shorten
from gasp_env.relevance import RelevanceRule
from gasp_env.rewards.registry import TeacherRewards, get_solver_reward
from gasp_env.sandbox import Sandbox, shared
from gasp_env.tasks import AXES, Goalpost

#: As Python says it, which other libraries look for, such as torchrl before it leaves out an argument.
_UNEXPECTED = "GaspCodeEnv.__init__() got an unexpected keyword argument"
#: Inputs of a reward that are known only with the outcomes of a whole update.
LATER = frozenset({"batch"})


class Setup:
    """The parts of an env, checked against each other before anything is played.

    Args:
        chosen: options by keyword: those of `Options`, and those of the curriculum.

    Attributes:
        options: options of any env.
        curriculum: the game, with its own options.
        domain, goalposts: the problems that the game is played with.
        teacher_rewards, solver_reward: see `gasp_env.rewards`.
        relevance, rule: measure of relevance and its use; None if none is asked for.
        matchmaker: seats agents in roles.
        deferred: True if the teacher's reward is known only later, by `Driver.score_deferred`.

    Raises:
        TypeError: there is no such option.
        ValueError: an option has a wrong value, or two options conflict. The message states the fix.
    """

    def __init__(self, chosen: Mapping[str, Any]) -> None:
        self.options, self.curriculum = configure(chosen)
        _check_game(self.curriculum)
        options = self.options
        domain = domains.get(options.domain, options.style)
        novelty = options.novelty or self.curriculum.novelty or domain.novelty
        self.domain: Domain = domain.with_novelty(novelty)
        reward = options.teacher_reward
        self.teacher_reward = self.curriculum.teacher_reward if reward is None else reward
        self.teacher_rewards = TeacherRewards(self.teacher_reward)
        self.solver_reward = get_solver_reward(options.solver_reward)
        # Constructed even without a relevance, because it validates the other three options.
        rule = RelevanceRule(
            options.relevance or "none",
            options.relevance_mode,
            options.relevance_threshold,
            options.relevance_weight,
        )
        self.relevance = None if options.relevance is None else relevance.get(options.relevance)
        self.rule = None if options.relevance is None else rule
        self.matchmaker = matchmaking.get(options.matchmaker, self.curriculum.roles, options.agents)
        self.deferred = bool(self.teacher_rewards.needs & LATER) and bool(self.curriculum.proposes)
        self._check_prompts()
        self.goalposts = self._load_goalposts()
        self._check_reward()
        _ = self.sandbox  # does not open the sandbox, but refuses an unknown tier

    @property
    def sandbox(self) -> Sandbox:
        """The sandbox; nothing is started before the first run."""
        chosen, workers = self.options.sandbox, self.options.workers
        if not isinstance(chosen, str):
            if workers is not None:
                raise ValueError(
                    f"expected workers=None beside a Sandbox of your own, which has its own, got {workers}"
                )
            return chosen
        return shared(tier=chosen, **({} if workers is None else {"workers": workers}))

    def library(self, source: str | Path | Sequence[Mapping[str, Any]] | None) -> Library:
        """A library with these options: empty, loaded, or restored from a `Library.state`."""
        novelty = self.domain.novelty
        options: dict[str, Any] = {
            "capacity": self.options.library_capacity,
            "eviction": self.options.library_eviction,
            "read": self.domain.read_content,
            "embedder": None if novelty in ("off", "exact") else embedders.get(novelty),
        }
        if source is None:
            return Library(**options)
        if isinstance(source, str | Path):
            with _readable("library", source):
                return Library.load(source, **options)
        return Library.from_state(source, **options)

    def _check_reward(self) -> None:
        stages = self.curriculum.proposes
        if not stages:
            return
        available = set(LATER)
        if self.domain.novelty not in ("off", "exact"):
            available.add("embedding")
        # With any other rule the reward would count the relevance twice.
        if self.rule is not None and self.rule.mode == "gate":
            available.add("relevance")
        known = [stage.name for stage in self.curriculum.stages if stage.proposal]
        chosen = self.options.teacher_reward
        for stage in chosen if isinstance(chosen, Mapping) else ():
            if stage not in known:
                raise ValueError(
                    f"expected teacher_reward to name rewards of the stages {', '.join(known)}, got one for {stage!r}"
                )
        self.teacher_rewards.check(available, stages)
        name = self.options.curriculum
        if "propose" in stages:
            kinds = {task.kind for task in self.domain.seeds()}
            lacking = [
                k
                for kind in self.domain.kinds
                for k in self.domain.builds_on(kind) or (kind,)
                if k not in kinds
            ]
            if lacking:
                raise ValueError(
                    f"domain {self.options.domain!r} has no seed tasks of kind {lacking[0]}, which curriculum {name!r} "
                    "starts from; give it some (seeds of gasp_env.domains.Domain), or choose 'gasp'"
                )
        if self.relevance is None:
            return
        if not self.curriculum.needs_goalposts:
            raise ValueError(
                f"relevance is what a variant shares with its goalpost; curriculum {name!r} has neither"
            )
        self.relevance.check(self.goalposts)

    def _check_prompts(self) -> None:
        """Check that the style has all prompts that the curriculum needs."""
        style = self.domain.style
        lacking = [name for name in self.curriculum.prompts if not callable(getattr(style, name, None))]
        if lacking:
            raise ValueError(
                f"the prompts of domain {self.options.domain!r} ({type(style).__name__}) lack {', '.join(lacking)}, "
                f"which curriculum {self.options.curriculum!r} asks for with these options; choose other options, or "
                "another style"
            )

    def _load_goalposts(self) -> tuple[Goalpost, ...]:
        given = self.options.goalposts
        if given is None:
            found = self.domain.goalposts()
        elif isinstance(given, str | Path):
            with _readable("goalposts", given):
                found = files.load(given)
        else:
            found = tuple(given)
        if not found and self.curriculum.plays_goalposts:
            raise ValueError(
                "expected at least one goalpost, got none; give the option goalposts a file or a list"
            )
        if given is not None:
            found = self.domain.check_goalposts(found)
        ids = [goalpost.id for goalpost in found]
        if len(set(ids)) != len(ids):
            raise ValueError("expected goalposts with ids of their own, got the same id twice")
        sees = getattr(self.curriculum, "sees", None) or self.domain.sees
        lacking = [goalpost.id for goalpost in found if sees == "reference" and goalpost.reference is None]
        if lacking:
            raise ValueError(
                f"the teacher is to see the reference of a goalpost, but {lacking[0]!r} and {len(lacking) - 1} others "
                "have none; choose sees='statement' or add references"
            )
        self._check_sizes(found, sees)
        return found

    def _check_sizes(self, goalposts: Sequence[Goalpost], sees: str) -> None:
        """Check that every goalpost fits into a prompt."""
        style = self.domain.style
        axis = getattr(self.curriculum, "axis", "both")
        axes = (AXES if axis == "both" else (axis,)) if "lemma" in self.curriculum.prompts else ()
        # The prompt of a sighted lift holds the goalpost and the lifted task, which has outputs besides its
        # text.
        sighted = "sighted_lift" in self.curriculum.prompts
        room = MAX_PROMPT - (4 * MAX_TEXT_BYTES if sighted else 0)
        for goalpost in goalposts:
            shown = [self.domain.problem(goalpost).prompt]
            shown += [style.lemma(goalpost, sees, axis) for axis in axes]
            longest = max(map(len, shown))
            if longest > room:
                raise ValueError(
                    f"goalpost {goalpost.id!r}: expected prompts of at most {room} characters, got {longest}; "
                    "shorten its statement or what is shown of its tests"
                )


@contextmanager
def _readable(option: str, path: str | Path) -> Iterator[None]:
    """Name the option whose file cannot be read."""
    try:
        yield
    except OSError as error:
        raise ValueError(
            f"expected {option} to be a file that can be read, got {shorten(str(path))}: {error.strerror or error}"
        ) from error


def _check_game(game: Curriculum) -> None:
    """Refuse a class without a game, and a stage whose role nobody plays."""
    name = type(game).__name__
    if type(game).play is Curriculum.play or not game.stages:
        raise ValueError(f"curriculum {name}: expected a method play and stages, see gasp_env.curricula.base")
    for stage in game.stages:
        if stage.role not in game.roles:
            raise ValueError(
                f"curriculum {name}: expected the role of stage {stage.name!r} to be one of {', '.join(game.roles)}, "
                f"got {stage.role!r}"
            )


def configure(chosen: Mapping[str, Any]) -> tuple[Options, Curriculum]:
    """Sort options by keyword into those of any env and those of the curriculum that they name.

    Raises:
        TypeError: neither has such an option; the message lists the valid ones.
        ValueError: an option has a wrong value.
    """
    common = {name: value for name, value in chosen.items() if name in names(Options)}
    options = Options(**common)
    curriculum = options.curriculum
    left = [name for name in chosen if name not in common]
    if isinstance(curriculum, Curriculum):
        if left:
            raise TypeError(
                f"{_UNEXPECTED} {left[0]!r} beside a curriculum that has its options already; there are "
                f"{', '.join(names(Options))}"
            )
        return options, curriculum
    game = curricula.get(curriculum)
    unknown = sorted(set(left) - set(names(game)))
    if unknown:
        raise TypeError(
            f"{_UNEXPECTED} {', '.join(map(repr, unknown))}; there are {', '.join([*names(Options), *names(game)])}"
            f"{_elsewhere(unknown[0], game)}"
        )
    # None stands for the curriculum's own choice.
    own = {name: chosen[name] for name in left if chosen[name] is not None or _takes_none(game, name)}
    return options, game(**own)


def _takes_none(game: type[Curriculum], name: str) -> bool:
    return any(field.name == name and field.default is None for field in dataclasses.fields(game))


def _elsewhere(name: str, game: type[Curriculum]) -> str:
    """Name the curricula that have the option; empty if none has it."""
    having = [
        one
        for one in curricula.CURRICULA.names()
        if name in names(curricula.get(one)) and curricula.get(one) is not game
    ]
    return f" ({name} is an option of curriculum {', '.join(having)})" if having else ""
