"""Replay of transcripts. A transcript is one episode as one JSON object.

A transcript holds the inputs of the episode (seed, goalpost, texts, and the library's answers to its
queries) and all decisions (verdicts, outcomes, rewards). `replay` plays it again from the inputs
alone, executing every run anew, and lists the decisions that differ.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gasp_env import curricula, domains
from gasp_env.episode.batch import Told
from gasp_env.episode.machine import Context, Episode
from gasp_env.episode.outcome import Outcome
from gasp_env.episode.turns import Credit, CutOff, Lost, Resolution, Settled
from gasp_env.options import Options
from gasp_env.records import RecordError, shorten
from gasp_env.relevance import RelevanceRule
from gasp_env.rewards.credits import score
from gasp_env.rewards.registry import TeacherRewards, get_solver_reward
from gasp_env.sandbox import Sandbox, SandboxError
from gasp_env.transcripts.library_log import RecordedGoalposts, RecordedView, ReplayedGoalposts, ReplayedView
from gasp_env.transcripts.render import one_line
from gasp_env.transcripts.schema import TranscriptError, TranscriptRecord
from gasp_env.transcripts.writer import FORMAT, Transcript, head

#: Domains that a transcript may name though they are not built in: those that come with this package. A name with a
#: colon is looked up by importing, so a rule that goes by how it begins can be made to import or to call anything.
_DOMAINS = ("learners.miniature:domain",)


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
    """A place where a replay disagrees with the stored episode."""

    where: str
    stored: Any
    replayed: Any

    def __str__(self) -> str:
        # The place holds names that the file chose, and stored values may be nested deeper than repr can go.
        shown = f"stored {_SHORT.repr(self.stored)}, replayed {_SHORT.repr(self.replayed)}"
        return f"{one_line(self.where)}: {shown}"


def replay(record: Mapping[str, Any], sandbox: Sandbox, *, trust: bool = False) -> list[Difference]:
    """Play a stored episode again: every run is executed, every verdict decided, every reward computed anew.

    Inputs are taken as stored: seed, goalpost, options, texts, the answers of the library, and the relevance of
    a proposal to its goalpost, if it was measured. So is the tier, which is that of the first judging and not of
    the replay. So are the copies that a proposal makes of another one of its batch, and a reward that compares the
    proposals of a batch, for one episode does not hold the batch.

    Args:
        record: the transcript.
        sandbox: where its programs are executed.
        trust: import the modules and files that it names, such as a custom reward. A transcript is data of
            unknown origin: without this only built-in names are followed, and the domain of
            the miniature.

    Returns:
        The places where prompts, verdicts, outcomes or rewards differ; empty if there are none.
        The texts of verdict details are not compared: they are for people.

    Raises:
        TranscriptError: the record lacks a part, has one of the wrong type or out of bounds, cannot be begun
            again, or names code of its own and is not trusted.
        gasp_env.sandbox.SandboxError: the sandbox cannot be opened.
    """
    replayed = _checked(record, sandbox, trust, [])
    # An option that came later has the default under which the episode was played.
    told = {name: value for name, value in replayed["options"].items() if name in record["options"]}
    return list(_differences("", record, replayed | {"options": told}))


def outcomes(record: Mapping[str, Any], sandbox: Sandbox, *, trust: bool = False) -> list[Outcome]:
    """The outcomes of a stored episode's proposals, as a teacher reward is given them, in the order in which they were
    settled. The episode is played again for it, see `replay`; of the library, rewards can ask what was asked then.

    Args:
        record: as for `replay`, and so are the others.
        sandbox: where its programs are executed.
        trust: import the modules and files that it names.

    Raises:
        TranscriptError: as `replay`.
        gasp_env.sandbox.SandboxError: the sandbox cannot be opened.
    """
    found: list[Outcome] = []
    _checked(record, sandbox, trust, found)
    return found


def _checked(
    record: Mapping[str, Any], sandbox: Sandbox, trust: bool, settled: list[Outcome]
) -> dict[str, Any]:
    """The record of an episode that was played again; the outcomes of its proposals are added to ``settled``."""
    TranscriptRecord("transcript").check(record)
    if not trust:
        _refuse_code(record)
    try:
        return _replayed(record, sandbox, settled)
    except (SandboxError, TranscriptError):
        raise
    except RecordError as error:
        raise TranscriptError(str(error)) from error
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError) as error:
        raise TranscriptError(f"the transcript cannot be played: {_SHORT.repr(error)}") from error


def _refuse_code(record: Mapping[str, Any]) -> None:
    rewards = record["teacher_reward"]
    names = [record["style"], record["solver_reward"], record["novelty"], record["curriculum"]]
    names += [
        name.removeprefix("shuffled:")  # a control, around a reward that is named behind it
        for name in ([rewards] if isinstance(rewards, str) else rewards.values())
    ]
    if record["domain"] not in _DOMAINS:
        names.append(record["domain"])
    for name in names:
        if ":" in (name or ""):
            raise TranscriptError(
                f"the transcript names code of its own, {shorten(name)}, which playing it again would run; ask for "
                "that (--trust) if you trust whoever wrote it"
            )


def _replayed(record: Mapping[str, Any], sandbox: Sandbox, settled: list[Outcome]) -> dict[str, Any]:
    parts = _Parts(record)
    if record["rules"] != parts.domain.version:
        raise TranscriptError(
            f"the episode was played under version {record['rules']} of the rules of domain {record['domain']!r}, and "
            f"these are version {parts.domain.version}: record it anew"
        )
    where = "transcript, goalposts"
    played = {
        int(index): parts.domain.read_goalpost(stored, where)
        for index, stored in record["goalposts"]["played"].items()
    }
    rule = record["relevance"]
    context = Context(
        domain=parts.domain,
        options=parts.curriculum,
        goalposts=RecordedGoalposts(ReplayedGoalposts(played, record["goalposts"]["count"])),
        view=RecordedView(ReplayedView(record["view"], parts.domain.read_content)),
        seed=record["seed"],
        pinned=record["pinned"],
        relevance=None if rule is None else RelevanceRule(**rule),
        on_infra_error=record["on_infra_error"],
        agents=record["agents"],
    )
    teacher = TeacherRewards(record["teacher_reward"])
    solver = get_solver_reward(record["solver_reward"])
    episode = Episode(parts.curriculum.play, context)
    transcript = Transcript(head(parts, context), episode.context)
    for turn in record["turns"]:
        texts = [_submitted(sample) for sample in turn["samples"]]
        if episode.turn is None or not 1 <= len(texts) <= episode.turn.samples:
            break
        runs = episode.submit(texts)
        measured = [turn["samples"][0].get("relevance")] if episode.measures else []
        told = (
            Told([one.get("repeats") for one in turn["samples"]]) if parts.options.batch_duplicates else None
        )
        results = sandbox.run_many(runs) if parts.domain.executes else []
        resolution = episode.resolve(results, measured, told)
        settled += [one.outcome for one in resolution.settled]
        credits = score([resolution], teacher, solver, context.relevance)[0]
        if teacher.needs & {"batch"}:
            credits = [_as_stored(credit, record, resolution) for credit in credits]
        transcript.add(resolution, texts, credits, episode, record["tier"])
    return transcript.record()


def _submitted(sample: Mapping[str, Any]) -> str:
    """The text of a stored sample, of the class that it was submitted as."""
    if sample.get("lost") is not None:
        return Lost(sample["lost"])
    return CutOff(sample["text"]) if sample.get("cut_off") else sample["text"]


class _Parts:
    """The parts of an env that a transcript names, made anew."""

    def __init__(self, record: Mapping[str, Any]) -> None:
        game = curricula.get(record["curriculum"])
        self.options = Options(
            curriculum=record["curriculum"],
            domain=record["domain"],
            style=record["style"],
            solver_reward=record["solver_reward"],
            batch_duplicates=record.get("batch_duplicates", False),
        )
        try:
            self.curriculum = game(**record["options"])
        except TypeError as error:
            raise ValueError(f"curriculum {record['curriculum']!r}: {error}") from None
        self.domain = domains.get(record["domain"], record["style"]).with_novelty(record["novelty"])
        self.teacher_reward = record["teacher_reward"]


def _texts_of(settled: Settled) -> list[tuple[int, int]]:
    """Turn and sample of each text of a proposal."""
    return [*((turn, 0) for turn in settled.drafts), (settled.turn, settled.sample)]


def _as_stored(credit: Credit, record: Mapping[str, Any], resolution: Resolution) -> Credit:
    """Take the stored reward of a proposal: one episode cannot tell a reward that compares the proposals of a batch."""
    own = {(turn, sample) for one in resolution.settled for turn, sample in _texts_of(one)}
    if (credit.turn, credit.sample) not in own:
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
