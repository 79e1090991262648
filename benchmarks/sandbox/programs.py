"""The programs that every contender runs: small, all different, of the kind that self-play proposes.

Each template is a program text and, beside it, a computation of the program's result: the two
are written separately, so that a contender that returns anything else is found out.
"""

from __future__ import annotations

import collections
import functools
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gasp_env.values import encode


@dataclass(frozen=True)
class Job:
    """A program that defines ``f``, the arguments of one call, and the value that comes back."""

    program: str
    arguments: tuple[Any, ...]
    expected: Any

    @functools.cached_property
    def encoded(self) -> bytes:
        """The expected value as values are compared: two are equal if these bytes are."""
        return encode(self.expected)


TRIVIAL = Job("def f(x):\n    return x + 1\n", (1,), 2)

Template = Callable[[random.Random, int], Job]


def generate(count: int, seed: int = 0) -> list[Job]:
    """``count`` different programs, the templates in turn."""
    random_state = random.Random(seed)
    return [TEMPLATES[number % len(TEMPLATES)](random_state, number) for number in range(count)]


def _numbers(random_state: random.Random, count: int, low: int = -50, high: int = 50) -> list[int]:
    return [random_state.randint(low, high) for _ in range(count)]


def _words(random_state: random.Random, count: int) -> list[str]:
    return ["".join(random_state.choices("abcdeo", k=random_state.randint(1, 5))) for _ in range(count)]


def _polynomial(random_state: random.Random, number: int) -> Job:
    factors, values = _numbers(random_state, 4, -9, 9), _numbers(random_state, 6)
    program = f"""\
COEFFICIENTS = {factors}


def f(values):
    def at(x):
        total = 0
        for coefficient in COEFFICIENTS:
            total = total * x + coefficient
        return total

    return [at(x) + {number} for x in values]
"""
    a, b, c, d = factors
    return Job(program, (values,), [a * x**3 + b * x**2 + c * x + d + number for x in values])


def _count_words(random_state: random.Random, number: int) -> Job:
    words = _words(random_state, 25)
    program = f"""\
from collections import Counter


def f(text):
    counts = Counter(text.split())
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return dict(ranked[:{3 + number % 4}]), {number}
"""
    counts: dict[str, int] = {}
    for word in words:
        counts[word] = counts.get(word, 0) + 1
    ranked = sorted(counts, key=lambda word: (-counts[word], word))[: 3 + number % 4]
    return Job(program, (" ".join(words),), ({word: counts[word] for word in ranked}, number))


def _sieve(random_state: random.Random, number: int) -> Job:
    limit = random_state.randint(60, 200)
    program = f"""\
def f(limit):
    sieve = [True] * (limit + 1)
    sieve[0] = sieve[1] = False
    for candidate in range(2, int(limit**0.5) + 1):
        if sieve[candidate]:
            for multiple in range(candidate * candidate, limit + 1, candidate):
                sieve[multiple] = False
    return [n + {number} for n, prime in enumerate(sieve) if prime]
"""
    primes = [n for n in range(2, limit + 1) if all(n % divisor for divisor in range(2, n))]
    return Job(program, (limit,), [prime + number for prime in primes])


def _matrix(random_state: random.Random, number: int) -> Job:
    size = random_state.randint(2, 4)
    left = [_numbers(random_state, size, -5, 5) for _ in range(size)]
    program = f"""\
def f(matrix):
    size = len(matrix)
    result = [[0] * size for _ in range(size)]
    for i in range(size):
        for j in range(size):
            for k in range(size):
                result[i][j] += matrix[i][k] * matrix[k][j]
        result[i][i] -= {number}
    return tuple(tuple(row) for row in result)
"""
    square = [
        [sum(a * b for a, b in zip(row, column, strict=True)) for column in zip(*left, strict=True)]
        for row in left
    ]
    for i in range(size):
        square[i][i] -= number
    return Job(program, (left,), tuple(map(tuple, square)))


def _caesar(random_state: random.Random, number: int) -> Job:
    shift, text = random_state.randint(1, 25), " ".join(_words(random_state, 8)).title()
    program = f"""\
import string


def f(text):
    rotated = string.ascii_lowercase[{shift}:] + string.ascii_lowercase[:{shift}]
    table = str.maketrans(
        string.ascii_lowercase + string.ascii_uppercase, rotated + rotated.upper()
    )
    return text.translate(table)[::-1] + "-{number}"
"""

    def turn(character: str) -> str:
        start = ord("a") if character.islower() else ord("A")
        return chr((ord(character) - start + shift) % 26 + start) if character.isalpha() else character

    return Job(program, (text,), "".join(turn(character) for character in reversed(text)) + f"-{number}")


def _stack_machine(random_state: random.Random, number: int) -> Job:
    steps = [random_state.choice("+-*") for _ in range(5)]
    values = _numbers(random_state, 6, 1, 9)
    tokens = [
        str(values[0]),
        *(part for step, v in zip(steps, values[1:], strict=True) for part in (str(v), step)),
    ]
    program = f"""\
class Machine:
    def __init__(self):
        self.stack = []

    def push(self, token):
        if token in "+-*":
            right, left = self.stack.pop(), self.stack.pop()
            results = {{"+": left + right, "-": left - right, "*": left * right}}
            self.stack.append(results[token])
        else:
            self.stack.append(int(token))


def f(tokens):
    machine = Machine()
    for token in tokens:
        machine.push(token)
    return machine.stack[-1] + {number}
"""
    total = values[0]
    for step, value in zip(steps, values[1:], strict=True):
        total = total + value if step == "+" else total - value if step == "-" else total * value
    return Job(program, (tokens,), total + number)


