"""The shipped task sets: right in the sandbox, apart from each other, with the evidence they claim."""

from __future__ import annotations

import pytest

from gasp_env import domains
from gasp_env.sandbox import Run, Status
from gasp_env.values import equal
from learners import miniature
from learners.miniature import make_tasks, pools, world

SETS = {"goalposts": miniature.goalposts, "heldout": miniature.heldout, "solvable": miniature.solvable}


@pytest.mark.parametrize("name", SETS)
def test_references_pass_every_test_in_the_sandbox(sandbox, name):
    tasks = SETS[name]()
    results = sandbox.run_many([Run(task.reference, task.inputs) for task in tasks])
    for task, result in zip(tasks, results, strict=True):
        assert result.status is Status.OK, (task.id, result.error)
        assert all(equal(call.value, y) for call, y in zip(result.calls, task.outputs, strict=True)), task.id


@pytest.mark.parametrize("name", SETS)
def test_tasks_have_twelve_distinct_tests_four_of_them_shown(name):
    for task in SETS[name]():
        assert len({str(x) for x in task.inputs}) == make_tasks.TESTS == 12
        assert task.shown == 4


def test_sets_are_as_large_as_promised_and_share_no_behaviour():
    behaviours = {
        name: [world.programs()[world.recognise(task.reference)] for task in load()]
        for name, load in SETS.items()
    }
    assert len(behaviours["heldout"]) == 120
    assert len(behaviours["solvable"]) == 8
    assert len(behaviours["goalposts"]) >= 40
    every = [item for found in behaviours.values() for item in found]
    assert len(set(every)) == len(every)
    assert set(every) <= pools.reserved()


def test_goalposts_carry_evidence_of_hardness_and_of_reach():
    for task in miniature.goalposts():
        buried, broad = task.evidence
        assert (buried.samples, buried.correct) == (100, 0)
        assert broad.correct > 0


def test_solvable_tasks_are_solved_at_most_half_of_the_time():
    rates = [task.evidence[0].correct / task.evidence[0].samples for task in miniature.solvable()]
    assert max(rates) <= 0.55
    assert min(rates) >= 0.05
    assert sum(rates) / len(rates) <= 0.5


def test_tasks_are_made_from_their_seed():
    made = {task.reference: task for task in make_tasks.task_set("heldout", make_tasks.Settings().seed)}
    assert [made[task.reference] for task in miniature.heldout()] == list(miniature.heldout())


def test_the_domain_is_found_by_name():
    found = domains.get("learners.miniature:domain")
    assert found is miniature.domain
    assert found.sees == "reference"
    assert found.goalposts() == miniature.goalposts()
    assert len(found.probes) == 12
