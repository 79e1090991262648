"""The batched view, on the real sandbox."""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

import gasp_env
from gasp_env.envs.env import GaspCodeEnv
from gasp_env.envs.vector import GaspCodeVectorEnv
from gasp_env.episode.turns import Credit, Turn
from gasp_env.sandbox import Result, Run, Sandbox
from tests.envs.test_env import OPTIONS, FailingSandbox, containers
from tests.players import PROGRAMS, REFUSED, answer, proposal, right_answer

pytestmark = pytest.mark.docker
MIXED: dict[str, Any] = {**OPTIONS, "axis": "both", "attempts": 4, "goalpost_rate": 0.15}
WRONG = [
    answer("python", PROGRAMS[1]),
    answer("python", "def f(x):\n    return 1 / 0"),
    "no idea",
    answer("output", "("),
]


def anything(turn: Turn, question: Any, rng: np.random.Generator) -> tuple[str, ...]:
    """What some model writes: proposals of any sort, answers of which some are right."""
    if turn.agent == "teacher_0":
        refused = list(REFUSED.values())
        texts = [*map(proposal, PROGRAMS[:4]), refused[rng.integers(len(refused))]]
        return (texts[rng.integers(len(texts))],)
    # Two of four are in the band of either stage.
    right = 2 if rng.random() < 0.7 else int(rng.integers(turn.samples + 1))
    texts = [right_answer(question)] * min(right, turn.samples)
    texts += [WRONG[rng.integers(len(WRONG))] for _ in range(turn.samples - len(texts))]
    return tuple(texts[number] for number in rng.permutation(len(texts)))


def play_single(env: GaspCodeEnv, seed: int) -> tuple[dict[str, Any], list[Credit]]:
    """Play one episode to its end; returns its transcript and its credits in order."""
    rng, credits, over = np.random.default_rng(seed), [], False
    while not over:
        turn = env.driver.turns[0]
        assert turn is not None
        texts = anything(turn, env.driver.episodes[0].ask.question, rng)
        _, _, terminated, truncated, info = env.step(texts)
        credits += info["credits"]
        over = terminated or truncated
    assert env.transcript is not None
    return env.transcript, credits


def play_again(envs: GaspCodeVectorEnv, records: list[dict[str, Any]], seed: int) -> list[list[Credit]]:
    """Give the texts of these transcripts, in steps of any size, some envs resting; returns the credits."""
    rng = np.random.default_rng(seed)
    credits: list[list[Credit]] = [[] for _ in records]
    while any(envs.turns):
        actions: list[Any] = [None] * len(records)
        for number, turn in enumerate(envs.turns):
            if turn is not None and rng.random() < 0.8:
                samples = records[number]["turns"][turn.index]["samples"]
                texts = tuple(sample["text"] for sample in samples[len(samples) - turn.samples :])
                actions[number] = texts[: rng.integers(1, len(texts) + 1)]
        _, rewards, _, _, infos = envs.step(actions)
        for number, known in enumerate(infos["credits"]):
            credits[number] += known
            assert rewards[number] == pytest.approx(sum(credit.reward for credit in known))
            assert actions[number] is not None or not known
    return credits


@functools.cache
def singles() -> tuple[list[GaspCodeEnv], list[dict[str, Any]], list[list[Credit]]]:
    """64 envs, each played alone with one worker, and what came of it."""
    with Sandbox(workers=1) as own:
        envs = [GaspCodeEnv(sandbox=own, **MIXED) for _ in range(64)]
        for number, env in enumerate(envs):
            env.reset(seed=10 + number)
        played = [play_single(env, number) for number, env in enumerate(envs)]
    return envs, [record for record, _ in played], [credits for _, credits in played]


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_a_vector_env_equals_as_many_single_ones(sandbox: Sandbox, workers: int) -> None:
    alone, records, credits = singles()
    stages = {turn["stage"] for record in records for turn in record["turns"]}
    assert stages == {"lemma", "lift", "attempt", "solve", "goalpost"}
    verdicts = {sample["verdict"] for r in records for turn in r["turns"] for sample in turn["samples"]}
    assert {"valid", "banned_import", "correct", "wrong", "malformed", "exception"} <= verdicts
    with Sandbox(workers=workers) as own:
        envs = gym.make_vec("GASP-Code-v0", num_envs=64, sandbox=own, **MIXED)
        assert isinstance(envs, GaspCodeVectorEnv)
        envs.reset(seed=10)
        assert play_again(envs, records, workers) == credits
        assert envs.transcripts == records
        # The next episodes read the library: the same for all, then they are the same again.
        if workers == 2:
            assert len(envs.library) > 1
            second = []
            for number, env in enumerate(alone):
                env.driver.library = envs.library.copy()
                env.reset()
                second.append(play_single(env, 100 + number))
            envs.reset()
            assert play_again(envs, [record for record, _ in second], 7) == [known for _, known in second]
            assert envs.transcripts == [record for record, _ in second]
            assert any(
                sample["verdict"] == "duplicate"
                for r, _ in second
                for t in r["turns"]
                for sample in t["samples"]
            )


