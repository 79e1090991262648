"""The second twenty, from badges to page numbers."""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any


def badge_prefixes(names: list) -> list:
    badges: list = []
    for name in names:
        free = [
            name[:size]
            for size in range(1, len(name) + 1)
            if not any(badge.startswith(name[:size]) for badge in badges)
        ]
        numbered = (f"{name}#{number}" for number in itertools.count(2))
        badges.append(free[0] if free else next(badge for badge in numbered if badge not in badges))
    return badges


def draw_badge_prefixes(rng: Random) -> tuple:
    return (["".join(rng.choice("ab") for _ in range(rng.randint(1, 4))) for _ in range(rng.randint(0, 9))],)


def loudest_stretch(machines: list) -> tuple | None:
    total: dict = {}
    for start, end, loudness in machines:
        for minute in range(start, end):
            total[minute] = total.get(minute, 0) + loudness
    if not total:
        return None
    most = max(total.values())
    stretches = []
    for minute in total:
        end = minute
        while total.get(end) == most:
            end += 1
        if end > minute and total.get(minute - 1) != most:
            stretches.append((most, minute, end))
    return min(stretches, key=lambda stretch: (stretch[1] - stretch[2], stretch[1]))


def draw_loudest_stretch(rng: Random) -> tuple:
    machines = []
    for _ in range(rng.randint(0, 6)):
        start = rng.randint(-2, 18)
        machines.append((start, start + rng.randint(0, 8), rng.randint(-3, 4)))
    return (machines,)


def smoke_signals(heights: list) -> int:
    return sum(
        sum(height >= min(heights[i], heights[j]) for height in heights[i + 1 : j]) <= 1
        for i, j in itertools.combinations(range(len(heights)), 2)
    )


def draw_smoke_signals(rng: Random) -> tuple:
    return ([rng.randint(1, rng.choice([3, 9])) for _ in range(rng.randint(0, 14))],)


def toggle_board(board: list, drops: list) -> tuple:
    cells = [list(row) for row in board]
    out = [0] * len(drops)
    for column in reversed(range(len(drops))):
        for _ in range(drops[column]):
            at = column
            for row in cells:
                mark = row[at]
                if mark != ".":
                    row[at] = "<" if mark == ">" else ">"
                    at += 1 if mark == ">" else -1
                if not 0 <= at < len(drops):
                    break
            else:
                out[at] += 1
    return out, ["".join(row) for row in cells]


def draw_toggle_board(rng: Random) -> tuple:
    width = rng.randint(1, 6)
    board = ["".join(rng.choice(".<>") for _ in range(width)) for _ in range(rng.randint(0, 6))]
    return board, [rng.randint(0, 9) for _ in range(width)]


def shelf_filter(text: str, items: list) -> list:
    # Rewrites the filter to T or F for one item after another, the tightest binding first.
    rules: list = [
        (r"!([TF])", lambda m: "FT"[m[1] == "F"]),
        (r"([TF])&([TF])", lambda m: "FT"[m[1] == m[2] == "T"]),
        (r"(?<!&)([TF])\|([TF])(?!&)", lambda m: "FT"["T" in m[0]]),
        (r"(\d+)\(([TF](?:,[TF])*)\)", lambda m: "FT"[m[2].count("T") >= int(m[1])]),
        (r"(?<!\d)\(([TF])\)", lambda m: m[1]),
    ]
    found = []
    for index, words in enumerate(items):
        left = re.sub("[a-z]+", lambda m, words=words: "FT"[m[0] in words], text).replace(" ", "")
        while len(left) > 1:
            for pattern, value in rules:
                left, changes = re.subn(pattern, value, left, count=1)
                if changes:
                    break
        if left == "T":
            found.append(index)
    return found


