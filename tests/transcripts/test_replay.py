"""A stored episode plays again, and a stored lie is found."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gasp_env.envs.env import GaspCodeEnv
from gasp_env.episode.turns import CutOff, Lost
from gasp_env.sandbox import Sandbox
from gasp_env.transcripts import replay
from gasp_env.transcripts.render import render_transcript
from tests.envs.test_env import OPTIONS, play
from tests.fuzz import examples
from tests.players import PROGRAMS, proposal, right_answer

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def record(sandbox: Sandbox) -> dict[str, Any]:
    env = GaspCodeEnv(**OPTIONS)
    env.reset(seed=0)
    play(env)
    assert env.transcript is not None
    return env.transcript


def test_replay_agrees(record: dict[str, Any], sandbox: Sandbox) -> None:
    assert replay.replay(record, sandbox) == []


def test_replay_of_an_episode_that_drew_from_the_library(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(**OPTIONS)
    env.reset(seed=0)
    play(env)
    env.reset()
    env.step(proposal(PROGRAMS[0]))
    while env.driver.turns[0] is not None:
        env.step("no answer")
    stored = env.transcript
    assert stored is not None
    assert stored["outcomes"][0]["reason"] == "duplicate"
    assert stored["turns"][-1]["stage"] == "solve"
    assert replay.replay(json.loads(json.dumps(stored)), sandbox) == []


@pytest.mark.parametrize(
    ("where", "alter"),
    [
        ("turns[1].samples[0].verdict", lambda r: r["turns"][1]["samples"][0].update(verdict="wrong")),
        ("turns[1].samples[7].verdict", lambda r: r["turns"][1]["samples"][7].update(verdict="correct")),
        ("turns[0].samples[0].reward", lambda r: r["turns"][0]["samples"][0].update(reward=0.5)),
        ("outcomes[0].correct", lambda r: r["outcomes"][0].update(correct=5)),
        ("turns[2].prompt", lambda r: r["turns"][2].update(prompt="Write anything.")),
        ("axis", lambda r: r.update(axis="io")),
        ("turns[1].samples[0].reward", lambda r: r["turns"][1]["samples"][0].update(reward=True)),
    ],
)
def test_replay_finds_a_change(
    record: dict[str, Any], sandbox: Sandbox, where: str, alter: Callable[[dict[str, Any]], None]
) -> None:
    changed = copy.deepcopy(record)
    alter(changed)
    assert where in [difference.where for difference in replay.replay(changed, sandbox)]


def test_files(record: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "episodes.jsonl"
    path.write_text("\n".join(json.dumps(record) for _ in range(2)) + "\n")
    assert replay.load(path) == [record, record]
    separated = {**record, "note": "a\u2028b"}
    path.write_text(json.dumps(separated, ensure_ascii=False) + "\n", encoding="utf-8")
    assert replay.load(path) == [separated]
    for content, message in (
        ("{", "line 1"),
        ("[" * 100_000, "line 1"),
        ("{}", "format 3"),
        ("", "at least one"),
    ):
        path.write_text(content)
        with pytest.raises(replay.TranscriptError, match=message):
            replay.load(path)


def test_broken_records_are_refused(record: dict[str, Any], sandbox: Sandbox) -> None:
    assert record["tier"] == "docker"
    for change in (
        {"goalposts": {"count": 10**13, "played": {}}},
        {"teacher_reward": "nope:x"},
        {"pinned": 99},
        {"turns": 3},
    ):
        with pytest.raises((replay.TranscriptError, ValueError)):
            replay.replay({**record, **change}, sandbox)
    for key in ("seed", "goalposts", "turns", "view", "options", "curriculum", "rules"):
        broken = {name: value for name, value in record.items() if name != key}
        with pytest.raises((replay.TranscriptError, ValueError)):
            replay.replay(broken, sandbox)


@pytest.mark.parametrize(
    "names",
    [
        {"teacher_reward": "mine.py:mine"},
        {"teacher_reward": "shuffled:mine.py:mine"},
        {"teacher_reward": {"lemma": "gasp_lemma", "lift": "os:system"}},
        {"solver_reward": "mine:half"},
        {"domain": "mine.py:domain"},
        {"style": "mine.py:Style"},
        {"novelty": "mine.py:embedder"},
        {"novelty": "sentence-transformers:./model"},
        # What looks like a module of ours is the path of a file to whoever imports.
        {"domain": "gasp_env.mine.py:azr"},
        {"style": "learners.mine.py:Style"},
        {"teacher_reward": "gasp_env.mine.py:azr"},
        {"teacher_reward": {"lemma": "gasp_lemma", "lift": "gasp_env.mine.py:gasp_lift"}},
        {"solver_reward": "gasp_env.mine.py:azr"},
        # What is ours may be called, and is not made for that.
        {"novelty": "gasp_env.play:main"},
        {"novelty": "gasp_env.sandbox.__main__:main"},
        {"style": "learners.miniature:domain"},
        {"curriculum": "mine.py:Game"},
        {"curriculum": "gasp_env.curricula.gasp:Gasp"},
        {"novelty": "learners.miniature:domain"},
    ],
)
def test_code_that_a_transcript_names_is_not_run_unless_asked_for(
    record: dict[str, Any],
    sandbox: Sandbox,
    names: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("mine.py", "gasp_env.mine.py", "learners.mine.py"):
        (tmp_path / name).write_text("open('ran', 'w').close()\n")
    changed = {**record, **names}
    with pytest.raises(replay.TranscriptError, match="code of its own"):
        replay.replay(changed, sandbox)
    assert not (tmp_path / "ran").exists()


def test_code_that_a_transcript_names_is_run_when_asked_for(
    record: dict[str, Any], sandbox: Sandbox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "fair.py").write_text(
        "from gasp_env.rewards.registry import solver_reward\n"
        "@solver_reward('fair_at_last')\n"
        "def fair(verdict):\n"
        "    return {'fair': 0.25}\n"
    )
    found = replay.replay({**record, "solver_reward": "fair.py:fair_at_last"}, sandbox, trust=True)
    assert {difference.replayed for difference in found if difference.where.endswith(".reward")} == {0.25}


def test_the_miniature_is_followed(record: dict[str, Any], sandbox: Sandbox) -> None:
    # Its gate takes other programs: what is asked is whether it is begun.
    begun = {**record, "domain": "learners.miniature:domain", "rules": 1, "turns": []}
    assert "done" in [difference.where for difference in replay.replay(begun, sandbox)]


def test_an_episode_that_goes_another_way_is_told_from_a_broken_file(
    record: dict[str, Any], sandbox: Sandbox
) -> None:
    changed = copy.deepcopy(record)
    changed["turns"][0]["samples"][0]["text"] = "no proposal"
    # No task of its own is left, and nobody has said what the library would have given.
    with pytest.raises(
        replay.TranscriptError, match="asks the library for 'accepted', which the stored one did"
    ):
        replay.replay(changed, sandbox)


def test_what_differs_is_said_in_one_line_however_deep_it_is() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    said = str(replay.Difference("a\x1b[2J\nb", deep, "x" * 10**6))
    assert said.isprintable()
    assert len(said) < 3000


def places(part: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where every part of a record is."""
    for key, inner in part.items() if isinstance(part, dict) else enumerate(part):
        yield (*path, key)
        if isinstance(inner, dict | list):
            yield from places(inner, (*path, key))