def test_vector_partial_reset_and_state(sandbox: Sandbox) -> None:
    envs = GaspCodeVectorEnv(num_envs=3, **OPTIONS)
    envs.reset(seed=0)
    junk: list[Any] = ["junk", None, None]
    _, _, terminated, _, infos = envs.step(junk)
    assert terminated.tolist() == [True, False, False]
    assert [len(credits) for credits in infos["credits"]] == [1, 0, 0]
    assert envs.turns[0] is None
    with pytest.raises(RuntimeError, match="episode 0"):
        envs.step(junk)
    observations, _ = envs.reset(options={"reset_mask": np.array([True, False, False])})
    assert observations["prompt"][0]
    assert all(envs.turns)
    state = json.loads(json.dumps(envs.state()))
    envs.reset()
    after = [turn.prompt for turn in envs.turns if turn]
    envs.set_state(state)
    envs.reset()
    assert [turn.prompt for turn in envs.turns if turn] == after


def test_one_seed_is_one_episode_to_all(sandbox: Sandbox) -> None:
    envs = GaspCodeVectorEnv(num_envs=4)
    observations, _ = envs.reset(seed=[7] * 4)
    assert len(set(observations["prompt"])) == 1
    observations, _ = envs.reset(seed=7)
    assert len(set(observations["prompt"])) > 1
    with pytest.raises(ValueError, match="expected 4 seeds, one per env, got 3"):
        envs.reset(seed=[1, 2, 3])
    with pytest.raises(ValueError, match="expected a reset_mask of 4 bools"):
        envs.reset(options={"reset_mask": np.ones(3, dtype=bool)})
    with pytest.raises(ValueError, match="expected 4 actions, one per env, got 1"):
        envs.step(["x"])


def test_what_is_over_stays_flagged_until_it_is_reset(sandbox: Sandbox) -> None:
    envs = GaspCodeVectorEnv(num_envs=3, attempts=2, **OPTIONS)
    envs.reset(seed=0)
    texts: list[list[Any]] = [
        ["junk", proposal(PROGRAMS[0]), None],
        [None, ("a", "b"), None],
        [None, None, "junk"],
    ]
    flags, paid = [], []
    terminated = truncated = np.zeros(3, dtype=bool)
    while not (terminated | truncated).all():
        before = terminated
        _, rewards, terminated, truncated, infos = envs.step(texts.pop(0))
        flags.append(terminated.tolist())
        paid.append(rewards.tolist())
        assert all(not credits for credits in infos["credits"][before])
    assert flags == [[True, False, False], [True, True, False], [True, True, True]]
    assert paid == [[-1.0, 0.0, 0.0], [0.0, -2.5, 0.0], [0.0, 0.0, -1.0]]
    assert flags[0] == [True, False, False], "what was handed out changed"
    envs.reset(options={"reset_mask": np.array([False, True, False])})
    assert envs.step([None] * 3)[2].tolist() == [True, False, True]
    envs.reset()
    assert not envs.step([None] * 3)[2].any()


