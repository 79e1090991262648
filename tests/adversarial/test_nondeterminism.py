"""Differences from run to run show between hash seeds or in a second run, and nothing else differs."""

from __future__ import annotations

from typing import Any

import pytest

from gasp_env.sandbox import HASH_SEEDS, Limits, Result, Run, Sandbox, Status
from tests.conftest import need_numpy

pytestmark = pytest.mark.docker

#: Expressions whose value differs between runs; by their number in the reference's list.
DIFFER = {
    80: {
        "random": "__import__('random').random()",
        "shuffled": "__import__('random').sample(range(1000), 5)",
        "system_random": "__import__('random').SystemRandom().random()",
        "secrets": "__import__('secrets').token_hex()",
        "uuid4": "str(__import__('uuid').uuid4())",
        "uuid1": "str(__import__('uuid').uuid1())",
        "urandom": "__import__('os').urandom(8)",
        "time": "__import__('time').time()",
        "perf_counter": "__import__('time').perf_counter_ns()",
        "now": "str(__import__('datetime').datetime.now())",
        "own_process": "__import__('os').getpid()",
        "thread": "__import__('threading').get_ident()",
        "name_of_a_file": "next(__import__('tempfile')._get_candidate_names())",
    },
    81: {
        "hash_of_text": "hash('a')",
        "hash_of_bytes": "hash(b'a')",
        "hash_of_a_tuple": "hash(('a', 1))",
        "order_of_a_set": "[c for c in set('abcdefghij')]",
        "order_of_a_frozenset": "list(frozenset(['x', 'y', 'z', 'w', 'v']))",
        "text_of_a_set": "str({'x', 'y', 'z', 'w', 'v', 'u'})",
        "popped": "[(lambda s: [s.pop() for _ in range(8)])(set('abcdefgh'))]",
    },
    82: {
        "identity": "id(object())",
        "text_of_an_object": "repr(object())",
        "text_of_a_function": "repr(lambda: 0)",
        "hash_of_an_object": "hash(object())",
        "identity_of_a_list": "id([])",
    },
}
#: Expressions that could differ from machine to machine or run to run, and do not.
FIXED: dict[int, dict[str, tuple[str, Any]]] = {
    84: {
        "time_zone": ("__import__('time').tzname", ("UTC", "UTC")),
        "local_time": ("__import__('time').localtime(0)[:6]", (1970, 1, 1, 0, 0, 0)),
        "folder": ("__import__('os').getcwd()", "/"),
        "encoding": ("__import__('locale').getpreferredencoding()", "UTF-8"),
        "file_names": ("__import__('sys').getfilesystemencoding()", "utf-8"),
        "locale": ("__import__('locale').localeconv()['decimal_point']", "."),
        "language": ("__import__('os').environ['LANG']", "C.UTF-8"),
        "arguments": ("__import__('sys').argv", ["program"]),
    },
    86: {
        "flags": ("__import__('sys').flags.hash_randomization in (0, 1)", True),
        "optimized": ("__import__('sys').flags.optimize, __debug__", (0, True)),
        "recursion_limit": ("__import__('sys').getrecursionlimit()", 1000),
        "switch_interval": ("__import__('sys').getswitchinterval()", 0.005),
        "garbage_collection": (
            "__import__('gc').isenabled(), __import__('gc').get_threshold()",
            (True, (700, 10, 10)),
        ),
        "implementation": ("__import__('sys').implementation.name", "cpython"),
        "byte_order": ("__import__('sys').byteorder", "little"),
    },
    # Each program starts anew; only calls of one run share a module, see `Run.fresh`.
    83: {
        "first_call": ("(lambda seen=[]: seen.append(1) or len(seen))()", 1),
        "counter": ("globals().setdefault('count', 0)", 0),
    },
}


def _runs(expression: str, **options: Any) -> list[Run]:
    """The program twice under every hash seed; the comment keeps equal runs apart."""
    return [
        Run(f"def f():\n    return {expression}\n# {again}", ((),), hash_seed=seed, **options)
        for seed in HASH_SEEDS
        for again in range(2)
    ]


def _values(results: list[Result]) -> list[Any]:
    assert {result.status for result in results} == {Status.OK}, results
    return [result.calls[0].value for result in results]


def test_what_differs_is_seen_to_differ(tier_sandbox: Sandbox) -> None:
    asked = [(name, expression) for group in DIFFER.values() for name, expression in group.items()]
    results = tier_sandbox.run_many([run for _, expression in asked for run in _runs(expression)])
    each = len(HASH_SEEDS) * 2
    for index, (name, _) in enumerate(asked):
        assert len(set(map(repr, _values(results[index * each : (index + 1) * each])))) > 1, name


def test_what_is_fixed_is_the_same_everywhere(tier_sandbox: Sandbox) -> None:
    asked = [(name, *pair) for group in FIXED.values() for name, pair in group.items()]
    results = tier_sandbox.run_many([run for _, expression, _ in asked for run in _runs(expression)])
    each = len(HASH_SEEDS) * 2
    for index, (name, _, value) in enumerate(asked):
        assert _values(results[index * each : (index + 1) * each]) == [value] * each, name


@pytest.mark.parametrize("draw", ["rand()", "normal()", "permutation(50)", "default_rng().integers(2**40)"])
def test_numpy_draws_differently_in_every_run(tier_sandbox: Sandbox, draw: str) -> None:
    need_numpy(tier_sandbox)
    program = f"import numpy.random as r\ndef f(): return repr(r.{draw})"
    runs = [Run(f"{program}\n# {index}", ((),), profile="numpy") for index in range(4)]
    assert len(set(_values(tier_sandbox.run_many(runs)))) == 4


def test_what_depends_on_a_limit_shows_under_another_limit(tier_sandbox: Sandbox) -> None:
    program = (
        "import resource\n"
        "from sys import get_int_max_str_digits as digits, getrecursionlimit as recursion\n"
        "def f(): return resource.getrlimit(resource.RLIMIT_CPU)[0], recursion(), digits()"
    )
    limits = (Limits(), Limits(cpu_seconds=7), Limits(recursion=500), Limits(digits=700))
    values = _values(tier_sandbox.run_many([Run(program, ((),), limits=each) for each in limits]))
    assert values == [(4, 1000, 4300), (7, 1000, 4300), (4, 500, 4300), (4, 1000, 700)]


def test_threads_that_race_show_it_sooner_or_later(tier_sandbox: Sandbox) -> None:
    program = """
import sys, threading
sys.setswitchinterval(1e-6)
def f(mark):
    seen, go = [], threading.Barrier(4)
    def work(name):
        go.wait()
        for _ in range(20000): seen.append(name)
    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    return [index for index in range(1, len(seen)) if seen[index] != seen[index - 1]][:50]
"""
    results = tier_sandbox.run_many([Run(program, ((mark,),)) for mark in range(8)])
    assert len(set(map(repr, _values(results)))) > 1
