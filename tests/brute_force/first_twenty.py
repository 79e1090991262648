"""The first twenty, from calendars to crews."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import Any


def calendar_gaps(calendars: list, window: tuple, need: int) -> list:
    low, high = window
    free = [all(not (a <= t < b) for spans in calendars for a, b in spans) for t in range(low, high)]
    found = []
    for is_free, group in itertools.groupby(range(low, high), key=lambda t: free[t - low]):
        minutes = list(group)
        if is_free and len(minutes) >= need:
            found.append((minutes[0], minutes[-1] + 1))
    return found


def draw_calendar_gaps(rng: Random) -> tuple:
    calendars = [
        [(a, a + rng.randint(0, 8)) for a in (rng.randint(-3, 28) for _ in range(rng.randint(0, 3)))]
        for _ in range(rng.randint(0, 3))
    ]
    low = rng.randint(0, 6)
    return calendars, (low, low + rng.randint(0, 24)), rng.randint(1, 4)


def painted_fence(length: int, strokes: list) -> dict:
    boards = [""] * length
    for start, end, colour in strokes:
        for board in range(max(start, 0), min(end, length)):
            boards[board] = colour
    return {colour: boards.count(colour) for colour in set(boards) - {""}}


def draw_painted_fence(rng: Random) -> tuple:
    length = rng.randint(0, 20)
    strokes = []
    for _ in range(rng.randint(0, 8)):
        start = rng.randint(-4, length + 2)
        strokes.append((start, start + rng.randint(0, 10), rng.choice(["red", "blue", "green", "ochre"])))
    return length, strokes


def rising_splits(digits: str, most: int) -> int:
    count = 0
    for cuts in itertools.product([False, True], repeat=max(len(digits) - 1, 0)):
        parts, start = [], 0
        for place, cut in enumerate(cuts, start=1):
            if cut:
                parts.append(digits[start:place])
                start = place
        parts.append(digits[start:])
        if any(len(part) > 1 and part[0] == "0" for part in parts):
            continue
        numbers = [int(part) for part in parts]
        rising = all(a < b for a, b in itertools.pairwise(numbers))
        count += rising and numbers[-1] <= most
    return count


def draw_rising_splits(rng: Random) -> tuple:
    digits = "".join(rng.choice("0123456789") for _ in range(rng.randint(1, 11)))
    return digits, rng.choice([9, 50, 200, 5000, 10**6])


def restless_row(row: str) -> int:
    seen, frontier, steps = {row}, [row], 0
    while frontier:
        if any(all(a != b for a, b in itertools.pairwise(state)) for state in frontier):
            return steps
        reached = []
        for state in frontier:
            for i in range(len(state) - 1):
                swapped = state[:i] + state[i + 1] + state[i] + state[i + 2 :]
                if swapped not in seen:
                    seen.add(swapped)
                    reached.append(swapped)
        frontier, steps = reached, steps + 1
    return -1


def draw_restless_row(rng: Random) -> tuple:
    return ("".join(rng.choice("abc") for _ in range(rng.randint(0, 8))),)


def coupon_not_first(towns: int, roads: list, start: int, goal: int) -> int:
    if start == goal:
        return 0
    best = {(start, False): 0}  # cheapest walks of exactly `step` roads, by (town, coupon used)
    cheapest = None
    for step in range(2 * towns + 2):
        longer: dict = {}
        for (town, used), cost in best.items():
            for a, b, toll in roads:
                if a != town:
                    continue
                options = [(used, cost + toll)]
                if not used and step > 0:
                    options.append((True, cost + toll // 2))
                for state, total in options:
                    key = (b, state)
                    longer[key] = min(longer.get(key, total), total)
        best = longer
        for (town, _), cost in best.items():
            if town == goal and (cheapest is None or cost < cheapest):
                cheapest = cost
    return -1 if cheapest is None else cheapest


def draw_coupon_not_first(rng: Random) -> tuple:
    towns = rng.randint(1, 6)
    roads = [
        (rng.randrange(towns), rng.randrange(towns), rng.randint(0, 30)) for _ in range(rng.randint(0, 10))
    ]
    return towns, roads, rng.randrange(towns), rng.randrange(towns)


def tide_gates(grid: list) -> int:
    height, width = len(grid), len(grid[0])
    here = {(0, 0)}
    for time in range(9 * height * width + 10):
        if (height - 1, width - 1) in here:
            return time
        later = set(here)
        for row, column in here:
            for r, c in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1)):
                if 0 <= r < height and 0 <= c < width:
                    cell = grid[r][c]
                    if cell == "." or (cell.isdigit() and (time + 1) % int(cell) == 0):
                        later.add((r, c))
        here = later
    return -1


def draw_tide_gates(rng: Random) -> tuple:
    height, width = rng.randint(1, 5), rng.randint(1, 5)
    rows = [[rng.choice("...234579##") for _ in range(width)] for _ in range(height)]
    rows[0][0] = "."
    return (["".join(row) for row in rows],)


_SECONDS = {"h": 3600, "m": 60, "s": 1}


def duration_sums(text: str) -> str:
    # Shunting yard over plain seconds.
    tokens, i = [], 0
    while i < len(text):
        if text[i].isdigit():
            total, plain = 0, None
            while i < len(text) and text[i].isdigit():
                j = i
                while j < len(text) and text[j].isdigit():
                    j += 1
                if j < len(text) and text[j] in _SECONDS:
                    total += int(text[i:j]) * _SECONDS[text[j]]
                    j += 1
                else:
                    plain = int(text[i:j])
                i = j
            tokens.append(total if plain is None else plain)
        else:
            if text[i] != " ":
                tokens.append(text[i])
            i += 1
    rank = {"+": 1, "-": 1, "*": 2}
    values: list = []
    operators: list = []

    def apply() -> None:
        operator, right, left = operators.pop(), values.pop(), values.pop()
        values.append(left + right if operator == "+" else left - right if operator == "-" else left * right)

    for token in tokens:
        if isinstance(token, int):
            values.append(token)
        elif token == "(":
            operators.append(token)
        elif token == ")":
            while operators[-1] != "(":
                apply()
            operators.pop()
        else:
            while operators and operators[-1] != "(" and rank[operators[-1]] >= rank[token]:
                apply()
            operators.append(token)
    while operators:
        apply()
    seconds = values[0]
    if seconds == 0:
        return "0s"
    sign, seconds = ("-", -seconds) if seconds < 0 else ("", seconds)
    parts = [(seconds // 3600, "h"), (seconds % 3600 // 60, "m"), (seconds % 60, "s")]
    return sign + "".join(f"{count}{unit}" for count, unit in parts if count)


def draw_duration_sums(rng: Random) -> tuple:
    def duration() -> str:
        while True:
            units = [f"{rng.randint(0, 99)}{unit}" for unit in "hms" if rng.random() < 0.5]
            if units:
                return "".join(units)

    def term(depth: int) -> str:
        inner = f"({total(depth - 1)})" if depth and rng.random() < 0.5 else duration()
        while rng.random() < 0.35:
            inner = f"{rng.randint(0, 5)}*{inner}"
        return inner

    def total(depth: int) -> str:
        text = term(depth)
        for _ in range(rng.randint(0, 2)):
            text += rng.choice([" + ", " - ", "+", "-"]) + term(depth)
        return text

    return (total(2),)


def outline_totals(text: str) -> dict | None:
    lines = [line for line in text.split("\n") if line.strip()]
    depth = [len(line) - len(line.lstrip(" ")) for line in lines]
    if lines and depth[0] != 0:
        return None
    parents: list = []
    for i in range(len(lines)):
        above = [j for j in range(i) if depth[j] < depth[i]]
        parents.append(above[-1] if above else None)
        # A line may only be indented as far as a sibling under the same parent is.
        siblings = [j for j in range(i) if parents[j] == parents[i]]
        if any(depth[j] != depth[i] for j in siblings):
            return None
    totals: dict = {}
    for i, line in enumerate(lines):
        path, at = [], i
        while at is not None:
            path.append(lines[at].strip().partition(":")[0])
            at = parents[at]
        amount = line.partition(":")[2].strip()
        for k in range(len(path)):
            name = "/".join(reversed(path[k:]))
            totals[name] = totals.get(name, 0) + (int(amount) if amount else 0)
    return totals


def draw_outline_totals(rng: Random) -> tuple:
    lines, depth = [], 0
    for _ in range(rng.randint(0, 8)):
        amount = rng.choice(["", f" {rng.randint(-9, 40)}"])
        lines.append(" " * depth + rng.choice(["rent", "food", "bus", "tea", "misc"]) + ":" + amount)
        if rng.random() < 0.15:
            lines.append("")
        depth = max(0, depth + rng.choice([0, 2, 2, -2, -4, 0, 1 if rng.random() < 0.2 else 0]))
    return ("\n".join(lines),)


def pegs_inside(corners: list) -> tuple:
    xs, ys = [x for x, _ in corners], [y for _, y in corners]
    sides = list(zip(corners, corners[1:] + corners[:1], strict=True))
    inside = border = 0
    for x in range(min(xs), max(xs) + 1):
        for y in range(min(ys), max(ys) + 1):
            on, crossings = False, 0
            for (ax, ay), (bx, by) in sides:
                cross = (bx - ax) * (y - ay) - (by - ay) * (x - ax)
                if cross == 0 and min(ax, bx) <= x <= max(ax, bx) and min(ay, by) <= y <= max(ay, by):
                    on = True
                if (ay > y) != (by > y):
                    # Where the side meets the horizontal through the peg, exactly.
                    crossings += ax + Fraction((y - ay) * (bx - ax), by - ay) > x
            border += on
            inside += not on and crossings % 2 == 1
    return inside, border


def draw_pegs_inside(rng: Random) -> tuple:
    # A polygon that is star-shaped from the origin is simple: sort distinct directions by angle.
    while True:
        points = {(rng.randint(-6, 6), rng.randint(-6, 6)) for _ in range(rng.randint(3, 8))} - {(0, 0)}
        by_ray: dict = {}
        for x, y in points:
            by_ray.setdefault(_turn(x, y), (x, y))
        rays = sorted(by_ray)
        # No gap of half a turn or more, so that the origin is strictly inside.
        gaps = [(b - a) % 8 for a, b in zip(rays, rays[1:] + rays[:1], strict=True)]
        if len(rays) >= 3 and all(0 < gap < 4 for gap in gaps):
            corners = [by_ray[ray] for ray in rays]
            return (corners if rng.random() < 0.5 else corners[::-1],)


def _turn(x: int, y: int) -> Fraction:
    """A rational that grows with the angle of (x, y), from 0 along the positive x axis to below 8."""
    size = abs(x) + abs(y)
    quarter = Fraction(2 * abs(y), size)
    if x > 0 and y >= 0:
        return quarter
    if x <= 0 and y > 0:
        return 4 - quarter
    if x < 0:
        return 4 + quarter
    return 8 - quarter


def lighthouse_sweep(posts: list) -> list:
    seen = [
        (x, y)
        for x, y in set(posts) - {(0, 0)}
        if not any(
            x * v == y * u and x * u + y * v > 0 and u * u + v * v < x * x + y * y
            for u, v in set(posts) - {(0, 0)}
        )
    ]
    return sorted(seen, key=lambda post: _turn(*post))


def draw_lighthouse_sweep(rng: Random) -> tuple:
    return ([(rng.randint(-4, 4), rng.randint(-4, 4)) for _ in range(rng.randint(0, 14))],)


def missing_melody(text: str, notes: str) -> str:
    letters = sorted(set(notes))
    for length in itertools.count(1):
        for candidate in itertools.product(letters, repeat=length):
            remaining = iter(text)
            if not all(note in remaining for note in candidate):
                return "".join(candidate)
    raise AssertionError("a longer melody than the text is always missing")


def draw_missing_melody(rng: Random) -> tuple:
    notes = rng.choice(["a", "ab", "abc", "dace"])
    return "".join(rng.choice(notes + "x") for _ in range(rng.randint(0, 24))), notes


def bracelets(strings: list) -> list:
    def same(a: str, b: str) -> bool:
        return len(a) == len(b) and (b in a + a or b[::-1] in a + a)

    groups: list = []
    for index, string in enumerate(strings):
        for group in groups:
            if same(strings[group[0]], string):
                group.append(index)
                break
        else:
            groups.append([index])
    return groups


def draw_bracelets(rng: Random) -> tuple:
    length = rng.randint(0, 6)
    return (["".join(rng.choice("rgb") for _ in range(length + rng.randint(0, 1))) for _ in range(9)],)


def bakery_ovens(ovens: int, orders: list) -> list:
    done = [-1] * len(orders)
    baking: list = []  # (finish, order)
    waiting = set(range(len(orders)))
    time = 0
    while waiting or baking:
        baking = [(finish, order) for finish, order in baking if finish > time]
        here = sorted(
            (i for i in waiting if orders[i][0] <= time), key=lambda i: (-orders[i][2], orders[i][0], i)
        )
        for order in here:
            if len(baking) == ovens:
                break
            waiting.remove(order)
            done[order] = time + orders[order][1]
            baking.append((done[order], order))
        time += 1
    return done


def draw_bakery_ovens(rng: Random) -> tuple:
    orders = [(rng.randint(0, 12), rng.randint(1, 6), rng.randint(0, 3)) for _ in range(rng.randint(0, 8))]
    return rng.randint(1, 3), orders


def late_fees(jobs: list) -> int:
    best = sum(fee for _, _, fee in jobs)
    for order in itertools.permutations(jobs):
        time = paid = 0
        for hours, deadline, fee in order:
            time += hours
            paid += fee if time > deadline else 0
        best = min(best, paid)
    return best


def draw_late_fees(rng: Random) -> tuple:
    return ([(rng.randint(1, 6), rng.randint(0, 15), rng.randint(0, 12)) for _ in range(rng.randint(0, 6))],)


def lamp_panels(start: int, target: int, panels: list) -> list | None:
    for size in range(len(panels) + 1):
        for chosen in itertools.combinations(range(len(panels)), size):
            lamps = start
            for panel in chosen:
                lamps ^= panels[panel]
            if lamps == target:
                return list(chosen)
    return None


def draw_lamp_panels(rng: Random) -> tuple:
    lamps = rng.randint(1, 6)
    panels = [rng.randrange(2**lamps) for _ in range(rng.randint(0, 9))]
    return rng.randrange(2**lamps), rng.randrange(2**lamps), panels


def quiet_bits(low: int, high: int, modulus: int, rest: int) -> int:
    # All numbers without neighbouring ones up to `high`, grown digit by digit.
    count = int(low <= 0 <= high and rest == 0)
    grown = [1] if high >= 1 else []
    while grown:
        number = grown.pop()
        count += number >= low and number % modulus == rest
        for digit in (0,) if number & 1 else (0, 1):
            if number * 2 + digit <= high:
                grown.append(number * 2 + digit)
    return count


def draw_quiet_bits(rng: Random) -> tuple:
    low = rng.randint(0, 300)
    modulus = rng.randint(1, 9)
    return low, low + rng.randint(-1, 900), modulus, rng.randrange(modulus)


def mark_undo(commands: list) -> str:
    # The steps applied, and for each of them whether a mark was set just before it; replayed from nothing.
    applied: list = []
    undone: list = []
    marked = False

    def text() -> str:
        written = ""
        for step, _ in applied:
            written = written + step[1] if step[0] == "type" else written[: max(len(written) - step[1], 0)]
        return written

    for command in commands:
        if command[0] == "mark":
            marked = True
        elif command[0] == "undo":
            block: list = []
            while applied:
                entry = applied.pop()
                block.insert(0, entry)
                if entry[1]:
                    break
            if block:
                undone.append(block)
                marked = True
        elif command[0] == "redo":
            if undone:
                applied.extend(undone.pop())
                marked = True
        else:
            applied.append((command, marked))
            marked = False
            undone = []
    return text()


def draw_mark_undo(rng: Random) -> tuple:
    commands: list = []
    for _ in range(rng.randint(0, 14)):
        commands.append(
            rng.choice(
                [
                    ("type", rng.choice(["a", "bc", "def", ""])),
                    ("type", rng.choice(["x", "yz"])),
                    ("erase", rng.randint(0, 4)),
                    ("mark",),
                    ("undo",),
                    ("redo",),
                ]
            )
        )
    return (commands,)


def nearest_cistern(capacity: list, pours: list) -> tuple:
    level = [0] * len(capacity)
    spilled = 0
    for place, litres in pours:
        for _ in range(litres):
            open_ones = [i for i in range(len(capacity)) if level[i] < capacity[i]]
            if open_ones:
                level[min(open_ones, key=lambda i: (abs(i - place), i))] += 1
            else:
                spilled += 1
    return level, spilled


def draw_nearest_cistern(rng: Random) -> tuple:
    capacity = [rng.randint(0, 6) for _ in range(rng.randint(1, 7))]
    pours = [(rng.randrange(len(capacity)), rng.randint(0, 9)) for _ in range(rng.randint(0, 7))]
    return capacity, pours


def quiet_offices(heads: list, gains: list) -> int:
    size = len(heads)
    apart = [[0 if i == j else size for j in range(size)] for i in range(size)]
    for office, head in enumerate(heads):
        if head >= 0:
            apart[office][head] = apart[head][office] = 1
    for via, a, b in itertools.product(range(size), repeat=3):
        apart[a][b] = min(apart[a][b], apart[a][via] + apart[via][b])
    best = 0
    for chosen in range(2**size):
        offices = [i for i in range(size) if chosen >> i & 1]
        if all(apart[a][b] >= 3 for a, b in itertools.combinations(offices, 2)):
            best = max(best, sum(gains[i] for i in offices))
    return best


def draw_quiet_offices(rng: Random) -> tuple:
    size = rng.randint(1, 9)
    names = rng.sample(range(size), size)
    heads = [-1] * size
    for place in range(1, size):
        heads[names[place]] = names[rng.randrange(place)]
    return heads, [rng.randint(-3, 12) for _ in range(size)]


def two_crews(crews: str, needs: list) -> int:
    size = len(crews)
    before = [{a for a, b in needs if b == task} for task in range(size)]
    fewest = {(frozenset(), ""): 0}
    for _ in range(size):
        reached: dict = {}
        for (done, last), changes in fewest.items():
            for task in set(range(size)) - done:
                if before[task] <= done:
                    key = (done | {task}, crews[task])
                    total = changes + (last not in ("", crews[task]))
                    reached[key] = min(reached.get(key, total), total)
        fewest = reached
    return min(fewest.values(), default=-1)


def draw_two_crews(rng: Random) -> tuple:
    size = rng.randint(0, 8)
    order = rng.sample(range(size), size)
    needs = []
    for _ in range(rng.randint(0, 9) if size > 1 else 0):
        a, b = sorted(rng.sample(range(size), 2))
        if rng.random() < 0.03:
            a, b = b, a
        needs.append((order[a], order[b]))
    return "".join(rng.choice("DN") for _ in range(size)), needs


#: goalpost id -> (brute force, source of random arguments)
SECOND_OPINIONS: dict[str, tuple[Callable[..., Any], Callable[[Random], tuple]]] = {
    "calendar-gaps": (calendar_gaps, draw_calendar_gaps),
    "painted-fence": (painted_fence, draw_painted_fence),
    "rising-splits": (rising_splits, draw_rising_splits),
    "restless-row": (restless_row, draw_restless_row),
    "coupon-not-first": (coupon_not_first, draw_coupon_not_first),
    "tide-gates": (tide_gates, draw_tide_gates),
    "duration-sums": (duration_sums, draw_duration_sums),
    "outline-totals": (outline_totals, draw_outline_totals),
    "pegs-inside": (pegs_inside, draw_pegs_inside),
    "lighthouse-sweep": (lighthouse_sweep, draw_lighthouse_sweep),
    "missing-melody": (missing_melody, draw_missing_melody),
    "bracelets": (bracelets, draw_bracelets),
    "bakery-ovens": (bakery_ovens, draw_bakery_ovens),
    "late-fees": (late_fees, draw_late_fees),
    "lamp-panels": (lamp_panels, draw_lamp_panels),
    "quiet-bits": (quiet_bits, draw_quiet_bits),
    "mark-undo": (mark_undo, draw_mark_undo),
    "nearest-cistern": (nearest_cistern, draw_nearest_cistern),
    "quiet-offices": (quiet_offices, draw_quiet_offices),
    "two-crews": (two_crews, draw_two_crews),
}