def _intervals(random_state: random.Random, number: int) -> Job:
    intervals = sorted((low, low + random_state.randint(1, 9)) for low in _numbers(random_state, 10, 0, 60))
    program = f"""\
def f(intervals):
    merged = []
    for low, high in sorted(intervals):
        if merged and low <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], high)
        else:
            merged.append([low, high])
    return [(low, high, {number}) for low, high in merged]
"""
    covered = {point for low, high in intervals for point in range(2 * low, 2 * high + 1)}
    starts = sorted(point for point in covered if point - 1 not in covered)
    ends = sorted(point for point in covered if point + 1 not in covered)
    expected = [(low // 2, high // 2, number) for low, high in zip(starts, ends, strict=True)]
    return Job(program, ([tuple(pair) for pair in random_state.sample(intervals, 10)],), expected)


def _lookup(random_state: random.Random, number: int) -> Job:
    table = {word: random_state.randint(0, 99) for word in _words(random_state, 12)}
    program = f"""\
def f(table, default):
    inverse = {{}}
    for key, value in table.items():
        inverse.setdefault(value % {3 + number % 5}, set()).add(key)
    try:
        best = max(inverse, key=lambda group: (len(inverse[group]), group))
    except ValueError:
        return default
    return best, inverse[best], {number}
"""
    groups = collections.defaultdict(set)
    for word, value in table.items():
        groups[value % (3 + number % 5)].add(word)
    size, best = max((len(words), group) for group, words in groups.items())
    assert size == len(groups[best])
    return Job(program, (table, None), (best, groups[best], number))


def _shortest_path(random_state: random.Random, number: int) -> Job:
    count = 8
    edges = [
        (i, (i + random_state.randint(1, 3)) % count, random_state.randint(1, 9)) for i in range(count)
    ] * 2
    edges += [(i, random_state.randrange(count), random_state.randint(1, 20)) for i in range(count)]
    program = f"""\
import heapq


def f(edges, start):
    graph = {{}}
    for source, target, weight in edges:
        graph.setdefault(source, []).append((target, weight))
    distances, queue = {{}}, [(0, start)]
    while queue:
        distance, node = heapq.heappop(queue)
        if node in distances:
            continue
        distances[node] = distance
        for target, weight in graph.get(node, []):
            heapq.heappush(queue, (distance + weight, target))
    return sorted(distances.items()), {number}
"""
    distances = {0: 0}
    for _ in range(count):
        for source, target, weight in edges:
            if source in distances:
                distances[target] = min(distances.get(target, 10**6), distances[source] + weight)
    return Job(program, (edges, 0), (sorted(distances.items()), number))


def _matches(random_state: random.Random, number: int) -> Job:
    amounts = _numbers(random_state, 6, 1, 99)
    text = ", ".join(
        f"{word} {amount}" for word, amount in zip(_words(random_state, 6), amounts, strict=True)
    )
    program = f"""\
import re

PATTERN = re.compile(r"([a-z]+) (\\d+)")


def f(text):
    found = [int(amount) for _, amount in PATTERN.findall(text)]
    return {{"count": len(found), "mean": sum(found) / len(found), "number": {number}}}
"""
    return Job(program, (text,), {"count": 6, "mean": sum(amounts) / 6, "number": number})


def _change(random_state: random.Random, number: int) -> Job:
    coins, amount = sorted(random_state.sample(range(2, 12), 3)), random_state.randint(30, 60)
    program = f"""\
from functools import lru_cache

COINS = {coins!r}


@lru_cache(maxsize=None)
def ways(amount, index):
    if amount == 0:
        return 1
    if amount < 0 or index == len(COINS):
        return 0
    return ways(amount - COINS[index], index) + ways(amount, index + 1)


def f(amount):
    return ways(amount, 0) + {number}
"""
    ways = [1] + [0] * amount
    for coin in coins:
        for total in range(coin, amount + 1):
            ways[total] += ways[total - coin]
    return Job(program, (amount,), ways[amount] + number)


def _run_lengths(random_state: random.Random, number: int) -> Job:
    text = "".join(character * random_state.randint(1, 5) for character in random_state.choices("xyz", k=12))
    program = f"""\
def f(text):
    parts, start = [], 0
    while start < len(text):
        end = start
        while end < len(text) and text[end] == text[start]:
            end += 1
        parts.append(f"{{text[start]}}{{end - start}}")
        start = end
    return "".join(parts) + "/{number}"
"""
    parts = text[0]
    for before, after in zip(text, text[1:] + "\0", strict=True):
        parts += "" if before == after else f" {after}"
    lengths, at = [], 0
    for character in parts.rstrip("\0").split():
        length = len(text[at:]) - len(text[at:].lstrip(character))
        lengths.append(f"{character}{length}")
        at += length
    return Job(program, (text,), "".join(lengths) + f"/{number}")


TEMPLATES: tuple[Template, ...] = (
    _polynomial, _count_words, _sieve, _matrix, _caesar, _stack_machine, _intervals, _lookup,
    _shortest_path, _matches, _change, _run_lengths,
)  # fmt: skip