def test_a_truncated_episode_stays_flagged() -> None:
    envs = GaspCodeVectorEnv(num_envs=2, sandbox=FailingSandbox(), **OPTIONS)
    envs.reset(seed=0)
    envs.step([proposal(PROGRAMS[0]), None])
    _, _, terminated, truncated, _ = envs.step([None, proposal(PROGRAMS[0])])
    assert (terminated.tolist(), truncated.tolist()) == ([False, False], [True, True])


@pytest.mark.parametrize("wrong", [2.5, "3", None, True, 0, -1, [2]])
def test_a_number_of_envs_is_a_number(wrong: Any) -> None:
    with pytest.raises(ValueError, match="expected num_envs to be an integer of at least 1, got"):
        GaspCodeVectorEnv(num_envs=wrong)


@pytest.mark.parametrize("wrong", ["ab", b"ab", None, 5, {"a": 1, "b": 2}, {"a", "b"}])
def test_actions_are_one_for_each_env(wrong: Any) -> None:
    envs = GaspCodeVectorEnv(num_envs=2, **OPTIONS)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="expected a list of 2 actions, one per env, got"):
        envs.step(wrong)
    assert all(envs.turns)


@pytest.mark.parametrize("length", [70_000, 1_000_000])
def test_no_text_is_too_long_to_be_given(sandbox: Sandbox, length: int) -> None:
    envs = gym.make_vec("GASP-Code-v0", num_envs=2, **OPTIONS)
    envs.reset(seed=0)
    actions = ("x" * length, ["x" * length])
    assert actions in envs.action_space
    _, rewards, _, _, infos = envs.step(actions)
    assert rewards.tolist() == [-1.0, -1.0]
    assert [list(reasons) for reasons in infos["verdicts"]] == [["too_long"], ["too_long"]]


@pytest.mark.parametrize("seed", [np.array([1, 2]), (1, 2), [np.int32(1), np.uint8(2)], np.int64(1), 1])
def test_seeds_may_be_numpys(seed: Any) -> None:
    envs = GaspCodeVectorEnv(num_envs=2)
    expected, _ = envs.reset(seed=[1, 2])
    assert envs.reset(seed=seed)[0]["prompt"] == expected["prompt"]


@pytest.mark.parametrize(
    "wrong", ["ab", 2.5, [1, "b"], [1, -2], [1.0, 2.0], np.array([1.0, 2.0]), True, {1, 2}]
)
def test_no_such_seed(wrong: Any) -> None:
    envs = GaspCodeVectorEnv(num_envs=2)
    with pytest.raises(ValueError, match="expected a seed to be an integer of at least 0, or None, got"):
        envs.reset(seed=wrong)


@pytest.mark.parametrize("wrong", ["ab", 1, [1, 0], [True], np.ones(2), [[True], [True, False]], ["a", "b"]])
def test_no_such_mask(wrong: Any) -> None:
    envs = GaspCodeVectorEnv(num_envs=2)
    envs.reset(seed=0)
    with pytest.raises(ValueError, match="expected a reset_mask of 2 bools, one per env, got"):
        envs.reset(options={"reset_mask": wrong})
    envs.reset(options={"reset_mask": [True, False]})


class Counted(Sandbox):
    """Counts batches."""

    batches = 0

    def run_many(self, runs: Iterable[Run]) -> list[Result]:
        self.batches += 1
        return super().run_many(runs)


def test_a_step_is_one_batch(sandbox: Sandbox) -> None:
    with Counted() as own:
        envs = gym.make_vec("GASP-Code-v0", num_envs=64, sandbox=own, **OPTIONS)
        envs.reset(seed=0)
        assert (own.batches, own.runs) == (0, 0)
        # Novelty compares with the library as it was, so that all of them may be valid.
        envs.step([proposal(PROGRAMS[number % 3]) for number in range(64)])
        assert own.batches == 1
        envs.step([(answer("python", PROGRAMS[number % 3]),) * 4 for number in range(64)])
        assert own.batches == 2
        assert own.runs < own.requested


