"""A scripted player: what `gasp_env.play` plays when nobody else does.

It reads prompts and nothing else, as any policy does, and answers those it was written for: the lemma
and the lift of one goalpost, on either axis, and the tasks that become of them. Its solver is right as
often as is interesting, so that one episode shows every stage.
"""

from __future__ import annotations

from dataclasses import dataclass

from gasp_env.domains.python.prompts import EASIER, HARDER
from gasp_env.tasks import AXES, Goalpost

GOALPOST = "calendar-gaps"


@dataclass(frozen=True)
class Script:
    """What the player knows about one task of its teacher.

    Attributes:
        program, inputs, message: what the teacher proposes.
        outputs: what the program returns, as literals.
        answer: what the solver writes when it is right.
        mistakes: what it writes when it is not.
        right: how many of eight attempts are right.
    """

    program: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    message: str
    right: int
    answer: str
    mistakes: tuple[str, ...]


GAPS_OF_ONE = Script(
    program="""\
def f(bookings, end):
    gaps, free_from = [], 0
    for a, b in bookings:
        if a > free_from:
            gaps.append((free_from, a))
        free_from = b
    if end > free_from:
        gaps.append((free_from, end))
    return gaps
""",
    inputs=(
        "[(2, 4)], 10",
        "[(0, 3), (5, 6)], 8",
        "[], 5",
        "[(1, 2), (2, 7)], 7",
        "[(3, 9)], 9",
        "[(0, 24)], 24",
        "[(4, 6), (8, 10), (15, 20)], 24",
        "[], 0",
        "[(1, 3), (4, 5)], 6",
        "[(9, 12), (13, 17)], 17",
    ),
    outputs=(
        "[(0, 2), (4, 10)]",
        "[(3, 5), (6, 8)]",
        "[(0, 5)]",
        "[(0, 1)]",
        "[(0, 3)]",
        "[]",
        "[(0, 4), (6, 8), (10, 15), (20, 24)]",
        "[]",
        "[(0, 1), (3, 4), (5, 6)]",
        "[(0, 9), (12, 13)]",
    ),
    message="The bookings of one person, in order, on a day that begins at 0. When is that person free?",
    right=4,
    answer="""\
def f(bookings, end):
    edges = [0]
    for a, b in bookings:
        edges += [a, b]
    edges.append(end)
    return [(a, b) for a, b in zip(edges[::2], edges[1::2]) if a < b]
""",
    mistakes=(
        """\
def f(bookings, end):
    gaps, free_from = [], 0
    for a, b in bookings:
        gaps.append((free_from, a))
        free_from = b
    return gaps + [(free_from, end)]
""",
        """\
def f(bookings, end):
    return [(b, c) for (a, b), (c, d) in zip(bookings, bookings[1:])]
""",
    ),
)
GAPS_OF_MANY = Script(
    program="""\
def f(calendars, end):
    gaps, free_from = [], 0
    for a, b in sorted(booking for bookings in calendars for booking in bookings):
        if a > free_from:
            gaps.append((free_from, min(a, end)))
        free_from = max(free_from, b)
    if end > free_from:
        gaps.append((free_from, end))
    return gaps
""",
    inputs=(
        "[[(2, 4)], [(6, 7)]], 10",
        "[[(3, 5), (0, 1)], [(4, 8)]], 8",
        "[[], []], 5",
        "[[(1, 9)], [(2, 3)]], 12",
        "[], 3",
        "[[(0, 10), (12, 13)], [(1, 2), (3, 4)]], 14",
        "[[(5, 6)], [(0, 5)], [(7, 9)]], 11",
        "[[(8, 9)], [(1, 6), (2, 3)], [(4, 5)]], 10",
        "[[(0, 24)], [(3, 4)]], 24",
        "[[(1, 2), (1, 2)], [(1, 2)]], 2",
    ),
    outputs=(
        "[(0, 2), (4, 6), (7, 10)]",
        "[(1, 3)]",
        "[(0, 5)]",
        "[(0, 1), (9, 12)]",
        "[(0, 3)]",
        "[(10, 12), (13, 14)]",
        "[(6, 7), (9, 11)]",
        "[(0, 1), (6, 8), (9, 10)]",
        "[]",
        "[(0, 1)]",
    ),
    message="Several people, each with bookings in any order, on a day that begins at 0. When are all of them free?",
    right=1,
    answer="""\
def f(calendars, end):
    free = [True] * end
    for bookings in calendars:
        for a, b in bookings:
            free[a:b] = [False] * (b - a)
    gaps, start = [], None
    for minute, is_free in enumerate(free + [False]):
        if is_free and start is None:
            start = minute
        if not is_free and start is not None:
            gaps.append((start, minute))
            start = None
    return gaps
""",
    mistakes=(
        """\
def f(calendars, end):
    gaps, free_from = [], 0
    for a, b in sorted(booking for bookings in calendars for booking in bookings):
        if a > free_from:
            gaps.append((free_from, a))
        free_from = b
    if end > free_from:
        gaps.append((free_from, end))
    return gaps
""",
        """\
def f(calendars, end):
    gaps, free_from = [], 0
    for bookings in calendars:
        for a, b in bookings:
            if a > free_from:
                gaps.append((free_from, a))
            free_from = max(free_from, b)
    return gaps
""",
    ),
)
BOOKED_ONCE = Script(
    program="""\
def f(bookings):
    total = reached = 0
    for a, b in sorted(bookings):
        total += max(b - max(a, reached), 0)
        reached = max(reached, b)
    return total
""",
    inputs=(
        "[(1, 4)]",
        "[(0, 2), (5, 9)]",
        "[(3, 6), (1, 4)]",
        "[]",
        "[(2, 2)]",
        "[(0, 10), (3, 5)]",
        "[(4, 8), (0, 5), (7, 9)]",
        "[(1, 3), (1, 3)]",
        "[(5, 6), (3, 4), (1, 2)]",
        "[(0, 4), (1, 2), (2, 8)]",
    ),
    outputs=("3", "6", "5", "0", "0", "10", "9", "2", "3", "8"),
    message="How many minutes are booked at least once?",
    right=4,
    answer="""\
def f(bookings):
    return len({minute for a, b in bookings for minute in range(a, b)})
""",
    mistakes=(
        """\
def f(bookings):
    return sum(b - a for a, b in bookings)
""",
        """\
def f(bookings):
    return max((b for a, b in bookings), default=0) - min((a for a, b in bookings), default=0)
""",
    ),
)
BOOKED_TWICE = Script(
    program="""\
def f(bookings):
    changes = sorted([(a, 1) for a, b in bookings if a < b] + [(b, -1) for a, b in bookings if a < b])
    total = depth = before = 0
    for minute, change in changes:
        if depth >= 2:
            total += minute - before
        depth, before = depth + change, minute
    return total
""",
    inputs=(
        "[(1, 4), (2, 6)]",
        "[(0, 2), (5, 9)]",
        "[(3, 6), (1, 4), (3, 5)]",
        "[]",
        "[(0, 5), (0, 5)]",
        "[(0, 10), (3, 5), (4, 8)]",
        "[(4, 8), (0, 5), (7, 9)]",
        "[(1, 3), (1, 3), (1, 3)]",
        "[(0, 9), (1, 2), (4, 6)]",
        "[(2, 2), (0, 4)]",
    ),
    outputs=("2", "0", "2", "0", "5", "5", "2", "2", "3", "0"),
    message="How many minutes are booked at least twice?",
    right=1,
    answer="""\
def f(bookings):
    minutes = [minute for a, b in bookings for minute in range(a, b)]
    return sum(minutes.count(minute) >= 2 for minute in set(minutes))
""",
    mistakes=(
        """\
def f(bookings):
    return sum(b - a for a, b in bookings) - len({m for a, b in bookings for m in range(a, b)})
""",
        """\
def f(bookings):
    spans = sorted(bookings)
    return sum(max(0, b - c) for (a, b), (c, d) in zip(spans, spans[1:]))
""",
    ),
)

