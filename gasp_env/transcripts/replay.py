"""What happened in an episode, as one JSON object, and its replay.

A transcript holds everything the episode was given (seed, goalpost, texts, and what it asked of the
library) and everything that was decided (verdicts, outcomes, rewards). `replay` plays it again with
nothing but the former, executing every run anew, and lists where the latter differs.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gasp_env import domains, goalposts
from gasp_env.curricula.base import Schedule
from gasp_env.episode.machine import Episode
from gasp_env.episode.turns import Credit
from gasp_env.records import RecordError, shorten
from gasp_env.relevance import RelevanceRule
from gasp_env.rewards.credits import score
from gasp_env.rewards.registry import TeacherRewards, get_solver_reward
from gasp_env.sandbox import Sandbox, SandboxError
from gasp_env.tasks import Goalpost
from gasp_env.transcripts.library_log import RecordedView, ReplayedView
from gasp_env.transcripts.render import one_line
from gasp_env.transcripts.schema import TranscriptError, TranscriptRecord
from gasp_env.transcripts.writer import FORMAT, Transcript, head

#: Domains that a transcript may name though they are not built in: those that come with this package. A name with a
#: colon is looked up by importing, so a rule that goes by how it begins can be made to import or to call anything.
_DOMAINS = ("learners.miniature:domain",)
#: Stands for the goalposts that an unguided episode does not play.
_NO_GOALPOST = Goalpost("", "", "", (), ())


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
    goalpost = None if stored is None else goalposts.from_record(stored, "transcript, goalpost")
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
            goalpost=None if goalpost is None else goalposts.to_record(goalpost),
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