def test_a_seed_restores_the_library_the_env_was_made_with(sandbox: Sandbox, tmp_path: Path) -> None:
    def play(envs: GaspCodeVectorEnv, program: str) -> str:
        *_, infos = envs.step([proposal(program)])
        if envs.turns[0] is not None and envs.turns[0].stage == "attempt":
            envs.step([("no idea",) * 8])
        verdict: str = infos["verdicts"][0][0]
        return verdict

    path, options = tmp_path / "library.jsonl", {**OPTIONS, "admit": {"lemma": [0, 10]}, "attempts": 8}
    first = GaspCodeVectorEnv(num_envs=1, **options)
    first.reset(seed=0)
    assert play(first, PROGRAMS[0]) == "valid"
    while any(first.turns):
        first.step(["no idea"])
    assert len(first.library) == 1
    first.library.save(path)
    envs = GaspCodeVectorEnv(num_envs=1, library=path, **options)
    for seed, size in ((0, 1), (None, 2), (0, 1)):
        envs.reset(seed=seed)
        assert len(envs.library) == size
        assert play(envs, PROGRAMS[0]) == "duplicate"
        envs.reset()
        play(envs, PROGRAMS[2])
        while any(envs.turns):
            envs.step(["no idea"])


def test_a_state_keeps_what_kind_of_library_it_was(sandbox: Sandbox) -> None:
    envs = GaspCodeVectorEnv(num_envs=2, library_capacity=1, **OPTIONS)
    envs.reset(seed=0)
    envs.set_state(envs.state())
    assert envs.library.capacity == 1


def test_make_vec(sandbox: Sandbox) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs = gym.make_vec("gasp_env:GASP-Code-v0", num_envs=2, attempts=3)
        observations, infos = envs.reset(seed=0)
        again = gym.make_vec(envs.spec)
        assert again.num_envs == 2
    assert isinstance(again.unwrapped, GaspCodeVectorEnv)
    assert again.unwrapped.driver.options == envs.unwrapped.driver.options
    assert envs.metadata["autoreset_mode"] is AutoresetMode.DISABLED
    assert observations in envs.observation_space
    assert envs.action_space.sample() in envs.action_space
    assert len(observations["prompt"]) == 2
    assert infos["agent"].tolist() == ["teacher_0", "teacher_0"]


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, "SameStep"])
def test_another_autoreset_is_refused(mode: AutoresetMode | str) -> None:
    with pytest.raises(ValueError, match="expected autoreset_mode 'Disabled'.*reset_mask"):
        gym.make_vec("GASP-Code-v0", num_envs=2, autoreset_mode=mode)
    with pytest.raises(
        TypeError, match="unexpected keyword argument 'colour'; there are curriculum, domain,"
    ):
        gym.make_vec("GASP-Code-v0", num_envs=2, colour="red")


def test_statistics_of_episodes(sandbox: Sandbox) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        envs = RecordEpisodeStatistics(gym.make_vec("GASP-Code-v0", num_envs=2, **OPTIONS))
        envs.reset(seed=0)
        *_, infos = envs.step(["junk", proposal(PROGRAMS[0])])
        assert infos["episode"]["r"].tolist() == [-1.0, 0.0]
        *_, infos = envs.step([None, ("x",) * 8])
        assert infos["episode"]["r"][1] == pytest.approx(-8.5)
        observations, _ = envs.reset(options={"reset_mask": np.array([True, True])})
        assert all(observations["prompt"])
        # Where what is over is reset before the next step, each episode is counted once.
        envs.return_queue.clear()
        for _ in range(3):
            *_, infos = envs.step(["junk", None])
            assert infos["_episode"].tolist() == [True, False]
            envs.reset(options={"reset_mask": np.array([True, False])})
        assert list(envs.return_queue) == [-1.0] * 3


def test_what_a_vector_step_returns_is_nobody_elses(sandbox: Sandbox) -> None:
    envs = GaspCodeVectorEnv(num_envs=2, **OPTIONS)
    returned = [envs.reset(seed=0), envs.step([proposal(PROGRAMS[0]), "junk"]), envs.step(["a", None])]
    seen: set[int] = set()
    for one in returned:
        mutable = {id(item) for item in containers(one)}
        assert not mutable & seen
        seen |= mutable


