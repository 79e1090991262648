"""What happened in an episode, as one JSON object, and its replay.

A transcript holds everything the episode was given (seed, goalpost, texts, and what it asked of the
library) and everything that was decided (verdicts, outcomes, rewards). `replay` plays it again with
nothing but the former, executing every run anew, and lists where the latter differs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gasp_env import domain as domains
from gasp_env import goalposts
from gasp_env.curriculum import Episode
from gasp_env.recorded import RecordedView, ReplayedView
from gasp_env.relevance import RelevanceRule
from gasp_env.rewards.registry import TeacherRewards, get_solver_reward
from gasp_env.sandbox import Sandbox, SandboxError
from gasp_env.schedule import Schedule
from gasp_env.scoring import score
from gasp_env.tasks import Goalpost
from gasp_env.turns import Credit, Resolution

FORMAT = 2
#: Goalposts an env may have been drawing from; more than that is no transcript of ours.
MAX_GOALPOSTS = 10_000_000
#: Packages whose names a transcript may say.
_OURS = ("gasp_env", "learners")
#: Stands for the goalposts that an unguided episode does not play.
_NO_GOALPOST = Goalpost("", "", "", (), ())


class Transcript:
    """Grows with an episode; `record` gives it as one JSON-able object."""

    def __init__(self, head: Mapping[str, Any], view: RecordedView) -> None:
        self._head = dict(head)
        self._view = view
        self._tier = ""
        self._turns: list[dict[str, Any]] = []
        self._outcomes: list[dict[str, Any]] = []
        self._end: dict[str, Any] = {"done": False, "truncated": False}

    def add(
        self,
        resolution: Resolution,
        texts: Sequence[str],
        credits: Sequence[Credit],
        episode: Episode,
        tier: str,
    ) -> None:
        """Append what one step gave and what became known in it, judged in a sandbox of this tier."""
        self._tier = tier
        turn = resolution.turn
        if turn.index == len(self._turns):
            self._turns.append(
                {
                    "index": turn.index,
                    "agent": turn.agent,
                    "stage": turn.stage,
                    "kind": turn.kind,
                    "axis": turn.axis,
                    "prompt": turn.prompt,
                    "samples": [],
                }
            )
        for text, verdict in zip(texts, resolution.verdicts, strict=True):
            self._turns[turn.index]["samples"].append(
                {
                    "text": text,
                    "verdict": verdict.reason,
                    "detail": verdict.detail,
                    "reward": None,
                    "terms": {},
                }
            )
        if turn.agent == "teacher_0":
            self._turns[turn.index]["samples"][-1]["relevance"] = resolution.relevance
        for credit in credits:
            sample = self._turns[credit.turn]["samples"][credit.sample]
            sample["reward"], sample["terms"] = credit.reward, dict(credit.terms)
        for index, outcome in resolution.outcomes:
            self._outcomes.append(
                {
                    "turn": index,
                    "stage": outcome.stage,
                    "kind": outcome.kind,
                    "reason": outcome.reason,
                    "correct": outcome.correct,
                    "samples": outcome.samples,
                    "accepted": outcome.accepted,
                    "scored": outcome.scored,
                }
            )
        self._end = {"done": episode.done, "truncated": episode.truncated}

    def record(self) -> dict[str, Any]:
        """The transcript so far, as JSON-able values of its own."""
        body = {
            **self._head,
            "tier": self._tier,
            "view": self._view.record(),
            "turns": self._turns,
            "outcomes": self._outcomes,
            **self._end,
        }
        copied: dict[str, Any] = json.loads(json.dumps(body))
        return copied


def head(
    *,
    domain: str,
    style: str | None,
    schedule: Schedule,
    teacher_reward: str | Mapping[str, str],
    solver_reward: str,
    seed: int,
    goalpost: Mapping[str, Any] | None,
    index: int | None,
    count: int,
    axis: str | None,
) -> dict[str, Any]:
    """What a transcript says before the first turn: all that is needed to begin the episode again."""
    return {
        "format": FORMAT,
        "domain": domain,
        "style": style,
        "schedule": asdict(schedule),
        "teacher_reward": teacher_reward if isinstance(teacher_reward, str) else dict(teacher_reward),
        "solver_reward": solver_reward,
        "seed": seed,
        "goalpost": None if goalpost is None else dict(goalpost),
        "goalpost_index": index,
        "goalposts": count,
        "axis": axis,
    }


class TranscriptError(ValueError):
    """A file or record that is not a transcript; the message says where and what was expected."""


def load(path: str | Path) -> list[dict[str, Any]]:
    """Read an episode file: one transcript a line.

    Raises:
        TranscriptError: a line is not a transcript of this format.
        OSError: the file cannot be read.
    """
    records = []
    for number, line in enumerate(Path(path).read_text(encoding="utf-8").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise TranscriptError(
                f"{path}, line {number}: expected one JSON object a line ({error})"
            ) from None
        if not isinstance(record, dict) or record.get("format") != FORMAT:
            raise TranscriptError(f"{path}, line {number}: expected a transcript with format {FORMAT}")
        records.append(record)
    if not records:
        raise TranscriptError(f"{path}: expected at least one transcript, found none")
    return records


@dataclass(frozen=True)
class Difference:
    """A place where a replay disagrees with what was stored."""

    where: str
    stored: Any
    replayed: Any

    def __str__(self) -> str:
        return f"{self.where}: stored {self.stored!r}, replayed {self.replayed!r}"


def replay(record: Mapping[str, Any], sandbox: Sandbox, *, trust: bool = False) -> list[Difference]:
    """Play a stored episode again: every run is executed, every verdict decided, every reward computed anew.

    What the episode was given is taken as stored: seed, goalpost, options, texts, and the answers the
    library gave, and how relevant a proposal was to its goalpost, if that was measured. So is the tier, which
    says where it was judged then, not where it is now, and a reward that compares the proposals of a batch,
    which one episode cannot tell.

    Args:
        record: the transcript.
        sandbox: where its programs are executed.
        trust: import the modules and files that it names (a reward of somebody's own, say). A transcript is
            data, and may come from anybody: without this only names of gasp_env and learners are followed.

    Returns:
        Where prompts, verdicts, outcomes or rewards differ from those that follow; empty if nowhere.
        The texts of verdict details are not compared: they are for people.

    Raises:
        TranscriptError: the record lacks something that is needed to begin the episode, or names code of its own
            and is not trusted.
        gasp_env.sandbox.SandboxError: the sandbox cannot be opened.
    """
    try:
        if not trust:
            _refuse_code(record)
        replayed = _replayed(record, sandbox)
    except (SandboxError, TranscriptError):
        raise
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise TranscriptError(
            f"the transcript lacks a part or has one of the wrong type: {error!r}"
        ) from None
    return list(_differences("", record, replayed))


def _refuse_code(record: Mapping[str, Any]) -> None:
    rewards = record["teacher_reward"]
    names = [record["domain"], record["style"], record["solver_reward"], record["schedule"]["novelty"]]
    names += [rewards] if isinstance(rewards, str) else list(rewards.values())
    for name in names:
        source, colon, _ = (name or "").rpartition(":")
        if colon and source.partition(".")[0] not in _OURS:
            raise TranscriptError(
                f"the transcript names code of its own, {name!r}, which playing it again would run; ask for that "
                "(--trust) if you trust whoever wrote it"
            )


def _replayed(record: Mapping[str, Any], sandbox: Sandbox) -> dict[str, Any]:
    stored = record["goalpost"]
    goalpost = None if stored is None else goalposts.of_record(stored, "transcript, goalpost")
    options = dict(record["schedule"])
    rule = options["relevance"]
    schedule = Schedule(
        **{
            **options,
            "admit": {stage: tuple(band) for stage, band in options["admit"].items()},
            "relevance": None if rule is None else RelevanceRule(**rule),
        }
    )
    teacher = TeacherRewards(record["teacher_reward"])
    solver = get_solver_reward(record["solver_reward"])
    view = RecordedView(ReplayedView(record["view"]))
    count, index = record["goalposts"], record["goalpost_index"]
    if not 0 <= count <= MAX_GOALPOSTS or not (index is None if goalpost is None else 0 <= index < count):
        raise TranscriptError(
            f"expected a goalpost_index below goalposts <= {MAX_GOALPOSTS}, got {index}, {count}"
        )
    # An unguided episode draws a goalpost as well, and plays none.
    played = (goalpost or _NO_GOALPOST,) * count
    episode = Episode(
        domains.get(record["domain"], record["style"]), schedule, played, view, record["seed"], index
    )
    transcript = Transcript(
        head(
            domain=record["domain"],
            style=record["style"],
            schedule=schedule,
            teacher_reward=record["teacher_reward"],
            solver_reward=record["solver_reward"],
            seed=record["seed"],
            goalpost=None if goalpost is None else goalposts.record(goalpost),
            index=index,
            count=count,
            axis=episode.axis,
        ),
        view,
    )
    for turn in record["turns"]:
        texts = [sample["text"] for sample in turn["samples"]]
        if episode.turn is None or not 1 <= len(texts) <= episode.turn.samples:
            break
        relevance = turn["samples"][0].get("relevance")
        resolution = episode.resolve(sandbox.run_many(episode.submit(texts)), relevance)
        credits = score([resolution], teacher, solver, schedule.relevance)[0]
        if "batch" in teacher.needs:
            credits = [_as_stored(credit, record) for credit in credits]
        transcript.add(resolution, texts, credits, episode, record["tier"])
    return transcript.record()


def _as_stored(credit: Credit, record: Mapping[str, Any]) -> Credit:
    if credit.agent != "teacher_0":
        return credit
    sample = record["turns"][credit.turn]["samples"][credit.sample]
    return replace(credit, reward=sample["reward"], terms=sample["terms"])


def _differences(where: str, stored: Any, replayed: Any) -> Iterator[Difference]:
    if isinstance(stored, dict) and isinstance(replayed, dict):
        for key in sorted({*stored, *replayed} - {"detail"}):
            place = f"{where}.{key}" if where else key
            if key in stored and key in replayed:
                yield from _differences(place, stored[key], replayed[key])
            else:
                yield Difference(place, stored.get(key), replayed.get(key))
    elif isinstance(stored, list) and isinstance(replayed, list) and len(stored) == len(replayed):
        for number, (left, right) in enumerate(zip(stored, replayed, strict=True)):
            yield from _differences(f"{where}[{number}]", left, right)
    elif type(stored) is not type(replayed) or stored != replayed:
        yield Difference(where, stored, replayed)
