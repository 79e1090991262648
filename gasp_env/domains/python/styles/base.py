"""A style for base models, which continue a text: a conversation whose answer begins with the model's thoughts.

The shape is that of Absolute Zero's template, which DeepSeek-R1-Zero introduced: the wrapper's last words open a
``<think>``, and the answer stands in ``<answer>`` behind it. Use it with a policy without a chat template.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from gasp_env.domains.base import Sees
from gasp_env.domains.python.styles.exercises import ExercisesStyle
from gasp_env.domains.python.syntax import ParseError
from gasp_env.domains.python.triplet import Proposal
from gasp_env.tasks import Axis, Goalpost, Task

WRAPPER = """\
This is a conversation between a user and an assistant. The user asks, and the assistant first thinks about it for \
itself and then answers. Its thoughts stand between <think> and </think>, its answer stands between <answer> and \
</answer>, as in: <think> thoughts </think> <answer> the answer </answer>.
User: {prompt}
Assistant: <think>"""

_ANSWER = re.compile(r"<answer>(.*?)(?:</answer>|\Z)", re.DOTALL)


class BaseStyle(ExercisesStyle):
    """The prompts of `ExercisesStyle` in a wrapper; of a text only the answer is read."""

    name = "base"

    def lemma(self, goalpost: Goalpost, sees: Sees, axis: Axis) -> str:
        """See `ExercisesStyle.lemma`."""
        return WRAPPER.format(prompt=super().lemma(goalpost, sees, axis))

    def lift(self, lemma: Task, axis: Axis) -> str:
        """See `ExercisesStyle.lift`."""
        return WRAPPER.format(prompt=super().lift(lemma, axis))

    def sighted_lift(self, lemma: Task, goalpost: Goalpost, sees: Sees, axis: Axis) -> str:
        """See `ExercisesStyle.sighted_lift`."""
        return WRAPPER.format(prompt=super().sighted_lift(lemma, goalpost, sees, axis))

    def propose(self, kind: str, references: Sequence[Task], given: Task | None) -> str:
        """See `ExercisesStyle.propose`."""
        return WRAPPER.format(prompt=super().propose(kind, references, given))

    def solve(self, task: Task, kind: str, index: int) -> str:
        """See `PromptStyle.solve`."""
        return WRAPPER.format(prompt=super().solve(task, kind, index))

    def goalpost(self, goalpost: Goalpost) -> str:
        """See `PromptStyle.goalpost`."""
        return WRAPPER.format(prompt=super().goalpost(goalpost))

    def parse_proposal(self, text: str, program: str | None = None) -> Proposal:
        """See `PromptStyle.parse_proposal`."""
        return super().parse_proposal(answered(text, "no_program"), program)

    def complete(self, draft: Proposal) -> str:
        """See `ExercisesStyle.complete`."""
        return WRAPPER.format(prompt=super().complete(draft))

    def parse_draft(self, text: str) -> Proposal:
        """See `PromptStyle.parse_draft`."""
        return super().parse_draft(answered(text, "no_program"))

    def parse_answer(
        self, text: str, kind: str, entry: str = "f", program: str = "", known: Sequence[Any] = ()
    ) -> Any:
        """See `PromptStyle.parse_answer`."""
        return super().parse_answer(answered(text, "malformed"), kind, entry, program, known)


def answered(text: str, reason: str) -> str:
    """The answer of a text that begins with thoughts: its first ``<answer>`` after them, or all that follows them.

    Raises:
        ParseError: with this reason, if the thoughts never end.
    """
    _, ended, rest = text.partition("</think>")
    found = _ANSWER.search(rest if ended else text)
    if found is not None:
        return found[1]
    if not ended:
        raise ParseError(reason, "expected thoughts that end with </think>, found no end")
    return rest