def test_a_reward_that_raises_ends_its_episode_only(sandbox: Sandbox) -> None:
    @gasp_env.teacher_reward("test_raises")
    def raises(outcomes):
        raise KeyError("a bug of somebody's")

    envs = GaspCodeVectorEnv(num_envs=2, teacher_reward="test_raises", **OPTIONS)
    envs.reset(seed=0)
    with pytest.raises(RuntimeError, match="test_raises.*a bug"):
        envs.step(["junk", None])
    assert [turn is None for turn in envs.turns] == [True, False]
    with pytest.raises(RuntimeError, match="reset"):
        envs.step(["junk", None])
    envs.reset()
    assert all(envs.turns)


def test_commits_are_in_order_of_env_and_the_same_at_any_worker_count() -> None:
    def libraries(workers: int) -> list[Any]:
        with Sandbox(workers=workers) as own:
            envs = GaspCodeVectorEnv(num_envs=5, sandbox=own, **OPTIONS)
            envs.reset(seed=3)
            lemmas = [PROGRAMS[number % 3] for number in range(5)]
            while any(envs.turns):
                actions: list[Any] = []
                for number, turn in enumerate(envs.turns):
                    if turn is None:
                        actions.append(None)
                    elif turn.agent == "teacher_0":
                        actions.append(proposal(lemmas[number]))
                    else:
                        actions.append(tuple([answer("python", lemmas[number])] * turn.samples))
                envs.step(actions)
            return [envs.library.state(), envs.transcripts]

    one = libraries(1)
    assert [entry["task"]["program"] for entry in one[0]] == PROGRAMS[:3]
    assert libraries(3) == one


@pytest.mark.docker
def test_a_batch_reward_sees_what_an_update_settled(sandbox: Sandbox) -> None:
    seen: list[list[tuple[str, bool]]] = []

    @gasp_env.teacher_reward("test_batch", needs=("batch",))
    def rank(outcomes):
        seen.append([(outcome.stage, outcome.valid) for outcome in outcomes])
        return [{"rank": float(number)} for number, _ in enumerate(outcomes)]

    envs = GaspCodeVectorEnv(num_envs=3, teacher_reward="test_batch", attempts=2, **OPTIONS)
    envs.reset(seed=0)
    # Settled in three different steps: at once, after the attempts, and a step later than that.
    *_, infos = envs.step([proposal(PROGRAMS[0]), "no task", None])
    assert [[(c.agent, c.reward, c.deferred) for c in own] for own in infos["credits"]] == [
        [],
        [("teacher_0", None, True)],
        [],
    ]
    assert infos["scored"].tolist() == [True, True, False], "deferred is no failure; the third had no step"
    envs.step([("?", "?"), None, proposal(PROGRAMS[2])])
    envs.step([None, None, ("?", "?")])
    assert seen == []
    scored = envs.score_deferred()
    assert seen == [[("lemma", False), ("lemma", True), ("lemma", True)]]
    assert [(one.slot, one.credit.turn, one.credit.reward) for one in scored] == [
        (1, 0, 0.0),
        (0, 0, 1.0),
        (2, 0, 2.0),
    ]
    assert [record["turns"][0]["samples"][0]["reward"] for record in envs.transcripts if record] == [
        1.0,
        0.0,
        2.0,
    ]
    assert envs.score_deferred() == []


@pytest.mark.docker
def test_a_deferred_reward_reaches_the_clones_transcript(sandbox: Sandbox) -> None:
    @gasp_env.teacher_reward("test_deferred_clone", needs=("batch",))
    def two(outcomes):
        return [{"two": 2.0} for _ in outcomes]

    envs = GaspCodeVectorEnv(num_envs=3, teacher_reward="test_deferred_clone", attempts=2, **OPTIONS)
    envs.reset(seed=0)
    envs.step([proposal(PROGRAMS[0]), None, None])
    envs.step([(answer("python", PROGRAMS[0]), "?"), None, None])
    assert envs.turns[0] is not None, "the lemma's outcome is settled, the episode goes on"
    envs.driver.clone(0, 1)
    envs.driver.clone(1, 2)
    [scored] = envs.score_deferred()
    assert (scored.slot, scored.credit.reward) == (0, 2.0)
    assert [record["turns"][0]["samples"][0]["reward"] for record in envs.transcripts] == [2.0, 2.0, 2.0]
