"""A transcript as text."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import pytest

from gasp_env.envs.env import GaspCodeEnv
from gasp_env.episode.turns import Turn
from gasp_env.policies.scripted import GOALPOST, scripted
from gasp_env.sandbox import Sandbox
from gasp_env.transcripts.render import ANSWERS, WIDTH, render_answers, render_transcript
from tests.envs.test_env import OPTIONS

ATTEMPT = {
    "index": 1,
    "agent": "solver_0",
    "stage": "attempt",
    "kind": "induction",
    "axis": "f",
    "prompt": "p",
}


def sample(text: str, verdict: str = "wrong", reward: float | None = -0.5) -> dict[str, Any]:
    terms = {} if reward is None else {verdict: reward}
    return {"text": text, "verdict": verdict, "detail": "", "reward": reward, "terms": terms}


@pytest.mark.docker
def test_an_episode_reads_from_top_to_bottom(sandbox: Sandbox) -> None:
    env = gym.make("GASP-Code-v0", render_mode="ansi").unwrapped
    assert isinstance(env, GaspCodeEnv)
    assert env.render() == ""
    observation, _ = env.reset(seed=3, options={"goalpost": GOALPOST})
    begun = env.render()
    assert begun is not None
    assert begun.startswith(f"gasp · goalpost {GOALPOST} · seed ")
    assert begun.endswith("teacher_0 is to write a text")
    over = False
    while not over:
        (texts,) = scripted([observation["prompt"]], [observation["samples"]])
        observation, _, over, *_ = env.step(texts)
    shown, record = env.render(), env.transcript
    assert shown is not None
    assert record is not None
    lines = shown.split("\n")
    marks = [" ".join(line.split()[:3]) for line in lines if line[:3] in ("── ", "  =")]
    assert marks == [
        "── turn 0", "── turn 1", "= lemma solved", "── turn 2", "── turn 3", "= lift solved", "── turn 4",
    ]  # fmt: skip
    assert all(len(line) <= WIDTH for line in lines if not line.startswith("  →"))
    assert "more lines" in shown
    assert "  → valid · reward +" in shown
    totals = {"teacher_0": 0.0, "solver_0": 0.0}
    for turn in record["turns"]:
        totals[turn["agent"]] += sum(answer["reward"] for answer in turn["samples"])
    assert lines[-3:] == [
        "done",
        "accepted  lemma, lift",
        f"rewards   teacher_0 {totals['teacher_0']:+.3f}, solver_0 {totals['solver_0']:+.3f}",
    ]
    whole = render_transcript(record, prompts=True)
    assert "more lines" not in whole
    for turn in record["turns"]:
        assert all(f"  │ {line}" in whole for line in turn["prompt"].split("\n"))


@pytest.mark.docker
def test_no_text_of_a_model_reaches_the_terminal_as_it_is(sandbox: Sandbox) -> None:
    env = GaspCodeEnv(render_mode="ansi", **OPTIONS)
    env.reset(seed=0)
    env.step("\x1b[2Jnothing")
    shown = env.render()
    assert shown is not None
    assert "  → no_program" in shown
    assert "reward -1.000" in shown
    assert "  = no task: no_program" in shown
    assert "\x1b" not in shown


def test_equal_answers_are_shown_once_and_many_not_at_all() -> None:
    turn = {**ATTEMPT, "samples": [sample("same")] * 3 + [sample(f"answer {n}") for n in range(20)]}
    shown = render_answers(turn, abridged=True)
    assert shown.count("same") == 1
    assert "  → 3 × wrong · reward -0.500 [wrong -0.500]" in shown
    assert f"  → others: {21 - ANSWERS} × wrong" in shown
    assert "answer 19" in render_answers(turn)


def test_what_was_not_scored_is_said() -> None:
    record = {
        "goalposts": {"count": 0, "played": {}},
        "seed": 7,
        "curriculum": "azr",
        "agents": {"teacher": "teacher_0", "solver": "solver_0"},
        "turns": [{**ATTEMPT, "axis": None, "samples": [sample("x"), sample("y", "infra_error", None)]}],
        "outcomes": [],
        "done": True,
        "truncated": True,
    }
    shown = render_transcript(record)
    assert shown.startswith("azr · no goalpost · seed 7\n")
    assert "  → infra_error · unscored" in shown
    assert "truncated: the infrastructure failed" in shown
    assert shown.endswith("solver_0 -0.500 (1 unscored)")


def test_a_text_that_is_missing_is_told_from_an_empty_one() -> None:
    lost = {**sample("", "infra_error", None), "detail": "no answer", "lost": "no answer"}
    shown = render_answers({**ATTEMPT, "samples": [sample("", "malformed", -1.0), lost, lost]})
    assert shown.split("\n") == [
        "    (empty)",
        "  → malformed · reward -1.000 [malformed -1.000]",
        "    (no text)",
        "  → 2 × infra_error (no answer) · unscored",
    ]


def test_names_cannot_pass_for_lines_of_ours() -> None:
    name = "x\x1b[2J\n── turn 9 · done"
    answered = {**sample("y", name), "terms": {name: 1.0}, "detail": name}
    record = {
        "goalposts": {"count": 1, "played": {"0": {"id": name}}},
        "curriculum": name,
        "agents": {"teacher": name},
        "seed": 0,
        "turns": [{**ATTEMPT, "agent": name, "kind": name, "samples": [answered]}],
        "outcomes": [
            {"turn": 0, "stage": name, "reason": reason, "correct": 1, "samples": 2, "accepted": True}
            for reason in ("valid", name)
        ],
        "done": True,
        "truncated": False,
    }
    lines = render_transcript(record).split("\n")
    assert all(line.isprintable() for line in lines)
    assert [line.split(" · ")[0] for line in lines if line.startswith("──")] == ["── turn 1"]


def test_a_turn_that_is_half_done_says_how_much_is_due() -> None:
    record = {
        "goalposts": {"count": 1, "played": {"0": {"id": "g"}}},
        "curriculum": "gasp",
        "agents": {"solver": "solver_0"},
        "seed": 0,
        "turns": [{**ATTEMPT, "samples": [sample("x")]}],
        "outcomes": [],
        "done": False,
        "truncated": False,
    }
    waiting = Turn(1, "solver", "solver_0", "attempt", "induction", "f", "p", 7)
    shown = render_transcript(record, waiting=waiting)
    assert shown.count("── turn 1") == 1
    assert shown.endswith("solver_0 is to write 7 texts")
    assert max(map(len, shown.split("\n"))) == WIDTH


def test_long_texts_are_cut() -> None:
    turn = {**ATTEMPT, "samples": [sample("word " * 100 + "\n\n" + "\n".join(map(str, range(40))))]}
    lines = render_answers(turn, abridged=True).split("\n")
    assert max(map(len, lines)) == WIDTH
    assert lines[0].endswith("…")
    assert lines[-2] == "    … 29 more lines"
