"""The worked examples of the teacher's prompts: problems, an exercise for each, and a harder one.

They are proposals as well, and count as accepted from the start (`EXAMPLES`).
"""

from __future__ import annotations

from dataclasses import dataclass

from gasp_env.domains.python import parsing
from gasp_env.domains.python.triplet import Proposal


@dataclass(frozen=True)
class Shot:
    """A problem and two exercises, each one block of code: the hint, the function, calls of it.

    The calls are numbered, because a model that numbers them writes as many as it was asked for. A number behind a call
    would be taken for its result.
    """

    problem: str
    exercise: str
    harder: str


SHOTS = (
    Shot(
        "A warehouse has shelves of different widths. Given the widths of the shelves and the widths of the boxes in "
        "the order in which they arrive, put every box on the shelf with the least free space that still holds it, "
        "and return the number of boxes that find no place.",
        """\
# Hint: Return the narrowest of the shelves that are at least as wide as the box, or None if there is none.
def f(widths, box):
    fitting = [width for width in widths if width >= box]
    return min(fitting) if fitting else None

call_1 = f([5, 3, 8], 4)
call_2 = f([2, 2], 3)
call_3 = f([], 1)
call_4 = f([7], 7)
call_5 = f([9, 6, 10], 6)
call_6 = f([1, 4, 2], 2)
call_7 = f([3, 8, 5, 4], 4)
call_8 = f([10, 20, 30], 11)""",
        """\
# Hint: Every box takes the narrowest shelf that holds it and is still free. Return the boxes that find no shelf.
def f(widths, boxes):
    free, left = sorted(widths), []
    for box in boxes:
        fitting = [width for width in free if width >= box]
        if fitting:
            free.remove(fitting[0])
        else:
            left.append(box)
    return left

call_1 = f([5, 3, 8], [4, 4, 4])
call_2 = f([2, 2], [3, 1])
call_3 = f([], [1])
call_4 = f([7, 9], [7, 9, 1])
call_5 = f([9, 6, 10], [6, 10, 9])
call_6 = f([1, 4, 2], [2, 2, 1])
call_7 = f([3, 8, 5, 4], [4, 4])
call_8 = f([10, 20, 30], [25, 25])""",
    ),
    Shot(
        "A secret text was written with every small letter moved along the alphabet, by a shift that grows by one "
        "after every space and starts again after every full stop. Given the secret text and the first shift, return "
        "the original text.",
        """\
# Hint: Return the text with everything in capitals that comes after a full stop.
def f(text):
    first, *others = text.split(".")
    return ".".join([first] + [part.upper() for part in others])

call_1 = f("one. two")
call_2 = f("a.b.c")
call_3 = f("no stop")
call_4 = f("")
call_5 = f("Stop. go. Stop")
call_6 = f("end.")
call_7 = f(".start")
call_8 = f("x y. z")""",
        """\
# Hint: Move every small letter along the alphabet, by one more after every full stop.
def f(text, shift):
    moved = ""
    for letter in text:
        if letter == ".":
            shift += 1
        place = ord(letter) - ord("a")
        moved += chr(ord("a") + (place + shift) % 26) if letter.islower() else letter
    return moved

call_1 = f("one. two", 1)
call_2 = f("a.b.c", 0)
call_3 = f("xyz", 2)
call_4 = f("", 5)
call_5 = f("Stop. go. Stop", 3)
call_6 = f("end.", 25)
call_7 = f(".start", 0)
call_8 = f("a a. a a", 1)""",
    ),
    Shot(
        "Given the results of a season as (home team, goals, goals, away team), return the final table: the teams by "
        "points, then by the difference of goals, then by name, where a team that did not play all the others comes "
        "last.",
        """\
# Hint: Count three points for every game in which the team has more goals than the other, and one for a draw.
def f(results):
    points = 0
    for own, other in results:
        points += 3 if own > other else 1 if own == other else 0
    return points

call_1 = f([(2, 1)])
call_2 = f([(0, 0), (1, 1)])
call_3 = f([(0, 3)])
call_4 = f([])
call_5 = f([(5, 2), (1, 1), (0, 1)])
call_6 = f([(3, 3), (4, 0)])
call_7 = f([(1, 0), (2, 0), (3, 0)])
call_8 = f([(0, 1), (2, 2)])""",
        """\
# Hint: Return the teams, those with most points first, and those with equal points by name.
def f(results):
    points = {}
    for home, own, other, away in results:
        points[home] = points.get(home, 0) + (3 if own > other else int(own == other))
        points[away] = points.get(away, 0) + (3 if other > own else int(own == other))
    return sorted(points, key=lambda team: (-points[team], team))

call_1 = f([("a", 2, 1, "b")])
call_2 = f([("b", 0, 0, "a")])
call_3 = f([("a", 0, 3, "b"), ("b", 1, 1, "c")])
call_4 = f([])
call_5 = f([("x", 5, 2, "y"), ("y", 1, 1, "z"), ("z", 0, 1, "x")])
call_6 = f([("c", 1, 0, "a"), ("c", 0, 1, "b")])
call_7 = f([("z", 2, 2, "y"), ("y", 2, 2, "x"), ("x", 2, 2, "z")])
call_8 = f([("k", 0, 9, "l")])""",
    ),
)

EXAMPLES: tuple[Proposal, ...] = tuple(
    parsing.parse_proposal(f"```python\n{text}\n```")
    for shot in SHOTS
    for text in (shot.exercise, shot.harder)
)
