"""The one record every learner consumes: prompt, completion and reward."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TurnRecord:
    """One completion of one turn.

    Attributes:
        prompt_ids: token ids the policy was conditioned on.
        completion_ids: token ids that followed, end token included.
        mask: True where the policy chose the token; a token from another source (a tool's
            answer, say) is False. As long as ``completion_ids``, and so is ``logprobs``.
        logprobs: of each id under the policy that sampled it, or None where the engine cannot tell.
        reward: None when the turn is unscored (the infrastructure failed): such a row is masked
            out of statistics and loss, it is never worth 0.
        agent: that acted, such as ``solver_0``.
        role, stage, kind, axis: of the turn; the role is ``solver``, say.
        group: rows with one group id answered the same prompt in the same update.
        version: of the policy that sampled it.
        stop: ``"length"`` when the answer was cut off; nothing was submitted in its place. ``"lost"`` when the call
            of the policy failed, so that there was none.
        verdict: reason code the judge or the gate gave (``correct``, ``valid``, ``duplicate``, ...); empty
            before it is known.
        terms: the reward's named parts.
    """

    prompt_ids: tuple[int, ...]
    completion_ids: tuple[int, ...]
    mask: tuple[bool, ...]
    logprobs: tuple[float, ...] | None
    reward: float | None
    agent: str
    role: str
    stage: str
    kind: str | None
    axis: str | None
    group: int
    version: int
    stop: str = "stop"
    verdict: str = ""
    terms: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {len(self.completion_ids), len(self.mask)}
        if self.logprobs is not None:
            lengths.add(len(self.logprobs))
        if len(lengths) != 1:
            raise ValueError(
                f"expected one mask bit and log-probability per completion token, got lengths {lengths}"
            )

    @property
    def scored(self) -> bool:
        """True if it was judged."""
        return self.reward is not None


def by_group(records: Iterable[TurnRecord]) -> list[list[TurnRecord]]:
    """Rows that answered one prompt, together, in order of first appearance."""
    groups: dict[int, list[TurnRecord]] = defaultdict(list)
    for record in records:
        groups[record.group].append(record)
    return list(groups.values())


def packs(records: Sequence[TurnRecord], at_most: int) -> list[list[int]]:
    """Indices of rows that share a prompt, in packs of ``at_most``.

    A pack is scored as one sequence whose attention mask grows with its square, which is why
    a hundred answers to one prompt are better cut into several.
    """
    rows: dict[int, list[int]] = defaultdict(list)
    for index, record in enumerate(records):
        rows[record.group].append(index)
    return [group[i : i + at_most] for group in rows.values() for i in range(0, len(group), at_most)]