def draw_shelf_filter(rng: Random) -> tuple:
    def grow(depth: int) -> str:
        kind = rng.randint(0, 6) if depth else 0
        if kind <= 1:
            return rng.choice(["red", "old", "big", "odd"])
        if kind == 2:
            return "!" + rng.choice(["", " "]) + grow(0)
        if kind == 3:
            parts = ", ".join(grow(depth - 1) for _ in range(rng.randint(1, 3)))
            return f"{rng.randint(0, 3)}({parts})"
        if kind == 4:
            return rng.choice(["", "!"]) + f"({grow(depth - 1)})"
        return f"{grow(depth - 1)}{rng.choice(['&', '|', ' & ', ' | '])}{grow(depth - 1)}"

    words = ["red", "old", "big", "odd"]
    return grow(3), [rng.sample(words, rng.randint(0, 4)) for _ in range(rng.randint(0, 6))]


def colour_quotas(length: int, quotas: list, modulus: int) -> int:
    total = 0
    for counts in itertools.product(*({0, *range(low, high + 1)} for low, high in quotas)):
        if sum(counts) == length:
            ways = math.factorial(length)
            for count in counts:
                ways //= math.factorial(count)
            total += ways
    return total % modulus


def draw_colour_quotas(rng: Random) -> tuple:
    quotas = [
        (low, low + rng.randint(-1, 3)) for low in (rng.randint(0, 4) for _ in range(rng.randint(0, 5)))
    ]
    return rng.randint(0, 10), quotas, rng.choice([1, 2, 12, 97, 1000, 1_000_000_007])


def diamond_sprinklers(sprinklers: list, need: int) -> int:
    wet: Counter = Counter()
    for x, y, reach in sprinklers:
        for dx in range(-reach, reach + 1):
            for dy in range(-reach, reach + 1):
                wet[x + dx, y + dy] += abs(dx) + abs(dy) <= reach
    return sum(count >= need for count in wet.values())


def draw_diamond_sprinklers(rng: Random) -> tuple:
    sprinklers = [
        (rng.randint(-5, 5), rng.randint(-5, 5), rng.randint(0, 5)) for _ in range(rng.randint(0, 6))
    ]
    return sprinklers, rng.randint(1, 4)


def nesting_dolls(dolls: list) -> int:
    # As many dolls as possible are given one to sit in: a matching, by augmenting paths.
    holds: dict = {}

    def seat(doll: int, tried: set) -> bool:
        for outer, (room, _) in enumerate(dolls):
            if dolls[doll][1] <= room and outer not in tried:
                tried.add(outer)
                if outer not in holds or seat(holds[outer], tried):
                    holds[outer] = doll
                    return True
        return False

    return len(dolls) - sum(seat(doll, set()) for doll in range(len(dolls)))


def draw_nesting_dolls(rng: Random) -> tuple:
    rooms = [rng.randint(0, 15) for _ in range(rng.randint(0, 9))]
    return ([(room, room + rng.randint(1, 6)) for room in rooms],)


def carry_pairs(total: int, base: int, carries: int) -> int:
    count = 0
    for x in range(total + 1):
        y, carry, carried = total - x, 0, 0
        while x or y:
            carry = (x % base + y % base + carry) // base
            carried += carry
            x, y = x // base, y // base
        count += carried == carries
    return count


def draw_carry_pairs(rng: Random) -> tuple:
    return rng.randint(0, 600), rng.randint(2, 11), rng.randint(0, 6)


def singable_stretches(notes: str, breaths: int) -> int:
    stretches = (notes[i:j] for i, j in itertools.combinations(range(len(notes) + 1), 2))
    return sum(sum(n > 1 for n in Counter(stretch).values()) <= breaths for stretch in stretches)


def draw_singable_stretches(rng: Random) -> tuple:
    letters = rng.choice(["ab", "abcd", "abcdefgh"])
    return "".join(rng.choice(letters) for _ in range(rng.randint(0, 18))), rng.randint(0, 3)


