"""Playing and measuring: every credit reaches the text that earned it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.policies import Lost, Sampling, get
from gasp_env.tasks import Goalpost
from learners import evaluate as evaluation
from learners.evaluate import Evaluation, evaluate
from learners.rollout import play
from tests.learners.choices import ChoicePolicy

PLUS_ONE = Goalpost("plus-one", "Add one.", "def f(x)", ((1,), (2,), (9,)), (2, 3, 10), shown=1)
PLUS_TWO = Goalpost("plus-two", "Add two.", "def f(x)", ((1,), (2,), (9,)), (3, 4, 11), shown=1)
IMPOSSIBLE = Goalpost("halve", "Halve.", "def f(x)", ((4,), (2,)), (2, 1), shown=1)


def test_credits_reach_their_turns(sandbox):
    envs = GaspCodeVectorEnv(num_envs=12, domain="python", attempts=4, sandbox=sandbox)
    envs.reset(seed=3)
    policy = ChoicePolicy()
    rollout = play(envs, policy, Sampling(seed=0))
    assert all(turn is None for turn in envs.turns)
    assert all(record.reward is not None for record in rollout.records)
    stages = {record.stage for record in rollout.records}
    assert stages == {"lemma", "attempt", "lift", "solve"}, "the seed should reach every stage"

    for env, transcript in enumerate(envs.transcripts):
        rows = [i for i, where in enumerate(rollout.episode) if where == env]
        stored = [(t, s) for t in transcript["turns"] for s in t["samples"]]
        assert len(rows) == len(stored)
        for i, (turn, sample) in zip(rows, stored, strict=True):
            record = rollout.records[i]
            assert (record.stage, record.kind, record.axis) == (turn["stage"], turn["kind"], turn["axis"])
            assert (rollout.texts[i], record.verdict) == (sample["text"], sample["verdict"])
            assert (record.reward, dict(record.terms)) == (sample["reward"], sample["terms"])

    # An attempt's group is its prompt, and a proposal's reward follows from the attempts at it.
    for record in rollout.records:
        mates = [other for other in rollout.records if other.group == record.group]
        assert len({(other.prompt_ids, other.stage, other.kind) for other in mates}) == 1
    assert set(rollout.seconds) == {"generate", "environment"}
    assert rollout.tokens == sum(len(record.mask) for record in rollout.records)


def test_the_same_seed_plays_the_same_episodes(sandbox):
    def once():
        envs = GaspCodeVectorEnv(num_envs=4, domain="python", attempts=4, sandbox=sandbox)
        envs.reset(seed=3)
        return play(envs, ChoicePolicy(), Sampling(seed=0)).records

    assert once() == once()


class Recorded:
    """Another policy, which remembers what it was asked."""

    version = 5

    def __init__(self, policy):
        self.policy, self.asked = policy, []

    def generate(self, prompts, samples, sampling):
        self.asked.append((len(prompts), sampling.seed))
        return self.policy.generate(prompts, samples, sampling)


def test_every_role_may_have_a_policy_of_its_own(sandbox):
    def played(policies):
        envs = GaspCodeVectorEnv(num_envs=6, domain="python", attempts=4, sandbox=sandbox)
        envs.reset(seed=3)
        return play(envs, policies, Sampling(seed=1)).records

    teacher, solver = Recorded(ChoicePolicy()), Recorded(get(texts_without_ids))
    records = played({"teacher": teacher, "solver": solver})
    assert {(record.agent, record.role, record.version) for record in records} == {
        ("teacher_0", "teacher", 5),
        ("solver_0", "solver", 5),
    }
    for record in records:
        assert bool(record.completion_ids) == bool(record.prompt_ids) == (record.role == "teacher")
        assert record.reward is not None
    calls = [*teacher.asked, *solver.asked]
    assert len({seed for _, seed in calls}) == len(calls), "every call has a seed of its own"

    # Roles that share a policy are asked in one call.
    shared = Recorded(ChoicePolicy())
    together = played({"teacher": shared, "solver": shared})
    assert together == played(Recorded(ChoicePolicy()))
    assert shared.asked[0] == (6, 1)
    assert max(count for count, _ in shared.asked) == 6

    with pytest.raises(ValueError, match="expected a policy for role 'solver', got policies for teacher"):
        played({"teacher": teacher})


def texts_without_ids(prompts, samples):
    return [("no idea",) * count for count in samples]


def test_any_policy_can_be_measured(sandbox):
    def knows(prompts, samples):
        return [("```python\ndef f(x):\n    return x + 1\n```",) * count for count in samples]

    found = evaluate(
        get(knows), (PLUS_ONE, PLUS_TWO), samples=3, sampling=Sampling(), domain="python", sandbox=sandbox
    )
    assert found.counts == {"plus-one": (3, 3), "plus-two": (3, 0)}
    assert found.tokens == 0


def test_an_answer_that_was_lost_does_not_count(sandbox):
    def knows(prompts, samples):
        return [
            ("```python\ndef f(x):\n    return x + 1\n```", Lost("gone"), "")[:count] for count in samples
        ]

    found = evaluate(
        get(knows), (PLUS_ONE,), samples=3, sampling=Sampling(), domain="python", sandbox=sandbox
    )
    assert found.counts == {"plus-one": (2, 1)}


def test_batches_of_a_measurement_draw_differently(sandbox, monkeypatch):
    monkeypatch.setattr(evaluation, "PROBLEMS", 1)
    policy = Recorded(ChoicePolicy())
    twins = tuple(replace(PLUS_ONE, id=f"twin-{number}") for number in range(3))
    for _ in range(2):
        evaluate(policy, twins, samples=8, sampling=Sampling(seed=2), domain="python", sandbox=sandbox)
    seeds = [seed for _, seed in policy.asked]
    assert seeds[0] == 2
    assert len(set(seeds[:3])) == 3
    assert seeds[3:] == seeds[:3]


def measure(sandbox, max_tokens: int = 96, samples: int = 60) -> Evaluation:
    goalposts = (PLUS_ONE, PLUS_TWO, IMPOSSIBLE)
    options = {"samples": samples, "sampling": Sampling(max_tokens=max_tokens, seed=4)}
    return evaluate(ChoicePolicy(), goalposts, **options, domain="python", sandbox=sandbox)


def test_evaluation_counts_right_answers_per_goalpost(sandbox):
    found = measure(sandbox)
    (n_one, one), (n_two, two), (n_none, none) = (
        found.counts[g.id] for g in (PLUS_ONE, PLUS_TWO, IMPOSSIBLE)
    )
    assert (n_one, n_two, n_none, none) == (60, 60, 60, 0)
    assert one > two > 0, "the policy prefers the digit 1"
    assert found.reached == 2
    assert found.pass_at(1) == pytest.approx((one + two) / 180)
    assert found.pass_at(61) is None
    assert measure(sandbox).counts == found.counts
    assert Evaluation().pass_at(1) is None
    assert Evaluation().reached is None


def test_a_truncated_answer_has_failed_even_where_what_there_is_of_it_is_right(sandbox):
    assert measure(sandbox, max_tokens=3, samples=8).counts["plus-one"][1] > 0
    # Two tokens are a whole program already; only the end token is missing.
    found = measure(sandbox, max_tokens=2, samples=8)
    assert set(found.counts.values()) == {(8, 0)}
