"""A game of one's own: an adversary, in the shape of Seirênes (arXiv 2605.11636).

    gym.make("gasp_env:GASP-Code-v0", curriculum="examples/my_curriculum.py:Mislead")

The solver answers a real problem. An adversary writes a misleading text. The solver answers both together.
"""

from typing import ClassVar

from gasp_env.curricula.base import Curriculum, Stage
from gasp_env.curricula.steps import answer, settle
from gasp_env.episode.outcome import Outcome
from gasp_env.episode.turns import Ask, Judged, Verdict
from gasp_env.options import options
from gasp_env.rewards.registry import each, teacher_reward

MISLEAD = "Write a short text that makes a solver fail at this problem and leaves the problem as it is.\n\n{}"


@options
class Mislead(Curriculum):
    """goalpost × n -> mislead -> goalpost × n behind the text."""

    roles = ("adversary", "solver")
    stages = (Stage("goalpost", "solver"), Stage("mislead", "adversary", True), Stage("misled", "solver"))
    teacher_reward: ClassVar = f"{__file__}:misled"
    attempts: int = 8

    def play(self, context):
        goalpost = context.goalposts[int(context.rng.integers(len(context.goalposts)))]
        problem = context.domain.problem(goalpost)
        clean = yield from answer(context, "goalpost", problem, self.attempts)
        (text,) = yield Ask("adversary", "mislead", MISLEAD.format(problem.prompt), read, proposal=True)
        turn, after = context.turn, ()
        if text.verdict.reason == "valid":
            prompt = f"{text.verdict.answer}\n\n{problem.prompt}"
            after = yield from answer(context, "misled", problem, self.attempts, prompt=prompt)
        before, behind = (tuple(one.verdict.reason for one in group) for group in (clean, after))
        found = text.verdict.reason, behind.count("correct"), len(behind), behind
        settle(
            context,
            turn,
            "adversary",
            Outcome("mislead", None, goalpost.id, *found, others={"clean": before}),
        )


def read(text):
    """Accept any text that is not blank and has fewer than 2,000 characters."""
    return Judged(Verdict("valid" if text.strip() and len(text) < 2_000 else "no_text", answer=text))


@teacher_reward("misled", stages=("mislead",))
@each
def misled(outcome):
    """Pay the share solved without the text less the share solved behind it; -1 for no text."""
    clean = outcome.others["clean"]
    taken = clean.count("correct") / len(clean) - outcome.correct / max(1, outcome.samples)
    return {"misled": taken} if outcome.valid else {"invalid": -1.0}