def weighing_notes(stones: int, notes: list) -> list:
    facts: list = []
    answers: list = []
    for kind, a, b, *more in notes:
        # How much heavier than b every stone is that can be reached from b by facts.
        heavier = {b: 0}
        for _ in range(stones):
            for c, d, grams in facts:
                if d in heavier:
                    heavier[c] = heavier[d] + grams
                elif c in heavier:
                    heavier[d] = heavier[c] - grams
        if kind == "ask":
            answers.append(heavier.get(a))
            continue
        fits = heavier.get(a, more[0]) == more[0]
        answers.append(fits)
        if fits:
            facts.append((a, b, more[0]))
    return answers


def draw_weighing_notes(rng: Random) -> tuple:
    stones = rng.randint(1, 6)
    notes: list = []
    for _ in range(rng.randint(0, 14)):
        a, b = rng.randrange(stones), rng.randrange(stones)
        notes.append(("ask", a, b) if rng.random() < 0.4 else ("says", a, b, rng.randint(-2, 2)))
    return stones, notes


def unequal_cuts(ropes: list, least: int) -> tuple | None:
    won: dict = {}

    def moves(state: tuple) -> list:
        return [
            (position, piece, tuple(sorted((*state[:position], *state[position + 1 :], piece, rope - piece))))
            for position, rope in enumerate(state)
            for piece in range(least, (rope + 1) // 2)
        ]

    def wins(state: tuple) -> bool:
        if state not in won:
            won[state] = any(not wins(after) for _, _, after in moves(state))
        return won[state]

    return next(
        ((position, piece) for position, piece, after in moves(tuple(ropes)) if not wins(after)), None
    )


def draw_unequal_cuts(rng: Random) -> tuple:
    return [rng.randint(1, 9) for _ in range(rng.randint(0, 3))], rng.randint(1, 3)


def pinwheel_square(grid: list) -> tuple:
    height, width = len(grid), len(grid[0])
    for side in range(min(height, width), 0, -1):
        for row, column in itertools.product(range(height - side + 1), range(width - side + 1)):
            square = [tuple(line[column : column + side]) for line in grid[row : row + side]]
            if square == list(zip(*square[::-1], strict=True)):
                return side, row, column
    raise AssertionError("a single cell always looks the same")


def draw_pinwheel_square(rng: Random) -> tuple:
    height, width = rng.randint(1, 7), rng.randint(1, 7)
    cells = [[rng.choice("xxo") for _ in range(width)] for _ in range(height)]
    side = rng.randint(1, min(height, width))
    row, column = rng.randint(0, height - side), rng.randint(0, width - side)
    for i, j in itertools.product(range(side), repeat=2):
        if rng.random() < 0.9:
            for a, b in ((i, j), (j, side - 1 - i), (side - 1 - i, side - 1 - j), (side - 1 - j, i)):
                cells[row + a][column + b] = cells[row + i][column + j]
    return (["".join(line) for line in cells],)


def red_cables(towns: int, cables: list, reds: int) -> int | None:
    # Every choice of red cables without a ring, filled up with the cheapest others.
    best = None
    others = sorted((cable for cable in cables if not cable[3]), key=lambda cable: cable[2])
    for chosen in itertools.combinations([cable for cable in cables if cable[3]], reds):
        group = list(range(towns))
        cost = used = rings = 0
        for number, (a, b, price, _) in enumerate([*chosen, *others]):
            if group[a] != group[b]:
                group = [group[a] if member == group[b] else member for member in group]
                cost += price
                used += 1
            elif number < reds:
                rings += 1
        if not rings and used == towns - 1 and (best is None or cost < best):
            best = cost
    return best


def draw_red_cables(rng: Random) -> tuple:
    towns = rng.randint(1, 6)
    cables = [
        (rng.randrange(towns), rng.randrange(towns), rng.randint(0, 12), rng.random() < 0.5)
        for _ in range(rng.randint(0, 13))
    ]
    return towns, cables, rng.randint(0, max(towns - 1, 1))


def twin_strands(text: str) -> int:
    if len(text) % 2:
        return 0
    count = 0
    for rest in itertools.combinations(range(1, len(text)), len(text) // 2 - 1):
        one = {0, *rest}
        other = [text[i] for i in range(len(text)) if i not in one]
        count += [text[i] for i in sorted(one)] == other
    return count


def draw_twin_strands(rng: Random) -> tuple:
    size, letters = rng.randint(1, 6), rng.choice(["a", "ab", "abc"])
    if rng.random() < 0.2:
        return ("".join(rng.choice(letters) for _ in range(2 * size - rng.randint(0, 1))),)
    strand = [rng.choice(letters) for _ in range(size)]
    taken, braid = [0, 0], []
    while sum(taken) < 2 * size:
        which = rng.randrange(2)
        if taken[which] < size:
            braid.append(strand[taken[which]])
            taken[which] += 1
    return ("".join(braid),)


def siding_length(arriving: list, wanted: list) -> int:
    for capacity in range(len(arriving) + 1):
        states = {(0, (), 0)}  # cars that came, cars in the siding, cars that left
        for _ in range(2 * len(arriving)):
            reached = set(states)
            for came, siding, left in states:
                following = wanted[left] if left < len(wanted) else None
                if siding and siding[-1] == following:
                    reached.add((came, siding[:-1], left + 1))
                if came < len(arriving) and arriving[came] == following:
                    reached.add((came + 1, siding, left + 1))
                if came < len(arriving) and len(siding) < capacity:
                    reached.add((came + 1, (*siding, arriving[came]), left))
            states = reached
        if any(left == len(wanted) for _, _, left in states):
            return capacity
    return -1


def draw_siding_length(rng: Random) -> tuple:
    cars = list("ABCDEF")[: rng.randint(0, 6)]
    wanted, siding, coming = [], [], list(cars)
    while coming or siding:
        if siding and (not coming or rng.random() < 0.5):
            wanted.append(siding.pop())
        else:
            siding.append(coming.pop(0))
    if rng.random() < 0.3:
        rng.shuffle(wanted)
    return cars, wanted


def phone_tree(calls: list) -> int:
    def last(person: int) -> int:
        """Minutes from when a person knows to when everybody below does."""
        mine = [(called, minutes) for caller, called, minutes in calls if caller == person]
        below = {called: last(called) for called, _ in mine}
        best = None
        for order in itertools.permutations(mine):
            time = end = 0
            for called, minutes in order:
                time += minutes
                end = max(end, time + below[called])
            best = end if best is None else min(best, end)
        return best or 0

    return last(0)


def draw_phone_tree(rng: Random) -> tuple:
    people = rng.randint(1, 9)
    names = [0, *rng.sample(range(1, people), people - 1)]
    calls = [(names[rng.randrange(place)], names[place], rng.randint(1, 5)) for place in range(1, people)]
    rng.shuffle(calls)
    return (calls,)


def gentle_numbers(position: int, jump: int) -> int:
    seen, numbers = 0, list("123456789")
    while True:
        if position <= seen + len(numbers):
            return int(numbers[position - seen - 1])
        seen += len(numbers)
        numbers = [
            n + digit for n in numbers for digit in "0123456789" if abs(int(n[-1]) - int(digit)) <= jump
        ]


def draw_gentle_numbers(rng: Random) -> tuple:
    jump = rng.randint(0, 9)
    return rng.randint(1, 120 if jump == 0 else 3000), jump


def rolling_die(grid: list, start: tuple, goal: tuple) -> int:
    # Faces by place: top, bottom, north, south, east, west. A roll moves them round.
    rolls = {
        (0, 1): lambda t, b, n, s, e, w: (w, e, n, s, t, b),
        (0, -1): lambda t, b, n, s, e, w: (e, w, n, s, b, t),
        (-1, 0): lambda t, b, n, s, e, w: (s, n, t, b, e, w),
        (1, 0): lambda t, b, n, s, e, w: (n, s, b, t, e, w),
    }
    paid = {(*start, (1, 6, 2, 5, 3, 4)): 0}
    changed = True
    while changed:
        changed = False
        for (row, column, faces), cost in list(paid.items()):
            for (down, right), roll in rolls.items():
                r, c, rolled = row + down, column + right, roll(*faces)
                if not (0 <= r < len(grid) and 0 <= c < len(grid[0])) or grid[r][c] == "#":
                    continue
                if cost + rolled[0] < paid.get((r, c, rolled), math.inf):
                    paid[r, c, rolled] = cost + rolled[0]
                    changed = True
    return min((cost for (r, c, _), cost in paid.items() if (r, c) == goal), default=-1)


def draw_rolling_die(rng: Random) -> tuple:
    height, width = rng.randint(1, 5), rng.randint(1, 5)
    cells = [[rng.choice("...#") for _ in range(width)] for _ in range(height)]
    start, goal = [(rng.randrange(height), rng.randrange(width)) for _ in range(2)]
    cells[start[0]][start[1]] = cells[goal[0]][goal[1]] = "."
    return ["".join(row) for row in cells], start, goal


def print_order(text: str, pages: int) -> list | None:
    every = range(1, pages + 1)
    order: list = []
    for part in text.split(","):
        found = re.fullmatch(r" *(!?)([0-9]*)(-?)([0-9]*) *", part)
        if found is None:
            return None
        out, first, dash, last = found.groups()
        if not first and not last:
            return None
        if not dash:
            meant = [int(first)]
        elif not last:
            meant = [int(first), *(page for page in every if page > int(first))]
        elif not first:
            meant = [page for page in every if page > pages - int(last)]
            if len(meant) != int(last) or not meant:
                return None
        else:
            low, high = sorted((int(first), int(last)))
            if high > pages:
                return None
            meant = list(range(low, high + 1))
            if int(first) > int(last):
                meant.reverse()
        if any(page not in every for page in meant):
            return None
        order = [page for page in order if page not in meant] if out else order + meant
    return order


def draw_print_order(rng: Random) -> tuple:
    pages = rng.randint(1, 9)

    def part() -> str:
        a, b = rng.randint(1, pages), rng.randint(1, pages)
        form = rng.choice([f"{a}", f"{a}-{b}", f"{a}-", f"-{b}", f"{a}-{b}"])
        odd = rng.choice(
            ["", "0", "x", f"{a}--{b}", f"{a} {b}", f"{pages + 1}", f"-{pages + 1}", "-", "!", "! 1"]
        )
        mark = rng.choice(["", "", " ", "!"])
        return mark + (odd if rng.random() < 0.05 else form) + rng.choice(["", " "])

    return ",".join(part() for _ in range(rng.randint(1, 5))), pages


#: goalpost id -> (brute force, source of random arguments)
SECOND_OPINIONS: dict[str, tuple[Callable[..., Any], Callable[[Random], tuple]]] = {
    "badge-prefixes": (badge_prefixes, draw_badge_prefixes),
    "loudest-stretch": (loudest_stretch, draw_loudest_stretch),
    "smoke-signals": (smoke_signals, draw_smoke_signals),
    "toggle-board": (toggle_board, draw_toggle_board),
    "shelf-filter": (shelf_filter, draw_shelf_filter),
    "colour-quotas": (colour_quotas, draw_colour_quotas),
    "diamond-sprinklers": (diamond_sprinklers, draw_diamond_sprinklers),
    "nesting-dolls": (nesting_dolls, draw_nesting_dolls),
    "carry-pairs": (carry_pairs, draw_carry_pairs),
    "singable-stretches": (singable_stretches, draw_singable_stretches),
    "weighing-notes": (weighing_notes, draw_weighing_notes),
    "unequal-cuts": (unequal_cuts, draw_unequal_cuts),
    "pinwheel-square": (pinwheel_square, draw_pinwheel_square),
    "red-cables": (red_cables, draw_red_cables),
    "twin-strands": (twin_strands, draw_twin_strands),
    "siding-length": (siding_length, draw_siding_length),
    "phone-tree": (phone_tree, draw_phone_tree),
    "gentle-numbers": (gentle_numbers, draw_gentle_numbers),
    "rolling-die": (rolling_die, draw_rolling_die),
    "print-order": (print_order, draw_print_order),
}