HOSTILE = [
    None, True, -1, 0, 3, 10**9, 10**400, -0.5, 1e30, 1e308, math.inf, math.nan, "", "x", "\x1b[2J\n", "\ud800", "a:b",
    [], [None], [[]], {}, {"x": 1}, {"\n": None},
]  # fmt: skip


@settings(max_examples=examples(200), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_no_transcript_brings_a_replay_down(
    record: dict[str, Any], sandbox: Sandbox, data: st.DataObject
) -> None:
    changed = json.loads(json.dumps(record))
    *path, last = data.draw(st.sampled_from(list(places(changed))))
    part = changed
    for key in path:
        part = part[key]
    if data.draw(st.booleans()):
        part[last] = data.draw(st.sampled_from(HOSTILE))
    else:
        del part[last]
    try:
        found = replay.replay(changed, sandbox)
    except replay.TranscriptError as error:
        message = str(error)
        assert message.isprintable()
        return
    assert all(str(difference).isprintable() for difference in found)
    shown = render_transcript(changed, prompts=True)
    assert all(line.isprintable() for line in shown.split("\n"))


def test_a_text_that_is_no_utf8_is_kept_and_played_again(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(**OPTIONS)
    env.reset(seed=0)
    *_, info = env.step("\ud800" + proposal(PROGRAMS[0]))
    assert info["verdicts"] == ["not_utf8"]
    stored = json.loads(json.dumps(env.transcript))
    assert replay.replay(stored, sandbox) == []


def test_the_published_episodes_play_again(sandbox: Sandbox) -> None:
    stored = replay.load(Path(__file__).resolve().parents[2] / "benchmarks/results/train/episodes.jsonl")
    assert len(stored) == 4
    assert [replay.replay(record, sandbox) for record in stored] == [[]] * 4


def test_an_answer_that_was_cut_off_stays_so(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(attempts=2, **OPTIONS)
    env.reset(seed=1)
    env.step(proposal(PROGRAMS[0]))
    right = right_answer(env.driver.episodes[0].ask.question)
    *_, info = env.step((CutOff(right), right))
    assert info["verdicts"] == ["cut_off", "correct"]
    assert [credit.reward for credit in info["credits"] if credit.agent == "solver_0"] == [-1.0, 1.0]
    record = json.loads(json.dumps(env.transcript))
    assert [sample.get("cut_off") for sample in record["turns"][1]["samples"]] == [True, None]
    assert replay.replay(record, sandbox) == []
    env.reset(seed=1)
    *_, info = env.step(CutOff(proposal(PROGRAMS[0])))
    assert (info["verdicts"], info["credits"][0].reward) == (["cut_off"], -1.0)


def test_a_text_that_a_policy_could_not_give_stays_unscored(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(attempts=2, **OPTIONS)
    env.reset(seed=1)
    env.step(proposal(PROGRAMS[0]))
    *_, terminated, truncated, info = env.step((Lost("the server is gone"), ""))
    assert info["verdicts"] == ["infra_error", "malformed"]
    assert (terminated, truncated, info["scored"]) == (False, True, False)
    assert [(credit.agent, credit.reward) for credit in info["credits"]] == [
        ("solver_0", None),
        ("solver_0", -1.0),
        ("teacher_0", None),
    ]
    record = json.loads(json.dumps(env.transcript))
    lost, empty = record["turns"][1]["samples"]
    assert (lost["text"], lost["lost"], lost["detail"]) == ("", "the server is gone", "the server is gone")
    assert (empty["text"], "lost" in empty) == ("", False)
    (outcome,) = record["outcomes"]
    assert (outcome["scored"], outcome["accepted"], outcome["samples"]) == (False, False, 2)
    assert replay.replay(record, sandbox) == []


def test_a_proposal_that_a_policy_could_not_give_is_unscored(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(**OPTIONS)
    env.reset(seed=1)
    _, reward, _, truncated, info = env.step(Lost())
    assert (reward, truncated, info["verdicts"]) == (0.0, True, ["infra_error"])
    assert [credit.reward for credit in info["credits"]] == [None]
    assert replay.replay(json.loads(json.dumps(env.transcript)), sandbox) == []
