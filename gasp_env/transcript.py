"""What happened in an episode, as one JSON object, and its replay.

A transcript holds everything the episode was given (seed, goalpost, texts, and what it asked of the
library) and everything that was decided (verdicts, outcomes, rewards). `replay` plays it again with
nothing but the former, executing every run anew, and lists where the latter differs.
"""

from __future__ import annotations

import copy
import json
import reprlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from gasp_env import domain as domains
from gasp_env import goalposts
from gasp_env.curriculum import Episode
from gasp_env.recorded import RecordedView, ReplayedView
from gasp_env.records import RecordError, shorten
from gasp_env.relevance import RelevanceRule
from gasp_env.render import one_line
from gasp_env.rewards.registry import TeacherRewards, get_solver_reward
from gasp_env.sandbox import Sandbox, SandboxError
from gasp_env.schedule import Schedule
from gasp_env.scoring import score
from gasp_env.tasks import Goalpost
from gasp_env.transcript_records import TranscriptError, TranscriptRecord
from gasp_env.turns import Credit, Resolution

__all__ = ["FORMAT", "Difference", "Transcript", "TranscriptError", "head", "load", "replay"]

FORMAT = 2
#: Domains that a transcript may name though they are not built in: those that come with this package. A name with a
#: colon is looked up by importing, so a rule that goes by how it begins can be made to import or to call anything.
_DOMAINS = ("learners.miniature:domain",)
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

    def copy(self, view: RecordedView) -> Transcript:
        """The transcript so far, to go on apart from this one; ``view`` is what its episode reads."""
        twin = Transcript(self._head, view)
        twin._tier = self._tier
        twin._turns, twin._outcomes = copy.deepcopy(self._turns), copy.deepcopy(self._outcomes)
        twin._end = dict(self._end)
        return twin

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


def load(path: str | Path) -> list[dict[str, Any]]:
    """Read an episode file: one transcript a line.

    Raises:
        TranscriptError: a line is not a transcript of this format; the message names the field.
        OSError: the file cannot be read.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise TranscriptError(f"{path}: expected text in UTF-8 ({error})") from None
    records = []
    for number, line in enumerate(lines, start=1):
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
        TranscriptRecord(f"{path}, line {number}").check(record)
        records.append(record)
    if not records:
        raise TranscriptError(f"{path}: expected at least one transcript, found none")
    return records


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 1000


@dataclass(frozen=True)
class Difference:
    """A place where a replay disagrees with what was stored."""

    where: str
    stored: Any
    replayed: Any

    def __str__(self) -> str:
        # The place holds names that the file chose, and what it stored may be nested deeper than repr can go.
        shown = f"stored {_SHORT.repr(self.stored)}, replayed {_SHORT.repr(self.replayed)}"
        return f"{one_line(self.where)}: {shown}"


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
            data, and may come from anybody: without this only what is built in is followed, and the domain of
            the miniature.

    Returns:
        Where prompts, verdicts, outcomes or rewards differ from those that follow; empty if nowhere.
        The texts of verdict details are not compared: they are for people.

    Raises:
        TranscriptError: the record lacks a part, has one of the wrong type or out of bounds, cannot be begun
            again, or names code of its own and is not trusted.
        gasp_env.sandbox.SandboxError: the sandbox cannot be opened.
    """
    TranscriptRecord("transcript").check(record)
    if not trust:
        _refuse_code(record)
    try:
        replayed = _replayed(record, sandbox)
    except (SandboxError, TranscriptError):
        raise
    except RecordError as error:
        raise TranscriptError(str(error)) from error
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise TranscriptError(f"the transcript cannot be played: {_SHORT.repr(error)}") from error
    return list(_differences("", record, replayed))


def _refuse_code(record: Mapping[str, Any]) -> None:
    rewards = record["teacher_reward"]
    names = [record["style"], record["solver_reward"], record["schedule"]["novelty"]]
    names += [rewards] if isinstance(rewards, str) else list(rewards.values())
    if record["domain"] not in _DOMAINS:
        names.append(record["domain"])
    for name in names:
        if ":" in (name or ""):
            raise TranscriptError(
                f"the transcript names code of its own, {shorten(name)}, which playing it again would run; ask for "
                "that (--trust) if you trust whoever wrote it"
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
    # An unguided episode draws a goalpost as well, and plays none.
    played = (goalpost or _NO_GOALPOST,) * count
    episode = Episode(
        domains.get(record["domain"], record["style"]), schedule, played, view, record["seed"], index
    )
    if (episode.goalpost is None) != (goalpost is None):
        raise TranscriptError(
            f"expected {'no goalpost' if goalpost else 'a goalpost'} with this schedule and seed, came "
            f"{'one' if goalpost else 'none'}"
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
