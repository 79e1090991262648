"""The world: its steps do what their text does, its programs earn their depth."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from gasp_env.sandbox import Run, Status
from learners.miniature import pools, world


def test_every_step_does_in_python_what_its_function_does(sandbox):
    rng = random.Random(0)
    lists = [[rng.randint(-9, 9) for _ in range(rng.randint(0, 8))] for _ in range(40)] + [[]]
    steps = range(len(world.STEPS))
    results = sandbox.run_many([Run(world.text((step,)), tuple((x,) for x in lists)) for step in steps])
    for step, result in zip(steps, results, strict=True):
        assert result.status is Status.OK, (world.STEPS[step].text, result.error)
        assert [call.value for call in result.calls] == [world.apply((step,), x) for x in lists]


def test_programs_in_the_sandbox_behave_as_the_table_says(sandbox):
    table = world.programs()
    chosen = random.Random(1).sample(sorted(table), 60)
    runs = [Run(world.text(program), tuple((list(probe),) for probe in world.PROBES)) for program in chosen]
    for program, result in zip(chosen, sandbox.run_many(runs), strict=True):
        assert tuple(tuple(call.value) for call in result.calls) == table[program]


def test_no_program_does_what_a_shallower_one_does():
    depths: dict[world.Behaviour, set[int]] = {}
    for program, outputs in world.programs().items():
        depths.setdefault(outputs, set()).add(len(program))
    assert all(len(found) == 1 for found in depths.values())
    assert world.PROBES not in depths
    reverse = next(i for i, step in enumerate(world.STEPS) if step.text == "x[::-1]")
    assert (reverse,) in world.programs()
    assert (reverse, reverse) not in world.programs()


@pytest.mark.parametrize("mix", [world.BROAD, world.NARROW, world.TARGET])
def test_a_mix_has_the_depths_and_theme_it_names(mix):
    rng = random.Random(2)
    drawn = [mix.draw(rng) for _ in range(4000)]
    steps = [world.STEPS[step].op.theme for program in drawn for step in program]
    assert sum(steps) / len(steps) == pytest.approx(mix.theme, abs=0.03)
    depths = Counter(map(len, drawn))
    assert [depths[d] / len(drawn) for d in (1, 2, 3)] == pytest.approx(mix.depths, abs=0.03)


def test_inputs_are_distinct_and_their_outputs_fit():
    rng = random.Random(3)
    for program in rng.sample(sorted(world.programs()), 200):
        inputs = world.USUAL.draw(program, 8, rng)
        if inputs is None:
            continue
        assert len({tuple(x) for x in inputs}) == 8
        assert all(3 <= len(x) <= 4 for x in inputs)
        outputs = [world.apply(program, x) for x in inputs]
        assert all(map(world.fits, outputs))
        assert any(output != outputs[0] for output in outputs)


def test_a_programs_text_is_recognised_and_nothing_else_is():
    for program in random.Random(4).sample(sorted(world.programs()), 50):
        assert world.recognise(world.text(program)) == program
    for other in (
        "",
        "def f(x):\n    return",
        "def f(x):\n    x = x[::-1] + x\n    return x",
        world.text((0,)) + "\n",
    ):
        assert world.recognise(other) is None


def test_pools_share_no_behaviour():
    drawn = pools.pools()
    behaviours = [world.programs()[program] for pool in drawn.values() for program in pool]
    assert len(set(behaviours)) == len(behaviours) == len(pools.reserved())
    assert {len(program) for pool in drawn.values() for program in pool} == {2, 3}