#: axis -> (lemma, its lift)
SCRIPTS = {"io": (GAPS_OF_ONE, GAPS_OF_MANY), "f": (BOOKED_ONCE, BOOKED_TWICE)}

UNSURE = "I am not sure. Perhaps it has to do with sorting?"


class ScriptedPlayer:
    """Plays both roles at one goalpost."""

    def __init__(self, goalpost: Goalpost) -> None:
        self._goalpost = goalpost

    def __call__(self, prompt: str, samples: int) -> tuple[str, ...]:
        """The texts for a prompt: one for the teacher, ``samples`` attempts for the solver."""
        for axis in AXES:
            lemma, lift = SCRIPTS[axis]
            if EASIER[axis] in prompt and self._goalpost.signature in prompt:
                return (_propose(lemma),)
            if HARDER[axis] in prompt and lemma.program in prompt:
                return (_propose(lift),)
            for script in (lemma, lift):
                if script.message in prompt:
                    return _attempts(script, samples)
                if script.program in prompt:
                    return (_value(script, prompt),)
        return (UNSURE,) * samples


def _block(tag: str, body: str) -> str:
    return f"```{tag}\n{body.rstrip()}\n```"


def _propose(script: Script) -> str:
    blocks = [_block("python", script.program)]
    blocks += [_block("input", text) for text in script.inputs]
    return "\n".join([*blocks, _block("message", script.message)])


def _attempts(script: Script, samples: int) -> tuple[str, ...]:
    right = max(1, samples * script.right // 8)
    wrong = [*(_block("python", mistake) for mistake in script.mistakes), UNSURE]
    missed = [wrong[number % len(wrong)] for number in range(samples - right)]
    return (_block("python", script.answer),) * right + tuple(missed)


def _value(script: Script, prompt: str) -> str:
    # A deduction prompt shows the call, an abduction prompt the value; a value is never shown as a call.
    for arguments, output in zip(script.inputs, script.outputs, strict=True):
        if f"f({arguments})" in prompt:
            return _block("output", output)
    for arguments, output in zip(script.inputs, script.outputs, strict=True):
        if f"\n{output}\n" in prompt:
            return _block("input", arguments)
    return UNSURE
