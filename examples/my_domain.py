"""A domain of one's own: integer arithmetic in words. Nothing is executed, and no sandbox is opened.

    gym.make("gasp_env:GASP-Code-v0", domain="examples/my_domain.py:Arithmetic")    # gasp, azr and rlvr play it

A task is a problem with an expression that gives its answer: ``Three apples and four pears. Fruit? :: 3 + 4``.
"""

import ast
import operator
from dataclasses import dataclass

from gasp_env.domains import Domain
from gasp_env.episode.turns import Judged, Verdict
from gasp_env.tasks import Goalpost, Task

OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul}
FORM = (
    "Write one line: the problem, then ' :: ', then an expression of integers, + - * that gives its answer."
)
ANSWER = "{}\n\nThe answer is a whole number. Write it last."


@dataclass(frozen=True)
class Problem:
    """The content of a task: the problem and its answer."""

    text: str
    answer: int
    variant: str = ""  # duplicates are recognised by their text

    def record(self):
        return {"text": self.text, "answer": self.answer}


@dataclass(frozen=True)
class Asked:
    """A question, made by `question` and judged by `read_answer`."""

    prompt: str
    answer: int
    kind: str = "answer"


class Prompts:
    """Prompts of the stages of gasp and azr."""

    def lemma(self, goalpost, sees, axis):
        return f"{goalpost.statement}\n\nWrite an easier problem of this kind. {FORM}"

    def lift(self, task, axis):
        return f"{task.content.text}\n\nWrite a harder problem of this kind. {FORM}"

    def propose(self, kind, references, given):
        return "\n".join(["Write a problem unlike these.", FORM, *(task.content.text for task in references)])


class Arithmetic(Domain):
    """Integer arithmetic in words."""

    name, style, kinds, executes = "examples/my_domain.py:Arithmetic", Prompts(), ("answer",), False

    def read_proposal(self, text, request):
        words, _, expression = text.strip().rpartition(" :: ")
        right = value(expression) if words and len(text) < 500 else None
        if right is None:
            return Judged(Verdict("unreadable", "expected one line, problem :: expression"))
        key = " ".join(words.casefold().split())  # novelty compares the text, not the answer
        if key in request.own or key in request.view:
            return Judged(Verdict("duplicate", "this problem has been accepted already"))
        return Judged(Verdict("valid"), request.task(Problem(words, right), key))

    def read_answer(self, question, text):
        word = (text.strip().rstrip(".").split() or [""])[-1]
        if not word.removeprefix("-").isdecimal() or len(word) > 40:
            return Judged(Verdict("malformed", "expected a number last"))
        return Judged(Verdict("correct" if int(word) == question.answer else "wrong", answer=str(int(word))))

    def question(self, task, kind, index):
        return Asked(ANSWER.format(task.content.text), task.content.answer)

    def problem(self, goalpost):
        return Asked(ANSWER.format(goalpost.statement), goalpost.outputs[0])

    def goalposts(self):
        trains, hens = (
            "Two trains of 14 cars, 36 seats a car. Seats?",
            "Nine hens lay 17 eggs each; 28 break. Eggs?",
        )
        return Goalpost("trains", trains, outputs=(1008,)), Goalpost("hens", hens, outputs=(125,))

    def seeds(self):
        return (Task(Problem("Two and two.", 4), "two and two.", "propose", kind="answer"),)

    def read_content(self, record, kind, reader, field):
        fields = reader.fields(dict(record), field, ("text", "answer"), {})
        return Problem(
            reader.text(fields["text"], "text"), reader.integer(fields["answer"], "answer", -(10**40))
        )


def value(expression):
    """Compute an expression from its syntax tree; None if its form is wrong or its value too large."""

    def worked(node):
        if isinstance(node, ast.Constant) and type(node.value) is int:
            return node.value
        return OPERATORS[type(node.op)](worked(node.left), worked(node.right))

    try:
        found = worked(ast.parse(expression, mode="eval").body)
    except (SyntaxError, ValueError, AttributeError, KeyError, RecursionError, MemoryError):
        return None
    return found if abs(found) < 10**40 else None
